"""What an experiment says that the defaults do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vqa.config import Experiment, parse_experiment, set_value
from vqa.deviations import Deviation, deviations

STORE = Deviation("data.store", "s", required=True)


def found(**sections: object) -> list[Deviation]:
    return deviations(parse_experiment({"data": {"store": "s"}, **sections}))


def test_of_the_defaults_only_what_has_none() -> None:
    assert found() == [STORE]


def test_values_and_nested_sections() -> None:
    said = found(
        optimizer={"lr": 0.5, "schedule": "cosine"}, trainer={"early_stopping": {"patience": 2}}
    )
    assert said == [
        STORE,
        Deviation("optimizer.lr", 0.5, 0.001),
        Deviation("optimizer.schedule.name", "cosine", "constant"),
        Deviation("trainer.early_stopping.patience", 2, 0),
    ]


def test_a_brick_is_compared_with_its_own_defaults() -> None:
    """Only its name is compared with the brick that would stand there."""
    assert found(model={"fusion": {"name": "concat"}}) == [
        STORE,
        Deviation("model.fusion.name", "concat", "multiply"),
    ]
    gru = found(model={"question_encoder": {"name": "gru", "dim": 7}})
    assert gru[1:] == [
        Deviation("model.question_encoder.name", "gru", "lstm"),
        Deviation("model.question_encoder.dim", 7, 256),
    ]


def test_a_brick_in_the_place_of_a_word() -> None:
    said = found(model={"head": {"name": "chooser", "encoder": {"name": "lstm"}}})
    assert Deviation("model.head.encoder.name", "lstm", "shared") in said


@pytest.mark.parametrize("seed", [0, 3])
def test_what_deviates_makes_the_experiment_again(
    experiment: Callable[..., Experiment], seed: int
) -> None:
    made = experiment(seed=seed, model={"coordinates": True})
    bricks = ("image_encoder", "question_encoder", "attention", "fusion", "head")
    fields = {"model": {part: getattr(made.model, part).name for part in bricks}}
    for one in deviations(made):
        set_value(fields, one.path, one.value, "test")
    assert parse_experiment(fields) == made
