"""What `vqa compare` is given: groups, folders of runs, runs, predictions files; as runs with places."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.ablation.derive import places_of
from vqa.ablation.members import SUCCEEDED, Member, find_members, groups, is_run, read_member
from vqa.errors import RunError
from vqa.names import did_you_mean
from vqa.tracking.tags import Place

if TYPE_CHECKING:
    from vqa.jobs.home import Home


@dataclass
class Gathered:
    """Runs and the place of each."""

    title: str
    members: list[Member] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def add(self, members: Sequence[Member], places: Sequence[Place]) -> None:
        """Join further runs."""
        self.members += members
        self.places += places


def is_collection(path: Path) -> bool:
    """Whether this may stand for several runs: a folder of runs, or a group, whose name may be that of a folder too."""
    if not path.exists():
        return True
    if not path.is_dir() or is_run(path):
        return False
    return len(path.parts) == 1 or any(is_run(child) for child in path.iterdir())


def gather(
    names: Sequence[str], named: Mapping[str, Sequence[Path]], home: Home | None
) -> Gathered:
    """Read what the runs say of themselves.

    Args:
        names: groups, folders and runs; a single run is a variant of its own.
        named: variant → its runs.

    Raises:
        RunError: a name is none of these, or two runs of a named variant have one seed.
    """
    alone = len(names) == 1 and not named
    title = names[0] if alone else f"{len(names) + len(named)} groups and runs"
    found = Gathered(title)
    collections = {
        name: members for name in names if (members := find_members(name, home)) is not None
    }
    for name, members in collections.items():
        places = places_of(members)
        found.add(
            members, places if len(collections) == 1 else [_within(name, place) for place in places]
        )
    for name in names:
        if name not in collections:
            found.add([_single(name, home)], [_alone(name)])
    for name, paths in named.items():
        members = [_single(str(path), home) for path in paths]
        _check_seeds(name, members)
        found.add(members, [_alone(name)] * len(paths))
    return found


def _check_seeds(variant: str, members: Sequence[Member]) -> None:
    """Refuse what would count one training twice."""
    seen: dict[int, Member] = {}
    for member in members:
        if member.seed is None or member.status != SUCCEEDED:
            continue
        other = seen.setdefault(member.seed, member)
        if other is not member:
            raise RunError(
                f"{other.path} and {member.path} both have seed {member.seed}",
                where=f"--variant {variant}",
                fix="runs of one variant differ in their seed; give one run of each seed",
            )


def _within(name: str, place: Place) -> Place:
    """A place in one of several ablations, whose axes have nothing to do with each other."""
    return replace(place, variant=f"{name}:{place.variant}", labels={})


def _alone(name: str) -> Place:
    return Place(name)


def _single(name: str, home: Home | None) -> Member:
    path = Path(name)
    if path.is_file():
        return Member(path, SUCCEEDED)
    if is_run(path):
        return read_member(path)
    if path.exists():
        raise RunError("holds no run", where=name)
    raise unknown(name, home)


def unknown(name: str, home: Home | None) -> RunError:
    """What to say of a name that is no path and no group."""
    known = [] if home is None else groups(home)
    away = os.environ.get("VQA_SERVER")
    none = "; no group was submitted on this machine" if away else "; no group was submitted yet"
    hint = did_you_mean(name, known) if known else none
    there = f"a group's runs are used where they lie: {away}/ablations"
    fix = there if away else "see `vqa jobs`"
    return RunError(f"no run, folder or group {name!r}{hint}", fix=fix)
