from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.bank import open_bank
from vqa.data.batches import Batch
from vqa.data.store import Store
from vqa.data.table import build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.errors import ResultError
from vqa.evaluation.audit import Audit, derangement, other_questions, shuffled_words
from vqa.evaluation.audit_text import audit_lines, audit_text
from vqa.evaluation.predict import Exam, Predictor, predict, questions_of
from vqa.evaluation.protocols import score_predictions
from vqa.model.types import EncodedText, Output


@given(st.integers(2, 60), st.integers(0, 9))
def test_a_derangement_moves_everything(count: int, seed: int) -> None:
    found = derangement(count, np.random.default_rng(seed))
    assert sorted(found.tolist()) == list(range(count))
    assert not np.any(found == np.arange(count))


def test_shuffling_keeps_the_words_and_the_mark() -> None:
    texts = ["What is the colour of it?", "no mark here", "one?", " ? ", ""]
    found = shuffled_words(texts, np.random.default_rng(0))
    for text, new in zip(texts, found, strict=True):
        assert sorted(new.rstrip("? ").split()) == sorted(text.rstrip("? ").split())
        assert new.endswith("?") == text.rstrip().endswith("?")
    assert found[0] != texts[0]


def test_another_question_of_the_same_type() -> None:
    questions = ["a", "b", "a", "c", "x", "x", "y"] * 20
    types = ["k", "k", "k", "k", "alone", "alone", "z"] * 20
    found = other_questions(questions, types, np.random.default_rng(0))
    for old, new, kind in zip(questions, found, types, strict=True):
        assert (new in "abc" and new != old) if kind == "k" else new == old
    assert {new for old, new in zip(questions, found, strict=True) if old == "a"} == {"b", "c"}


@dataclass
class Known:
    """What a stand-in network knows: the right choices, by what it looks at."""

    store: Store
    rows: np.ndarray
    tokenizer: QuestionTokenizer


class Looker(torch.nn.Module):
    """Scores choices by a rule instead of weights: right where its input is as it should be.

    `image` needs the question's own picture, `words` its own tokens in their order; `position`
    takes the first choice whatever is asked.
    """

    choices_are_read = True

    def __init__(self, rule: str, exam: Exam, right: list[str]) -> None:
        super().__init__()
        self.rule, self.exam, self.right = rule, exam, right
        self.head = self

    def choice_scores(self, scores: torch.Tensor, _: object) -> torch.Tensor:
        return scores


class RulePredictor(Predictor):
    """Answers by `Looker`'s rule."""

    def ask(self, batch: Batch) -> Output:
        looker = self.network
        assert isinstance(looker, Looker)
        assert batch.choices is not None
        scores = []
        for place, at in enumerate(batch.index.tolist()):
            able = looker.rule == "any" or self._sees(looker, batch, place, at)
            count = int((batch.choices.question == place).sum())
            start = int(torch.searchsorted(batch.choices.question, torch.tensor(place)))
            texts = batch.choices.text[start : start + count]
            scores += self._row(looker, able, at, texts.tolist(), batch)
        return Output(torch.tensor(scores), None, EncodedText(torch.zeros(1, 1)))

    def _sees(self, looker: Looker, batch: Batch, place: int, at: int) -> bool:
        table = looker.exam.table
        if looker.rule == "image":
            own = looker.exam.bank.fetch(table.image[[at]])[0]
            return bool(torch.equal(batch.images[batch.image_of_question[place]], own))
        own_words = table.questions.ids[table.questions.offsets[at] :][
            : table.questions.lengths[at]
        ]
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(batch.words, batch_first=True)
        return padded[place, : lengths[place]].tolist() == own_words.tolist()

    def _row(
        self, looker: Looker, able: bool, at: int, texts: list[int], batch: Batch
    ) -> list[float]:
        if looker.rule == "position":
            return [1.0] + [0.0] * (len(texts) - 1)
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(
            batch.choices.words,
            batch_first=True,  # type: ignore[union-attr]
        )
        tokens = [tuple(padded[text, : lengths[text]].tolist()) for text in texts]
        right = tuple(looker.exam_tokens[at])
        return [float(able and one == right) for one in tokens]


def audit_of(rule: str, path: object) -> Audit:
    """An audit of a stand-in network on the test split of the store at `path`."""
    store = Store.open(str(path))
    rows = store.rows("test")
    asked = questions_of(store, rows)
    texts = [text for item in asked for text in (item.question, *item.choices)]
    tokenizer = QuestionTokenizer.build(texts)
    vocabulary = AnswerVocabulary(("nothing",))
    table = build_table(store, rows, tokenizer, vocabulary)
    bank = open_bank(store, table.image_rows, (16, 16), "stretch", torch.device("cpu"))
    choices = [item.choices for item in asked]
    looker = Looker(rule, None, [])  # type: ignore[arg-type]
    predictor = RulePredictor(looker, torch.device("cpu"))  # type: ignore[arg-type]
    exam = Exam(predictor, table, choices, bank, vocabulary, 7)
    looker.exam = exam
    encoded = tokenizer.encode([item.choices[item.label] for item in asked])
    looker.exam_tokens = [  # type: ignore[assignment]
        encoded.ids[start:end].tolist()
        for start, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    ]
    scored = score_predictions(predict(exam, store), "multiple-choice/1").predictions
    return Audit(exam, store, tokenizer, scored, "multiple-choice/1")


@pytest.mark.parametrize("rule", ["image", "words", "any"])
def test_an_audit_finds_what_a_model_looks_at(rule: str, scenes_store: object) -> None:
    report = audit_of(rule, scenes_store).report()
    assert report["unaltered"] == 100
    lost = {
        name: one["loss"]["adjusted_p_value"] < 0.05 and one["overall"] < 50
        for name, one in report["alterations"].items()
    }
    looks = {"image": ["image_swapped"], "words": ["words_shuffled", "question_swapped"], "any": []}
    assert [name for name, is_lost in lost.items() if is_lost] == looks[rule]
    for one in report["alterations"].values():
        assert one["loss"]["difference"] == pytest.approx(100 - one["overall"], abs=1e-3)
    assert report["choice_order"]["circular"] == 100
    assert "image swapped" in audit_text(report)
    assert "choice order" in audit_lines(report)


def test_a_model_that_goes_by_position_is_told_by_the_order(scenes_store: object) -> None:
    audit = audit_of("position", scenes_store)
    order = audit.choice_order()
    assert order is not None
    assert order["circular"] == 0
    assert order["rotations"] == pytest.approx(25)
    assert order["same_choice"] == 0
    said = audit.alterations()["image_swapped"]
    assert said["loss"]["difference"] == 0
    assert said["same_answer"] == 100


def test_the_seed_decides_the_alterations(scenes_store: object) -> None:
    audit = audit_of("image", scenes_store)
    assert audit.alterations() == audit.alterations()
    assert replace(audit, seed=1)._random(0).random() != audit._random(0).random()


def test_unscored_predictions_are_refused(scenes_store: object) -> None:
    audit = audit_of("any", scenes_store)
    bare = [item.with_said(item.answer, [], [], None) for item in audit.predictions]
    with pytest.raises(ResultError, match="needs scored"):
        replace(audit, predictions=bare).report()
