"""Files in the layout of VQA, made record by record, and the VQA source on them."""

from __future__ import annotations

import gzip
import json

from tests.data.sources.tiny import source_of


def question(question_id=71002, image_id=71, text="Is it red?", **more):
    return {"question_id": question_id, "image_id": image_id, "question": text, **more}


def annotation(question_id=71002, image_id=71, answers=("yes",) * 9 + ("no",), **more):
    entries = [
        {"answer": answer, "answer_confidence": "yes", "answer_id": i}
        for i, answer in enumerate(answers, start=1)
    ]
    return {
        "question_id": question_id,
        "image_id": image_id,
        "question_type": "is it",
        "answer_type": "yes/no",
        "multiple_choice_answer": "yes",
        "answers": entries,
        **more,
    }


def write(path, content):
    text = json.dumps(content)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def questions_file(folder, questions, subtype="train2014", name="q.json", data_type="mscoco"):
    header = {"info": {}, "task_type": "Open-Ended", "data_type": data_type, "license": {}}
    if subtype is not None:
        header["data_subtype"] = subtype
    return write(folder / name, {**header, "questions": questions})


def annotations_file(folder, annotations, name="a.json"):
    return write(folder / name, {"info": {}, "annotations": annotations, "data_type": "mscoco"})


def source(*arguments):
    """The source that stands after `vqa prepare vqa`."""
    return source_of(["vqa", *map(str, arguments)])


def read(*arguments):
    return list(source(*arguments).rows())


def read_part(folder, questions, annotations):
    """The rows of one part without pictures."""
    return read(
        "--questions", questions_file(folder, questions),
        "--annotations", annotations_file(folder, annotations),
        "--text-only",
    )  # fmt: skip
