"""Pictures for the report page: what the network saw, and beside it where each glimpse looked."""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vqa.data.cache.regions import regions_at
from vqa.data.image import decode_image
from vqa.errors import VQAError
from vqa.evaluation.attention_map import overlay, scaled
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.report_html import Pictures

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.data.store import Store
    from vqa.export import VQAModel

SIDE = 224
"""The longer side of a picture on the page, in pixels."""
MAX_GLIMPSES, GAP, QUALITY = 3, 4, 85


def report_pictures(model: VQAModel, store: Store, split: str) -> Pictures:
    """What `write_report` calls for its samples; gives None where the store holds no pictures.

    Each picture costs one forward pass of the model, for its attention.
    """
    if store.manifest.text_only:
        return lambda _: None
    rows = store.rows(split)
    row_of = dict(zip(store.column("question_id", rows), rows.tolist(), strict=True))

    def picture(item: Prediction) -> str:
        row = int(store.image_rows[row_of[item.question_id]])
        regions = regions_at(store, model.experiment, row)
        return data_uri(composed(model, store.image_bytes(row), item, regions))

    return picture


def composed(
    model: VQAModel, data: bytes, item: Prediction, regions: Tensor | None = None
) -> Image.Image:
    """The picture as the network saw it and the attention of up to three glimpses over it, side by
    side in two columns.

    Raises:
        DataError: the picture cannot be read.
    """
    config = model.experiment.data
    pixels = decode_image(data, size=config.image_size, resize=config.resize)
    seen = scaled(Image.fromarray(pixels), SIDE)
    attention: np.ndarray | None = None
    with contextlib.suppress(VQAError):  # a question that `ask` refuses, such as an empty one
        said = model.ask(data, item.question, item.choices or None, regions=regions)
        attention = said.attention
    maps = [] if attention is None else list(attention[:MAX_GLIMPSES])
    tiles = [seen, *(overlay(seen, weights) for weights in maps)]
    return _arranged(tiles)


def data_uri(picture: Image.Image) -> str:
    """The picture as a JPEG inside a URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _arranged(tiles: Sequence[Image.Image]) -> Image.Image:
    """Tiles of one size in two columns."""
    columns = min(2, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    width, height = (side + GAP for side in tiles[0].size)
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet.paste(tile, (column * width, row * height))
    return sheet
