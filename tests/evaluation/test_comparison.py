"""Comparing runs: directories, files, seeds, refusals, and what the command says."""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from vqa.ablation.sentences import pair_sentence
from vqa.commands import compare
from vqa.errors import InputError, ResultError, RunError
from vqa.evaluation.comparison import Variant, compare_runs, seeds_pair
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.predictions import Prediction, scores_digest, write_predictions
from vqa.evaluation.protocols import score_predictions
from vqa.evaluation.runs import Run, load_run


def predictions(seed: int, rate: float, protocol_scores: bool = True) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    items = []
    for number in range(600):
        right = rng.random() < rate
        items.append(
            Prediction(
                str(number),
                f"i{number // 3}",
                split="val",
                answer_type="yes/no" if number % 2 else "other",
                answer="yes" if right else "no",
                answers=["yes"],
                score=(100.0 if right else 0.0) if protocol_scores else None,
            )
        )
    return items


def make_run(path: Path, seed: int, rate: float, **changes: Any) -> Path:
    write_predictions(path / "predictions" / "val.jsonl", predictions(seed, rate))
    result = {
        "status": "succeeded",
        "data_fingerprint": "abc",
        "split": "val",
        "protocol": "exact/1",
        "seed": seed,
    } | changes
    (path / "result.json").write_text(json.dumps(result))
    return path


def run(*arguments: Any) -> int:
    parser = argparse.ArgumentParser()
    compare.configure(parser)
    return compare.run(parser.parse_args([str(argument) for argument in arguments]))


def test_a_clear_winner_is_named(tmp_path: Path, capsys) -> None:
    good, bad = make_run(tmp_path / "good", 1, 0.8), make_run(tmp_path / "bad", 2, 0.5)
    assert run(bad, good, "--json", "--resamples", 1000) == 0
    shown = json.loads(capsys.readouterr().out)
    pair = shown["comparisons"][0]
    assert pair["sentence"].startswith(f"{good} beats {bad} by ")
    assert pair["p_value"] == pair["adjusted_p_value"] < 0.01
    assert (pair["a"], pair["b"]) == (str(good), str(bad))
    assert 0 < pair["low"] < pair["difference"] < pair["high"]
    assert pair["mcnemar"]["only_a"] == len(pair["only_a_right"]) > len(pair["only_b_right"])
    assert "independent" in pair["mcnemar"]["caveat"]
    assert shown["protocol"] == "exact/1"
    assert shown["n"] == 600


def test_no_difference_says_what_would_have_been_found(tmp_path: Path, capsys) -> None:
    a, b = make_run(tmp_path / "a", 1, 0.6), make_run(tmp_path / "b", 2, 0.6)
    table = tmp_path / "out.csv"
    assert run(a, b, "--resamples", 1000, "--csv", table) == 0
    text = capsys.readouterr().out
    assert "no difference found" in text
    assert "this test would have found" in text
    assert "McNemar" in text
    lines = table.read_text().splitlines()
    assert lines[0] == "variant,kind,name,score,sd,seeds"
    assert len(lines) == 1 + 2 * 3


def test_holm_over_all_pairs(tmp_path: Path, capsys) -> None:
    paths = [make_run(tmp_path / name, at, 0.6) for at, name in enumerate("abc")]
    assert run(*paths, "--json", "--resamples", 500) == 0
    pairs = json.loads(capsys.readouterr().out)["comparisons"]
    assert len(pairs) == 3
    smallest = min(pairs, key=lambda pair: pair["p_value"])
    assert smallest["adjusted_p_value"] == pytest.approx(min(1, 3 * smallest["p_value"]))
    assert run(*paths, "--resamples", 500) == 0
    told = "p is Holm's over 3 comparisons; each interval is of its test alone, not corrected"
    assert told in capsys.readouterr().out


def test_seeds_of_a_variant(tmp_path: Path, capsys) -> None:
    for name, rate in (("good", 0.9), ("bad", 0.5)):
        for seed in (1, 2, 3):
            make_run(tmp_path / f"{name}{seed}", seed, rate)
    variants = [
        f"{name}=" + ",".join(str(tmp_path / f"{name}{seed}") for seed in order)
        for name, order in (("good", (1, 2, 3)), ("bad", (3, 1, 2)))
    ]
    assert (
        run("--variant", variants[0], "--variant", variants[1], "--json", "--resamples", 500) == 0
    )
    shown = json.loads(capsys.readouterr().out)
    assert [one["overall"]["n"] for one in shown["variants"]] == [3, 3]
    assert shown["variants"][0]["overall"]["sd"] > 0
    pair = shown["comparisons"][0]
    assert pair["paired_seeds"] is True
    assert "seeds" in pair["method"]
    assert pair["sentence"].startswith("good beats bad by 4")
    assert pair["mcnemar"] is None


@pytest.mark.parametrize("more", [[], ["--baseline", "y"]], ids=["pairs", "study"])
def test_runs_of_one_variant_have_seeds_of_their_own(tmp_path: Path, more: list[str]) -> None:
    a, b, c = (
        make_run(tmp_path / name, seed, 0.6) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    with pytest.raises(RunError, match=r"--variant x: .*a and .*b both have seed 1"):
        run("--variant", f"x={a},{b}", "--variant", f"y={c}", *more)


def test_runs_of_one_variant_that_differ_in_more_are_named(tmp_path: Path, capsys) -> None:
    runs = [make_run(tmp_path / str(seed), seed, 0.6) for seed in range(4)]
    for seed, path in enumerate(runs):
        made = {"seed": seed, "optimizer": {"lr": 0.1 if seed == 1 else 0.2}}
        (path / "experiment.yaml").write_text(json.dumps(made))
    file = tmp_path / "file.jsonl"
    write_predictions(file, predictions(5, 0.6))
    words = ["--variant", f"x={runs[0]},{runs[1]}", "--variant", f"y={runs[2]},{runs[3]},{file}"]
    assert run(*words, "--resamples", 200) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "not in their seed" in line]
    assert told == ["note: the runs of x differ in optimizer.lr too, not in their seed only"]


def test_vqa_accuracy_of_single_answers_is_told(tmp_path: Path, capsys) -> None:
    a, b = make_run(tmp_path / "a", 1, 0.6), make_run(tmp_path / "b", 2, 0.6)
    words = [a, b, "--protocol", "vqa-accuracy/since-2021", "--resamples", 200]
    assert run(*words) == 0
    assert "note: " in (shown := capsys.readouterr().out)
    assert "questions have a single answer and score 0 by this rule; exact/1 suits them" in shown


@pytest.mark.parametrize("name", ["data_fingerprint", "protocol"])
def test_what_differs_is_named(tmp_path: Path, name: str) -> None:
    a, b = make_run(tmp_path / "a", 1, 0.6), make_run(tmp_path / "b", 2, 0.6, **{name: "another"})
    with pytest.raises(ResultError, match=f"{name} differs: .*another"):
        run(a, b)


def test_other_splits_and_questions_are_refused(tmp_path: Path) -> None:
    a = predictions(1, 0.6)
    write_predictions(tmp_path / "a", a)
    write_predictions(tmp_path / "split", [replace(item, split="test") for item in a])
    write_predictions(tmp_path / "fewer", a[:-2])
    write_predictions(tmp_path / "image", [replace(a[0], image_id="other"), *a[1:]])
    write_predictions(tmp_path / "truth", [replace(a[0], answers=["no"]), *a[1:]])
    for other, message in (
        ("truth", "answers differs"),
        ("split", "split differs"),
        ("fewer", r"2 are in one only \(598, 599\)"),
        ("image", "image_id differs"),
    ):
        with pytest.raises(ResultError, match=message):
            run(tmp_path / "a", tmp_path / other)


@pytest.mark.parametrize(
    ("left", "right", "pair"),
    [
        ((1, 2), (2, 1), True),
        ((1, 1), (1, 1), False),
        ((1,), (2,), False),
        ((None,), (None,), False),
    ],
)
def test_seeds_pair_where_they_are_the_same_each_once(left, right, pair: bool) -> None:
    def variant(seeds) -> Variant:
        return Variant("v", [Mock(seed=seed) for seed in seeds])

    assert seeds_pair(variant(left), variant(right)) is pair


def test_other_choices_are_refused(tmp_path: Path) -> None:
    """Two choices and four, or another right one, are other questions; their order is not."""
    few = Prediction("1", "i1", answers=["r"], choices=["r", "s"], label=0, choice_scores=[1, 0])
    many = replace(few, choices=["r", "s", "t", "u"], choice_scores=[1, 0, 0, 0])
    turned = replace(few, choices=["s", "r"], label=1)
    second = replace(few, question_id="2", image_id="i2")
    for name, item in (
        ("few", few),
        ("many", many),
        ("wrong", replace(few, label=1)),
        ("turned", turned),
        ("none", replace(few, choices=[], choice_scores=[], label=-1, answer="r")),
    ):
        write_predictions(tmp_path / name, [item, second])
    for other in ("many", "wrong"):
        with pytest.raises(ResultError, match="question 1: choices differ between"):
            run(tmp_path / "few", tmp_path / other)
    assert run(tmp_path / "few", tmp_path / "turned") == 0
    for first, other in (("few", "none"), ("none", "few")):  # as of a model that was given none
        assert run(tmp_path / first, tmp_path / other, "--protocol", "exact/1") == 0


def test_what_evaluate_wrote_last_is_believed(tmp_path: Path) -> None:
    """`vqa evaluate` writes predictions anew, maybe under another protocol or policy."""
    a, b = (make_run(tmp_path / name, 1, 0.6) for name in "ab")
    (b / "evaluations").mkdir()
    again = {"data_fingerprint": "abc", "protocol": "exact/1"}
    for changed, message in (
        (
            {"protocol": "multiple-choice/1"},
            "protocol differs: 'exact/1' in .*'multiple-choice/1' in .*--protocol NAME",
        ),
        (
            {"data_fingerprint": "xyz"},
            "data_fingerprint differs: 'abc' in .*'xyz' in .*RUN --store STORE",
        ),
    ):
        (b / "evaluations" / "val.json").write_text(json.dumps(again | changed))
        with pytest.raises(ResultError, match=message):
            run(a, b)
    (b / "evaluations" / "val.json").write_text(json.dumps(again))
    assert load_run(b).identity == load_run(a).identity


def test_another_policy_is_another_score(tmp_path: Path) -> None:
    a, b = (
        make_run(tmp_path / policy, 1, 0.6, policies={"out_of_vocabulary": f"{policy}: …"})
        for policy in ("mask", "count-wrong")
    )
    with pytest.raises(ResultError, match=r"out_of_vocabulary differs: 'mask: .*count-wrong"):
        run(a, b)


def test_questions_that_one_has_right_are_counted_and_named(tmp_path: Path, capsys) -> None:
    items = predictions(1, 0.6)
    write_predictions(tmp_path / "a", items)
    wrong = [replace(item, answer="no", score=None) for item in items]
    write_predictions(tmp_path / "b", wrong)
    assert run(tmp_path / "a", tmp_path / "b", "--resamples", 200) == 0
    text = capsys.readouterr().out
    right = sorted(item.question_id for item in items if item.score)
    assert f"{len(right)} only {tmp_path / 'a'} ({', '.join(right[:5])}, … " in text
    assert f"  0 only {tmp_path / 'b'}; " in text
    assert "; McNemar p < 0.001" in text
    assert f"the data_fingerprint of {tmp_path / 'a'}, {tmp_path / 'b'} is not known" in text


def test_scores_of_an_unknown_protocol_are_not_believed(tmp_path: Path, capsys) -> None:
    items = predictions(1, 0.6)
    write_predictions(tmp_path / "honest", items)
    write_predictions(tmp_path / "boasts", [item.with_score(100) for item in items])
    assert run(tmp_path / "honest", tmp_path / "boasts", "--resamples", 200) == 0
    assert "they score alike on every image" in capsys.readouterr().out


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    good = make_run(tmp_path / "good", 1, 0.6)
    failed = make_run(tmp_path / "failed", 1, 0.6, status="failed")
    (tmp_path / "empty").mkdir()
    for other, message in ((failed, "the run failed"), (tmp_path / "empty", "no result.json")):
        with pytest.raises(RunError, match=message):
            run(good, other)
    with pytest.raises(RunError, match=r"no predictions of split 'test', only of val") as caught:
        run(good, "--split", "test", "--variant", f"x={good}")
    assert caught.value.fix == f"vqa evaluate {good} --split test makes them"
    several = make_run(tmp_path / "several", 1, 0.6, split=None)
    write_predictions(several / "predictions" / "test.jsonl", predictions(1, 0.6))
    with pytest.raises(RunError, match=r"several splits: test, val — name one with --split"):
        run(good, several)
    for file in (several / "predictions").iterdir():
        file.unlink()
    with pytest.raises(RunError, match=f"several: no predictions — vqa evaluate {several} makes"):
        run(good, several)
    with pytest.raises(InputError, match="given twice"):
        run(good, good)
    with pytest.raises(InputError, match="the same run twice"):
        run("--variant", f"x={good},{good}")
    with pytest.raises(InputError, match="NAME=RUN"):
        run("--variant", "x")
    with pytest.raises(ResultError, match="two runs"):
        run(good)


def test_unscored_predictions_are_scored_alike(tmp_path: Path) -> None:
    write_predictions(tmp_path / "raw", predictions(1, 0.6, protocol_scores=False))
    loaded = load_run(tmp_path / "raw")
    assert loaded.identity["protocol"] == "exact/1"
    assert [item.score for item in loaded.predictions] == [
        item.score for item in sorted(predictions(1, 0.6), key=lambda item: item.question_id)
    ]
    again = load_run(make_run(tmp_path / "run", 1, 0.6), protocol="vqa-accuracy/since-2021")
    assert again.scores.max() == 0  # a single answer has no others


def test_a_run_against_itself_finds_nothing(tmp_path: Path) -> None:
    loaded = load_run(make_run(tmp_path / "a", 1, 0.6))
    pair = compare_runs([Variant("x", [loaded]), Variant("y", [loaded])], resamples=200).pairs[0]
    assert (pair.test.difference, pair.test.p_value, pair.only_a) == (0, 1, [])


def test_a_clear_winner_among_many_is_found(tmp_path: Path) -> None:
    """However many pairs are corrected together, and however few resamples: no p stops at one over these."""
    files = [tmp_path / f"{number}" for number in range(12)]
    for number, file in enumerate(files):
        write_predictions(file, predictions(number, 0.9 if number == 0 else 0.1))
    variants = [Variant(file.name, [load_run(file)]) for file in files]
    pairs = compare_runs(variants, resamples=100).pairs
    assert len(pairs) == 66
    assert {pair.b for pair in pairs if pair.adjusted_p < 0.001} == {"0"}


@pytest.mark.parametrize("command", ["compare", "score", "report"])
@pytest.mark.parametrize("resamples", ["-1", "1", "99"])
def test_too_few_resamples_are_refused(
    command: str, resamples: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vqa.cli import main

    write_predictions(tmp_path / "a", predictions(1, 0.6))
    given = {"score": ["--results", str(tmp_path / "a")], "report": [str(tmp_path), "--dry-run"]}
    words = given.get(command, [str(tmp_path / "a"), str(tmp_path / "a")])
    if command == "report":
        pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    assert main([command, *words, "--resamples", resamples]) == 2
    assert f"--resamples: {resamples} is too few, at least 100" in capsys.readouterr().err


def test_a_small_difference_is_shown_with_the_digits_that_it_has(tmp_path: Path) -> None:
    items = [
        Prediction(f"{at:05}", f"i{at}", answer="yes", answers=["yes"], score=100.0)
        for at in range(20_000)
    ]
    worse = [item.with_score(0.0) if at < 12 else item for at, item in enumerate(items)]
    sides = [Variant(name, [Run(name, said, {})]) for name, said in (("a", items), ("b", worse))]
    [pair] = compare_runs(sides, resamples=1000).pairs
    assert re.fullmatch(
        r"a beats b by 0\.06 \[0\.0[34], 0\.(09|1[01])\], p < 0\.001", pair.sentence
    )
    assert pair_sentence(pair, *reversed(sides)).startswith("a beats b by 0.06 [0.0")


@pytest.mark.parametrize("ended", ["before the predictions", "after all"])
def test_scores_of_another_evaluation_are_not_believed(tmp_path: Path, ended: str) -> None:
    """`vqa evaluate` under another protocol writes its figures, then the predictions; a kill may come between."""
    run_dir = make_run(tmp_path / "run", 1, 0.6)
    file = run_dir / "predictions" / "val.jsonl"
    again = [item.with_score(0.0) for item in predictions(1, 0.6)]
    said = {"protocol": "vqa-accuracy/since-2021", "scores_sha256": scores_digest(again)}
    (run_dir / "evaluations").mkdir()
    (run_dir / "evaluations" / "val.json").write_text(json.dumps(said))
    if ended == "after all":
        write_predictions(file, again)
    found = load_run(run_dir)
    assert found.identity["protocol"] == "vqa-accuracy/since-2021"
    assert found.scores.max() == 0  # a single answer has no others


def test_scores_that_their_evaluation_names_are_believed(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", 1, 0.6)
    kept = [item.with_score(12.5) for item in predictions(1, 0.6)]
    write_predictions(run_dir / "predictions" / "val.jsonl", kept)
    (run_dir / "evaluations").mkdir()
    for digest, score in ((scores_digest(kept), 12.5), ("another", 100.0)):
        said = {"protocol": "exact/1", "scores_sha256": digest}
        (run_dir / "evaluations" / "val.json").write_text(json.dumps(said))
        assert load_run(run_dir).scores.max() == score
    assert scores_digest([replace(kept[0], score=None), *kept[1:]]) is None
    assert scores_digest(kept[::-1]) != scores_digest(kept)


def test_scored_anew_a_run_keeps_its_policy(tmp_path: Path) -> None:
    """A question none of whose choices can be said scores its chance, or nothing, as the evaluation said."""
    item = Prediction("1", "i", choices=["a", "b"], label=0, choice_scores=[None, None])
    path = make_run(tmp_path / "run", 1, 0.6, protocol="multiple-choice/1")
    write_predictions(path / "predictions" / "val.jsonl", [item])
    (path / "evaluations").mkdir()
    policies: tuple[OutOfVocabulary, ...] = ("mask", "count-wrong")
    for policy, score in zip(policies, (50, 0), strict=True):
        said = score_predictions([item], "multiple-choice/1", out_of_vocabulary=policy).to_json()
        (path / "evaluations" / "val.json").write_text(json.dumps(said))
        assert load_run(path).scores.tolist() == [score]
