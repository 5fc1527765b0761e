"""The run directory: who may use it, what happened in it, how it ended (DESIGN, section 3)."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import yaml

from vqa.config import Experiment, parse_experiment
from vqa.errors import RunError

SUCCEEDED, FAILED, CANCELLED, PREEMPTED = "succeeded", "failed", "cancelled", "preempted"


class RunDirectory:
    """Paths of a run, its events, and its result."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

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
        """One JSON object a question of `split`."""
        return self.path / "predictions" / f"{split}.jsonl"

    def experiment(self) -> Experiment:
        """The experiment of this run.

        Raises:
            RunError: there is none.
        """
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
        try:
            result = json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"unreadable ({error})", where=str(self.path / "result.json")) from None
        if not isinstance(result, dict):
            raise RunError("not a result", where=str(self.path / "result.json"))
        return result

    def create(self, experiment: Experiment) -> None:
        """Make the directory with its experiment; one that stands there already must be the same.

        Raises:
            RunError: the directory holds another experiment or something else.
        """
        if self.experiment_file.exists():
            differing = self.experiment().differences(experiment)
            if differing:
                raise RunError(
                    f"holds another experiment ({', '.join(differing[:5])} differ)",
                    where=str(self.path),
                    fix="choose another --run directory",
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise RunError(
                "is not empty and holds no run", where=str(self.path), fix="choose another --run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.experiment_file, experiment.to_yaml())

    def event(self, name: str, **details: Any) -> None:
        """Append a state change."""
        line = json.dumps({"time": round(time.time(), 3), "event": name, **details})
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, result: dict[str, Any]) -> None:
        """Write `result.json`, the last thing a run does."""
        write_atomic(
            self.path / "result.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        )


class RunLock:
    """Keeps a second trainer out of a run directory; the kernel releases it at any death."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> RunLock:
        self._file = (self._path / ".lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError("another process is training here", where=str(self._path)) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step that survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
