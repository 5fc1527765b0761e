"""Questions that no symmetry makes fair: the answer is drawn first, the scene is built for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from vqa.data.sources.scenes import phrasing
from vqa.data.sources.scenes.levels import Level
from vqa.data.sources.scenes.questions import Question, multiple_choice
from vqa.data.sources.scenes.world import random_looks, values


@dataclass(frozen=True, slots=True)
class Plan:
    """The objects that a scene is to have, and the questions that they were chosen for."""

    looks: list[dict[str, str]]
    questions: list[Question] = field(default_factory=list)


def make_plan(kinds: list[str], level: Level, rng: Random) -> Plan:
    """Choose the objects of a scene that is to be asked questions of these kinds."""
    if "number" in kinds and rng.random() < 0.7:
        return _count_some(level, rng)
    if "number" in kinds:
        plan = _count_all(level, rng)
    else:
        low, high = level.objects
        plan = Plan([random_looks(level, rng) for _ in range(rng.randint(low, high))])
    if "shared" in level.comparisons and "comparison" in kinds and len(plan.looks) > 1:
        return _share(plan, level, rng)
    return plan


def _window(low: int, high: int, rng: Random) -> tuple[int, list[int]]:
    """Four consecutive numbers between the two, and one of them."""
    start = rng.randint(low, high - 3)
    numbers = list(range(start, start + 4))
    return rng.choice(numbers), numbers


def _number(phrase: str, right: int, numbers: list[int], rng: Random) -> Question:
    text = phrasing.say(phrasing.NUMBER, rng, things=phrase)
    wrong = [str(number) for number in numbers if number != right]
    return multiple_choice("number", text, str(right), wrong, "number", rng)


def _count_all(level: Level, rng: Random) -> Plan:
    """How many objects there are."""
    count, numbers = _window(*level.objects, rng)
    question = _number(rng.choice(phrasing.NOUNS) + "s", count, numbers, rng)
    return Plan([random_looks(level, rng) for _ in range(count)], [question])


def _count_some(level: Level, rng: Random) -> Plan:
    """How many objects have one attribute, or two, of the same value."""
    low, high = level.objects
    count, numbers = _window(0, high, rng)
    names = rng.sample(level.looks, rng.randint(1, level.hops))
    wanted = {name: rng.choice(values(level, name)) for name in names}
    looks = [random_looks(level, rng, **wanted) for _ in range(count)]
    total = rng.randint(max(low, count), high)
    while len(looks) < total:
        other = random_looks(level, rng)
        if any(other[name] != value for name, value in wanted.items()):
            looks.append(other)
    phrase = phrasing.plural(wanted, rng.choice(phrasing.NOUNS))
    return Plan(looks, [_number(phrase, count, numbers, rng)])


def _share(plan: Plan, level: Level, rng: Random) -> Plan:
    """What two objects, each named by its own colour (or shape), have in common of the rest."""
    named, compared = rng.choice((("colour", "shape"), ("shape", "colour")))
    first, second = rng.sample(values(level, named), 2)
    equal = rng.choice(((True, True), (True, False), (False, True), (False, False)))
    pair = [random_looks(level, rng, **{named: first}), random_looks(level, rng, **{named: second})]
    for name, same in zip((compared, "size"), equal, strict=True):
        others = [value for value in values(level, name) if value != pair[0][name]]
        pair[1][name] = pair[0][name] if same else rng.choice(others)
    free = [value for value in values(level, named) if value not in (first, second)]
    rest = [random_looks(level, rng, **{named: rng.choice(free)}) for _ in plan.looks[2:]]
    question = _shared(named, (first, second), compared, equal, rng)
    return Plan([*pair, *rest], [*plan.questions, question])


def _shared(
    named: str, names: tuple[str, str], compared: str, equal: tuple[bool, bool], rng: Random
) -> Question:
    noun = rng.choice(phrasing.NOUNS)
    ref, other = ("the " + phrasing.noun_phrase({named: name}, noun) for name in names)
    answers = {
        (True, True): f"{compared} and size",
        (True, False): f"only {compared}",
        (False, True): "only size",
        (False, False): "nothing",
    }
    text = phrasing.say(phrasing.SHARED, rng, ref=ref, other=other)
    wrong = [answer for key, answer in answers.items() if key != equal]
    return multiple_choice("comparison", text, answers[equal], wrong, "shared", rng)
