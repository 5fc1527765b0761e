"""A file of rows of one size, read by position: features of pictures, or decoded pictures.

FOLDER/
    manifest.json   shape, type, number of rows, and what the content was made from
    rows.bin        row after row, nothing else; sparse where rows have not been made yet
    index.bin       for every row the xxh3 hash of its bytes (uint64), 0 while it has not been made
    lock            byte k is locked by the process that makes chunk k

A row counts once its hash stands in the index, which is written after it: a death at any moment costs the rows
of one chunk, and there is no moment at which a half made file could be taken for a whole one. The first time that
a process reads a row it compares the hash, so bytes that a disk or a power cut has lost are never used.

`pread` and not a memory map: a fault a page costs more than a call a row, and the resident set stays small.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xxhash
from torch import Tensor

from vqa.data.cache.buffers import Buffers
from vqa.data.cache.layout import INDEX, MANIFEST, Layout, fault_of, write_manifest
from vqa.data.cache.place import failure, folders
from vqa.data.store import Store
from vqa.errors import DataError
from vqa.machine import cores
from vqa.outputs import naming

ROWS, LOCK = "rows.bin", "lock"
CHUNK = 64
"""Rows that one process makes at a time."""
READERS = 4
"""Requests that one batch has out at a time: 1.4 times the speed of one from a cold disk, 1.8 times from memory."""
SMALL_BYTES = 2_000_000
"""Less than that is read by one thread."""
BLOCK_BYTES = 8_000_000
"""Bytes that one thread reads at a time when a whole file is read."""
MADE_ANEW = "start again: they are made anew, all others are kept"
OTHERS = "it cannot be written from here: have its owner delete it, or train with data.resident=always once"
BROUGHT_ANEW = "bring them in again with vqa prepare regions: all others are kept"


class DamagedRows(DataError):
    """Rows whose bytes are not those that were written; they count as not made from here on.

    Attributes:
        rows: which.
    """

    def __init__(self, path: Path, rows: np.ndarray, fix: str = MADE_ANEW) -> None:
        self.rows = rows
        super().__init__(
            f"{len(rows)} rows are damaged (the first is {int(rows[0])})", where=str(path), fix=fix
        )


class RowFile:
    """An open file of rows. Reading is safe in several threads.

    Args:
        folder: where it stands.
        layout: what it holds.
        writable: whether rows can be added.
    """

    def __init__(self, folder: Path, layout: Layout, *, writable: bool) -> None:
        self.folder, self.layout = folder, layout
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._rows, self._index = (
            self._open(folder / ROWS, flags),
            self._open(folder / INDEX, flags),
        )
        # A process that closes the file gives up its locks: who only reads has no business with it.
        self._lock = self._open(folder / LOCK, flags) if writable else -1
        # Rows come in any order: what lies behind one is not read ahead.
        os.posix_fadvise(self._rows, 0, 0, os.POSIX_FADV_RANDOM)
        self.index = np.zeros(layout.rows, dtype="<u8")
        self._checked = np.zeros(layout.rows, dtype=bool)
        self._buffers = Buffers()

    def _open(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags, 0o644)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    @property
    def data_path(self) -> Path:
        """The file with the rows."""
        return self.folder / ROWS

    def refresh(self) -> None:
        """Look which rows have been made by now."""
        data = os.pread(self._index, self.layout.rows * 8, 0)
        self.index = np.frombuffer(data.ljust(self.layout.rows * 8, b"\0"), dtype="<u8").copy()

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that have not been made."""
        gone: np.ndarray = rows[self.index[rows] == 0]
        return gone

    def claim(self, chunk: int) -> bool:
        """Take a chunk to make; False while another process has it. Given up at any death.

        Raises:
            OSError: nothing can be locked here.
        """
        try:
            with naming(self.folder / LOCK):
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, chunk)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            return False
        return True

    def give_up(self, chunk: int | None = None) -> None:
        """Let others have a chunk, or all of them."""
        fcntl.lockf(self._lock, fcntl.LOCK_UN, *(() if chunk is None else (1, chunk)))

    def write(self, rows: np.ndarray, values: Tensor) -> None:
        """Add rows: the bytes first, then the hashes by which they count.

        Raises:
            OSError: the disk is full, or fails; the rows do not count.
        """
        size, view = self.layout.row_bytes, _bytes(values)
        for start, stop in _runs(rows):
            _write(self._rows, view[start * size : stop * size], int(rows[start]) * size)
        hashes = _hashes(view, range(len(rows)), size)
        for start, stop in _runs(rows):
            _write(self._index, memoryview(hashes[start:stop].tobytes()), int(rows[start]) * 8)
        self.index[rows] = hashes

    def holds(self, row: int, value: Tensor) -> bool:
        """Whether the row has been made, and of these bytes."""
        return _hash(_bytes(value)) == int(self.index[row])

    def read(self, rows: np.ndarray, out: Tensor | None = None) -> Tensor:
        """The rows at `rows`, in their order, into `out` or memory that earlier batches have left.

        Raises:
            DamagedRows: the bytes are not those that were written.
        """
        layout = self.layout
        if out is None:
            out = self._buffers.take((len(rows), *layout.shape), layout.torch_dtype)
        size, view = layout.row_bytes, _bytes(out)

        def piece(run: tuple[int, int]) -> None:
            start, stop = run
            _read(self._rows, view[start * size : stop * size], int(rows[start]) * size)

        runs = list(_runs(rows))
        together = len(runs) > 1 and len(view) > SMALL_BYTES
        for _ in self._readers.map(piece, runs) if together else map(piece, runs):
            pass
        self._check(rows, view)
        return out

    @cached_property
    def _readers(self) -> ThreadPoolExecutor:
        """A disk answers several requests at once sooner than one after another."""
        return ThreadPoolExecutor(READERS, thread_name_prefix="rows")

    def read_all(self, rows: np.ndarray, out: Tensor) -> None:
        """As `read`, in blocks and by several threads; `out` is on the CPU."""
        block = max(1, BLOCK_BYTES // self.layout.row_bytes)
        with ThreadPoolExecutor(cores()) as pool:
            starts = range(0, len(rows), block)
            for _ in pool.map(
                lambda at: self.read(rows[at : at + block], out[at : at + block]), starts
            ):
                pass

    def verify(self, rows: np.ndarray) -> np.ndarray:
        """Read rows that have been made and compare them; those that are damaged."""
        self._checked[rows] = False
        damaged = []
        for part in np.array_split(rows, max(1, len(rows) // CHUNK)):
            try:
                self.read(part)
            except DamagedRows as error:
                damaged.append(error.rows)
        return np.concatenate(damaged) if damaged else rows[:0]

    def _check(self, rows: np.ndarray, view: memoryview) -> None:
        """Compare the rows that this process reads for the first time."""
        size, new = self.layout.row_bytes, np.flatnonzero(~self._checked[rows])
        if not len(new):
            return
        hashes = _hashes(view, new, size)
        if not np.array_equal(hashes, self.index[rows[new]]):
            self.refresh()  # another process may have made some again
        right = hashes == self.index[rows[new]]
        self._checked[rows[new]] = right
        if not right.all():
            damaged = rows[new[~right]]
            fix = MADE_ANEW if self.forget(damaged) else OTHERS
            if self.layout.kind == "regions":
                fix = BROUGHT_ANEW
            raise DamagedRows(self.data_path, damaged, fix)

    def forget(self, rows: np.ndarray) -> bool:
        """Have `rows` made again; false where that cannot be written down."""
        self.index[rows] = 0
        if not os.access(self.folder / INDEX, os.W_OK):
            return False
        descriptor = os.open(self.folder / INDEX, os.O_WRONLY)
        try:
            for row in rows:
                _write(descriptor, memoryview(bytes(8)), int(row) * 8)
        finally:
            os.close(descriptor)
        return True


def open_rows(folder: Path, layout: Layout) -> tuple[RowFile, list[str]]:
    """Open a file of rows to add to it; make it where there is none.

    Returns:
        The file, and what was wrong with one that stood there: such rows are made again.

    Raises:
        VQAError: it cannot be written.
    """
    try:
        return _opened(folder, layout)
    except OSError as error:
        told = failure(folder, error)
    raise told  # outside of the handler: it is not the run's disk that is full


def _opened(folder: Path, layout: Layout) -> tuple[RowFile, list[str]]:
    troubles = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("a") as lock:  # one process at a time looks for damage
        fcntl.flock(lock, fcntl.LOCK_EX)
        fault = fault_of(folder, layout)
        if fault is not None and layout.kind == "regions":
            fix = "delete it, and bring the regions in again"  # nothing here can make them
            raise DataError(fault, where=str(folder), fix=fix)
        if fault is not None:
            troubles.append(f"{folder}: {fault}; it is made anew")
            shutil.rmtree(folder)
        folder.mkdir(exist_ok=True)
        file = RowFile(folder, layout, writable=True)
        troubles += _mend(folder, layout)
        write_manifest(folder, layout)
    file.refresh()
    return file, troubles


def find_rows(folder: Path, layout: Layout, rows: np.ndarray) -> RowFile | None:
    """The file at `folder` to read from, where it has all of `rows`; nothing is written."""
    try:
        if not (folder / MANIFEST).exists() or fault_of(folder, layout) is not None:
            return None
        if (folder / ROWS).stat().st_size != layout.rows * layout.row_bytes:
            return None
        file = RowFile(folder, layout, writable=False)
    except OSError:
        return None
    file.refresh()
    return None if len(file.missing(rows)) else file


def count_missing(folder: Path, layout: Layout, rows: np.ndarray) -> int:
    """How many of `rows` are still to be made at `folder`; nothing is written."""
    try:
        index = np.fromfile(folder / INDEX, dtype="<u8", count=layout.rows)
    except OSError:
        return len(rows)
    made = np.flatnonzero(index)
    return len(rows) - int(np.isin(rows, made).sum())


def find_kept(
    store: Store, layout: Layout, rows: np.ndarray, lost: Path | None = None
) -> RowFile | None:
    """As `find_rows`, at home or beside the store; not the file at `lost`.

    Where there are both, the one beside the store lacked rows, or had damaged ones, that could not be mended.
    """
    standing = (folder / layout.name for folder in reversed(folders(store)))
    found = (find_rows(folder, layout, rows) for folder in standing if folder != lost)
    return next((one for one in found if one is not None), None)


def _mend(folder: Path, layout: Layout) -> list[str]:
    """Bring both files to their full sizes; rows beyond the end of a cut one count as not made."""
    troubles = []
    index, data = folder / INDEX, folder / ROWS
    if index.stat().st_size not in (0, layout.rows * 8):
        troubles.append(f"{index}: has a wrong size; every row is made again")
        os.truncate(index, 0)
    os.truncate(index, layout.rows * 8)
    size, whole = data.stat().st_size, layout.rows * layout.row_bytes
    if size != whole:
        kept = min(layout.rows, size // layout.row_bytes)
        if size:
            troubles.append(f"{data}: was cut off; rows from {kept} on are made again")
        with index.open("r+b") as file:
            file.truncate(kept * 8)
            file.truncate(layout.rows * 8)
        os.truncate(data, whole)
    return troubles


def _runs(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where consecutive rows start and stop among `rows`."""
    ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    start = 0
    for stop in ends:
        if stop > start:
            yield start, stop
        start = stop


def _bytes(values: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU."""
    assert values.is_contiguous(), "rows lie one after another"
    return values.view(-1).view(torch.uint8).numpy().data


def _hash(piece: memoryview) -> int:
    """Never 0, which says that there is no row."""
    return xxhash.xxh3_64_intdigest(piece) or 1


def _hashes(view: memoryview, places: Iterable[int], size: int) -> np.ndarray:
    return np.array([_hash(view[k * size : (k + 1) * size]) for k in places], dtype="<u8")


def _read(descriptor: int, view: memoryview, offset: int) -> None:
    """Fill `view`; what lies beyond the end of a file stays as it is, and its hash will not fit."""
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            view[done:] = bytes(len(view) - done)
            return
        done += count


def _write(descriptor: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
