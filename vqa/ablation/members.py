"""The runs of an ablation: found by group, folder or path, each with its place in the grid and what it cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.ablation.alike import AUTO, Settings, beside_axes, shortly, told, unlike, unlike_axes
from vqa.ablation.derive import flat, settings_of, store_paths
from vqa.amounts import shortened
from vqa.errors import InputError, RunError
from vqa.evaluation.coverage import first_few
from vqa.tracking.tags import Place, place_of

if TYPE_CHECKING:
    from vqa.jobs.home import Home
    from vqa.jobs.record import Job

SUCCEEDED = "succeeded"
LONGEST_REASON = 300
UNFINISHED = "unfinished"
MOST_JOBS = 100_000
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
        experiment: as in `experiment.yaml`, with what a precision of `auto` became; empty where that cannot be read.
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
    from vqa.jobs.queue import Filter, Queue

    if not home.queue_file.exists():
        return None
    queue = Queue(home.queue_file)
    try:
        jobs = queue.find(Filter(group=group), limit=MOST_JOBS)
    finally:
        queue.close()
    return [of_job(job, home) for job in reversed(jobs)] or None


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
    queue = Queue(home.queue_file)
    try:
        return [name for name, _ in queue.groups()]
    finally:
        queue.close()


def read_member(path: Path, experiment: Mapping[str, Any] | None = None) -> Member:
    """What a run directory says of itself; a damaged one is a member that failed.

    Args:
        experiment: what the queue knows; read from the directory where None.
    """
    known = dict(experiment or {})
    try:
        known = known or _experiment(path)
        result = _result(path)
    except RunError as error:
        return Member(path, "unreadable", error.what, known, place=_place(known))
    known = _settled(known, result)
    status = str(result.get("status", SUCCEEDED)) if result else UNFINISHED
    reason = "" if status == SUCCEEDED else str(result.get("error") or "")
    return Member(path, status, shortened(reason, LONGEST_REASON), known, result, _place(known))


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


@dataclass(frozen=True)
class Sorted:
    """Runs by what they are.

    Attributes:
        variants: variant → its runs that succeeded, one a seed.
        places: variant → where it stands in the grid.
        left_out: every other run with the reason.
        notes: what the reader must know of this choice.
    """

    variants: dict[str, list[Member]]
    places: dict[str, Place]
    left_out: list[tuple[Place, Member, str]]
    notes: list[str]


def sort_members(members: Sequence[Member], places: Sequence[Place]) -> Sorted:
    """Put runs that differ in their seed only together, baselines last; of several with one seed the last counts."""
    found = _by_seed(members, places)
    by_variant = {place.variant: place for place in places}
    stores = store_paths(members)
    settings = {
        name: [settings_of(member, stores) for member in seeds.values() if member.experiment]
        for name, seeds in found.kept.items()
    }
    beside = beside_axes(settings, by_variant)
    counted = {name: by_variant[name] for name in found.kept}
    notes = [*told(beside), *_mixed(settings, beside), *_precisions(found.kept)]
    notes += unlike_axes(counted)
    if found.repeated:
        shared = len(users_of(members)) > 1
        runs = first_few([_named(member, shared=shared) for member in found.repeated])
        notes.append(f"a later run of the same variant and seed counts in the place of {runs}")
    in_order = sorted(places, key=lambda place: place.baseline is not None)
    order = dict.fromkeys(place.variant for place in in_order)
    variants = {name: list(found.kept[name].values()) for name in order if name in found.kept}
    return Sorted(variants, by_variant, found.left_out, notes)


def _named(member: Member, *, shared: bool) -> str:
    """A run by its directory, and whose it is where runs are of several users."""
    whose = f" of {member.user}" if shared and member.user else ""
    return f"{member.path.name}{whose}"


@dataclass
class _BySeed:
    """Runs of each variant by seed, those left out, and those that succeeded before another one that counts."""

    kept: dict[str, dict[int | str, Member]] = field(default_factory=dict)
    left_out: list[tuple[Place, Member, str]] = field(default_factory=list)
    repeated: list[Member] = field(default_factory=list)


def _by_seed(members: Sequence[Member], places: Sequence[Place]) -> _BySeed:
    found = _BySeed()
    last: dict[tuple[str, int | str], int] = {}
    for at, (member, place) in enumerate(zip(members, places, strict=True)):
        if member.status == SUCCEEDED:
            seeds = found.kept.setdefault(place.variant, {})
            if _key(member) in seeds:
                found.repeated.append(seeds[_key(member)])
            seeds[_key(member)] = member
            last[place.variant, _key(member)] = at
    for at, (member, place) in enumerate(zip(members, places, strict=True)):
        counted = last.get((place.variant, _key(member)))
        if member.status == SUCCEEDED or (counted is not None and at < counted):
            continue
        reason = why(member) if counted is None else _not_yet(member, members[counted])
        if reason:
            found.left_out.append((place, member, reason))
    return found


def _not_yet(member: Member, older: Member) -> str:
    """Why a run does not count and an older one does; "" where both are of one experiment."""
    keys = [key for key in unlike(flat(member.experiment), flat(older.experiment)) if key != AUTO]
    return f"{why(member)}; an older run counts, which differs in {shortly(keys)}" if keys else ""


def _key(member: Member) -> int | str:
    return str(member.path) if member.seed is None else member.seed


def _mixed(settings: Mapping[str, Sequence[Settings]], beside: Collection[str]) -> list[str]:
    """Variants whose runs differ in more than their seed and what is told `beside`, as far as it is known."""
    notes = []
    for name, known in settings.items():
        keys = {key for other in known[1:] for key in unlike(known[0], other)}.difference(beside)
        if keys:
            shown = ", ".join(sorted(keys)[:5])
            notes.append(f"the runs of {name} differ in {shown} too, not in their seed only")
    return notes


def _precisions(kept: Mapping[str, Mapping[int | str, Member]]) -> list[str]:
    """That not all runs were trained in one precision, and which were in which."""
    found: dict[str, list[str]] = {}
    for name, seeds in kept.items():
        precisions = {str(_precision(member)) for member in seeds.values() if _precision(member)}
        for one in sorted(precisions):
            found.setdefault(one, []).append(name)
    if len(found) < 2:
        return []
    shown = "; ".join(f"{one}: {shortly(names)}" for one, names in sorted(found.items()))
    return [f"trainer.precision differs ({shown})"]


def _precision(member: Member) -> str | None:
    trainer = member.experiment.get("trainer")
    return trainer.get("precision") if isinstance(trainer, Mapping) else None


def why(member: Member) -> str:
    """Why a run is left out."""
    state, reason = NOT_ENDED.get(member.status, member.status), member.reason
    if state == "waits" and reason.startswith("waits "):  # for what, in the dispatcher's words
        return reason
    return f"{state}: {reason}" if reason else state


def chance_is_wanted(places: Iterable[Place]) -> bool:
    """Whether the ablation asked to be compared with chance."""
    return any(place.chance for place in places)
