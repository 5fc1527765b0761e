"""What an experiment wants of its store, asked without reading it whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from vqa.config import Experiment
from vqa.data.store import Store
from vqa.errors import ConfigError, DataError
from vqa.training.requirements import Questions, StoreFacts, batches_an_epoch, check_data

Make = Callable[..., Experiment]


class Without(StoreFacts):
    """A store whose questions lack answers or choices."""

    def __init__(self, store: Store, *fields: str) -> None:
        super().__init__(store)
        self._fields = fields

    @override
    def questions(self, split: str) -> Questions:
        found = super().questions(split)
        return replace(found, **{field: np.zeros(len(found), bool) for field in self._fields})


def test_splits_and_questions(experiment: Make, scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    splits, questions = check_data(experiment(), StoreFacts(store))
    assert (splits.train, splits.validation, splits.evaluation) == ("train", "val", "test")
    assert questions.rows.tolist() == store.rows("train").tolist()
    assert questions.has_answers.all()
    assert questions.has_choices.all()


def test_a_share_is_of_whole_images_and_repeats(experiment: Make, scenes_store: Path) -> None:
    facts = StoreFacts(Store.open(scenes_store))
    made = experiment(data={"fraction": 0.25})
    _, questions = check_data(made, facts)
    assert (len(questions), len(np.unique(questions.image))) == (40, 10)
    assert check_data(made, facts)[1].rows.tolist() == questions.rows.tolist()
    other = check_data(experiment(data={"fraction": 0.25}, seed=1), facts)[1]
    assert other.rows.tolist() != questions.rows.tolist()


def test_heads_want_what_they_learn_from(experiment: Make, scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    chooser, classifier = experiment(model={"head": {"name": "chooser"}}), experiment()
    assert check_data(chooser, Without(store, "has_answers"))
    assert check_data(classifier, Without(store, "has_choices"))
    with pytest.raises(ConfigError, match="a chooser needs questions with choices"):
        check_data(chooser, Without(store, "has_choices"))
    with pytest.raises(ConfigError, match="a classifier needs answers"):
        check_data(classifier, Without(store, "has_answers"))


def test_an_unknown_split_is_refused_before_it_is_read(
    experiment: Make, scenes_store: Path
) -> None:
    for made in (
        experiment(data={"train_split": "x"}),
        experiment(data={"validation_split": "x"}),
        experiment(evaluation={"split": "x"}),
    ):
        with pytest.raises(DataError, match="no split 'x'; it has train, val, test"):
            check_data(made, StoreFacts(Store.open(scenes_store)))


def test_batches_an_epoch() -> None:
    assert batches_an_epoch(10, 4, 2) == 3
    assert batches_an_epoch(9, 4, 2) == 2
    with pytest.raises(ConfigError, match=r"fewer training questions \(1\) than processes \(2\)"):
        batches_an_epoch(1, 4, 2)
