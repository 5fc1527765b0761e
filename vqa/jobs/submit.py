"""The full check of an experiment at its submission, so that a bad one never queues."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vqa.config import Experiment, parse_experiment
from vqa.errors import InputError, JobError
from vqa.jobs.engines.base import Capacity
from vqa.jobs.engines.gpus import local_capacity
from vqa.jobs.home import Home
from vqa.jobs.library import Library
from vqa.jobs.placement import why_never
from vqa.jobs.record import EngineName, Resources, Submission
from vqa.jobs.views import SubmitRequest
from vqa.tracking.trackers import check_loggers

if TYPE_CHECKING:
    from vqa.training.requirements import StoreFacts

CORES_A_PROCESS = 4
"""More than so many are not taken unless they are asked for: small models gain nothing from them."""
KEPT_STORES, KEPT_FITS = 32, 1000
Key = TypeVar("Key")
Value = TypeVar("Value")


class Checker:
    """Checks submissions against one `VQA_HOME` and remembers what it learnt of stores and networks.

    Args:
        home: whose settings, stores and weights.
    """

    def __init__(self, home: Home) -> None:
        self.home, self.library = home, Library(home)
        self._facts: OrderedDict[tuple[Path, int], StoreFacts] = OrderedDict()
        self._fits: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._capacity = lru_cache(maxsize=1)(local_capacity)

    @property
    def capacity(self) -> Capacity:
        """What this machine has for jobs; looked at once for the same settings."""
        return self._capacity(self.home.settings.local)

    def check(
        self,
        request: SubmitRequest,
        user: str,
        *,
        paths_allowed: bool,
        where: str = "experiment",
        earlier: Submission | None = None,
    ) -> Submission:
        """The submission that a request makes.

        Args:
            paths_allowed: whether files may be given by path; see `Library`.
            where: what errors call the experiment.
            earlier: of the same key; returned where nothing else is asked for now, whatever could be had now.

        Raises:
            JobError: the experiment, its data, its network or what it asks for cannot be used (`invalid`).
        """
        default = self.home.settings.engine if earlier is None else earlier.engine
        try:
            experiment = self._experiment(request, paths_allowed, where)
            made = self._made(request, experiment, user, request.engine or default)
            if earlier is not None and asks_the_same(request, made, earlier):
                return earlier
            self._check(experiment, made)
        except InputError as error:
            raise self._refusal(error, where, paths_allowed) from error
        return made

    def warm(self) -> None:
        """Load what the first check would wait for: torch, the store's library, the list of GPUs."""
        _ = self.capacity
        none = Experiment.model_validate({"data": {"store": "none"}})
        self._check_network(none, self.home.settings.engine)
        import vqa.training.requirements  # noqa: F401

    def _experiment(self, request: SubmitRequest, paths_allowed: bool, where: str) -> Experiment:
        asked = parse_experiment(request.experiment, where=where)
        fields = self.library.resolve(asked.to_dict(), paths_allowed=paths_allowed)
        return parse_experiment(fields, where=where)

    def _made(
        self, request: SubmitRequest, experiment: Experiment, user: str, engine: EngineName
    ) -> Submission:
        restarts = request.max_restarts
        return Submission(
            experiment=experiment.to_dict(),
            user=user,
            name=request.name or default_name(experiment),
            engine=engine,
            resources=self._resources(request, experiment),
            group=request.group,
            key=request.key,
            priority=request.priority,
            max_restarts=self.home.settings.max_restarts if restarts is None else restarts,
        )

    def _check(self, experiment: Experiment, made: Submission) -> None:
        check_loggers(experiment.tracking.loggers)
        self._check_data(experiment)
        self._check_network(experiment, made.engine)
        never = why_never(self.capacity, made.resources) if made.engine == "local" else None
        if never is not None:
            raise JobError(never, fix="ask for less, or choose another --engine")

    def _check_data(self, experiment: Experiment) -> None:
        from vqa.training.requirements import check_data

        check_data(experiment, self._store_facts(experiment.data.store))

    def _store_facts(self, path: Path) -> StoreFacts:
        """What is known of a store, for as long as its manifest stays the same."""
        from vqa.data.store import Store
        from vqa.training.requirements import StoreFacts

        written = _written(path)
        if written is None:
            return StoreFacts(Store.open(path))  # says what is wrong
        self.let_go()
        with self._lock:
            facts = self._facts.get((path, written)) or StoreFacts(Store.open(path))
            _remember(self._facts, (path, written), facts, KEPT_STORES)
        return facts

    def let_go(self) -> None:
        """Forget stores that were deleted or made anew: of a file that is open the disk gets nothing back."""
        with self._lock:
            for path, written in list(self._facts):
                if _written(path) != written:
                    del self._facts[path, written]

    def _check_network(self, experiment: Experiment, engine: EngineName) -> None:
        """Build the network without memory; tracing one is nothing that two threads can do at once."""
        from vqa.model.blueprint import check_network
        from vqa.training.room import check_room

        size, answers = experiment.data.image_size, experiment.data.max_answers
        known = engine == "local" and not self.capacity.gpus  # a GPU's memory is not known
        memory = self.capacity.memory_mb if known else None
        parts = (experiment.model, experiment.optimizer)
        key = json.dumps([*(part.model_dump(mode="json") for part in parts), size, answers, memory])
        with self._lock:
            if key not in self._fits:
                network = check_network(experiment.model, size, answers)
                if memory is not None:
                    check_room(network, experiment.optimizer, memory << 20)
            _remember(self._fits, key, None, KEPT_FITS)

    def _resources(self, request: SubmitRequest, experiment: Experiment) -> Resources:
        """What the job uses."""
        trainer, machine = experiment.trainer, self.capacity
        auto = "gpu" if machine.gpus else "cpu"
        cores = min(CORES_A_PROCESS * trainer.devices, machine.cores)
        return Resources(
            accelerator=auto if trainer.accelerator == "auto" else trainer.accelerator,
            nodes=trainer.num_nodes,
            devices=trainer.devices,
            cores=request.cores or max(1, cores),
            memory_mb=request.memory_mb or 0,
            time_minutes=request.time_minutes or 0,
        )

    def _refusal(self, error: InputError, where: str, paths_allowed: bool) -> JobError:
        """The same as an answer to who submitted; a client far away is told names in the place of paths."""
        texts = (error.what, error.where or where, error.fix)
        what, place, fix = texts if paths_allowed else map(self.library.without_paths, texts)
        return JobError(what, where=place, fix=fix, kind=getattr(error, "kind", "invalid"))


def asks_the_same(request: SubmitRequest, made: Submission, earlier: Submission) -> bool:
    """Whether what a request makes differs from an earlier submission in that alone which it leaves to the service:
    settings, the machine and the defaults of an experiment may have changed since."""
    left = {
        name for name in ("cores", "memory_mb", "time_minutes") if getattr(request, name) is None
    }
    if made.experiment["trainer"]["accelerator"] == "auto":
        left.add("accelerator")
    try:
        experiment = parse_experiment(earlier.experiment).to_dict()
    except InputError:  # an older program's
        return False
    then = {name: getattr(earlier.resources, name) for name in left}
    restarts = earlier.max_restarts if request.max_restarts is None else made.max_restarts
    resources = made.resources.model_copy(update=then)
    again = replace(made, resources=resources, max_restarts=restarts)
    return again == replace(earlier, experiment=experiment)


def default_name(experiment: Experiment) -> str:
    """What people tell the variants of an experiment apart by."""
    model = experiment.model
    return f"{model.fusion.name}-{model.attention.name}-{experiment.seed}"


def _written(store: Path) -> int | None:
    """When a store's manifest was written; None where it cannot be read."""
    try:
        return (store / "store.json").stat().st_mtime_ns
    except OSError:
        return None


def _remember(known: OrderedDict[Key, Value], key: Key, value: Value, limit: int) -> None:
    """Keep what was used last."""
    known[key] = value
    known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
