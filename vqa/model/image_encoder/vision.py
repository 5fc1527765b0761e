"""Vision models of `transformers` that are no backbones, such as ViT and CLIP's: their patch tokens as maps."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.errors import ModelError, first_line
from vqa.model.layers import freeze_what_is_unread

INTERPOLATE = "interpolate_pos_encoding"
FIX = "use a vision transformer such as vit, deit, clip or siglip"
SHAPES = "spatial_shapes"
"""What the forward of a model is called with that takes pictures already cut into patches, as SigLIP 2's does."""


def vision_kinds() -> list[str]:
    """What `transformers` makes of a word and looks at pictures with; not all of them have patches."""
    from transformers.models.auto import modeling_auto as auto

    parts = {name for name in auto.MODEL_MAPPING_NAMES if name.endswith("_vision_model")}
    pairs = auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return sorted(parts.union(auto.MODEL_FOR_IMAGE_MAPPING_NAMES, pairs))


def vision_part(settings: Any) -> Any:
    """The configuration of the half that sees, of a model that reads texts, too; else the same."""
    return getattr(settings, "vision_config", None) or settings


def vision_class(settings: Any) -> Any:
    """The class of a vision model with patches; None where a configuration is of something else."""
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING.get(type(settings), None)
    sees = getattr(found, "main_input_name", None) == "pixel_values"
    cut = all(getattr(settings, name, None) for name in ("patch_size", "num_hidden_layers"))
    return found if sees and cut else None


def vision_stages(settings: Any) -> list[str]:
    """The names of its hidden states: what goes into the first layer, and what comes out of each."""
    return ["stem", *(f"stage{layer + 1}" for layer in range(settings.num_hidden_layers))]


class PatchMaps(nn.Module):
    """A vision model with the interface of a backbone: patch tokens as maps, tokens before them left out.

    Hidden states are what the library calls so; the last has the model's final norm, where the library applies one.

    Args:
        network: the vision model.
        stages: which hidden states, counted from 0, ascending.
        image_size: height and width of the pictures.
        model: named in messages.

    Raises:
        ModelError: it cannot take such pictures, or its tokens are not their patches, row by row.
    """

    def __init__(
        self, network: Any, stages: Sequence[int], image_size: tuple[int, int], model: str
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.config: Any = network.config
        self.stages, self.last = list(stages), int(self.config.num_hidden_layers)
        self.patch = _pair(self.config.patch_size)
        self.takes = inspect.signature(network.forward).parameters
        self._check_size(image_size, model)
        self._check_places(image_size, model)

    @override
    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Any:
        """Standardised pictures to an output with `feature_maps`, [images, dim, rows, columns] a stage."""
        from transformers.modeling_outputs import BackboneOutput

        tokens = self._states(images, self.stages)
        return BackboneOutput(feature_maps=tuple(self._map(t, images.shape) for t in tokens))

    def retire_unread(self, image_size: tuple[int, int]) -> set[str]:
        """Set to zero, and take out of the training, what does not bear on the last stage; the names.

        A folder may lack a pooling layer, and random values would make other features kept at every start.
        """
        trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        self.network.eval()
        with torch.enable_grad():
            (states,) = self._states(torch.zeros(1, 3, *image_size), [self.last])
            freeze_what_is_unread(self.network, states)
        unread = {name: p for name, p in trained.items() if not p.requires_grad}
        for parameter in unread.values():
            parameter.data.zero_()
        return set(unread)

    def _states(self, images: Tensor, stages: Sequence[int]) -> list[Tensor]:
        """Hidden states, [images, tokens, dim] each."""
        inner = any(stage != self.last for stage in stages)
        output = self.network(**self._inputs(images), output_hidden_states=inner)
        if inner and len(output.hidden_states) != self.last + 1:
            raise ValueError(f"{len(output.hidden_states)} hidden states of {self.last} layers")
        return [
            output.last_hidden_state if stage == self.last else output.hidden_states[stage]
            for stage in stages
        ]

    def _inputs(self, images: Tensor) -> Mapping[str, Any]:
        if SHAPES not in self.takes:
            resizes = {INTERPOLATE: True} if INTERPOLATE in self.takes else {}
            return {"pixel_values": images, **resizes}
        grid = self._grid(images.shape[2:])
        (down, across), (rows, columns) = self.patch, grid
        cut = images.reshape(*images.shape[:2], rows, down, columns, across)
        patches = cut.permute(0, 2, 4, 3, 5, 1).reshape(len(images), rows * columns, -1)
        shapes = torch.tensor([grid] * len(images), device="cpu")  # read value by value
        return {"pixel_values": patches, "pixel_attention_mask": None, SHAPES: shapes}

    def _map(self, tokens: Tensor, images: Sequence[int]) -> Tensor:
        """The last tokens of pictures of that shape, [images, dim, rows, columns]."""
        rows, columns = self._grid(images[2:])
        patches = tokens[:, -rows * columns :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], rows, columns)

    def _grid(self, size: Sequence[int]) -> tuple[int, int]:
        return size[0] // self.patch[0], size[1] // self.patch[1]

    def _check_size(self, size: tuple[int, int], model: str) -> None:
        if any(side % step for side, step in zip(size, self.patch, strict=True)):
            fitting = [max(1, round(s / p)) * p for s, p in zip(size, self.patch, strict=True)]
            raise ModelError(
                f"{model} cuts pictures into patches of {_by(self.patch)}, and {_by(size)} is no multiple",
                where="data.image_size",
                fix=f"use {fitting}",
            )

    def _check_places(self, size: tuple[int, int], model: str) -> None:
        """Look which tokens that go into the first layer change most where the patches of three corners change."""
        rows, columns = self._grid(size)
        corners = {(0, 0), (0, columns - 1), (rows - 1, columns - 1)}
        stem = self._tried(size, corners, model)
        first = stem.shape[1] - rows * columns if stem.ndim == 3 else -1
        where = sorted(first + row * columns + column for row, column in corners)
        if first < 0 or (not stem.is_meta and _most_changed(stem, len(where)) != where):
            raise ModelError(
                "its hidden states are not the patches of a picture, row by row",
                where=f"model.image_encoder.model={model}",
                fix=FIX,
            )

    def _tried(self, size: tuple[int, int], patches: Iterable[tuple[int, int]], model: str) -> Any:
        """What goes into the first layer for a black picture, and for one where some patches are not."""
        (down, across), pictures = self.patch, torch.zeros(2, 3, *size)
        for row, column in patches:
            top, left = row * down, column * across
            ramp = torch.linspace(0, 1, down * across).view(down, across)
            pictures[1, :, top : top + down, left : left + across] = ramp
        self.network.eval()
        try:
            with torch.no_grad():
                stem, last = self._states(pictures, [0, self.last])
        except Exception as error:  # each model has its own
            if pictures.is_meta and isinstance(error, NotImplementedError):
                raise  # it reads values where there are none yet
            raise self._cannot(size, model, error) from error
        return stem if stem.shape[:2] == last.shape[:2] else last[:, :0]

    def _cannot(self, size: tuple[int, int], model: str, error: Exception) -> ModelError:
        own = getattr(self.config, "image_size", None)
        if own is None or size == _pair(own) or INTERPOLATE in self.takes:
            return ModelError(
                f"gives no hidden states of pictures of {_by(size)} ({first_line(error)})",
                where=f"model.image_encoder.model={model}",
                fix=FIX,
            )
        return ModelError(
            f"{model} takes pictures of {_by(_pair(own))} alone, not of {_by(size)}",
            where="data.image_size",
            fix=f"use {list(_pair(own))}",
        )


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _most_changed(states: Tensor, count: int) -> list[int]:
    """The tokens of the second picture that differ most from the same of the first one, ascending."""
    places: list[int] = (states[1] - states[0]).norm(dim=1).topk(count).indices.tolist()
    return sorted(places)
