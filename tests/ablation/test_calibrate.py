"""What runs will take, from a few steps of each kind."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import BASE
from vqa.ablation import calibrate as room
from vqa.ablation.calibrate import calibrate, measured_by, shortened
from vqa.ablation.estimate import seconds
from vqa.ablation.expand import Cell, expand
from vqa.ablation.plan import Plan, Planned
from vqa.ablation.schema import parse_ablation
from vqa.config import Experiment
from vqa.errors import ConfigError, RunError

Make = Callable[..., Experiment]


def as_it_is(fields: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(fields)


def test_each_kind_is_trained_once_and_the_others_follow_from_it(
    experiment: Make, scenes_store: Path
) -> None:
    said: list[str] = []
    many = experiment(trainer={"max_epochs": 1000}, tracking={"wandb": "offline", "group": "g"})
    cells = [Cell("a", seed, many.model_copy(update={"seed": seed})) for seed in range(3)]
    found = calibrate(cells, as_it_is, said.append)
    assert (len(found.measured), found.failed) == (1, [])
    assert said == ["measuring a, 1 of 1"]
    (one,) = found.measured
    assert (one.questions, one.store) == (160, scenes_store.name)
    assert one.speed > 0
    long = seconds(many, found.measured)
    short = seconds(experiment(trainer={"max_epochs": 1}), found.measured)
    assert long is not None and short is not None  # noqa: PT018 - for mypy
    assert long - short == pytest.approx(999 * 160 / one.speed)
    assert short > one.rest > 0


def test_what_cannot_be_trained_here_is_said_and_the_next_is_measured(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = experiment()
    monkeypatch.setattr(room, "_train", fails_at(str(tmp_path / "none")))
    cells = [
        Cell("gone", 0, experiment(data={"store": str(tmp_path / "none")})),
        Cell("large", 0, experiment(trainer={"num_nodes": 2, "devices": 1})),
        Cell("fine", 0, measured),
    ]
    found = calibrate(cells, as_it_is, [].append)
    assert [one.store for one in found.measured] == [measured.data.store.name]
    assert ["no such store" in found.failed[0], "several machines" in found.failed[1]] == [True] * 2


def fails_at(store: str) -> Callable[[Path, int], float]:
    """Training that finds no store at `store`, and takes no time elsewhere."""

    def train(folder: Path, threads: int) -> float:
        if store in (folder / "experiment.yaml").read_text():
            raise RunError("no such store")
        run = folder / "run"
        run.mkdir()
        (run / "result.json").write_text(
            '{"training": {"seconds": 2, "questions": 100, "questions_per_second": 50},'
            ' "counts": {"training_questions": 160}}'
        )
        return 5.0

    return train


@pytest.mark.parametrize(
    ("frozen", "what", "told"),
    [(True, "pictures", True), (True, "features", False), (False, "pictures", False)],
)
def test_steps_that_read_pictures_where_the_run_keeps_features_are_told_as_too_slow(
    experiment: Make, monkeypatch: pytest.MonkeyPatch, frozen: bool, what: str, told: bool
) -> None:
    def train(folder: Path, threads: int) -> float:
        wall = fails_at("nowhere")(folder, threads)
        event = {"event": "memory", "what": f"{what} 3×64×64 uint8"}
        (folder / "run" / "events.jsonl").write_text(json.dumps(event) + "\n")
        return wall

    monkeypatch.setattr(room, "_train", train)
    said: list[str] = []
    encoder = {"image_encoder": {"name": "small", "frozen": frozen}}
    calibrate([Cell("a", 0, experiment(model=encoder))], as_it_is, said.append)
    assert any("upper bound" in line for line in said) is told


def test_a_command_that_fails_says_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text("data: {store: none}\nmodle: {}\n")
    with pytest.raises(RunError, match="did you mean 'model'"):
        room._train(tmp_path, 1)


def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_SECONDS", 0.01)
    with pytest.raises(RunError, match="20 steps take more than"):
        room._train(tmp_path, 1)


def test_steps_validation_and_the_rest_grow_each_in_their_way(experiment: Make) -> None:
    """100 questions in 1 s of steps and 3 s of validation, 10 s around it; 400 questions an epoch, 5 epochs."""
    trained = experiment(trainer={"max_epochs": 5}, data={"fraction": 0.5})
    result = {
        "training": {"seconds": 4.0, "questions": 100, "questions_per_second": 25.0},
        "counts": {"training_questions": 400},
    }
    one = measured_by(trained, result, [1.0, 100.0, 90.0, 110.0], 14.0)
    assert (one.questions, one.rest) == (800, 10)
    assert seconds(trained, [one]) == pytest.approx(5 * (4 + 3) + 10)
    rarely = trained.model_copy(
        update={"trainer": trained.trainer.model_copy(update={"check_val_every_n_epoch": 3})}
    )
    one = measured_by(rarely, result, [1.0, 100.0], 14.0)
    assert seconds(rarely, [one]) == pytest.approx(5 * (4 + 1) + 10)


@pytest.mark.parametrize(("most", "steps"), [(-1, 20), (5, 5), (500, 20)])
def test_a_short_run_is_told_to_nobody(experiment: Make, most: int, steps: int) -> None:
    given = experiment(trainer={"max_steps": most}, tracking={"wandb": "online", "tags": ["a"]})
    fields = shortened(given)
    assert fields["trainer"]["max_steps"] == steps
    assert (fields["tracking"]["wandb"], fields["tracking"]["tags"]) == ("off", [])
    assert fields["model"] == given.to_dict()["model"]


def test_a_time_beyond_a_small_budget_is_told_in_units_that_show_it() -> None:
    axes = {"model.fusion": ["concat", "multiply"]}
    given = {"group": "g", "base": BASE, "axes": axes, "seeds": 1, "baselines": []}
    grid = expand(parse_ablation(given | {"budget": {"max_hours": 0.01}}, Path(), "a"))
    plan = Plan(grid, [Planned(cell, None, 30.0) for cell in grid.cells])
    with pytest.raises(ConfigError, match=r"takes about 60 s, budget\.max_hours allows 0\.01"):
        plan.check_budget()
