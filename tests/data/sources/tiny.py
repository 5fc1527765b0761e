"""Tiny made data sets in their true formats: `TINY[source](folder)` writes one and returns what stands after
`vqa prepare`. Nothing here is published data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vqa.commands.prepare import SOURCES
from vqa.data.record import BadRow, Row, Source


def picture(path: Path, shade: int = 0) -> None:
    """A small picture; its suffix is its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade % 256, 90, 40)).save(path)


def dump(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def source_of(words: list[str], *more: str) -> Source:
    """The source that a command line describes."""
    module = import_module(f"vqa.data.sources.{SOURCES[words[0]].module}")
    parser = argparse.ArgumentParser()
    parser.add_argument("--text-only", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    module.configure(parser)
    made: Source = module.from_args(parser.parse_args([*words[1:], *more]))
    return made


def rows_of(words: list[str], *more: str) -> list[Row | BadRow]:
    return list(source_of(words, *more).rows())


def good(words: list[str], *more: str) -> list[Row]:
    """The rows, all of which must be usable."""
    rows = rows_of(words, *more)
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [row for row in rows if isinstance(row, Row)]


PROGRAM = [
    {"function": "scene", "inputs": [], "value_inputs": []},
    {"function": "filter_color", "inputs": [0], "value_inputs": ["red"]},
    {"function": "unique", "inputs": [1], "value_inputs": []},
    {"function": "query_shape", "inputs": [2], "value_inputs": []},
]


def clevr_question(split: str, index: int, **more: Any) -> dict[str, Any]:
    fields = {
        "split": split,
        "image_filename": f"CLEVR_{split}_{index // 2:06d}.png",
        "image_index": index // 2,
        "question": "What shape is the red thing?",
        "question_index": index,
    }
    if not split.startswith("test"):
        fields |= {
            "answer": ("cube", "sphere")[index % 2],
            "program": PROGRAM,
            "question_family_index": 7,
        }
    return fields | more


def clevr(folder: Path) -> list[str]:
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        questions = [clevr_question(split, k) for k in range(count)]
        info = {"split": split, "license": "made for a test", "version": "1.0"}
        file = folder / "questions" / f"CLEVR_{split}_questions.json"
        dump(file, {"info": info, "questions": questions})
        for k in range(count // 2):
            picture(folder / "images" / split / f"CLEVR_{split}_{k:06d}.png", k)
    return ["clevr", str(folder)]


def gqa_question(index: int, answered: bool = True, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "imageId": ("n161313", "2337789")[index % 2],
        "question": "Is the bowl to the right of the green apple?",
        "isBalanced": True,
    }
    if answered:
        fields |= {
            "answer": ("yes", "no")[index % 2],
            "fullAnswer": "Yes, the bowl is to the right of the apple.",
            "types": {"structural": "verify", "semantic": "rel", "detailed": "relVerify"},
            "groups": {"global": None, "local": "14-bowl"},
            "entailed": [],
            "equivalent": [str(index)],
            "semantic": [{"operation": "select", "dependencies": [], "argument": "apple (270877)"}],
            "annotations": {"answer": {}, "question": {"4": "270877"}, "fullAnswer": {}},
            "semanticStr": "select: apple (270877)",
        }
    return fields | more


def gqa(folder: Path) -> list[str]:
    for at, (split, count) in enumerate((("train", 6), ("val", 4), ("test", 4))):
        ids = [f"{at}{k:04d}" for k in range(count)]
        records = {i: gqa_question(k, split != "test") for k, i in enumerate(ids)}
        dump(folder / f"{split}_balanced_questions.json", records)
    for name in ("n161313", "2337789"):
        picture(folder / "images" / f"{name}.jpg")
    return ["gqa", str(folder)]


def coco(folder: Path, **numbers: list[int]) -> Path:
    """Folders of COCO with pictures of these numbers."""
    for split, found in numbers.items():
        for k in found:
            picture(folder / split / f"COCO_{split}_{k:012d}.jpg", k)
    return folder


def coco_qa(folder: Path) -> list[str]:
    lines = {
        "questions": ["what is on the desk ?", "how many cats are there ?", "what is the colour of the bus ?"],
        "answers": ["cat", "two", "red"],
        "types": ["0", "1", "2"],
    }  # fmt: skip
    for split, numbers in (("train", ["9", "25", "9"]), ("test", ["42", "73", "42"])):
        (folder / split).mkdir(parents=True)
        for name, found in {**lines, "img_ids": numbers}.items():
            (folder / split / f"{name}.txt").write_text("\n".join(found) + "\n")
    pictures = coco(folder / "coco", train2014=[9, 25], val2014=[42, 73])
    return ["coco-qa", str(folder), "--images", str(pictures)]


def daquar(folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    pairs = (
        "what is on the right side of the black telephone in the image3 ?\ndesk\n"
        "how many chairs are there in the image5 ?\n6\n"
        "what is on the table in the image3 ?\nphoto, lamp\n"
    )
    for split in ("train", "test"):
        (folder / f"qa.37.raw.{split}.txt").write_text(pairs)
    for k in (3, 5):
        picture(folder / "nyu" / f"image{k}.png", k)
    files = [str(folder / f"qa.37.raw.{split}.txt") for split in ("train", "test")]
    return ["daquar", *files, "--images", str(folder / "nyu")]


def rad_question(index: int, **more: Any) -> dict[str, Any]:
    return {
        "qid": str(index),
        "phrase_type": ("freeform", "para", "test_freeform", "test_para")[index % 4],
        "image_name": f"synpic{index % 2}.jpg",
        "image_organ": "HEAD",
        "question": "Are regions of the brain infarcted?",
        "question_type": "PRES",
        "answer": ("Yes", 3)[index % 2],
        "answer_type": ("CLOSED", "OPEN ")[index % 2],
        **more,
    }


def vqa_rad(folder: Path) -> list[str]:
    file = dump(folder / "VQA_RAD Dataset Public.json", [rad_question(k) for k in range(8)])
    for k in range(2):
        picture(folder / "pictures" / f"synpic{k}.jpg", k)
    return ["vqa-rad", str(file), "--images", str(folder / "pictures")]


def slake_question(index: int, **more: Any) -> dict[str, Any]:
    return {
        "img_id": index,
        "img_name": f"xmlab{index % 2}/source.jpg",
        "question": ("What modality is used?", "图像采用什么方式扫描?")[index % 3 == 2],
        "answer": "MRI",
        "q_lang": ("en", "en", "zh")[index % 3],
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": index,
        **more,
    }


def slake(folder: Path) -> list[str]:
    for at, name in enumerate(("train", "validate", "test")):
        dump(folder / f"{name}.json", [slake_question(10 * at + k) for k in range(6)])
    for k in range(2):
        picture(folder / "imgs" / f"xmlab{k}" / "source.jpg", k)
    return ["slake", str(folder)]


def shapes(folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    questions = [
        "is a red shape red",
        "is a circle left of a square",
        "is blue above below a circle",
    ]
    for stem in ("train.tiny", "train.large", "val", "test"):
        pictures = np.zeros((3, 30, 30, 3), np.uint8)
        pictures[..., 0], pictures[..., 2] = 10, 250  # little blue, much red: the order is BGR
        np.save(folder / f"{stem}.input.npy", pictures)
        (folder / f"{stem}.query_str.txt").write_text("\n".join(questions) + "\n")
        (folder / f"{stem}.output").write_text("true\nfalse\ntrue\n")
    return ["shapes", str(folder)]


def nlvr_line(index: int, **more: Any) -> dict[str, Any]:
    block = {"y_loc": 80, "size": 20, "type": "square", "x_loc": 40, "color": "Yellow"}
    loose = {"y_loc": 13, "size": 10, "type": "circle", "x_loc": 52, "color": "#0099ff"}
    return {
        "identifier": f"{index}-0",
        "sentence": "There is a yellow tower.",
        "label": ("true", "false")[index % 2],
        "directory": "0",
        "structured_rep": [[block], [block], [block if index % 2 else loose]],
        "evals": {"r0": "true"},
        **more,
    }


def nlvr(folder: Path) -> list[str]:
    for split in ("train", "dev", "test"):
        lines = [json.dumps(nlvr_line(k)) for k in range(2)]
        (folder / split).mkdir(parents=True)
        (folder / split / f"{split}.json").write_text("\n".join(lines) + "\n")
        for k in range(2):
            for order in range(6):
                picture(folder / split / "images" / "0" / f"{split}-{k}-0-{order}.png", order)
    return ["nlvr", str(folder)]


def vqa_pair(index: int, image: int, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A question and its annotation, with ten answers."""
    question = {"question_id": index, "image_id": image, "question": "What colour is it?"}
    answers = [{"answer": "red", "answer_confidence": "yes", "answer_id": k} for k in range(1, 11)]
    annotation = {
        "question_id": index,
        "image_id": image,
        "question_type": "what color",
        "answer_type": "other",
        "multiple_choice_answer": "red",
        "answers": answers,
    }
    return question | more, annotation | more


def tdiuc(folder: Path) -> list[str]:
    kinds = ("color", "absurd", "counting")
    for at, split in enumerate(("train", "val")):
        pairs = [vqa_pair(10 * at + k, 9 + at) for k in range(3)]
        annotations = [
            {
                "question_id": a["question_id"],
                "image_id": a["image_id"],
                "question_type": kinds[k],
                "answers": [{"answer": ("red", "doesnotapply", "2")[k], "answer_id": 1}],
                "ans_source": "made",
            }
            for k, (_, a) in enumerate(pairs)
        ]
        head = {"data_type": "mscoco", "data_subtype": f"{split}2014"}
        stem = f"mscoco_{split}2014"
        asked = {**head, "questions": [q for q, _ in pairs]}
        dump(folder / "Questions" / f"OpenEnded_{stem}_questions.json", asked)
        dump(
            folder / "Annotations" / f"{stem}_annotations.json",
            {**head, "annotations": annotations},
        )
    coco(folder / "Images", train2014=[9], val2014=[10])
    return ["tdiuc", str(folder)]


def vqa_cp(folder: Path) -> list[str]:
    for at, split in enumerate(("train", "test")):
        pairs = [
            vqa_pair(10 * at + k, 9 + k % 2, coco_split=("train2014", "val2014")[k % 2])
            for k in range(4)
        ]
        dump(folder / f"vqacp_v2_{split}_questions.json", [q for q, _ in pairs])
        dump(folder / f"vqacp_v2_{split}_annotations.json", [a for _, a in pairs])
    pictures = coco(folder / "coco", train2014=[9], val2014=[10])
    files = [str(folder / f"vqacp_v2_{split}_questions.json") for split in ("train", "test")]
    return ["vqa-cp", *files, "--images", str(pictures)]


def textvqa_record(index: int, split: str, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "question": "what is the brand of phone?",
        "image_id": f"{split}{index % 2}",
        "image_classes": ["Belt"],
        "flickr_original_url": "https://example.invalid/a.jpg",
        "question_tokens": ["what"],
        "question_id": 1000 * ("train", "val", "test").index(split) + index,
        "set_name": split,
    }
    if split != "test":
        fields["answers"] = [("nokia", "sony")[index % 2]] * 10
    return fields | more


def textvqa(folder: Path) -> list[str]:
    files = []
    for split in ("train", "val", "test"):
        data = [textvqa_record(k, split) for k in range(4)]
        head = {"dataset_type": split, "dataset_name": "textvqa", "dataset_version": "0.5.1"}
        files.append(str(dump(folder / f"TextVQA_0.5.1_{split}.json", {**head, "data": data})))
        for k in range(2):
            place = "test_images" if split == "test" else "train_images"
            picture(folder / "pictures" / place / f"{split}{k}.jpg", k)
    return ["textvqa", *files, "--images", str(folder / "pictures")]


def vizwiz_record(index: int, split: str, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "image": f"VizWiz_{split}_{index:08d}.jpg",
        "question": "What is this?",
    }
    if split != "test":
        said = ("soup", "unanswerable")[index % 2]
        fields |= {
            "answers": [{"answer": said, "answer_confidence": "yes"}] * 10,
            "answer_type": ("other", "unanswerable")[index % 2],
            "answerable": 1 - index % 2,
        }
    return fields | more


def vizwiz(folder: Path) -> list[str]:
    for split in ("train", "val", "test"):
        dump(folder / f"{split}.json", [vizwiz_record(k, split) for k in range(4)])
        for k in range(4):
            picture(folder / "pictures" / split / f"VizWiz_{split}_{k:08d}.jpg", k)
    return ["vizwiz", str(folder), "--images", str(folder / "pictures")]


TINY: Mapping[str, Callable[[Path], list[str]]] = {
    "clevr": clevr,
    "gqa": gqa,
    "coco-qa": coco_qa,
    "daquar": daquar,
    "vqa-rad": vqa_rad,
    "slake": slake,
    "shapes": shapes,
    "nlvr": nlvr,
    "tdiuc": tdiuc,
    "vqa-cp": vqa_cp,
    "textvqa": textvqa,
    "vizwiz": vizwiz,
}
