"""VQA-RAD and SLAKE: closed and open answers, what a question asks for and how, splits, languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import (
    dump,
    good,
    rad_question,
    rows_of,
    slake,
    slake_question,
    vqa_rad,
)  # fmt: skip
from vqa.data.record import BadRow
from vqa.errors import DataError


def test_the_phrase_type_of_vqa_rad_names_the_split(tmp_path: Path) -> None:
    rows = good(vqa_rad(tmp_path))
    assert [row.example.split for row in rows[:4]] == ["train", "train", "test", "test"]
    example = rows[1].example
    assert (example.answers, example.answer_type) == (["3"], "open")
    assert (example.question_type, example.question_id) == ("PRES", "1")
    rows = good(vqa_rad(tmp_path), "--phrases")
    assert [row.example.question_type for row in rows[:4]] == ["freeform", "para"] * 2


def test_slake_has_two_languages(tmp_path: Path) -> None:
    words = slake(tmp_path)
    english = good(words)
    assert {row.example.question for row in english} == {"What modality is used?"}
    assert [row.example.split for row in english] == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert len(good(words, "--language", "zh")) == 6
    assert len(good(words, "--language", "all")) == 18
    example = english[0].example
    assert (example.image_id, example.answer_type) == ("xmlab0", "open")
    assert example.question_type == "Modality"
    assert english[0].image.path == tmp_path / "imgs" / "xmlab0" / "source.jpg"


RAD_BAD = [({"image_name": 3}, "'image_name'"), ({"phrase_type": None}, "'phrase_type'"),
           ({"phrase_type": "valid_para"}, "'phrase_type': 'valid_para' is none of freeform, para"),
           ({"answer": []}, "'answer'"), ({"answer_type": 1}, "'answer_type'"), ({"qid": None}, "'qid'")]  # fmt: skip
SLAKE_BAD = [({"img_name": 3}, "'img_name'"), ({"q_lang": None}, "'q_lang'"),
             ({"answer": {}}, "'answer'"), ({"answer_type": 1}, "'answer_type'")]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), RAD_BAD)
def test_a_bad_record_of_vqa_rad_is_reported(
    fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    file = dump(tmp_path / "x.json", [rad_question(0), rad_question(1, **fields)])
    bad = rows_of(["vqa-rad", str(file), "--text-only"])[1]
    assert isinstance(bad, BadRow)
    assert (bad.where, reason in bad.reason) == (f"{file}, record 1", True)


@pytest.mark.parametrize(("fields", "reason"), SLAKE_BAD)
def test_a_bad_record_of_slake_is_reported(
    fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    file = dump(tmp_path / "train.json", [slake_question(0), slake_question(1, **fields)])
    bad = rows_of(["slake", str(tmp_path), "--text-only"])[1]
    assert isinstance(bad, BadRow)
    assert (bad.where, reason in bad.reason) == (f"{file}, record 1", True)


def test_each_is_told_from_the_other(tmp_path: Path) -> None:
    file = dump(tmp_path / "train.json", [slake_question(0)])
    with pytest.raises(DataError, match="looks like a SLAKE file"):
        rows_of(["vqa-rad", str(file), "--text-only"])
    dump(tmp_path / "train.json", [rad_question(0)])
    with pytest.raises(DataError, match="looks like a VQA-RAD file"):
        rows_of(["slake", str(tmp_path), "--text-only"])
