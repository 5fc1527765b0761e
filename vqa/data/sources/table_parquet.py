"""A person's own records in a Parquet file, read in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.data.sources.files import Unreadable
from vqa.data.sources.table_columns import check_once
from vqa.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file, read in batches."""

    path: Path
    batch_size: int = 1024

    def columns(self) -> list[str]:
        """The names of the schema.

        Raises:
            DataError: no Parquet file, or a name stands twice.
        """
        names = list(self._open().schema_arrow.names)
        check_once(names, self.path)
        return names

    def classes(self) -> set[str]:
        """The columns that hold classes by their numbers, as `datasets` notes in a file that it writes."""
        noted = (self._open().schema_arrow.metadata or {}).get(b"huggingface", b"")
        try:
            kinds = json.loads(noted)["info"]["features"].items()
        except (ValueError, LookupError, TypeError, AttributeError):
            return set()
        return {name for name, kind in kinds if '"ClassLabel"' in json.dumps(kind)}

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every record with its number from 0.

        Raises:
            DataError: no Parquet file, or a damaged one.
        """
        import pyarrow as pa

        file, index = self._open(), 0
        try:
            for batch in file.iter_batches(batch_size=self.batch_size):
                for values in zip(*map(_values, batch.columns), strict=True):
                    yield f"row {index}", dict(zip(batch.schema.names, values, strict=True))
                    index += 1
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"damaged after row {index} ({first_line(error)})",
                where=str(self.path),
                fix="get the file again",
            ) from error

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except FileNotFoundError:
            raise DataError("no such file", where=str(self.path), fix="check the path") from None
        except (
            OSError,
            ValueError,
            pa.ArrowException,
        ) as error:  # a name of a column may be no text
            raise DataError(
                f"not a Parquet file ({first_line(error)})",
                where=str(self.path),
                fix="get the file again",
            ) from error


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; `Unreadable` stands for one that Python cannot hold: nobody may ask for it."""
    import pyarrow as pa

    column = _exact(column)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, pa.ArrowException):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return Unreadable()


def _exact(column: pa.Array) -> pa.Array:
    """Numbers of 32 bits as they were written: 2.1, and not 2.0999999046325684."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    if column.type == pa.float32():
        return column.cast(text).cast(number)
    if column.type == pa.list_(pa.float32()):
        return column.cast(pa.list_(text)).cast(pa.list_(number))
    return column
