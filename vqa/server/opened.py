"""Stores and models that the server has open: opening one takes from milliseconds to seconds, so a few are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from vqa.errors import DataError
from vqa.tracking.curves import CurveCache

if TYPE_CHECKING:
    import pyarrow as pa

    from vqa.data.browse import ExampleIndex
    from vqa.data.store import Store
    from vqa.evaluation.browse import PredictionIndex
    from vqa.export import Answer, VQAModel

Kept = TypeVar("Kept")
MOST_STORES, MOST_MODELS = 8, 4
MOST_INDICES, MOST_ANSWERS = 6, 256


class Recent(Generic[Kept]):
    """The most recently used of what is costly to make.

    Args:
        most: so many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, OrderedDict[Hashable, Kept]()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What was made under this key; made now where it is not there. Two who ask at once may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def let_go(self, of: Callable[[Kept], bool]) -> None:
        """Keep those no longer of which this is true."""
        with self._lock:
            for key in [key for key, one in self._kept.items() if of(one)]:
                del self._kept[key]


class OpenStore:
    """A store with its rows by id and its examples by what they are, each found when first asked for.

    Attributes:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self.store, self._opened = store, _key(store.path, "store.json")

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted, or made anew."""
        return _key(self.store.path, "store.json") != self._opened

    @cached_property
    def examples(self) -> ExampleIndex:
        """Its examples, to choose among."""
        from vqa.data.browse import ExampleIndex

        return ExampleIndex(self.store)

    @cached_property
    def image_row(self) -> dict[str, int]:
        """Image id → row of the image table."""
        return _places(self.store.image_table)

    def picture(self, image_id: str) -> bytes:
        """The picture's bytes as they were published.

        Raises:
            DataError: the store has no such picture.
        """
        if image_id not in self.image_row:
            raise DataError(f"no picture {image_id!r}", where=self.store.path.name)
        return self.store.image_bytes(self.image_row[image_id])


class Opened:
    """What the server has open. One object serves any number of threads.

    Attributes:
        curves: of the journals.
    """

    def __init__(self) -> None:
        self._stores: Recent[OpenStore] = Recent(MOST_STORES)
        self._models: Recent[VQAModel] = Recent(MOST_MODELS)
        self._indices: Recent[PredictionIndex] = Recent(MOST_INDICES)
        self._answers: Recent[Answer] = Recent(MOST_ANSWERS)
        self._asking, self._indexing = threading.Lock(), threading.Lock()
        self.curves = CurveCache()

    def store(self, path: Path) -> OpenStore:
        """A store; opened anew where its manifest changed.

        Raises:
            DataError: it cannot be read.
        """
        self.let_go()
        return self._stores.get(_key(path, "store.json"), partial(_open_store, path))

    def let_go(self) -> None:
        """Close stores that are gone: of a file that is open the disk gets nothing back."""
        self._stores.let_go(lambda opened: opened.is_gone)

    def model(self, run_dir: Path) -> VQAModel:
        """A run's exported model; loaded anew where its weights changed.

        Raises:
            ModelError: there is none, or it does not fit together.
        """
        return self._models.get(_key(run_dir, "model/weights.safetensors"), partial(_load, run_dir))

    def predictions(self, file: Path) -> PredictionIndex:
        """The index of a predictions file; made anew where the file changed, one at a time."""
        with self._indexing:
            return self._indices.get(_key(file.parent, file.name), partial(_index, file))

    def answer(self, run_dir: Path, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        """What a run's model says to a question; asked once."""
        key = (_key(run_dir, "model/weights.safetensors"), question)

        def made() -> Answer:
            with self._asking:
                return ask()

        return self._answers.get(key, made)

    @property
    def asking(self) -> threading.Lock:
        """Held while a model computes: one at a time, so that requests do not fight for the cores."""
        return self._asking


def _places(table: pa.Table) -> dict[str, int]:
    """The row of each id, which stands in the first column."""
    return {name: row for row, name in enumerate(table.column(0).to_pylist())}


def _key(path: Path, name: str) -> Hashable:
    try:
        state = (path / name).stat()
    except OSError:
        return str(path), None
    return str(path), state.st_ino, state.st_mtime_ns, state.st_size


def _open_store(path: Path) -> OpenStore:
    from vqa.data.store import Store

    return OpenStore(Store.open(path))


def _load(run_dir: Path) -> VQAModel:
    from vqa.export import load

    return load(run_dir)


def _index(file: Path) -> PredictionIndex:
    from vqa.evaluation.browse import PredictionIndex

    return PredictionIndex(file)
