"""Ways to point at one object of a scene: by its looks, its place, a relation, or an extreme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from operator import attrgetter
from random import Random

from vqa.data.sources.scenes import phrasing
from vqa.data.sources.scenes.levels import Level
from vqa.data.sources.scenes.world import Scene, Thing, place_of

Mentions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A phrase that fits exactly one object of the scene.

    Attributes:
        phrase: in English, with its article.
        target: position of the object in the scene.
        mentions: the (attribute, value) pairs that the phrase names.
        form: how the object is pointed at, without any value: one form and target, one question.
    """

    phrase: str
    target: int
    mentions: Mentions = frozenset()
    form: str = "looks"


def by_looks(
    scene: Scene, target: int, level: Level, rng: Random, avoid: str = ""
) -> Reference | None:
    """The object by the fewest attributes that single it out, never by the attribute `avoid`."""
    names = [name for name in level.looks if name != avoid]
    for size in range(len(names) + 1):
        fitting = [subset for subset in combinations(names, size) if _single(scene, target, subset)]
        if fitting:
            looks = {name: getattr(scene[target], name) for name in rng.choice(fitting)}
            phrase = "the " + phrasing.noun_phrase(looks, rng.choice(phrasing.NOUNS))
            return Reference(phrase, target, frozenset(looks.items()))
    return None


def _single(scene: Scene, target: int, names: tuple[str, ...]) -> bool:
    if not names:
        return len(scene) == 1
    looks = attrgetter(*names)
    return [looks(thing) for thing in scene].count(looks(scene[target])) == 1


def by_place(scene: Scene, target: int, level: Level, rng: Random) -> Reference | None:
    """The object by the part of the picture that it has for itself."""
    places = [place_of(thing, level) for thing in scene]
    place = places[target]
    # An object near a border line might be taken to lie here too.
    if place is None or places.count(place) > 1 or None in places:
        return None
    phrase = f"the {rng.choice(phrasing.NOUNS)} {phrasing.in_place(place, level.places)}"
    return Reference(phrase, target, form="place")


def by_relation(
    scene: Scene, level: Level, rng: Random, hops: int, only: int | None = None
) -> Reference | None:
    """Some object, or that one only, by where it lies from another, maybe given likewise."""
    found = [
        (name, anchor, related(scene, name, anchor, level.margin))
        for name in level.sides
        for anchor in range(len(scene))
    ]
    relations = [(name, a, i) for name, a, i in found if i is not None and only in (None, i)]
    if not relations:
        return None
    name, anchor, target = rng.choice(relations)
    other = by_looks(scene, anchor, level, rng)
    if hops > 1 and rng.random() < 0.5:
        other = by_relation(scene, level, rng, hops - 1, anchor) or other
    if other is None:
        return None
    words = rng.choice(phrasing.SIDES[name])
    phrase = f"the {rng.choice(phrasing.NOUNS)} {words} {other.phrase}"
    return Reference(phrase, target, other.mentions, form=f"{name} {anchor} {other.form}")


def related(scene: Scene, name: str, anchor: int, margin: float) -> int | None:
    """The one object that stands in the relation `name` to the object `anchor`; None if not one."""
    if name in ("closest", "furthest"):
        if len(scene) < 3:
            return None
        sign = 1.0 if name == "closest" else -1.0
        return _extreme(scene, lambda t: sign * t.distance(scene[anchor]), margin, skip=anchor)
    coordinate, sign = _AXES[name]
    origin = coordinate(scene[anchor])
    ahead = [sign * (coordinate(thing) - origin) for thing in scene]
    found = [i for i, value in enumerate(ahead) if value > 0]
    # Whoever is not clearly ahead must be clearly behind; the anchor itself is at 0.
    unclear = [value for value in ahead if -margin < value < margin]
    return found[0] if len(found) == 1 and len(unclear) == 1 else None


_X, _Y = attrgetter("x"), attrgetter("y")
_AXES = {"left": (_X, -1.0), "right": (_X, 1.0), "above": (_Y, -1.0), "below": (_Y, 1.0)}


def _extreme(
    scene: Scene, key: Callable[[Thing], float], margin: float, skip: int = -1
) -> int | None:
    """The object with the smallest key, if the next one is at least `margin` away."""
    ranked = sorted((key(thing), i) for i, thing in enumerate(scene) if i != skip)
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < margin:
        return None
    return ranked[0][1]


def by_superlative(scene: Scene, level: Level, rng: Random) -> Reference | None:
    """An object that is larger, smaller or further to one side than every other."""
    if len(scene) < 2:
        return None
    name = rng.choice(tuple(phrasing.SUPERLATIVES))
    target = _superlative(scene, name, level.margin)
    if target is None:
        return None
    phrase = rng.choice(phrasing.SUPERLATIVES[name]).format(noun=rng.choice(phrasing.NOUNS))
    return Reference(phrase, target, form=name)


def _superlative(scene: Scene, name: str, margin: float) -> int | None:
    if name in ("largest", "smallest"):
        wanted = "large" if name == "largest" else "small"
        found = [i for i, thing in enumerate(scene) if thing.size == wanted]
        return found[0] if len(found) == 1 else None
    coordinate = _X if name in ("leftmost", "rightmost") else _Y
    sign = 1.0 if name in ("leftmost", "topmost") else -1.0
    return _extreme(scene, lambda thing: sign * coordinate(thing), margin)


def by_sameness(
    scene: Scene, target: int, level: Level, rng: Random, avoid: str
) -> Reference | None:
    """The one object that has the same colour, shape or size as another one."""
    pairs = [
        (name, other)
        for name in level.looks
        if name != avoid
        for other in range(len(scene))
        if other != target and _sharing(scene, other, name) == [target]
    ]
    if not pairs:
        return None
    name, other = rng.choice(pairs)
    anchor = by_looks(scene, other, level, rng, avoid=name)
    if anchor is None:
        return None
    noun = rng.choice(phrasing.NOUNS)
    phrase = f"the other {noun} with the same {name} as {anchor.phrase}"
    return Reference(phrase, target, anchor.mentions, form=f"same {name} {other}")


def _sharing(scene: Scene, index: int, name: str) -> list[int]:
    value = getattr(scene[index], name)
    return [i for i, t in enumerate(scene) if i != index and getattr(t, name) == value]
