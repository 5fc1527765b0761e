"""Sample predictions of a run with their pictures and attention, as a folder that a dashboard can show.

RUN/wandb/samples/
    table.json     {"columns": […], "rows": [[…]]}; a cell {"image": name} is a picture of this folder
    NNN-*.png      the pictures
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vqa.data.cache.regions import regions_at
from vqa.data.image import decode_image
from vqa.errors import VQAError
from vqa.evaluation.attention_map import TILE, overlay
from vqa.evaluation.predictions import Prediction, predictions_file, read_predictions
from vqa.tracking.predictions import right_answer

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.data.store import Store
    from vqa.export import VQAModel

RIGHT_FROM = 50.0
"""A prediction counts as right from this score on (VQA accuracy gives shares)."""
MAX_SIDE = 512


def write_samples(
    run_dir: Path, model: VQAModel, store: Store, predictions: Sequence[Prediction], count: int
) -> Path:
    """Write the folder whole, replacing an earlier one, and return it.

    Args:
        model, store: what was asked, and what about.
        predictions: of one split; where they carry no score, the run's predictions file has it.
        count: rows at most, half of them right and half wrong as far as there are.

    Raises:
        DataError: a picture of the store is gone.
        OSError: the folder cannot be written.
    """
    chosen = choose(_scored(run_dir, predictions), count)
    target = run_dir / "wandb" / "samples"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".samples.", dir=target.parent))
    try:
        _write_table(temporary, model, store, chosen)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def choose(predictions: Sequence[Prediction], count: int) -> list[Prediction]:
    """At most `count` predictions, as many right as wrong while they last, evenly spread over the split.

    The same predictions always give the same choice, in their own order.
    """
    right = [k for k, item in enumerate(predictions) if (item.score or 0.0) >= RIGHT_FROM]
    others = set(right)
    wrong = [k for k in range(len(predictions)) if k not in others]
    half = count // 2
    from_wrong = min(len(wrong), max(half, count - len(right)))
    from_right = min(len(right), count - from_wrong)
    places = sorted(_spread(right, from_right) + _spread(wrong, from_wrong))
    return [predictions[place] for place in places]


def _spread(places: list[int], count: int) -> list[int]:
    """`count` of `places`, from the first to the last at even distances."""
    if count <= 0:
        return []
    return [places[int(k)] for k in np.linspace(0, len(places) - 1, count).round()]


def _scored(run_dir: Path, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
    if not predictions or predictions[0].score is not None:
        return predictions
    file = predictions_file(run_dir, predictions[0].split)
    return read_predictions(file) if file.exists() else predictions


def _write_table(folder: Path, model: VQAModel, store: Store, chosen: Sequence[Prediction]) -> None:
    rows = store.rows(chosen[0].split)
    row_of = dict(zip(store.column("question_id", rows), rows.tolist(), strict=True))
    maps = []
    for number, item in enumerate(chosen):
        row = int(store.image_rows[row_of[item.question_id]])
        data = store.image_bytes(row)
        _picture(data).save(folder / f"{number:03d}-picture.png")
        regions = regions_at(store, model.experiment, row)
        maps.append(_save_maps(folder, number, model, data, item, regions))
    glimpses = max(maps)
    table = {
        "columns": _columns(glimpses),
        "rows": [_row(k, item, maps[k], glimpses) for k, item in enumerate(chosen)],
    }
    text = json.dumps(table, ensure_ascii=False, indent=1)
    (folder / "table.json").write_text(text + "\n", encoding="utf-8")


def _columns(glimpses: int) -> list[str]:
    attention = [f"attention {k}" for k in range(1, glimpses + 1)]
    before, after = ["question_id", "question", "picture"], ["answer", "right", "score"]
    return [*before, *attention, *after, "confidence", "choices", "question_type"]


def _row(number: int, item: Prediction, maps: int, glimpses: int) -> list[Any]:
    pictures: list[Any] = [{"image": f"{number:03d}-picture.png"}]
    for k in range(1, glimpses + 1):
        pictures.append({"image": f"{number:03d}-attention-{k}.png"} if k <= maps else None)
    said = [item.answer, right_answer(item), item.score, item.confidence]
    choices = " / ".join(item.choices)
    return [item.question_id, item.question, *pictures, *said, choices, item.question_type]


def _picture(data: bytes) -> Image.Image:
    """The picture as people see it, no larger than need be."""
    picture = Image.fromarray(decode_image(data))
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    return picture


def _save_maps(
    folder: Path,
    number: int,
    model: VQAModel,
    data: bytes,
    item: Prediction,
    regions: Tensor | None,
) -> int:
    """Save the attention of each glimpse over the picture as the network saw it; return how many there are."""
    attention = None
    with contextlib.suppress(VQAError):  # a question that `ask` refuses, such as an empty one
        said = model.ask(data, item.question, item.choices or None, regions=regions)
        attention = said.attention
    if attention is None:
        return 0
    config = model.experiment.data
    seen = Image.fromarray(decode_image(data, size=config.image_size, resize=config.resize))
    scale = TILE / max(seen.size)
    size = (round(seen.width * scale), round(seen.height * scale))
    seen = seen.resize(size, Image.Resampling.BICUBIC)
    for k, weights in enumerate(attention, 1):
        overlay(seen, weights).save(folder / f"{number:03d}-attention-{k}.png")
    return len(attention)
