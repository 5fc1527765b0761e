"""Pictures decoded once, at the size that the network takes: uint8 in a file of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import PIL
import torch
from jaxtyping import UInt8
from torch import Tensor

from vqa.config import DataConfig, Experiment
from vqa.data.cache.fill import Maker
from vqa.data.cache.layout import Layout
from vqa.data.image import Resize, decode_image
from vqa.data.store import Store
from vqa.machine import cores


def decode_pictures(
    store: Store, size: tuple[int, int], resize: Resize, rows: np.ndarray, threads: int = 1
) -> UInt8[Tensor, "images 3 height width"]:
    """Decode the pictures at `rows` of the store; Pillow releases the interpreter lock, so threads help."""
    pixels = torch.empty((len(rows), 3, *size), dtype=torch.uint8)

    def fill(i: int) -> None:
        image = decode_image(store.image_bytes(int(rows[i])), size=size, resize=resize)
        pixels[i] = torch.from_numpy(image).permute(2, 0, 1)

    if threads == 1:
        for i in range(len(rows)):
            fill(i)
        return pixels
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(len(rows))):
            pass
    return pixels


def pictures_layout(store: Store, data: DataConfig) -> Layout:
    """What a file of these pictures holds, and what decides its content."""
    return Layout(
        kind="pictures",
        rows=store.manifest.images,
        shape=(3, *data.image_size),
        dtype="uint8",
        made_from={
            "store": store.fingerprint,
            "image_size": list(data.image_size),
            "resize": data.resize,
            "pillow": PIL.__version__,
        },
    )


def pictures_maker(store: Store, experiment: Experiment) -> Maker:
    """Decode, and nothing else."""
    data = experiment.data
    decode = partial(decode_pictures, store, data.image_size, data.resize)
    return Maker(decode, lambda pictures: pictures, decoding_threads(experiment))


def decoding_threads(experiment: Experiment) -> int:
    """Cores of this machine for each of the run's processes on it."""
    return max(1, cores() // experiment.trainer.devices)
