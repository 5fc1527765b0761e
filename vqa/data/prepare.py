"""From a source to a store: every record checked, every picture decoded once, all or nothing."""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqa.data.check import Refused, checked
from vqa.data.image import DEFAULT_LIMITS, ImageInfo, ImageLimits, check_image, read_image
from vqa.data.record import BadRow, ImageInput, Row, Source, first_of_each_reason, without_folders
from vqa.data.store import Store
from vqa.data.store_writer import StoreWriter
from vqa.data.withheld import Withheld
from vqa.errors import DataError, VQAError
from vqa.machine import cores
from vqa.outputs import FAILING, FULL, is_failing

AHEAD = 128
"""Records that wait for their pictures at a time; bounds memory."""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""A PNG of one mid-grey pixel: stands for every picture of a store that is made from text only."""
GREY = ImageInfo(1, 1, hashlib.sha256(PIXEL).hexdigest())
SHOWN = 10
"""Reasons of bad records that an error message lists."""


class UnusableRecords(DataError):
    """More records than are borne cannot be used, or none can.

    Attributes:
        records: every one of them; a message shows the first of each reason.
    """

    def __init__(self, records: Sequence[BadRow], what: str, max_bad: str = "") -> None:
        self.records = list(records)
        shown = first_of_each_reason(records, SHOWN)
        listed = " (--json lists them all)" if len(records) > len(shown) else ""
        fix = f"correct them{listed}" + (f", or leave them out with {max_bad}" if max_bad else "")
        super().__init__(f"{what}: {'; '.join(shown)}", fix=fix)

    def to_json(self) -> dict[str, Any]:
        """The message and the complete list."""
        return {"error": str(self), "unusable": [asdict(row) for row in self.records]}


Progress = Callable[[int, int], None]
"""Called now and then with the numbers of records read and of unusable ones among them."""


def prepare(
    source: Source,
    to: Path | str,
    *,
    name: str = "",
    max_bad: int = 0,
    overwrite: bool = False,
    link_images: bool = False,
    text_only: bool = False,
    limits: ImageLimits = DEFAULT_LIMITS,
    threads: int | None = None,
    progress: Progress | None = None,
    told: Callable[[str], None] | None = None,
) -> Store:
    """Write the records of `source` as a store at `to`, or leave nothing there.

    The same records and options give the same fingerprint.

    Args:
        source: where records come from.
        to: the store's folder; it must not exist.
        name: what the store calls its source; the class's name by default.
        max_bad: how many records may be left out because they cannot be used.
        overwrite: replace a store that stands at `to`, once the new one is complete.
        link_images: keep the paths of image files instead of their bytes.
        text_only: read no picture at all, for baselines that see only the question; one grey pixel
            stands for each.
        limits: what one picture may cost.
        threads: threads that check pictures; one a core by default.
        progress: told how far it is, after every 1,000 records and at the end.
        told: hears what there is to know of the pictures.

    Raises:
        UnusableRecords: more than `max_bad` records cannot be used, or none can.
        DataError: a file cannot be read, there is no record, or `to` is taken or cannot be written.
        VQAError: the disk is full, or fails.
    """
    keep = _Keep(link=link_images, pictures=not text_only, limits=limits)
    try:
        with StoreWriter(Path(to), overwrite=overwrite) as writer:
            tally = _Tally(writer, progress)
            with warnings.catch_warnings(), _Pictures(writer, keep, threads) as pictures:
                warnings.filterwarnings("ignore", module="PIL")
                judged = Withheld(max_bad).sift(_judged(tally.reading(source.rows())))
                for row in _settled(judged, pictures):
                    tally.add(row)
            tally.close(max_bad)
            if told is not None and pictures.dim:
                told(_dim(pictures.dim))
            return writer.commit(name or type(source).__name__, text_only=text_only)
    except OSError as error:
        raise _unwritable(error, to) from error


def _unwritable(error: OSError, to: Path | str) -> VQAError:
    """The given folder is wrong; or the machine fails, which no other input would help."""
    what = f"cannot write the store ({error.strerror or error})"
    if error.errno not in FAILING:
        return DataError(what, where=str(to))
    mend = "free some space there" if error.errno in FULL else "see to this machine"
    return VQAError(what, where=str(to), fix=f"{mend}, or choose another --to")


class _Tally:
    """Writes settled rows and counts them."""

    def __init__(self, writer: StoreWriter, progress: Progress | None) -> None:
        self._writer, self._progress = writer, progress
        self._read, self._bad = 0, list[BadRow]()

    def reading(self, rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
        """`rows`, counted on their way."""
        for row in rows:
            self._read += 1
            if self._read % 1000 == 0:
                self._tell()
            yield row

    def add(self, row: Row | BadRow) -> None:
        if isinstance(row, Row):
            self._writer.add_example(row.example)
        else:
            self._bad.append(row)
            self._writer.reject(row)

    def close(self, max_bad: int) -> None:
        """Raises `DataError` where too much is bad or nothing is good."""
        self._tell()
        if not self._read:
            raise DataError("no record at all", fix="check that the files given are not empty")
        bad = len(self._bad)
        if bad == self._read:
            raise UnusableRecords(self._bad, "no usable record")
        if bad > max_bad:
            what = f"{bad:,} of {self._read:,} records cannot be used"
            raise UnusableRecords(self._bad, what, f"--max-bad {bad}")

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._read, len(self._bad))


def _judged(rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Check texts and the uniqueness of question ids, of which each is kept with its file alone."""
    files: dict[str, str] = {}
    seen: dict[str, str] = {}
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            example = checked(row.example)
        except Refused as reason:
            yield BadRow(row.where, str(reason))
            continue
        if example.question_id in seen:
            file = without_folders(seen[example.question_id])
            place = f" in {file}" if file else ""
            yield BadRow(row.where, f"question id {example.question_id!r} occurs before{place}")
            continue
        file = row.where.rpartition(", ")[0]
        seen[example.question_id] = files.setdefault(file, file)
        yield Row(example, row.image, row.where)


def _settled(rows: Iterator[Row | BadRow], pictures: _Pictures) -> Iterator[Row | BadRow]:
    """Let pictures be checked some records ahead; rows come out in their order."""
    waiting: deque[tuple[Row | BadRow, _Picture | None]] = deque()
    for row in rows:
        waiting.append((row, pictures.start(row) if isinstance(row, Row) else None))
        if len(waiting) > AHEAD:
            yield pictures.settle(*waiting.popleft())
    while waiting:
        yield pictures.settle(*waiting.popleft())


@dataclass(frozen=True)
class _Keep:
    """What is kept of a picture: bytes, only the path, or (without `pictures`) a grey pixel."""

    link: bool
    pictures: bool
    limits: ImageLimits

    def check(self, image: ImageInput) -> tuple[ImageInfo, bytes]:
        """Read and decode, in a thread."""
        data = read_image(image, self.limits)
        if self.link and image.path is not None:
            _check_name(image.path)
        where = "" if image.path is None else str(image.path)
        return check_image(data, limits=self.limits, where=where), data


@dataclass(slots=True)
class _Picture:
    """One image id: what it stands for, its check until that is settled, why it is unusable, and the file at fault."""

    image: str | int
    check: Future[tuple[ImageInfo, bytes]] | None
    reason: str = ""
    file: str = ""
    written: bool = False


class _Pictures:
    """Checks each picture once, in threads, and writes it before the first row that needs it."""

    def __init__(self, writer: StoreWriter, keep: _Keep, threads: int | None) -> None:
        self._writer, self._keep = writer, keep
        self._pool = ThreadPoolExecutor(threads or cores())
        self._known: dict[str, _Picture] = {}
        self.dim: list[str] = []

    def __enter__(self) -> _Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, row: Row) -> _Picture:
        """The picture of `row`, whose check is begun where it is new."""
        known = self._known.get(row.example.image_id)
        if known is None:
            check = self._pool.submit(self._keep.check, row.image) if self._keep.pictures else None
            known = self._known[row.example.image_id] = _Picture(_identity(row.image), check)
        elif self._keep.pictures and known.image != _identity(row.image):
            return _Picture(
                "", None, reason=f"image id {row.example.image_id!r} stands for two images"
            )
        return known

    def settle(self, row: Row | BadRow, picture: _Picture | None) -> Row | BadRow:
        """`row`, or why its picture makes it unusable."""
        if isinstance(row, BadRow) or picture is None:
            return row
        if not picture.written and not picture.reason:
            self._write(row, picture)
        return BadRow(row.where, picture.reason, picture.file) if picture.reason else row

    def _write(self, row: Row, picture: _Picture) -> None:
        check, picture.check = picture.check, None
        try:
            info, data = (GREY, PIXEL) if check is None else check.result()
        except DataError as error:
            if is_failing(error):  # there is nothing wrong with the picture
                raise
            reason = f"{error.what} — {error.fix}" if error.fix else error.what
            picture.reason = reason if error.where else f"image: {reason}"
            picture.file = error.where
            return
        if info.dim:
            self.dim.append(row.example.image_id)
        path = row.image.path if self._keep.link and self._keep.pictures else None
        if path is None:
            self._writer.add_image(row.example.image_id, info, data=data)
        else:
            self._writer.add_image(row.example.image_id, info, path=path.resolve())
        picture.written = True


def _dim(images: Sequence[str]) -> str:
    return (
        f"pictures of 16 bits a pixel that use the lower 12 alone: {len(images):,} (the first is {images[0]!r}); they"
        " are seen nearly black — spread their values over the whole range, or save them in 8 bits"
    )


def _identity(image: ImageInput) -> str | int:
    """Tells two pictures under one id apart."""
    return str(image.path) if image.data is None else hash(image.data)


def _check_name(path: Path) -> None:
    """A path that is kept must be text."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:
        raise DataError("the file's name is not UTF-8", where=repr(str(path))) from None
