"""Scenes: answers true to the English, well-formed choices, the same every time."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vqa.data.record import Row, Source
from vqa.data.sources.scenes import DEFAULT_LEVEL, LEVELS, Scenes, phrasing, split_by_image
from vqa.data.sources.scenes.draw import RGB, render
from vqa.data.sources.scenes.levels import KINDS, SIDE, level_named
from vqa.data.sources.scenes.questions import CORNERS, DIRECTIONS, EDGES, Question
from vqa.data.sources.scenes.source import make_scene
from vqa.data.sources.scenes.world import CENTRE, Scene, Thing, lay_out, place_of
from vqa.errors import InputError

LEVEL_NAMES = pytest.mark.parametrize("name", list(LEVELS))
VALUES = {
    "colour": set(RGB),
    "shape": {shape for level in LEVELS.values() for shape in level.shapes},
    "size": {"small", "large"},
}


def rows_of(**arguments: object) -> list[Row]:
    rows = list(Scenes(**arguments).rows())  # type: ignore[arg-type]
    assert all(isinstance(row, Row) for row in rows)
    return rows  # type: ignore[return-value]


# --- an oracle that knows English and the scene, and none of the code that wrote the question


def looks_in(phrase: str) -> dict[str, str]:
    words = [
        re.sub("(es|s)$", "", w) if w.endswith("s") and w != "cross" else w for w in phrase.split()
    ]
    words = [
        {"cros": "cross", "squar": "square", "circl": "circle", "triangl": "triangle"}.get(w, w)
        for w in words
    ]
    return {name: w for w in words for name, known in VALUES.items() if w in known}


def fits(thing: Thing, looks: dict[str, str]) -> bool:
    return all(getattr(thing, name) == value for name, value in looks.items())


def only(things: list[Thing]) -> Thing:
    assert len(things) == 1, things
    return things[0]


NOUN = "(?:object|thing|item)"
SIDE_KEYS = {
    "left": lambda t, a: t.x < a.x,
    "right": lambda t, a: t.x > a.x,
    "above": lambda t, a: t.y < a.y,
    "below": lambda t, a: t.y > a.y,
}
EXTREMES = {
    "leftmost": lambda t: t.x,
    "rightmost": lambda t: -t.x,
    "topmost": lambda t: t.y,
    "bottommost": lambda t: -t.y,
    "smallest": lambda t: t.radius,
    "largest": lambda t: -t.radius,
}


def find(phrase: str, scene: Scene) -> Thing:
    """The object that a phrase points at."""
    for name, ways in phrasing.SUPERLATIVES.items():
        if any(re.fullmatch(way.format(noun=NOUN), phrase) for way in ways):
            return min(scene, key=EXTREMES[name])
    same = re.fullmatch(rf"the other {NOUN} with the same (\w+) as (the .+)", phrase)
    if same:
        anchor = find(same[2], scene)
        return only(
            [
                t
                for t in scene
                if t is not anchor and getattr(t, same[1]) == getattr(anchor, same[1])
            ]
        )
    for name, ways in phrasing.SIDES.items():
        relation = re.fullmatch(rf"the {NOUN} (?:{'|'.join(ways)}) (the .+)", phrase)
        if relation:
            return related(name, find(relation[1], scene), scene)
    place = re.fullmatch(rf"the {NOUN} (?:in|at|on) the (.+)", phrase)
    if place:
        return only([t for t in scene if lies_in(t, place[1])])
    return only([t for t in scene if fits(t, looks_in(phrase))])


def related(name: str, anchor: Thing, scene: Scene) -> Thing:
    others = [t for t in scene if t is not anchor]
    if name in SIDE_KEYS:
        return only([t for t in others if SIDE_KEYS[name](t, anchor)])
    sign = 1 if name == "closest" else -1
    return min(others, key=lambda t: sign * np.hypot(t.x - anchor.x, t.y - anchor.y))


def lies_in(thing: Thing, place: str) -> bool:
    """Edges and corners are of nine fields, other places of four."""
    nine = place in EDGES or place.endswith(" corner")
    low, high = (SIDE / 3, SIDE * 2 / 3) if nine else (SIDE / 2, SIDE / 2)
    column = "left" if thing.x < low else "right" if thing.x > high else ""
    row = "top" if thing.y < low else "bottom" if thing.y > high else ""
    return f"{row} {column}".strip() == place.removesuffix(" corner")


def matched(text: str, templates: tuple[str, ...], **words: str) -> re.Match[str] | None:
    for template in templates:
        pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
        groups = {"ref": "(?P<ref>.+)", "Ref": "(?P<ref>.+)", "other": "(?P<other>.+)"}
        filled = pattern.format(**groups, things="(?P<things>.+)", noun=NOUN, **words)
        match = re.fullmatch(filled, text)
        if match:
            return match
    return None


def lower(phrase: str) -> str:
    return phrase[0].lower() + phrase[1:]


def holds(question: Question, scene: Scene, choice: str) -> bool:
    """Whether a choice answers the question truly."""
    text = question.text
    if match := matched(text, phrasing.PRESENT_OBJECT):
        return any(fits(t, looks_in(choice)) for t in scene)
    if match := matched(text, phrasing.NUMBER):
        return sum(fits(t, looks_in(match["things"])) for t in scene) == int(choice)
    if match := matched(text, phrasing.DIRECTION):
        ref, other = find(match["ref"], scene), find(match["other"], scene)
        across = abs(ref.x - other.x) > abs(ref.y - other.y)
        return SIDE_KEYS[choice](ref, other) and across == (choice in ("left", "right"))
    if match := matched(text, phrasing.SHARED):
        ref, other = find(match["ref"], scene), find(match["other"], scene)
        equal = {name for name in VALUES if getattr(ref, name) == getattr(other, name)}
        return equal == set(choice.split()) & set(VALUES)
    for attribute in ("colour", "shape"):
        shown = Counter(getattr(t, attribute) for t in scene)
        if matched(text, phrasing.PRESENT_VALUE, attribute=attribute):
            return choice in shown
        if matched(text, phrasing.ABSENT_VALUE, attribute=attribute):
            return choice not in shown
        if matched(text, phrasing.COMMONEST, attribute=attribute):
            return shown[choice] == max(shown.values())
        if match := matched(text, phrasing.ATTRIBUTE[attribute]):
            return getattr(find(lower(match["ref"]), scene), attribute) == choice
    match = matched(text, phrasing.POSITION)
    assert match, f"no template fits {text!r}"
    return lies_in(find(match["ref"], scene), choice)


@LEVEL_NAMES
def test_the_right_choice_is_true_and_the_others_are_false(name: str) -> None:
    seen = set()
    for index in range(250):
        scene, questions = make_scene(level_named(name), 8, Random(f"truth {name} {index}"))
        for question in questions:
            true = [choice for choice in question.choices if holds(question, scene, choice)]
            assert true == [question.right], (question, scene)
            seen.add((question.kind, question.form.split()[0]))
    assert {kind for kind, _ in seen} == set(KINDS)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(LEVELS)), st.integers(0, 10**9), st.integers(1, 12))
def test_any_scene_gives_well_formed_examples(name: str, seed: int, count: int) -> None:
    rows = rows_of(images={"a": 1, "b": 1}, level=name, seed=seed, questions_per_image=count)
    assert len({row.example.question_id for row in rows}) == len(rows)
    for row in rows:
        example = row.example
        assert len(example.choices) == len(set(example.choices)) == 4
        assert example.answers == [example.choices[example.label]]
        assert example.question_type in KINDS
        assert example.question[0].isupper()
        assert example.question[-1] in "?."
    for split in "ab":
        asked = [
            (row.example.question, *sorted(row.example.choices))
            for row in rows
            if row.example.split == split
        ]
        assert len(asked) >= min(count, 4)
        assert len(set(asked)) == len(asked)


@LEVEL_NAMES
def test_objects_lie_inside_and_hardly_cover_one_another(name: str) -> None:
    level = level_named(name)
    for index in range(200):
        scene, _ = make_scene(level, 6, Random(index))
        assert level.objects[0] <= len(scene) <= level.objects[1]
        for i, thing in enumerate(scene):
            assert all(thing.radius <= v <= SIDE - 1 - thing.radius for v in (thing.x, thing.y))
            for other in scene[:i]:
                assert thing.distance(other) >= thing.radius + other.radius + min(level.gap, 0) - 1


@pytest.mark.parametrize("name", ["easy", "medium"])
def test_pictures_show_the_colours_of_the_scene(name: str) -> None:
    level = level_named(name)
    names, palette = list(level.colours), np.array([RGB[colour] for colour in level.colours])
    for index in range(100):
        rng = Random(index)
        scene, _ = make_scene(level, 4, rng)
        picture = render(scene, level, rng).astype(int)
        for thing in scene:
            pixel = picture[round(thing.y), round(thing.x)]
            assert names[int(np.abs(palette - pixel).sum(1).argmin())] == thing.colour


def test_every_shape_covers_its_own_pixels() -> None:
    level = level_named("hard")
    plain = level_named("easy")
    masks = {}
    for shape in level.shapes:
        (thing,) = lay_out([{"colour": "red", "shape": shape, "size": "large"}], plain, Random(1))
        picture = render((thing,), plain, Random(2)).astype(int)
        masks[shape] = (picture[..., 0] - picture[..., 1]) > 90
        assert 80 < masks[shape].sum() < 380
    pairs = [(a, b) for a in masks for b in masks if a < b]
    assert all((masks[a] ^ masks[b]).sum() > 20 for a, b in pairs)


@LEVEL_NAMES
def test_an_image_depends_on_seed_split_and_index_alone(name: str) -> None:
    few = rows_of(images={"train": 2, "test": 1}, level=name, seed=5)
    many = rows_of(images={"val": 3, "train": 4, "test": 2}, level=name, seed=5)
    by_id = {row.example.question_id: row for row in many}
    assert all(by_id[row.example.question_id] == row for row in few)
    other = rows_of(images={"train": 2, "test": 1}, level=name, seed=6)
    assert {row.image.data for row in few}.isdisjoint(row.image.data for row in other)


def digest(rows: list[Row]) -> str:
    text = repr([(row.example, row.image.data) for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()


def test_another_process_with_another_hash_seed_gives_the_same() -> None:
    program = (
        "import hashlib; from vqa.data.sources.scenes import Scenes\n"
        "rows = list(Scenes({'train': 8}, level='hard', seed=3).rows())\n"
        "text = repr([(row.example, row.image.data) for row in rows])\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    run = [sys.executable, "-c", program]
    found = subprocess.run(
        run, env={"PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == digest(rows_of(images={"train": 8}, level="hard", seed=3))


def test_rows_are_a_source_of_png_pictures() -> None:
    source: Source = Scenes({"train": 2, "test": 1})
    rows = [row for row in source.rows() if isinstance(row, Row)]
    assert [row.example.split for row in rows] == ["train"] * 12 + ["test"] * 6
    assert len({row.example.image_id for row in rows}) == 3
    assert len({row.image.data for row in rows}) == 3
    for row in rows:
        with Image.open(io.BytesIO(row.image.data or b"")) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (SIDE, SIDE))


@LEVEL_NAMES
def test_the_vocabularies_stay_small(name: str) -> None:
    examples = [row.example for row in rows_of(images={"train": 300}, level=name)]
    choices = {choice for example in examples for choice in example.choices}
    assert len(choices) < 200
    assert max(len(example.question.split()) for example in examples) < 25


def test_every_phrasing_is_used() -> None:
    texts = [row.example.question for row in rows_of(images={"train": 600}, level="medium")]
    for templates in (phrasing.NUMBER, phrasing.POSITION, phrasing.PRESENT_OBJECT, phrasing.SHARED):
        assert all(any(matched(text, (t,)) for text in texts) for t in templates)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "meduim"}, "did you mean 'medium'"),
        ({"level": "x"}, "known: easy, medium, hard"),
        ({"images": {"train": -1}}, "-1 images in split 'train'"),
        ({"questions_per_image": 0}, "0 questions per image"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Scenes(**{"images": {"train": 1}, **arguments})  # type: ignore[arg-type]


def test_splits_are_eight_to_one_to_one() -> None:
    assert split_by_image(10_000) == {"train": 8000, "val": 1000, "test": 1000}
    assert sum(split_by_image(17).values()) == 17
    assert DEFAULT_LEVEL in LEVELS


def test_places_have_symmetric_names() -> None:
    def at(x: float, y: float, name: str) -> str | None:
        return place_of(Thing("red", "star", "small", x, y, 5.0), level_named(name))

    assert [at(10, 10, "easy"), at(50, 10, "easy"), at(10, 50, "easy"), at(50, 50, "easy")] == list(
        CORNERS
    )
    assert [
        at(CENTRE, 8, "hard"),
        at(CENTRE, 55, "hard"),
        at(8, CENTRE, "hard"),
        at(55, CENTRE, "hard"),
    ] == list(EDGES)
    assert at(CENTRE, CENTRE, "hard") is None
    assert at(CENTRE + 1, 10, "easy") is None
    assert set(DIRECTIONS) == set(SIDE_KEYS)
