"""The table source's files: every kind, damaged ones, splits and pictures; a table becomes a store."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.sources.tables import (
    RECORDS,
    read,
    source,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)
from vqa.cli import main
from vqa.data.prepare import prepare
from vqa.data.record import BadRow, Row
from vqa.data.store import Store
from vqa.errors import DataError

WRITERS = {
    "t.json": write_json,
    "t.jsonl": write_lines,
    "lines-called.json": write_lines,
    "t.csv": write_csv,
    "semicolon.csv": lambda path, records: write_csv(path, records, ";"),
    "t.tsv": lambda path, records: write_csv(path, records, "\t"),
    "t.parquet": write_parquet,
}


@pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)
def test_every_kind_of_file_says_the_same(tmp_path, name, write):
    file = write(tmp_path / name, RECORDS)
    rows = read(file)
    assert [row.example.question for row in rows] == ["What?", "Who, then?"]
    assert [row.example.answers for row in rows] == [["dog"], ["a man"]]
    assert [row.example.image_id for row in rows] == ["a.png", "b.png"]
    assert [row.image.path for row in rows] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert [row.example.question_id for row in rows] == [f"{file.stem}/0", f"{file.stem}/1"]
    assert all(row.where.startswith(f"{file}, ") for row in rows)
    first, second = (int(row.where.split()[-1]) for row in rows)
    assert second == first + 1


def test_a_gzipped_file_and_an_object_around_the_list(tmp_path):
    file = tmp_path / "t.json.gz"
    file.write_bytes(gzip.compress(json.dumps({"version": 1, "data": RECORDS}).encode()))
    assert [row.example.answers for row in read(file)] == [["dog"], ["a man"]]


def test_one_of_several_lists_is_chosen_by_its_key(tmp_path):
    file = write_json(tmp_path / "t.json", {"questions": RECORDS, "old": RECORDS[:1]})
    assert len(read(file, "--records", "old")) == 1
    with pytest.raises(DataError, match="--records KEY one of: questions, old"):
        source(file)
    with pytest.raises(DataError, match="no list under 'new'"):
        source(file, "--records", "new")


def test_a_bad_record_is_named_and_the_next_is_read(tmp_path):
    file = write_json(tmp_path / "t.json", [RECORDS[0], "text", RECORDS[1]])
    rows = read(file)
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].where == f"{file}, record 1"
    assert "object" in rows[1].reason


def test_a_bad_line_is_named_and_the_next_is_read(tmp_path):
    file = tmp_path / "t.jsonl"
    first, second = (json.dumps(record) for record in RECORDS)
    file.write_text(f"\ufeff{first}\n\n{{broken\n{second}\n")
    rows = read(file)
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].where == f"{file}, line 3"
    assert "not JSON" in rows[1].reason


def test_a_row_of_another_width_is_named(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("image,question,answer\na.png,What?,dog\nb.png,Who?\nc.png,Where?,here\n")
    rows = read(file)
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].where == f"{file}, line 3"
    assert "2 cells, but the header has 3" in rows[1].reason


def test_what_spreadsheets_leave_behind_costs_nothing(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("sep=;\nimage;question;answer;;\na.png;What?;dog;;\n;;;;\nb.png;Who?;x, y;;\n")
    rows = read(file)
    assert [type(row) for row in rows] == [Row, Row]
    assert [row.example.answers for row in rows] == [["dog"], ["x, y"]]
    assert [row.where for row in rows] == [f"{file}, line 3", f"{file}, line 5"]


def test_answers_that_look_like_several_in_one_are_noticed(tmp_path, capsys):
    records = [{**RECORDS[0], "answers": text} for text in ("red", "red|blue|red") * 2]
    file = f"train={write_csv(tmp_path / 't.csv', records)}"
    read(file)
    assert capsys.readouterr().err.count("answers such as 'red|blue|red', read as one") == 1
    read(file, "--separator", "|")
    assert capsys.readouterr().err == ""


def test_ids_that_two_files_share_are_told_and_need_not_be_read(tmp_path, capsys):
    records = [{**record, "id": k} for k, record in enumerate(RECORDS)]
    names = ("train", "test")
    words = [f"{name}={write_json(tmp_path / f'{name}.json', records)}" for name in names]
    with pytest.raises(DataError, match=r"id '0' occurs before in train\.json"):
        prepare(source(*words, "--text-only"), tmp_path / "store", text_only=True)
    assert "question_id= for none" in capsys.readouterr().err
    rows = read(*words, "--map", "question_id=", "--text-only")
    ids = [row.example.question_id for row in rows]
    assert ids == ["train/0", "train/1", "test/0", "test/1"]


def test_an_image_that_is_missing_or_on_the_web_is_reported(tmp_path):
    records = [{**RECORDS[0], "image": ""}, {**RECORDS[0], "image": "https://x.org/a.png"}]
    rows = read(write_json(tmp_path / "t.json", [*records, {**RECORDS[0], "image": [1]}]))
    assert [type(row) for row in rows] == [BadRow] * 3
    assert "no image" in rows[0].reason
    assert "web address" in rows[1].reason
    assert "a list" in rows[2].reason


def test_pictures_are_found_by_name_without_suffix_or_number(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("cat.png", "000012.jpg", "sub/x.png"):
        (folder / name).write_bytes(b"")
    records = [{**RECORDS[0], "image": image} for image in ("cat", 12, "./sub/x.png", "gone.png")]
    rows = read(write_json(tmp_path / "t.json", records), "--images", folder)
    names = ["cat.png", "000012.jpg", "sub/x.png", "gone.png"]
    assert [row.image.path for row in rows] == [folder / name for name in names]
    assert {row.image.root for row in rows} == {folder}


def pictures_of(tmp_path, files, images):
    """What becomes of a table's images in a folder of these files: a picture's name, or why there is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"")
    records = [{**RECORDS[0], "image": image} for image in images]
    rows = read(write_csv(tmp_path / "t.csv", records), "--images", folder)
    return [row.image.path.name if isinstance(row, Row) else row.reason for row in rows]


def test_a_picture_of_this_very_name_comes_before_one_with_its_number(tmp_path):
    files = ["7.webp", "dog_7.jpg", "8.jpg", "008.jpg", "v1.2.png", "cow_000012.jpg"]
    images = ["7", "8", "8.0", "008", "v1.2", "12", "12.0"]
    found = ["7.webp", "8.jpg", "8.jpg", "008.jpg", "v1.2.png", "cow_000012.jpg", "cow_000012.jpg"]
    assert pictures_of(tmp_path, files, images) == found


def test_a_name_that_several_pictures_have_is_reported(tmp_path):
    files = ["a.png", "a.jpg", "8.jpg", "008.jpg", *(f"{k}_5.jpg" for k in range(9))]
    assert pictures_of(tmp_path, files, ["a", "a.png", "08", "5"]) == [
        "image 'a' could be a.jpg or a.png",
        "a.png",
        "image '08' could be 008.jpg or 8.jpg",
        "image '5' could be 0_5.jpg or 1_5.jpg or 2_5.jpg or …",
    ]


def test_a_table_without_pictures_looks_for_none(tmp_path):
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    (row,) = read(write_csv(tmp_path / "t.csv", [{**RECORDS[0], "image": "a"}]), "--text-only")
    assert (row.example.image_id, row.image.path) == ("a", None)


def test_pictures_inside_parquet_are_bytes_with_one_id_each(tmp_path):
    pictures = [{"bytes": b"first", "path": None}, {"bytes": b"second", "path": "x.png"}]
    records = [{**RECORDS[0], "image": picture} for picture in (*pictures, pictures[0])]
    rows = read(write_parquet(tmp_path / "t.parquet", records))
    assert [row.image.data for row in rows] == [b"first", b"second", b"first"]
    ids = [row.example.image_id for row in rows]
    assert ids[0] == ids[2] != ids[1]


def test_splits_by_file_by_column_and_by_name(tmp_path, capsys):
    a = write_json(tmp_path / "a.json", RECORDS[:1])
    b = write_json(tmp_path / "b.json", [{**RECORDS[1], "split": "dev"}])
    assert [row.example.split for row in read(a, b)] == ["train", "dev"]
    rows = read(f"train={a}", f"test={b}")
    assert [row.example.split for row in rows] == ["train", "test"]
    train = write_json(tmp_path / "train.json", RECORDS[:1])
    test = write_json(tmp_path / "test.json", RECORDS[1:])
    capsys.readouterr()
    assert [row.example.split for row in read(train, test)] == ["train", "test"]
    assert "is taken as split 'test'" in capsys.readouterr().err


def test_known_splits_are_known_however_they_are_written(tmp_path):
    names = ["train", "Val", "TEST", "Dev", "Fold1"]
    records = [{**RECORDS[0], "split": name} for name in names]
    rows = read(write_json(tmp_path / "t.json", records))
    assert [row.example.split for row in rows] == ["train", "val", "test", "dev", "Fold1"]
    files = [write_json(tmp_path / f"{name}.json", RECORDS[:1]) for name in ("Train", "Test")]
    assert [row.example.split for row in read(*files)] == ["train", "test"]
    assert read(f"Validation={files[0]}")[0].example.split == "validation"


def test_files_of_one_name_give_different_ids(tmp_path):
    files = []
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        files.append(write_json(tmp_path / name / "t.json", RECORDS))
    ids = [row.example.question_id for row in read(*files)]
    assert len(set(ids)) == 4


def test_a_missing_answer_is_bad_only_where_its_split_has_answers(tmp_path):
    records = [
        {"image": "a", "question": "1?", "answer": None, "split": "test"},
        {"image": "a", "question": "2?", "answer": None, "split": "train"},
        {"image": "a", "question": "3?", "answer": "dog", "split": "train"},
        {"image": "a", "question": "4?", "answer": " ", "split": "test"},
    ]
    table_of = source(write_json(tmp_path / "t.json", records), "--text-only")
    store = prepare(table_of, tmp_path / "store", text_only=True, max_bad=1)
    assert store.manifest.splits == {"test": 2, "train": 1}
    assert [bad.where for bad in store.rejected()] == [f"{tmp_path / 't.json'}, record 1"]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(10):
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(folder / f"p{k}.png")
    return folder


def test_a_table_with_pictures_becomes_a_store_without_code(tmp_path, pictures, capsys):
    records = [
        {"file_name": f"p{k % 10}.png", "ask": f"Number {k}?", "a": "one", "b": "two", "right": "B"}
        for k in range(30)
    ]
    file = write_csv(tmp_path / "mine.csv", records)
    arguments = ["--map", "question=ask", "--map", "choices=a,b", "--map", "label=right"]
    split = ["--split-by-image", "train=0.8,test=0.2", "--to", str(tmp_path / "store")]
    arguments += ["--images", str(pictures), *split, "--json"]
    assert main(["prepare", "table", str(file), *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["splits"], told["images"]) == ({"train": 24, "test": 6}, 10)
    store = Store.open(tmp_path / "store")
    first = store.example(0)
    assert (first.choices, first.label, first.answers) == (["one", "two"], 1, ["two"])
    seen = {split: set(store.image_rows[store.rows(split)]) for split in told["splits"]}
    assert not seen["train"] & seen["test"]


def test_a_bad_table_is_one_line_and_leaves_nothing(tmp_path, pictures, capsys):
    file = write_json(tmp_path / "t.json", [{**RECORDS[0], "image": "../t.json"}])
    arguments = ["--images", str(pictures), "--to", str(tmp_path / "store")]
    assert main(["prepare", "table", f"train={file}", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{file}, record 0" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "t.json"]


DAMAGED = {
    "gone.json": (None, "no such file"),
    "empty.json": (b"", "empty"),
    "empty.csv": (b"\n\n", "empty"),
    "none.json": (b"[]", "no record in it"),
    "cut.json": (b'[{"question": "Wh', "truncated or not JSON"),
    "text.json": (b'"hello"', "no list of records"),
    "numbers.json": (b"{}", "no list of records"),
    "twice.csv": (b"a,a\n1,2\n", "two columns 'a' — give each"),
    "quote.csv": (b'image,question,answer\na,b,c\nd,"e,f\ng,h,i\n', "line 3: .*not closed"),
    "head.csv": (b'image,"question,answer\na,b,c\n', "line 1: .*not closed"),
    "inner.csv": (b'image,question,answer\n\na,"say "b"",c\n', "line 3: .*written twice"),
    "latin.csv": (
        b"image,question\n" + b"a,b\n" * 9000 + b"a,caf\xe9\n",
        r"not text in UTF-8 \(line 9002\) — save it as UTF-8",
    ),
    "first.csv": (b"image,fra\xe5ge\na,b\n", r"not text in UTF-8 \(line 1\) — save it"),
    "latin.json": (b'[{"image": "a",\n"question": "caf\xe9"}]', r"UTF-8 \(line 2\) — save it"),
    "latin.jsonl": (b'{"image": "caf\xe9"}\n', r"UTF-8 \(line 1\) — save it"),
    "excel.csv": ("image,question\na,b\n".encode("utf-16"), "in UTF-16, not in UTF-8 — save it"),
    "latin.csv.gz": (gzip.compress(b"image,question\na,caf\xe9\n"), r"UTF-8 \(line 2\)"),
    "keys.json": (b'{"data": [{"question": "?"}], "data": []}', "key 'data' stands twice"),
    "x.parquet": (b"PAR1 and no more", "not a Parquet file"),
    "gone.parquet": (None, "no such file"),
    "x.xlsx": (b"x", "saves a sheet as .csv"),
    "x.csv.gz": (b"\x1f\x8b cut", "damaged"),
}


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_record_with_a_key_twice_is_bad_and_the_next_is_read(tmp_path, name):
    file = tmp_path / name
    good = '{"image": "a", "question": "What?", "answer": "red"}'
    twice = good.replace("{", '{"answer": "blue", ')
    inner = good.replace('"red"', '[{"answer": "red", "answer": "blue"}]')
    lines = [twice, good, inner]
    file.write_text("\n".join(lines) if name == "t.jsonl" else f"[{', '.join(lines)}]")
    rows = read(file, "--text-only")
    assert [type(row) for row in rows] == [BadRow, Row, BadRow]
    assert rows[0].reason == rows[2].reason == "key 'answer' stands twice"


def test_a_long_cell_costs_its_record_at_most(tmp_path):
    """Python's own limit is 131,072; a column that is not read may hold what it likes."""
    limit = csv.field_size_limit()
    long = "a b " * 50_000
    records = [{**RECORDS[0], "context": long}, {**RECORDS[1], "context": "", "question": long}]
    table = source(write_csv(tmp_path / "t.csv", records), "--text-only")
    store = prepare(table, tmp_path / "store", text_only=True, max_bad=1)
    assert store.manifest.splits == {"train": 1}
    assert "200,000 characters, the limit is 4,000" in store.rejected()[0].reason
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content", "message"), [(k, *v) for k, v in DAMAGED.items()], ids=DAMAGED
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(file, "--text-only")
    assert str(file) in str(caught.value)


def test_the_real_puzzles_read_as_a_table(shared: Path):
    folder = shared / "puzzlevqa"
    rows = read(folder / "color_grid.json", "--images", folder)
    assert len(rows) == 100
    assert all(isinstance(row, Row) and row.image.path.is_file() for row in rows)
    assert all(row.example.choices[row.example.label] == row.example.answers[0] for row in rows)
