"""Questions whose answer no name gives away: symmetry makes every choice equally likely.

A colour question is fair because exchanging the names of two colours that its text does not mention
turns its scene into another one that is exactly as likely. So no rule here may look at a value's
name; it may look at which values are equal, and at which ones the text mentions. The same holds for
shapes, and for the four directions, which mirror images and quarter turns of the scene exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from random import Random

from vqa.data.sources.scenes import phrasing
from vqa.data.sources.scenes.levels import Level
from vqa.data.sources.scenes.references import (
    Reference,
    by_looks,
    by_place,
    by_relation,
    by_sameness,
    by_superlative,
)
from vqa.data.sources.scenes.world import Scene, direction, place_of, values

DIRECTIONS = ("left", "right", "above", "below")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its four choices, in the order shown; `form` tells repetitions apart."""

    kind: str
    text: str
    choices: tuple[str, ...]
    right: str
    form: str


def multiple_choice(
    kind: str, text: str, right: str, wrong: Iterable[str], form: str, rng: Random
) -> Question:
    """Put the right answer and the wrong ones in random order."""
    choices = [right, *wrong]
    rng.shuffle(choices)
    return Question(kind, text, tuple(choices), right, form)


def ask_attribute(
    kind: str, attribute: str, reference: Reference | None, scene: Scene, level: Level, rng: Random
) -> Question | None:
    """The colour or shape of an object; wrong choices are first those of the other objects.

    A value that the text mentions is no choice: it would not be as likely as the others.
    """
    if reference is None:
        return None
    right = getattr(scene[reference.target], attribute)
    mentioned = {value for name, value in reference.mentions if name == attribute}
    pool = [v for v in values(level, attribute) if v not in mentioned and v != right]
    if right in mentioned or len(pool) < 3:
        return None
    shown = {getattr(thing, attribute) for thing in scene}
    text = phrasing.say(phrasing.ATTRIBUTE[attribute], rng, ref=reference.phrase)
    form = f"{attribute} of {reference.target} by {reference.form}"
    return multiple_choice(kind, text, right, _prefer(pool, shown, rng), form, rng)


def _prefer(pool: list[str], preferred: set[str], rng: Random, count: int = 3) -> list[str]:
    """Draw `count` values, the preferred ones first."""
    pool = rng.sample(pool, len(pool))
    return sorted(pool, key=lambda value: value not in preferred)[:count]


def _plain_attribute(attribute: str) -> Callable[[Scene, Level, Random], Question | None]:
    def ask(scene: Scene, level: Level, rng: Random) -> Question | None:
        target = rng.randrange(len(scene))
        if rng.random() < 0.3:
            reference = by_place(scene, target, level, rng)
        else:
            reference = by_looks(scene, target, level, rng, avoid=attribute)
        return ask_attribute(attribute, attribute, reference, scene, level, rng)

    return ask


def ask_position(scene: Scene, level: Level, rng: Random) -> Question | None:
    """In which part of the picture an object lies."""
    target = rng.randrange(len(scene))
    reference, right = by_looks(scene, target, level, rng), place_of(scene[target], level)
    if reference is None or right is None:
        return None
    names = CORNERS if right in CORNERS else EDGES
    text = phrasing.say(phrasing.POSITION, rng, ref=reference.phrase)
    wrong = [name for name in names if name != right]
    return multiple_choice("position", text, right, wrong, f"place of {target}", rng)


def ask_relation(scene: Scene, level: Level, rng: Random) -> Question | None:
    """The colour or shape of an object found from another one, or on which side of it that lies."""
    if len(scene) < 2:
        return None
    if rng.choice(level.relations) == "side":
        return _ask_direction(scene, level, rng)
    attribute = rng.choice(("colour", "shape"))
    reference = by_relation(scene, level, rng, level.hops)
    return ask_attribute("relation", attribute, reference, scene, level, rng)


def _ask_direction(scene: Scene, level: Level, rng: Random) -> Question | None:
    first, second = rng.sample(range(len(scene)), 2)
    right = direction(scene[first], scene[second], level.margin)
    ref, other = by_looks(scene, first, level, rng), by_looks(scene, second, level, rng)
    if right is None or ref is None or other is None:
        return None
    text = phrasing.say(phrasing.DIRECTION, rng, ref=ref.phrase, other=other.phrase)
    wrong = [name for name in DIRECTIONS if name != right]
    return multiple_choice("relation", text, right, wrong, f"side {first} {second}", rng)


def ask_comparison(scene: Scene, level: Level, rng: Random) -> Question | None:
    """The colour or shape of the largest, the leftmost, the one alike, or of most objects."""
    attribute = rng.choice(("colour", "shape"))
    way = rng.choice([way for way in level.comparisons if way != "shared"])
    if way == "commonest":
        return _ask_commonest(attribute, scene, level, rng)
    if way == "superlative":
        reference = by_superlative(scene, level, rng)
    else:
        reference = by_sameness(scene, rng.randrange(len(scene)), level, rng, avoid=attribute)
    return ask_attribute("comparison", attribute, reference, scene, level, rng)


def _ask_commonest(attribute: str, scene: Scene, level: Level, rng: Random) -> Question | None:
    shown = [getattr(thing, attribute) for thing in scene]
    ranked = sorted(set(shown), key=shown.count, reverse=True)
    if len(ranked) < 2 or shown.count(ranked[0]) == shown.count(ranked[1]):
        return None
    right = ranked[0]
    pool = [value for value in values(level, attribute) if value != right]
    text = phrasing.say(phrasing.COMMONEST, rng, attribute=attribute)
    wrong = _prefer(pool, set(shown), rng)
    return multiple_choice("comparison", text, right, wrong, f"commonest {attribute}", rng)


def ask_existence(scene: Scene, level: Level, rng: Random) -> Question | None:
    """Which object, colour or shape is there, or which colour or shape is not."""
    way = rng.choice((_ask_object, _ask_object, _ask_present, _ask_absent))
    return way(scene, level, rng)


def _ask_object(scene: Scene, level: Level, rng: Random) -> Question | None:
    """Two colours times two shapes, of which one combination is there: neither alone tells."""
    thing = rng.choice(scene)
    colours = [thing.colour, _other("colour", thing.colour, scene, level, rng)]
    shapes = [thing.shape, _other("shape", thing.shape, scene, level, rng)]
    pairs = list(product(colours, shapes))
    if len({(t.colour, t.shape) for t in scene}.intersection(pairs)) != 1:
        return None
    right, *wrong = (phrasing.noun_phrase({"colour": c, "shape": s}, "") for c, s in pairs)
    text = phrasing.say(phrasing.PRESENT_OBJECT, rng)
    return multiple_choice(
        "existence", text, right, wrong, " ".join(["objects", *sorted([right, *wrong])]), rng
    )


def _other(attribute: str, value: str, scene: Scene, level: Level, rng: Random) -> str:
    """Another value, one that some object has where possible."""
    pool = [v for v in values(level, attribute) if v != value]
    shown = {getattr(thing, attribute) for thing in scene}
    return _prefer(pool, shown, rng, 1)[0]


def _ask_present(scene: Scene, level: Level, rng: Random) -> Question | None:
    attribute = rng.choice(("colour", "shape"))
    shown = sorted({getattr(thing, attribute) for thing in scene})
    absent = [value for value in values(level, attribute) if value not in shown]
    if len(absent) < 3:
        return None
    text = phrasing.say(phrasing.PRESENT_VALUE, rng, attribute=attribute)
    right, wrong = rng.choice(shown), rng.sample(absent, 3)
    return multiple_choice("existence", text, right, wrong, f"present {attribute}", rng)


def _ask_absent(scene: Scene, level: Level, rng: Random) -> Question | None:
    attribute = rng.choice(("colour", "shape"))
    shown = sorted({getattr(thing, attribute) for thing in scene})
    absent = [value for value in values(level, attribute) if value not in shown]
    if len(shown) < 3 or not absent:
        return None
    text = phrasing.say(phrasing.ABSENT_VALUE, rng, attribute=attribute)
    right, wrong = rng.choice(absent), rng.sample(shown, 3)
    return multiple_choice("existence", text, right, wrong, f"absent {attribute}", rng)


ASK: dict[str, Callable[[Scene, Level, Random], Question | None]] = {
    "existence": ask_existence,
    "colour": _plain_attribute("colour"),
    "shape": _plain_attribute("shape"),
    "position": ask_position,
    "comparison": ask_comparison,
    "relation": ask_relation,
}
"""The kinds that any scene may be asked about; each returns None where its draw does not fit."""
