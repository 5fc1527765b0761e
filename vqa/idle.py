"""Settings of an experiment that do nothing, because another one switches off what would read them.

They are told and not refused: a run that was begun with them goes on, and a grid may need them in some of its cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from vqa.config import Experiment
from vqa.deviations import Deviation, deviations
from vqa.model.settings import shown


@dataclass(frozen=True)
class Rule:
    """When some settings of a section or brick are not read.

    Attributes:
        at, keys: where they stand, and their names.
        by, off: another setting there, and the values of it that switch them off.
        why: what reads them.
    """

    at: str
    keys: Collection[str]
    by: str
    off: Collection[Any]
    why: str


RULES = (
    Rule("optimizer", ["momentum"], "name", ["adam", "adamw"], "sgd and muon read it"),
    Rule("optimizer", ["betas", "eps"], "name", ["sgd"], "the other optimisers read it"),
    Rule("optimizer.schedule", ["final_ratio"], "name", ["constant", "step"], "cosine reads it"),
    Rule("optimizer.schedule", ["step_epochs", "gamma"], "name", ["constant", "cosine"], "step reads it"),
    Rule("trainer.early_stopping", ["min_delta"], "patience", [0], "no run stops early"),
    Rule("model.question_encoder", ["keep"], "pooling", ["mean", "sum"], "forgetting reads it"),
    Rule("model.question_encoder", ["glimpse_hidden"], "pooling", ["last"], "attention reads it"),
    Rule("model.head.encoder", ["glimpse_hidden"], "pooling", ["last"], "attention reads it"),
    Rule("model.attention", ["baseline_momentum", "entropy"], "estimator", ["straight-through"], "reinforce reads it"),
    Rule("model.attention", ["temperature"], "estimator", ["reinforce"], "straight-through reads it"),
    Rule("model.fusion", ["activation"], "hidden", [()], "it comes after hidden layers"),
    Rule("model.head", ["activation"], "hidden", [()], "it comes after hidden layers"),
)  # fmt: skip
OF_VALIDATION = ("trainer.check_val_every_n_epoch",)


def idle(experiment: Experiment, *, validated: bool) -> list[str]:
    """What is set to something else than its default and does nothing, each with the reason.

    Args:
        validated: the store has a split that chooses the best checkpoint, where the experiment wants one.
    """
    found = ((one, _reason(experiment, one, validated)) for one in deviations(experiment))
    return [f"{one.path}={shown(one.value)} does nothing: {why}" for one, why in found if why]


def _reason(experiment: Experiment, one: Deviation, validated: bool) -> str:
    """Why a setting does nothing; "" where it does something."""
    if one.path in OF_VALIDATION and not validated:
        return f"no split validates (data.validation_split={experiment.data.validation_split})"
    if (
        one.path.startswith("data.augmentation.")
        and experiment.model.image_encoder.name == "regions"
    ):
        return "regions were found in the pictures as they are"
    return next(_by_rule(experiment, one), "")


def _by_rule(experiment: Experiment, one: Deviation) -> Iterator[str]:
    at, _, key = one.path.rpartition(".")
    for rule in RULES:
        if rule.at == at and key in rule.keys:
            value = getattr(reduce(getattr, at.split("."), experiment), rule.by, None)
            if value in rule.off:
                yield f"{at}.{rule.by} is {shown([*value] if value == () else value)} ({rule.why})"
