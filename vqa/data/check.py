"""What a canonical example may hold, whichever source it comes from."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from vqa.data.record import NO_LABEL, Example
from vqa.errors import DataError

MAX_WORDS = 256
MAX_CHARACTERS = 4000

BLANKS = re.compile(r"[\t\r\n]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
BYTE_ORDER_MARK = "\ufeff"
SPLIT_NAME = re.compile(r"(?!\.)[^/\\]{1,100}", re.DOTALL)
MAX_SPLIT_BYTES = 200
"""A file system takes 255 for a name; endings and marks of unfinished files come behind it."""
SPECIAL = re.compile(rf"{BLANKS.pattern}|{CONTROL.pattern}|{BYTE_ORDER_MARK}")


class Refused(Exception):
    """The example cannot be used; the message is the reason."""


def checked(example: Example) -> Example:
    """`example` with tabs and line ends as blanks and without outer blanks in the question.

    Raises:
        Refused: an empty or overlong text, a control character, equal choices, a right answer that
            is not among the choices, a missing id or split, a split that cannot be a file's name.
    """
    for name in ("question_id", "image_id", "split"):
        if not getattr(example, name):
            raise Refused(f"empty {name}")
    _check_names(example)
    example = _cleaned(example)
    if not example.question:
        raise Refused("empty question")
    if example.answers and not any(answer.strip() for answer in example.answers):
        raise Refused("empty answer")
    _check_choices(example.choices, example.answers, example.label)
    return example


def file_stem(split: str) -> str:
    """`split`, as the name of the files with its results; a store that was made before may hold any.

    Raises:
        DataError: no file can be called so, or it would lie elsewhere.
    """
    if not _names_a_file(split):
        raise DataError(
            f"split {split[:100]!r} cannot be the name of a file",
            fix="call the split otherwise in the source, and prepare the store again",
        )
    return split


def _names_a_file(split: str) -> bool:
    return (
        bool(SPLIT_NAME.fullmatch(split)) and len(split.encode(errors="replace")) <= MAX_SPLIT_BYTES
    )


def _cleaned(example: Example) -> Example:
    """The example itself where its texts are short and plain, as nearly all are."""
    question = example.question
    together = "".join((question, *example.answers, *example.choices))
    plain = len(together) <= 2 * MAX_WORDS and not SPECIAL.search(together)
    if plain and not (question[:1].isspace() or question[-1:].isspace()):
        return example
    return replace(
        example,
        question=_text(question, "question").strip().strip(BYTE_ORDER_MARK + " ").strip(),
        answers=[_text(answer, "answer") for answer in example.answers],
        choices=[_text(choice, "choice") for choice in example.choices],
    )


def _text(value: str, what: str) -> str:
    if len(value) > MAX_CHARACTERS:
        raise Refused(f"{what} of {len(value):,} characters, the limit is {MAX_CHARACTERS:,}")
    if (control := CONTROL.search(value)) is not None:
        raise Refused(f"control character U+{ord(control[0]):04X} in the {what}")
    value = BLANKS.sub(" ", value)
    if len(value) > 2 * MAX_WORDS and (words := len(value.split())) > MAX_WORDS:
        raise Refused(f"{what} of {words:,} words, the limit is {MAX_WORDS}")
    return value


def _check_choices(choices: list[str], answers: list[str], label: int) -> None:
    if not all(choice.strip() for choice in choices):
        raise Refused("empty choice")
    if len(set(choices)) < len(choices):
        again = next(choice for choice, count in Counter(choices).items() if count > 1)
        raise Refused(f"equal choices ({again!r})")
    if not NO_LABEL <= label < len(choices):
        raise Refused(f"label {label} with {len(choices)} choices")
    if choices and answers and label == NO_LABEL:
        raise Refused("the right answer is not among the choices")


def _check_names(example: Example) -> None:
    """Ids and kinds are names that are printed, and all text must be text."""
    names = example.question_id, example.image_id, example.split
    kinds = example.question_type, example.answer_type
    if (control := CONTROL.search("".join((*names, *kinds)))) is not None:
        raise Refused(f"control character U+{ord(control[0]):04X} in an id, type or split")
    try:
        "".join((*names, *kinds, example.question, *example.answers, *example.choices)).encode()
    except UnicodeEncodeError as error:
        raise Refused("half a surrogate pair, which is no character") from error
    if not _names_a_file(example.split):
        raise Refused(
            f"split {example.split[:100]!r} cannot be the name of a file; it has 1 to 100 characters,"
            " none of them / or \\, and does not begin with a dot"
        )
