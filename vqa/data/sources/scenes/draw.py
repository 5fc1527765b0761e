"""Scenes as pictures: anti-aliased shapes from signed distances, then light, clutter and noise."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqa.data.sources.scenes.levels import SIDE, Level
from vqa.data.sources.scenes.world import Scene, Thing

Grid = NDArray[np.floating[Any]]

RGB: dict[str, tuple[int, int, int]] = {
    "red": (210, 30, 35),
    "green": (35, 155, 60),
    "blue": (40, 75, 215),
    "yellow": (245, 215, 45),
    "purple": (140, 45, 175),
    "orange": (245, 130, 20),
    "pink": (240, 120, 175),
    "brown": (130, 80, 40),
    "cyan": (50, 195, 210),
}


def _circle(x: Grid, y: Grid) -> Grid:
    return np.hypot(x, y) - 0.95


def _ring(x: Grid, y: Grid) -> Grid:
    return np.abs(np.hypot(x, y) - 0.72) - 0.26


def _square(x: Grid, y: Grid) -> Grid:
    distance: Grid = np.maximum(np.abs(x), np.abs(y)) - 0.82
    return distance


def _cross(x: Grid, y: Grid) -> Grid:
    wide, narrow = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    distance: Grid = np.maximum(wide - 1.0, narrow - 0.34)
    return distance


def _polygon(x: Grid, y: Grid, corners: int, inner: float) -> Grid:
    """A regular polygon with a corner on top: distance to the nearest side's line."""
    angles = np.pi / 2 + (2 * np.arange(corners) + 1) * np.pi / corners
    sides = [np.float32(np.cos(a)) * x - np.float32(np.sin(a)) * y for a in angles]
    distance: Grid = np.maximum.reduce(sides) - inner
    return distance


def _triangle(x: Grid, y: Grid) -> Grid:
    return _polygon(x, y - np.float32(0.15), 3, 0.58)


def _pentagon(x: Grid, y: Grid) -> Grid:
    return _polygon(x, y, 5, 0.82)


def _star(x: Grid, y: Grid) -> Grid:
    """Five points: the plane folded on one half of a point, then distance to its one edge."""
    tip, notch, sector = 1.1, 0.45, np.pi / 5
    angle = np.arctan2(x, -y)
    folded = np.abs((angle + sector) % (2 * sector) - sector)
    radius = np.hypot(x, y)
    along, across = radius * np.cos(folded), radius * np.sin(folded)
    edge = np.array([notch * np.cos(sector) - tip, notch * np.sin(sector)])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    distance: Grid = (along - tip) * normal[0] + across * normal[1]
    return distance


DISTANCES: dict[str, Callable[[Grid, Grid], Grid]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "ring": _ring,
    "pentagon": _pentagon,
}
"""Signed distance to the outline, in units of the radius; negative inside."""


_RAMP: Grid = np.linspace(-1, 1, SIDE, dtype=np.float32)
_ROWS: Grid = np.arange(SIDE, dtype=np.float32)[:, None]
_COLUMNS: Grid = np.arange(SIDE, dtype=np.float32)[None, :]


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture [height, width, 3] as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def render(scene: Scene, level: Level, rng: Random) -> NDArray[np.uint8]:
    """Draw the scene with this level's light, clutter and noise; [SIDE, SIDE, 3], RGB."""
    grey = rng.uniform(*level.backgrounds)
    canvas = np.empty((SIDE, SIDE, 3), np.float32)
    canvas[:] = [grey + rng.uniform(-level.tint, level.tint) for _ in range(3)]
    for thing in scene:
        _draw(canvas, thing, _shade(thing.colour, level.colour_jitter, rng))
    for _ in range(rng.randint(0, level.clutter)):
        _draw_line(canvas, rng)
    if level.lighting:
        canvas *= _light(level.lighting, rng)[..., None]
    if level.noise:
        grain = np.random.default_rng(rng.getrandbits(64))
        canvas += np.float32(level.noise) * grain.standard_normal(canvas.shape, np.float32)
    picture: NDArray[np.uint8] = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
    return picture


def _shade(colour: str, jitter: int, rng: Random) -> list[float]:
    return [channel + rng.uniform(-jitter, jitter) for channel in RGB[colour]]


def _draw(canvas: Grid, thing: Thing, colour: list[float]) -> None:
    """Blend one object into the patch of the canvas around it."""
    reach = thing.radius * 1.25 + 1
    left, right = max(0, int(thing.x - reach)), min(SIDE, int(thing.x + reach) + 2)
    top, bottom = max(0, int(thing.y - reach)), min(SIDE, int(thing.y + reach) + 2)
    dx = (_COLUMNS[:, left:right] - thing.x) / thing.radius
    dy = (_ROWS[top:bottom] - thing.y) / thing.radius
    cos, sin = np.float32(np.cos(thing.angle)), np.float32(np.sin(thing.angle))
    distance = DISTANCES[thing.shape](cos * dx + sin * dy, cos * dy - sin * dx)
    _blend(canvas[top:bottom, left:right], 0.5 - distance * thing.radius, colour)


def _blend(patch: Grid, coverage: Grid, colour: list[float]) -> None:
    alpha = np.clip(coverage, 0, 1)[..., None]
    patch += alpha * (np.asarray(colour, np.float32) - patch)


def _draw_line(canvas: Grid, rng: Random) -> None:
    """A thin grey line across the picture, over the objects."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-SIDE / 2, SIDE / 2)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = (_COLUMNS - SIDE / 2) * cos + (_ROWS - SIDE / 2) * sin - np.float32(offset)
    shade = rng.uniform(40, 220)
    _blend(canvas, 1.1 - np.abs(across), [shade, shade, shade])


def _light(strength: float, rng: Random) -> Grid:
    """Relative brightness, falling evenly towards a random side."""
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, strength)
    across = np.float32(slope * np.cos(angle)) * _RAMP
    down = np.float32(slope * np.sin(angle)) * _RAMP
    light: Grid = 1 + across[None, :] + down[:, None]
    return light
