"""`vqa score` from the outside: real files, hostile files, what it prints."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.scoring import SINCE, annotation, run, write
from vqa.errors import InputError, ResultError


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


def test_the_reference_files_from_the_command_line(printed, shared: Path) -> None:
    data = shared / "vqa2-60k-text"
    result = printed(
        *("--questions", data / "v2_OpenEnded_mscoco_valid_questions.json.gz"),
        *("--annotations", data / "v2_mscoco_valid_annotations.json.gz"),
        *("--results", data / "reference" / "valid_human-perturbed_results.json.gz"),
        *("--protocol", SINCE, "--per-question", "--resamples", 100),
    )
    name = "valid_human-perturbed_scores_since-2021.json.gz"
    official = json.loads(gzip.decompress((data / "reference" / name).read_bytes()))
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
    assert printed(*arguments, "--against", "vqa-accuracy/before-2021") == shown
    assert run(*both) == 0
    assert "1 of 2 questions differ" in capsys.readouterr().out
    for twice in (["--protocol", SINCE, "--against", SINCE], ["--against", SINCE]):
        with pytest.raises(InputError, match="the same protocol twice"):
            run(*arguments, *twice)
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
    with pytest.raises(InputError, match="--explain writes no CSV"):
        run(*vqa, "--results", results, "--explain", 2, "--csv", table)
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
