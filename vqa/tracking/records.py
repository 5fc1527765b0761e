"""A journal's lines as columns, block by block: quick where the lines are sound, exact where they are not."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vqa.machine import cores
from vqa.tracking.buckets import Floats
from vqa.tracking.journal import BESIDE

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 4 << 20
"""Bytes parsed at once."""

TAIL = 256
"""Bytes by which the end of what was read is known again."""

AT_ONCE = 8
"""Blocks in memory; parsed side by side, since the parser does not hold the interpreter's lock."""

FEW = 16
"""Names that less than one line in so many has are looked for without reading the others."""


@dataclass(frozen=True)
class Stretch:
    """A file from an offset to its end as it was when it was opened.

    Attributes:
        state: inode, size, time of change.
    """

    file: BinaryIO
    start: int
    state: tuple[int, int, int]

    @classmethod
    def open(cls, file: BinaryIO, start: int) -> Stretch:
        """From `start` to the present end."""
        found = os.fstat(file.fileno())
        return cls(file, start, (found.st_ino, found.st_size, found.st_mtime_ns))

    @property
    def end(self) -> int:
        """The size."""
        return self.state[1]

    def before(self, length: int) -> bytes:
        """The last bytes before its start."""
        begin = max(0, self.start - length)
        return os.pread(self.file.fileno(), self.start - begin, begin)


@dataclass(frozen=True)
class Columns:
    """Some whole lines.

    Attributes:
        columns: name → steps and values; each [records that have the name].
        end: offset behind them in the file.
        tail: their last bytes.
    """

    columns: dict[str, tuple[Floats, Floats]]
    records: int
    skipped: int
    last_step: int | None
    end: int = 0
    tail: bytes = b""


def stretches(stretch: Stretch, names: frozenset[str] | None) -> Iterator[Columns]:
    """Its whole lines in order, block by block.

    Args:
        names: only these; where few lines have one, the others are counted and not looked at.
    """
    parse = partial(_parse, names=names)
    blocks = _blocks(stretch)
    if stretch.end - stretch.start <= BLOCK:
        yield from map(parse, blocks)
        return
    with ThreadPoolExecutor(min(AT_ONCE, cores()), "journal") as pool:
        while some := list(itertools.islice(blocks, AT_ONCE)):
            yield from pool.map(parse, some)


def _blocks(stretch: Stretch) -> Iterator[tuple[bytes, int]]:
    """Whole lines, and the offset behind them; a line longer than a block comes with what of it was read."""
    at, number = stretch.start, stretch.file.fileno()
    while at < stretch.end:
        data = os.pread(number, min(BLOCK, stretch.end - at), at)
        whole = data.rfind(b"\n") + 1
        if not data or (not whole and at + len(data) >= stretch.end):
            return
        data = data[: whole or len(data)]
        at += len(data)
        yield data, at


def _parse(block: tuple[bytes, int], names: frozenset[str] | None) -> Columns:
    data, end = block
    try:
        found = _sparsely(data, names) if names else None
        found = found or _quickly(data, names)
    except ValueError:  # pyarrow's own error is one
        found = _exactly(data, names)
    return Columns(found.columns, found.records, found.skipped, found.last_step, end, data[-TAIL:])


def _sparsely(data: bytes, names: frozenset[str]) -> Columns | None:
    """From the few lines that have one of the names, as those of a validation; None where they are not few.

    Raises:
        ValueError: as `_quickly`.
    """
    records = data.count(b"\n")
    begins: set[int] = set()
    for name in names:
        word, at = f"{json.dumps(name)}:".encode(), -1
        while (at := data.find(word, at + 1)) >= 0:
            begins.add(data.rfind(b"\n", 0, at) + 1)
            if len(begins) > records // FEW:
                return None
    last = data.rfind(b"\n", 0, -1) + 1
    lines = (data[begin : data.find(b"\n", begin) + 1] for begin in sorted(begins | {last}))
    found = _quickly(b"".join(lines), names)
    return Columns(found.columns, records, 0, found.last_step)


def _quickly(data: bytes, names: frozenset[str] | None) -> Columns:
    """By Arrow's parser, which reads NaN and Infinity as Python writes them.

    Raises:
        ValueError: a line is no record, or a name has values of several kinds.
    """
    import pyarrow as pa
    from pyarrow import json as arrow_json

    schema = (
        None if names is None else pa.schema([(n, pa.float64()) for n in ("step", *sorted(names))])
    )
    table = arrow_json.read_json(
        pa.BufferReader(data),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data)),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore" if schema else "infer"
        ),
    )
    held = [name for name in table.column_names if _is_number(table.schema.field(name).type)]
    columns = {
        name: _column(table[name]) for name in held if names is None or name in {"step", *names}
    }
    steps, known = columns.get("step", (np.zeros(0), np.zeros(0, bool)))
    if len(steps) != table.num_rows or not (known & np.isfinite(steps)).all():
        raise ValueError("a record without a step")
    found = {
        name: (steps[known], values[known])
        for name, (values, known) in columns.items()
        if name not in BESIDE and known.any()
    }
    return Columns(found, len(steps), 0, int(steps[-1]) if len(steps) else None)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _column(column: pa.ChunkedArray) -> tuple[Floats, Any]:
    """Values, and which of them are there."""
    known = ~column.is_null().to_numpy() if column.null_count else np.ones(len(column), bool)
    return column.to_numpy().astype(np.float64, copy=False), known


def _exactly(data: bytes, names: frozenset[str] | None) -> Columns:
    """Line by line; what is no record is skipped, and a value that is no number."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    records = [record for line in lines if (record := _record(line)) is not None]
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        for name in record.keys() - BESIDE if names is None else record.keys() & names - BESIDE:
            value = _number(record[name])
            if value is not None:
                steps, values = columns.setdefault(name, ([], []))
                steps.append(record["step"])
                values.append(value)
    found = {name: (np.array(steps), np.array(values)) for name, (steps, values) in columns.items()}
    last = int(records[-1]["step"]) if records else None
    return Columns(found, len(records), len(lines) - len(records), last)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = _number(record.get("step")) if isinstance(record, dict) else None
    return {**record, "step": step} if step is not None and np.isfinite(step) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")
