"""Runs of one grid that differ in more than its axes: the base was changed between them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ablation.runs import AXES, BASE, fail_run, known, make_folder, make_run, study_of
from vqa.ablation.expand import Cell, expand
from vqa.ablation.gather import gather
from vqa.ablation.schema import parse_ablation
from vqa.ablation.sorting import Sorted, sort_members
from vqa.ablation.study import Study

FUSIONS = {"model.fusion": ["concat", "multiply"]}


def cells(axes: dict[str, Any], *, baselines: Iterable[str] = (), **base: Any) -> list[Cell]:
    """Of a grid with two seeds whose base was changed, section.key=value."""
    fields = copy.deepcopy(BASE)
    for path, value in base.items():
        section, _, key = path.partition("__")
        fields[section][key] = value
    given = {"group": "g", "base": fields, "axes": axes, "baselines": list(baselines), "seeds": 2}
    return expand(parse_ablation(given, Path(), "a")).cells


def train(
    folder: Path, made: Iterable[Cell], wanted: Callable[[Cell], bool] = lambda _: True
) -> None:
    for cell in made:
        if wanted(cell):
            make_run(folder / cell.name, cell.experiment.to_dict(), 0.4)


def found_in(folder: Path) -> Sorted:
    found = gather([str(folder)], {}, None)
    return sort_members(found.members, found.places)


def fuses(name: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.labels.get("model.fusion") == name


@pytest.fixture
def half(tmp_path: Path) -> Study:
    """A grid that was trained, and half trained again after its base was changed."""
    for cell in cells(FUSIONS):
        make_run(tmp_path / f"1{cell.name}", cell.experiment.to_dict(), 0.4)
    for cell in cells(FUSIONS, trainer__max_epochs=40):
        if fuses("multiply")(cell):
            make_run(tmp_path / f"2{cell.name}", cell.experiment.to_dict(), 0.6)
        else:
            fail_run(tmp_path / f"2{cell.name}", cell.experiment.to_dict(), "disk full")
    return study_of(tmp_path)


def test_variants_of_different_bases_are_named(half: Study) -> None:
    told = "the runs differ in trainer.max_epochs beside their axes (2: concat; 40: multiply)"
    assert told in half.notes


def test_a_newer_run_of_another_experiment_is_left_out_where_an_older_one_counts(
    half: Study,
) -> None:
    reasons = {(one.variant, one.seed): one.reason for one in half.left_out}
    reason = "failed: disk full; an older run counts, which differs in trainer.max_epochs"
    assert reasons == {("concat", 0): reason, ("concat", 1): reason}


def test_an_older_failure_of_another_experiment_is_no_longer_told(tmp_path: Path) -> None:
    for cell in cells(FUSIONS):
        fail_run(tmp_path / f"1{cell.name}", cell.experiment.to_dict(), "disk full")
    for cell in cells(FUSIONS, trainer__max_epochs=40):
        make_run(tmp_path / f"2{cell.name}", cell.experiment.to_dict(), 0.6)
    found = found_in(tmp_path)
    assert (found.left_out, found.notes) == ([], [])


def test_what_axes_change_is_not_told(tmp_path: Path) -> None:
    quick = {"label": "quick", "set": {"trainer.max_epochs": 1, "optimizer.lr": 0.1}}
    axes = {**AXES, "recipe": [{"label": "base", "set": {}}, quick]}
    train(tmp_path, cells(axes, baselines=("question-only", "image-only")))
    assert found_in(tmp_path).notes == []


def test_a_key_below_an_axis_is_told_where_its_label_does_not_explain_it(tmp_path: Path) -> None:
    train(tmp_path, cells(AXES), fuses("concat"))
    train(
        tmp_path, cells(AXES, model__attention={"name": "soft", "glimpses": 4}), fuses("multiply")
    )
    told = "the runs differ in model.attention.glimpses beside their axes (2: concat-soft; 4: multiply-soft)"
    assert found_in(tmp_path).notes == [told]


def test_a_named_axis_explains_its_own_changes_alone(tmp_path: Path) -> None:
    quick = {"label": "quick", "set": {"trainer.max_epochs": 1}}
    axes = {**FUSIONS, "recipe": [{"label": "base", "set": {}}, quick]}
    train(tmp_path, cells(axes), fuses("concat"))
    train(tmp_path, cells(axes, data__batch_size=16), fuses("multiply"))
    told = (
        "the runs differ in data.batch_size beside their axes (16: multiply-base, multiply-quick;"
        " 32: concat-base, concat-quick)"
    )
    assert found_in(tmp_path).notes == [told]


def test_a_baseline_of_another_base_is_told(tmp_path: Path) -> None:
    train(tmp_path, cells(FUSIONS, baselines=("question-only",)), lambda cell: not cell.labels)
    train(tmp_path, cells(FUSIONS, trainer__max_epochs=40))
    told = "the runs differ in trainer.max_epochs beside their axes (2: question-only; 40: concat, multiply)"
    assert found_in(tmp_path).notes == [told]


def test_of_many_keys_the_first_are_told(tmp_path: Path) -> None:
    train(tmp_path, cells(FUSIONS), fuses("concat"))
    changed = {f"data__{key}": 7 for key in ("batch_size", "max_answers", "min_word_count")}
    changed |= {f"trainer__{key}": 7 for key in ("max_epochs", "max_steps", "log_every_n_steps")}
    train(tmp_path, cells(FUSIONS, **changed), fuses("multiply"))
    notes = found_in(tmp_path).notes
    assert len(notes) == 6
    assert notes[-1] == "they differ in 1 keys more beside their axes"


def test_ablations_of_one_group_with_different_axes_are_told(tmp_path: Path) -> None:
    make_folder(tmp_path, known, baselines=[])
    assert found_in(tmp_path).notes == []
    train(tmp_path, cells({"optimizer.lr": [0.1, 0.2]}))
    told = (
        "the runs are of ablations with different axes (model.fusion, model.attention; optimizer.lr):"
        " no effect of an axis is told"
    )
    assert told in found_in(tmp_path).notes


def test_a_store_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    for at, cell in enumerate(cells(FUSIONS)):
        fields = cell.experiment.to_dict()
        fields["data"]["store"] = f"/{at % 2}/store"
        make_run(tmp_path / cell.name, fields, 0.4)
    assert found_in(tmp_path).notes == []
    for run in tmp_path.iterdir():
        fields = yaml.safe_load((run / "experiment.yaml").read_text()) | {"tracking": {}}
        (run / "experiment.yaml").write_text(yaml.safe_dump(fields))
    assert list(found_in(tmp_path).variants) == ["concat", "multiply"]
    for run in tmp_path.iterdir():
        fields = yaml.safe_load((run / "experiment.yaml").read_text())
        if fields["data"]["store"] == "/1/store":
            result = json.loads((run / "result.json").read_text()) | {"data_fingerprint": "other"}
            (run / "result.json").write_text(json.dumps(result))
    assert len(found_in(tmp_path).variants) == 4
