"""The words: several ways to ask each kind of question, and noun phrases."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

NOUNS = ("object", "thing", "item")

COLOUR = (
    "What colour is {ref}?",
    "Which colour does {ref} have?",
    "Name the colour of {ref}.",
    "{Ref} is what colour?",
)
SHAPE = (
    "What shape is {ref}?",
    "Which shape does {ref} have?",
    "Name the shape of {ref}.",
    "{Ref} has what shape?",
)
ATTRIBUTE = {"colour": COLOUR, "shape": SHAPE}

POSITION = (
    "Where is {ref}?",
    "In which part of the picture is {ref}?",
    "Where in the picture can you find {ref}?",
    "Where does {ref} lie?",
)
DIRECTION = (
    "Where is {ref} seen from {other}?",
    "On which side of {other} is {ref}?",
    "Where does {ref} lie relative to {other}?",
)
NUMBER = (
    "How many {things} are there?",
    "How many {things} does the picture show?",
    "What is the number of {things}?",
    "Count the {things}.",
)
PRESENT_OBJECT = (
    "Which of these is in the picture?",
    "Which of these objects can you see?",
    "What does the picture show?",
    "Which object is there?",
)
PRESENT_VALUE = (
    "Which of these {attribute}s is in the picture?",
    "Which {attribute} can you see?",
    "Which {attribute} does some {noun} have?",
)
ABSENT_VALUE = (
    "Which of these {attribute}s is not in the picture?",
    "Which {attribute} is missing?",
    "Which {attribute} does no {noun} have?",
)
SHARED = (
    "What do {ref} and {other} have in common?",
    "Which property do {ref} and {other} share?",
    "Comparing {ref} with {other}, what is the same?",
)
COMMONEST = (
    "Which {attribute} is the most common?",
    "Which {attribute} occurs most often?",
    "What {attribute} do most {noun}s have?",
)

SIDES = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "higher than"),
    "below": ("below", "lower than"),
    "closest": ("closest to", "nearest to"),
    "furthest": ("furthest from", "farthest from"),
}
SUPERLATIVES = {
    "largest": ("the largest {noun}", "the biggest {noun}"),
    "smallest": ("the smallest {noun}", "the tiniest {noun}"),
    "leftmost": ("the leftmost {noun}", "the {noun} furthest to the left"),
    "rightmost": ("the rightmost {noun}", "the {noun} furthest to the right"),
    "topmost": ("the topmost {noun}", "the highest {noun}"),
    "bottommost": ("the bottommost {noun}", "the lowest {noun}"),
}
_PLACES = {
    "top": "at the top",
    "bottom": "at the bottom",
    "left": "on the left",
    "right": "on the right",
}


def say(templates: tuple[str, ...], rng: Random, **words: str) -> str:
    """One of the templates, filled in; `{Ref}` is `ref` with a capital."""
    ref = words.get("ref", "")
    noun = rng.choice(NOUNS)
    return rng.choice(templates).format(noun=noun, Ref=ref[:1].upper() + ref[1:], **words)


def noun_phrase(looks: Mapping[str, str], noun: str) -> str:
    """Size, colour and shape in English order; `noun` stands in where the shape is not given.

    >>> noun_phrase({"colour": "red", "size": "large"}, "thing")
    'large red thing'
    """
    words = [looks.get("size", ""), looks.get("colour", ""), looks.get("shape", noun)]
    return " ".join(word for word in words if word)


def plural(looks: Mapping[str, str], noun: str) -> str:
    """`noun_phrase` for several."""
    phrase = noun_phrase(looks, noun)
    return phrase + ("es" if phrase.endswith(("s", "x")) else "s")


def in_place(place: str, places: int) -> str:
    """A part of the picture as an adverbial: "at the top", "in the top left corner"."""
    return _PLACES.get(place) or f"in the {place}" + (" corner" if places > 4 else "")
