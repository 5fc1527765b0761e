"""What an experiment wants of its store, and whether the store has it.

Cheap: nothing is tokenised and no picture is read, so that a service can ask at every submission.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from vqa.config import Experiment
from vqa.data.cache.regions import check_regions, regions_of
from vqa.data.cache.rule import check_features
from vqa.data.store import Store
from vqa.errors import ConfigError
from vqa.evaluation.protocols import check_protocol
from vqa.model.config import ModelConfig

VALIDATION_NAMES = ("val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Splits:
    """The splits of a store by what they are for."""

    train: str
    validation: str | None
    evaluation: str


@dataclass(frozen=True)
class Questions:
    """The questions of a split.

    Attributes:
        rows: their places in the store; int64 [questions].
        image: the image of each, as a row of the store's images; int64 [questions].
        has_answers, has_choices: whether each has any; bool [questions].
    """

    rows: np.ndarray
    image: np.ndarray
    has_answers: np.ndarray
    has_choices: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def share(self, fraction: float, seed: int) -> Questions:
        """Those of a seeded share of the images."""
        if fraction == 1.0:
            return self
        images = np.unique(self.image)
        count = max(1, round(fraction * len(images)))
        kept = np.random.default_rng([seed, len(images)]).choice(images, count, replace=False)
        of = np.isin(self.image, kept)
        return Questions(self.rows[of], self.image[of], self.has_answers[of], self.has_choices[of])


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
            self._splits[split] = Questions(rows, image, answers, choices)
        return self._splits[split]

    def _has(self, column: str, rows: np.ndarray) -> np.ndarray:
        lengths = pc.list_value_length(self.store.examples.data.column(column)).to_numpy()
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
    questions = facts.questions(splits.train).share(data.fraction, experiment.seed)
    _check_head(experiment.model, questions, where=f"{data.store}, split {splits.train}")
    if splits.validation is not None:
        _check_validation(store, splits.validation)
    processes = experiment.trainer.devices * experiment.trainer.num_nodes
    batches_an_epoch(len(questions), data.batch_size, processes)
    return splits, questions


def _images(facts: StoreFacts, splits: Splits) -> np.ndarray:
    """The pictures of every split that a run reads, each once."""
    names = filter(None, (splits.train, splits.validation, splits.evaluation))
    found: np.ndarray = np.unique(np.concatenate([facts.questions(name).image for name in names]))
    return found


def choose_splits(store: Store, experiment: Experiment) -> Splits:
    """Resolve `auto` and `none` against the store's splits.

    Raises:
        DataError: the store has no such split.
    """
    names = store.manifest.splits
    train, wanted = experiment.data.train_split, experiment.data.validation_split
    found = next((name for name in VALIDATION_NAMES if name in names and name != train), None)
    validation = {"auto": found, "none": None}.get(wanted, wanted)
    evaluation = experiment.evaluation.split
    if evaluation == "auto":
        evaluation = "test" if "test" in names else validation or train
    for name in filter(None, (train, validation, evaluation)):
        store.check_split(name)
    return Splits(train, validation, evaluation)


def batches_an_epoch(questions: int, batch_size: int, processes: int) -> int:
    """Batches an epoch; a last one with fewer questions than processes is left out.

    Raises:
        ConfigError: there are fewer training questions than processes.
    """
    full, rest = divmod(questions, batch_size)
    batches = full + (rest >= processes)
    if not batches:
        raise ConfigError(
            f"fewer training questions ({questions}) than processes ({processes})",
            where="trainer.devices",
            fix="use fewer devices, or more data",
        )
    return batches


def _check_validation(store: Store, split: str) -> None:
    """Refuse a split that can choose no checkpoint, as a published test split whose truth is withheld."""
    table, rows = store.examples.data, store.rows(split)
    answers = pc.list_value_length(table.column("answers")).to_numpy()[rows]
    labels = table.column("label").to_numpy()[rows]
    if not ((answers > 0) | (labels >= 0)).any():
        raise ConfigError(
            f"data.validation_split: no question of split {split} has an answer, so none can choose a checkpoint",
            where=str(store.path),
            fix="name another split, or none",
        )


def _check_head(model: ModelConfig, questions: Questions, where: str) -> None:
    """Refuse a head that the training data cannot teach."""
    if model.reads_choices and not questions.has_choices.any():
        raise ConfigError(
            "model.head: a chooser needs questions with choices, and these have none",
            where=where,
            fix="use model.head=classifier",
        )
    if not model.reads_choices and not questions.has_answers.any():
        raise ConfigError(
            "model.head: a classifier needs answers, and these have none", where=where
        )
