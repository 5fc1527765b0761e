"""Checkpoints: the last two and the best, each believed only while its manifest vouches for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from vqa.errors import RunError, first_line
from vqa.outputs import is_failing, naming, sha256_of, sync
from vqa.training.disk import write_atomic

KEPT, NEXT_BEST = 2, "best-next"
STATE_KEYS = frozenset({"network", "progress"})
State = dict[str, Any]


class Checkpoints:
    """The checkpoints of a run directory.

    A checkpoint is `NAME.pt` and, written after it, `NAME.json` with its SHA-256 and its step. What has no manifest,
    or does not match it, is passed over with a message.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path, self._warn = path, warn
        self._corrupt: set[Path] = set()

    def tidy(self) -> None:
        """Remove what a death left half written or half removed; only who holds the run's lock may."""
        left = [*self._path.glob(".*")]
        manifests = self._steps()
        if manifests:
            states = self._path.glob("step-*.pt")
            left += [one for one in states if one.with_suffix(".json") not in manifests]
        for file in left:
            file.unlink(missing_ok=True)

    def save(self, state: State, step: int) -> None:
        """Save a state to go on from, then drop all but the last two that can be trusted."""
        saved = self._write(f"step-{step:09d}", state, step)
        self._corrupt.discard(saved)
        sound = [manifest for manifest in self._steps() if manifest not in self._corrupt]
        passed = [manifest for manifest in self._corrupt if manifest.name < saved.name]
        for manifest in [*sound[KEPT:], *passed]:
            self._corrupt.discard(manifest)
            manifest.unlink(missing_ok=True)
            manifest.with_suffix(".pt").unlink(missing_ok=True)
        self._promote()

    def save_best(self, network: State, step: int) -> None:
        """Save the weights of the best validation so far; until the next state knows of them, those before stay."""
        self._write(NEXT_BEST, network, step)

    def settle_best(self, step: int) -> None:
        """Of best weights that a death kept from their place, keep those alone of which the state to go on from knows.

        Only who holds the run's lock may.

        Args:
            step: of that state's best validation.
        """
        manifest = self._path / f"{NEXT_BEST}.json"
        if _step_of(manifest) == step:
            self._promote()
        for suffix in (".json", ".pt"):
            manifest.with_suffix(suffix).unlink(missing_ok=True)

    def _promote(self) -> None:
        """Put new best weights in the place of those before; done again where a death came in between."""
        weights, manifest = (self._path / f"{NEXT_BEST}{suffix}" for suffix in (".pt", ".json"))
        if not manifest.exists():
            return
        if weights.exists():
            (self._path / "best.json").unlink(missing_ok=True)
            weights.replace(self._path / "best.pt")
        manifest.replace(self._path / "best.json")
        sync(self._path)

    def last(self) -> State | None:
        """The newest state that can be trusted; None where nothing was saved yet.

        Raises:
            RunError: there are checkpoints, but none can be trusted.
            OSError: the machine does not read them.
        """
        manifests = self._steps()
        state = self._trusted(manifests, STATE_KEYS)
        if state is not None:
            return state
        if manifests or (any(self._path.glob("step-*.pt")) and not self._only_torn()):
            raise RunError(
                "no checkpoint can be trusted",
                where=str(self._path),
                fix="remove it to train from the start",
            )
        return None

    def best(self, step: int) -> State | None:
        """The weights of the best validation, which was at `step`; None where there are none that can be trusted.

        Raises:
            OSError: the machine does not read them.
        """
        manifest = self._path / "best.json"
        if not manifest.exists():
            return None
        found = _step_of(manifest)
        if found is not None and found != step:
            self._warn(f"checkpoint best.pt is passed over: it is of step {found}, not of {step}")
            return None
        return self._trusted([manifest], frozenset())

    def _steps(self) -> list[Path]:
        return sorted(self._path.glob("step-*.json"), reverse=True)

    def _only_torn(self) -> bool:
        """Whether the first checkpoint of all was being written when the run died: nothing is lost but the start."""
        return len(list(self._path.glob("step-*.pt"))) == 1

    def _trusted(self, manifests: list[Path], keys: frozenset[str]) -> State | None:
        """The first that can be trusted.

        Raises:
            OSError: none can, and the machine did not read one of them.
        """
        unread: OSError | None = None
        for manifest in manifests:
            try:
                return _read(manifest, keys)
            except (_Corrupt, OSError) as error:
                unread = error if isinstance(error, OSError) else unread
                self._corrupt.add(manifest)
                self._warn(f"checkpoint {manifest.with_suffix('.pt').name} is passed over: {error}")
        if unread is not None:
            raise unread
        return None

    def _write(self, name: str, state: State, step: int) -> Path:
        """Write a checkpoint; its manifest."""
        self._path.mkdir(exist_ok=True)
        file = self._path / f"{name}.pt"
        temporary = self._path / f".{name}.{os.getpid()}"
        try:
            with naming(file), temporary.open("wb") as stream:
                _save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            digest = sha256_of(temporary)
            file.with_suffix(".json").unlink(missing_ok=True)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        sync(self._path)
        manifest = file.with_suffix(".json")
        write_atomic(manifest, json.dumps({"sha256": digest, "step": step}) + "\n")
        return manifest


def _save(state: State, stream: IO[bytes]) -> None:
    """Write a state; what torch makes of the system's errors becomes one again."""
    try:
        torch.save(state, stream)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


class _Corrupt(Exception):
    """A checkpoint that is not what its manifest says."""


def _step_of(manifest: Path) -> int | None:
    """The step that a manifest names; None where it names none.

    Raises:
        OSError: the machine does not read it.
    """
    try:
        step = json.loads(manifest.read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_failing(error):
            raise
        return None
    return step if isinstance(step, int) else None


def _read(manifest: Path, keys: frozenset[str]) -> State:
    """A checkpoint.

    Raises:
        _Corrupt: it cannot be trusted.
        OSError: the machine does not read it.
    """
    file = manifest.with_suffix(".pt")
    try:
        expected = json.loads(manifest.read_text(encoding="utf-8"))["sha256"]
        matches = sha256_of(file) == expected
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_failing(error):
            raise
        raise _Corrupt(first_line(error)) from error
    if not matches:
        raise _Corrupt("its contents do not match its manifest")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch.load raises what it likes on a file that is none
        raise _Corrupt(first_line(error)) from error
    if not isinstance(state, dict) or not keys <= state.keys():
        raise _Corrupt("it holds no state")
    return state
