"""Does the model look? Its score when the picture or the question is not the right one.

image_swapped      every picture is exchanged for another one of the split, with all its questions
words_shuffled     the words of the question in random order, the question mark at its end
question_swapped   another question of the same type, with another text, about the same picture

The truth and the choices stay the question's own. A model that scores as well as before makes no
use of what was taken away. Losses are paired by question with intervals over images (each picture's
questions move together), and their p is Holm's over the alterations; they speak of one random draw
of the alteration, the same for the same seed. Sources: the swapped picture follows Goyal et al.
2017 (VQA v2) and Agrawal et al. 2018 (VQA-CP) in asking what language alone would give; shuffled
words follow Sinha et al. 2021, Masked Language Modeling and the Distributional Hypothesis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vqa.data.store import Store
from vqa.data.table import build_choices
from vqa.data.text import QuestionTokenizer
from vqa.errors import ResultError
from vqa.evaluation.bootstrap import Ints
from vqa.evaluation.calibration import calibration, prior_gap, prior_gap_interval
from vqa.evaluation.choice_order import Rescore, order_report
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.paired import paired
from vqa.evaluation.predict import Exam, Said
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import READ_CHOICES, choice_scorer, score_predictions
from vqa.evaluation.result import mean
from vqa.evaluation.significance import holm


@dataclass(frozen=True)
class Audit:
    """A model before a split, with its scored predictions.

    Attributes:
        exam: the model and the questions.
        store: where they come from.
        tokenizer: the model's.
        predictions: scored, in the order of the exam's table.
        protocol: what they were scored under.
        out_of_vocabulary: likewise.
        seed: of the alterations.
    """

    exam: Exam
    store: Store
    tokenizer: QuestionTokenizer
    predictions: Sequence[Prediction]
    protocol: str
    out_of_vocabulary: OutOfVocabulary = "mask"
    seed: int = 0

    def report(self) -> dict[str, Any]:
        """Everything, JSON-ready.

        Returns:
            `unaltered` (overall score), `alterations` (see `alterations`), `choice_order` (see
            `order_report`; None where not every question has choices), `calibration`, `prior_gap`,
            `notes`.

        Raises:
            ResultError: a prediction has no score.
        """
        if any(item.score is None for item in self.predictions):
            raise ResultError("an audit needs scored predictions")
        alterations = self.alterations()
        return {
            "seed": self.seed,
            "unaltered": round(mean([item.score or 0.0 for item in self.predictions]), 4),
            "alterations": alterations,
            "choice_order": self.choice_order(),
            "calibration": calibration(self.predictions),
            "prior_gap": self.prior_gap(),
            "notes": [
                f"{name.replace('_', ' ')}: {one['unchanged']} of {len(self.predictions)} questions "
                "stay as they were, there being no other picture, order or text"
                for name, one in alterations.items()
                if one["unchanged"]
            ],
        }

    def prior_gap(self) -> dict[str, Any] | None:
        """See `calibration.prior_gap`, with the interval of the gap."""
        found = prior_gap(self.predictions)
        return found and found | {"interval": prior_gap_interval(self.predictions)}

    def alterations(self) -> dict[str, Any]:
        """By alteration: `overall` and its `interval`, `loss` (paired, with p and Holm's
        `adjusted_p_value`), `same_answer` (percent of the questions), `unchanged` (questions that
        the alteration left as they were)."""
        found = {
            "image_swapped": self._swap_images(),
            "words_shuffled": self._ask(shuffled_words(self._questions, self._random(1))),
            "question_swapped": self._ask(
                other_questions(self._questions, self._types, self._random(2))
            ),
        }
        values = {name: one["loss"]["p_value"] for name, one in found.items() if one["loss"]}
        for name, adjusted in holm(values).items():
            found[name]["loss"]["adjusted_p_value"] = adjusted
        return found

    def choice_order(self) -> dict[str, Any] | None:
        """Accuracy under shuffled and rotated choices, every order put to the network anew."""
        has_choices = all(item.choices for item in self.predictions)
        if self.protocol not in READ_CHOICES or not has_choices:
            return None
        again = rescorer(self.exam, self.tokenizer, self.predictions)
        scorer = choice_scorer(self.protocol, self.out_of_vocabulary)
        return order_report(self.predictions, again, seed=self.seed, score=scorer)

    def _swap_images(self) -> dict[str, Any]:
        table = self.exam.table
        other = derangement(len(table.image_rows), self._random(0))
        content = np.asarray(self.store.image_table.column("sha256").take(table.image_rows))
        same = content[other] == content
        altered = replace(self.exam, table=replace(table, image=other[table.image]))
        return self._compared(altered, int(same[table.image].sum()))

    def _ask(self, questions: Sequence[str]) -> dict[str, Any]:
        own = np.arange(len(questions))
        table = replace(self.exam.table, texts=self.tokenizer.encode(questions), text=own)
        altered = replace(self.exam, table=table)
        pairs = zip(questions, self._questions, strict=True)
        return self._compared(altered, sum(new == old for new, old in pairs))

    def _compared(self, altered: Exam, unchanged: int) -> dict[str, Any]:
        said = with_said(self.predictions, altered.say())
        result = score_predictions(said, self.protocol, out_of_vocabulary=self.out_of_vocabulary)
        pairs = zip(said, self.predictions, strict=True)
        return {
            "overall": round(result.overall, 4),
            "interval": result.interval and result.interval.to_json(),
            "loss": paired(self.predictions, result.predictions),
            "same_answer": round(mean([100.0 * (a.answer == b.answer) for a, b in pairs]), 4),
            "unchanged": unchanged,
        }

    @property
    def _questions(self) -> list[str]:
        return [item.question for item in self.predictions]

    @property
    def _types(self) -> list[str]:
        return [item.question_type for item in self.predictions]

    def _random(self, alteration: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, alteration])


def derangement(count: int, random: np.random.Generator) -> Ints:
    """A random permutation of 0 … count − 1 in a single cycle (Sattolo 1986), so that nothing stays
    in its place where there are two or more."""
    places = np.arange(count)
    for last in range(count - 1, 0, -1):
        other = int(random.integers(last))
        places[[last, other]] = places[[other, last]]
    return places


def shuffled_words(questions: Iterable[str], random: np.random.Generator) -> list[str]:
    """Each text's words (between blanks) in random order; a question mark stays at the end."""
    found = []
    for question in questions:
        body = question.rstrip()
        stem = body.rstrip("?").rstrip()
        words = stem.split()
        order = random.permutation(len(words))
        found.append(" ".join(words[at] for at in order) + body[len(stem) :])
    return found


def other_questions(
    questions: Sequence[str], types: Sequence[str], random: np.random.Generator
) -> list[str]:
    """For each question a random other text of its type, every distinct text as likely; its own
    where its type has no other."""
    places: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for question, kind in zip(questions, types, strict=True):
        places[kind].setdefault(question, len(places[kind]))
    texts = {kind: list(group) for kind, group in places.items()}
    found = []
    for question, kind in zip(questions, types, strict=True):
        group, own = texts[kind], places[kind][question]
        step = int(random.integers(1, len(group))) if len(group) > 1 else 0
        found.append(group[(own + step) % len(group)])
    return found


def rescorer(
    exam: Exam, tokenizer: QuestionTokenizer, predictions: Sequence[Prediction]
) -> Rescore:
    """Puts questions with their choices in another order to the network (see `order_report`).

    Args:
        exam: the model and the questions.
        tokenizer: the model's.
        predictions: in the order of the exam's table.
    """
    place = {item.question_id: at for at, item in enumerate(predictions)}

    def again(asked: list[Prediction]) -> list[Prediction]:
        choices = list(exam.choices)
        for item in asked:
            choices[place[item.question_id]] = item.choices
        encoded = build_choices(choices, tokenizer, exam.vocabulary)
        altered = replace(exam, table=replace(exam.table, choices=encoded), choices=choices)
        rows = [place[item.question_id] for item in asked]
        said = altered.say(only=np.array(rows, dtype=np.int64))
        return with_said(asked, {at: said[row] for at, row in enumerate(rows)})

    return again


def with_said(questions: Sequence[Prediction], said: Mapping[int, Said]) -> list[Prediction]:
    """The questions, by position, with what was said to each."""
    return [
        item.with_said(said[at].answer, said[at].choice_scores, said[at].top, said[at].confidence)
        for at, item in enumerate(questions)
    ]
