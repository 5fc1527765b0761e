"""The VQA source on tiny files in each published layout, and on real ones."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.data.sources.vqa_files import (
    annotation,
    annotations_file,
    question,
    questions_file,
    read,
    read_part,
    source,
    write,
)
from vqa.cli import main
from vqa.data.record import NO_LABEL, Row
from vqa.errors import DataError


def picture(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not decoded here")
    return path


def test_an_open_ended_record_keeps_its_ten_answers_in_order(tmp_path):
    answers = ("b", "a", "a", "c", "a", "a", "b", "a", "a", "a")
    (row,) = read_part(tmp_path, [question()], [annotation(answers=answers)])
    example = row.example
    assert (example.question_id, example.image_id, example.question) == (
        "71002",
        "71",
        "Is it red?",
    )
    assert tuple(example.answers) == answers
    assert (example.question_type, example.answer_type) == ("is it", "yes/no")
    assert (example.choices, example.label, example.split) == ([], NO_LABEL, "train")
    assert row.where == f"{tmp_path / 'q.json'}, record 0"


def test_version_one_multiple_choice_labels_the_most_common_answer(tmp_path):
    choices = ["no", "2", "yes", *(f"wrong {i}" for i in range(15))]
    (row,) = read_part(tmp_path, [question(multiple_choices=choices)], [annotation()])
    assert row.example.choices == choices
    assert row.example.label == 2


def test_numbers_that_are_texts_stay_as_people_wrote_them(tmp_path):
    choices = ["1.0", "2", "3.5"]
    given = annotation(multiple_choice_answer="1.0", answers=[{"answer": "1.0"}] * 10)
    (row,) = read_part(tmp_path, [question(multiple_choices=choices)], [given])
    assert (row.example.choices, row.example.label) == (choices, 0)
    assert row.example.answers == ["1.0"] * 10


def test_withheld_answers_leave_neither_answers_nor_label(tmp_path):
    file = questions_file(tmp_path, [question(multiple_choices=["yes", "no"])], "test-dev2015")
    (row,) = read("--questions", file, "--text-only")
    assert (row.example.answers, row.example.label) == ([], NO_LABEL)
    assert (row.example.choices, row.example.split) == (["yes", "no"], "test-dev")


@pytest.mark.parametrize(
    ("subtype", "split"),
    [("train2014", "train"), ("val2014", "val"), ("valid", "val"), ("test2015", "test")],
)
def test_a_split_is_named_by_its_subtype(tmp_path, subtype, split):
    (row,) = read("--questions", questions_file(tmp_path, [question()], subtype), "--text-only")
    assert row.example.split == split


def test_a_split_can_be_named_by_hand(tmp_path):
    file = questions_file(tmp_path, [question()], subtype=None)
    (row,) = read("--questions", file, "--split", "mine", "--text-only")
    assert row.example.split == "mine"
    with pytest.raises(DataError, match="--split"):
        read("--questions", file, "--text-only")


HEAD = {"info": {"version": "2.0"}, "data_type": "mscoco", "data_subtype": "val2014"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"info": {"version": "1.0"}}, "version 1, but 2 in"),
        ({"data_subtype": "train2014"}, "data_subtype train, but val in"),
        ({"data_type": "abstract_v002"}, "data_type abstract_v002, but mscoco in"),
        ({"data_subtype": "valid", "info": {"version": 2}}, None),
        ({"info": [], "data_subtype": None}, None),
    ],
)
def test_annotations_of_another_version_or_split_are_refused(tmp_path, said, message):
    asked = write(tmp_path / "q.json", {**HEAD, "questions": [question()]})
    file = write(tmp_path / "a.json", {**HEAD, **said, "annotations": [annotation()]})
    words = ("--questions", asked, "--annotations", file, "--text-only")
    if message is not None:
        with pytest.raises(DataError, match=rf"a\.json: {message} .*q\.json .*one version"):
            read(*words)
        words = (*words, "--split", "mine")
    assert isinstance(read(*words)[0], Row)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, False),
        ({"answers": [{"answer": "a", "answer_id": k} for k in range(5)]}, True),
        ({"answers": [{"answer": "a", "raw_answer": "an a"}] * 10}, True),
    ],
)
def test_ok_vqa_is_named(tmp_path, capsys, fields, named):
    asked = questions_file(tmp_path, [question()])
    said = annotations_file(tmp_path, [annotation() | fields])
    store = str(tmp_path / "store")
    words = ["vqa", "--questions", str(asked), "--annotations", str(said), "--text-only"]
    assert main(["prepare", *words, "--to", store]) == 0
    told = capsys.readouterr().out
    assert ("these files look like OK-VQA" in told) == named
    assert ("another version or another file" in told) == (not named)


def test_ok_vqa_says_so_itself(tmp_path):
    info = {"info": {"description": "This is Question/Answer data for OK-VQA"}}
    asked = questions_file(tmp_path, [question()])
    said = write(tmp_path / "b.json", {**info, "annotations": [annotation()]})
    words = ("--questions", asked, "--annotations", said, "--text-only")
    assert "OK-VQA" in (source(*words).resembles or "")


def test_several_splits_gzipped_and_told_apart_by_content(tmp_path):
    train = questions_file(tmp_path, [question(1)], name="a.json.gz")
    val = questions_file(tmp_path, [question(2)], "val2014", name="b.json")
    test = questions_file(tmp_path, [question(3)], "test2015", name="c.json")
    train_answers = annotations_file(tmp_path, [annotation(1)], "d.json.gz")
    val_answers = annotations_file(tmp_path, [annotation(2)], "e.json")
    by_option = read(
        "--questions", train, val, "--annotations", train_answers, "--questions", test,
        "--annotations", val_answers, "--text-only",
    )  # fmt: skip
    assert [(row.example.split, len(row.example.answers)) for row in by_option] == [
        ("train", 10), ("val", 10), ("test", 0),
    ]  # fmt: skip
    assert read(train, train_answers, val, test, val_answers, "--text-only") == by_option


@pytest.mark.parametrize(
    "name",
    [
        "COCO_train2014_000000000071.jpg",
        "train2014/COCO_train2014_000000000071.jpg",
        "000000000071.jpg",
        "71.PNG",
    ],
)
def test_a_picture_is_found_under_its_usual_names(tmp_path, name):
    path = picture(tmp_path / "images", name)
    picture(tmp_path / "images", "COCO_train2014_000000000072.jpg")
    file = questions_file(tmp_path, [question()])
    (row,) = read("--questions", file, "--images", tmp_path / "images")
    assert (row.image.path, row.image.root) == (path, tmp_path / "images")


def test_the_published_name_goes_before_others(tmp_path):
    picture(tmp_path, "71.jpg")
    path = picture(tmp_path, "COCO_train2014_000000000071.jpg")
    (row,) = read("--questions", questions_file(tmp_path, [question()]), "--images", tmp_path)
    assert row.image.path == path


def test_abstract_scenes_have_their_own_names(tmp_path):
    path = picture(tmp_path, "abstract_v002_val2015_000000020071.png")
    file = questions_file(tmp_path, [question(1, 20071)], "val2015", data_type="abstract_v002")
    (row,) = read("--questions", file, "--images", tmp_path)
    assert (row.image.path, row.example.split) == (path, "val")


def test_a_missing_picture_keeps_the_published_name(tmp_path):
    (row,) = read("--questions", questions_file(tmp_path, [question()]), "--images", tmp_path)
    assert row.image.path == tmp_path / "COCO_train2014_000000000071.jpg"


@pytest.fixture
def mini(shared):
    """The arguments that name the questions, answers and photographs of the mini set."""
    folder = shared / "vqa2-mini"
    return [
        *("--questions", folder / "v2_OpenEnded_mscoco_train_questions.json"),
        *("--annotations", folder / "v2_mscoco_train_annotations.json"),
        *("--images", folder / "images"),
    ]


def test_the_real_mini_set_reads_whole_with_its_pictures(mini):
    rows = read(*mini)
    assert Counter(type(row) for row in rows) == {Row: 446}
    assert all(row.image.path.is_file() for row in rows)
    assert {len(row.example.answers) for row in rows} == {10}
    assert len({row.example.image_id for row in rows}) == 295


def test_the_real_mini_set_becomes_a_store(mini, tmp_path, capsys):
    arguments = [*mini, "--to", tmp_path / "store", "--link-images", "--json"]
    assert main(["prepare", "vqa", *map(str, arguments)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["splits"], told["images"], told["rejected"]) == ({"train": 446}, 295, 0)


def test_the_real_validation_questions_read_whole(shared):
    folder = shared / "vqa2-60k-text"
    questions = folder / "v2_OpenEnded_mscoco_valid_questions.json.gz"
    annotations = folder / "v2_mscoco_valid_annotations.json.gz"
    rows = read(questions, annotations, "--text-only")
    assert Counter((type(row), row.example.split) for row in rows) == {(Row, "val"): 8957}
    assert {row.example.answer_type for row in rows} == {"yes/no", "number", "other"}
