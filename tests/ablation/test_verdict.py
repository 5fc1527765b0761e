"""The answer in short, what stands before a study is there, and the figures for charts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import BASE, fail_run, known, make_folder, make_run
from vqa.ablation.caveats import LONE
from vqa.ablation.charts import COLOURS, curves, dots, heat, heat_table
from vqa.ablation.derive import places_of
from vqa.ablation.members import read_member
from vqa.ablation.standing import standing
from vqa.ablation.study import Options, make_study
from vqa.ablation.verdict import verdict
from vqa.tracking.curves import Curves, read_curves, seed_band

QUICK = 200


def group(tmp_path: Path, rates: dict[str, float], seeds: int = 2) -> list[Any]:
    members = []
    for variant, rate in rates.items():
        for seed in range(seeds):
            tags = [f"variant={variant}", f"model.fusion={variant}"]
            if variant.endswith("-only"):
                tags.append(f"baseline={variant}")
            fields = {**BASE, "seed": seed, "tracking": {"tags": tags}}
            members.append(read_member(make_run(tmp_path / f"{variant}{seed}", fields, rate)))
    return members


def study(members: list[Any], baseline: str | None = None) -> dict[str, Any]:
    options = Options(baseline=baseline, resamples=QUICK)
    return make_study("g", members, places_of(members), options).to_json()


def test_the_best_against_the_reference(tmp_path: Path) -> None:
    members = group(tmp_path, {"concat": 0.4, "multiply": 0.7, "sum": 0.6, "question-only": 0.9})
    found = verdict(study(members))
    assert found is not None
    assert (found.best, found.other, found.real) == ("multiply", "concat", True)
    assert found.difference == pytest.approx(30, abs=3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high
    assert found.untested == ("sum",)
    assert not found.is_best  # by the other test it may be no better than `sum`


def test_the_reference_is_the_best(tmp_path: Path) -> None:
    members = group(tmp_path, {"concat": 0.4, "multiply": 0.7, "twin": 0.7})
    found = verdict(study(members, "multiply"))
    assert found is not None
    assert (found.best, found.other, found.real) == ("multiply", "twin", False)
    assert found.level_with == ("twin",)
    assert found.untested == ()
    assert not found.is_best
    whole = study(group(tmp_path / "2", {"a": 0.7, "b": 0.4}), "a")
    (test,) = whole["comparisons"]  # of b less a
    clear = verdict(whole)
    assert clear is not None
    assert (clear.difference, clear.low, clear.high) == (
        -test["difference"],
        -test["high"],
        -test["low"],
    )
    assert (clear.other, clear.real, clear.level_with) == ("b", True, ())
    assert clear.is_best


def told(reference: str, p_values: dict[str, float], *means: tuple[str, float]) -> dict[str, Any]:
    """A study of these means, each variant but the reference tested against that."""
    rows = [
        {"name": name, "mean": mean, "sd": 1.0, "scores": [mean] * 3, "baseline": None}
        for name, mean in means
    ]
    comparisons = [
        {
            "a": a,
            "difference": -1.0,
            "low": -2.0,
            "high": 0.0,
            "adjusted_p_value": p,
            "power": "this test would have found 3.0",
            "runs": [3, 3],
        }
        for a, p in p_values.items()
    ]
    return {"variants": rows, "comparisons": comparisons, "reference": reference}


def test_nothing_is_best_beside_a_third_one_that_may_be_as_good() -> None:
    """The second is steady and lower; the third varies so much that nothing is known of it."""
    means = (("best", 67.4), ("steady", 63.6), ("wild", 62.4))
    found = verdict(told("best", {"steady": 0.0005, "wild": 0.72}, *means))
    assert found is not None
    assert (found.other, found.p, found.level_with) == ("wild", 0.72, ("wild",))
    assert not found.real
    assert not found.is_best
    clear = verdict(told("best", {"steady": 0.0005, "wild": 0.01}, *means))
    assert clear is not None
    assert (clear.other, clear.is_best) == ("steady", True)


def test_nothing_is_best_before_all_were_tested_against_it() -> None:
    """The reference is second; nobody knows how the third stands to the best."""
    means = (("best", 67.4), ("reference", 63.6), ("third", 62.4), ("fourth", 60.0))
    p_values = {"best": 0.0005, "third": 0.7, "fourth": 0.001}
    found = verdict(told("reference", p_values, *means))
    assert found is not None
    assert (found.other, found.real, found.untested) == ("reference", True, ("third", "fourth"))
    assert not found.is_best
    pair = verdict(told("reference", {"best": 0.0005}, *means[:2]))
    assert pair is not None
    assert pair.is_best


def test_what_a_test_could_have_found_is_said_as_in_its_sentence(tmp_path: Path) -> None:
    """Of equals it would have found 0.0 points, which is no sense."""
    alike = study(group(tmp_path / "a", {"a": 0.5, "b": 0.5}))
    close = study(group(tmp_path / "b", {"a": 0.5, "b": 0.51}))
    for found, said in ((alike, "they score alike on every image"), (close, "would have found")):
        answer, (test,) = verdict(found), found["comparisons"]
        assert answer is not None
        assert said in answer.power
        assert test["sentence"].endswith(answer.power)


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_run_against_another_tells_nothing_of_other_seeds(tmp_path: Path, seeds: int) -> None:
    found = study(group(tmp_path, {"concat": 0.4, "multiply": 0.7}, seeds))
    answer = verdict(found)
    assert answer is not None
    assert answer.real
    assert answer.lone == (LONE in found["notes"]) == (seeds == 1)


def test_an_effect_over_one_common_seed_is_of_these_runs_alone(tmp_path: Path) -> None:
    """Every comparison has a side of three runs."""
    folder = make_folder(tmp_path, known)
    for number in (1, 2):
        shutil.rmtree(next(folder.glob(f"multiply-soft.s{number}*")))
    found = study([read_member(run) for run in sorted(folder.iterdir())])
    assert min(max(test["runs"]) for test in found["comparisons"]) == 3
    assert [effect["seeds"] for effect in found["interactions"]] == [1]
    assert LONE in found["notes"]


def test_the_only_variant_is_told_from_every_control() -> None:
    study = told(
        "mine", {"blind": 0.001, "chance": 0.3}, ("mine", 60), ("blind", 50), ("chance", 40)
    )
    for row in study["variants"][1:]:
        row["baseline"] = row["name"]
    found = verdict(study)
    assert found is not None
    assert (found.best, found.other, found.level_with) == ("mine", "chance", ("chance",))


def test_before_a_study_is_there(tmp_path: Path) -> None:
    members = group(tmp_path, {"concat": 0.4, "multiply": 0.7})
    fields = {**BASE, "seed": 7, "tracking": {"tags": ["variant=sum", "model.fusion=sum"]}}
    members.append(read_member(fail_run(tmp_path / "bad", fields, "it broke")))
    quick = standing("g", members, places_of(members))
    whole = study(members)
    assert [quick[name] for name in ("protocol", "split")] == ["multiple-choice/1", "test"]
    assert quick.keys() - whole.keys() == {"apart"}
    for mine, theirs in zip(quick["variants"], whole["variants"], strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["seeds"] == theirs["seeds"]
        assert mine["parameters"] == theirs["parameters"]
    assert [one["reason"] for one in quick["left_out"]] == ["failed: it broke"]
    found = verdict(quick)
    assert found is not None
    assert (found.best, found.p, found.real) == ("multiply", None, False)
    assert verdict(standing("g", [], [])) is None


def test_results_that_say_something_else(tmp_path: Path) -> None:
    members = group(tmp_path, {"concat": 0.4}, seeds=1)
    for at, overall in enumerate((None, True, "much", [1])):
        fields = {**BASE, "tracking": {"tags": [f"variant=odd{at}"]}}
        run = make_run(tmp_path / f"odd{at}", fields, 0.5, overall=overall, per_question_type=3)
        members.append(read_member(run))
    quick = standing("g", members, places_of(members))
    assert [row["name"] for row in quick["variants"]] == ["concat"]


def test_figures_are_json_and_complete(tmp_path: Path) -> None:
    whole = study(group(tmp_path, {"<b>concat": 0.4, "multiply": 0.7, "question-only": 0.2}))
    figure = dots(whole["variants"], whole["reference"])
    seeds, means = figure["data"]
    assert len(seeds["x"]) == 6
    assert means["x"] == sorted(means["x"])
    assert "&lt;b&gt;concat" in means["text"]
    names, rows = heat_table(whole, "per_question_type")
    assert names == ["colour", "shape"]
    assert len(rows) == len(whole["variants"]) - 1
    reference = {row["name"]: row for row in whole["variants"]}[whole["reference"]]
    by_name = {row["name"]: row for row in whole["variants"]}
    for name, cells in rows:
        for type_name, cell in zip(names, cells, strict=True):
            mine = by_name[name]["per_question_type"][type_name]
            assert cell == pytest.approx(mine - reference["per_question_type"][type_name])
    json.dumps([figure, heat(whole, "per_question_type"), heat(whole, "per_answer_type")])
    before = standing("g", [], [])
    json.dumps([dots(before["variants"], ""), heat(before, "per_question_type")])


def test_a_band_is_drawn_for_several_seeds_alone(tmp_path: Path) -> None:
    runs: list[Curves] = []
    for seed in range(2):
        journal = tmp_path / f"{seed}.jsonl"
        journal.write_text("".join(f'{{"step": {at}, "loss": {at + seed}}}\n' for at in range(5)))
        runs.append(read_curves(journal))
    several, alone = seed_band(runs, "loss"), seed_band(runs[:1], "loss")
    assert several is not None
    assert alone is not None
    figure = curves({"several": several, "alone": alone}, {"several": 0, "alone": COLOURS}, "loss")
    assert [trace.get("name") for trace in figure["data"]] == [None, None, "several", "alone"]
    low, high, mean, _ = figure["data"]
    assert (low["y"][0], mean["y"][0], high["y"][0]) == (0.0, 0.5, 1.0)
    json.dumps(figure)


@pytest.mark.parametrize("key", ["data_fingerprint", "split", "protocol"])
def test_scores_of_unlike_questions_or_protocols_have_no_highest(tmp_path: Path, key: str) -> None:
    members = group(tmp_path, {"concat": 0.4, "multiply": 0.7})
    assert verdict(standing("g", members, places_of(members))) is not None
    file = members[-1].path / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: "another"}))
    members[-1] = read_member(members[-1].path)
    found = standing("g", members, places_of(members))
    assert found["apart"] == [key]
    assert verdict(found) is None
    assert len(found["variants"]) == 2
