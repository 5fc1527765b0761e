"""Reading and writing the files of an evaluation: JSON, JSON Lines, either of them gzipped, and
atomic writes.

Every failure is a `ResultError` that names the file and, where there is one, the line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from vqa.errors import ResultError
from vqa.outputs import replacing

MAX_BYTES = 4 * 1024**3
"""A file may not unpack to more than this."""

GZIP_MAGIC = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """The content of `path`, unpacked where it is gzipped (told by its first bytes, not its name).

    Raises:
        ResultError: the file is absent, unreadable, a damaged archive, or unpacks to over 4 GiB.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            source = gzip.GzipFile(fileobj=raw) if packed else raw
            data = source.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ResultError(f"cannot be read ({reason})", where=str(path)) from error
    if len(data) > MAX_BYTES:
        raise ResultError("is larger than 4 GiB", where=str(path))
    return data


def read_text(path: Path) -> str:
    """The content of `path` as UTF-8 text; a byte-order mark at its start is accepted and dropped.

    Raises:
        ResultError: as `read_bytes`, or not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ResultError(
            f"not UTF-8 text (byte {error.start})", where=str(path), fix="save it as UTF-8"
        ) from error


def parse_json(text: str, where: str) -> Any:
    """Parse one JSON text strictly: no NaN or Infinity, no key twice in one object.

    Raises:
        ResultError: it is no such text; `where` says which.
    """
    try:
        return STRICT.decode(text)
    except RecursionError as error:
        raise ResultError("nested too deeply", where=where) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ResultError(f"not valid JSON: {error.msg} at {place}", where=where) from error
    except ValueError as error:
        raise ResultError(f"not valid JSON: {error}", where=where) from error


def read_json(path: Path, *, strict: bool = True) -> Any:
    """Parse the JSON file at `path`; `strict` as in `parse_json` (half as fast on many small
    objects).

    Raises:
        ResultError: it cannot be read or parsed.
    """
    text = read_text(path)
    return parse_json(text, str(path)) if strict else parse_quickly(text, str(path))


def parse_quickly(text: str, where: str) -> Any:
    """Parse one JSON text without `parse_json`'s look at every object, for large trusted files.

    Raises:
        ResultError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return parse_json(text, where)


def json_lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, object) for every line of `text` that is not blank.

    Raises:
        ResultError: naming file and line.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json(line, f"{path}:{number}")


def write_atomically(path: Path, lines: Iterable[str]) -> None:
    """Write `lines` to `path` whole, or leave what stands there; see `replacing`.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with replacing(path) as out:
        out.writelines(line.encode() for line in lines)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice!r} stands twice in one object")
    return found


STRICT = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
"""Refuses NaN, Infinity, and a key that stands twice in one object."""
