"""`vqa score` on layouts other than VQA's open-ended one: choices, Visual7W, GQA, CLEVR, our own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evaluation.scoring import SINCE, annotation, run, write
from vqa.errors import ResultError


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
    results = write(tmp_path / "r", said)
    assert printed(*files, "--results", results)["protocol"] == SINCE
    files += ["--protocol", "multiple-choice/1"]
    result = printed(*files, "--results", results, "--per-question")
    assert result["per_question"] == {"0": 100, "1": 50}
    assert result["details"]["ties"] == 1
    assert result["details"]["chance"] == pytest.approx(33.3333)
    unknown = write(tmp_path / "u", [{"question_id": at, "answer": "yak"} for at in (0, 1)])
    with pytest.raises(ResultError, match="question 0: the answer 'yak' is none of the choices"):
        run(*files, "--results", unknown)


def test_v1_multiple_choice_is_soft_accuracy_unless_another_protocol_is_asked_for(
    tmp_path: Path, printed, capsys
) -> None:
    question = {"image_id": 1, "question": "?", "multiple_choices": ["dog", "cat", "emu"]}
    questions = [question | {"question_id": at} for at in (0, 1)]
    files = [
        *("--questions", write(tmp_path / "q", {"num_choices": 3, "questions": questions})),
        *(
            "--annotations",
            write(
                tmp_path / "a",
                {"annotations": [annotation(at, ["cat"] * 8 + ["dog"] * 2) for at in (0, 1)]},
            ),
        ),
    ]
    said = [
        {"question_id": 0, "answer": "dog"},
        {"question_id": 1, "choice_scores": [2, 2, 1]},
    ]
    files += ["--results", write(tmp_path / "r", said)]
    result = printed(*files, "--per-question")
    assert (result["protocol"], result["per_question"]) == (SINCE, {"0": 60, "1": 80})
    assert result["notes"] == []
    assert run(*files, "--explain", "1") == 0
    assert "policy mask, 2 tie: score 80.00" in capsys.readouterr().out
    assert printed(*files, "--protocol", "multiple-choice/1")["overall"] == 25


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
    result = printed(*arguments)
    assert result["protocol"] == "visual7w/1"
    assert result["per_question_type"] == {"what": 25, "where": 50}
    assert result["details"]["ties"] == 1
    with pytest.raises(ResultError, match=r"no question of split 'test' \(it has val"):
        run(*arguments[:-1], "test")
    apart = write(tmp_path / "o.json", [{"qa_id": at, "answer": "The sofa"} for at in range(3)])
    assert printed("--questions", questions, "--results", apart)["overall"] == 0
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
    said.append({**said[0], "qa_id": 2, "answer": "On the sofa."})
    results = write(tmp_path / "r.json", said)
    for protocol in ("exact/1", "gqa/1"):
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
            {"operation": "relate", "argument": "b"},
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
    assert details["per_steps"] == {"02": 50}

    balanced_only = printed(
        "--questions", questions, "--results", write(tmp_path / "s", records[:2])
    )
    assert balanced_only["details"]["consistency"] is None
    assert balanced_only["details"]["validity"] is None
    assert any("2 entailed questions" in note for note in balanced_only["notes"])
    assert any("no choices file" in note for note in balanced_only["notes"])


def test_a_question_that_entails_itself_alone_says_nothing_of_consistency(
    tmp_path: Path, printed
) -> None:
    entailed = {"1": ["1", "2"], "2": ["2"]}
    questions = {key: gqa_question("red", entailed=others) for key, others in entailed.items()}
    records = [{"questionId": key, "prediction": "red"} for key in questions]
    result = printed(
        "--questions", write(tmp_path / "q", questions), "--results", write(tmp_path / "r", records)
    )
    assert result["details"]["consistency"] == 100


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


def test_questions_in_the_place_of_annotations_are_told(tmp_path: Path) -> None:
    questions = write(
        tmp_path / "q.json", {"questions": [{"question_id": 1, "image_id": 1, "question": "?"}]}
    )
    annotations = write(tmp_path / "a.json", {"annotations": []})
    results = write(tmp_path / "r.json", [{"question_id": 1, "answer": "2"}])
    swapped = ("--questions", annotations, "--annotations", questions, "--results", results)
    with pytest.raises(
        ResultError, match=r"q\.json: .*no 'answer' — give questions as --questions"
    ):
        run(*swapped)


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
