"""The answer of an ablation on runs whose true differences are known."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.ablation.runs import BASE, InstantService, fail_run, make_run
from vqa.ablation.csv_table import to_csv
from vqa.ablation.expand import expand
from vqa.ablation.gather import gather, is_collection
from vqa.ablation.members import find_members
from vqa.ablation.page import ticks, to_html
from vqa.ablation.schema import parse_ablation
from vqa.ablation.study import Options, Study, make_study
from vqa.ablation.tables import latex, left_out, tables, to_latex, to_markdown, to_text
from vqa.commands import compare
from vqa.errors import InputError, ResultError, RunError
from vqa.jobs.home import Home
from vqa.jobs.views import SubmitRequest

RATES = {
    ("concat", "none"): 0.4,
    ("multiply", "none"): 0.5,
    ("concat", "soft"): 0.6,
    ("multiply", "soft"): 0.8,
}
AXES = {"model.fusion": ["concat", "multiply"], "model.attention": ["none", "soft"]}
QUICK = Options(resamples=500)


def make_folder(folder: Path, rate: Callable[[dict[str, str]], float], **fields: Any) -> Path:
    """Runs of a 2 × 2 grid with three seeds; blind baselines at 0.3."""
    given = {"group": "g", "base": BASE, "axes": AXES} | fields
    for cell in expand(parse_ablation(given, Path(), "a")).cells:
        chosen = rate(cell.labels) if cell.labels else 0.3
        make_run(folder / cell.name, cell.experiment.to_dict(), chosen)
    return folder


def study_of(folder: Path, options: Options = QUICK) -> Study:
    found = gather([str(folder)], {}, None)
    return make_study(found.title, found.members, found.places, options)


def known(labels: dict[str, str]) -> float:
    return RATES[labels["model.fusion"], labels["model.attention"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("runs"), known)


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return study_of(folder)


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
    assert re.fullmatch(r"concat-none beats chance by .*, p = 0\.\d+, 3 seeds", claims["chance"])
    assert "Holm's over 6 comparisons with concat-none" in to_text(study)


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
    assert all(re.fullmatch(pattern, claim) for claim in study.claims)
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
    assert all(effect.adjusted_p < 0.01 for effect in study.main_effects)


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


def test_with_nothing_finished_the_reasons_are_said(tmp_path: Path) -> None:
    fail_run(tmp_path / "a", BASE, "no memory")
    with pytest.raises(ResultError, match=r"needs two variants with a finished run .*no memory"):
        study_of(tmp_path)


def test_a_later_run_of_the_same_cell_counts_and_hides_a_failed_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, seeds=1)
    run = next(run for run in folder.iterdir() if run.name.startswith("concat-none"))
    experiment = yaml.safe_load((run / "experiment.yaml").read_text())
    make_run(folder / "zz-again", experiment, 0.1)
    fail_run(folder / "zz-failed", experiment, "x")
    study = study_of(folder)
    assert study.rows[0].mean == pytest.approx(10, abs=3)
    assert not study.left_out
    assert any("1 runs have a later one" in note for note in study.notes)


def test_runs_of_one_variant_that_differ_in_more_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, baselines=[])
    run = next(run for run in folder.iterdir() if run.name.startswith("concat-none.s1"))
    experiment = yaml.safe_load((run / "experiment.yaml").read_text())
    experiment["optimizer"]["lr"] = 0.5
    (run / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    assert (
        "the runs of concat-none differ in optimizer.lr too, not in their seed only"
        in study_of(folder).notes
    )


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
    from tests.ablation.runs import predictions
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


HOSTILE = "<script>alert(1)</script>&\\x_y|%=\x1b[31m"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Types, names, and errors that somebody chose with care."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, rate in (("=1+1", 0.4), ("b|_%", 0.6)):
        make_run(folder / name, {"seed": 0}, rate, types=(HOSTILE, "+other"))
    fail_run(folder / "failed", {"seed": 0}, HOSTILE)
    names = {name: [folder / name] for name in ("=1+1", "b|_%", "failed")}
    found = gather([], names, None)
    return make_study(HOSTILE, found.members, found.places, QUICK)


class _Checker(html.parser.HTMLParser):
    """Collects tags, and refuses what the page may not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "line", "circle"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("src", "href", "style")
            assert "url(" not in (value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("which", ["study", "hostile"])
def test_the_page_is_whole_escaped_and_alone(which: str, request: pytest.FixtureRequest) -> None:
    page = to_html(request.getfixturevalue(which))
    checker = _Checker()
    checker.feed(page)
    assert not checker.open
    assert "script" not in checker.tags
    assert {"svg", "table", "style"} <= checker.tags
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in page
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_the_heat_map_shows_differences_to_the_reference(study: Study) -> None:
    page = to_html(study)
    assert "Difference to concat-none per question type" in page
    shown = study.difference(study.rows[-1], "per_question_type", "colour")
    assert f">{shown:+.1f}<" in page


def test_many_types_stand_below_each_other(study: Study) -> None:
    few = replace(study, rows=study.rows[:1])
    assert len(few.type_names("per_question_type")) > 1
    wide, tall = (tables(few, most_types=most)[-1] for most in (10, 1))
    assert wide.title == tall.title == "per question type"
    turned = [*zip(*[wide.head, *wide.rows], strict=True)]
    assert turned == [tall.head, *tall.rows]
    parts = [part for part in tables(study, most_types=1) if part.title == "per question type"]
    assert [part.head[1:] for part in parts] == [(row.name,) for row in study.rows]


def test_latex_says_what_is_there(study: Study, hostile: Study) -> None:
    text = to_latex(study)
    assert r"\begin{tabular}{lrrrrrrr}" in text
    assert r"multiply-soft & " in text
    assert r"$\pm$" in text
    assert latex("a_b & 50 % #1 {x} ~^\\ <$>") == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \textless{}\$\textgreater{}"
    )
    assert r"b|\_\%" in to_latex(hostile)
    assert "\x1b" not in to_latex(hostile)
    body = [line for line in to_latex(hostile).splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[_%#]", "\n".join(body))


def test_markdown_keeps_its_columns(study: Study, hostile: Study) -> None:
    for one in (study, hostile):
        tables = [line for line in to_markdown(one).splitlines() if line.startswith("| ")]
        widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
        assert set(widths) == {9, len(one.type_names("per_question_type")) + 2}
    assert "<script" not in to_markdown(hostile)


def test_csv_is_no_formula(study: Study, hostile: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(study))))
    kinds = {row["kind"] for row in rows}
    assert kinds == {
        "overall",
        "per_question_type",
        "parameters",
        "questions_per_second",
        "seconds_to_best",
        "peak_memory_mb",
        "comparison",
        "main_effect",
        "interaction",
    }
    overall = next(
        row for row in rows if row["variant"] == "multiply-soft" and row["kind"] == "overall"
    )
    assert float(overall["low"]) < float(overall["score"]) < float(overall["high"])
    compared = next(
        row for row in rows if row["kind"] == "comparison" and row["variant"] == "chance"
    )
    assert float(compared["score"]) < 0  # numbers stay numbers
    for row in csv.DictReader(io.StringIO(to_csv(hostile))):
        assert not row["variant"].startswith(("=", "+", "-", "@"))
        assert not row["name"].startswith(("=", "+", "-", "@"))


def test_the_terminal_is_not_steered(hostile: Study) -> None:
    text = to_text(hostile)
    assert "\x1b" not in text
    assert "left out, 1 runs" in text


def test_json_has_its_documented_shape(study: Study) -> None:
    shown = json.loads(json.dumps(study.to_json()))
    assert set(shown) >= {
        "title",
        "data_fingerprint",
        "split",
        "protocol",
        "n",
        "images",
        "reference",
        "axes",
        "variants",
        "comparisons",
        "main_effects",
        "interactions",
        "left_out",
        "correction",
        "notes",
    }
    assert (shown["n"], shown["images"], shown["protocol"]) == (600, 200, "multiple-choice/1")
    assert {
        "a",
        "b",
        "difference",
        "low",
        "high",
        "p_value",
        "adjusted_p_value",
        "sentence",
    } <= set(shown["comparisons"][0])
    assert {"axes", "values", "against", "settings", "seeds", "difference", "sentence"} <= set(
        shown["interactions"][0]
    )
    assert len(shown["variants"][0]["runs"]) == 3


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1))
def test_the_scale_holds_everything(intervals: list[tuple[float, float]]) -> None:
    lows, highs = [min(one) for one in intervals], [max(one) for one in intervals]
    shown = ticks(lows, highs)
    assert shown[0] <= min(lows)
    assert max(highs) <= shown[-1]
    assert 2 <= len(shown) <= 7
    assert shown[0] >= 0


def run(*arguments: Any) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    compare.configure(parser)
    return compare.run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command_on_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {form: tmp_path / f"out.{form}" for form in ("html", "csv", "markdown", "latex")}
    options = [word for form, file in files.items() for word in (f"--{form}", file)]
    assert run(folder, "--resamples", 300, "--baseline", "multiply-none", *options) == 0
    text = capsys.readouterr().out
    assert "multiply-soft beats multiply-none by " in text
    assert all(file.stat().st_size for file in files.values())
    assert run(folder, "--resamples", 300, "--json", "--no-chance") == 0
    shown = json.loads(capsys.readouterr().out)
    assert "chance" not in {one["name"] for one in shown["variants"]}


def test_the_command_on_single_runs_makes_a_page_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, *_ = sorted(folder.iterdir())
    assert run(a, b, "--resamples", 300, "--html", tmp_path / "page.html") == 0
    assert str(b) in capsys.readouterr().out
    assert (
        run("--variant", f"x={a}", "--variant", f"y={b}", "--baseline", "y", "--resamples", 300)
        == 0
    )
    assert "between x and y" in capsys.readouterr().out


def test_two_folders_keep_their_variants_apart(folder: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", known, seeds=1, baselines=[])
    found = gather([str(folder), str(other)], {}, None)
    study = make_study(found.title, found.members, found.places, QUICK)
    assert f"{other}:concat-none" in {row.name for row in study.rows}
    assert not study.axes


def test_names_that_are_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    with pytest.raises(
        RunError, match="no run, folder or group 'nothing'; no group was submitted yet"
    ):
        run("nothing")
    with pytest.raises(RunError, match="holds no run"):
        run(tmp_path, "--baseline", "x")
    with pytest.raises(InputError, match="below 100"):
        run("nothing", "--resamples", 3)
    assert not (tmp_path / "home").exists()


def test_runs_on_other_data_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, known, seeds=1, baselines=[])
    run_dir = next(folder.iterdir())
    result = json.loads((run_dir / "result.json").read_text())
    (run_dir / "result.json").write_text(json.dumps(result | {"data_fingerprint": "other"}))
    with pytest.raises(ResultError, match="data_fingerprint differs"):
        study_of(folder)


def test_a_folder_without_runs_does_not_hide_a_group_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home").make()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo" / "notes").mkdir(parents=True)
    service = InstantService(home, lambda _, __: "failed")
    service.submit(SubmitRequest(experiment=BASE, name="one", group="demo"))
    members = find_members("demo", home)
    assert members is not None
    assert len(members) == 1
    assert is_collection(Path("demo"))
    with pytest.raises(RunError, match="holds no run"):
        gather([str(tmp_path / "demo" / "notes")], {}, home)
