"""Multiple choice: 2 to N choices, different N in one set, ties, and choices that a vocabulary
cannot say.

Ties: where several choices share the best score, the question scores its *chance*: the share of
them that is right. Order decides nothing, so a set that always lists the truth first gains nothing
(Visual7W's own scorer takes the first minimum, and its files put the truth first).

Vocabulary: a classifier cannot score a choice outside its answer vocabulary (`choice_scores` holds None there):

- `mask`: such a choice cannot be chosen; where no choice can be said all tie, so the question scores its chance;
- `count-wrong`: the same, but a question in which no choice can be said scores 0.

Under either a question whose right choice alone cannot be said is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vqa.errors import ResultError
from vqa.evaluation.normalise import light
from vqa.evaluation.predictions import Prediction

OutOfVocabulary = Literal["mask", "count-wrong"]
OUT_OF_VOCABULARY: tuple[OutOfVocabulary, ...] = ("mask", "count-wrong")

EXPECTED = "expected: choices that share the best score give the share of them that is right"
SOFT = "expected: choices that share the best score give the mean of their scores"


def chosen_positions(prediction: Prediction) -> tuple[int, ...]:
    """The positions of the chosen choice: one, several where they tie, none where nothing could be
    chosen.

    From `choice_scores` where there are any, else from the text of `answer`: the choices that equal
    it, or, where none does, those that equal it with ends stripped and case folded.

    Raises:
        ResultError: the answer is none of the choices.
    """
    if prediction.choice_scores:
        said = [score for score in prediction.choice_scores if score is not None]
        if not said:
            return ()
        best = max(said)
        return tuple(at for at, score in enumerate(prediction.choice_scores) if score == best)
    if prediction.answer is None:
        return ()
    return _positions_of(prediction.answer, prediction)


def said_texts(prediction: Prediction, policy: OutOfVocabulary) -> list[str]:
    """The texts that answer a question, of which a protocol that compares texts gives the mean score.

    The best-scored choices, all of them where none can be said and `policy` guesses; the `answer` alone where
    there are no scores of choices, or where it is another text than the best choices. Nothing where nothing was said.
    """
    answer = prediction.answer
    if not prediction.choice_scores:
        return [] if answer is None else [answer]
    chosen = [prediction.choices[at] for at in chosen_positions(prediction)]
    if answer is not None and answer not in chosen:
        return [answer]
    return prediction.choices if not chosen and policy == "mask" else chosen


def right_positions(prediction: Prediction) -> tuple[int, ...]:
    """The positions of the right choice: the label's, and any other whose text is the same.

    Raises:
        ResultError: the question has no choices, or none of them is known to be right.
    """
    where = f"question {prediction.question_id}"
    if not prediction.choices:
        raise ResultError("has no choices, multiple-choice/1 needs them", where=where)
    if prediction.label >= 0:
        right = prediction.choices[prediction.label]
        return tuple(at for at, choice in enumerate(prediction.choices) if choice == right)
    accepted = {light(answer) for answer in prediction.answers}
    found = tuple(at for at, choice in enumerate(prediction.choices) if light(choice) in accepted)
    if not found:
        raise ResultError("none of the choices is known to be right", where=where)
    return found


def choice_score(prediction: Prediction, policy: OutOfVocabulary = "mask") -> float:
    """The score of one question, 0 to 100 (module docstring).

    Raises:
        ResultError: as `chosen_positions` and `right_positions`.
    """
    right = right_positions(prediction)
    chosen = chosen_positions(prediction)
    if not chosen:
        guessed = policy == "mask" and bool(prediction.choice_scores)
        return 100.0 * len(right) / len(prediction.choices) if guessed else 0.0
    return 100.0 * len(set(right) & set(chosen)) / len(chosen)


def is_tie(prediction: Prediction) -> bool:
    """Whether choices of different text share the best score."""
    chosen = chosen_positions(prediction) if prediction.choice_scores else ()
    return len({prediction.choices[at] for at in chosen}) > 1


def _positions_of(answer: str, prediction: Prediction) -> tuple[int, ...]:
    exact = tuple(at for at, choice in enumerate(prediction.choices) if choice == answer)
    if exact:
        return exact
    said = light(answer)
    near = tuple(at for at, choice in enumerate(prediction.choices) if light(choice) == said)
    if not near:
        shown = ", ".join(repr(choice[:40]) for choice in prediction.choices[:6])
        raise ResultError(
            f"the answer {answer[:60]!r} is none of the choices ({shown})",
            where=f"question {prediction.question_id}",
        )
    return near


def policies(policy: OutOfVocabulary, ties: str = EXPECTED) -> dict[str, str]:
    """The policies in words, for the result."""
    unsayable = "scores its chance" if policy == "mask" else "scores 0"
    return {
        "ties": ties,
        "out_of_vocabulary": f"{policy}: a choice outside the vocabulary cannot be chosen; "
        f"a question in which none can be said {unsayable}",
    }


def sayable(prediction: Prediction) -> Sequence[bool]:
    """For every choice whether the model could score it; all True where no scores are known."""
    if not prediction.choice_scores:
        return [True] * len(prediction.choices)
    return [score is not None for score in prediction.choice_scores]
