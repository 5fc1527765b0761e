"""Reading annotation files: JSON or lines, plain or gzipped; errors name the file and what is wrong."""

from __future__ import annotations

import codecs
import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, ParamSpec

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.errors import DataError

P = ParamSpec("P")
GZIP_MAGIC = b"\x1f\x8b"
_WHOLE = re.compile(r"(-?\d+)\.0+")


class Unreadable:
    """Stands for a value that is damaged, or beyond what Python holds, as a date in a year 10,000."""


KINDS = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false",
    list: "a list", dict: "an object", type(None): "null",
    Unreadable: "a value that cannot be read",
}  # fmt: skip


class Unusable(Exception):
    """A record that cannot be used; its message is the reason. `row_of` catches it."""


def row_of(
    where: str, example: Callable[P, tuple[Example, ImageInput]], *args: P.args, **kwargs: P.kwargs
) -> Row | BadRow:
    """The row that a record becomes, or why it cannot be used.

    Args:
        where: the record's file and its place in there.
        example: makes the example and its picture of the other arguments.
    """
    try:
        return Row(*example(*args, **kwargs), where)
    except Unusable as error:
        return BadRow(where, str(error))


def open_text(path: Path) -> IO[str]:
    """Open a UTF-8 text file for reading, gzipped or not, with or without a byte-order mark.

    Raises:
        DataError: it is not there or is no file.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
    except FileNotFoundError:
        raise DataError("no such file", where=str(path), fix="check the path") from None
    except OSError as error:
        raise DataError(
            f"unreadable ({error.strerror})", where=str(path), fix="give a file that can be read"
        ) from error
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read_json(
    path: Path,
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The content of a JSON file; the hooks as in `json.load`.

    Raises:
        DataError: not there, truncated, not JSON, not UTF-8.
    """
    try:
        with open_text(path) as file:
            return json.load(file, object_hook=object_hook, object_pairs_hook=object_pairs_hook)
    except json.JSONDecodeError as error:
        raise DataError(
            f"truncated or not JSON ({error.msg}, line {error.lineno}, column {error.colno})",
            where=str(path),
            fix="get the file again",
        ) from error
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def parsed(
    line: str, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The JSON value of a line; the hook as in `json.loads`.

    Raises:
        Unusable: it is none, is nested too deeply, or has a number of too many digits.
    """
    try:
        return json.loads(line, object_pairs_hook=object_pairs_hook)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"not JSON ({error})") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1.

    Raises:
        DataError: not there, truncated, not UTF-8.
    """
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def all_lines(path: Path) -> list[str]:
    """Every line of a text file, blank ones too but for those at the end, without blanks around it.

    Raises:
        DataError: not there, truncated, not UTF-8.
    """
    try:
        with open_text(path) as file:
            return [line.strip() for line in file.read().rstrip().splitlines()]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def parallel_lines(files: Sequence[Path]) -> Iterator[tuple[int, list[str]]]:
    """The k-th lines of files that belong together, with k from 1; blanks at both ends are gone.

    Raises:
        DataError: a file is unreadable, or they differ in length; the message has the lengths.
    """
    lines = [all_lines(file) for file in files]
    counts = [len(found) for found in lines]
    if len(set(counts)) > 1:
        told = ", ".join(f"{file.name} {n:,}" for file, n in zip(files, counts, strict=True))
        raise DataError(
            f"the files differ in their numbers of lines ({told})",
            where=str(files[0].parent),
            fix="get them again, all of one version",
        )
    for number, together in enumerate(zip(*lines, strict=True), start=1):
        yield number, list(together)


def damaged(path: Path, error: Exception) -> DataError:
    """The error about a file that breaks off or is not what it claims."""
    if isinstance(error, UnicodeDecodeError):
        return DataError(_other_encoding(path), where=str(path), fix="save it as UTF-8")
    return DataError(f"damaged file ({error})", where=str(path), fix="get the file again")


def _other_encoding(path: Path) -> str:
    """How a file that is not UTF-8 shows it."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        lines: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "text in UTF-16, not in UTF-8"
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"not text in UTF-8 (line {number})"
    return "not text in UTF-8"


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return KINDS.get(type(value), type(value).__name__)


def mapping(record: Any) -> Mapping[str, Any]:
    """`record`, which must be an object.

    Raises:
        Unusable: it is something else.
    """
    if not isinstance(record, dict):
        raise Unusable(f"an object was expected, not {kind_of(record)}")
    return record


def text(record: Mapping[str, Any], key: str) -> str:
    """The text under `key`.

    Raises:
        Unusable: missing, or not text.
    """
    value = _present(record, key)
    if not isinstance(value, str):
        raise Unusable(f"key {key!r}: text was expected, not {kind_of(value)}")
    return value


def scalar(record: Mapping[str, Any], key: str) -> str:
    """The text or number under `key`, as text.

    Raises:
        Unusable: missing, or of another kind.
    """
    return as_text(_present(record, key), key)


def as_text(value: Any, key: str) -> str:
    """A text as it is, or a number as text, 2.0 as "2"; true and false as JSON spells them.

    Raises:
        Unusable: anything else.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float | Decimal):
        raise Unusable(f"key {key!r}: text or a number was expected, not {kind_of(value)}")
    if isinstance(value, str | int):
        return str(value)
    if not math.isfinite(value):
        raise Unusable(f"key {key!r}: {value} is no number")
    return plain_number(str(value) if isinstance(value, float) else f"{value:f}")


def plain_number(text: str) -> str:
    """`2.0` as `2`, and `2.00`; any other text as it is. A column of whole numbers that has a gap is written so."""
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def texts(record: Mapping[str, Any], key: str) -> list[str]:
    """The list of texts or numbers under `key`, as texts.

    Raises:
        Unusable: missing, or of another kind.
    """
    value = _present(record, key)
    if not isinstance(value, list):
        raise Unusable(f"key {key!r}: a list was expected, not {kind_of(value)}")
    return [as_text(item, key) for item in value]


def whole(record: Mapping[str, Any], key: str) -> int:
    """The whole number under `key`.

    Raises:
        Unusable: missing, or of another kind.
    """
    value = _present(record, key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unusable(f"key {key!r}: a whole number was expected, not {kind_of(value)}")
    return value


def _present(record: Mapping[str, Any], key: str) -> Any:
    if key not in record:
        raise Unusable(f"key {key!r} is missing")
    return record[key]
