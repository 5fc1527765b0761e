"""Finished studies on the disk: each in a folder of its own, in every form, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vqa.ablation.forms import FILES, FORMS, Form
from vqa.ablation.study import Options, Study
from vqa.errors import JobError
from vqa.names import NAME_PATTERN

MANIFEST, VERSION = "made.json", 4
MOST_STUDIES, LONGEST_NAME = 100, 200
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Ask:
    """What is compared, how, and on which runs.

    Attributes:
        group: a name, so that it may be a folder's.
        runs: fingerprint of the runs' results.
    """

    group: str
    options: Options
    runs: str

    @property
    def about(self) -> str:
        """The same for the same group and options, whatever the runs."""
        text = json.dumps([VERSION, self.group, asdict(self.options)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Rendered:
    """A finished study's files.

    Attributes:
        made: Unix time.
    """

    folder: Path
    made: float

    def path(self, form: Form) -> Path:
        """The file of a form."""
        return self.folder / FILES[form]

    def text(self, form: Form) -> str:
        """The content of a form.

        Raises:
            OSError: it was put away a moment ago; ask for the study again.
        """
        return self.path(form).read_text(encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """See `Study.to_json`."""
        found: dict[str, Any] = json.loads(self.text("json"))
        return found


@dataclass
class Shelf:
    """Studies under one folder, `<group>/<options>-<runs>/`.

    Attributes:
        most: studies kept over all groups; those looked at longest ago go first.
    """

    folder: Path
    most: int = MOST_STUDIES
    _sound: set[tuple[Any, ...]] = field(default_factory=set)

    def find(self, ask: Ask) -> Rendered | str | None:
        """The study, or why there can be none; None where it was not made yet, or is damaged."""
        return self._read(self._place(ask))

    def older(self, ask: Ask) -> Rendered | None:
        """The last study of the same group and options on other runs; a newer one takes its place."""
        places = self._group(ask.group).glob(f"{ask.about}-*")
        found = [one for place in places if isinstance(one := self._read(place), Rendered)]
        return max(found, key=lambda one: one.made, default=None)

    def put(self, ask: Ask, outcome: Study | str) -> None:
        """Keep a study in place of earlier ones, or why there can be none beside them.

        Raises:
            OSError: there is no room.
        """
        place = self._place(ask)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        try:
            _write(made, outcome)
            shutil.rmtree(place, ignore_errors=True)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if isinstance(outcome, Study):
            for other in place.parent.glob(f"{ask.about}-*"):
                if other != place:
                    shutil.rmtree(other, ignore_errors=True)
        self._tidy()

    def _group(self, group: str) -> Path:
        """Refuses what is no name: it is made part of a path.

        Raises:
            JobError: it is none.
        """
        if not re.fullmatch(NAME_PATTERN, group) or len(group) > LONGEST_NAME:
            raise JobError(f"no group {group[:LONGEST_NAME]!r}", kind="not-found")
        return self.folder / group

    def _place(self, ask: Ask) -> Path:
        return self._group(ask.group) / f"{ask.about}-{ask.runs}"

    def _read(self, place: Path) -> Rendered | str | None:
        try:
            manifest = json.loads((place / MANIFEST).read_bytes())
            if manifest["version"] != VERSION:
                return None
            for name, digest in manifest["files"].items():
                self._check(place / name, digest)
            os.utime(place)
            if manifest["error"] is not None:
                return str(manifest["error"])
            return Rendered(place, float(manifest["made"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _check(self, file: Path, digest: str) -> None:
        """Look once at what a file holds, and then only whether it has changed.

        Raises:
            ValueError: it is damaged.
        """
        state = file.stat()
        seen = (file, digest, state.st_ino, state.st_size, state.st_mtime_ns)
        if seen not in self._sound and hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{file} is damaged")
        if len(self._sound) >= self.most * len(FILES):
            self._sound.clear()  # looked at anew, so that it cannot grow
        self._sound.add(seen)

    def _tidy(self) -> None:
        places = sorted(self._all(), reverse=True)
        now = time.time()
        for at, (used, place) in enumerate(places):
            if at >= self.most or (place.name.startswith(".") and now - used > ABANDONED_SECONDS):
                shutil.rmtree(place, ignore_errors=True)

    def _all(self) -> Iterator[tuple[float, Path]]:
        for place in self.folder.glob("*/*"):
            try:
                yield place.stat().st_mtime, place
            except OSError:
                continue


def _write(folder: Path, outcome: Study | str) -> None:
    """Every form, and last what they are."""
    error = outcome if isinstance(outcome, str) else None
    files = (
        {}
        if isinstance(outcome, str)
        else {FILES[form]: make(outcome) for form, make in FORMS.items()}
    )
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    manifest = {
        "version": VERSION,
        "made": time.time(),
        "error": error,
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
