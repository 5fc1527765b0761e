"""What a model is seen to look at when its input is altered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from vqa.data.bank import ImageBank, Resident
from vqa.data.batches import Batch
from vqa.data.cache.pictures import decode_pictures
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.data.store import Store
from vqa.data.table import QuestionTable, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer, Texts
from vqa.errors import ResultError
from vqa.evaluation.audit import Audit, derangement, other_questions, shuffled_words
from vqa.evaluation.audit_text import audit_lines, audit_text
from vqa.evaluation.predict import Exam, Predictor, predict, questions_of
from vqa.evaluation.protocols import score_predictions
from vqa.model.types import Attended, Choices, EncodedText, Output


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


class Looker(torch.nn.Module):
    """A stand-in network that scores choices by a rule instead of weights.

    `image` finds the right choice where it is shown the question's own picture, `words` where it
    reads the question's own words in their order, `any` always; `position` takes the first choice.
    """

    choices_are_read = True

    def __init__(self, rule: str, right: Texts) -> None:
        super().__init__()
        self.rule, self.right = rule, right

    @property
    def head(self) -> Looker:
        return self

    def choice_scores(self, scores: Tensor, _: Choices) -> Tensor:
        return scores


@dataclass(frozen=True)
class RulePredictor(Predictor):
    """Answers by `Looker`'s rule; `table` and `bank` hold what is not altered."""

    table: QuestionTable | None = None
    bank: ImageBank | None = None

    def ask(self, batch: Batch) -> Output:
        choices = batch.choices
        assert choices is not None
        scores = []
        for place, at in enumerate(batch.index.tolist()):
            texts = choices.text[choices.question == place]
            scores += self._row(self._sees(batch, place, at), at, texts, choices)
        return Output(
            torch.tensor(scores), Attended(torch.zeros(1, 1)), EncodedText(torch.zeros(1, 1))
        )

    def _sees(self, batch: Batch, place: int, at: int) -> bool:
        assert self.table is not None
        assert self.bank is not None
        if self.network.rule == "image":
            own = self.bank.fetch(self.table.image[[at]])[0]
            return torch.equal(batch.images[batch.image_of_question[place]], own)
        if self.network.rule == "words":
            read = tokens(batch.words, int(batch.text_of_question[place]))
            return read == text_of(self.table.texts, int(self.table.text[at]))
        return True

    def _row(self, sees: bool, at: int, texts: Tensor, choices: Choices) -> list[float]:
        if self.network.rule == "position":
            return [1.0] + [0.0] * (len(texts) - 1)
        right = text_of(self.network.right, at)
        return [float(sees and tokens(choices.words, text) == right) for text in texts.tolist()]


def tokens(packed: PackedSequence, place: int) -> list[int]:
    padded, lengths = pad_packed_sequence(packed, batch_first=True)
    return padded[place, : lengths[place]].tolist()


def text_of(texts: Texts, at: int) -> list[int]:
    return texts.ids[texts.offsets[at] : texts.offsets[at + 1]].tolist()


def audit_of(rule: str, path: Path) -> Audit:
    """An audit of a stand-in network on the test split of the store at `path`."""
    store = Store.open(path)
    rows = store.rows("test")
    asked = questions_of(store, rows)
    tokenizer = QuestionTokenizer.build(
        text for item in asked for text in (item.question, *item.choices)
    )
    vocabulary = AnswerVocabulary(("nothing",))
    table = build_table(store, rows, tokenizer, vocabulary)
    bank = Resident(decode_pictures(store, (16, 16), "stretch", table.image_rows))
    looker = Looker(rule, tokenizer.encode([item.choices[item.label] for item in asked]))
    predictor = RulePredictor(looker, torch.device("cpu"), table=table, bank=bank)  # type: ignore[arg-type]
    exam = Exam(predictor, table, [item.choices for item in asked], bank, vocabulary, 7)
    scored = score_predictions(predict(exam, store), "multiple-choice/1").predictions
    return Audit(exam, store, tokenizer, scored, "multiple-choice/1")


@pytest.mark.parametrize("rule", ["image", "words", "any"])
def test_an_audit_finds_what_a_model_looks_at(rule: str, scenes_store: Path) -> None:
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


def test_a_model_that_goes_by_position_is_told_by_the_order(scenes_store: Path) -> None:
    audit = audit_of("position", scenes_store)
    order = audit.choice_order()
    assert order is not None
    assert order["circular"] == 0
    assert order["rotations"] == pytest.approx(25)
    assert order["same_choice"] == 0
    said = audit.alterations()["image_swapped"]
    assert said["loss"]["difference"] == 0
    assert said["same_answer"] == 100


def test_the_seed_decides_the_alterations(scenes_store: Path) -> None:
    audit = audit_of("image", scenes_store)
    assert audit.alterations() == audit.alterations()
    assert replace(audit, seed=1)._random(0).random() != audit._random(0).random()


def test_unscored_predictions_are_refused(scenes_store: Path) -> None:
    audit = audit_of("any", scenes_store)
    bare = [item.with_said(item.answer, [], [], None) for item in audit.predictions]
    with pytest.raises(ResultError, match="needs scored"):
        replace(audit, predictions=bare).report()


def test_a_single_picture_gives_figures_without_intervals(tmp_path: Path) -> None:
    prepare(Scenes({"test": 1}, questions_per_image=4), tmp_path / "store", name="scenes")
    audit = audit_of("image", tmp_path / "store")
    report = audit.report()
    swapped = report["alterations"]["image_swapped"]
    assert swapped["unchanged"] == 4
    assert swapped["overall"] == 100
    assert swapped["loss"] is None
    assert swapped["interval"] is None
    assert "no interval" in audit_text(report)
    assert "image swapped: 4 of 4 questions stay as they were" in report["notes"][0]


def test_the_interval_of_the_prior_gap_covers_it(scenes_store: Path) -> None:
    gap = audit_of("image", scenes_store).prior_gap()
    assert gap is None or gap["interval"]["low"] <= gap["gap"] <= gap["interval"]["high"]
