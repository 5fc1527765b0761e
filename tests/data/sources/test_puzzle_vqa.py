"""PuzzleVQA: the published set with its dirt, and what is wrong with a broken copy."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from vqa.data.image import decode_image
from vqa.data.prepare import prepare
from vqa.data.record import BadRow
from vqa.data.sources.puzzle_vqa import PuzzleVQA
from vqa.errors import DataError


def record(number: int = 0, **fields) -> dict:
    return {
        "image": f"images/venn/venn_{number:04d}.png",
        "question": "What is missing?",
        "answer": "1",
        "options": [4, 8, 1, 9],
    } | fields


@pytest.fixture
def folder(tmp_path, png):
    (tmp_path / "images" / "venn").mkdir(parents=True)
    for number in (0, 79, 80):
        (tmp_path / "images" / "venn" / f"venn_{number:04d}.png").write_bytes(png())
    write(tmp_path, [record(0), record(79), record(80)])
    return tmp_path


def write(folder, records):
    text = "\n".join(json.dumps(line) if isinstance(line, dict) else line for line in records)
    (folder / "venn.json").write_text(text, encoding="utf-8")


def test_whole_numbers_are_options_too(folder, tmp_path):
    store = prepare(PuzzleVQA(folder), tmp_path / "store")
    example = store.example(0)
    assert example.choices == ["4", "8", "1", "9"]
    assert (example.label, example.answers, example.question_type) == (2, ["1"], "venn")
    assert (example.question_id, example.image_id) == ("venn/0000", "venn/venn_0000")


def test_the_first_eighty_train(folder):
    splits = [row.example.split for row in PuzzleVQA(folder).rows()]
    assert splits == ["train", "train", "test"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (record(answer="7"), "the right answer '7' is not among the options"),
        (record(options="4 8 1 9"), "key 'options': a list was expected, not text"),
        (record(options=[[1], 2]), "key 'options': text or a number was expected, not a list"),
        (record(options=[float("nan"), 2]), "key 'options': nan is no number"),
        (record(options=[float("-inf"), 2]), "key 'options': -inf is no number"),
        (record(question=None), "key 'question': text was expected, not null"),
        (record(image="images/venn.png"), "no puzzle number"),
        ({"image": "images/venn/venn_0000.png"}, "key 'answer' is missing"),
        ("[1, 2]", "an object was expected, not a list"),
        ('{"image": "images/ve', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_an_unusable_line_is_reported(folder, line, reason):
    write(folder, [record(), line])
    rows = list(PuzzleVQA(folder).rows())
    assert isinstance(rows[1], BadRow)
    assert rows[1].where.endswith("venn.json, line 2")
    assert reason in rows[1].reason


def test_a_picture_outside_the_folder_is_refused(folder, tmp_path, png):
    (folder / "secret_0001.png").write_bytes(png())
    write(folder, [record(image="images/../secret_0001.png")])
    with pytest.raises(DataError, match="leads out of the image folder"):
        prepare(PuzzleVQA(folder), tmp_path / "store")


def test_a_folder_without_puzzles_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"no <kind>\.json file"):
        list(PuzzleVQA(tmp_path).rows())
    with pytest.raises(DataError, match="no such folder"):
        list(PuzzleVQA(tmp_path / "nowhere").rows())
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file"):
        list(PuzzleVQA(tmp_path / "file").rows())


def test_the_folder_of_easy_vqa_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "questions.json").write_text("[]")
    with pytest.raises(DataError, match=r"looks like easy-VQA — vqa prepare easy-vqa"):
        list(PuzzleVQA(tmp_path).rows())


def test_the_published_set(tmp_path, shared):
    published = shared / "puzzlevqa"
    rows = list(PuzzleVQA(published).rows())
    assert Counter(row.example.split for row in rows) == {"train": 1600, "test": 400}
    kinds = Counter(row.example.question_type for row in rows)
    assert len(kinds) == 20
    assert set(kinds.values()) == {100}
    assert Counter(len(row.example.choices) for row in rows) == {4: 1600, 3: 400}
    for row in rows:
        assert row.example.choices[row.example.label] == row.example.answers[0]
    chance = sum(1 / len(row.example.choices) for row in rows) / len(rows)
    assert round(100 * chance, 1) == 26.7
    venn = next(row for row in rows if row.example.question_type == "venn")
    pixels = decode_image(venn.image.path.read_bytes(), size=(64, 64))
    assert pixels.shape == (64, 64, 3)
    assert pixels[0, 0].min() > 250
