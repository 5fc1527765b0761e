"""The Visual7W source on tiny files in the published layout."""

import argparse
import json
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqa.cli import main
from vqa.data.record import BadRow, Row
from vqa.data.sources import visual7w
from vqa.data.sources.files import Unusable
from vqa.errors import DataError, InputError


def pair(qa_id=11, answer="A dog.", wrong=("A cat.", "A cow.", "A bee."), **more):
    return {
        "qa_id": qa_id,
        "image_id": 7,
        "question": "What is it?",
        "answer": answer,
        "multiple_choices": list(wrong),
        "type": "what",
        **more,
    }


def image(pairs, image_id=7, split="train", **more):
    name = f"v7w_{image_id}.jpg"
    return {"image_id": image_id, "filename": name, "split": split, "qa_pairs": pairs, **more}


def write(folder, images, **more):
    file = folder / "telling.json"
    file.write_text(json.dumps({"dataset": "visual7w-telling", "images": images, **more}))
    return file


def source(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--text-only", action="store_true")
    visual7w.configure(parser)
    return visual7w.from_args(parser.parse_args([str(argument) for argument in arguments]))


def read(folder, images):
    return list(source(write(folder, images), "--text-only").rows())


def test_a_record_keeps_its_full_stop_type_and_split(tmp_path):
    (row,) = read(tmp_path, [image([pair()], split="val")])
    example = row.example
    assert (example.question_id, example.image_id, example.split) == ("11", "7", "val")
    assert (example.answers, example.question_type) == (["A dog."], "what")
    assert example.choices[example.label] == "A dog."
    assert [c for c in example.choices if c != "A dog."] == ["A cat.", "A cow.", "A bee."]
    assert row.where == f"{tmp_path / 'telling.json'}, image 0, pair 0"


def test_the_picture_is_found_by_file_name_or_number(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "v7w_7.jpg").write_bytes(b"")
    (folder / "8.jpg").write_bytes(b"")
    file = write(tmp_path, [image([pair()]), image([pair(12, image_id=8)], image_id=8)])
    rows = list(source(file, "--images", folder).rows())
    assert [row.image.path for row in rows] == [folder / "v7w_7.jpg", folder / "8.jpg"]
    assert {row.image.root for row in rows} == {folder}


def test_the_right_choice_stands_everywhere_alike_and_always_the_same(tmp_path):
    images = [image([pair(i) for i in range(4000)])]
    labels = [row.example.label for row in read(tmp_path, images)]
    assert labels == [row.example.label for row in read(tmp_path, images)]
    counts = Counter(labels)
    assert set(counts) == {0, 1, 2, 3}
    # four standard deviations of a binomial with n = 4000, p = 1/4
    assert all(abs(count - 1000) < 110 for count in counts.values())


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True),
    st.text(),
    st.text(min_size=1),
)
def test_placing_keeps_every_choice_once(wrong, question_id, answer):
    if answer in wrong:
        with pytest.raises(Unusable, match="among the wrong"):
            visual7w.place_right(answer, wrong, question_id)
        return
    choices, place = visual7w.place_right(answer, wrong, question_id)
    assert choices[place] == answer
    assert choices[:place] + choices[place + 1 :] == wrong


BAD_PAIRS = {
    "no object": ([], "object"),
    "no id": ({k: v for k, v in pair().items() if k != "qa_id"}, "'qa_id'"),
    "no answer": ({k: v for k, v in pair().items() if k != "answer"}, "'answer'"),
    "answer is a number": (pair(answer=3), "'answer'"),
    "question is a list": (pair(question=[]), "'question'"),
    "choices are text": ({**pair(), "multiple_choices": "A cat."}, "'multiple_choices'"),
    "no wrong choice": (pair(wrong=()), "no wrong choice"),
    "right among the wrong": (pair(wrong=("A dog.", "A cat.")), "among the wrong"),
    "type is a number": (pair(type=1), "'type'"),
    "other image": (pair(image_id=8), "image_id 8"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_a_bad_pair_is_reported_with_its_place(tmp_path, record, reason):
    rows = read(tmp_path, [image([pair(1), record])])
    assert isinstance(rows[0], Row)
    assert isinstance(rows[1], BadRow)
    assert rows[1].where == f"{tmp_path / 'telling.json'}, image 0, pair 1"
    assert reason in rows[1].reason


BAD_IMAGES = {
    "no object": (3, "object"),
    "no id": ({"split": "train", "qa_pairs": []}, "'image_id'"),
    "split is a number": (image([], split=1), "'split'"),
    "pairs are no list": (image({"qa_id": 1}), "'qa_pairs'"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_image_is_reported_and_the_next_is_read(tmp_path, record, reason):
    rows = read(tmp_path, [image([pair(1)]), record, image([pair(2)])])
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].where == f"{tmp_path / 'telling.json'}, image 1"
    assert reason in rows[1].reason


def test_a_file_name_is_needed_only_with_pictures(tmp_path):
    record = {key: value for key, value in image([pair()]).items() if key != "filename"}
    file = write(tmp_path, [image([pair(2)]), record])
    assert all(isinstance(row, Row) for row in source(file, "--text-only").rows())
    assert "'filename'" in list(source(file, "--images", tmp_path).rows())[1].reason


@pytest.mark.parametrize(
    "content",
    [
        {"dataset": "visual7w-pointing", "boxes": [], "images": [image([pair()])]},
        {"images": [image([pair(answer=12, wrong=(13, 14, 15))])]},
    ],
)
def test_pointing_is_refused_by_its_name(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="pointing"):
        list(source(file, "--text-only").rows())
    with pytest.raises(InputError, match="pointing"):
        source(file, "--text-only", "--type", "pointing")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"questions": [{"question_id": 1, "image_id": 2, "question": "?"}]}, "VQA questions"),
        ({"images": [{"id": 1}]}, "no questions"),
        ({"images": [3]}, "no questions"),
        ({"images": {}}, "the keys images"),
        ([1, 2], "list of 2 entries"),
    ],
)
def test_another_layout_is_named(tmp_path, content, name):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        list(source(file, "--text-only").rows())
    assert name in str(caught.value)
    assert str(file) in str(caught.value)


def test_options_that_do_not_fit_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").touch()
    with pytest.raises(InputError, match="no --images"):
        source("x.json")
    with pytest.raises(InputError, match="no task 'drawing'"):
        source("x.json", "--text-only", "--type", "drawing")


def test_several_files_are_read_one_after_the_other(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({"images": [image([pair(1)])]}))
    second.write_text(json.dumps({"images": [image([pair(2)], split="test")]}))
    rows = chain(source(first, second, "--text-only").rows())
    assert [(row.example.question_id, row.example.split) for row in rows] == [
        ("1", "train"), ("2", "test"),
    ]  # fmt: skip


def test_a_file_with_pictures_becomes_a_store(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "v7w_7.jpg")
    file = write(tmp_path, [image([pair(1), pair(2)])])
    arguments = [str(file), "--images", str(folder), "--to", str(tmp_path / "store"), "--json"]
    assert main(["prepare", "visual7w", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["splits"], told["images"]) == ({"train": 2}, 1)
