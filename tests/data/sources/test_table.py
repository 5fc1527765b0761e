"""The table source: every kind of file, columns found or named, and every kind of bad record."""

import argparse
import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vqa.cli import main
from vqa.data.prepare import prepare
from vqa.data.record import NO_LABEL, BadRow, Row
from vqa.data.sources import table
from vqa.data.sources.table_columns import SYNONYMS, parse_map
from vqa.data.store import Store
from vqa.errors import DataError, InputError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"

RECORDS = [
    {"image": "a.png", "question": "What?", "answer": "dog"},
    {"image": "b.png", "question": "Who, then?", "answer": "a man"},
]


def source(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--text-only", action="store_true")
    table.configure(parser)
    return table.from_args(parser.parse_args([str(argument) for argument in arguments]))


def read(*arguments):
    return list(source(*arguments).rows())


def write_json(path, records):
    path.write_text(json.dumps(records))
    return path


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def write_csv(path, records, delimiter=","):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def write_parquet(path, records):
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


def one(tmp_path, record, *arguments):
    """What becomes of one record in a JSON list."""
    (row,) = read(write_json(tmp_path / "t.json", [record]), "--text-only", *arguments)
    return row


def example(tmp_path, record, *arguments):
    row = one(tmp_path, {"question": "What?", **record}, *arguments)
    assert isinstance(row, Row), row
    return row.example


def reason(tmp_path, record, *arguments):
    row = one(tmp_path, {"question": "What?", **record}, *arguments)
    assert isinstance(row, BadRow), row
    return row.reason


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


def test_columns_of_other_names_are_found_or_named(tmp_path, capsys):
    record = {"image_name": "a.png", "query": "What?", "reply": "dog"}
    file = write_json(tmp_path / "t.json", [record])
    (row,) = read(file, "--map", "answer=reply", "--images", tmp_path)
    assert (row.example.answers, row.example.image_id) == (["dog"], "a.png")
    said = capsys.readouterr().err
    assert "image is read from column 'image_name'" in said
    assert "question is read from column 'query'" in said
    assert "reply" not in said


def test_nothing_is_said_where_nothing_is_guessed(tmp_path, capsys):
    read(f"train={write_json(tmp_path / 't.json', RECORDS)}")
    assert capsys.readouterr().err == ""


def test_no_synonym_stands_for_two_fields():
    names = [name for field, others in SYNONYMS.items() for name in (field, *others)]
    assert len(names) == len(set(names))


def test_every_field_is_carried_over(tmp_path):
    record = {"qid": 7, "kind": "colour", "answerType": "other", "subset": "dev", "img_id": "x"}
    said = example(tmp_path, {**record, "answer": "red"})
    assert (said.question_id, said.question_type, said.answer_type) == ("7", "colour", "other")
    assert (said.split, said.image_id) == ("dev", "x")


def test_a_dotted_name_goes_into_objects(tmp_path):
    record = {"image": {"path": "a.png"}, "qa": {"q": "What?", "a": {"text": "dog"}}}
    file = write_json(tmp_path / "t.json", [record, {**record, "qa": {"q": 3}}])
    maps = ("--map", "image=image.path", "--map", "question=qa.q", "--map", "answer=qa.a.text")
    good, bad = read(file, *maps)
    assert (good.example.image_id, good.example.question) == ("a.png", "What?")
    assert good.example.answers == ["dog"]
    assert "a whole number" in bad.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--map", "question=qestion"], "no column 'qestion' .*did you mean 'question'"),
        (["--map", "anwser=answer"], "no field 'anwser'.*did you mean 'answer'"),
        (["--map", "answer"], "names no column"),
        (["--map", "answer=a", "--map", "answer=b"], "twice"),
    ],
)
def test_a_wrong_mapping_is_refused_with_advice(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        source(write_json(tmp_path / "t.json", RECORDS), *arguments)


@pytest.mark.parametrize("missing", ["question", "image"])
def test_a_column_that_is_needed_is_asked_for(tmp_path, missing):
    records = [{key: value for key, value in r.items() if key != missing} for r in RECORDS]
    file = write_json(tmp_path / "t.json", [{**record, "other": "x"} for record in records])
    with pytest.raises(DataError, match=rf"no column for the {missing}.*--map {missing}=COLUMN"):
        source(file)


ANSWERS = {
    "one": ({"answer": "dog"}, [], ["dog"]),
    "a number": ({"answer": 3}, [], ["3"]),
    "a list": ({"answers": ["dog", "cat", "dog"]}, [], ["dog", "cat", "dog"]),
    "a list of objects": ({"answers": [{"answer": "dog"}, {"answer": "cat"}]}, [], ["dog", "cat"]),
    "json in a cell": ({"answers": '["dog", "cat"]'}, [], ["dog", "cat"]),
    "python in a cell": ({"answers": "['dog', \"cat's\"]"}, [], ["dog", "cat's"]),
    "brackets that are no list": ({"answer": "[unclear"}, [], ["[unclear"]),
    "separated": ({"answers": "dog | cat|"}, ["--separator", "|"], ["dog", "cat"]),
    "columns": (
        {"a1": "dog", "a2": "", "a3": "cat"},
        ["--map", "answers=a1,a2,a3"],
        ["dog", "cat"],
    ),
    "many before one": ({"answer": "dog", "answers": ["dog", "cat"]}, [], ["dog", "cat"]),
    "a label without choices": ({"label": "dog"}, [], ["dog"]),
}


@pytest.mark.parametrize(("record", "arguments", "answers"), ANSWERS.values(), ids=ANSWERS)
def test_answers_one_or_many(tmp_path, record, arguments, answers):
    said = example(tmp_path, record, *arguments)
    assert (said.answers, said.choices, said.label) == (answers, [], NO_LABEL)


PETS = ["cat", "dog", "cow"]
CHOICES = {
    "answer's text": ({"choices": PETS, "answer": "dog"}, []),
    "answer's letter": ({"choices": PETS, "answer": "(B)"}, []),
    "label's number": ({"choices": PETS, "label": 1}, []),
    "label's number as text": ({"choices": PETS, "label": "1"}, []),
    "label's number as a float": ({"choices": PETS, "label": 1.0}, []),
    "label's letter": ({"choices": PETS, "label": "b"}, []),
    "label's text": ({"choices": PETS, "label": "dog"}, []),
    "label from 1": ({"choices": PETS, "label": 2}, ["--label-is", "index-from-1"]),
    "label and answer": ({"choices": PETS, "label": 1, "answer": "dog"}, []),
    "label and letter": ({"choices": PETS, "label": 1, "answer": "B"}, []),
    "json in a cell": ({"choices": json.dumps(PETS), "answer": "dog"}, []),
    "separated": ({"choices": "cat;dog;cow", "answer": "dog"}, ["--separator", ";"]),
    "object": ({"choices": {"A": "cat", "B": "dog", "C": "cow"}, "answer": "B"}, []),
    "columns": (
        {"x": "cat", "y": "dog", "z": "cow", "answer": "dog"},
        ["--map", "choices=x,y,z"],
    ),
}


@pytest.mark.parametrize(("record", "arguments"), CHOICES.values(), ids=CHOICES)
def test_choices_and_the_right_one(tmp_path, record, arguments):
    said = example(tmp_path, record, *arguments)
    assert (said.choices, said.label, said.answers) == (PETS, 1, ["dog"])


def test_an_answer_is_a_choice_before_it_is_a_number(tmp_path):
    assert example(tmp_path, {"choices": [3, 1, 2], "answer": 1}).label == 1


def test_many_answers_point_at_the_most_common(tmp_path):
    answers = ["dog", "cow", "cow"]
    said = example(tmp_path, {"choices": PETS, "answers": answers})
    assert (said.label, said.answers) == (2, answers)


def test_a_label_that_can_be_read_twice_needs_a_word(tmp_path):
    record = {"choices": ["3", "2", "1"], "label": 2}
    assert "--label-is" in reason(tmp_path, record)
    assert example(tmp_path, record, "--label-is", "index").answers == ["1"]
    assert example(tmp_path, record, "--label-is", "text").answers == ["2"]
    assert "--label-is" in reason(tmp_path, {"choices": ["b", "a"], "label": "a"})
    agreeing = {"choices": ["a", "b"], "label": "b"}
    assert example(tmp_path, agreeing).label == 1


BAD = {
    "no question": ({"question": None, "answer": "x"}, "no question"),
    "blank question": ({"question": "  ", "answer": "x"}, "no question"),
    "question is a number": ({"question": 3, "answer": "x"}, "a whole number"),
    "question is a list": ({"question": ["What?"], "answer": "x"}, "a list"),
    "answer in no choice": ({"choices": PETS, "answer": "horse"}, "'horse' is not among the 3"),
    "label out of range": ({"choices": PETS, "label": 3}, "'3' is not among the 3"),
    "label negative": ({"choices": PETS, "label": -2}, "'-2' is not among"),
    "letter out of range": ({"choices": PETS, "label": "D"}, "'D' is not among"),
    "label is a list": ({"choices": PETS, "label": [1]}, "a list"),
    "label against answer": ({"choices": PETS, "label": 0, "answer": "dog"}, "says 'cat', but"),
    "choices are one text": ({"choices": "cat;dog", "answer": "dog"}, "--separator"),
    "a null choice": ({"choices": ["cat", None], "answer": "cat"}, "null"),
    "nested choices": ({"choices": [["cat"], "dog"], "answer": "dog"}, "a list"),
    "answers without text": ({"answers": [{"confidence": 1}]}, "without 'answer' or 'text'"),
    "id is a list": ({"question_id": [1], "answer": "x"}, "'question_id'"),
}


@pytest.mark.parametrize(("record", "message"), BAD.values(), ids=BAD)
def test_a_bad_record_is_reported(tmp_path, record, message):
    assert message in reason(tmp_path, record)


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
    assert [bad["where"] for bad in store.rejected()] == [f"{tmp_path / 't.json'}, record 1"]


def test_an_absurd_number_is_no_crash(tmp_path):
    long = "9" * 5000
    records = [{**RECORDS[0], "image": long}, {**RECORDS[0], "choices": ["dog"], "label": long}]
    good, bad = read(write_json(tmp_path / "t.json", records))
    assert good.image.path == tmp_path / long
    assert "is not among the 1 choices" in bad.reason


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


@pytest.mark.parametrize("withheld", [-1, "-1", None])
def test_a_withheld_label_is_no_label(tmp_path, withheld):
    said = example(tmp_path, {"choices": PETS, "label": withheld})
    assert (said.answers, said.choices, said.label) == ([], PETS, NO_LABEL)


def test_a_test_file_may_lack_the_answers_that_another_file_has(tmp_path, capsys):
    train = write_json(tmp_path / "a.json", [{"image": "a", "question": "?", "reply": "dog"}])
    test = write_json(tmp_path / "b.json", [{"image": "a", "question": "?"}])
    arguments = (f"train={train}", f"test={test}", "--text-only", "--map", "answer=reply")
    assert [row.example.answers for row in read(*arguments)] == [["dog"], []]
    assert "no column for answers" in capsys.readouterr().err
    with pytest.raises(DataError, match="no column 'kind' for the question_type"):
        source(*arguments, "--map", "question_type=kind")


DAMAGED = {
    "gone.json": (None, "no such file"),
    "empty.json": (b"", "empty"),
    "empty.csv": (b"\n\n", "empty"),
    "none.json": (b"[]", "no record in it"),
    "cut.json": (b'[{"question": "Wh', "truncated or not JSON"),
    "text.json": (b'"hello"', "no list of records"),
    "numbers.json": (b"{}", "no list of records"),
    "twice.csv": (b"a,a\n1,2\n", "two columns 'a'"),
    "quote.csv": (b'image,question,answer\na,b,c\nd,"e,f\n', "damaged after line 2"),
    "latin.csv": (b"image,question\na,caf\xe9\n", "damaged"),
    "x.parquet": (b"PAR1 and no more", "not a Parquet file"),
    "gone.parquet": (None, "no such file"),
    "x.xlsx": (b"x", "known suffixes"),
    "x.csv.gz": (b"\x1f\x8b cut", "damaged"),
}


@pytest.mark.parametrize(("name", "content", "message"), [(k, *v) for k, v in DAMAGED.items()])
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(file, "--text-only")
    assert str(file) in str(caught.value)


def test_a_mapping_takes_several_columns():
    assert parse_map(["choices=a, b,c", "image=x=y"]) == {
        "choices": ("a", "b", "c"),
        "image": ("x=y",),
    }


def test_a_column_whose_name_has_a_comma(tmp_path):
    assert example(tmp_path, {"a,b": "dog"}, "--map", "answer=a,b").answers == ["dog"]


def test_the_real_puzzles_read_as_a_table():
    folder = SHARED / "puzzlevqa"
    if not folder.exists():
        pytest.skip(f"no {folder}")
    rows = read(folder / "color_grid.json", "--images", folder)
    assert len(rows) == 100
    assert all(isinstance(row, Row) and row.image.path.is_file() for row in rows)
    assert all(row.example.choices[row.example.label] == row.example.answers[0] for row in rows)
