"""The run directory: who may use it, what happened in it, how it ended."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vqa.errors import RunError
from vqa.evaluation.predictions import predictions_file
from vqa.outputs import naming
from vqa.training.disk import Reserve, write_atomic

if TYPE_CHECKING:
    from vqa.config import Experiment

SUCCEEDED, FAILED, CANCELLED, PREEMPTED = "succeeded", "failed", "cancelled", "preempted"
RESULT, OUTCOME = "result.json", ".outcome.json"


class RunDirectory:
    """Paths of a run, its events, and its result.

    Args:
        path: the directory.
        under_parent: this process was started by one that watches over the run: how it ended for this process is
            an outcome, which the parent turns into the result.
    """

    def __init__(self, path: Path | str, *, under_parent: bool = False) -> None:
        self.path = Path(path)
        self.under_parent = under_parent

    @property
    def experiment_file(self) -> Path:
        """The resolved experiment."""
        return self.path / "experiment.yaml"

    @property
    def journal_file(self) -> Path:
        """One JSON object a logged step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Last two and best."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The exported model."""
        return self.path / "model"

    def predictions_file(self, split: str) -> Path:
        """One JSON object a question of `split`.

        Raises:
            DataError: no file can be called so.
        """
        return predictions_file(self.path, split)

    def experiment(self) -> Experiment:
        """The experiment of this run.

        Raises:
            RunError: there is none.
        """
        import yaml

        from vqa.config import parse_experiment

        try:
            fields = yaml.safe_load(self.experiment_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                "no run here",
                where=str(self.path),
                fix="give the directory that `vqa train --run` made",
            ) from None
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"unreadable ({error})", where=str(self.experiment_file)) from None
        if not isinstance(fields, dict):
            raise RunError("not an experiment", where=str(self.experiment_file))
        return parse_experiment(fields, where=str(self.experiment_file))

    def result(self) -> dict[str, Any] | None:
        """What `result.json` says; None where the run has not ended."""
        return _read_json(self.path / RESULT)

    def outcome(self) -> dict[str, Any] | None:
        """What the first rank of this life said of its end; None where it said nothing."""
        return _read_json(self.path / OUTCOME)

    def forget_ending(self) -> None:
        """Remove how an earlier life ended."""
        for name in (RESULT, OUTCOME):
            (self.path / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a death left of an evaluation, an export or an ending; only who holds the run's lock may."""
        for folder in self.path.glob(f".{self.model.name}.*"):
            shutil.rmtree(folder, ignore_errors=True)
        for left in ("predictions/.*", f".{RESULT}.*", f".{OUTCOME}.*"):
            for file in self.path.glob(left):
                file.unlink(missing_ok=True)

    @property
    def reserve(self) -> Reserve:
        """Room for the last words of a run whose disk is full."""
        return Reserve(self.path)

    def create(self, experiment: Experiment) -> None:
        """Make the directory with its experiment; one that stands there already must be the same.

        Raises:
            RunError: the directory holds another experiment or something else.
        """
        if self._holds(experiment):
            return
        if self.path.exists() and not all(map(self._is_begun, self.path.iterdir())):
            if self._holds(experiment):  # another node was faster
                return
            raise RunError(
                "is not empty and holds no run", where=str(self.path), fix="choose another --run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.experiment_file, experiment.to_yaml())

    def _holds(self, experiment: Experiment) -> bool:
        """Whether this run was begun.

        Raises:
            RunError: another one was.
        """
        if not self.experiment_file.exists():
            return False
        differing = self.experiment().differences(experiment)
        if differing:
            raise RunError(
                f"holds another experiment (it differs in {', '.join(differing[:5])})",
                where=str(self.path),
                fix="choose another --run directory",
            )
        return True

    def _is_begun(self, file: Path) -> bool:
        """Whether it is an experiment that another node is writing just now."""
        return file.name.startswith(f".{self.experiment_file.name}.")

    def precision(self) -> str | None:
        """What the run began with, by its events; None where it has not begun."""
        starts = self._events("started")
        return next((str(start["precision"]) for start in starts if "precision" in start), None)

    def word_rules(self) -> int | None:
        """How the run began to cut texts into words; None where it has not begun."""
        starts = self._events("started")
        return next((int(start.get("word_rules", 1)) for start in starts), None)

    def roundings(self) -> dict[str, str] | None:
        """On what those of the newest life depend, by its events; None where it did not say."""
        *_, newest = [{}, *self._events("started", "resumed")]
        return newest.get("roundings")

    def shards(self) -> bool | None:
        """Whether the run began with shards of its training pictures; None where it has not begun."""
        plans = (plan["splits"][0] for plan in self._events("memory"))
        return next((split.get("shard") is not None for split in plans), None)

    def features(self) -> bool | None:
        """Whether the run began with kept features in the place of pictures; None where it has not begun, or looks
        at no picture."""
        kinds = (str(plan["what"]).partition(" ")[0] for plan in self._events("memory"))
        return {"features": True, "pictures": False}.get(next(kinds, ""))

    def _events(self, *names: str) -> Iterator[dict[str, Any]]:
        """The events of these names, as far as they can be read, in order."""
        try:
            lines = (self.path / "events.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") in names:
                    yield event

    def event(self, name: str, **details: Any) -> None:
        """Append a state change."""
        line = json.dumps({"time": round(time.time(), 3), "event": name, **details}) + "\n"
        self.reserve.use(lambda: _append(self.path / "events.jsonl", line.encode()))

    def finish(self, result: dict[str, Any]) -> None:
        """Write `result.json`, the last thing a run does; the outcome, where a parent does that."""
        file = self.path / (OUTCOME if self.under_parent else RESULT)
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        self.reserve.use(lambda: write_atomic(file, text))


class Held(RunError):
    """Another process has the run directory."""

    def __init__(self, path: Path) -> None:
        super().__init__("another process is training here", where=str(path))


class RunLock:
    """Keeps a second process out of a run directory; the kernel releases it at any death.

    Args:
        path: the run directory.
        name: what is locked: `.lock` is held by who trains, `.runner<node>.lock` by who watches over that.
    """

    def __init__(self, path: Path, name: str = ".lock") -> None:
        self._path, self._name = path, name
        self._file: TextIO | None = None

    def __enter__(self) -> RunLock:
        file = (self._path / self._name).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                raise Held(self._path) from None
            raise RunError(
                f"cannot be locked ({error.strerror})",
                where=str(self._path),
                fix="train into a folder of a file system that has locks",
            ) from error
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def await_free(self, seconds: float, meanwhile: Callable[[], bool]) -> bool:
        """Whether nobody holds it, or gives it up in time; `meanwhile` is called now and then, False ends waiting."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self:
                    return True
            except Held:
                if time.monotonic() > deadline or not meanwhile():
                    return False
                time.sleep(0.05)


def runner_lock(path: Path, node: int) -> RunLock:
    """The lock of the one process that starts ranks on a node."""
    return RunLock(path, f".runner{node}.lock")


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"unreadable ({error})", where=str(file)) from None
    if not isinstance(fields, dict):
        raise RunError("not a result", where=str(file))
    return fields


def _append(file: Path, line: bytes) -> None:
    """Append a whole line or nothing, after what a death or a full disk left of the line before."""
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        with naming(file):
            whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
            written = os.write(descriptor, line if whole else b"\n" + line)
            if written < len(line):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
