"""Making the rows that are missing: by any number of processes at once, each taking chunks that no other has."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from torch import Tensor
from tqdm import tqdm

from vqa.data.ahead import ahead
from vqa.data.cache.place import check_room, failure
from vqa.data.cache.rows import CHUNK, RowFile
from vqa.formatting import size
from vqa.machine import cores

WAIT_SECONDS = 0.2
LINES = 10
"""Lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Maker:
    """How rows are made.

    Attributes:
        decode: the pictures of rows; called in threads.
        finish: what becomes of them; called in turn.
        threads: pictures are decoded by.
    """

    decode: Callable[[np.ndarray], Tensor]
    finish: Callable[[Tensor], Tensor]
    threads: int = field(default_factory=cores)


def fill(file: RowFile, wanted: np.ndarray, maker: Maker, *, announce: bool = True) -> None:
    """Make those of the rows `wanted` that are missing; back when all are there, whoever made them.

    Args:
        file: writable.
        wanted: ascending.
        maker: how rows are made.
        announce: say on stderr what it costs and how far it is.

    Raises:
        DataError: too little room on the disk; nothing was begun.
        VQAError: the disk became full; what was made is kept.
    """
    missing = file.missing(wanted)
    if not len(missing):
        return
    needed = len(missing) * file.layout.row_bytes
    check_room(file.folder, needed)
    with closing(Progress(file, wanted, needed, enabled=announce)) as progress:
        try:
            while len(missing):
                made = _make(file, missing, maker, progress)
                file.refresh()
                missing = file.missing(wanted)
                progress.show()
                if len(missing) and not made:
                    time.sleep(WAIT_SECONDS)  # others are at work on them; or die, and give them up
        finally:
            file.give_up()


def add_rows(file: RowFile, rows: np.ndarray, values: Tensor) -> None:
    """Add rows; a disk that fails is told of in this program's words.

    Raises:
        VQAError: it does.
    """
    try:
        file.write(rows, values)
        return
    except OSError as error:
        told = failure(file.folder, error)
    raise told  # outside of the handler: it is not the run's disk that is full


def _make(file: RowFile, missing: np.ndarray, maker: Maker, progress: Progress) -> int:
    """Make what no other process is making; how many rows."""
    made = 0
    work = (partial(_decoded, maker, chunk, rows) for chunk, rows in _claimed(file, missing))
    with closing(ahead(work, maker.threads)) as pieces:
        for chunk, rows, pictures in pieces:
            add_rows(file, rows, maker.finish(pictures))
            file.give_up(chunk)
            made += len(rows)
            progress.show()
    return made


def _decoded(maker: Maker, chunk: int, rows: np.ndarray) -> tuple[int, np.ndarray, Tensor]:
    return chunk, rows, maker.decode(rows)


def _claimed(file: RowFile, missing: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Chunks that this process has taken, with the rows that are missing in each."""
    for chunk in np.unique(missing // CHUNK).tolist():
        if not file.claim(chunk):
            continue
        file.refresh()
        rows = file.missing(missing[missing // CHUNK == chunk])
        if len(rows):
            yield chunk, rows
        else:
            file.give_up(chunk)


class Progress:
    """How far a file is: a bar on a terminal, a line now and then elsewhere; both on stderr."""

    def __init__(self, file: RowFile, wanted: np.ndarray, needed: int, *, enabled: bool) -> None:
        self._file, self._wanted, self._enabled = file, wanted, enabled
        self._before = self._done = len(wanted) - len(file.missing(wanted))
        self._started, self._bar = time.monotonic(), None
        if not enabled:
            return
        layout = file.layout
        left = len(wanted) - self._before
        self._say(
            f"{layout.kind}: {left:,} of {len(wanted):,} pictures are to be made, "
            f"{layout.row_bytes:,} bytes each, {size(needed)} in {file.folder}"
        )
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=len(wanted), initial=self._done, unit="picture", dynamic_ncols=True
            )

    def show(self) -> None:
        """Look how many rows there are."""
        if not self._enabled:
            return
        done = len(self._wanted) - len(self._file.missing(self._wanted))
        if self._bar is not None:
            self._bar.update(done - self._done)
        elif LINES * done // len(self._wanted) > LINES * self._done // len(self._wanted):
            speed = (done - self._before) / max(1e-9, time.monotonic() - self._started)
            self._say(f"{self._file.layout.kind}: {done:,} pictures, {speed:,.0f} a second")
        self._done = done

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, text: str) -> None:
        print(f"vqa: {text}", file=sys.stderr, flush=True)
