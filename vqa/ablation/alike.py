"""What the runs of a grid differ in beside their axes: the base was changed between them, as a rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vqa.ablation.paths import check_path
from vqa.errors import ConfigError
from vqa.tracking.tags import Place

MOST_KEYS, MOST_VALUES, MOST_NAMES = 5, 3, 3
AUTO = "trainer.precision"
"""What it became is known of runs that ended alone, and told in a note of its own."""

Settings = Mapping[str, Any]
"""What decides a run's result, key path → value."""

Beside = dict[str, dict[str, list[str]]]
"""Key path → value → the variants with a run that has it."""


def beside_axes(settings: Mapping[str, Sequence[Settings]], places: Mapping[str, Place]) -> Beside:
    """The keys in which runs of a grid differ though the labels of their axes do not make them differ.

    A value may follow from the labels of axes that are a key path above it, and of axes under a name of their own,
    which may change anything. Runs of different axes are not held against each other. A baseline has a model of its
    own and the rest of some cell.

    Args:
        settings: variant → what each of its runs was trained with.
        places: variant → where it stands.
    """
    runs = [(name, places[name], one) for name, found in settings.items() for one in found]
    grid = [run for run in runs if run[1].labels]
    blind = [run for run in runs if run[1].baseline is not None]
    named = {axis for _, place, _ in grid for axis in place.labels if not _is_path(axis)}
    keys = sorted({key for _, _, one in grid for key in one} - {AUTO})
    return {
        key: _holders(key, [*grid, *blind])
        for key in keys
        if _differs(key, grid, named) or _foreign(key, grid, blind)
    }


def told(beside: Beside) -> list[str]:
    """A note for each key, the first ones at length."""
    notes = [
        f"the runs differ in {key} beside their axes ({_values(found)})"
        for key, found in list(beside.items())[:MOST_KEYS]
    ]
    more = len(beside) - MOST_KEYS
    return [*notes, f"they differ in {more} keys more beside their axes"] if more > 0 else notes


def unlike_axes(places: Mapping[str, Place]) -> list[str]:
    """A note where variants have different axes: an axis' effect is then nobody's question."""
    found = list(dict.fromkeys(tuple(place.labels) for place in places.values() if place.labels))
    if len(found) < 2:
        return []
    shown = "; ".join(", ".join(axes) for axes in found[:MOST_VALUES])
    return [
        f"the runs are of ablations with different axes ({shown}): no effect of an axis is told"
    ]


def unlike(one: Settings, other: Settings) -> list[str]:
    """The key paths in which two runs differ; none where either is not known."""
    if not one or not other:
        return []
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def shortly(names: Sequence[str]) -> str:
    """The first names, and how many there are more."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _is_path(axis: str) -> bool:
    try:
        check_path(axis, where=axis)
    except ConfigError:
        return False
    return True


Run = tuple[str, Place, Settings]


def _differs(key: str, grid: Sequence[Run], named: Collection[str]) -> bool:
    """Whether runs differ in a key though the labels of the axes that may change it are the same."""
    seen: dict[tuple[str, ...], Any] = {}
    for _, place, one in grid:
        may = (
            label
            for axis, label in place.labels.items()
            if axis in named or f"{key}.".startswith(f"{axis}.")
        )
        value = one.get(key)
        if seen.setdefault((*place.labels, *may), value) != value:
            return True
    return False


def _foreign(key: str, grid: Sequence[Run], blind: Sequence[Run]) -> bool:
    """Whether a baseline has a value that no cell has; its model is its own."""
    if key.startswith("model.") or not blind:
        return False
    known = {str(one.get(key)) for _, _, one in grid}
    return any(str(one.get(key)) not in known for _, _, one in blind)


def _holders(key: str, runs: Sequence[Run]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for name, _, one in runs:
        if key in one:
            found.setdefault(str(one[key]), {})[name] = None
    return {value: list(names) for value, names in sorted(found.items())}


def _values(found: Mapping[str, Sequence[str]]) -> str:
    shown = [
        f"{value[:40]}: {shortly(names)}" for value, names in list(found.items())[:MOST_VALUES]
    ]
    more = len(found) - MOST_VALUES
    return "; ".join([*shown, f"and {more} values more"] if more > 0 else shown)
