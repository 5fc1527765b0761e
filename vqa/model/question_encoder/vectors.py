"""Word vectors from a text file in GloVe's format: a line is a word and its values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from vqa.errors import ModelError


def read_vectors(path: Path, words: Collection[str], dim: int) -> dict[str, np.ndarray]:
    """The vectors of those `words` that the file has; the first counts where a word stands twice.

    A first line of two numbers (fastText's count and width) is skipped. Beyond the first vector,
    only those of wanted words are parsed and checked.

    Raises:
        ModelError: the file cannot be read, a line has another width than `dim` or a value that is
            no finite number, or the file has none of the words.
    """
    wanted = {word.encode() for word in words}
    found: dict[str, np.ndarray] = {}
    for place, (number, line) in enumerate(_lines(path)):
        if place == 0 or line.split(b" ", 1)[0] in wanted:
            word, values = _split(line, dim, f"{path}, line {number}", first=place == 0)
            if word in wanted:
                found.setdefault(word.decode(), values)
    if not found:
        raise ModelError(
            "has a vector for none of the vocabulary's words",
            where=str(path),
            fix="check the file's language, letter case and format",
        )
    return found


def check_width(path: Path, dim: int) -> None:
    """Refuse a file whose first vector has another width; the rest is not read.

    Raises:
        ModelError: as `read_vectors`.
    """
    number, line = next(_lines(path), (1, b""))
    _split(line, dim, f"{path}, line {number}", first=True)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without the header and blank lines."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.strip(b" \r\n")
                header = number == 1 and [part.isdigit() for part in line.split()] == [True, True]
                if line and not header:
                    yield number, line
    except OSError as error:
        raise ModelError(
            f"cannot read the word vectors: {error.strerror or error}",
            where=str(path),
            fix="give the path of a local text file in GloVe's format",
        ) from error


def _split(line: bytes, dim: int, where: str, *, first: bool) -> tuple[bytes, np.ndarray]:
    """The word and its vector, counted from the right: some files have blanks inside words."""
    word, *texts = line.rsplit(b" ", dim)
    values = _numbers(texts)
    left_over = word.split(b" ")[1:]
    if len(texts) != dim or (left_over and _numbers(left_over[-1:]) is not None):
        width = len(line.split(b" ")) - 1
        raise ModelError(
            f"has {width} values, not {dim}",
            where=where,
            fix=f"set embedding_dim={width}" if first and width else "mend or replace the file",
        )
    if values is None or not np.isfinite(values).all():
        raise ModelError("a value is no finite number", where=where, fix="mend or replace the file")
    return word, values


def _numbers(texts: list[bytes]) -> np.ndarray | None:
    """The texts as numbers; None where one is none."""
    try:
        return np.array([float(text) for text in texts], dtype=np.float32)
    except ValueError:
        return None
