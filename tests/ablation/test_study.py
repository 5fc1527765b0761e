"""The answer of an ablation on runs whose true differences are known."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ablation.runs import (
    AXES,
    BASE,
    QUICK,
    fail_run,
    known,
    make_folder,
    make_run,
    predictions,
    study_of,
)
from vqa.ablation.drawing import learning
from vqa.ablation.expand import expand
from vqa.ablation.gather import gather
from vqa.ablation.members import find_members, read_member
from vqa.ablation.page import to_html
from vqa.ablation.schema import parse_ablation
from vqa.ablation.sorting import why
from vqa.ablation.study import Options, Study, make_study
from vqa.ablation.tables import left_out, to_latex, to_markdown, to_text
from vqa.errors import ResultError
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State, Submission


def test_every_variant_has_its_figures(study: Study) -> None:
    rows = {row.name: row for row in study.rows}
    grid = ["concat-none", "concat-soft", "multiply-none", "multiply-soft"]
    assert list(rows) == [*grid, "image-only", "question-only", "chance"]
    best = rows["multiply-soft"]
    assert best.mean == pytest.approx(80, abs=3)
    assert best.seeds == [0, 1, 2]
    assert best.sd is not None
    assert best.low < best.mean < best.high
    assert (best.parameters, best.questions_per_second) == (12345, 100)
    assert (best.seconds_to_best, best.peak_memory_mb) == (7.5, 512)
    assert set(best.per_question_type) == {"colour", "shape"}
    chance = rows["chance"]
    assert (chance.mean, chance.sd, chance.seeds, chance.baseline) == (25, None, [], "chance")
    assert rows["question-only"].baseline == "question-only"


def test_the_first_cell_is_the_reference_and_real_differences_are_found(study: Study) -> None:
    assert study.reference == "concat-none"
    claims = {pair.a: claim for pair, claim in zip(study.pairs, study.claims, strict=True)}
    assert re.fullmatch(
        r"multiply-soft beats concat-none by (39|40|41)\.\d ± \d\.\d, p < 0\.001, 3 seeds",
        claims["multiply-soft"],
    )
    assert claims["question-only"].startswith("concat-none beats question-only by ")
    assert re.fullmatch(
        r"concat-none beats chance by .* ± .*, p < 0\.001, 3 seeds", claims["chance"]
    )
    assert "Holm's over 6 comparisons with concat-none" in to_text(study)


@pytest.mark.parametrize("form", [to_text, to_markdown, to_latex, to_html])
def test_what_intervals_are_is_said_once_and_of_lists_that_are_not_there_nothing(
    study: Study, form: Callable[[Study], str]
) -> None:
    told = "each interval is of its test alone, not corrected"
    assert form(study).count(told) == 1
    assert form(study).count("half its 95") == 1
    assert "lists of questions" not in form(study)
    one = replace(study, main_effects=[], comparison=replace(study.comparison, pairs=[]))
    assert told not in form(one)


def test_main_effects_and_interactions_are_those_put_in(study: Study) -> None:
    effects = {effect.axes[0]: effect for effect in study.main_effects}
    fusion, attention = effects["model.fusion"], effects["model.attention"]
    for effect, true in ((fusion, 15.0), (attention, 25.0), (study.interactions[0], 10.0)):
        assert effect.test.low < true < effect.test.high or abs(effect.test.difference - true) < 2
        assert effect.seeds == 3
    assert (fusion.values, fusion.against, fusion.settings) == (("multiply",), ("concat",), 2)
    claims = study.effect_claims
    assert claims[0].startswith("model.fusion: multiply beats concat by 1")
    assert "over 2 settings of the other axes" in claims[0]
    assert re.match(
        r"model\.fusion × model\.attention: multiply gains .* more over concat with soft than with none",
        claims[2],
    )


def test_effects_are_the_means_of_the_cells(study: Study) -> None:
    mean = {row.name: row.mean for row in study.rows}
    fusion = (
        mean["multiply-none"] - mean["concat-none"] + mean["multiply-soft"] - mean["concat-soft"]
    ) / 2
    both = mean["multiply-soft"] - mean["concat-soft"] - mean["multiply-none"] + mean["concat-none"]
    assert study.main_effects[0].test.difference == pytest.approx(fusion)
    assert study.interactions[0].test.difference == pytest.approx(both)


def test_where_there_is_no_difference_the_study_says_what_it_would_have_found(
    tmp_path: Path,
) -> None:
    study = study_of(make_folder(tmp_path, lambda _: 0.5, baselines=[]))
    found = r"no difference found between \S+ and concat-none \([+-]0\.0 .*3 seeds\)"
    pattern = found + r"; they score alike on every image"
    assert [re.fullmatch(pattern, claim) is not None for claim in study.claims] == [True] * 3
    assert (
        "no difference found between what multiply gains over concat with soft and with none"
        in study.effect_claims[-1]
    )
    assert "chance" not in {row.name for row in study.rows}


def test_an_additive_grid_has_no_interaction(tmp_path: Path) -> None:
    gains = {"concat": 0.0, "multiply": 0.1, "none": 0.4, "soft": 0.6}
    study = study_of(
        make_folder(
            tmp_path, lambda labels: sum(gains[one] for one in labels.values()), baselines=[]
        )
    )
    assert study.interactions[0].adjusted_p > 0.05
    assert [effect.adjusted_p < 0.01 for effect in study.main_effects] == [True, True]


def test_learning_curves_are_of_the_runs_that_were_validated(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, baselines=[])
    for at, run in enumerate(sorted(folder.glob("concat-none*"))):
        lines = [{"step": s, "val/accuracy": 10.0 * s + at, "train/loss": 1.0} for s in (1, 2)]
        (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = learning(study_of(folder).journals)
    assert list(found) == ["concat-none"]
    assert found["concat-none"].mean.tolist() == [11.0, 21.0]
    assert found["concat-none"].high.tolist() == [12.0, 22.0]


def test_another_baseline_can_be_chosen(folder: Path) -> None:
    study = study_of(folder, Options(baseline="multiply-soft", resamples=500))
    assert {pair.b for pair in study.pairs} == {"multiply-soft"}
    assert study.axes == {
        "model.fusion": ["multiply", "concat"],
        "model.attention": ["soft", "none"],
    }
    assert study.effect_claims[0].startswith("model.fusion: multiply beats concat")
    with pytest.raises(
        ResultError, match=r"no variant 'multiply-sotf'; did you mean 'multiply-soft'\?"
    ):
        study_of(folder, Options(baseline="multiply-sotf", resamples=500))
    with pytest.raises(ResultError, match="no variant 'zz'; known: ") as caught:
        study_of(folder, Options(baseline="zz", resamples=500))
    assert str(caught.value).count("concat-none") == 1


def test_failed_and_missing_members_are_listed_and_left_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known)
    runs = {run.name.rpartition(".")[0]: run for run in folder.iterdir()}
    experiment = yaml.safe_load((runs["multiply-soft.s1"] / "experiment.yaml").read_text())
    fail_run(runs["multiply-soft.s1"], experiment, "the loss became NaN")
    (runs["multiply-none.s2"] / "result.json").unlink()
    (runs["concat-soft.s0"] / "predictions" / "test.jsonl").write_text("{broken\n")
    for seed in range(3):
        (runs[f"image-only.s{seed}"] / "result.json").write_text("{")
    study = study_of(folder)
    reasons = {(one.variant, one.seed): one.reason for one in study.left_out}
    assert reasons["multiply-soft", 1] == "failed: the loss became NaN"
    assert reasons["multiply-none", 2] == "has not ended"
    assert "not valid JSON" in reasons["concat-soft", 0]
    assert reasons["image-only", 0].startswith("unreadable: result.json cannot be read")
    assert len(study.left_out) == 6
    seeds = {row.name: row.seeds for row in study.rows}
    assert seeds["multiply-soft"] == [0, 2]
    assert "image-only" not in seeds
    assert any("not all variants have the same seeds" in note for note in study.notes)
    told = "an effect counts the seeds that all its cells have; lacking are those of "
    assert f"{told}concat-soft (0), multiply-none (2), multiply-soft (1)" in study.notes
    assert (
        study.interactions[0].seeds == 0
    )  # none is common to all four cells: 0,2 / 0,1 / 1,2 / 0,1,2
    text = to_text(study)
    assert "left out, 6 runs:\n" in text
    assert "multiply-soft, seed 1: failed: the loss became NaN" in text
    alike = [
        replace(one, reason="cancelled") for one in study.left_out if one.variant == "image-only"
    ]
    assert left_out(replace(study, left_out=alike)) == ["image-only, seeds 0, 1, 2: cancelled"]


def test_of_one_axis_no_effects_are_told_and_none_that_lacks_seeds(tmp_path: Path) -> None:
    axes = {"model.fusion": ["concat", "multiply"]}
    folder = make_folder(tmp_path, lambda _: 0.5, baselines=[], axes=axes)
    next(folder.glob("concat.s0*")).joinpath("result.json").unlink()
    study = study_of(folder)
    assert (study.main_effects, study.interactions) == ([], [])
    assert [note for note in study.notes if "effect" in note] == []
    assert any("not all variants have the same seeds" in note for note in study.notes)


def test_with_nothing_finished_the_reasons_are_said(tmp_path: Path) -> None:
    fail_run(tmp_path / "a", BASE, "no memory")
    with pytest.raises(ResultError, match=r"needs two variants with a finished run .*no memory"):
        study_of(tmp_path)


@pytest.mark.parametrize(
    ("status", "fix"), [("failed", "train a second one, or `vqa resume`"), (None, "wait for")]
)
def test_what_is_to_be_done_where_nothing_can_be_compared(
    tmp_path: Path, status: str | None, fix: str
) -> None:
    run = fail_run(tmp_path / "a", BASE, "no memory")
    if status is None:
        (run / "result.json").unlink()
    with pytest.raises(ResultError) as refused:
        study_of(tmp_path)
    assert refused.value.fix.startswith(fix)


def test_a_single_variant_has_nothing_to_wait_for(tmp_path: Path) -> None:
    make_run(tmp_path / "a", BASE, 50.0)
    with pytest.raises(ResultError, match="train a second one"):
        study_of(tmp_path)


@pytest.mark.parametrize("gone", ["result.json", "."])
def test_a_job_that_succeeded_and_has_lost_its_result_is_not_waited_for(
    tmp_path: Path, gone: str
) -> None:
    home = Home(tmp_path).make()
    queue = Queue(home.queue_file)
    job, _ = queue.submit(Submission(dict(BASE), "ann", "a", group="g"))
    claimed = queue.claim(job)
    assert claimed is not None
    queue.move(claimed, State.SUCCEEDED)
    run = make_run(home.run_dir(job.id), BASE, 50.0)
    shutil.rmtree(run) if gone == "." else (run / gone).unlink()
    [member] = find_members("g", home) or []
    assert why(member) == "unreadable: its result is gone"


def test_a_long_reason_is_seen_to_be_cut(tmp_path: Path) -> None:
    fail_run(tmp_path, BASE, "x" * 1000)
    assert read_member(tmp_path).reason.endswith("x…")


def test_a_number_beyond_all_reckoning_leaves_its_run_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, baselines=[])
    run = next(run for run in folder.iterdir() if run.name.startswith("concat-none.s1"))
    result = (run / "result.json").read_text().replace("12345", "9" * 400)
    (run / "result.json").write_text(result)
    [left] = study_of(folder).left_out
    assert (left.variant, left.reason[:42]) == (
        "concat-none",
        "unreadable: result.json cannot be read (in",
    )


def test_vqa_accuracy_of_single_answers_is_told(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, baselines=[])
    study = study_of(folder, replace(QUICK, protocol="vqa-accuracy/since-2021"))
    told = "600 questions have a single answer and score 0 by this rule; exact/1 suits them"
    assert told in study.notes
    assert told not in study_of(folder).notes


def test_a_later_run_of_the_same_cell_counts_and_hides_a_failed_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, seeds=1)
    run = next(run for run in folder.iterdir() if run.name.startswith("concat-none"))
    experiment = yaml.safe_load((run / "experiment.yaml").read_text())
    make_run(folder / "zz-again", experiment, 0.1)
    fail_run(folder / "zz-failed", experiment, "x")
    study = study_of(folder)
    assert study.rows[0].mean == pytest.approx(10, abs=3)
    assert not study.left_out
    told = f"a later run of the same variant and seed counts in the place of {run.name}"
    assert told in study.notes


def test_runs_of_one_variant_that_differ_in_more_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, baselines=[])
    run = next(run for run in folder.iterdir() if run.name.startswith("concat-none.s1"))
    experiment = yaml.safe_load((run / "experiment.yaml").read_text())
    experiment["optimizer"]["lr"] = 0.5
    (run / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    told = "the runs differ in optimizer.lr beside their axes (0.001: concat-none, concat-soft, multiply-none and 1"
    notes = study_of(folder).notes
    assert f"{told} more; 0.5: concat-none)" in notes
    assert not any("not in their seed only" in note for note in notes)


def test_effects_of_a_single_axis_are_told_where_they_say_more_than_the_comparisons(
    tmp_path: Path,
) -> None:
    folder = make_folder(
        tmp_path,
        lambda labels: 0.8 if labels["model.fusion"] == "multiply" else 0.5,
        axes={"model.fusion": AXES["model.fusion"]},
    )
    study = study_of(folder)
    [claim] = [one for one in study.claims if "multiply" in one]
    assert claim.startswith("multiply beats concat")
    assert study.main_effects == []
    assert study.effect_claims == []
    blind = study_of(folder, replace(QUICK, baseline="question-only"))
    assert blind.effect_claims[0].startswith("model.fusion: multiply beats concat")


def test_a_folder_of_runs_without_tags_is_ordered_by_what_differs(
    tmp_path: Path, experiment: Callable[..., Any]
) -> None:
    for fusion, lr, rate in (
        ("concat", 0.1, 0.3),
        ("concat", 0.2, 0.4),
        ("sum", 0.1, 0.5),
        ("sum", 0.2, 0.6),
    ):
        for seed in (0, 1):
            made = experiment(model={"fusion": {"name": fusion}}, optimizer={"lr": lr}, seed=seed)
            make_run(tmp_path / f"{fusion}{lr}{seed}", made.to_dict(), rate)
    study = study_of(tmp_path)
    assert [row.name for row in study.rows] == [
        "concat-lr0.1",
        "concat-lr0.2",
        "sum-lr0.1",
        "sum-lr0.2",
    ]
    assert study.axes == {"model.fusion": ["concat", "sum"], "optimizer.lr": ["lr0.1", "lr0.2"]}
    assert [effect.axes for effect in study.main_effects] == [("model.fusion",), ("optimizer.lr",)]


def test_without_choices_chance_is_the_majority_of_the_store(
    tmp_path: Path, experiment: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqa.data.store import Store
    from vqa.evaluation.predictions import write_predictions

    made = experiment().to_dict()
    fingerprint = Store.open(made["data"]["store"]).fingerprint
    for name, rate in (("a", 0.4), ("b", 0.6)):
        changes = {"protocol": "exact/1", "data_fingerprint": fingerprint}
        make_run(tmp_path / name, made | {"seed": 0}, rate, **changes)
        plain = [replace(item, choices=[], label=-1) for item in predictions(rate)]
        write_predictions(tmp_path / name / "predictions" / "test.jsonl", plain)
    found = gather([str(tmp_path / "a"), str(tmp_path / "b")], {}, None)
    wish = Options(resamples=200, chance=True)
    study = make_study(found.title, found.members, found.places, wish)
    assert [row.name for row in study.rows][-1] == "majority"
    for member in found.members:
        member.experiment["data"]["store"] = str(tmp_path / "gone")  # type: ignore[index]
    study = make_study(found.title, found.members, found.places, wish)
    assert len(study.rows) == 2
    assert any(note.startswith("chance is not shown: ") for note in study.notes)


def test_runs_on_other_data_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, seeds=1, baselines=[])
    run_dir = next(folder.iterdir())
    result = json.loads((run_dir / "result.json").read_text())
    (run_dir / "result.json").write_text(json.dumps(result | {"data_fingerprint": "other"}))
    with pytest.raises(ResultError, match="data_fingerprint differs"):
        study_of(folder)


def test_a_variant_of_unlike_seeds_does_not_beat_chance(tmp_path: Path) -> None:
    """Two seeds of three guess: the third one's luck is no recipe's merit."""
    given = {"group": "g", "base": BASE, "axes": {"model.fusion": ["concat", "multiply"]}}
    for cell in expand(
        parse_ablation(given | {"baselines": ["chance"], "seeds": 3}, Path(), "a")
    ).cells:
        lucky = cell.labels["model.fusion"] == "concat" and cell.seed == 2
        make_run(tmp_path / cell.name, cell.experiment.to_dict(), 0.75 if lucky else 0.26)
    study = study_of(tmp_path)
    claims = {pair.a: claim for pair, claim in zip(study.pairs, study.claims, strict=True)}
    assert re.fullmatch(
        r"no difference found between chance and concat \(.* ± .*, 3 seeds\); .*", claims["chance"]
    )
    assert {row.name: row for row in study.rows}["chance"].low == pytest.approx(25, abs=0.5)


def test_a_single_seed_against_several_is_said_to_vary_as_they_do(tmp_path: Path) -> None:
    given = {"group": "g", "base": BASE, "axes": {"model.fusion": ["concat", "multiply"]}}
    for cell in expand(parse_ablation(given | {"baselines": [], "seeds": 3}, Path(), "a")).cells:
        if cell.labels["model.fusion"] == "concat":
            rate = (0.40, 0.44, 0.60)[cell.seed]
            make_run(tmp_path / cell.name, cell.experiment.to_dict(), rate)
        elif cell.seed == 0:
            make_run(tmp_path / cell.name, cell.experiment.to_dict(), 0.55)
    [claim] = study_of(tmp_path).claims
    assert claim.startswith("no difference found between multiply and concat")
    assert "1 and 3 seeds, taken to vary alike" in claim
