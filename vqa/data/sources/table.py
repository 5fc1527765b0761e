"""A person's own data set: JSON, JSON Lines, CSV, TSV or Parquet, with pictures in a folder."""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, as_text, kind_of, plain_number
from vqa.data.sources.pictures import PictureFolder
from vqa.data.sources.table_answers import (
    LABELS,
    AnswerReader,
    Origin,
    PastTheEnd,
    reads_as_one,
)
from vqa.data.sources.table_columns import (
    SYNONYMS,
    WITHHOLDABLE,
    Columns,
    parse_map,
    resolve,
    suggestion,
)
from vqa.data.sources.table_files import LOOKED_AT, Broken, Record, TableFile, open_table
from vqa.data.sources.table_parquet import ParquetFile
from vqa.errors import DataError

DEFAULT_SPLIT = "train"
KNOWN_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})
LONGEST_NAME = 255
"""Of a file, in bytes."""
EMPTY = re.compile(r"nan|null|<na>|#n/a", re.IGNORECASE)
"""How programs write that a cell is empty; people answer "none", and "NA" is sodium."""
_IN_BASE64 = re.compile(r"data:image/[\w.+-]+;base64,")
JOINT = re.compile(r"[|;]")
"""What stands between several answers in one cell."""
_ASSIGNED = re.compile(r"([\w.-]+)=(.+)")


@dataclass(frozen=True)
class Input:
    """A file, and the split of all of its records where the user names it.

    Args:
        path: where it lies.
        split: of all of its records; None where a column or nothing says it.
        opened: the records, where they are not to be read from `path` by its suffix.
    """

    path: Path
    split: str | None = None
    opened: TableFile | None = None


@dataclass(frozen=True)
class _Opened:
    """An input whose columns are known."""

    file: TableFile
    columns: Columns
    split: str
    stem: str


@dataclass(frozen=True)
class Table:
    """Records with columns of any names.

    A record's split is its input's, else its split column's, else `train`; `Val` is `val`. Of an input that is opened
    already, as of the hub, a column named by the user comes first. A record without an id
    gets "<file's stem>/<number of the record>". One without an answer passes here: whether its
    whole split withholds them shows only at the end, and `prepare` sees to it.

    Args:
        inputs: the files, in the order in which they are to be stored.
        mapping: field → columns; fields that are not here are looked for by name and synonym.
        images: the folder that the pictures' names are relative to; each file's own by default.
        answers: how answers, choices and labels are read.
        records: the key of a JSON object's list of records.
        pictures: whether rows point at pictures; without, no image column is needed.
        splits: whether the splits found here count; without, nothing is told about them.
    """

    name: ClassVar[str] = "table"
    inputs: Sequence[Input]
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Path | None = None
    answers: AnswerReader = field(default_factory=AnswerReader)
    records: str | None = None
    pictures: bool = True
    splits: bool = True

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every record.

        Raises:
            DataError: a file is unreadable, a column that is needed is not there, or the labels count
                from 1 and are not said to.
        """
        origin = Origin()
        for opened in self._opened:
            yield from self._rows_of(opened, origin)
        origin.check()

    def _rows_of(self, opened: _Opened, origin: Origin) -> Iterator[Row | BadRow]:
        folder = PictureFolder(self.images or opened.file.path.parent)
        for number, (place, record) in enumerate(opened.file.records()):
            where = f"{opened.file.path}, {place}"
            try:
                if isinstance(record, Broken):
                    raise Unusable(record.reason)
                origin.see(opened.columns.value(record, "label"))
                yield Row(*self._example(opened, folder, record, number), where)
            except Unusable as error:
                if isinstance(error, PastTheEnd):
                    origin.past.append(where)
                yield BadRow(where, str(error))

    def notices(self) -> list[str]:
        """What was guessed about the files, a line each.

        Raises:
            DataError: as `rows`.
        """
        return list(dict.fromkeys(self._resolved[1]))

    @property
    def _opened(self) -> list[_Opened]:
        return self._resolved[0]

    @cached_property
    def _resolved(self) -> tuple[list[_Opened], list[str]]:
        files = [given.opened or open_table(given.path, self.records) for given in self.inputs]
        known = [file.columns() for file in files]
        elsewhere = {name for columns in known for name in columns}
        stems = [file.path.name.split(".")[0] for file in files]
        opened, notices = [], []
        for i, (given, file, columns) in enumerate(zip(self.inputs, files, known, strict=True)):
            where = str(file.path)
            chosen, guesses = resolve(columns, self.mapping, where=where, elsewhere=elsewhere)
            self._check(chosen, columns, where)
            if given.split and "split" in chosen and not self._wants_column(given):
                chosen = chosen.without("split")
                notices += _unread_split(given) if self.splits else []
            stem = stems[i] if stems.count(stems[i]) == 1 else f"{stems[i]}.{i}"
            split = _split_name(given.split or _split_of_stem(i, stems))
            opened.append(_Opened(file, chosen, split, stem))
            notices += guesses + _file_notices(
                opened[-1], given, self.splits, self.answers.separator
            )
        return opened, notices

    def _wants_column(self, given: Input) -> bool:
        """Whether the user names the column of splits, and not the split."""
        return given.opened is not None and bool(self.mapping.get("split"))

    def _check(self, chosen: Columns, columns: Sequence[str], where: str) -> None:
        if "question" not in chosen:
            raise _no_column("question", columns, where)
        if self.pictures and "image" not in chosen and "image_id" not in chosen:
            raise _no_column("image", columns, where)

    def _example(
        self, opened: _Opened, folder: PictureFolder, record: dict[str, Any], number: int
    ) -> tuple[Example, ImageInput]:
        columns = opened.columns
        question = columns.needed(record, "question")
        if not isinstance(question, str):
            raise Unusable(f"the question is {kind_of(question)}, text was expected")
        question_id = _optional(columns, record, "question_id") or f"{opened.stem}/{number}"
        image_id, image = self._image(columns, folder, record)
        said = self.answers.read(record, columns)
        example = Example(
            question_id=question_id,
            image_id=image_id or question_id,
            question=question,
            answers=said.answers,
            choices=said.choices,
            label=said.label,
            question_type=_optional(columns, record, "question_type"),
            answer_type=_optional(columns, record, "answer_type"),
            split=_split_name(_optional(columns, record, "split")) or opened.split,
        )
        return example, image

    def _image(
        self, columns: Columns, folder: PictureFolder, record: Mapping[str, Any]
    ) -> tuple[str, ImageInput]:
        """The image's id ("" where nothing names it) and where its bytes are."""
        image_id = _whole(_optional(columns, record, "image_id"))
        if not self.pictures:
            value = columns.value(record, "image")
            return image_id or (_name(value)[0] if value is not None else ""), ImageInput()
        value = columns.needed(record, "image" if "image" in columns else "image_id")
        name, data = _name(value)
        image = folder.find_named(name) if data is None else ImageInput(data=data)
        return image_id or name, image


def _name(value: Any) -> tuple[str, bytes | None]:
    """A picture's name from its path or number; made of its bytes, where they are here as `datasets` has them."""
    path = value.get("path") if isinstance(value, Mapping) else None
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()[:16], data
    name = as_text(path if isinstance(value, Mapping) else value, "image").strip()
    data = _decoded(name)
    if data is not None:
        return _name(data)
    if re.match(r"[a-z]+://", name, re.IGNORECASE):
        raise Unusable(f"the image is a web address ({name[:60]}); {_how_to_fetch(name)}")
    return _whole(PurePosixPath(name.replace("\\", "/")).as_posix()), None


def _how_to_fetch(address: str) -> str:
    """What to do about a picture that is not here; of a data set of the hub the whole set can be."""
    at_hub = re.match(r"hf://datasets/([^/@]+/[^/@]+)", address)
    if at_hub is None:
        return "fetch the pictures first"
    return (
        f"`hf download {at_hub[1]} --repo-type dataset --local-dir DIR`, then `vqa prepare hub DIR`"
    )


def _whole(name: str) -> str:
    """`12.0` as `12`, written so where a column of numbers has a gap; `12.00` is a name of its own, as of a moment."""
    return plain_number(name) if name.endswith(".0") else name


def _decoded(name: str) -> bytes | None:
    """The picture that a cell holds itself, in base64; None where it names a file.

    Raises:
        Unusable: it does neither.
    """
    said = _IN_BASE64.match(name)
    if said is None and (len(name) <= LONGEST_NAME or "." in name):
        return None
    try:
        return base64.b64decode("".join(name[said.end() if said else 0 :].split()), validate=True)
    except ValueError:
        raise Unusable(
            f"the image is a text of {len(name):,} characters, neither a file's name nor whole base64"
        ) from None


def _split_of_stem(i: int, stems: Sequence[str]) -> str:
    """Several files that are named like splits are these splits."""
    known = len(stems) > 1 and {stem.lower() for stem in stems} <= KNOWN_SPLITS
    return stems[i] if known else DEFAULT_SPLIT


def _split_name(text: str) -> str:
    """A split as experiments know it, however its letters are written: Val is val."""
    return text.lower() if text.lower() in KNOWN_SPLITS else text


def _optional(columns: Columns, record: Mapping[str, Any], name: str) -> str:
    value = columns.value(record, name)
    return "" if value is None else as_text(value, name).strip()


def _no_column(name: str, columns: Sequence[str], where: str) -> DataError:
    fix = f"say which with --map {name}=COLUMN; {suggestion(name, columns)}"
    return DataError(f"no column for the {name}", where=where, fix=fix)


def _file_notices(opened: _Opened, given: Input, splits: bool, separator: str | None) -> list[str]:
    notices = []
    if splits and not given.split and "split" not in opened.columns:
        change = f"write SPLIT={given.path.name} to change"
        notices.append(f"{given.path} is taken as split {opened.split!r} ({change})")
    if not any(name in opened.columns for name in WITHHOLDABLE):
        notices.append(f"{given.path} has no column for answers (--map answer=… if it has)")
    if "label" in opened.columns and not {"choices", "answer", "answers"} & opened.columns.fields:
        notices.append(f"{given.path} has no choices: the label is taken as the answer")
    if isinstance(opened.file, ParquetFile):
        notices += _classes(opened.file, opened.columns)
    if given.opened is None:
        first = [record for _, record in islice(opened.file.records(), LOOKED_AT)]
        notices += _peculiar(opened, first, separator)
    return notices


def _classes(file: ParquetFile, columns: Columns) -> Iterator[str]:
    read = {name.partition(".")[0] for names in columns.by_field.values() for name in names}
    if found := sorted(file.classes() & read):
        better = f"`vqa prepare hub {file.path.parent}` reads their names"
        yield f"{file.path} holds numbers of classes in {', '.join(found)}: {better}"


def _unread_split(given: Input) -> list[str]:
    said = f"all of it is split {given.split!r}, and its column of splits is not read"
    change = f"leave out {given.split}=" if given.opened is None else "--map split=COLUMN"
    return [f"{given.path}: {said} ({change} to change)"]


def _peculiar(opened: _Opened, first: Sequence[Record], separator: str | None) -> Iterator[str]:
    """What looks otherwise than it is read."""
    path = opened.file.path
    if not separator:
        cells = (cell for cell in _cells(opened, first, "answers") if isinstance(cell, str))
        for cell in islice((c for c in cells if reads_as_one(c) or _is_joint(c)), 1):
            shown = f"{path} has answers such as {cell[:60]!r}"
            yield f"{shown}, read as one (--separator if they are several)"
    for name in ("answer", "answers", "choices"):
        found = (cell if isinstance(cell, list) else [cell] for cell in _cells(opened, first, name))
        texts = (text.strip() for text in chain.from_iterable(found) if isinstance(text, str))
        for text in islice((text for text in texts if EMPTY.fullmatch(text)), 1):
            told = "read as a text (leave such cells empty if they say nothing)"
            yield f"{path} has {text!r} for {name}, {told}"


def _cells(opened: _Opened, records: Iterable[Record], name: str) -> Iterator[Any]:
    """What the records have of a field."""
    for record in records:
        if not isinstance(record, Broken):
            yield opened.columns.value(record, name)


def _is_joint(cell: str) -> bool:
    return not cell.lstrip().startswith("[") and JOINT.search(cell) is not None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare table`."""
    parser.description = (
        "Your own data set: JSON (a list of objects), JSON Lines, CSV, TSV or Parquet, plain or\n"
        "gzipped. Columns are found by their usual names, or named with --map. A label is the\n"
        "right choice's position from 0, its letter or its text, an answer its letter or text.\n"
        "Where the choices are an object ({A: …, B: …}), its keys are the letters or positions.\n"
        "Without a split column or SPLIT=FILE everything is 'train'; --split-by-image draws splits."
    )
    parser.epilog = (
        "example: vqa prepare table train=a.json test=b.json --map image=image_name\n"
        "         --map choices=option_a,option_b,option_c --images pictures --to STORE"
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="[SPLIT=]FILE", help="the files, each with a split or not")
    add("--map", action="append", default=[], metavar="FIELD=COLUMN[,COLUMN…]",
        help=f"where a field stands: {', '.join(SYNONYMS)}; image.path is path in image; FIELD= for none")  # fmt: skip
    add("--images", type=Path, metavar="DIR",
        help="folder that the images' names are relative to (default: the file's)")  # fmt: skip
    add("--separator", metavar="TEXT", help="between several answers or choices in one cell")
    add("--label-is", choices=LABELS, default="auto",
        help="how a label names the right choice (default: any way that is clear)")  # fmt: skip
    add("--records", metavar="KEY", help="the list of records in a JSON object of several lists")


def from_args(args: argparse.Namespace) -> Table:
    """The source that the command line describes; tells on stderr what it guessed.

    Raises:
        InputError: a mapping that cannot be read, a missing column, a file of no known kind.
    """
    table = Table(
        inputs=[_input(text) for text in args.inputs],
        mapping=parse_map(args.map),
        images=args.images,
        answers=AnswerReader(args.separator, args.label_is),
        records=args.records,
        pictures=not getattr(args, "text_only", False),
        splits=getattr(args, "split_by_image", None) is None,
    )
    for notice in table.notices():
        print(f"note: {notice}", file=sys.stderr)
    return table


def _input(text: str) -> Input:
    assigned = _ASSIGNED.fullmatch(text)
    if assigned is None or Path(text).exists():
        return Input(Path(text))
    return Input(Path(assigned[2]), assigned[1])
