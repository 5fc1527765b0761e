"""`vqa score` from the outside: real files, hostile files, other layouts."""

import argparse
import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vqa.commands import score
from vqa.errors import InputError, ResultError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "vqa2-60k-text"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the VQA v2 reference files are absent")
SINCE = "vqa-accuracy/since-2021"


def run(*arguments: Any) -> int:
    parser = argparse.ArgumentParser()
    score.configure(parser)
    return score.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]):
    def read(*arguments: Any) -> Any:
        assert run(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return read


def write(path: Path, value: Any) -> Path:
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return path


def annotation(number: int, answers: list[str]) -> dict:
    return {
        "question_id": number,
        "image_id": number // 2,
        "question_type": "what",
        "answer_type": "other",
        "multiple_choice_answer": answers[0],
        "answers": [{"answer": text, "answer_id": at + 1} for at, text in enumerate(answers)],
    }


@pytest.fixture
def vqa(tmp_path: Path) -> list[Any]:
    """Arguments that name four questions of the VQA layout."""
    records = [annotation(number, ["cat"] * 7 + ["dog"] * 3) for number in range(4)]
    questions = [
        {"question_id": number, "image_id": number // 2, "question": "what?"} for number in range(4)
    ]
    return [
        "--annotations",
        write(tmp_path / "a.json", {"annotations": records}),
        "--questions",
        write(tmp_path / "q.json", {"questions": questions}),
        "--resamples",
        0,
    ]


GOOD = [{"question_id": number, "answer": "dog"} for number in range(4)]


@needs_data
def test_the_reference_files_from_the_command_line(printed) -> None:
    result = printed(
        *("--questions", DATA / "v2_OpenEnded_mscoco_valid_questions.json.gz"),
        *("--annotations", DATA / "v2_mscoco_valid_annotations.json.gz"),
        *("--results", DATA / "reference" / "valid_human-perturbed_results.json.gz"),
        *("--protocol", SINCE, "--per-question", "--resamples", 100),
    )
    name = "valid_human-perturbed_scores_since-2021.json.gz"
    official = json.loads(gzip.decompress((DATA / "reference" / name).read_bytes()))
    assert result["per_question"] == official["evalQA"]
    assert result["overall"] == official["accuracy"]["overall"] == 69.12
    assert result["interval"]["low"] < 69.12 < result["interval"]["high"]


def test_results_as_list_lines_gzip_and_text_ids_are_the_same(vqa, tmp_path, printed) -> None:
    as_text = [{"question_id": str(one["question_id"]), "answer": one["answer"]} for one in GOOD]
    packed = tmp_path / "r.bin"
    packed.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    files = [
        packed,
        write(tmp_path / "1", GOOD),
        write(tmp_path / "2", "\ufeff" + json.dumps(GOOD)),
        write(tmp_path / "3", "\n".join(json.dumps(one) for one in GOOD)),
        write(tmp_path / "4", as_text),
    ]
    results = [printed(*vqa, "--results", file) for file in files]
    assert all(result == results[0] for result in results)
    assert results[0]["overall"] == 90.0
    assert results[0]["protocol"] == SINCE


HOSTILE = {
    "empty": ("", "is empty"),
    "truncated": (json.dumps(GOOD)[:-5], r"\[3\]: not valid JSON"),
    "something behind": (json.dumps(GOOD) + "]", r"r\.json: not valid JSON: Extra data"),
    "no list": ({"answers": GOOD}, "no question id"),
    "an indented object": (json.dumps({"a": 1}, indent=1), "expected a list"),
    "a number": ("3", "expected a list"),
    "deep nesting": ("[" * 200_000, "nested too deeply"),
    "no record": ([*GOOD[:3], 7], r"\[3\]: expected an object"),
    "no id": ([*GOOD[:3], {"answer": "x"}], r"\[3\]: no question id"),
    "no answer": ([*GOOD[:3], {"question_id": 3}], r"question 3\): no answer"),
    "null answer": ([*GOOD[:3], {"question_id": 3, "answer": None}], "null"),
    "number answer": ([*GOOD[:3], {"question_id": 3, "answer": 2}], r"question 3\): answer"),
    "list answer": ([*GOOD[:3], {"question_id": 3, "answer": ["x"]}], r"question 3\): answer"),
    "1 MB answer": (
        [*GOOD[:3], {"question_id": 3, "answer": "x" * 2**20}],
        r"question 3\).*1048576",
    ),
    "half a surrogate": ([*GOOD[:3], {"question_id": 3, "answer": "\ud83d"}], "surrogate"),
    "float id": ([*GOOD[:3], {"question_id": 3.0, "answer": "x"}], "string or an integer"),
    "boolean id": ([*GOOD[:3], {"question_id": True, "answer": "x"}], "string or an integer"),
    "mixed ids": ([*GOOD[:3], {"question_id": "3", "answer": "x"}], r"\[3\].*strings in some"),
    "NaN": (
        json.dumps([*GOOD[:2], {"question_id": 2, "answer": "x", "confidence": float("nan")}]),
        r"\[2\]: not valid JSON: NaN",
    ),
    "NaN among scores": (
        '[{"question_id": 0, "choice_scores": [1, -Infinity]}]',
        r"\[0\].*-Infinity",
    ),
    "infinite": ('[{"question_id": 0, "answer": "x", "confidence": 1e999}]', "finite"),
    "key twice": ('[{"question_id": 0, "answer": "x", "answer": "y"}]', r"\[0\].*twice"),
    "huge integer": ('[{"question_id": ' + "9" * 5000 + "}]", "not valid JSON"),
    "scores without choices": (
        [*GOOD[:3], {"question_id": 3, "choice_scores": [1, 2]}],
        r"question 3\): 2 choice_scores for 0 choices",
    ),
    "scores of a wrong type": ([*GOOD[:3], {"question_id": 3, "choice_scores": "high"}], "a list"),
    "missing": (GOOD[:3], r"1 questions have no answer \(3\)"),
    "duplicate": ([*GOOD, GOOD[0]], r"1 ids are answered more than once \(0\)"),
    "foreign": ([*GOOD, {"question_id": 99, "answer": "x"}], r"1 ids are no question's \(99\)"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_results_get_one_clear_error(name, vqa, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    file = write(tmp_path / "r.json", content)
    with pytest.raises(ResultError, match=message) as caught:
        run(*vqa, "--results", file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_long_mismatch_says_where_the_complete_list_is(vqa, tmp_path: Path, capsys) -> None:
    for count, hint in ((5, ""), (6, "vqa: note: --json prints every id\n")):
        foreign = [{"question_id": 100 + at, "answer": "x"} for at in range(count)]
        with pytest.raises(ResultError, match=f"{count} ids are no question's"):
            run(*vqa, "--results", write(tmp_path / "r.json", [*GOOD, *foreign]))
        assert capsys.readouterr().err == hint


def test_a_mismatch_is_complete_in_json(vqa, tmp_path: Path, capsys) -> None:
    foreign = [{"question_id": 100 + at, "answer": "x"} for at in range(50)]
    file = write(tmp_path / "r.json", [*foreign, GOOD[0], GOOD[0]])
    with pytest.raises(ResultError, match="45 more"):
        run(*vqa, "--results", file, "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["missing"] == ["1", "2", "3"]
    assert shown["duplicates"] == ["0"]
    assert len(shown["foreign"]) == 50


def test_missing_ones_count_as_wrong_when_allowed_and_it_says_so(vqa, tmp_path, printed) -> None:
    file = write(tmp_path / "r.json", GOOD[:3])
    result = printed(*vqa, "--results", file, "--allow-missing", "--per-question")
    assert result["overall"] == 67.5
    assert result["per_question"]["3"] == 0
    assert result["details"]["missing"] == ["3"]
    assert "1 of 4 questions have no answer" in result["notes"][0]
    with pytest.raises(ResultError, match="no question's"):
        run(*vqa, "--results", write(tmp_path / "f.json", [{"question_id": 9, "answer": ""}]))


BAD_ANNOTATIONS = {
    "not JSON": ("{", "not valid JSON"),
    "no layout": ({"stuff": []}, "no known layout"),
    "empty": ({"annotations": []}, "no question"),
    "no list": ({"annotations": {}}, "annotations: expected a list"),
    "no answers": ({"annotations": [{"question_id": 1, "image_id": 1}]}, r"\[0\]: no 'answers'"),
    "no image": (
        {"annotations": [{"question_id": 1, "answers": [{"answer": "x"}]}]},
        "no 'image_id'",
    ),
    "answer of a number": ({"annotations": [{"answers": [{"answer": 1}]}]}, "answers: expected"),
    "twice": ({"annotations": [annotation(1, ["a"])] * 2}, r"more than once \(1\)"),
}


@pytest.mark.parametrize("name", BAD_ANNOTATIONS)
def test_bad_annotations_are_named(name, tmp_path: Path) -> None:
    content, message = BAD_ANNOTATIONS[name]
    file = write(tmp_path / "a.json", content)
    with pytest.raises(ResultError, match=message):
        run("--annotations", file, "--results", write(tmp_path / "r.json", GOOD))


def test_questions_and_annotations_of_different_splits_are_refused(vqa, tmp_path: Path) -> None:
    other = write(
        tmp_path / "a2.json", {"annotations": [annotation(0, ["a"]), annotation(7, ["a"])]}
    )
    arguments = ["--annotations", other, *vqa[2:], "--results", write(tmp_path / "r.json", GOOD)]
    with pytest.raises(ResultError, match=r"3 questions are not annotated.* 1 annotated"):
        run(*arguments)


def test_two_protocols_print_what_differs(tmp_path: Path, printed, capsys) -> None:
    truth = write(
        tmp_path / "a.json", {"annotations": [annotation(at, ["cat"] * 10) for at in (0, 1)]}
    )
    said = [{"question_id": 0, "answer": "Cat"}, {"question_id": 1, "answer": "cat"}]
    arguments = ["--annotations", truth, "--results", write(tmp_path / "r.json", said)]
    both = [*arguments, "--protocol", SINCE, "--protocol", "vqa-accuracy/before-2021"]
    shown = printed(*both)
    assert shown["n_differing"] == 1
    assert shown["differing"][0]["question_id"] == "0"
    assert [result["overall"] for result in shown["results"]] == [50, 100]
    assert run(*both) == 0
    assert "1 of 2 questions differ" in capsys.readouterr().out
    with pytest.raises(InputError, match="the same protocol twice"):
        run(*arguments, "--protocol", SINCE, "--against", SINCE)
    table = tmp_path / "out.csv"
    assert run(*both, "--csv", table, "--resamples", 0) == 0
    overall = [line for line in table.read_text().splitlines() if ",overall," in line]
    assert overall == [
        f"{SINCE},overall,,50.0,,,2",
        "vqa-accuracy/before-2021,overall,,100.0,,,2",
    ]


def test_explain_and_csv(vqa, tmp_path: Path, capsys) -> None:
    results = write(tmp_path / "r.json", GOOD)
    assert run(*vqa, "--results", results, "--explain", 2, "--protocol", "exact/1") == 0
    assert "score 100.00" in capsys.readouterr().out
    with pytest.raises(InputError, match="no question '77'"):
        run(*vqa, "--results", results, "--explain", 77)
    table = tmp_path / "out.csv"
    assert run(*vqa, "--results", results, "--csv", table, "--per-question") == 0
    lines = table.read_text().splitlines()
    assert lines[:2] == ["protocol,kind,name,score,low,high,n", f"{SINCE},overall,,90.0,,,4"]
    assert lines[-1] == f"{SINCE},question,3,90.0,,,1"


HOSTILE_TYPES = ["=1+1", "-x", "@sum", "+y", 'a,b\n"c"', "\x1b[31mred"]


def test_hostile_names_harm_neither_spreadsheet_nor_terminal(tmp_path: Path, capsys) -> None:
    records = [
        annotation(at, ["cat"] * 10) | {"question_type": name}
        for at, name in enumerate(HOSTILE_TYPES)
    ]
    said = [{"question_id": at, "answer": "cat"} for at in range(len(records))]
    table = tmp_path / "out.csv"
    files = [
        *("--annotations", write(tmp_path / "a", {"annotations": records})),
        *("--results", write(tmp_path / "r", said)),
    ]
    assert run(*files, "--csv", table) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert all(line.isprintable() for line in shown.splitlines())
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["name"] for row in rows if row["kind"] == "per_question_type"]
    assert set(names) == {"'=1+1", "'-x", "'@sum", "'+y", *HOSTILE_TYPES[4:]}


def test_the_table_tells_answer_types_from_question_types(vqa, tmp_path: Path, capsys) -> None:
    assert run(*vqa, "--results", write(tmp_path / "r.json", GOOD)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:7]] == ["overall", "per", "other", "per", "what"]
    assert (lines[3], lines[5]) == ("per answer type", "per question type")


def test_explaining_a_question_without_an_answer_says_so(vqa, tmp_path: Path, capsys) -> None:
    results = write(tmp_path / "r.json", GOOD[:3])
    for protocol in (SINCE, "exact/1"):
        options = ("--allow-missing", "--explain", 3, "--protocol", protocol)
        assert run(*vqa, "--results", results, *options) == 0
        shown = capsys.readouterr().out
        assert "question 3: what?\nno answer was given: it counts as wrong" in shown
        assert "score 0.00" in shown


def test_unknown_protocol_lists_the_known_ones(vqa, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exact/1"):
        run(*vqa, "--results", write(tmp_path / "r.json", GOOD), "--protocol", "vqa")


def test_v1_multiple_choice_files(tmp_path: Path, printed) -> None:
    choices = ["dog", "cat", "emu"]
    questions = [
        {"question_id": at, "image_id": 1, "question": "?", "multiple_choices": choices}
        for at in (0, 1)
    ]
    files = [
        *("--questions", write(tmp_path / "q", {"num_choices": 3, "questions": questions})),
        *(
            "--annotations",
            write(
                tmp_path / "a",
                {"annotations": [annotation(0, ["cat"] * 10)] * 1 + [annotation(1, ["emu"] * 10)]},
            ),
        ),
    ]
    said = [
        {"question_id": 0, "answer": "cat"},
        {"question_id": 1, "choices": ["emu", "dog", "cat"], "choice_scores": [2, None, 2]},
    ]
    result = printed(*files, "--results", write(tmp_path / "r", said), "--per-question")
    assert result["protocol"] == "multiple-choice/1"
    assert result["per_question"] == {"0": 100, "1": 50}
    assert result["details"]["ties"] == 1
    assert result["details"]["chance"] == pytest.approx(33.3333)
    unknown = write(tmp_path / "u", [{"question_id": at, "answer": "yak"} for at in (0, 1)])
    with pytest.raises(ResultError, match="question 0: the answer 'yak' is none of the choices"):
        run(*files, "--results", unknown)


def visual7w() -> dict:
    pairs = [
        {
            "qa_id": at,
            "image_id": 5,
            "question": "Where?",
            "answer": "On the sofa.",
            "multiple_choices": ["A bed.", "Outside.", "Zoo."],
            "type": kind,
        }
        for at, kind in enumerate(["where", "where", "what"])
    ]
    return {"images": [{"image_id": 5, "split": "val", "qa_pairs": pairs}]}


def test_visual7w(tmp_path: Path, printed) -> None:
    questions = write(tmp_path / "v7w.json", visual7w())
    said = [
        {"qa_id": 0, "candidates": [{"answer": "on the sofa."}, {"answer": "Zoo."}]},
        {"qa_id": 1, "candidates": [{"answer": "Zoo."}]},
        {
            "qa_id": 2,
            "choices": ["On the sofa.", "A bed.", "Outside.", "Zoo."],
            "choice_scores": [1] * 4,
        },
    ]
    results = write(tmp_path / "r.json", said)
    arguments = ["--questions", questions, "--results", results, "--split", "val"]
    result = printed(*arguments, "--protocol", "visual7w/1")
    assert result["per_question_type"] == {"what": 25, "where": 50}
    assert result["details"]["ties"] == 1
    with pytest.raises(ResultError, match=r"no question of split 'test' \(it has val"):
        run(*arguments[:-1], "test")
    bare = write(
        tmp_path / "b.json", [{"qa_id": at, "choice_scores": [1, 0, 0, 0]} for at in range(3)]
    )
    with pytest.raises(ResultError, match="need the record's own choices"):
        run("--questions", questions, "--results", bare)


def test_visual7w_keeps_the_policy(tmp_path: Path, printed) -> None:
    questions = write(tmp_path / "v7w.json", visual7w())
    choices = ["On the sofa.", "A bed.", "Outside.", "Zoo."]
    said = [{"qa_id": at, "choices": choices, "choice_scores": [None] * 4} for at in range(3)]
    results = write(tmp_path / "r.json", said)
    files = ["--questions", questions, "--results", results, "--protocol", "visual7w/1"]
    for policy, figure in (("mask", 25), ("count-wrong", 0)):
        arguments = [*files, "--out-of-vocabulary", policy]
        result = printed(*arguments)
        assert result["overall"] == figure
        assert result["policies"]["out_of_vocabulary"].startswith(f"{policy}: ")
        assert f"score {figure:.2f}" in str(printed(*arguments, "--explain", "0"))


def test_scores_of_choices_without_an_answer_are_told(tmp_path: Path, printed) -> None:
    """An open-ended protocol cannot read them: the questions are wrong, and the result says so."""
    questions = write(tmp_path / "v7w.json", visual7w())
    choices = ["On the sofa.", "A bed.", "Outside.", "Zoo."]
    said: list[dict] = [
        {"qa_id": at, "choices": choices, "choice_scores": [1, 0, 0, 0]} for at in range(2)
    ]
    said.append({"qa_id": 2, "answer": "On the sofa."})
    results = write(tmp_path / "r.json", said)
    for protocol in ("exact/1", "gqa/1", SINCE):
        files = ["--questions", questions, "--results", results, "--protocol", protocol]
        notes = printed(*files)["notes"]
        assert any(note.startswith("2 questions have choice_scores") for note in notes), protocol
    right = ["--questions", questions, "--results", results, "--protocol", "multiple-choice/1"]
    assert printed(*right)["overall"] == 100


def test_null_answers_are_told(tmp_path: Path, printed) -> None:
    line = '{"question_id": %d, "image_id": 1, "answer": %s, "answers": ["a"]}'
    results = write(tmp_path / "val.jsonl", "\n".join((line % (1, "null"), line % (2, '"a"'))))
    result = printed("--results", results)
    assert result["overall"] == 50
    assert result["notes"] == ["1 questions have a null answer and count as wrong"]


def test_a_question_file_that_asks_twice_is_refused(tmp_path: Path) -> None:
    annotations = [annotation(at, ["cat"] * 10) for at in range(2)]
    questions = [{"question_id": at, "image_id": 0, "question": "what?"} for at in (0, 0, 1)]
    files = [
        "--annotations",
        write(tmp_path / "a.json", {"annotations": annotations}),
        "--questions",
        write(tmp_path / "q.json", {"questions": questions}),
    ]
    said = [{"question_id": at, "answer": "cat"} for at in range(2)]
    with pytest.raises(ResultError, match=r"questions\[1\]: question id 0 stands more than once"):
        run(*files, "--results", write(tmp_path / "r.json", said))


def test_a_split_that_a_predictions_file_lacks_is_named(tmp_path: Path) -> None:
    line = '{"question_id": 1, "image_id": 1, "split": "val", "answer": "a", "answers": ["a"]}'
    results = write(tmp_path / "val.jsonl", line)
    with pytest.raises(ResultError, match=r"no question of split 'test' \(it has val\)"):
        run("--results", results, "--split", "test")


def gqa_question(
    answer: str, *, entailed: list[str], balanced: bool = True, query: bool = True
) -> dict:
    return {
        "imageId": "n1",
        "question": "Is it red?",
        "answer": answer,
        "isBalanced": balanced,
        "types": {
            "structural": "query" if query else "verify",
            "semantic": "attr",
            "detailed": "x",
        },
        "semantic": [
            {"operation": "select", "argument": "a"},
            {"operation": "exist", "argument": "?"},
        ],
        "groups": {"global": "color"},
        "entailed": entailed,
    }


def test_gqa(tmp_path: Path, printed) -> None:
    questions = write(
        tmp_path / "q.json",
        {
            "1": gqa_question("red", entailed=["1", "3", "4"]),
            "2": gqa_question("yes", entailed=["3"], query=False),
            "3": gqa_question("yes", entailed=[], query=False, balanced=False),
            "4": gqa_question("no", entailed=[], query=False, balanced=False),
        },
    )
    said = [("1", "red"), ("2", "no"), ("3", "yes"), ("4", "yes")]
    records = [{"questionId": key, "prediction": text} for key, text in said]
    choices = {
        "1": {"valid": ["red", "blue"], "plausible": ["blue"]},
        "2": {"valid": ["yes", "no"], "plausible": ["yes", "no"]},
    }
    arguments = ["--questions", questions, "--results", write(tmp_path / "r.json", records)]
    result = printed(*arguments, "--choices", write(tmp_path / "c.json", choices))
    assert result["protocol"] == "gqa/1"
    assert result["n"] == 2
    assert result["overall"] == 50
    assert result["per_answer_type"] == {"binary": 0, "open": 100}
    details = result["details"]
    assert details["consistency"] == 50  # of question 1's two others, "3" is right and "4" wrong
    assert details["validity"] == 100
    assert details["plausibility"] == 50
    # right: red 1, yes 1; said: red 1, yes 0: distance (0 + 1) over 100
    assert details["distribution"] == 0.01
    assert details["per_steps"] == {"01": 50}

    balanced_only = printed(
        "--questions", questions, "--results", write(tmp_path / "s", records[:2])
    )
    assert balanced_only["details"]["consistency"] is None
    assert balanced_only["details"]["validity"] is None
    assert any("2 entailed questions" in note for note in balanced_only["notes"])
    assert any("no choices file" in note for note in balanced_only["notes"])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"groups": ["g"]}, "groups: found a list"),
        ({"groups": {"global": ["g"]}}, "groups: expected strings, found a list"),
        ({"types": {"detailed": 5}}, "types: expected strings, found a number"),
        ({"entailed": 5}, "entailed: found a number"),
        ({"entailed": [["2"]]}, "entailed: expected strings, found a list"),
        ({"isBalanced": "no"}, "isBalanced: found a string"),
        ({"imageId": [1]}, "imageId: an id is"),
    ],
)
def test_a_bad_question_of_gqa_is_named(part: dict, message: str, tmp_path: Path) -> None:
    questions = {
        "1": gqa_question("red", entailed=[]),
        "2": gqa_question("red", entailed=[]) | part,
    }
    said = [{"questionId": key, "prediction": "red"} for key in questions]
    files = [
        "--questions",
        write(tmp_path / "q", questions),
        "--results",
        write(tmp_path / "r", said),
    ]
    with pytest.raises(ResultError, match=f"q: 2: {message}"):
        run(*files)


def test_clevr_and_our_own_lists(tmp_path: Path, printed) -> None:
    program = [{"function": "scene"}, {"function": "count"}]
    clevr = {
        "question_index": 0,
        "image_index": 0,
        "question": "?",
        "answer": "2",
        "program": program,
    }
    questions = write(tmp_path / "c.json", {"questions": [clevr]})
    results = write(tmp_path / "r.json", [{"question_id": 0, "answer": "2"}])
    result = printed("--questions", questions, "--results", results)
    assert (result["protocol"], result["per_question_type"]) == ("exact/1", {"count": 100})
    own = write(tmp_path / "o.json", [{"question_id": 0, "image_id": 0, "answer": "2"}])
    assert printed("--questions", own, "--results", results)["overall"] == 100


def test_a_predictions_file_scores_alone(tmp_path: Path, printed) -> None:
    lines = [
        {
            "question_id": str(at),
            "image_id": "i",
            "answer": "cat",
            "answers": ["cat"],
            "split": split,
        }
        for at, split in enumerate(["val", "val", "test"])
    ]
    file = write(tmp_path / "val.jsonl", "\n".join(json.dumps(line) for line in lines))
    assert printed("--results", file)["n"] == 3
    assert printed("--results", file, "--split", "val")["n"] == 2


def test_scoring_imports_no_torch(tmp_path: Path) -> None:
    file = write(
        tmp_path / "r", '{"question_id": "1", "image_id": "i", "answer": "a", "answers": ["a"]}'
    )
    code = (
        "import argparse, sys\n"
        "from vqa.commands import score\n"
        "assert 'numpy' not in sys.modules\n"
        "parser = argparse.ArgumentParser(); score.configure(parser)\n"
        f"score.run(parser.parse_args(['--results', {str(file)!r}]))\n"
        "heavy = {'torch', 'datasets', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
