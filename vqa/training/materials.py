"""What an experiment learns from, ready for batches: store, vocabularies, and the table of each split."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from vqa.config import DataConfig, Experiment
from vqa.data.store import Store
from vqa.data.table import QuestionTable, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.errors import ConfigError
from vqa.evaluation.protocols import check_protocol
from vqa.model.config import ModelConfig, Sizes

VALIDATION_NAMES = ("val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Splits:
    """The splits of a store by what they are for."""

    train: str
    validation: str | None
    evaluation: str


@dataclass(frozen=True)
class Materials:
    """A store through the eyes of one experiment."""

    store: Store
    splits: Splits
    tokenizer: QuestionTokenizer
    vocabulary: AnswerVocabulary
    train: QuestionTable
    validation: QuestionTable | None

    def sizes(self, data: DataConfig) -> Sizes:
        """What the data decide about the network."""
        height, width = data.image_size
        words = self.tokenizer.words
        return Sizes(height, width, len(words), len(self.vocabulary), words)


def load_materials(experiment: Experiment) -> Materials:
    """Open the store, learn the vocabularies from the training split alone, tokenise.

    Raises:
        DataError: no store, or no such split.
        ConfigError: the model wants what the data do not have.
    """
    data = experiment.data
    if experiment.evaluation.protocol != "auto":
        check_protocol(experiment.evaluation.protocol)
    store = Store.open(data.store)
    if store.manifest.text_only and experiment.model.image_encoder.name != "none":
        raise ConfigError(
            "model.image_encoder: this store was prepared with --text-only and has no pictures",
            where=str(data.store),
            fix="use model.image_encoder=none",
        )
    splits = choose_splits(store, experiment)
    rows = _fraction(store, store.rows(splits.train), data.fraction, experiment.seed)
    answers, choices = store.column("answers", rows), store.column("choices", rows)
    _check(experiment.model, answers, choices, where=f"{data.store}, split {splits.train}")
    tokenizer = _tokenizer(
        experiment, chain(store.column("question", rows), chain.from_iterable(choices))
    )
    vocabulary = AnswerVocabulary.build(answers, data.max_answers)
    validation = splits.validation
    return Materials(
        store=store,
        splits=splits,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        train=build_table(store, rows, tokenizer, vocabulary),
        validation=None
        if validation is None
        else build_table(store, store.rows(validation), tokenizer, vocabulary),
    )


def choose_splits(store: Store, experiment: Experiment) -> Splits:
    """Resolve `auto` and `none` against the store's splits."""
    names = store.manifest.splits
    train, wanted = experiment.data.train_split, experiment.data.validation_split
    found = next((name for name in VALIDATION_NAMES if name in names and name != train), None)
    validation = {"auto": found, "none": None}.get(wanted, wanted)
    evaluation = experiment.evaluation.split
    if evaluation == "auto":
        evaluation = "test" if "test" in names else validation or train
    for name in filter(None, (train, validation, evaluation)):
        store.rows(name)
    return Splits(train, validation, evaluation)


def _tokenizer(experiment: Experiment, texts: chain[str]) -> QuestionTokenizer:
    pretrained = experiment.model.question_encoder.tokenizer
    if pretrained is not None:
        return QuestionTokenizer.pretrained(pretrained)
    return QuestionTokenizer.build(texts, experiment.data.min_word_count)


def _fraction(store: Store, rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The questions of a seeded share of the images."""
    if fraction == 1.0:
        return rows
    images = np.unique(store.image_rows[rows])
    count = max(1, round(fraction * len(images)))
    kept = np.random.default_rng([seed, len(images)]).choice(images, count, replace=False)
    return rows[np.isin(store.image_rows[rows], kept)]


def _check(
    model: ModelConfig, answers: list[list[str]], choices: list[list[str]], where: str
) -> None:
    """Refuse a head that the training data cannot teach."""
    if model.reads_choices and not any(choices):
        raise ConfigError(
            "model.head: a chooser needs questions with choices, and these have none",
            where=where,
            fix="use model.head=classifier",
        )
    if not model.reads_choices and not any(answers):
        raise ConfigError(
            "model.head: a classifier needs answers, and these have none", where=where
        )
