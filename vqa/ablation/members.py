"""The runs of an ablation: found by group, folder or path, each with its place in the grid and what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vqa.config import Experiment
from vqa.errors import InputError, RunError
from vqa.formatting import shortened
from vqa.tracking.tags import Place, place_of

if TYPE_CHECKING:
    from vqa.jobs.home import Home
    from vqa.jobs.record import Job

SUCCEEDED = "succeeded"
LONGEST_REASON = 300
UNFINISHED = "unfinished"
NOT_ENDED = {
    UNFINISHED: "has not ended",
    "queued": "waits",
    "preempted": "waits",
    "starting": "is starting",
    "running": "is running",
}
"""States of runs whose end is still to come, in words."""


@dataclass(frozen=True)
class Member:
    """One run.

    Attributes:
        path: its directory.
        status: as `result.json` says, or the job's state where there is none.
        reason: why it did not succeed.
        experiment: as in `experiment.yaml`, with today's default of what an older program did not know, and what a
            precision of `auto` became; empty where that cannot be read.
        result: the contents of `result.json`; empty where there is none.
        place: by its tags; None for a run of no ablation.
        user: who submitted it; "" for a run of no queue.
    """

    path: Path
    status: str
    reason: str = ""
    experiment: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    user: str = ""

    @property
    def seed(self) -> int | None:
        """Of its training."""
        seed = self.experiment.get("seed", self.result.get("seed"))
        return seed if isinstance(seed, int) else None

    @property
    def goes_on(self) -> bool:
        """Whether its end is still to come, as far as anybody knows."""
        return self.status in NOT_ENDED


def users_of(members: Iterable[Member]) -> list[str]:
    """Who submitted them."""
    return sorted({member.user for member in members} - {""})


def find_members(name: str, home: Home | None) -> list[Member] | None:
    """The runs of a group of jobs or of a folder of runs; None where `name` is neither, such as a single run."""
    path = Path(name)
    if is_run(path) or path.is_file():
        return None
    folders = [child for child in sorted(path.iterdir()) if is_run(child)] if path.is_dir() else []
    if folders:
        return [read_member(child) for child in folders]
    return None if home is None else of_group(name, home)


def is_run(path: Path) -> bool:
    """Whether a run was begun there."""
    return (path / "experiment.yaml").is_file() or (path / "result.json").is_file()


def of_group(group: str, home: Home) -> list[Member] | None:
    """The jobs of a group, in the order of submission; None where there is no such group."""
    from vqa.jobs.queue import Queue
    from vqa.jobs.record import Filter

    if not home.queue_file.exists():
        return None
    with closing(Queue(home.queue_file)) as queue:
        members = [of_job(job, home) for job in queue.each(Filter(group=group))]
    return members[::-1] or None


def of_job(job: Job, home: Home) -> Member:
    """What a job's run directory says, and the queue where that is not the end of it."""
    member = read_member(home.run_dir(job.id), experiment=job.submission.experiment)
    member = replace(member, user=job.submission.user)
    return _with_state(member, str(job.state), job.reason)


def groups(home: Home) -> list[str]:
    """Names of all groups, for a hint."""
    from vqa.jobs.queue import Queue

    if not home.queue_file.exists():
        return []
    with closing(Queue(home.queue_file)) as queue:
        return [name for name, _ in queue.groups()]


def read_member(path: Path, experiment: Mapping[str, Any] | None = None) -> Member:
    """What a run directory says of itself; a damaged one is a member that failed.

    Args:
        experiment: what the queue knows; read from the directory where None.
    """
    known = dict(experiment or {})
    try:
        known = known or _experiment(path)
        known = _completed(known)
        result = _result(path)
    except RunError as error:
        return Member(path, "unreadable", error.what, known, place=_place(known))
    known = _settled(known, result)
    status = str(result.get("status", SUCCEEDED)) if result else UNFINISHED
    reason = "" if status == SUCCEEDED else str(result.get("error") or "")
    return Member(path, status, shortened(reason, LONGEST_REASON), known, result, _place(known))


def _completed(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment with today's default of every setting that it does not name; as it is where it does not fit."""
    try:
        return Experiment.model_validate(experiment).to_dict()
    except ValidationError:
        return dict(experiment)


def _settled(experiment: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment with what a precision of `auto` became."""
    trainer = experiment.get("trainer")
    if not isinstance(trainer, Mapping) or trainer.get("precision") != "auto":
        return dict(experiment)
    became = result.get("precision") or "auto"
    return {**experiment, "trainer": {**trainer, "precision": became}}


def _with_state(member: Member, state: str, reason: str) -> Member:
    if state != SUCCEEDED:
        said = shortened(member.reason or reason, LONGEST_REASON)
        return replace(member, status=state, reason=said)
    gone = member.status == UNFINISHED
    return replace(member, status="unreadable", reason="its result is gone") if gone else member


def _place(experiment: Mapping[str, Any]) -> Place | None:
    tracking = experiment.get("tracking")
    tags = tracking.get("tags") if isinstance(tracking, Mapping) else None
    return place_of(str(tag) for tag in tags) if isinstance(tags, list | tuple) else None


def _result(path: Path) -> dict[str, Any]:
    file = path / "result.json"
    try:
        result = json.loads(file.read_text(encoding="utf-8"), parse_int=_whole)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise RunError(f"result.json cannot be read ({error})", where=str(path)) from None
    if not isinstance(result, dict):
        raise RunError("result.json is no object", where=str(path))
    return result


def _whole(text: str) -> int:
    """A number that can be reckoned with.

    Raises:
        OverflowError: it is beyond any fraction.
    """
    value = int(text)
    float(value)
    return value


def _experiment(path: Path) -> dict[str, Any]:
    from vqa.yaml_file import read_yaml

    file = path / "experiment.yaml"
    if not file.is_file():
        return {}
    try:
        return read_yaml(file)
    except InputError as error:
        raise RunError(f"experiment.yaml: {error.what}", where=str(path)) from None


def chance_is_wanted(places: Iterable[Place]) -> bool:
    """Whether the ablation asked to be compared with chance."""
    return any(place.chance for place in places)


def costs(members: Sequence[Member]) -> dict[str, float | None]:
    """Size, speed, time and memory: means over the runs that say them."""
    return {
        "parameters": _mean(members, "counts", "parameters"),
        "questions_per_second": _mean(members, "training", "questions_per_second"),
        "seconds_to_best": _mean(members, "training", "seconds_to_best"),
        "peak_memory_mb": _mean(members, "training", "peak_gpu_memory_mb")
        or _mean(members, "training", "peak_memory_mb"),
    }


def _mean(members: Sequence[Member], section: str, name: str) -> float | None:
    sections = [member.result.get(section) for member in members]
    known = [number(one, name) for one in sections if isinstance(one, Mapping)]
    numbers = [one for one in known if one is not None]
    return sum(numbers) / len(numbers) if numbers else None


def number(section: Mapping[str, Any], name: str) -> float | None:
    """A figure of a result; None where it has none, or something else in its place."""
    value = section.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
