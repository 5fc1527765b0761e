"""Groups and runs of an older program, which knew fewer settings than today's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.grids import grid
from tests.ablation.runs import BASE, InstantService, make_run, study_of
from vqa.ablation.expand import NAME_DIGITS, Cell, Grid
from vqa.ablation.plan import look
from vqa.config import digest_of
from vqa.jobs.home import Home
from vqa.jobs.record import Filter
from vqa.jobs.views import SubmitRequest

FUSIONS = {"model.fusion": ["concat", "multiply"]}


def older(cell: Cell) -> dict[str, Any]:
    """Its experiment as a program wrote it that had neither of these settings."""
    fields = copy.deepcopy(cell.experiment.to_dict())
    del fields["data"]["augmentation"]["zoom"], fields["model"]["initialization"]
    return fields


def fusions(**changes: Any) -> Grid:
    base = copy.deepcopy(BASE)
    for key, value in changes.items():
        base.setdefault(key, {}).update(value)
    return grid(axes=FUSIONS, base=base)


@pytest.fixture
def service(tmp_path: Path) -> InstantService:
    """With the grid's jobs as the older program queued them; it resolved the path of the store."""
    made = InstantService(Home(tmp_path / "home").make(), lambda *_: "succeeded")
    for cell in fusions().cells:
        fields = older(cell)
        name = f"{cell.name.rpartition('.')[0]}.{digest_of(fields)[:NAME_DIGITS]}"
        fields["data"]["store"] = str(tmp_path / "stores" / "none")
        made.submit(SubmitRequest(experiment=fields, name=name, group="g"))
    while made.queue.waiting():
        made.jobs(Filter())  # each look has two of them done
    return made


def test_what_an_older_program_trained_is_not_trained_again(service: InstantService) -> None:
    plan = look(fusions(), service)
    assert {one.state for one in plan.members} == {"succeeded"}
    assert len({one.job.id for one in plan.members if one.job is not None}) == len(plan.members)


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"max_epochs": 9}},
        {"data": {"store": "stores/other"}},
        {"data": {"augmentation": {"zoom": 0.5}}},
    ],
    ids=["another-value", "another-store", "a-setting-that-it-did-not-have"],
)
def test_another_experiment_is_trained(service: InstantService, changes: dict[str, Any]) -> None:
    plan = look(fusions(**changes), service)
    assert len(plan.missing) == len(plan.members)


def test_of_an_older_programs_jobs_the_one_that_succeeded_counts(service: InstantService) -> None:
    first = service.queue.find(limit=99)[-1].submission
    service.work = lambda *_: "failed"
    service.submit(SubmitRequest(experiment=first.experiment, name=first.name, group="g"))
    service.jobs(Filter())
    assert {one.state for one in look(fusions(), service).members} == {"succeeded"}


def test_a_setting_that_a_run_does_not_name_has_its_default(tmp_path: Path) -> None:
    for cell in fusions().cells:
        fields = cell.experiment.to_dict() if cell.seed else older(cell)
        make_run(tmp_path / cell.name, fields, 0.5)
    notes = study_of(tmp_path).notes
    assert [note for note in notes if "differ" in note] == []
