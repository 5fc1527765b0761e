"""A store of questions in the shapes of VQA v2, as text; its pictures are grey pixels, or some photographs in turn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

QUESTIONS_AN_IMAGE, WORDS, ANSWERS = 5.36, 15_000, 3_000
GRAIN = 18.0
"""Standard deviation of the photographs' brightness from pixel to pixel, of 256."""


def make_store(
    path: Path, splits: Mapping[str, int], images: int, pictures: Sequence[bytes] = ()
) -> None:
    """A store of so many generated questions a split, about grey pictures of one pixel, or `pictures` in turn."""
    from vqa.data.manifest import FORMAT_VERSION, digest_of
    from vqa.data.store import EXAMPLES
    from vqa.data.store_writer import EXAMPLE_FEATURES, IMAGE_FEATURES

    rng, questions = np.random.default_rng(0), sum(splits.values())
    split = np.repeat(list(splits), list(splits.values()))
    examples = pa.table(question_columns(questions, images, rng) | {"split": split})
    path.mkdir()
    write(path / EXAMPLES, [examples], EXAMPLE_FEATURES.arrow_schema)
    write(path / "images.arrow", image_tables(images, pictures), IMAGE_FEATURES.arrow_schema)
    manifest = {"fingerprint": f"generated-{questions}-{images}", "source": "bench", "splits": dict(splits),
                "images": images, "rejected": 0, "examples_xxh3": digest_of(path / EXAMPLES),
                "format_version": FORMAT_VERSION}  # fmt: skip
    (path / "store.json").write_text(json.dumps(manifest))


def write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Tables one after another, as `datasets` keeps them."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), max_chunksize=1000)


def image_tables(count: int, pictures: Sequence[bytes]) -> Iterator[pa.Table]:
    """The canonical columns of so many images, some thousand at a time."""
    from vqa.data.prepare import PIXEL

    each = [(data, *measures(data)) for data in pictures or [PIXEL]]
    for start in range(0, count, 1000):
        numbers = range(start, min(count, start + 1000))
        data, width, height, digest = zip(*(each[k % len(each)] for k in numbers), strict=True)
        yield pa.table(
            {
                "image_id": [f"{k:06d}" for k in numbers],
                "image": [{"bytes": one, "path": None} for one in data],
                "width": width,
                "height": height,
                "sha256": digest,
            }
        )


def measures(data: bytes) -> tuple[int, int, str]:
    """Width, height and SHA-256 of a picture."""
    with Image.open(BytesIO(data)) as image:
        return *image.size, hashlib.sha256(data).hexdigest()


def photographs(count: int, size: tuple[int, int]) -> list[bytes]:
    """JPEGs of smooth shapes under some grain, of about the bytes that photographs of COCO take (160 kB at 640×480).

    Args:
        size: width and height.
    """
    rng, (width, height) = np.random.default_rng(0), size
    found = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
        grain = rng.normal(0, GRAIN, (height, width, 1))
        pixels = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


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
    weights: np.ndarray = 1 / (np.arange(count) + shift)
    found: np.ndarray = weights / weights.sum()
    return found
