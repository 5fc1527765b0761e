"""What is said of published data sets fits together, and a store's numbers are put beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.data.sources.tiny import TINY, clevr, coco_qa
from vqa.cli import main
from vqa.commands.prepare import SOURCES
from vqa.data.published.compare import Compared, compare
from vqa.data.published.facts import EVERY, Count
from vqa.data.published.sets import DATA_SETS, data_set
from vqa.data.store import Store
from vqa.errors import InputError
from vqa.evaluation.protocols import PROTOCOLS

FILES = [file for one in DATA_SETS for file in (*one.files, *one.pictures)]


def test_names_sources_and_protocols_are_real() -> None:
    names = [one.name for one in DATA_SETS]
    assert len(set(names)) == len(names)
    assert {one.source for one in DATA_SETS} <= set(SOURCES)
    assert set(SOURCES) - {one.source for one in DATA_SETS} <= {"table", "hub"}
    assert {one.protocol for one in DATA_SETS} <= set(PROTOCOLS)
    assert set(TINY) <= {one.source for one in DATA_SETS}


@pytest.mark.parametrize("one", DATA_SETS, ids=lambda one: one.name)
def test_a_data_set_says_all_that_a_download_needs(one) -> None:
    assert one.summary.endswith(".")
    assert one.licence
    assert one.generated or one.page.startswith(("http://", "https://"))
    assert not one.downloads or one.prepare.split()[0] == one.source
    assert one.counted or not any(count.verified for count in one.counts)
    names = [file.name for file in (*one.files, *one.pictures)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_address_is_one_and_a_name_no_path(file) -> None:
    assert re.fullmatch(r"https?://[\w.~/+%-]+", file.url)
    assert re.fullmatch(r"[A-Za-z0-9][\w.-]*", file.name)
    assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert file.size is None or file.size > 0


def test_parts_add_up_to_the_whole() -> None:
    for one in DATA_SETS:
        whole = next((count.questions for count in one.counts if count.split == EVERY), None)
        parts = [count.questions for count in one.counts if count.split != EVERY]
        assert whole is None or not parts or sum(parts) == whole


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    assert data_set("clevr").name == "clevr"
    with pytest.raises(InputError, match="did you mean 'clevr'"):
        data_set("clever")


@pytest.mark.parametrize(
    ("count", "questions", "images", "line"),
    [
        (Count("train", 9, 3), 9, 3, "x: train 3 images, 9 questions: as published"),
        (Count("train", 9), 9, 3, "x: train 3 images, 9 questions: as published"),
        (Count("train", 438_000, to=1000), 438_183, 3, "x: train 3 images, 438,183 questions: as published"),
        (Count("train", 9, verified=False), 9, 3, "x: train 3 images, 9 questions: as unverified"),
        (Count(EVERY, 9), 9, 3, "x: in all 3 images, 9 questions: as published"),
    ],
)  # fmt: skip
def test_what_agrees_is_said(count: Count, questions: int, images: int, line: str) -> None:
    assert Compared("x", count.split, questions, images, count).line() == line


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (Count("train", 10), "published: 10 questions"),
        (Count("train", 9, 4), "published: 4 images, 9 questions"),
        (Count("train", 3000, to=1000), "published: about 3,000 questions"),
        (Count("train", 10, verified=False), "unverified figure: 10 questions"),
    ],
)
def test_what_differs_is_said(count: Count, told: str) -> None:
    compared = Compared("x", "train", 9, 3, count)
    assert not compared.as_published
    assert told in compared.line()
    assert "another file?" in compared.line()


def test_prepare_tells_the_difference_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", *clevr(tmp_path / "set"), "--to", str(tmp_path / "store")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert (
        "clevr: train 4 images, 8 questions; published: 70,000 images, 699,989 questions" in shown
    )
    assert main([*words, "--overwrite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["published"]
    assert [(one["split"], one["questions"], one["as_published"]) for one in told] == [
        ("train", 8, False), ("val", 4, False), ("test", 4, False), ("", 16, False),
    ]  # fmt: skip
    words = ["prepare", *coco_qa(tmp_path / "other"), "--to", str(tmp_path / "drawn")]
    assert main([*words, "--split-by-image", "train=0.5,val=0.5"]) == 0
    assert "published" not in capsys.readouterr().out


def test_of_two_sets_that_with_the_agreeing_numbers_is_taken(make, rows_of, tmp_path: Path) -> None:
    from vqa.data.prepare import prepare

    rows = rows_of([make.row(split="train") for _ in range(4)])
    store = prepare(rows, tmp_path / "store", name="vqa")
    assert {one.data_set for one in compare(store, "vqa")} == {"vqa-v1"}
    assert {one.data_set for one in compare(store, "vqa", "2")} == {"vqa-v2"}
    assert {one.data_set for one in compare(store, "vqa", "7")} == {"vqa-v1"}
    assert compare(store, "table") == []
    assert compare(store, "scenes") == []


@pytest.mark.parametrize(
    ("head", "taken"), [('"2.0"', "vqa-v2"), ('"1.0"', "vqa-v1"), ("null", "vqa-v1")]
)
def test_a_part_of_vqa_is_told_by_the_version_in_its_head(
    head: str, taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = {"question_id": 1, "image_id": 2, "question": "what?"}
    file = tmp_path / "questions.json"
    fields = f'"data_subtype": "train2014", "questions": [{json.dumps(question)}]'
    file.write_text(f'{{"info": {{"version": {head}}}, {fields}}}')
    words = ["prepare", "vqa", str(file), "--to", str(tmp_path / "store")]
    assert main([*words, "--text-only"]) == 0
    assert f"{taken}: train 1 images, 1 questions" in capsys.readouterr().out


def test_the_published_easy_vqa_is_as_published(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", "easy-vqa", str(shared / "easy-vqa"), "--to", str(tmp_path / "store")]
    assert main([*words, "--text-only"]) == 0
    shown = capsys.readouterr().out
    assert "easy-vqa: train 4,000 images, 38,575 questions: as published" in shown
    assert "easy-vqa: test 1,000 images, 9,673 questions: as published" in shown
    assert all(one.as_published for one in compare(Store.open(tmp_path / "store"), "easy-vqa"))


def test_datasets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "datasets", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == [
        *(one.name for one in DATA_SETS),
        "hub",
        "table",
    ]
    assert all(entry["licence"] and entry["protocol"] for entry in entries)
    assert main(["list", "datasets", "--filter", "RADIOLOGY"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("vqa-rad  (source vqa-rad)")
    assert "slake" in shown
    assert "clevr" not in shown
    assert main(["list", "datasets", "--filter", "zzz"]) == 0
    assert "none of the datasets mentions 'zzz'" in capsys.readouterr().err
