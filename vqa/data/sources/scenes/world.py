"""Scenes: objects with a colour, a shape, a size and a place, drawn at random around a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from vqa.data.sources.scenes.levels import ATTRIBUTES, SIDE, Level

CENTRE = (SIDE - 1) / 2


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a scene: x to the right, y down, radius, all in pixels; angle in radians."""

    colour: str
    shape: str
    size: str
    x: float
    y: float
    radius: float
    angle: float = 0.0

    def distance(self, other: Thing) -> float:
        """Distance of the centres."""
        return math.hypot(self.x - other.x, self.y - other.y)


Scene = tuple[Thing, ...]


def values(level: Level, attribute: str) -> tuple[str, ...]:
    """Every value that `attribute` takes at this level."""
    if attribute == "colour":
        return level.colours
    return level.shapes if attribute == "shape" else tuple(level.radii)


def random_looks(level: Level, rng: Random, **fixed: str) -> dict[str, str]:
    """Attributes drawn uniformly and independently, but for the fixed ones."""
    return {name: fixed.get(name) or rng.choice(values(level, name)) for name in ATTRIBUTES}


def lay_out(looks: list[dict[str, str]], level: Level, rng: Random) -> Scene:
    """Give every object a size in pixels, a turn and a place of its own.

    Places are drawn from a distribution that mirror images and quarter turns leave as it is, so no
    direction is likelier than another.
    """
    radii = [rng.uniform(*level.radii[look["size"]]) for look in looks]
    gap = level.gap
    while True:
        places = _places(radii, gap, rng)
        if places is not None:
            break
        gap -= 0.1
    turn = math.radians(level.rotation)
    return tuple(
        Thing(**look, x=x, y=y, radius=radius, angle=rng.uniform(-turn, turn))
        for look, radius, (x, y) in zip(looks, radii, places, strict=True)
    )


def _places(radii: list[float], gap: float, rng: Random) -> list[tuple[float, float]] | None:
    """Centres drawn one by one, none too near an earlier one; None if stuck."""
    taken: list[tuple[float, float, float]] = []
    for radius in radii:
        for _ in range(40):
            reach = CENTRE - radius - 1
            x, y = CENTRE + rng.uniform(-reach, reach), CENTRE + rng.uniform(-reach, reach)
            if all(math.hypot(x - u, y - v) >= radius + r + gap for u, v, r in taken):
                taken.append((x, y, radius))
                break
        else:
            return None
    return [(x, y) for x, y, _ in taken]


def place_of(thing: Thing, level: Level) -> str | None:
    """Part of the picture where the object lies, None in the middle and near a border."""
    quarters = level.places == 4
    lines = (CENTRE,) if quarters else (SIDE / 3 - 0.5, SIDE * 2 / 3 - 0.5)
    columns = ("left", "right") if quarters else ("left", "", "right")
    rows = ("top", "bottom") if quarters else ("top", "", "bottom")
    border = level.margin / 2
    if any(abs(value - line) < border for value in (thing.x, thing.y) for line in lines):
        return None
    column, row = (sum(value > line for line in lines) for value in (thing.x, thing.y))
    return f"{rows[row]} {columns[column]}".strip() or None


def direction(thing: Thing, seen_from: Thing, margin: float) -> str | None:
    """On which side of `seen_from` the object lies; None where two sides would do."""
    dx, dy = thing.x - seen_from.x, thing.y - seen_from.y
    if abs(abs(dx) - abs(dy)) < margin:
        return None
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "below" if dy > 0 else "above"
