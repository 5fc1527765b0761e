"""What a frozen image encoder makes of every picture, made once: what decides its content, and how it is made."""

from __future__ import annotations

import hashlib
from functools import partial

import torch
from torch import Tensor

from vqa.config import Experiment
from vqa.data.cache.fill import Maker
from vqa.data.cache.layout import Layout
from vqa.data.cache.pictures import decode_pictures, decoding_threads
from vqa.data.cache.rule import storage
from vqa.data.store import Store
from vqa.errors import VQAError
from vqa.model.parts import ImageEncoder

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The type of matrix products by `trainer.precision`; none for float32 alone."""
NOT_CONTENT = ("frozen", "lr", "weights")
"""Settings of an encoder that do not bear on what it makes; its weights count by their content."""


def features_layout(store: Store, experiment: Experiment, encoder: ImageEncoder) -> Layout:
    """What a file of these features holds, and what decides its content."""
    data, config = experiment.data, experiment.model.image_encoder
    return Layout(
        kind="features",
        rows=store.manifest.images,
        shape=(encoder.positions, encoder.dim),
        dtype=storage(experiment),
        made_from={
            "store": store.fingerprint,
            "encoder": config.model_dump(mode="json", exclude=set(NOT_CONTENT)),
            "weights": weights_digest(encoder),
            "image_size": list(data.image_size),
            "resize": data.resize,
            "precision": experiment.trainer.precision,
        },
    )


def weights_digest(encoder: ImageEncoder) -> str:
    """SHA-256 over every tensor of an encoder, statistics and normalisation included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def features_maker(
    store: Store, experiment: Experiment, encoder: ImageEncoder, device: torch.device
) -> Maker:
    """Decode, encode on `device` in the precision of the training, round to the type that is kept."""
    data, dtype = experiment.data, getattr(torch, storage(experiment))
    autocast = AUTOCAST.get(experiment.trainer.precision)
    encoder = encoder.to(device).folded()

    def finish(pictures: Tensor) -> Tensor:
        was_training = encoder.training
        encoder.eval()
        try:
            with (
                torch.no_grad(),
                torch.autocast(device.type, dtype=autocast, enabled=autocast is not None),
            ):
                grid = encoder(pictures.to(device, non_blocking=True).float().div_(255))
        finally:
            encoder.train(was_training)
        return _kept(grid, dtype)

    decode = partial(decode_pictures, store, data.image_size, data.resize)
    return Maker(decode, finish, decoding_threads(experiment))


def _kept(grid: Tensor, dtype: torch.dtype) -> Tensor:
    """In the type that is kept, on the CPU.

    Raises:
        VQAError: values that it cannot hold.
    """
    kept = grid.to(dtype)
    if not torch.isfinite(kept).all():
        finite = bool(torch.isfinite(grid).all())
        what = (
            f"reach {float(grid.abs().max()):.3g}, beyond {dtype}" if finite else "are not finite"
        )
        raise VQAError(
            f"the features {what}",
            where="data.features",
            fix="use data.features=bfloat16" if finite else "look at the encoder's weights",
        )
    return kept.contiguous().cpu()
