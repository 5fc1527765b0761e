"""What the VQA source says of bad records, files of another layout, and options that do not fit together."""

from __future__ import annotations

import pytest

from tests.data.sources.vqa_files import (
    annotation,
    question,
    questions_file,
    read,
    read_part,
    source,
    write,
)
from vqa.data.record import BadRow, Row
from vqa.errors import DataError, InputError


def test_a_missing_image_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read(
            "--questions", questions_file(tmp_path, [question()]), "--images", tmp_path / "nowhere"
        )


BAD_QUESTIONS = {
    "no object": ("text", "object"),
    "no id": ({"image_id": 71, "question": "Is it?"}, "'question_id'"),
    "id of another kind": (question(question_id=[1]), "'question_id'"),
    "no image": ({"question_id": 71002, "question": "Is it?"}, "'image_id'"),
    "image id true": (question(image_id=True), "'image_id'"),
    "question is a number": (question(text=7), "'question'"),
    "choices no list": (question(multiple_choices="yes"), "'multiple_choices'"),
    "right answer is no choice": (question(multiple_choices=["no", "2"]), "not among the choices"),
    "other image": (question(image_id=72), "image_id 72, but 71"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_bad_question_is_reported_with_file_and_record(tmp_path, record, reason):
    good = question(5, 6)
    rows = read_part(tmp_path, [good, record], [annotation(5, 6), annotation()])
    assert isinstance(rows[0], Row)
    assert isinstance(rows[1], BadRow)
    assert rows[1].where == f"{tmp_path / 'q.json'}, record 1"
    assert reason in rows[1].reason


BAD_ANNOTATIONS = {
    "no answers": ({**annotation(), "answers": None}, "'answers'"),
    "empty answers": (annotation(answers=()), "no answer"),
    "answers are numbers": (annotation(answers=(1, 2)), "entry 0"),
    "answers are text": ({**annotation(), "answers": "yes"}, "'answers'"),
    "type is a list": (annotation(question_type=[]), "'question_type'"),
    "answer type is a number": (annotation(answer_type=3), "'answer_type'"),
    "image id is null": (annotation(image_id=None), "'image_id'"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS)
def test_a_bad_annotation_is_reported_once_with_both_places(tmp_path, record, reason):
    (row,) = read_part(tmp_path, [question()], [record])
    assert isinstance(row, BadRow)
    assert row.where == f"{tmp_path / 'q.json'}, record 0"
    assert "(a.json, record 0)" in row.reason
    assert reason in row.reason


def test_a_question_without_annotation_and_the_other_way_round(tmp_path):
    missing, stray = read_part(tmp_path, [question(1)], [annotation(2)])
    assert "question 1 has no annotation" in missing.reason
    assert stray.where == f"{tmp_path / 'a.json'}, record 0"
    assert "question 2" in stray.reason


def test_repeated_ids_are_reported(tmp_path):
    rows = read_part(tmp_path, [question(), question()], [annotation(), annotation()])
    assert isinstance(rows[0], Row)
    assert "used before" in rows[1].reason
    assert "second annotation of question 71002" in rows[2].reason


def test_an_id_used_in_an_earlier_split_is_reported(tmp_path):
    first = questions_file(tmp_path, [question()])
    second = questions_file(tmp_path, [question()], "val2014", "v.json")
    good, bad = read("--questions", first, second, "--text-only")
    assert isinstance(good, Row)
    assert "used before" in bad.reason


def test_a_choice_question_without_right_answer_is_reported(tmp_path):
    record = annotation()
    del record["multiple_choice_answer"]
    (row,) = read_part(tmp_path, [question(multiple_choices=["yes", "no"])], [record])
    assert "multiple_choice_answer" in row.reason


WRONG_FILES = {
    "results": ([{"question_id": 1, "answer": "yes"}], "result file"),
    "annotations": ({"annotations": [annotation()]}, "VQA annotations file"),
    "captions": ({"images": [], "annotations": [{"caption": "a dog"}]}, "COCO captions"),
    "clevr": ({"questions": [{"image_filename": "x.png", "question": "?"}]}, "CLEVR"),
    "gqa": ({"1": {"question": "?", "imageId": "1"}}, "GQA questions"),
    "visual7w": ({"images": [{"qa_pairs": [{"answer": "A."}]}]}, "Visual7W file (telling)"),
    "easy-vqa": ([["?", "yes", 1]], "easy-VQA"),
    "rows": ([{"question": "?", "image": "x.png"}], "`table`"),
    "text": ("hello", "text"),
}


@pytest.mark.parametrize(("content", "name"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_another_layout_is_named(tmp_path, content, name):
    file = write(tmp_path / "x.json", content)
    with pytest.raises(DataError) as caught:
        read("--questions", file, "--text-only")
    assert name in str(caught.value)
    assert str(file) in str(caught.value)


def test_questions_given_as_annotations_are_named(tmp_path):
    file = questions_file(tmp_path, [question()])
    with pytest.raises(DataError, match="VQA questions file"):
        read("--questions", file, "--annotations", file, "--text-only")


def test_truncated_and_missing_files_are_named(tmp_path):
    file = questions_file(tmp_path, [question()])
    file.write_text(file.read_text()[:-9])
    with pytest.raises(DataError, match=r"q\.json"):
        read("--questions", file, "--text-only")
    with pytest.raises(DataError, match=r"gone\.json"):
        read(tmp_path / "gone.json", "--text-only")
    packed = questions_file(tmp_path, [question()], name="q.json.gz")
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"q\.json\.gz"):
        read(packed, "--text-only")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "x"], "no questions"),
        (["--questions", "q"], "no --images"),
        (["--questions", "q", "--annotations", "a", "b", "--images", "x"], "more --annotations"),
        (["--questions", "q", "--images", "x", "y"], "2 --images for 1 --questions"),
        (["--questions", "q", "--images", "x", "--split", "a", "b"], "more --split"),
    ],
)
def test_options_that_do_not_fit_together(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q").touch()
    with pytest.raises(InputError, match=message):
        source(*arguments)
