"""Word vectors from a text file in GloVe's format: a word and its values a line, separated by blanks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from vqa.errors import ModelError


def read_vectors(path: Path, words: Collection[str], dim: int) -> dict[str, np.ndarray]:
    """The vectors of those `words` that the file has; the first counts where a word stands twice.

    A first line of two numbers (fastText's count and width) is skipped. Only wanted lines are parsed.

    Raises:
        ModelError: the file cannot be read, a line has another width than `dim` or a value that is no finite
            number, or the file has none of the words.
    """
    wanted = {word.encode() for word in words}
    found: dict[str, np.ndarray] = {}
    for number, line in _lines(path):
        # From the right: some published files have blanks inside their words.
        word, *values = line.rsplit(b" ", dim)
        if len(values) != dim or (b" " in word and _is_number(word.rsplit(b" ", 1)[1])):
            raise _other_width(path, number, line, dim)
        if word in wanted:
            found.setdefault(word.decode(), _parse(values, path, number))
    if not found:
        raise ModelError(
            "has a vector for none of the vocabulary's words",
            where=str(path),
            fix="check the file's language, letter case and format",
        )
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without the header and blank lines."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.strip(b" \r\n")
                header = (
                    number == 1 and len(line.split()) == 2 and line.replace(b" ", b"").isdigit()
                )
                if line and not header:
                    yield number, line
    except OSError as error:
        raise ModelError(
            f"cannot read the word vectors: {error.strerror or error}",
            where=str(path),
            fix="give the path of a local text file in GloVe's format",
        ) from error


def _parse(values: list[bytes], path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array([float(value) for value in values], dtype=np.float32)
    except ValueError as error:
        raise ModelError(f"not a number: {error}", where=f"{path}, line {number}") from None
    if not np.isfinite(vector).all():
        raise ModelError("a value is not finite", where=f"{path}, line {number}")
    return vector


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _other_width(path: Path, number: int, line: bytes, dim: int) -> ModelError:
    width = len(line.split(b" ")) - 1
    return ModelError(
        f"has {width} values, not {dim}",
        where=f"{path}, line {number}",
        fix=f"set embedding_dim={width}" if number == 1 and width else "mend or replace the file",
    )
