"""A model of timm, which is an optional extra."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.image_encoder import Timm
from vqa.model.image_encoder.grid import IMAGENET_MEAN, IMAGENET_STD, Statistics
from vqa.model.image_encoder.library import LibraryCNN
from vqa.model.weights import load_what_is_needed, read_state_dict

WHERE = "model.image_encoder"


class TimmBackbone(LibraryCNN):
    """A model of timm from its input to one or more of its intermediate grids.

    Raises:
        ModelError: timm is not installed; no such model, stage or weights; pictures too small.
    """

    def __init__(
        self, config: Timm, image_size: tuple[int, int], *, pretrained: bool = True
    ) -> None:
        network = _whole_network(config, image_size, pretrained)
        if pretrained and config.weights not in ("none", "pretrained"):
            state = read_state_dict(Path(config.weights))
            load_what_is_needed(network, state, where=config.weights)
        stages = (config.stage,) if isinstance(config.stage, int) else config.stage
        self._stages = _counted(network, config.model, stages)
        super().__init__(config, network, image_size, stages, _statistics(network))
        if not self.frozen:
            self.freeze_what_is_unread(image_size)

    @override
    def scales(self, images: Tensor) -> list[Tensor]:
        """The maps of each stage, in the order that was asked for."""
        wanted = sorted(set(self._stages))
        maps = self.network.forward_intermediates(
            images, indices=wanted, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return [maps[wanted.index(stage)] for stage in self._stages]


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ModelError(
            "timm is not installed",
            where=f"{WHERE}.name=timm",
            fix="install the extra: pip install 'vqa-service[timm]'",
        ) from error


def _whole_network(config: Timm, image_size: tuple[int, int], pretrained: bool) -> nn.Module:
    timm = _timm()
    if not timm.is_model(config.model):
        near = difflib.get_close_matches(config.model, timm.list_models())
        raise ModelError(
            f"timm has no model {config.model!r}",
            where=f"{WHERE}.model",
            fix=f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()",
        )
    published = pretrained and config.weights == "pretrained"
    try:
        network: nn.Module = timm.create_model(config.model, pretrained=published, num_classes=0)
    except Exception as error:  # network, disk, format: not specified
        raise ModelError(
            f"cannot make {config.model} ({error})",
            where=f"{WHERE}.model",
            fix="give a local file as `weights`" if published else "choose another model",
        ) from error
    if not hasattr(network, "forward_intermediates"):
        raise ModelError(f"{config.model} gives no intermediate grids", where=f"{WHERE}.model")
    return network


def _counted(network: Any, model: str, stages: tuple[int, ...]) -> tuple[int, ...]:
    """The stages counted from 0."""
    count = len(network.feature_info)
    for stage in stages:
        if not -count <= stage < count:
            raise ModelError(
                f"{model} has {count} stages, and none {stage}",
                where=f"{WHERE}.stage",
                fix=f"choose of 0 … {count - 1}",
            )
    return tuple(stage % count for stage in stages)


def _statistics(network: Any) -> Statistics:
    """Those of the pictures that the model's published weights learnt from."""
    known = network.pretrained_cfg
    return known.get("mean", IMAGENET_MEAN), known.get("std", IMAGENET_STD)
