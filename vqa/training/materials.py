"""What an experiment learns from, ready for batches: store, vocabularies, and the table of each split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqa.config import DataConfig, Experiment
from vqa.data.cache.regions import regions_fingerprint
from vqa.data.cache.texts import kept_table, learnt_texts
from vqa.data.store import Store
from vqa.data.table import QuestionTable
from vqa.data.text import WORD_RULES, AnswerVocabulary, QuestionTokenizer
from vqa.model.config import Sizes
from vqa.training.requirements import StoreFacts, check_data
from vqa.training.splits import Splits


@dataclass(frozen=True)
class QuestionIds:
    """Ids of questions by their place, read when one is asked for: a list of them all would be the largest
    object of a process.

    Attributes:
        rows: of the store's examples.
    """

    store: Store
    rows: np.ndarray

    def __getitem__(self, place: int) -> str:
        [name] = self.store.column("question_id", self.rows[[place]])
        return str(name)


@dataclass(frozen=True)
class Materials:
    """A store through the eyes of one experiment.

    Attributes:
        regions: fingerprint of the regions that it reads; None where it reads none.
        untaught: training questions that are left out, for the head cannot learn from them.
        word_rules: how their texts were cut into words.
    """

    store: Store
    splits: Splits
    tokenizer: QuestionTokenizer
    vocabulary: AnswerVocabulary
    train: QuestionTable
    validation: QuestionTable | None
    regions: str | None = None
    untaught: int = 0
    word_rules: int = WORD_RULES

    @property
    def question_ids(self) -> QuestionIds:
        """The ids of the training questions."""
        return QuestionIds(self.store, self.train.rows)

    def sizes(self, data: DataConfig) -> Sizes:
        """What the data decide about the network."""
        height, width = data.image_size
        words = self.tokenizer.words
        return Sizes(height, width, len(words), len(self.vocabulary), words)


def load_materials(experiment: Experiment, word_rules: int = WORD_RULES) -> Materials:
    """Open the store, learn the vocabularies from the training split alone, tokenise; once, then it is read.

    Args:
        experiment: what is to be trained.
        word_rules: how its texts are cut into words.

    Raises:
        DataError: no store, or no such split.
        ConfigError: the experiment wants what the data do not have.
    """
    data = experiment.data
    store = Store.open(data.store)
    store.check_examples()
    facts = StoreFacts(store)
    splits, questions = check_data(experiment, facts)
    given = facts.questions(splits.train).share(data.fraction, experiment.seed)
    tokenizer, vocabulary = learnt_texts(
        store, given.rows, data.min_word_count, data.max_answers, word_rules
    )
    pretrained = experiment.model.question_encoder.tokenizer
    if pretrained is not None:
        tokenizer = QuestionTokenizer.pretrained(pretrained)
    validation = splits.validation
    return Materials(
        store=store,
        splits=splits,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        train=kept_table(store, questions.rows, tokenizer, vocabulary),
        validation=None
        if validation is None
        else kept_table(store, store.rows(validation), tokenizer, vocabulary),
        regions=regions_fingerprint(store, experiment),
        untaught=len(given) - len(questions),
        word_rules=word_rules,
    )
