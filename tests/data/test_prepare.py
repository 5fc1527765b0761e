"""A store is whole or absent, holds what the source gave, and every unusable record is reported."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqa.data.image import ImageLimits
from vqa.data.prepare import AHEAD, prepare
from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.store import Store
from vqa.errors import DataError, VQAError

GREEN = (0, 255, 0)


def reasons(store: Store) -> list[str]:
    return [record.reason for record in store.rejected()]


def test_a_store_gives_back_what_the_source_gave(tmp_path, make, rows_of, png):
    rows = [
        make.row(answers=["red", "crimson"], question_type="colour", answer_type="other"),
        make.row(png(GREEN), image_id="green", choices=["a", "b", "c"], answers=["b"], label=1),
        make.row(split="test", answers=[], question="wie heißt es — 名前は？"),
    ]
    prepare(rows_of(rows), tmp_path / "store", name="made")
    store = Store.open(tmp_path / "store")
    assert [store.example(i) for i in range(3)] == [row.example for row in rows]
    assert store.manifest.splits == {"train": 2, "test": 1}
    assert (store.manifest.source, store.manifest.images, store.manifest.rejected) == ("made", 2, 0)
    assert store.image_rows.tolist() == [0, 1, 0]
    assert store.image_bytes(1) == png(GREEN)
    record = store.images[1]
    assert (record["width"], record["height"]) == (8, 6)
    assert record["sha256"] == hashlib.sha256(png(GREEN)).hexdigest()


def test_the_same_records_give_the_same_fingerprint(tmp_path, make, rows_of, png):
    rows = [make.row(), make.row(png(GREEN), image_id="green")]
    stores = [
        prepare(rows_of(rows), tmp_path / str(threads), threads=threads) for threads in (1, 2, 8)
    ]
    assert len({store.fingerprint for store in stores}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"question": "what?"},
        {"answers": ["blue"]},
        {"choices": ["red", "blue"], "label": 0},
        {"split": "test"},
        {"question_type": "colour"},
        {"image_id": "another"},
        {"question_id": "q9"},
    ],
)
def test_any_change_of_a_record_changes_the_fingerprint(tmp_path, rows_of, png, change):
    fields = {"question_id": "q", "image_id": "i", "question": "what is it?", "answers": ["red"]}
    image = ImageInput(data=png())
    one = prepare(rows_of([Row(Example(**fields), image, "r")]), tmp_path / "one")
    other = prepare(rows_of([Row(Example(**fields | change), image, "r")]), tmp_path / "other")
    assert one.fingerprint != other.fingerprint


def test_another_picture_changes_the_fingerprint(tmp_path, rows_of, png):
    example = Example("q", "i", "what is it?", ["red"])
    one, other = (
        prepare(rows_of([Row(example, ImageInput(data=data), "r")]), tmp_path / name)
        for name, data in (("one", png()), ("other", png(GREEN)))
    )
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"question": "  \t\n "}, "empty question"),
        ({"question": "\ufeff"}, "empty question"),
        ({"question": "word " * 10_000}, "question of 50,000 characters"),
        ({"question": "w " * 300}, "question of 300 words"),
        ({"question": "what\x00?"}, r"control character U\+0000 in the question"),
        ({"question": "what\x1b[31m?"}, r"control character U\+001B"),
        ({"question": "what\x85?"}, r"control character U\+0085"),
        ({"question": "half \ud83d"}, "surrogate"),
        ({"answers": ["\x07"]}, r"control character U\+0007 in the answer"),
        ({"answers": [" "]}, "empty answer"),
        ({"answers": ["x" * 5000]}, "answer of 5,000 characters"),
        ({"choices": ["red", "red"], "label": 0}, "equal choices"),
        ({"choices": ["red", ""], "label": 0}, "empty choice"),
        ({"choices": ["blue", "green"]}, "not among the choices"),
        ({"choices": ["red", "green"], "label": 2}, "label 2 with 2 choices"),
        ({"label": 0}, "label 0 with 0 choices"),
        ({"question_id": ""}, "empty question_id"),
        ({"image_id": ""}, "empty image_id"),
        ({"split": ""}, "empty split"),
    ],
)
def test_an_unusable_record_is_reported_with_its_reason(tmp_path, make, rows_of, fields, reason):
    good, bad = make.row(), make.row(**fields)
    with pytest.raises(DataError, match=reason) as caught:
        prepare(rows_of([good, bad]), tmp_path / "store")
    assert "1 of 2 records" in str(caught.value)
    assert "made, record 2" in str(caught.value)
    assert "--max-bad 1" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    store = prepare(rows_of([good, bad]), tmp_path / "store", max_bad=1)
    assert store.manifest.splits == {"train": 1}
    assert [record.where for record in store.rejected()] == ["made, record 2"]


def test_tabs_and_line_ends_become_blanks(tmp_path, make, rows_of):
    row = make.row(question="\ufeff what\r\nis\tit? ", answers=["dark\nred"])
    store = prepare(rows_of([row]), tmp_path / "store")
    assert store.example(0).question == "what  is it?"
    assert store.example(0).answers == ["dark red"]


def test_256_words_and_4000_characters_are_still_taken(tmp_path, make, rows_of):
    rows = [make.row(question="w " * 256), make.row(question="x" * 4000)]
    assert prepare(rows_of(rows), tmp_path / "store").manifest.splits == {"train": 2}


def test_a_question_id_stands_once(tmp_path, make, rows_of):
    rows = [make.row(question_id="7"), make.row(question_id="7", split="test"), make.row()]
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=1)
    assert store.manifest.splits == {"train": 2}
    assert reasons(store) == ["question id '7' occurs before in made"]


def test_an_image_id_stands_for_one_picture(tmp_path, make, rows_of, png):
    rows = [make.row(), make.row(png(GREEN)), make.row()]
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=1)
    assert store.manifest.images == 1
    assert reasons(store) == ["image id 'red' stands for two images"]


def test_every_question_about_a_bad_picture_is_reported(tmp_path, make, rows_of, png):
    cut = png()[:45]
    rows = [make.row(cut, image_id="cut"), make.row(), make.row(cut, image_id="cut")]
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=2)
    assert store.manifest.images == 1
    assert [record.where for record in store.rejected()] == ["made, record 1", "made, record 3"]
    assert all("truncated" in reason for reason in reasons(store))


def test_a_picture_of_rejected_records_alone_is_not_kept(tmp_path, make, rows_of, png):
    rows = [make.row(png(GREEN), image_id="green", question=" "), make.row()]
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=1)
    assert store.images["image_id"] == ["red"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "no such image file"),
        ("folder", "not a plain file"),
        ("pipe", "not a plain file"),
        ("text.png", "not a PNG"),
        ("empty.png", "empty image file"),
        ("link.png", "leads out of the image folder"),
        ("../outside.png", "leads out of the image folder"),
        ("circle.png", "not a usable path|unreadable"),
        ("nul\0.png", "not a usable path"),
    ],
)
def test_a_bad_file_is_reported(tmp_path, make, rows_of, png, name, reason):
    folder = tmp_path / "images"
    (folder / "folder").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").touch()
    (tmp_path / "outside.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    row = make.row()
    row = Row(row.example, ImageInput(path=folder / name, root=folder), row.where)
    with pytest.raises(DataError, match=reason) as caught:
        prepare(rows_of([row, make.row(image_id="other")]), tmp_path / "store")
    assert "made, record 1: image" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_a_fault_and_its_file_are_kept_apart(tmp_path, make, rows_of):
    bad = [make.row(tmp_path / "gone.png", image_id="gone"), make.row(b"x", image_id="x")]
    store = prepare(rows_of([make.row(), *bad]), tmp_path / "store", max_bad=2)
    first, second = store.rejected()
    assert (first.reason, first.image) == ("no such image file", str(tmp_path / "gone.png"))
    assert first.said == f"image {tmp_path / 'gone.png'}: no such image file"
    assert second.image == ""
    assert second.said.startswith("image: not a PNG")


def test_a_reason_has_no_path_that_the_system_would_tell(tmp_path, make, rows_of):
    long = make.row(tmp_path / ("n" * 300), image_id="long")
    store = prepare(rows_of([make.row(), long]), tmp_path / "store", max_bad=1)
    assert reasons(store) == ["unreadable (File name too long)"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_picture_that_the_machine_does_not_read_is_no_bad_one(
    tmp_path, make, rows_of, png, monkeypatch, number
):
    (tmp_path / "a.png").write_bytes(png())
    error = OSError(number, os.strerror(number))
    monkeypatch.setattr(Path, "read_bytes", Mock(side_effect=error))
    with pytest.raises(DataError, match=f"a.png: unreadable .{os.strerror(number)}"):
        prepare(
            rows_of([make.row(), make.row(tmp_path / "a.png", image_id="a")]),
            tmp_path / "store",
            max_bad=1,
        )
    assert not (tmp_path / "store").exists()


def test_a_link_inside_the_folder_is_followed(tmp_path, make, rows_of, png):
    (tmp_path / "real.png").write_bytes(png())
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    store = prepare(rows_of([make.row(tmp_path / "link.png")]), tmp_path / "store")
    assert store.image_bytes(0) == png()


def test_limits_are_told(tmp_path, make, rows_of, png):
    with pytest.raises(DataError, match="8×6 pixels, the limit is 40"):
        prepare(rows_of([make.row()]), tmp_path / "a", limits=ImageLimits(pixels=40))
    (tmp_path / "large.png").write_bytes(png())
    limits = ImageLimits(file_bytes=10)
    with pytest.raises(DataError, match="the limit is 10"):
        prepare(rows_of([make.row(tmp_path / "large.png")]), tmp_path / "b", limits=limits)


def test_no_record_or_no_usable_one_makes_no_store(tmp_path, make, rows_of):
    with pytest.raises(DataError, match="no record at all"):
        prepare(rows_of([]), tmp_path / "store")
    with pytest.raises(DataError, match="no usable record"):
        prepare(rows_of([make.row(question="")]), tmp_path / "store", max_bad=10)
    assert list(tmp_path.iterdir()) == []


def test_of_bad_records_the_first_of_each_reason_is_listed(tmp_path, make, rows_of):
    many = [BadRow(f"file, record {k}", f"bad label {k}") for k in range(40)]
    others = [BadRow(f"file, row {k}", f"bad {'x' * k}") for k in range(12)]
    with pytest.raises(DataError, match=r"^52 of 53 records cannot be used: ") as caught:
        prepare(rows_of([make.row(), others[0], *many, *others[1:]]), tmp_path / "store")
    said = str(caught.value)
    assert "used: file, record 0: bad label 0 (and 39 more); file, row 0: bad ; file, row 1" in said
    assert "; … 3 of other reasons — correct them (--json lists them all), or leave them" in said
    assert "row 9" not in said


def test_an_existing_folder_is_kept(tmp_path, make, rows_of):
    target = tmp_path / "store"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="already exists and is no store") as caught:
            prepare(rows_of([make.row()]), target, overwrite=overwrite)
        assert "--overwrite" not in str(caught.value)
    assert [file.name for file in target.iterdir()] == ["mine.txt"]


def test_overwriting_replaces_a_store_only_by_a_whole_one(tmp_path, make, rows_of):
    old = prepare(rows_of([make.row()]), tmp_path / "store")
    with pytest.raises(DataError):
        prepare(rows_of([make.row(question="")]), tmp_path / "store", overwrite=True)
    assert Store.open(tmp_path / "store").fingerprint == old.fingerprint
    new = prepare(rows_of([make.row(question="new?")]), tmp_path / "store", overwrite=True)
    assert Store.open(tmp_path / "store").fingerprint == new.fingerprint != old.fingerprint
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("link", [False, True])
def test_a_link_that_leads_to_itself_makes_a_bad_record(tmp_path, make, rows_of, link):
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(DataError, match=r"made, record 1: .*not a usable path"):
        prepare(rows_of([make.row(loop)]), tmp_path / "store", link_images=link)


def test_linked_images_are_read_from_where_they_lie(tmp_path, make, rows_of, png):
    file = tmp_path / "red.png"
    file.write_bytes(png())
    linked = prepare(rows_of([make.row(file, question_id="q")]), tmp_path / "a", link_images=True)
    copied = prepare(rows_of([make.row(file, question_id="q")]), tmp_path / "b")
    assert linked.fingerprint == copied.fingerprint
    assert linked.images[0]["image"] == {"bytes": None, "path": str(file)}
    assert linked.image_bytes(0) == png()
    file.write_bytes(png(GREEN))
    with pytest.raises(DataError, match="changed since"):
        linked.image_bytes(0)
    file.unlink()
    with pytest.raises(DataError, match="gone"):
        linked.image_bytes(0)
    assert copied.image_bytes(0) == png()


def test_a_text_only_store_needs_no_picture(tmp_path, make, rows_of):
    rows = [make.row(tmp_path / "missing.png", image_id=name) for name in ("a", "b", "a")]
    store = prepare(rows_of(rows), tmp_path / "store", text_only=True)
    assert store.manifest.text_only
    assert store.image_rows.tolist() == [0, 1, 0]


def test_progress_ends_with_the_whole_count(tmp_path, make, rows_of):
    told: list[tuple[int, int]] = []
    rows = [make.row() for _ in range(2500)] + [BadRow("file", "bad")]
    prepare(rows_of(rows), tmp_path / "s", max_bad=1, progress=lambda *now: told.append(now))
    assert [read for read, _ in told] == [1000, 2000, 2501]
    assert told[-1] == (2501, 1)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, DataError("cut off"), RuntimeError, MemoryError]
)
@pytest.mark.parametrize("after", [0, 1, 3 * AHEAD])
def test_an_interruption_leaves_nothing(tmp_path, make, rows_of, png, error, after):
    def rows():
        for k in range(after):
            yield make.row(png((k % 256, k // 256, 0)), image_id=str(k))
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        prepare(rows_of(rows()), tmp_path / "new" / "folder" / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path, make, rows_of):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the store"):
        prepare(rows_of([make.row()]), tmp_path / "file" / "store")


@pytest.mark.parametrize(("error", "code"), [(None, 1), (DataError("cut off"), 2)])
def test_a_full_disk_is_no_fault_of_the_input_and_leaves_nothing(
    tmp_path, make, rows_of, monkeypatch, error, code
):
    opened = Path.open

    def on_a_full_disk(path, *args, **named):
        place = Path("/dev/full") if path.name == "rejected.jsonl" else path
        return opened(place, *args, **named)

    def rows():
        yield from (make.row(), *[BadRow("file", "bad")] * (AHEAD + 2))
        if error:
            raise error

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(VQAError, match="cut off" if error else "store .No space left") as caught:
        prepare(rows_of(rows()), tmp_path / "new" / "store", max_bad=AHEAD + 2)
    assert caught.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


GOOD = st.just(None)
BAD = st.sampled_from(
    [{"question": ""}, {"answers": [""]}, {"question_id": "again"}, {"choices": ["a", "a"]}, "cut"]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.one_of(GOOD, BAD), max_size=12), max_bad=st.integers(0, 4))
def test_a_store_stands_whole_or_not_at_all(make, rows_of, png, plan, max_bad):
    rows = [make.row(question_id="again")]
    for change in plan:
        fields = change if isinstance(change, dict) else {}
        cut = png()[:30] if change == "cut" else None
        rows.append(make.row(cut, **{"image_id": "cut" if cut else "red", **fields}))
    bad = sum(change is not None for change in plan)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "store"
        if bad > max_bad:
            with pytest.raises(DataError, match=f"{bad} of {len(rows)} records"):
                prepare(rows_of(rows), target, max_bad=max_bad)
            assert list(Path(folder).iterdir()) == []
        else:
            store = prepare(rows_of(rows), target, max_bad=max_bad)
            assert store.examples.num_rows == len(rows) - bad
            assert len(store.rejected()) == store.manifest.rejected == bad
            assert json.loads((target / "store.json").read_text())["fingerprint"]
            assert [file.name for file in Path(folder).iterdir()] == ["store"]
