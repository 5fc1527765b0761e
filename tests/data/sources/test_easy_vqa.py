"""easy-VQA: the published set, and what is wrong with a broken copy."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from vqa.data.prepare import prepare
from vqa.data.record import BadRow
from vqa.data.sources.easy_vqa import EasyVQA, question_type
from vqa.errors import DataError


@pytest.fixture
def folder(tmp_path, png):
    """A copy with one picture and three questions a split."""
    for split in ("train", "test"):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "images" / "0.png").write_bytes(png())
        write(tmp_path, [["what shape?", "circle", 0], ["is it?", "no", 0]], split)
    return tmp_path


def write(folder, questions, split="train"):
    (folder / split / "questions.json").write_text(json.dumps(questions), encoding="utf-8")


def test_numbers_start_again_in_each_split_and_ids_do_not(folder, tmp_path):
    store = prepare(EasyVQA(folder), tmp_path / "store")
    assert store.manifest.splits == {"train": 2, "test": 2}
    assert store.images["image_id"] == ["train/0", "test/0"]
    assert store.column("question_id", range(4)) == ["train/0", "train/1", "test/0", "test/1"]
    assert store.column("question_type", [0, 1]) == ["shape", "yes/no"]
    assert store.column("answers", [0, 1]) == [["circle"], ["no"]]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("yes", "yes/no"), ("no", "yes/no"), ("triangle", "shape"), ("teal", "colour")],
)
def test_question_type(answer, kind):
    assert question_type(answer) == kind


@pytest.mark.parametrize(
    "record",
    [None, {}, [], ["q", "a"], ["q", "a", "0"], ["q", 1, 0], [None, "a", 0], ["q", "a", True]],
)
def test_a_record_of_another_kind_is_reported(folder, record):
    write(folder, [["what?", "red", 0], record])
    rows = list(EasyVQA(folder, ("train",)).rows())
    assert isinstance(rows[1], BadRow)
    assert rows[1].where == f"{folder / 'train' / 'questions.json'}, record 1"
    assert "[question, answer, image number]" in rows[1].reason


def test_a_missing_picture_is_reported(folder, tmp_path):
    write(folder, [["what?", "red", 7]])
    with pytest.raises(DataError, match=r"record 0: image .*7\.png: no such image file"):
        prepare(EasyVQA(folder), tmp_path / "store")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[["what?", "red"', "truncated or not JSON"),
        (b"", "truncated or not JSON"),
        (b'{"questions": []}', "not a list of questions; it looks like"),
        (b"\xff\xfe[\x00", "UTF-16, not in UTF-8 — save it as UTF-8"),
        (b"[" * 100_000, "damaged file"),
        (b"\x1f\x8b\x08\x00broken", "damaged file"),
    ],
)
def test_an_unreadable_file_is_a_clear_error(folder, content, reason):
    (folder / "train" / "questions.json").write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        list(EasyVQA(folder).rows())
    assert "train/questions.json" in str(caught.value)


def test_a_byte_order_mark_is_read_over(folder):
    file = folder / "train" / "questions.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert sum(1 for _ in EasyVQA(folder).rows()) == 4


def test_a_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        list(EasyVQA(tmp_path / "nowhere").rows())


def test_the_folder_of_puzzle_vqa_is_named(tmp_path, png):
    (tmp_path / "images" / "venn").mkdir(parents=True)
    (tmp_path / "images" / "venn" / "venn_0000.png").write_bytes(png())
    with pytest.raises(DataError, match=r"looks like PuzzleVQA — vqa prepare puzzle-vqa"):
        list(EasyVQA(tmp_path).rows())


def test_the_published_set(tmp_path, rows_of, shared):
    published = shared / "easy-vqa"
    rows = list(EasyVQA(published).rows())
    assert Counter(row.example.split for row in rows) == {"train": 38575, "test": 9673}
    kinds = Counter(row.example.question_type for row in rows if row.example.split == "test")
    assert kinds["yes/no"] == 7136
    assert set(kinds) == {"yes/no", "shape", "colour"}
    answers = (published / "answers.txt").read_text().split()
    assert {row.example.answers[0] for row in rows} == set(answers)
    store = prepare(rows_of(rows[-2000:]), tmp_path / "store")
    assert store.manifest.rejected == 0
