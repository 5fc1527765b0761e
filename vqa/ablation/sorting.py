"""Runs put into variants, one a seed: which count, which are left out and why, and what they differ in beside that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from vqa.ablation.alike import AUTO, Settings, beside_axes, shortly, told, unlike, unlike_axes
from vqa.ablation.derive import flat, settings_of, store_paths
from vqa.ablation.members import NOT_ENDED, SUCCEEDED, Member, users_of
from vqa.evaluation.coverage import first_few
from vqa.tracking.tags import Place


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
