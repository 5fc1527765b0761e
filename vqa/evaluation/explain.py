"""Why a question has its score: every step on both sides, in words."""

from __future__ import annotations

from collections.abc import Sequence

from vqa.evaluation.accuracy import Dialect, VQAAccuracy, exact_score
from vqa.evaluation.multiple_choice import (
    OutOfVocabulary,
    choice_score,
    chosen_positions,
    right_positions,
    said_texts,
)
from vqa.evaluation.normalise import Step, light, trace
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import DIALECTS, right_text, score_predictions
from vqa.formatting import plain


def explain_question(
    item: Prediction, protocol: str, out_of_vocabulary: OutOfVocabulary = "mask"
) -> list[str]:
    """Lines that show how `protocol` scores one question.

    Raises:
        InputError: no such protocol, or it cannot score this question.
    """
    result = score_predictions([item], protocol, out_of_vocabulary=out_of_vocabulary, resamples=0)
    asked = f": {plain(item.question, 1000)}" if item.question else ""
    head = [f"question {plain(item.question_id, 60)}{asked}"]
    if item.answer is None and not item.choice_scores:
        head.append("no answer was given: it counts as wrong")
    if protocol in DIALECTS:
        return [*head, *_soft(item, DIALECTS[protocol], out_of_vocabulary, result.overall)]
    if protocol == "multiple-choice/1" or (protocol == "visual7w/1" and item.choice_scores):
        return [*head, protocol, *_choices(item, out_of_vocabulary)]
    if protocol in ("exact/1", "tdiuc/1"):
        return [*head, protocol, *_exact(item)]
    right = [right_text(item)] if protocol == "visual7w/1" else item.answers
    compared = [f"  said   {item.answer!a}", *(f"  right  {answer!a}" for answer in right)]
    stated = f"normalisation: {result.policies['normalisation']}"
    return [*head, protocol, *compared, stated, f"score {result.overall:.2f}"]


def _soft(item: Prediction, dialect: Dialect, policy: OutOfVocabulary, score: float) -> list[str]:
    """What was said against what people answered, each choice where several tie."""
    said = said_texts(item, policy)
    if len(said) < 2:
        return explain_accuracy(said[0] if said else None, item.answers, dialect)
    lines = [line for text in said for line in explain_accuracy(text, item.answers, dialect)]
    return [*lines, f"policy {policy}, {len(said)} tie: score {score:.2f}"]


def explain_accuracy(answer: str | None, answers: Sequence[str], dialect: Dialect) -> list[str]:
    """Lines that show every normalisation step on both sides, the matches and the score."""
    agreed = dialect.agreed(answers)
    for_prediction = dialect.prediction_agreed if agreed else dialect.prediction_split
    for_answers = dialect.answers_agreed if agreed else dialect.answers_split
    lines = [
        f"vqa-accuracy/{dialect.name}: the {len(answers)} human answers are "
        + ("all the same" if agreed else "not all the same")
    ]
    lines += ["prediction", *_trace_lines(answer or "", for_prediction)]
    said = _last(answer or "", for_prediction)
    matches = 0
    for human in dict.fromkeys(answers):
        count = answers.count(human)
        same = answer is not None and _last(human, for_answers) == said
        matches += count if same else 0
        lines.append(f"human answer × {count}" + (", a match" if same else ""))
        lines += _trace_lines(human, for_answers)
    score = VQAAccuracy(dialect).score(answer, answers)
    alone = "; one set aside leaves no other to agree with" if len(answers) == 1 else ""
    return [*lines, f"{matches} of {len(answers)} match{alone}: score {score:.2f}"]


def _trace_lines(text: str, steps: tuple[Step, ...]) -> list[str]:
    shown = [("as given", text), *trace(text, steps)]
    return [f"  {name:<13} {value!a}" for name, value in shown]


def _last(text: str, steps: tuple[Step, ...]) -> str:
    return trace(text, steps)[-1][1] if steps else text


def _exact(item: Prediction) -> list[str]:
    said = [f"prediction {item.answer!a}"]
    if item.answer is not None:
        said.append(f"  stripped, case folded {light(item.answer)!a}")
    for answer in dict.fromkeys(item.answers):
        said += [f"accepted answer {answer!a}", f"  stripped, case folded {light(answer)!a}"]
    return [*said, f"score {exact_score(item.answer, item.answers):.2f}"]


def _choices(item: Prediction, policy: OutOfVocabulary) -> list[str]:
    chosen, right = chosen_positions(item), right_positions(item)
    lines = []
    for at, choice in enumerate(item.choices):
        score = item.choice_scores[at] if item.choice_scores else None
        shown = (
            ""
            if not item.choice_scores
            else "outside the vocabulary"
            if score is None
            else f"{score:g}"
        )
        marks = [name for name, places in (("chosen", chosen), ("right", right)) if at in places]
        lines.append(f"  {at + 1}. {choice!a} {shown} {' '.join(marks)}".rstrip())
    tied = f", {len(chosen)} tie" if len(chosen) > 1 else ""
    return [*lines, f"policy {policy}{tied}: score {choice_score(item, policy):.2f}"]
