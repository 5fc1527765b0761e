"""Word vectors from a text file in GloVe's format: a line is a word and its values.

fastText's has a line before them, with their number and their width.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqa.errors import ModelError

_WORD = re.compile(r"\w*[^\W\d_]\w*")
_HEADER = re.compile(rb"\s*(\d+)[ \t]+(\d+)\s*")
_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
LOOKED_AT = 4096
"""Bytes that show whether a file is text."""


@dataclass(frozen=True)
class Coverage:
    """How many words of a vocabulary a file has; signs, numbers and special tokens are no words."""

    path: Path
    found: int
    words: int

    @classmethod
    def of(cls, path: Path, found: Collection[str], vocabulary: Collection[str]) -> Coverage:
        """Count."""
        return cls(path, sum(map(is_word, found)), sum(map(is_word, vocabulary)))

    def line(self) -> str:
        """In words."""
        return f"found {self.found:,} of {self.words:,} words in {self.path.name}"


def is_word(text: str) -> bool:
    """Whether it has a letter, and no sign that would make it a special token.

    >>> [is_word(text) for text in ("café", "2nd", "?", "2", "[UNK]")]
    [True, True, False, False, False]
    """
    return _WORD.fullmatch(text) is not None


def read_vectors(path: Path, words: Collection[str], dim: int) -> dict[str, np.ndarray]:
    """The vectors of those `words` that the file has; the first counts where a word stands twice.

    Beyond the first vector, only those of wanted words are parsed and checked.

    Raises:
        ModelError: the file cannot be read, has another number of vectors or other widths than its header says, a
            line has another width than `dim` or a value that is no finite number, or the file has none of the words.
    """
    wanted = {word.encode() for word in words}
    found: dict[str, np.ndarray] = {}
    header, count = _check_start(path, dim), 0
    for number, line in _lines(path):
        count += 1
        if line.split(b" ", 1)[0] in wanted:
            word, values = _split(line, dim, f"{path}, line {number}", first=count == 1)
            if word in wanted:
                found.setdefault(word.decode(), values)
    if header is not None and header[0] != count:
        raise ModelError(
            f"has {count:,} vectors, its first line says {header[0]:,}",
            where=str(path),
            fix="get the file again: it is truncated or was put together from parts",
        )
    _check_found(path, found, words)
    return found


def _check_found(path: Path, found: Collection[str], words: Collection[str]) -> None:
    """Refuse a file that has nothing, or only signs and numbers, which all languages share."""
    if found and (any(map(is_word, found)) or not any(map(is_word, words))):
        return
    raise ModelError(
        "has a vector for none of the vocabulary's words",
        where=str(path),
        fix="check the file's language, letter case and format",
    )


def check_width(path: Path, dim: int) -> None:
    """Refuse a file whose first vector has another width; the rest is not read.

    Raises:
        ModelError: as `read_vectors`.
    """
    _check_start(path, dim)


def _check_start(path: Path, dim: int) -> tuple[int, int] | None:
    """Refuse by its beginning what is no file of such vectors; its header, the count and the width, if it has one."""
    try:
        with path.open("rb") as file:
            start = file.read(LOOKED_AT)
            file.seek(0)
            header = _header(file.readline())
    except OSError as error:
        raise _unreadable(path, error) from error
    _check_text(path, start)
    number, line = next(_lines(path), (0, b""))
    if not line:
        raise ModelError("has no vector", where=str(path), fix="get the file again")
    where = f"{path}, line {number}"
    _check_first(line, dim, header, where)
    _split(line, dim, where, first=True)
    return header


def _check_text(path: Path, start: bytes) -> None:
    """Refuse an archive and a binary file."""
    if start.startswith(_PACKED):
        raise ModelError(
            "is packed, not a text file",
            where=str(path),
            fix="unpack it (gunzip, unzip) and give the text file",
        )
    if any(byte < ord("\t") for byte in start):
        raise ModelError(
            "is a binary file, not a text file",
            where=str(path),
            fix="give the text format (.txt, .vec): a line is a word and its values, separated by spaces",
        )


def _check_first(line: bytes, dim: int, header: tuple[int, int] | None, where: str) -> None:
    """Refuse other separators than spaces, and a header that does not fit."""
    if b"\t" in line and not _fits(line, dim):
        raise ModelError(
            "the values are separated by tabs, not by spaces",
            where=where,
            fix="replace the tabs: tr '\\t' ' ' < FILE > NEW",
        )
    if header is not None and not _fits(line, header[1]):
        raise ModelError(
            f"has {_width(line)} values, the file's first line says {header[1]}",
            where=where,
            fix="get the file again, or correct its first line",
        )


def _header(line: bytes) -> tuple[int, int] | None:
    """fastText's count and width; None where the line is a vector."""
    match = _HEADER.fullmatch(line)
    return match and (int(match[1]), int(match[2]))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without the header and blank lines."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                stripped = line.strip(b" \r\n")
                if stripped and not (number == 1 and _header(line)):
                    yield number, stripped
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(
        f"cannot read the word vectors: {error.strerror or error}",
        where=str(path),
        fix="give the path of a local text file in GloVe's format",
    )


def _split(line: bytes, dim: int, where: str, *, first: bool) -> tuple[bytes, np.ndarray]:
    """The word and its vector, counted from the right: some files have blanks inside words."""
    word, *texts = line.rsplit(b" ", dim)
    values = _numbers(texts)
    if not _fits(line, dim):
        width = _width(line)
        raise ModelError(
            f"has {width} values, not {dim}",
            where=where,
            fix=f"set embedding_dim={width}" if first and width else "mend or replace the file",
        )
    if values is None or not np.isfinite(values).all():
        raise ModelError("a value is no finite number", where=where, fix="mend or replace the file")
    return word, values


def _fits(line: bytes, dim: int) -> bool:
    """Whether a word and so many values stand there, and no number between them."""
    word, *texts = line.rsplit(b" ", dim)
    left_over = word.split(b" ")[1:]
    return len(texts) == dim and not (left_over and _numbers(left_over[-1:]) is not None)


def _width(line: bytes) -> int:
    return len(line.split(b" ")) - 1


def _numbers(texts: list[bytes]) -> np.ndarray | None:
    """The texts as numbers; None where one is none."""
    try:
        return np.array([float(text) for text in texts], dtype=np.float32)
    except ValueError:
        return None
