"""Everything that shows a run beside its journal: W&B, and the trackers of `tracking.loggers`.

None is ever needed, and none holds up a step: each runs in a process of its own (`vqa.tracking.sender`,
`vqa.tracking.feeder`), which the trainer talks to through a bounded queue and a pipe. What goes wrong there costs one
line on stderr. What was not sent to W&B is in the journal: `vqa sync` sends it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from vqa.tracking.identity import identity, sender_setup
from vqa.tracking.journal import Record
from vqa.tracking.link import Link, say
from vqa.tracking.trackers import Tracker

if TYPE_CHECKING:
    from vqa.config import Experiment
    from vqa.data.store import Store
    from vqa.evaluation.predictions import Prediction
    from vqa.export import VQAModel

CLOSE_SECONDS, UPLOAD_SECONDS = 60.0, 25.0
"""What the end of a run may wait for a dashboard altogether, and of this for W&B's last uploads."""


class Mirror(ABC):
    """Shows a run in one dashboard; no method raises, and only `close` waits, at most a minute.

    Args:
        link: to the process that talks to the dashboard.
    """

    def __init__(self, link: Link) -> None:
        self._link, self._lost = link, 0

    def log(self, record: Record) -> None:
        """Queue a journal record; returns at once."""
        self._lost += not self._link.put({"record": record})

    @abstractmethod
    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Show some predictions."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Queue the result."""
        self._link.put({"result": dict(result)})

    @abstractmethod
    def close(self) -> None:
        """Wait until the dashboard has everything."""


class WandbMirror(Mirror):
    """Shows a run in W&B.

    Args:
        experiment: becomes the W&B run's config; `tracking` names project, entity, group and tags.
        run_dir: holds W&B's files, in `wandb/`.
        mode: `online` or `offline`.

    Raises:
        OSError: the process that talks to W&B cannot be started.
    """

    def __init__(self, experiment: Experiment, run_dir: Path, mode: str) -> None:
        self._run_dir, self._count = run_dir, experiment.tracking.samples
        setup = sender_setup(experiment, run_dir, mode, UPLOAD_SECONDS)
        super().__init__(Link({**setup, "pid": os.getpid()}, say))

    @override
    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Write sample predictions with pictures and attention below the run, and queue them."""
        if not self._count or not predictions:
            return
        try:
            from vqa.tracking.samples import write_samples

            folder = write_samples(self._run_dir, model, store, predictions, self._count)
        except Exception as error:  # whatever it is, the run has succeeded
            say(f"W&B gets no sample predictions ({type(error).__name__}: {error})")
            return
        self._link.put({"samples": str(folder)})

    @override
    def close(self) -> None:
        """Wait until W&B has everything, and say where it shows the run."""
        finished = self._link.close(CLOSE_SECONDS)
        if finished and self._lost:
            say(f"W&B misses {self._lost} records; `vqa sync {self._run_dir}` sends all")
        if finished and self._link.opened.get("url"):
            say(f"W&B shows this run at {self._link.opened['url']}")


class TrackerMirror(Mirror):
    """Shows a run in one tracker.

    Raises:
        OSError: its process cannot be started.
    """

    def __init__(self, experiment: Experiment, run_dir: Path, tracker: Tracker) -> None:
        self._title = tracker.title
        setup = {
            **identity(experiment, run_dir),
            "tracker": tracker.model_dump(mode="json"),
            "title": tracker.title,
            "pid": os.getpid(),
        }
        feeder = "vqa.tracking.feeder"
        super().__init__(Link(setup, say, program=feeder, title=tracker.title, folder=tracker.name))

    @override
    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Nothing: trackers show figures."""

    @override
    def close(self) -> None:
        """Wait until the tracker has everything."""
        if self._link.close(CLOSE_SECONDS) and self._lost:
            say(f"{self._title} misses {self._lost} records; metrics.jsonl has all")


class Mirrors:
    """Several mirrors as one; none of them shows nothing."""

    def __init__(self, mirrors: Sequence[Mirror] = ()) -> None:
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
    mirrors: list[Mirror] = []
    for title, start in _wanted(experiment, run_dir.resolve()) if enabled else ():
        try:
            mirrors.append(start())
        except OSError as error:
            say(f"{title} could not be started ({error}); the run goes on without it")
    return Mirrors(mirrors)


def _wanted(experiment: Experiment, run_dir: Path) -> Iterator[tuple[str, Callable[[], Mirror]]]:
    """What people call each dashboard, and what starts it."""
    mode = allowed_mode(experiment.tracking.wandb)
    if mode != "off":
        yield "W&B", partial(WandbMirror, experiment, run_dir, mode)
    for tracker in experiment.tracking.loggers:
        yield tracker.title, partial(TrackerMirror, experiment, run_dir, tracker)


def allowed_mode(asked: str) -> str:
    """`asked` (off, offline or online), or less where W&B's own variable forbids it."""
    wish = os.environ.get("WANDB_MODE", "").lower()
    if wish == "disabled" or asked == "off":
        return "off"
    return "offline" if wish in ("offline", "dryrun") else asked
