"""Which split chooses the checkpoint and which one is scored, where the experiment leaves it open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vqa.config import Experiment
from vqa.training.splits import resolve_splits


@pytest.mark.parametrize(
    ("names", "data", "found"),
    [
        ("train val test", {}, ("val", "test")),
        ("train valid", {}, ("valid", "valid")),
        ("train test", {}, (None, "test")),
        ("train", {}, (None, "train")),
        ("train val", {"validation_split": "none"}, (None, "train")),
        ("val dev", {"train_split": "val"}, ("dev", "dev")),
        ("val", {"train_split": "val"}, (None, "val")),
    ],
)
def test_what_is_left_open_is_what_the_store_has(
    names: str,
    data: dict[str, str],
    found: tuple[str | None, str],
    experiment: Callable[..., Experiment],
) -> None:
    splits = resolve_splits(names.split(), experiment(data=data))
    assert (splits.validation, splits.evaluation) == found
    assert bool(splits.caution) == (found[1] == splits.train)
