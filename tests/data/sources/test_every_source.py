"""What holds for every published format: it becomes a store, and nothing that stands in its files does harm."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import TINY, dump, good, rows_of, source_of, vqa_pair
from vqa.cli import main
from vqa.data.prepare import prepare
from vqa.data.record import BadRow, Row
from vqa.data.store import Store
from vqa.errors import DataError, InputError

SPLITS = {
    "clevr": {"train": 8, "val": 4, "test": 4},
    "gqa": {"train": 6, "val": 4, "test": 4},
    "coco-qa": {"train": 3, "test": 3},
    "daquar": {"train": 3, "test": 3},
    "vqa-rad": {"train": 4, "test": 4},
    "slake": {"train": 4, "val": 4, "test": 4},
    "shapes": {"train": 3, "val": 3, "test": 3},
    "nlvr": {"train": 12, "dev": 12, "test": 12},
    "tdiuc": {"train": 3, "val": 3},
    "vqa-cp": {"train": 4, "test": 4},
    "textvqa": {"train": 4, "val": 4, "test": 4},
    "vizwiz": {"train": 4, "val": 4, "test": 4},
}
WITHHELD = ("clevr", "gqa", "textvqa", "vizwiz")
"""Those whose test split has no answers."""
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 3.5, 10**30, "", " ", "x" * 5000, "\x00", "\x1b[2J", "\ud800", "nan", [], {}, [None],
    ["a", "a"], {"answer": 1}, [[1]], "../../../etc/passwd", "/etc/passwd", "https://example.invalid/a.png",
)  # fmt: skip


def test_every_source_has_its_counts() -> None:
    assert set(SPLITS) == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_a_published_folder_becomes_a_store(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = TINY[name](tmp_path / "set")
    assert main(["prepare", *words, "--to", str(tmp_path / "store"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"] == SPLITS[name]
    assert told["rejected"] == 0
    store = Store.open(tmp_path / "store")
    for split in store.manifest.splits:
        answered = [bool(answers) for answers in store.column("answers", store.rows(split))]
        assert all(answered) != (name in WITHHELD and split == "test")
        assert any(answered) == all(answered)
    assert main(["inspect", str(tmp_path / "store")]) == 0


@pytest.mark.parametrize("name", [name for name in TINY if name != "shapes"])
def test_without_pictures_only_the_questions_are_read(name: str, tmp_path: Path) -> None:
    words = TINY[name](tmp_path / "set")
    for suffix in ("*.png", "*.jpg"):
        for file in (tmp_path / "set").rglob(suffix):
            file.unlink()
    bare = [w for k, w in enumerate(words) if w != "--images" and words[k - 1] != "--images"]
    rows = good(bare, "--text-only")
    assert len(rows) == sum(SPLITS[name].values())
    assert all(row.image.path is None and row.image.data is None for row in rows)


@pytest.mark.parametrize("name", [name for name in TINY if name not in ("shapes", "nlvr")])
def test_pictures_that_are_not_there_are_said_before_anything_is_read(
    name: str, tmp_path: Path
) -> None:
    words = TINY[name](tmp_path / "set")
    bare = [w for k, w in enumerate(words) if w != "--images" and words[k - 1] != "--images"]
    for folder in ("images", "Images", "imgs"):
        shutil.rmtree(tmp_path / "set" / folder, ignore_errors=True)
    with pytest.raises(InputError, match="pictures"):
        source_of(bare)


@pytest.mark.parametrize("name", TINY)
def test_rows_name_file_and_record(name: str, tmp_path: Path) -> None:
    for row in good(TINY[name](tmp_path / "set")):
        assert str(tmp_path / "set") in row.where
        assert row.where.rpartition(", ")[2].split()[0] in ("record", "line", "question")


@pytest.mark.parametrize("name", TINY)
def test_a_folder_without_the_files_says_what_was_looked_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    options = ["--text-only"]
    given = tmp_path / "empty"
    if name in ("daquar", "vqa-rad", "textvqa", "vqa-cp"):
        given = given / {"vqa-cp": "vqacp_v2_train_questions.json"}.get(name, "qa.37.raw.train.txt")
    with pytest.raises(DataError) as caught:
        rows_of([name, str(given)], *options)
    assert str(tmp_path / "empty") in str(caught.value)


@pytest.mark.parametrize("name", [*TINY, "vqa", "visual7w"])
@pytest.mark.parametrize("options", [(), ("--text-only",), ("--images", "none")])
def test_what_is_missing_is_said_before_anything_about_pictures(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    names = {"gqa": "val_balanced_questions.json", "daquar": "qa.37.raw.train.txt",
             "vqa-cp": "vqacp_v2_train_questions.json"}  # fmt: skip
    given = tmp_path / "nowhere" / names.get(name, "")
    if name in ("shapes", "nlvr"):
        options = ()
    with pytest.raises(DataError, match=r"no such (file|folder)") as caught:
        rows_of([name, str(given)], *options)
    assert str(caught.value).startswith(f"{given}: ")


EMPTY: dict[str, tuple[str, Any]] = {
    "clevr": ("CLEVR_val_questions.json", {"questions": []}),
    "gqa": ("val_balanced_questions.json", {}),
    "vqa": ("q.json", {"data_subtype": "val2014", "questions": []}),
    "vqa-cp": ("vqacp_v2_test_questions.json", []),
    "vqa-rad": ("VQA_RAD Dataset Public.json", []),
    "textvqa": ("TextVQA_0.5.1_val.json", {"data": []}),
    "visual7w": ("dataset_v7w_telling.json", {"images": []}),
    "slake": ("train.json", []),
    "vizwiz": ("train.json", []),
    "easy-vqa": ("train/questions.json", []),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_file_is_named(name: str, tmp_path: Path) -> None:
    file = dump(tmp_path / EMPTY[name][0], EMPTY[name][1])
    dump(tmp_path / "vqacp_v2_test_annotations.json", [vqa_pair(1, 2)[1]])
    given = tmp_path if name in ("slake", "vizwiz", "easy-vqa") else file
    with pytest.raises(DataError, match=r"no record in it — get the file again") as caught:
        rows_of([name, str(given), "--text-only"])
    assert str(caught.value).startswith(f"{file}: ")


def json_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


def spoilt(value: Any, rng: random.Random) -> Any:
    """A copy with junk at one place, or a key gone."""
    value = copy.deepcopy(value)
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
            at = at[key]
            continue
        if isinstance(at, dict) and rng.random() < 0.2:
            del at[key]
        else:
            at[key] = rng.choice(JUNK)
        return value


def write(file: Path, value: Any, lines: bool) -> None:
    text = "\n".join(json.dumps(line) for line in value) if lines else json.dumps(value)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name", [name for name in TINY if name not in ("coco-qa", "daquar", "shapes")]
)
def test_junk_in_a_record_is_reported_and_never_crashes(name: str, tmp_path: Path) -> None:
    words = TINY[name](tmp_path / "set")
    file = json_files(tmp_path / "set")[0]
    text = file.read_text()
    lines = name == "nlvr"
    value = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    rng = random.Random(f"junk {name}")
    told = 0
    for _ in range(60):
        write(file, spoilt(value, rng), lines)
        try:
            store = prepare(source_of(words), tmp_path / "store", max_bad=100, overwrite=True)
        except DataError:
            told += 1
        else:
            told += store.manifest.rejected > 0
            assert all(record.where and record.reason for record in store.rejected())
    assert told > 5


OUTSIDE = {
    "clevr": ("questions/CLEVR_train_questions.json", ("questions", 0, "image_filename")),
    "gqa": ("train_balanced_questions.json", ("00000", "imageId")),
    "vqa-rad": ("VQA_RAD Dataset Public.json", (0, "image_name")),
    "slake": ("train.json", (0, "img_name")),
    "textvqa": ("TextVQA_0.5.1_train.json", ("data", 0, "image_id")),
    "vizwiz": ("train.json", (0, "image")),
    "vqa-cp": ("vqacp_v2_train_questions.json", (0, "coco_split")),
}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("absolute", [False, True])
def test_no_name_in_the_data_leaves_the_pictures(name: str, absolute: bool, tmp_path: Path) -> None:
    words = TINY[name](tmp_path / "set")
    secret = tmp_path / "secret.png"
    shutil.copy(next((tmp_path / "set").rglob("*.[jp][pn]g")), secret)
    file = tmp_path / "set" / OUTSIDE[name][0]
    content = json.loads(file.read_text())
    at = content
    *way, last = OUTSIDE[name][1]
    for key in way:
        at = at[key]
    at[last] = str(secret) if absolute else "../../../secret.png"
    file.write_text(json.dumps(content))
    store = prepare(source_of(words), tmp_path / "store", max_bad=4)
    assert store.manifest.rejected == 1
    (record,) = store.rejected()
    reason = "coco_split" if name == "vqa-cp" else "leads out of the image folder"
    assert reason in record.reason


@pytest.mark.parametrize("name", WITHHELD)
def test_a_test_split_without_answers_is_trained_around_and_predicted(
    name: str, tmp_path: Path, experiment: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = TINY[name](tmp_path / "set")
    assert main(["prepare", *words, "--to", str(tmp_path / "store")]) == 0
    config = tmp_path / "tiny.yaml"
    changes = {"store": str(tmp_path / "store"), "batch_size": 4, "image_size": 8, "min_count": 1}
    fields = experiment().to_dict()
    fields["data"] |= {key: value for key, value in changes.items() if key in fields["data"]}
    fields["trainer"]["max_epochs"] = 1
    config.write_text(json.dumps(fields))
    run = tmp_path / "run"
    assert main(["train", str(config), "--run", str(run)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--split", "test", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n"] == SPLITS[name]["test"]
    lines = (run / "predictions" / "test.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    assert len(said) == SPLITS[name]["test"]
    assert all(item["answer"] for item in said)


def test_rows_are_good_or_bad_and_nothing_else(tmp_path: Path) -> None:
    for name, make in TINY.items():
        assert all(isinstance(row, Row | BadRow) for row in rows_of(make(tmp_path / name)))
