"""What an experiment learns from, ready for batches: store, vocabularies, and the table of each split."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from vqa.config import DataConfig, Experiment
from vqa.data.store import Store
from vqa.data.table import QuestionTable, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.model.config import Sizes
from vqa.training.requirements import Splits, StoreFacts, check_data


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
        ConfigError: the experiment wants what the data do not have.
    """
    data = experiment.data
    store = Store.open(data.store)
    splits, questions = check_data(experiment, StoreFacts(store))
    rows = questions.rows
    answers, choices = store.column("answers", rows), store.column("choices", rows)
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


def _tokenizer(experiment: Experiment, texts: chain[str]) -> QuestionTokenizer:
    pretrained = experiment.model.question_encoder.tokenizer
    if pretrained is not None:
        return QuestionTokenizer.pretrained(pretrained)
    return QuestionTokenizer.build(texts, experiment.data.min_word_count)
