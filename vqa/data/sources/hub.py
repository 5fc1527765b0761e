"""Any data set of the Hugging Face hub, a folder in its layout, or what `save_to_disk` wrote, by a mapping of columns.

Records are streamed (`datasets.load_dataset(…, streaming=True)`), so that no copy of the whole is made
beside the store. No code of a data set is run: `datasets` has no loading scripts since version 4, and
none is asked for. Columns are found and mapped as by the source `table`; a column of classes gives
the names of its classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vqa.data.sources.table import Input, Table
from vqa.data.sources.table_answers import LABELS, AnswerReader
from vqa.data.sources.table_columns import SYNONYMS, parse_map, suggestion
from vqa.data.sources.table_files import LOOKED_AT, Record
from vqa.errors import DataError, DownloadError, InputError, first_line
from vqa.hub import is_local

if TYPE_CHECKING:
    from datasets import IterableDataset

    from vqa.data.record import BadRow, Row

SPLITS = {"validation": "val", "valid": "val"}
"""What the hub's splits are called here, where it is not the same."""
MISSING = -1
"""In a column of classes: no label is known (`datasets.ClassLabel`), as in a test split without answers."""
SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` of `datasets` puts into the folder of a set, or of one split."""


@dataclass(frozen=True)
class HubSplit:
    """The records of one split, streamed; a `TableFile`.

    Args:
        path: the data set's name and the split's, for messages.
        data: the stream.
        limit: at most so many records; all where it is None.
        images: the folder that pictures are called by their place in; the set's own where it is None.
    """

    path: Path
    data: IterableDataset
    limit: int | None = None
    images: Path | None = None

    def columns(self) -> list[str]:
        """The names of the features, or of the first records' keys where nothing declares them."""
        if self.data.column_names:
            return list(self.data.column_names)
        first = islice(self._stream(), LOOKED_AT)
        return list(dict.fromkeys(key for record in first for key in record))

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record with its number from 0.

        Raises:
            DownloadError: the hub went away.
            DataError: a file of the data set is damaged.
        """
        for index, record in enumerate(islice(self._stream(), self.limit)):
            yield f"row {index}", {key: self._said(key, value) for key, value in record.items()}

    def _said(self, key: str, value: Any) -> Any:
        """The value as it was written, and a picture's place in its folder, wherever that lies."""
        said = _as_written(self._kinds.get(key), value)
        if isinstance(said, dict) and isinstance(said.get("path"), str):
            return said | {"path": self._in_folder(said["path"])}
        return said

    def _in_folder(self, path: str) -> str:
        root = self.images or self.path.parent
        for folder in (root.absolute(), root.resolve()):
            if Path(path).is_relative_to(folder):
                return str(Path(path).relative_to(folder))
        return path

    def _stream(self) -> Iterator[dict[str, Any]]:
        import pyarrow as pa

        data = self.data if self.data.features is None else self.data.decode(False)
        try:
            yield from data
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise _damaged(str(self.path), error) from error
        except OSError as error:
            raise _unreachable(str(self.path), error) from error

    @cached_property
    def _kinds(self) -> Mapping[str, Any]:
        """What is declared of each column."""
        return self.data.features or {}


def _as_written(kind: Any, value: Any) -> Any:
    """A class's name; a number of 32 bits as 2.1 and not 2.0999999046325684; of lists and objects each part so."""
    if isinstance(value, int) and hasattr(kind, "names"):
        return _name_of_class(kind.names, value)
    if isinstance(value, float) and getattr(kind, "dtype", "") == "float32":
        return float(str(np.float32(value)))
    if isinstance(value, list) and hasattr(kind, "feature"):
        return [_as_written(kind.feature, one) for one in value]
    if isinstance(value, dict) and isinstance(kind, dict):
        return {key: _as_written(kind.get(key), one) for key, one in value.items()}
    return value


def _name_of_class(names: Sequence[str], number: int) -> str | int | None:
    """None for a label that is missing; a number that no class has stays one."""
    if number == MISSING:
        return None
    return names[number] if number in range(len(names)) else number


@dataclass(frozen=True)
class Hub:
    """A data set of the hub, read as a table.

    Args:
        table: its splits as inputs.
    """

    name: ClassVar[str] = "hub"
    table: Table

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every record, split by split; as `Table`."""
        yield from self.table.rows()


def open_hub(
    name: str,
    config: str | None = None,
    revision: str | None = None,
    splits: Sequence[str] = (),
    limit: int | None = None,
    images: Path | None = None,
) -> list[Input]:
    """The splits of a data set of the hub, or of a local folder in its layout, as inputs of a table.

    Args:
        name: "owner/name", or a folder.
        config: the subset, where there are several.
        revision: branch, tag or commit; the default branch where it is None.
        splits: only these; all by default.
        limit: at most so many records of each.
        images: the folder that pictures are called by their place in; the set's own where it is None.

    Raises:
        InputError: no such data set, subset or split, or one that only code could load.
        DownloadError: the hub cannot be reached.
    """
    found = _load(name, config, revision)
    missing = [split for split in splits if split not in found]
    if missing:
        raise InputError(
            f"no split {missing[0]!r}", where=name, fix=suggestion(missing[0], map(str, found))
        )
    return [
        Input(
            Path(name) / str(split),
            SPLITS.get(str(split), str(split)),
            HubSplit(Path(name) / str(split), data, limit, images),
        )
        for split, data in found.items()
        if not splits or split in splits
    ]


def _load(name: str, config: str | None, revision: str | None) -> Mapping[str, IterableDataset]:
    from datasets.exceptions import DatasetNotFoundError

    if Path(name).is_file():
        raise InputError(
            "this is a file", where=name, fix=f"read it with: vqa prepare table {name} --to STORE"
        )
    try:
        with _offline() if is_local(name) else nullcontext():
            return _opened(name, config, revision)
    except (DatasetNotFoundError, FileNotFoundError) as error:
        raise InputError(
            f"no data set here ({first_line(error)})",
            where=name,
            fix="write owner/name as on the hub, or a folder; private and gated sets need HF_TOKEN",
        ) from error
    except OSError as error:
        raise _unreachable(name, error) from error
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(
            f"cannot be opened ({first_line(error)})",
            where=name,
            fix="name a subset with --config; sets that need code of their own are not loaded",
        ) from error


def _opened(name: str, config: str | None, revision: str | None) -> Mapping[str, IterableDataset]:
    """The splits by their names.

    What `save_to_disk` wrote says itself which they are: by the names of its files some would be left out.
    """
    from datasets import load_dataset

    if any((Path(name) / file).is_file() for file in SAVED):
        if config is None:
            return _saved(name)
        raise InputError("no subsets: save_to_disk wrote it", where=name, fix="omit --config")
    found: Mapping[str, IterableDataset]
    found = load_dataset(name, config, revision=revision, streaming=True)
    return found


def _saved(name: str) -> Mapping[str, IterableDataset]:
    from datasets import Dataset, load_from_disk

    try:
        saved = load_from_disk(name)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(name, error) from error
    splits = {str(saved.split or "train"): saved} if isinstance(saved, Dataset) else saved
    return {split: data.to_iterable_dataset() for split, data in splits.items()}


@contextmanager
def _offline() -> Iterator[None]:
    """Have `datasets` look into its cache and at folders alone, as HF_HUB_OFFLINE has it."""
    import datasets
    from huggingface_hub import constants

    places: tuple[Any, ...] = (datasets.config, constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    for place in places:
        place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"damaged ({first_line(error)})", where=name, fix="get the data set again")


def _unreachable(name: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"the hub cannot be reached ({first_line(error)})",
        where=name,
        fix="check the network (HF_HUB_OFFLINE, HF_ENDPOINT), or give a folder with a copy of the set",
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare hub`."""
    parser.description = (
        "A data set of the Hugging Face hub, a folder in its layout, or one that `save_to_disk` of\n"
        "`datasets` wrote, streamed. Columns are found by their usual names, or named with --map, as\n"
        "for `table`. Splits keep their names, but validation is val; a column of splits counts where\n"
        "--map split=COLUMN names it."
    )
    parser.epilog = (
        "example: vqa prepare hub flaviagiammarino/vqa-rad --to STORE\n"
        "         vqa prepare hub owner/name --config en --split train --map answer=label --to STORE"
    )
    add = parser.add_argument
    add("dataset", metavar="NAME", help="owner/name, or a folder")
    add("--config", metavar="SUBSET", help="the subset, where there are several")
    add("--revision", metavar="COMMIT", help="branch, tag or commit, to get the same data again")
    add("--split", action="append", default=[], metavar="SPLIT", help="only this one; repeat it")
    add("--limit", type=int, metavar="N", help="only the first N records of each split")
    add("--map", action="append", default=[], metavar="FIELD=COLUMN[,COLUMN…]",
        help=f"where a field stands: {', '.join(SYNONYMS)}")  # fmt: skip
    add("--images", type=Path, metavar="DIR", help="folder that names of images are relative to")
    add("--separator", metavar="TEXT", help="between several answers or choices in one cell")
    add("--label-is", choices=LABELS, default="auto", help="how a label names the right choice")


def from_args(args: argparse.Namespace) -> Hub:
    """The source that the command line describes; tells on stderr what it guessed.

    Raises:
        InputError: no such data set, subset, split or column, or a mapping that cannot be read.
        DownloadError: the hub cannot be reached.
    """
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit {args.limit}", where="vqa prepare hub", fix="give 1 or more")
    mapping = parse_map(args.map)
    inputs = open_hub(args.dataset, args.config, args.revision, args.split, args.limit, args.images)
    folder = Path(args.dataset)
    table = Table(
        inputs=inputs,
        mapping=mapping,
        images=args.images or (folder if folder.is_dir() else None),
        answers=AnswerReader(args.separator, args.label_is),
        pictures=not getattr(args, "text_only", False),
        splits=getattr(args, "split_by_image", None) is None,
    )
    for notice in table.notices():
        print(f"note: {notice}", file=sys.stderr)
    return Hub(table)
