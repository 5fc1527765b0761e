"""A store that was damaged, cut off or mixed with another one says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets.arrow_writer import ArrowWriter

from vqa.cli import main
from vqa.data.prepare import prepare
from vqa.data.store import Store
from vqa.data.store_writer import EXAMPLE_FEATURES
from vqa.errors import DataError
from vqa.training.run import train

QUESTIONS = 6


@pytest.fixture
def store(tmp_path: Path, make: Any, rows_of: Any, png: Any) -> Store:
    rows = [make.row(png((k, 0, 0)), image_id=f"i{k}") for k in range(QUESTIONS)]
    return prepare(rows_of(rows), tmp_path / "store")


def rewritten(store: Store, batch: int = 1000, **changes: Any) -> bytes:
    """The table of examples as other batches, or with other values in every row."""
    file = store.path / "examples.arrow"
    with ArrowWriter(
        path=str(file) + ".new", features=EXAMPLE_FEATURES, writer_batch_size=batch
    ) as writer:
        for record in store.examples.to_list():
            writer.write(record | changes)
        writer.finalize()
    Path(str(file) + ".new").replace(file)
    return file.read_bytes()


def test_a_table_cut_off_anywhere_is_never_taken_for_a_whole_one(store: Store) -> None:
    data, silent = rewritten(store, batch=2), 0
    for size in range(len(data) - 8):  # the last eight bytes say that the end is reached
        (store.path / "examples.arrow").write_bytes(data[:size])
        with pytest.raises(DataError, match="copy the store again") as caught:
            _ = Store.open(store.path).examples
        silent += f"rows, where store.json says {QUESTIONS}" in str(caught.value)
    assert silent == 3


def test_tables_of_two_stores_are_told(store: Store) -> None:
    rewritten(store, image_id="elsewhere")
    with pytest.raises(DataError, match=r"examples.arrow: 6 examples are about images that"):
        _ = Store.open(store.path).image_rows


@pytest.mark.parametrize("at", [*range(700, 1200, 70), 728, 819, 917])
def test_damage_is_told_before_it_does_harm(
    store: Store, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = store.path / "examples.arrow"
    data = bytearray(file.read_bytes())
    data[at] ^= 0x55
    file.write_bytes(data)
    assert main(["inspect", str(store.path)]) == 2
    assert "copy the store again" in capsys.readouterr().err


def test_a_flipped_bit_is_told_before_anything_is_learnt_or_scored(
    experiment: Any, scenes_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    shutil.copytree(scenes_store, store, ignore=shutil.ignore_patterns("cache"))
    made = experiment(data={"store": str(store)}, trainer={"max_steps": 1})
    train(made, run)
    flipped(store / "examples.arrow", b"colour")
    with pytest.raises(DataError, match=r"examples.arrow: damaged table .* — copy the store again"):
        train(made, tmp_path / "other")
    assert main(["evaluate", str(run)]) == 2
    assert "examples.arrow: damaged table" in capsys.readouterr().err


def flipped(file: Path, text: bytes) -> None:
    """One bit of a text in a file, so that it can be read as before and says something else."""
    data = bytearray(file.read_bytes())
    data[data.index(text)] ^= 1
    file.write_bytes(data)


def test_a_picture_that_was_changed_is_told(store: Store) -> None:
    assert store.image_bytes(0)
    flipped(store.path / "images.arrow", b"IDAT")
    with pytest.raises(DataError, match=r"images.arrow, image 'i0': image changed since"):
        Store.open(store.path).image_bytes(0)


@pytest.mark.parametrize("column", ["image_id", "sha256"])
def test_a_text_of_the_pictures_that_is_none_is_told_wherever_it_is_read(
    store: Store, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = store.path / "images.arrow"
    data, text = file.read_bytes(), str(store.images[3][column]).encode()
    at = data.rindex(text)
    file.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(DataError, match=r"images.arrow: damaged table .* — copy the store again"):
        Store.open(store.path).image_hashes()
    assert main(["inspect", str(store.path)]) == 2
    assert "images.arrow: damaged table" in capsys.readouterr().err


def test_a_store_without_a_hash_of_its_examples_is_read_as_before(store: Store) -> None:
    file = store.path / "store.json"
    fields = json.loads(file.read_text())
    assert fields.pop("examples_xxh3")
    file.write_text(json.dumps(fields))
    Store.open(store.path).check_examples()


def test_an_offset_that_leads_nowhere_is_told(store: Store) -> None:
    file = store.path / "examples.arrow"
    data = file.read_bytes()
    offsets = pa.array([0, 2, 4, 6, 8, 10, 12], pa.int32()).buffers()[1].to_pybytes()
    at = data.index(offsets)
    file.write_bytes(data[: at + 4] + b"\xff\xff\xff\x7f" + data[at + 8 :])
    damaged = Store.open(store.path)
    with pytest.raises(DataError, match=r"examples.arrow: damaged table .* — copy the store again"):
        damaged.validate()


KINDS: dict[str, tuple[Any, ...]] = {
    "fingerprint": (None, [], 1, True),
    "source": (None, {}, 1),
    "splits": (None, [], "x", 1, {"train": "x"}, {"train": True}),
    "images": (None, "x", {}, 1.5, True),
    "rejected": (None, "x", []),
    "text_only": (None, "x", 1),
    "examples_xxh3": (None, 1, []),
}


@pytest.mark.parametrize(("field", "junk"), [(f, junk) for f in KINDS for junk in KINDS[f]])
def test_a_manifest_with_another_kind_of_field_is_refused(
    store: Store, field: str, junk: Any
) -> None:
    file = store.path / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: junk}))
    with pytest.raises(DataError, match=f"unreadable manifest .{field}"):
        Store.open(store.path)


def test_a_store_made_again_keeps_its_cache_where_its_content_is_the_same(
    tmp_path: Path, make: Any, rows_of: Any
) -> None:
    def prepared(question: str) -> Store:
        row = make.row(question=question, question_id="q")
        return prepare(rows_of([row]), tmp_path / "store", overwrite=True)

    kept = prepared("what?").path / "cache" / "regions-0" / "rows.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"brought")
    prepared("what?")
    assert kept.read_bytes() == b"brought"
    prepared("who?")
    assert not kept.parent.parent.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["store"]
