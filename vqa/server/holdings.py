"""The stores that the server shows: found by name, browsed, counted in the background, their pictures made small."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.errors import JobError, VQAError
from vqa.jobs.library import Library
from vqa.server.absent import absent
from vqa.server.opened import Opened, OpenStore
from vqa.server.tokens import write_private

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.config import Experiment
    from vqa.data.browse import ExampleIndex
    from vqa.data.manifest import Manifest
    from vqa.data.thumbnail import Thumbnail

MOST_DECODED = 4
"""So many pictures are decoded at a time: one may take 150 MB."""
FORM = 2
"""Of what is kept on the disk; another program's is counted anew."""
FOLDERS = re.compile(r"(?<![\w/.])(?:/[^/\s]+)+/(?=[^/\s])")
"""The way to a file on somebody's machine, in a reason that an older program wrote."""
State = tuple[tuple[int, int, int], ...]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """What was found in a store.

    Attributes:
        found: as `vqa.data.inspect.inspect` gives it, without the store's place; None as long as it is counted, or
            where it cannot be.
        fault: why it cannot be counted.
    """

    found: dict[str, Any] | None = None
    fault: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will come."""
        return self.found is not None or bool(self.fault)


class Holdings:
    """The stores of one `VQA_HOME`. One object serves any number of threads.

    Args:
        library: knows them by name.
        opened: keeps them open.

    Raises:
        JobError: from every method that takes a name: there is no such store (`not-found`), or it cannot be read.
            Messages carry names and no paths.
    """

    def __init__(self, library: Library, opened: Opened) -> None:
        self._library, self._opened = library, opened
        self._counted: dict[Path, tuple[State, Counted]] = {}
        self._opening, self._counting = threading.Lock(), threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._decoding = threading.BoundedSemaphore(MOST_DECODED)

    def paths(self) -> dict[str, Path]:
        """Every store by its name."""
        return self._library.stores()

    def path(self, name: str) -> Path:
        """Where a store stands; the name is looked up and never made part of a path."""
        found = self.paths().get(name)
        if found is None:
            raise JobError(f"no store {name!r}", fix="see the Data page", kind="not-found")
        return found

    def manifest(self, name: str) -> Manifest:
        """What a store says of itself; the store need not be opened for it."""
        from vqa.data.store import Store

        with self._told(name):
            return Store.open(self.path(name)).manifest

    def is_blind(self, name: str) -> bool:
        """Whether there are no pictures, or the store cannot be read."""
        try:
            return self.manifest(name).text_only
        except JobError:
            return True

    def store(self, name: str) -> OpenStore:
        """A store, open."""
        path = self.path(name)
        with self._told(name), self._opening:
            return self._opened.store(path)

    def index(self, name: str) -> ExampleIndex:
        """Its examples, to choose among."""
        opened = self.store(name)
        with self._told(name), self._opening:
            return opened.examples

    def let_go(self) -> None:
        """A store was deleted: what was open of it is closed."""
        self._opened.let_go()

    def picture(self, name: str, image_id: str) -> bytes:
        """A picture's bytes as they were published."""
        opened = self.store(name)
        if opened.store.manifest.text_only:
            raise JobError("was prepared from text alone", where=name, kind="not-found")
        with self._told(name, "not-found"):
            return opened.picture(image_id)

    def regions(self, name: str, image_id: str, experiment: Experiment) -> Tensor | None:
        """What a detector found in a picture; None where the experiment reads none."""
        from vqa.data.cache.regions import regions_at

        opened = self.store(name)
        with self._told(name, "not-found"):
            return regions_at(opened.store, experiment, opened.image_row[image_id])

    def picture_state(self, name: str, image_id: str) -> str:
        """What changes whenever a picture does: the hash of its file."""
        opened = self.store(name)
        if image_id not in opened.image_row:
            raise JobError(f"no picture {image_id!r}", where=name, kind="not-found")
        return str(opened.store.image(opened.image_row[image_id])["sha256"])

    def thumbnail(self, name: str, image_id: str, side: int) -> Thumbnail:
        """A picture as pages show it, see `vqa.data.thumbnail`."""
        from vqa.data.thumbnail import thumbnail

        data = self.picture(name, image_id)
        with self._told(name), self._decoding:
            return thumbnail(data, side)

    def counted(self, name: str) -> Counted:
        """What is in a store; it is counted in a thread of its own and kept, in VQA_HOME/cache too."""
        path = self.path(name)
        with self._told(name):
            key, state = _key(path), _state(path)
        with self._counting:
            before, known = self._counted.get(path, (None, Counted()))
            if before == state:
                return known
            there = {one: held for one, held in self._counted.items() if one.exists()}
            known = self._kept(key)
            self._counted = there | {path: (state, known)}
        if known.is_final:
            return known
        threading.Thread(
            target=self._count, args=(name, path, key, state), name="counting", daemon=True
        ).start()
        return known

    def _count(self, name: str, path: Path, key: str, state: State) -> None:
        with self._one_at_a_time:
            try:
                made = Counted(found=_inspected(path))
            except VQAError as error:
                made = Counted(fault=self._library.without_paths(error.what))
            except Exception:
                log.exception("store %s could not be counted", name)
                made = Counted(fault="it could not be counted; the server's log says why")
        with self._counting:
            self._counted[path] = state, made
        if made.found is not None:
            self._keep(key, made.found)

    def _kept(self, key: str) -> Counted:
        with suppress(OSError, ValueError):
            return Counted(found=dict(json.loads(self._file(key).read_bytes())))
        return Counted()

    def _keep(self, key: str, found: dict[str, Any]) -> None:
        try:
            self._file(key).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._file(key), json.dumps(found))
        except OSError as error:
            log.warning("what was counted is not kept: %s", error)

    def _file(self, key: str) -> Path:
        return self._library.home.path / "cache" / "stores" / f"{key}.json"

    def _told(self, name: str, kind: str = "invalid") -> AbstractContextManager[None]:
        """What cannot be read is said with the store's name in the place of where it is."""
        return absent(self._library, name, kind)


def _inspected(path: Path) -> dict[str, Any]:
    from vqa.data.inspect import inspect
    from vqa.data.record import without_folders
    from vqa.data.store import Store

    found = inspect(Store.open(path))
    found.pop("cache")  # has paths, and changes by itself
    del found["store"]
    for group in found["rejected_reasons"]:
        group["reason"] = FOLDERS.sub("", group["reason"])
        group |= {key: without_folders(group[key]) for key in ("first", "image")}
    return found


def _key(path: Path) -> str:
    """What a store holds, as its manifest says: fingerprint, source, and how many rows were left out."""
    return hashlib.sha256(b"%d %s" % (FORM, (path / "store.json").read_bytes())).hexdigest()[:32]


def _state(path: Path) -> State:
    """Another one whenever the files of a store are others, be it only that damaged ones were copied again."""
    states = (file.stat() for file in sorted(path.glob("*.*")))
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in states)
