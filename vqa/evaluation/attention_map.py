"""Where a model looked: its attention over places or regions, as colour over the picture.

Give the picture as the network saw it (cropped or fitted alike), or the map does not lie where it belongs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

TILE = 320
"""The longer side of a picture in a panel, in pixels."""
GAP, COLUMNS, FONT_SIZE, MAX_TITLE_LINES = 12, 4, 18, 12
CELLS = 48
"""Rows and columns of a map of regions: finer than most boxes, small enough to send."""
STRENGTH = 0.62
"""Share of the colour in an overlay; the rest is the picture's brightness."""
RAMP = np.array(
    [
        (0, 0, 4),
        (33, 12, 74),
        (87, 16, 110),
        (138, 34, 106),
        (188, 55, 84),
        (227, 89, 51),
        (249, 142, 9),
        (249, 203, 53),
        (252, 255, 164),
    ],
    dtype=np.float64,
)
"""Colours whose lightness rises evenly from black to pale yellow, so that more always looks more, in print and
to the colour-blind."""


def overlay(image: Image.Image | NDArray[np.generic], weights: ArrayLike) -> Image.Image:
    """Lay attention over a picture, dark where there is none and bright where it is greatest.

    The weights are enlarged by bicubic interpolation, each cell's weight at its centre. Colour runs from 0 to
    the greatest weight, but at least to twice the mean: attention spread evenly looks even, not hot.

    Args:
        image: a Pillow picture, or pixels [height, width] or [height, width, 3], uint8 or 0 to 1.
        weights: [rows, columns], finite and not negative; the grid covers the whole picture.

    Returns:
        An RGB picture of the same size.

    Raises:
        ValueError: the weights or the pixels are not of that kind.
    """
    picture = _rgb(image)
    heat = _enlarged(_checked(weights), picture.size)
    colour = _coloured(heat)
    light = np.asarray(picture.convert("L"), dtype=np.float64)[..., None]
    mixed = STRENGTH * colour + (1 - STRENGTH) * light
    return Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def panel(
    image: Image.Image | NDArray[np.generic],
    attention: ArrayLike | None,
    title: Sequence[str] = (),
) -> Image.Image:
    """The picture and one overlay a glimpse side by side, under a few lines of text.

    Args:
        image: as for `overlay`; shown with a longer side of 320 pixels.
        attention: [glimpses, rows, columns]; None shows the picture alone.
        title: lines of text, such as the question and the answer; long ones are broken.

    Raises:
        ValueError: see `overlay`.
    """
    maps = np.zeros((0, 1, 1)) if attention is None else np.asarray(attention, dtype=np.float64)
    if maps.ndim != 3:
        raise ValueError(f"attention is [glimpses, rows, columns], found shape {maps.shape}")
    picture = scaled(_rgb(image), TILE)
    tiles = [picture, *(overlay(picture, weights) for weights in maps)]
    captions = ["picture"] + [
        "attention" if len(maps) == 1 else f"glimpse {k}" for k in range(1, len(maps) + 1)
    ]
    return _arranged(tiles, captions, title)


def painted(weights: NDArray[np.generic], boxes: NDArray[np.generic]) -> np.ndarray | None:
    """Lay each region's weight on its box; where boxes overlap, the weights are added.

    Args:
        weights: of each region, [glimpses, regions].
        boxes: x1, y1, x2, y2 of each as shares of the picture, more values behind them or none at all:
            [regions, values]. A region of zeros is nowhere.

    Returns:
        [glimpses, rows, columns]; None where there are no boxes.
    """
    if boxes.shape[1] < 4:
        return None
    x1, y1, x2, y2 = (np.asarray(side, dtype=np.float64)[:, None] for side in boxes[:, :4].T)
    across, down = _covered(x1, x2), _covered(y1, y2)
    maps: np.ndarray = np.einsum("gr,ry,rx->gyx", np.asarray(weights, np.float64), down, across)
    return maps


def _covered(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The share of each cell that lies between two lines, [regions, cells]."""
    edges = np.arange(CELLS + 1, dtype=np.float64) / CELLS
    inner = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
    share: np.ndarray = (inner * CELLS).clip(0, 1)
    return share


def _arranged(
    tiles: Sequence[Image.Image], captions: Sequence[str], title: Sequence[str]
) -> Image.Image:
    """Text above, tiles in rows of `COLUMNS`, each with its caption below."""
    font = ImageFont.load_default(FONT_SIZE)
    line = math.ceil(FONT_SIZE * 1.35)
    width, height = tiles[0].size
    columns = min(COLUMNS, len(tiles))
    full = max(TILE, columns * (width + GAP) - GAP) + 2 * GAP
    text = _broken(title, font, full - 2 * GAP)
    top = GAP + line * len(text) + (GAP if text else 0)
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (full, top + rows * (height + line + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, words in enumerate(text):
        draw.text((GAP, GAP + number * line), words, fill="black", font=font)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(place, columns)
        corner = (GAP + column * (width + GAP), top + row * (height + line + GAP))
        sheet.paste(tile, corner)
        draw.text((corner[0], corner[1] + height + 2), caption, fill="#555555", font=font)
    return sheet


def _broken(
    title: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    """The title's lines, broken between words to fit `width` pixels; a flood of text is cut off."""
    lines: list[str] = []
    for text in title:
        current = ""
        for word in _printable(text).split()[:400]:
            longer = f"{current} {word}".strip()
            if current and font.getlength(longer) > width:
                lines.append(current)
                longer = word
            current = longer[:200]
        lines.append(current)
    if len(lines) > MAX_TITLE_LINES:
        return [*lines[: MAX_TITLE_LINES - 1], "…"]
    return lines


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _rgb(image: Image.Image | NDArray[np.generic]) -> Image.Image:
    """The picture as 8-bit RGB."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    pixels = np.asarray(image)
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = np.rint(pixels.clip(0, 1) * 255)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
        raise ValueError(f"a picture is [height, width] or [height, width, 3], not {pixels.shape}")
    return Image.fromarray(pixels.astype(np.uint8)).convert("RGB")


def scaled(picture: Image.Image, side: int) -> Image.Image:
    """The picture with a longer side of so many pixels."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _checked(weights: ArrayLike) -> NDArray[np.float64]:
    grid = np.asarray(weights, dtype=np.float64)
    if grid.ndim != 2 or not grid.size:
        raise ValueError(f"weights are [rows, columns], found shape {grid.shape}")
    if not np.isfinite(grid).all() or grid.min() < 0:
        raise ValueError("weights are finite and not negative")
    return grid


def _enlarged(grid: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Heat from 0 to 1 at every pixel of a picture of `size` (width, height)."""
    greatest = max(grid.max(), 2 * grid.mean())
    heat = grid / greatest if greatest > 0 else grid
    enlarged = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(enlarged, dtype=np.float64).clip(0, 1)


def _coloured(heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ramp's colour for heat of 0 to 1: [height, width, 3], 0 to 255."""
    stops = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(heat, stops, RAMP[:, band]) for band in range(3)], axis=-1)
