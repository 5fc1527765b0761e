"""A store of questions in the shapes of VQA v2, as text; all its pictures are alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

QUESTIONS_AN_IMAGE, WORDS, ANSWERS = 5.36, 15_000, 3_000


def make_store(path: Path, splits: Mapping[str, int], images: int) -> None:
    """A store of generated questions about grey pictures of one pixel, so many of each split."""
    from vqa.data.prepare import PIXEL, PIXEL_SHA256
    from vqa.data.store import EXAMPLE_FEATURES, FORMAT_VERSION, IMAGE_FEATURES

    rng, questions = np.random.default_rng(0), sum(splits.values())
    split = np.repeat(list(splits), list(splits.values()))
    examples = pa.table(question_columns(questions, images, rng) | {"split": split})
    ids = [f"{k:06d}" for k in range(images)]
    pixel = [{"bytes": PIXEL, "path": None}] * images
    pictures = pa.table({"image_id": ids, "image": pixel, "width": [1] * images, "height": [1] * images,
                         "sha256": [PIXEL_SHA256] * images})  # fmt: skip
    path.mkdir()
    for name, table, features in (
        ("examples", examples, EXAMPLE_FEATURES),
        ("images", pictures, IMAGE_FEATURES),
    ):
        table = table.cast(features.arrow_schema)
        file = str(path / f"{name}.arrow")
        with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    manifest = {"fingerprint": f"generated-{questions}-{images}", "source": "bench", "splits": dict(splits),
                "images": images, "rejected": 0, "format_version": FORMAT_VERSION}  # fmt: skip
    (path / "store.json").write_text(json.dumps(manifest))


def question_columns(count: int, images: int, rng: np.random.Generator) -> dict[str, Any]:
    """The canonical columns, in the shapes of VQA v2."""
    lengths = np.clip(np.rint(2 + rng.gamma(4.0, 1.05, count)), 2, 23).astype(int)
    lengths[0] = 23
    # One token of each question is its question mark.
    words = rng.choice(WORDS, lengths.sum() - count, p=zipf(WORDS, 3))
    ends = np.cumsum(lengths - 1)
    texts = [f"{' '.join(f'w{w}' for w in part)}?" for part in np.split(words, ends[:-1])]
    main = rng.choice(ANSWERS, count, p=zipf(ANSWERS, 2))
    other = rng.choice(ANSWERS, (count, 10), p=zipf(ANSWERS, 2))
    agree = rng.integers(3, 11, count)[:, None]
    said = np.where(np.arange(10) < agree, main[:, None], other)
    names = np.asarray([f"a{k}" for k in range(ANSWERS)])
    answers = pa.ListArray.from_arrays(np.arange(count + 1) * 10, pa.array(names[said].ravel()))
    empty = pa.array([[]] * count, pa.list_(pa.string()))
    image = np.sort(rng.integers(0, images, count))
    return {
        "question_id": [str(k) for k in range(count)],
        "image_id": [f"{k:06d}" for k in image],
        "question": texts,
        "answers": answers,
        "choices": empty,
        "label": np.full(count, -1, dtype=np.int32),
        "question_type": ["what"] * count,
        "answer_type": ["other"] * count,
    }


def zipf(count: int, shift: int) -> np.ndarray:
    """Probabilities that fall as words' do."""
    weights = 1 / (np.arange(count) + shift)
    return weights / weights.sum()
