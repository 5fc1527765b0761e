"""Everything that shows a run beside its journal: W&B, and the trackers of `tracking.loggers`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.tracking.journal import Record
from vqa.tracking.trackers import Tracker
from vqa.tracking.wandb import CLOSE_SECONDS, Mirror, identity, open_mirror, say

if TYPE_CHECKING:
    from vqa.config import Experiment
    from vqa.data.store import Store
    from vqa.evaluation.predictions import Prediction
    from vqa.export import VQAModel


class TrackerMirror:
    """Shows a run in one tracker, which runs in a process of its own; no method raises, and only `close` waits.

    Raises:
        OSError: that process cannot be started.
    """

    def __init__(self, experiment: Experiment, run_dir: Path, tracker: Tracker) -> None:
        from vqa.tracking.link import Link

        self._title, self._lost = tracker.title, 0
        setup = {
            **identity(experiment, run_dir),
            "tracker": tracker.model_dump(mode="json"),
            "title": tracker.title,
            "pid": os.getpid(),
        }
        self._link = Link(
            setup, say, program="vqa.tracking.feeder", title=tracker.title, folder=tracker.name
        )

    def log(self, record: Record) -> None:
        """Queue a journal record; returns at once."""
        self._lost += not self._link.put({"record": record})

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Nothing: trackers show figures."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Queue the result."""
        self._link.put({"result": dict(result)})

    def close(self) -> None:
        """Wait until the tracker has everything, at most a minute."""
        if self._link.close(CLOSE_SECONDS) and self._lost:
            say(f"{self._title} misses {self._lost} records; metrics.jsonl has all")


class Mirrors:
    """Several mirrors as one."""

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        self._mirrors = mirrors

    def log(self, record: Record) -> None:
        """Show a journal record in each."""
        for mirror in self._mirrors:
            mirror.log(record)

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Show predictions in each."""
        for mirror in self._mirrors:
            mirror.samples(model, store, predictions)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Show the result in each."""
        for mirror in self._mirrors:
            mirror.finish(result)

    def close(self) -> None:
        """Let go of all at once: they take as long as the slowest."""
        with ThreadPoolExecutor(max(1, len(self._mirrors))) as threads:
            list(threads.map(lambda mirror: mirror.close(), self._mirrors))


def open_mirrors(experiment: Experiment, run_dir: Path, *, enabled: bool) -> Mirrors:
    """W&B and the trackers that the experiment asks for; what cannot be started is said, and done without."""
    mirrors = [open_mirror(experiment, run_dir, enabled=enabled)]
    for tracker in experiment.tracking.loggers if enabled else ():
        try:
            mirrors.append(TrackerMirror(experiment, run_dir.resolve(), tracker))
        except OSError as error:
            say(f"{tracker.title} could not be started ({error}); the run goes on without it")
    return Mirrors(mirrors)
