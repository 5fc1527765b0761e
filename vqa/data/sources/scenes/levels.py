"""How hard a generated data set is: the numbers behind `--level`."""

from __future__ import annotations

from dataclasses import dataclass

from vqa.errors import InputError
from vqa.names import nearest

SIDE = 64
"""Height and width of a picture in pixels."""

KINDS = ("existence", "colour", "shape", "number", "position", "comparison", "relation")
ATTRIBUTES = ("colour", "shape", "size")
SIDES = ("left", "right", "above", "below", "closest", "furthest")
RELATIONS = ("object", "object", "side")
COMPARISONS = ("superlative", "superlative", "sameness", "commonest", "shared")


@dataclass(frozen=True, slots=True)
class Level:
    """What is in the pictures and what is asked about them; lengths in pixels.

    Attributes:
        objects: fewest and most objects of a picture.
        colours: names of the colours in use, at least five.
        shapes: names of the shapes in use, at least four.
        radii: for each size the smallest and the largest radius.
        gap: least distance between two objects; negative where they may cover one another a little.
        margin: how much two coordinates must differ before a question rests on it.
        places: 4 (the quarters of the picture) or 8 (the corners and the sides of a 3×3 division).
        looks: the attributes by which a question may single out an object.
        sides: the relations in use.
        relations: "object" asks what stands in a relation, "side" in which one two objects stand.
        comparisons: the ways to compare; here and above, one named twice is drawn twice as often.
        hops: how many relations one reference may chain ("the object left of the red circle": 1).
        colour_jitter: largest change of each channel of an object's colour, 0 to 255.
        rotation: largest turn of an object in degrees.
        lighting: largest relative change of brightness from the middle to an edge.
        backgrounds: darkest and brightest grey of the background, 0 to 255.
        tint: largest deviation of the background from grey.
        noise: standard deviation of the pixel noise, 0 to 255.
        clutter: most lines drawn across the picture.
    """

    name: str
    objects: tuple[int, int]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]
    radii: dict[str, tuple[float, float]]
    gap: float = 2.0
    margin: float = 7.0
    places: int = 4
    looks: tuple[str, ...] = ATTRIBUTES
    sides: tuple[str, ...] = SIDES
    relations: tuple[str, ...] = RELATIONS
    comparisons: tuple[str, ...] = COMPARISONS
    hops: int = 1
    colour_jitter: int = 10
    rotation: float = 0.0
    lighting: float = 0.0
    backgrounds: tuple[int, int] = (235, 250)
    tint: int = 0
    noise: float = 0.0
    clutter: int = 0


_COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
_SHAPES = ("circle", "square", "triangle", "cross", "star")

LEVELS = {
    level.name: level
    for level in (
        Level(
            name="easy",
            objects=(1, 4),
            colours=_COLOURS[:5],
            shapes=_SHAPES[:4],
            radii={"small": (6.0, 6.5), "large": (10.0, 10.5)},
            margin=9.0,
            looks=("colour", "shape"),
            sides=SIDES[:4],
            relations=("object",),
            comparisons=("superlative",),
            colour_jitter=5,
        ),
        Level(
            name="medium",
            objects=(1, 4),
            colours=_COLOURS,
            shapes=_SHAPES,
            radii={"small": (5.5, 6.5), "large": (9.5, 11.0)},
            rotation=12.0,
            colour_jitter=12,
            lighting=0.12,
            backgrounds=(205, 245),
            tint=10,
        ),
        Level(
            name="hard",
            objects=(3, 6),
            colours=(*_COLOURS, "pink", "brown", "cyan"),
            shapes=(*_SHAPES, "ring", "pentagon"),
            radii={"small": (4.5, 5.5), "large": (7.5, 9.0)},
            gap=-2.0,
            margin=4.0,
            places=8,
            hops=2,
            rotation=30.0,
            colour_jitter=20,
            lighting=0.3,
            backgrounds=(90, 235),
            tint=25,
            noise=8.0,
            clutter=3,
        ),
    )
}
DEFAULT_LEVEL = "easy"


def level_named(name: str) -> Level:
    """The level called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name in LEVELS:
        return LEVELS[name]
    raise InputError(f"no level {name!r}", where="scenes", fix=nearest(name, list(LEVELS)))
