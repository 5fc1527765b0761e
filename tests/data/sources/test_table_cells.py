"""Cells of a person's table as spreadsheets, pandas, databases and people write them."""

from __future__ import annotations

import base64
import csv
import json
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.sources.tables import RECORDS, read, source, write_csv, write_json, write_parquet
from vqa.data.record import BadRow, Example, Row
from vqa.data.sources.table_parquet import ParquetFile
from vqa.errors import DataError

ASKED = {"image": "a.png", "question": "What?"}


def example(file: Path, *arguments: Any) -> Example:
    (row,) = read(file, "--text-only", *arguments)
    assert isinstance(row, Row), row
    return row.example


@pytest.mark.parametrize("texts", [["red", "blue"], ["it's", 'a "b"', "c"], ["x" * 60, "y" * 60]])
def test_a_list_as_numpy_writes_it_keeps_its_answers(tmp_path: Path, texts: list[str]) -> None:
    cell = str(np.array(texts, dtype=object))
    assert "," not in cell
    file = write_csv(tmp_path / "t.csv", [{**ASKED, "answers": cell}])
    assert example(file).answers == texts
    file = write_csv(tmp_path / "t.csv", [{**ASKED, "choices": cell, "label": 1}])
    assert (example(file).choices, example(file).label) == (texts, 1)


@pytest.mark.parametrize("cell", ["[red, blue]", "['red', blue]"])
def test_what_looks_like_a_list_and_is_none_is_told(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "t.csv", [{**ASKED, "answers": cell}])
    assert example(file).answers == [cell]
    assert f"has answers such as {cell!r}, read as one" in capsys.readouterr().err
    example(write_json(tmp_path / "t.json", [{**ASKED, "answers": [cell, "red; blue"]}]))
    assert "read as one" not in capsys.readouterr().err


@pytest.mark.parametrize("word", ["nan", "NULL", "<NA>", "#N/A"])
def test_a_word_for_an_empty_cell_is_told(
    tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{**ASKED, "A": "red", "B": "blue", "C": cell, "label": 0} for cell in ("x", word)]
    file = write_csv(tmp_path / "t.csv", records)
    assert len(read(file, "--text-only", "--map", "choices=A,B,C")) == 2
    assert f"has {word!r} for choices, read as a text (leave" in capsys.readouterr().err
    read(write_csv(tmp_path / "t.csv", [{**ASKED, "answer": "none"}]), "--text-only")
    assert "read as a text" not in capsys.readouterr().err


KEYED: dict[str, tuple[Any, Any, list[str], int]] = {
    "order": ({"B": "blue", "A": "red"}, "B", ["red", "blue"], 1),
    "gap": ({"B": "blue", "C": "red"}, "C", ["blue", "red"], 1),
    "null": ({"A": "red", "B": None, "C": "blue"}, "C", ["red", "blue"], 1),
    "small": ({"b": "blue", "a": "red"}, "b", ["red", "blue"], 1),
    "from 1": ({"1": "red", "2": "blue"}, 1, ["red", "blue"], 0),
    "from 0": ({"1": "red", "0": "blue"}, 1, ["blue", "red"], 1),
    "names": ({"first": "red", "second": "blue"}, "B", ["red", "blue"], 1),
    "other letters": ({"T": "true", "F": "false"}, 1, ["true", "false"], 1),
    "other numbers": ({"10": "red", "20": "blue"}, 1, ["red", "blue"], 1),
    "eleven": ({str(k): f"c{k}" for k in (10, *range(10))}, 9, [f"c{k}" for k in range(11)], 9),
    "twice": ({"a": "red", "A": "blue"}, 1, ["red", "blue"], 1),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_label_is_read_by_the_keys_of_the_choices(tmp_path: Path, name: str) -> None:
    choices, label, cells, place = KEYED[name]
    said = example(write_json(tmp_path / "t.json", [{**ASKED, "choices": choices, "label": label}]))
    assert (said.choices, said.label, said.answers) == (cells, place, [cells[place]])


def test_a_letter_counts_choices_whose_keys_count_from_1(tmp_path: Path) -> None:
    record = {**ASKED, "choices": {"1": "red", "2": "blue"}}
    for said in ({"answer": "B"}, {"label": "B"}):
        assert example(write_json(tmp_path / "t.json", [{**record, **said}])).label == 1
    (row,) = read(write_json(tmp_path / "t.json", [{**record, "label": 0}]), "--text-only")
    assert isinstance(row, BadRow)
    assert "'0' is not among the 2 choices" in row.reason


def test_positions_are_counted_where_the_user_says_so(tmp_path: Path) -> None:
    record = {**ASKED, "choices": {"1": "red", "2": "blue"}, "label": 1}
    file = write_json(tmp_path / "t.json", [record])
    assert example(file, "--label-is", "index").label == 1
    assert example(file, "--label-is", "index-from-1").label == 0


def test_choices_may_be_an_object_written_as_text(tmp_path: Path) -> None:
    record = {**ASKED, "choices": "{'A': 'red', 'B': 'blue'}", "answer": "B"}
    assert example(write_csv(tmp_path / "t.csv", [record])).label == 1


def test_an_object_of_lists_says_how_to_name_one(tmp_path: Path) -> None:
    record = {**ASKED, "choices": {"text": ["red", "blue"], "label": ["A", "B"]}, "answer": "B"}
    file = write_json(tmp_path / "t.json", [record])
    (row,) = read(file, "--text-only")
    assert isinstance(row, BadRow)
    assert "object of lists (text, label); --map choices=COLUMN.KEY" in row.reason
    assert example(file, "--map", "choices=choices.text").choices == ["red", "blue"]


@pytest.mark.parametrize(("number", "text"), [("1", "1"), ("1.00", "1"), ("2.50", "2.50")])
def test_a_database_s_decimals_are_numbers(tmp_path: Path, number: str, text: str) -> None:
    record = {**ASKED, "answer": Decimal(number)}
    assert example(write_parquet(tmp_path / "t.parquet", [record])).answers == [text]
    label = {**ASKED, "choices": ["red", "blue"], "label": Decimal("1.00")}
    assert example(write_parquet(tmp_path / "t.parquet", [label])).label == 1
    withheld = write_parquet(tmp_path / "t.parquet", [label | {"label": Decimal("-1.0")}])
    assert example(withheld).answers == []


def test_truths_are_answers_as_json_spells_them(tmp_path: Path) -> None:
    for truth, text in ((True, "true"), (False, "false")):
        file = write_json(tmp_path / "t.json", [{**ASKED, "answer": truth}])
        assert example(file).answers == [text]


@pytest.mark.parametrize("kind", [pa.float32(), pa.list_(pa.float32())])
def test_short_numbers_stand_as_they_were_written(tmp_path: Path, kind: pa.DataType) -> None:
    value = 2.1 if kind == pa.float32() else [2.1]
    table = pa.table({"image": ["a.png"], "question": ["What?"], "answer": pa.array([value], kind)})
    pq.write_table(table, tmp_path / "t.parquet")
    assert example(tmp_path / "t.parquet").answers == ["2.1"]


UNREADABLE = {
    "date": pa.array([2**31 - 1], pa.int32()).view(pa.date32()),
    "duration": pa.array([2**62], pa.duration("s")),
    "not UTF-8": pa.array([b"\xff"], pa.binary()).view(pa.string()),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_value_that_cannot_be_read_counts_where_it_is_asked_for(
    tmp_path: Path, name: str
) -> None:
    columns = {"image": ["a.png"], "question": ["What?"], "answer": ["red"]}
    pq.write_table(pa.table(columns | {"made": UNREADABLE[name]}), tmp_path / "t.parquet")
    assert example(tmp_path / "t.parquet").answers == ["red"]
    (row,) = read(tmp_path / "t.parquet", "--text-only", "--map", "answer=made")
    assert isinstance(row, BadRow)
    assert "not a value that cannot be read" in row.reason


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array([text]) for text in ("a.png", "What?", "red", "blue")]
    names = ["image", "question", "answer", "answer"]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"two columns 'answer' — give each a name of its own"):
        source(tmp_path / "t.parquet", "--text-only")


def test_a_column_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", [{**ASKED, "answer": "red"}])
    file.write_bytes(file.read_bytes().replace(b"question", b"quest\xff\xffn"))
    with pytest.raises(DataError, match=r"not a Parquet file .* — get the file again"):
        ParquetFile(file).columns()


@pytest.mark.parametrize("content", [b"", b"PAR1" + b"x" * 99, b"\0" * 99])
def test_what_is_no_parquet_file_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"not a Parquet file .* — get the file again") as caught:
        ParquetFile(tmp_path / "t.parquet").columns()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.jsonl", '[{"question": "What?"}]\n', r"line 1: .* not a list"),
        ("t.json", '[{"answer": "a", "answer": "b"}]', r"record 0: .* 'answer' stands twice"),
        ("t.json", "[{}]", r"no list of records|an object without keys"),
    ],
)
def test_a_file_without_one_object_says_what_it_has(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=reason):
        source(tmp_path / name, "--text-only")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_blanks_behind_delimiters_do_not_hide_quotes(tmp_path: Path, delimiter: str) -> None:
    lines = ["image, question, answer", '"a.png", "Red, or blue?", red']
    (tmp_path / "t.csv").write_text("\n".join(lines).replace(", ", f"{delimiter} "))
    said = example(tmp_path / "t.csv")
    question = f"Red{delimiter} or blue?"
    assert (said.question, said.answers) == (question, ["red"])


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("lies", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["café.png", "sub/café.png", "café"])
def test_accents_of_a_picture_s_name_may_be_written_in_two_ways(
    tmp_path: Path, png: Any, written: Any, lies: Any, name: str
) -> None:
    file = f"{name.removesuffix('.png')}.png"
    there = tmp_path / unicodedata.normalize(lies, file)
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(png())
    name = unicodedata.normalize(written, name)
    (row,) = read(write_json(tmp_path / "t.json", [{**RECORDS[0], "image": name}]))
    assert isinstance(row, Row)
    assert row.image.path == there


@pytest.mark.parametrize("address", ["", "data:image/png;base64,"])
def test_a_picture_may_stand_in_its_cell_in_base64(tmp_path: Path, png: Any, address: str) -> None:
    data = png(size=(150, 150)) + bytes(300)
    cell = address + base64.b64encode(data).decode()
    with (tmp_path / "t.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["image", "question"], [cell, "What?"]])
    (row,) = read(tmp_path / "t.tsv", "--images", tmp_path)
    assert isinstance(row, Row)
    assert row.image.data == data
    assert len(row.example.image_id) == 16
    (tmp_path / "t.tsv").write_text(f"image\tquestion\n{cell[:-1]}\tWhat?\n")
    (row,) = read(tmp_path / "t.tsv", "--images", tmp_path)
    assert isinstance(row, BadRow)
    assert row.reason.endswith("neither a file's name nor whole base64")


def test_a_number_with_two_decimals_is_a_picture_s_name_as_it_stands(
    tmp_path: Path, png: Any
) -> None:
    for name in ("3.00.png", "3.50.png", "clip_3.png"):
        (tmp_path / name).write_bytes(png())
    records = [{**RECORDS[0], "image": name} for name in ("3.00", "3.50")]
    rows = read(write_csv(tmp_path / "t.csv", records))
    assert [row.image.path.name for row in rows] == ["3.00.png", "3.50.png"]
    assert [row.example.image_id for row in rows] == ["3.00", "3.50"]


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        ({"info": {"features": {"answer": {"_type": "ClassLabel"}, "text": {}}}}, True),
        ({"info": {"features": {"answer": {"feature": {"_type": "ClassLabel"}}}}}, True),
        ({"info": {"features": {"elsewhere": {"_type": "ClassLabel"}}}}, False),
        ({"info": []}, False),
        (None, False),
    ],
)
def test_numbers_of_classes_are_told(tmp_path, noted, told):
    file = tmp_path / "t.parquet"
    table = pa.table({"image": ["a.png"], "question": ["what?"], "answer": [7], "elsewhere": [1]})
    note = {b"huggingface": json.dumps(noted).encode()}
    pq.write_table(table.replace_schema_metadata(note), file)
    notice = (
        f"{file} holds numbers of classes in answer: `vqa prepare hub {tmp_path}` reads their names"
    )
    assert (notice in source(file).notices()) == told
