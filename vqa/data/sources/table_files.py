"""Reading a person's own records: a JSON list, JSON Lines, CSV, TSV or Parquet, one at a time."""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from vqa.data.sources.files import (
    Unusable,
    damaged,
    kind_of,
    open_text,
    parsed,
    read_json,
    read_lines,
)
from vqa.data.sources.layouts import check_some, looks_like
from vqa.data.sources.table_columns import check_once
from vqa.data.sources.table_parquet import ParquetFile
from vqa.errors import DataError

LOOKED_AT = 100
"""Records whose keys are the columns of a JSON file."""

LONGEST_CELL = 2**24
"""In characters; that the texts that are used are shorter is seen to record by record."""
QUOTES = (
    'is a quote that begins there not closed? within a quoted text, a quote is written twice: ""'
)

SEPARATOR = re.compile(r"sep=(.)")
_DELIMITERS = (",", "\t", ";", "|")
_SUFFIXES = {
    ".json": "json",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Broken:
    """Stands for a record that is no object; `reason` says what it is."""

    reason: str


Record = dict[str, Any] | Broken


class TableFile(Protocol):
    """A file of records."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    def columns(self) -> list[str]:
        """The names of the columns, in their order."""
        ...

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record once with its place in the file ("line 3")."""
        ...


def open_table(path: Path, key: str | None) -> TableFile:
    """The file at `path`, by its suffix; `.gz` may follow it.

    Args:
        path: the file.
        key: where a JSON object holds its list of records; needed only where it has several lists.

    Raises:
        DataError: it is not there, empty, or of an unknown kind.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = _SUFFIXES.get(suffixes[-1] if suffixes else "")
    if kind is None:
        fix = f"known suffixes: {', '.join(_SUFFIXES)}; a spreadsheet program saves a sheet as .csv"
        raise DataError("unknown kind of file", where=str(path), fix=fix)
    if kind == "parquet":
        return ParquetFile(path)
    head = _first_lines(path)
    if kind in ("csv", "tsv"):
        said = SEPARATOR.fullmatch(head[0].rstrip("\r\n"))
        usual = "\t" if kind == "tsv" else _delimiter(head[0])
        delimiter = said[1] if said else usual
        return DelimitedFile(
            path, delimiter, said is not None, f"{delimiter} " in head[-1 if said else 0]
        )
    lines = kind == "lines" or (len(head) == 2 and all(_is_object(line) for line in head))
    return JsonLinesFile(path) if lines else JsonFile(path, key)


@dataclass(frozen=True)
class JsonFile:
    """A JSON list of objects, or an object that holds one."""

    path: Path
    key: str | None = None

    def columns(self) -> list[str]:
        """The keys of the first records.

        Raises:
            DataError: none of them is an object with keys.
        """
        return _keys(self)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record with its number from 0.

        Raises:
            DataError: a key of the object around the records stands twice.
        """
        for index, record in enumerate(self._list):
            yield f"record {index}", _record(record)

    @cached_property
    def _list(self) -> list[Any]:
        found = self._found(read_json(self.path, object_pairs_hook=_object))
        check_some(self.path, found)
        return found

    def _found(self, content: Any) -> list[Any]:
        if isinstance(content, list) and self.key is None:
            return content
        if isinstance(content, _Repeating):
            raise DataError(content.reason, where=str(self.path), fix="leave one of them out")
        lists = _lists(content)
        if self.key is None and len(lists) == 1:
            return next(iter(lists.values()))
        if self.key in lists:
            return lists[self.key]
        raise self._no_list(content, lists)

    def _no_list(self, content: Any, lists: dict[str, Any]) -> DataError:
        fix = "give a list of objects, one a question"
        if lists:
            fix = f"choose with --records KEY one of: {', '.join(lists)}"
        what = "no list of records" if self.key is None else f"no list under {self.key!r}"
        return DataError(
            f"{what}; it looks like {looks_like(content)}", where=str(self.path), fix=fix
        )


@dataclass(frozen=True)
class JsonLinesFile:
    """One JSON object a line."""

    path: Path

    def columns(self) -> list[str]:
        """The keys of the first records.

        Raises:
            DataError: none of them is an object with keys.
        """
        return _keys(self)

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record with the number of its line from 1."""
        for number, line in read_lines(self.path):
            yield f"line {number}", _parsed(line)


@dataclass(frozen=True)
class DelimitedFile:
    """CSV or TSV with a header.

    Args:
        path: where it lies.
        delimiter: between cells.
        said: whether a line before the header says so ("sep=;", as spreadsheets write it).
        padded: whether blanks stand behind the delimiters, before quotes too, as people write by hand.
    """

    path: Path
    delimiter: str
    said: bool = False
    padded: bool = False

    def columns(self) -> list[str]:
        """The header, without the columns that have no name."""
        return [name for name in next(self._lines())[1] if name]

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record with the number of its last line from 1."""
        lines = self._lines()
        names = next(lines)[1]
        for number, cells in lines:
            if any(cell.strip() for cell in cells):
                yield f"line {number}", _row(names, cells)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Every line's cells, the header's first."""
        done = 0
        try:
            with open_text(self.path) as file:
                reader = csv.reader(
                    file, delimiter=self.delimiter, skipinitialspace=self.padded, strict=True
                )
                if self.said:
                    _cells(reader)
                names = self._header(_cells(reader) or [])
                done = reader.line_num
                yield done, names
                while (cells := _cells(reader)) is not None:
                    done = reader.line_num
                    yield done, cells
        except csv.Error as error:
            where = f"{self.path}, line {done + 1}"
            raise DataError(f"unreadable record ({error})", where=where, fix=QUOTES) from error
        except UnicodeDecodeError as error:
            raise damaged(self.path, error) from error
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"damaged after line {done} ({error})", where=str(self.path)) from error

    def _header(self, cells: list[str]) -> list[str]:
        names = [name.strip() for name in cells]
        if not any(names):
            raise DataError("no header", where=str(self.path), fix="name the columns in line 1")
        check_once(names, self.path)
        return names


def _first_lines(path: Path) -> list[str]:
    """Up to two lines that are not blank.

    Raises:
        DataError: there is none.
    """
    head = [line for _, line in islice(read_lines(path), 2)]
    if not head:
        raise DataError("empty file", where=str(path), fix="get the file again, or leave it out")
    return head


def _delimiter(header: str) -> str:
    """The one of the usual delimiters that stands most often in the header."""
    return max(_DELIMITERS, key=header.count)


def _cells(reader: Any) -> list[str] | None:
    """The next line's cells; None at the end. What a cell may hold is set for this one alone: `csv` knows one limit."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lists(content: Any) -> dict[str, list[Any]]:
    """The lists of objects that an object holds, by key."""
    entries = content.items() if isinstance(content, dict) else ()
    return {key: v for key, v in entries if isinstance(v, list) and v and isinstance(v[0], dict)}


def _keys(file: TableFile) -> list[str]:
    first = list(islice(file.records(), LOOKED_AT))
    keys = dict.fromkeys(k for _, record in first if isinstance(record, dict) for k in record)
    if not keys:
        place, record = first[0]
        reason = record.reason if isinstance(record, Broken) else "an object without keys"
        fix = "give an object a question, whose keys are the columns"
        raise DataError(f"no record can be used: {reason}", where=f"{file.path}, {place}", fix=fix)
    return list(keys)


class _Repeating(dict[str, Any]):
    """An object in which a key stands twice; which of its values is meant, nobody knows."""

    reason = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    found = _Repeating(found)
    keys = [key for key, _ in pairs]
    found.reason = f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice"
    return found


def _repeating(value: Any) -> _Repeating | None:
    """The first such object in a value."""
    if isinstance(value, _Repeating):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(_repeating, parts)), None)


def _record(value: Any) -> Record:
    if not isinstance(value, dict):
        return Broken(f"an object was expected, not {kind_of(value)}")
    try:
        repeating = _repeating(value)
    except RecursionError:
        return Broken("nested too deeply")
    return value if repeating is None else Broken(repeating.reason)


def _parsed(line: str) -> Record:
    try:
        return _record(parsed(line, _object))
    except Unusable as error:
        return Broken(str(error))


def _row(names: list[str], cells: list[str]) -> Record:
    if len(cells) != len(names):
        return Broken(f"{len(cells)} cells, but the header has {len(names)}")
    return dict(zip(names, cells, strict=True))
