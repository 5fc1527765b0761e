"""The process that feeds one tracker, `python -m vqa.tracking.feeder`, as Lightning feeds its loggers.

See `vqa.tracking.listener` for what it reads and answers. Whatever the tracker does, training does not wait for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from vqa.garbage import collect_rarely
from vqa.tracking.content import summary_figures
from vqa.tracking.journal import BESIDE
from vqa.tracking.listener import Message, Tell, listen, result_on_disk
from vqa.tracking.trackers import AnyTracker, Logger, Tracked, Tracker

POLITENESS = 5
"""Training comes first on a busy machine."""


class Feeder:
    """One life of a run in one tracker.

    Args:
        setup: `run_dir`, `run_id`, `tracker` and the fields of `Tracked` but folder and step.
        tell: takes the answers.
    """

    def __init__(self, setup: Message, tell: Tell) -> None:
        self._setup, self._tell = setup, tell
        self._run_dir = Path(setup["run_dir"])
        self._tracker: Tracker = TypeAdapter(AnyTracker).validate_python(setup["tracker"])
        self._logger: Logger | None = None
        self._result: Mapping[str, Any] | None = None
        self._records = self._step = 0

    def take(self, message: Message) -> None:
        """Hand one message to the tracker."""
        if "record" in message:
            self._log(message["record"])
        elif "result" in message:
            self._result = message["result"]

    def finish(self) -> None:
        """Log the result's figures at the last step, and end the run as it ended."""
        result = self._result or result_on_disk(self._run_dir)
        if self._logger is not None:
            figures = dict(summary_figures(result))
            numbers = {
                name: float(value)
                for name, value in figures.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
            if numbers:
                self._logger.log_metrics(numbers, self._step)
            self._logger.finalize("success" if result.get("status") == "succeeded" else "failed")
        self._tell({"done": {"records": self._records}})

    def _log(self, record: Message) -> None:
        self._step = record["step"]
        if self._logger is None:
            self._logger = self._open()
        figures = {name: value for name, value in record.items() if name not in BESIDE}
        self._logger.log_metrics({**figures, "epoch": record["epoch"]}, self._step)
        self._records += 1

    def _open(self) -> Logger:
        """Begin the run with its first record, whose step says what is done again."""
        setup = self._setup
        names = ("run_id", "name", "project", "group", "config")
        run = Tracked(
            folder=self._run_dir / self._tracker.name,
            tags=tuple(setup["tags"]),
            first_step=self._step,
            **{name: setup[name] for name in names},
        )
        logger = self._tracker.build(run)
        logger.log_hyperparams(setup["config"])
        return logger


def main() -> int:
    """Feed a tracker."""
    os.nice(POLITENESS)
    collect_rarely()
    return listen(Feeder, _failure)


def _failure(setup: Message, reason: str) -> str:
    return f"{setup.get('title')} failed ({reason}); the run goes on without it"


if __name__ == "__main__":
    sys.exit(main())
