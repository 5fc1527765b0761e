"""What an experiment wants of its store, and whether the store has it.

Cheap: nothing is tokenised and no picture is read, so that a service can ask at every submission.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow.compute as pc

from vqa.config import Experiment
from vqa.data.cache.regions import check_regions, regions_of
from vqa.data.cache.rule import check_features
from vqa.data.store import Store
from vqa.errors import ConfigError
from vqa.evaluation.protocols import check_protocol
from vqa.model.config import ModelConfig
from vqa.training.splits import Splits, choose_splits


@dataclass(frozen=True)
class Questions:
    """The questions of a split.

    Attributes:
        rows: their places in the store; int64 [questions].
        image: the image of each, as a row of the store's images; int64 [questions].
        has_answers, has_choices: whether each has any; bool [questions].
        has_label: whether the right one of its choices is known; bool [questions].
    """

    rows: np.ndarray
    image: np.ndarray
    has_answers: np.ndarray
    has_choices: np.ndarray
    has_label: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def share(self, fraction: float, seed: int) -> Questions:
        """Those of a seeded share of the images."""
        if fraction == 1.0:
            return self
        images = np.unique(self.image)
        count = max(1, round(fraction * len(images)))
        kept = np.random.default_rng([seed, len(images)]).choice(images, count, replace=False)
        return self._only(np.isin(self.image, kept))

    def teaching(self, model: ModelConfig) -> Questions:
        """Those that the model's head can learn from."""
        return self._only(
            self.has_label & self.has_choices if model.reads_choices else self.has_answers
        )

    def scored(self, model: ModelConfig) -> Questions:
        """Those that can be put to the model, and whose answer can be told right or wrong."""
        known = self.has_answers | self.has_label
        return self._only(known & self.has_choices if model.reads_choices else known)

    def _only(self, of: np.ndarray) -> Questions:
        return Questions(*(getattr(self, part.name)[of] for part in fields(self)))


class StoreFacts:
    """What an experiment is checked against; each split is looked at once.

    Args:
        store: whose facts.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._splits: dict[str, Questions] = {}

    def questions(self, split: str) -> Questions:
        """The questions of a split.

        Raises:
            DataError: the store has no such split.
        """
        if split not in self._splits:
            rows = self.store.rows(split)
            image = self.store.image_rows[rows]
            answers, choices = self._has("answers", rows), self._has("choices", rows)
            labels = self.store.example_table.column("label").to_numpy()[rows]
            self._splits[split] = Questions(rows, image, answers, choices, labels >= 0)
        return self._splits[split]

    def _has(self, column: str, rows: np.ndarray) -> np.ndarray:
        lengths = pc.list_value_length(self.store.example_table.column(column)).to_numpy()
        has: np.ndarray = lengths[rows] > 0
        return has


def check_data(experiment: Experiment, facts: StoreFacts) -> tuple[Splits, Questions]:
    """The splits of an experiment and the questions that it learns from.

    Raises:
        DataError: the store has no such split, or not the regions that the experiment reads.
        ConfigError: the experiment wants what the data do not have.
    """
    data, store = experiment.data, facts.store
    if experiment.evaluation.protocol != "auto":
        check_protocol(experiment.evaluation.protocol)
    blind = experiment.model.image_encoder.name in ("none", "regions")
    if store.manifest.text_only and not blind:
        raise ConfigError(
            "model.image_encoder: this store was prepared with --text-only and has no pictures",
            where=str(data.store),
            fix="use model.image_encoder=none, or regions",
        )
    check_features(experiment)
    splits = choose_splits(store, experiment)
    if regions_of(experiment) is not None:
        check_regions(store, experiment, _images(facts, splits))
    given = facts.questions(splits.train).share(data.fraction, experiment.seed)
    questions = given.teaching(experiment.model)
    _check_head(experiment.model, given, questions, where=f"{data.store}, split {splits.train}")
    if splits.validation is not None:
        _check_validation(experiment.model, facts, splits.validation)
    processes = experiment.trainer.devices * experiment.trainer.num_nodes
    _check_processes(len(questions), processes)
    return splits, questions


def _images(facts: StoreFacts, splits: Splits) -> np.ndarray:
    """The pictures of every split that a run reads, each once."""
    names = filter(None, (splits.train, splits.validation, splits.evaluation))
    found: np.ndarray = np.unique(np.concatenate([facts.questions(name).image for name in names]))
    return found


def _check_processes(questions: int, processes: int) -> None:
    """Refuse processes that would have nothing to do."""
    if questions < processes:
        raise ConfigError(
            f"fewer training questions ({questions}) than processes ({processes})",
            where="trainer.devices",
            fix="use fewer devices, or more data",
        )


def _check_validation(model: ModelConfig, facts: StoreFacts, split: str) -> None:
    """Refuse a split that can choose no checkpoint, as a published test split whose truth is withheld."""
    questions = facts.questions(split)
    if len(questions.scored(model)):
        return
    known = questions.has_answers | questions.has_label
    what = "choices and an answer" if known.any() else "an answer"
    raise ConfigError(
        f"data.validation_split: no question of split {split} has {what}, so none can choose a checkpoint",
        where=str(facts.store.path),
        fix="name another split, or none",
    )


def _check_head(model: ModelConfig, given: Questions, taught: Questions, where: str) -> None:
    """Refuse a head that the training data cannot teach."""
    if len(taught):
        return
    if not model.reads_choices:
        raise ConfigError(
            "model.head: a classifier needs answers, and these have none", where=where
        )
    if not given.has_choices.any():
        raise ConfigError(
            "model.head: a chooser needs questions with choices, and these have none",
            where=where,
            fix="use model.head=classifier",
        )
    raise ConfigError(
        "model.head: a chooser needs to know which choice is right, and these questions do not say it",
        where=where,
        fix="train on another split (data.train_split)",
    )
