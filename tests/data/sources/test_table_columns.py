"""The table source's columns: found or named, answers one or many, choices and labels, every bad value."""

from __future__ import annotations

import json

import pytest

from tests.data.sources.tables import RECORDS, read, source, write_json
from vqa.data.record import NO_LABEL, BadRow, Row
from vqa.data.sources.table_columns import SYNONYMS, parse_map
from vqa.errors import DataError, InputError


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


NUMBERS = ["1", "2", "3", "4"]
WHOLE = {
    "a float": ({"choices": NUMBERS, "answer": 2.0}, []),
    "a float as text": ({"choices": NUMBERS, "answer": "2.0"}, []),
    "choices in one cell": ({"choices": "1|2|3|4", "answer": "2.0"}, ["--separator", "|"]),
    "floats as choices": ({"choices": [1.0, 2.0, 3.0, 4.0], "answer": "2"}, []),
    "many": ({"choices": NUMBERS, "answers": ["2.0", "2", "3"]}, []),
    "a label beside it": ({"choices": NUMBERS, "label": "B", "answer": "2.0"}, []),
}


@pytest.mark.parametrize(("record", "arguments"), WHOLE.values(), ids=WHOLE)
def test_a_whole_number_with_a_point_is_the_number_and_no_position(tmp_path, record, arguments):
    said = example(tmp_path, record, *arguments)
    assert (said.choices, said.label, said.answers[0]) == (NUMBERS, 1, "2")


def test_whole_numbers_are_written_without_a_point(tmp_path):
    record = {"image": 12.0, "question_id": 7.0, "answer": 3.0}
    said = example(tmp_path, record)
    assert (said.image_id, said.question_id, said.answers) == ("12", "7", ["3"])
    assert example(tmp_path, {"answer": 2.5}).answers == ["2.5"]


def test_an_answer_is_a_position_where_the_user_says_so(tmp_path):
    record = {"choices": PETS, "answer": "1.0"}
    assert example(tmp_path, record, "--label-is", "index").answers == ["dog"]
    assert example(tmp_path, record, "--label-is", "index-from-1").answers == ["cat"]
    beside = {"choices": PETS, "answer": "dog", "label": None}
    assert example(tmp_path, beside, "--label-is", "index").label == 1


def test_a_label_that_is_written_with_a_point_may_be_a_text_or_a_position(tmp_path):
    assert "text or as index" in reason(tmp_path, {"choices": NUMBERS, "label": "2.0"})


PLACES = {
    "letter": ({"correct": "B"}, []),
    "from 1": ({"correct": 2}, ["--label-is", "index-from-1"]),
    "position": ({"correct": 1}, []),
    "text": ({"correct": "blue"}, []),
}


@pytest.mark.parametrize(("record", "arguments"), PLACES.values(), ids=PLACES)
def test_an_empty_choice_keeps_its_place_while_the_label_is_read(tmp_path, record, arguments):
    label = ("--map", "label=correct", *arguments)
    cells = {"A": "", "B": "blue", "C": None, "D": "green"}
    for given, more in (
        (cells, ["--map", "choices=A,B,C,D"]),
        ({"choices": "|blue||green"}, ["--separator", "|"]),
        ({"choices": ["", "blue", " ", "green"]}, []),
    ):
        said = example(tmp_path, {**given, **record}, *label, *more)
        assert (said.choices, said.label, said.answers) == (["blue", "green"], 0, ["blue"])


def test_labels_that_count_from_1_are_told(tmp_path):
    records = [{"question": "?", "choices": PETS, "label": label} for label in (1, "3", 2, 3)]
    file = write_json(tmp_path / "t.json", records)
    with pytest.raises(
        DataError, match=r"record 1: 2 of the labels are .* --label-is index-from-1"
    ) as e:
        read(file, "--text-only")
    assert "--max-bad" not in str(e.value)
    rows = read(file, "--text-only", "--label-is", "index-from-1")
    assert [row.example.label for row in rows] == [0, 2, 1, 2]
    rows = read(file, "--text-only", "--label-is", "index")
    assert [type(row) for row in rows] == [Row, BadRow, Row, BadRow]
    write_json(file, [*records, {**records[0], "label": 0}])
    assert [type(row) for row in read(file, "--text-only")] == [Row, BadRow, Row, BadRow, Row]


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
    "label out of range": ({"choices": PETS, "label": 4}, "'4' is not among the 3"),
    "an answer that may be a position": (
        {"choices": PETS, "answer": 1},
        "say --label-is index, or",
    ),
    "label of an empty choice": ({"choices": ["", *PETS], "label": "A"}, "number 1 of 4, is empty"),
    "label negative": ({"choices": PETS, "label": -2}, "'-2' is not among"),
    "letter out of range": ({"choices": PETS, "label": "D"}, "'D' is not among"),
    "label is a list": ({"choices": PETS, "label": [1]}, "a list"),
    "label against answer": ({"choices": PETS, "label": 0, "answer": "dog"}, "says 'cat', but"),
    "choices are one text": ({"choices": "cat;dog", "answer": "dog"}, "--separator"),
    "a null choice": ({"choices": ["cat", None], "answer": "cat"}, "null"),
    "nested choices": ({"choices": [["cat"], "dog"], "answer": "dog"}, "a list"),
    "answers without text": ({"answers": [{"confidence": 1}]}, "without 'answer' or 'text'"),
    "answer is an object": (
        {"answer": {"red": 3, "blue": 1}},
        "object (red, blue); a text or a list",
    ),
    "answers are an object": ({"answers": {"text": ["red"]}}, "--map answers=COLUMN.KEY"),
    "label is an object": ({"label": {"red": 3}}, "the label is an object"),
    "id is a list": ({"question_id": [1], "answer": "x"}, "'question_id'"),
}


@pytest.mark.parametrize(("record", "message"), BAD.values(), ids=BAD)
def test_a_bad_record_is_reported(tmp_path, record, message):
    assert message in reason(tmp_path, record)


def test_an_absurd_number_is_no_crash(tmp_path):
    long = "9" * 5000
    records = [
        {**RECORDS[0], "image": long[:200]},
        {**RECORDS[0], "choices": ["dog"], "label": long},
    ]
    good, bad = read(write_json(tmp_path / "t.json", records))
    assert good.image.path == tmp_path / long[:200]
    assert "is not among the 1 choices" in bad.reason


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


def test_a_mapping_takes_several_columns():
    assert parse_map(["choices=a, b,c", "image=x=y"]) == {
        "choices": ("a", "b", "c"),
        "image": ("x=y",),
    }


def test_a_column_whose_name_has_a_comma(tmp_path):
    assert example(tmp_path, {"a,b": "dog"}, "--map", "answer=a,b").answers == ["dog"]
