"""What a filter asks for of every line of a predictions file, as columns: quick where the lines are sound, exact where
they are not."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import json as arrow_json
from pydantic_core import from_json

from vqa.evaluation.predictions import MAX_ANSWER, id_text

BLOCK = 8 << 20
"""Bytes parsed at once."""
THREADS = 4
"""The quick parser does not hold the interpreter's lock."""
LONGEST_TEXT = 2000
"""Characters of a line that a search looks at."""
RIGHT, PARTLY, WRONG, UNSCORED = range(4)
WORDS = ("question_id", "question_type", "answer_type", "question", "answer")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in WORDS]
    + [("answers", pa.list_(pa.string())), ("score", pa.float64())]
)


@dataclass(frozen=True)
class Columns:
    """The predictions of a file or of a part of it, one row each.

    Attributes:
        offsets: where each line begins.
        verdicts: `RIGHT` (the full score), `PARTLY`, `WRONG` (none of it) or `UNSCORED`.
        ids, question_types, answer_types: as they stand there.
        texts: question, answer and right answers for a search, folded by `folded`.
        skipped: lines that are no predictions.
    """

    offsets: NDArray[np.int64]
    verdicts: NDArray[np.int8]
    ids: pa.Array
    question_types: pa.Array
    answer_types: pa.Array
    texts: pa.Array
    skipped: int = 0


def read_columns(path: Path) -> Columns:
    """Read a file once."""
    with path.open("rb") as file, ThreadPoolExecutor(THREADS, "predictions") as pool:
        blocks = _blocks(file)
        parts: list[Columns] = []
        while some := list(itertools.islice(blocks, THREADS)):
            parts += pool.map(_parse, some)
    return _joined(parts or [_exactly(b"", 0)])


def folded(text: str) -> str:
    """A text without its cases of letters."""
    return text.lower() if text.isascii() else text.casefold()


def verdict(score: Any) -> int:
    """What a score of 0 to 100 says.

    Raises:
        TypeError: it is no number.
    """
    if score is None:
        return UNSCORED
    return RIGHT if score >= 100 else WRONG if score <= 0 else PARTLY


def _joined(parts: list[Columns]) -> Columns:
    return Columns(
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.verdicts for part in parts]),
        pa.concat_arrays([part.ids for part in parts]),
        pa.concat_arrays([part.question_types for part in parts]),
        pa.concat_arrays([part.answer_types for part in parts]),
        pa.concat_arrays([part.texts for part in parts]),
        sum(part.skipped for part in parts),
    )


def _blocks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Whole lines, and where they begin."""
    at = 0
    while data := file.read(BLOCK):
        data += file.readline()
        yield data, at
        at += len(data)


def _parse(block: tuple[bytes, int]) -> Columns:
    data, begin = block
    try:
        return _quickly(data, begin)
    except ValueError:  # pyarrow's own error is one
        return _exactly(data, begin)


def _quickly(data: bytes, begin: int) -> Columns:
    """By Arrow's parser.

    Raises:
        ValueError: a line is no prediction, or is blank.
    """
    table = arrow_json.read_json(
        pa.BufferReader(data),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=SCHEMA, unexpected_field_behavior="ignore"
        ),
    ).combine_chunks()
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    starts = np.concatenate(([0], ends))
    starts = starts[starts < len(data)].astype(np.int64)
    column = {name: _array(table[name]) for name in SCHEMA.names}
    lengths = pc.binary_length(column["question_id"]).fill_null(0).to_numpy()
    sound = ((lengths > 0) & (lengths <= MAX_ANSWER)).all()
    if len(starts) != table.num_rows or not sound or column["answers"].flatten().null_count:
        raise ValueError("a line without a prediction")
    return Columns(
        starts + begin,
        _verdicts(column["score"]),
        column["question_id"],
        column["question_type"].fill_null(""),
        column["answer_type"].fill_null(""),
        _texts(column),
    )


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _verdicts(scores: pa.Array) -> NDArray[np.int8]:
    values = scores.to_numpy(zero_copy_only=False)
    known = scores.is_valid().to_numpy(zero_copy_only=False)
    said = np.select([~known, values >= 100, values <= 0], [UNSCORED, RIGHT, WRONG], PARTLY)
    return said.astype(np.int8)


def _texts(column: dict[str, pa.Array]) -> pa.Array:
    right = pc.binary_join(column["answers"].fill_null([]), "\n")
    words = (column["question"].fill_null(""), column["answer"].fill_null(""), right)
    joined = pc.binary_join_element_wise(*words, "\n", null_handling="replace")
    if (pc.max(pc.binary_length(joined)).as_py() or 0) > LONGEST_TEXT:
        joined = pc.utf8_slice_codeunits(joined, 0, LONGEST_TEXT)
    if pc.all(pc.string_is_ascii(joined)).as_py():
        return pc.ascii_lower(joined).cast(pa.large_string())
    return pa.array([folded(text) for text in joined.to_pylist()], pa.large_string())


def _exactly(data: bytes, begin: int) -> Columns:
    """Line by line; what is no prediction is skipped."""
    rows: list[tuple[int, int, str, str, str, str]] = []
    skipped, at = 0, begin
    for line in _lines(data):
        row = _row(line, at) if line.strip() else None
        skipped += row is None and bool(line.strip())
        rows += [] if row is None else [row]
        at += len(line)
    offsets, verdicts, ids, questions, answers, texts = (
        zip(*rows, strict=True) if rows else [()] * 6
    )
    return Columns(
        np.array(offsets, np.int64),
        np.array(verdicts, np.int8),
        pa.array(ids, pa.string()),
        pa.array(questions, pa.string()),
        pa.array(answers, pa.string()),
        pa.array(texts, pa.large_string()),
        skipped,
    )


def _lines(data: bytes) -> list[bytes]:
    """With their ends, which are line feeds alone."""
    return io.BytesIO(data).readlines()


def _row(line: bytes, at: int) -> tuple[int, int, str, str, str, str] | None:
    """Offset, verdict, id, types and text; None where the line is no prediction."""
    try:
        record = from_json(line, cache_strings="keys")
        kinds = (_word(record.get("question_type")), _word(record.get("answer_type")))
        name, said = id_text(record["question_id"]), verdict(record.get("score"))
        words = [_word(record.get(key)) for key in ("question", "answer")]
        text = "\n".join([*words, "\n".join(record.get("answers") or ())])[:LONGEST_TEXT]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return at, said, name, *kinds, folded(text)


def _word(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError("expected a text")
    return value or ""
