"""A backbone of `transformers`, or another of its vision models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from vqa.errors import ModelError
from vqa.hub import is_local, why_not
from vqa.model.image_encoder import Backbone
from vqa.model.image_encoder.grid import IMAGENET_MEAN, IMAGENET_STD, Statistics
from vqa.model.image_encoder.library import LibraryCNN
from vqa.model.image_encoder.vision import (
    PatchMaps,
    vision_class,
    vision_kinds,
    vision_part,
    vision_stages,
)
from vqa.model.weights import check_loaded, without_report
from vqa.names import nearest

WHERE = "model.image_encoder"
PREPROCESSOR = "preprocessor_config.json"
ADDED = "hidden_states_norms."
"""Norms that a backbone puts behind its stages, and that no published model has; they begin with scale one."""

EXAMPLES = ("vit", "deit", "clip", "siglip", "siglip2")
FITTING: Mapping[str, Any] = {"missing_keys": (), "mismatched_keys": ()}


class TransformersBackbone(LibraryCNN):
    """A backbone, or another vision model, from its input to one or more of its stages.

    Raises:
        ModelError: no such model, kind, setting or stage; pictures too small.
    """

    def __init__(
        self, config: Backbone, image_size: tuple[int, int], *, pretrained: bool = True
    ) -> None:
        settings = _settings(config)
        known = _stage_names(settings)
        stages = _stages(config, known)
        # transformers gives the stages in the order of depth, we in the order that was asked for.
        places = sorted({known.index(stage) for stage in stages})
        order = [places.index(known.index(stage)) for stage in stages]
        network = _network(config, settings, places, image_size, pretrained)
        self._order = order
        super().__init__(config, network, image_size, stages, _statistics(config.model))
        if not self.frozen:
            self.freeze_what_is_unread(image_size)

    @override
    def scales(self, images: Tensor) -> list[Tensor]:
        """The maps of each stage."""
        maps = self.network(images).feature_maps
        return [maps[place] for place in self._order]


def kinds() -> list[str]:
    """The words that a model can be made of, with random weights."""
    return sorted({*_backbones(), *vision_kinds()})


def _backbones() -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    return list(MODEL_FOR_BACKBONE_MAPPING_NAMES)


def _is_kind(model: str) -> bool:
    """A model's folder of that name goes before."""
    return model in kinds() and not (Path(model) / "config.json").is_file()


def _is_backbone(settings: Any) -> bool:
    return settings.model_type in _backbones()


def _settings(config: Backbone) -> Any:
    """The configuration of a kind, or of a folder or a name on the hub; of what sees, where it reads texts, too."""
    settings = _of_a_kind(config) if _is_kind(config.model) else _of_a_folder(config)
    seeing = settings if _is_backbone(settings) else vision_part(settings)
    if not _is_backbone(seeing) and vision_class(seeing) is None:
        raise ModelError(
            f"a model of the kind {settings.model_type} gives no grid of a picture",
            where=f"{WHERE}.model={config.model}",
            fix=f"choose a vision transformer, such as {', '.join(EXAMPLES)},"
            f" or a backbone: {', '.join(_backbones())}",
        )
    return seeing


def _of_a_folder(config: Backbone) -> Any:
    from transformers import AutoConfig

    if config.settings:
        raise ModelError(
            f"settings are for a kind with random weights, and {config.model} has its own",
            where=f"{WHERE}.settings",
        )
    try:
        return AutoConfig.from_pretrained(config.model, local_files_only=is_local(config.model))
    except Exception as error:  # network, disk, format: not specified
        raise _unusable(config.model, error) from error


def _of_a_kind(config: Backbone) -> Any:
    from transformers import AutoConfig

    default = AutoConfig.for_model(config.model)
    known = default.to_dict()
    _check_names(config.model, config.settings, known, f"{WHERE}.settings")
    # Some kinds have tuples where their own networks want lists.
    tuples = {name: getattr(default, name, None) for name in known}
    lists = {name: list(value) for name, value in tuples.items() if isinstance(value, tuple)}
    try:
        return AutoConfig.for_model(config.model, **{**lists, **config.settings})
    except Exception as error:  # each kind has its own checks
        raise _unusable(config.model, error) from error


def _check_names(
    kind: str, settings: Mapping[str, Any], known: Mapping[str, Any], where: str
) -> None:
    """Refuse settings that a kind, or the part of it that they are for, does not have."""
    for name, value in settings.items():
        if name not in known:
            raise ModelError(
                f"a {kind} has no setting {name!r}", where=where, fix=nearest(name, list(known))
            )
        if name.endswith("_config") and isinstance(value, dict) and isinstance(known[name], dict):
            _check_names(kind, value, known[name], f"{where}.{name}")


def _stage_names(settings: Any) -> list[str]:
    names = (
        getattr(settings, "stage_names", []) if _is_backbone(settings) else vision_stages(settings)
    )
    if not names:
        raise ModelError(f"{settings.model_type} has no stages of its own", where=f"{WHERE}.model")
    return list(names)


def _stages(config: Backbone, known: list[str]) -> tuple[str, ...]:
    stage = config.stage or known[-1]
    stages = (stage,) if isinstance(stage, str) else stage
    for name in stages:
        if name not in known:
            raise ModelError(
                f"{config.model} has no stage {name!r}",
                where=f"{WHERE}.stage",
                fix=f"choose of: {', '.join(known)}",
            )
    return stages


def _network(
    config: Backbone,
    settings: Any,
    places: list[int],
    image_size: tuple[int, int],
    pretrained: bool,
) -> nn.Module:
    """With all its weights; in float32, whatever they were saved in."""
    load = pretrained and not _is_kind(config.model)
    if _is_backbone(settings):
        settings.out_features = [settings.stage_names[place] for place in places]
    try:
        network, info = _loaded(config.model, settings) if load else (_made(settings), FITTING)
    except Exception as error:  # network, disk, format: not specified
        raise _unusable(config.model, error) from error
    network = network.float()
    maps = None if _is_backbone(settings) else PatchMaps(network, places, image_size, config.model)
    spare = _added(network) if maps is None else maps.retire_unread(image_size)
    found = {**info, "missing_keys": set(info["missing_keys"]) - spare}
    check_loaded(network, network.state_dict(keep_vars=True), found, config.model)
    return network if maps is None else maps


def _added(network: nn.Module) -> set[str]:
    return {name for name in network.state_dict() if name.startswith(ADDED)}


def _made(settings: Any) -> nn.Module:
    from transformers import AutoBackbone, AutoModel

    auto = AutoBackbone if _is_backbone(settings) else AutoModel
    network: nn.Module = auto.from_config(settings)
    return network


def _loaded(model: str, settings: Any) -> tuple[nn.Module, Mapping[str, Any]]:
    """The network, and what of its weights did not fit."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING as BACKBONES

    # AutoBackbone itself would ask the hub first, even for a folder.
    kind = BACKBONES[type(settings)] if _is_backbone(settings) else vision_class(settings)
    with without_report():
        network, info = kind.from_pretrained(
            model,
            config=settings,
            local_files_only=is_local(model),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named by `check_loaded`
        )
    return network, info


def _unusable(model: str, error: Exception) -> ModelError:
    return ModelError(
        f"cannot load this backbone ({why_not(model, error)})",
        where=f"{WHERE}.model={model}",
        fix="give a kind such as resnet or vit, or a local folder with config.json and model.safetensors",
    )


def _statistics(model: str) -> Statistics:
    """What the preprocessing of a folder or of a name on the hub says, else ImageNet's."""
    file = _preprocessor(model)
    try:
        fields = json.loads(file.read_text(encoding="utf-8")) if file else {}
        mean = [float(value) for value in fields.get("image_mean", IMAGENET_MEAN)]
        std = [float(value) for value in fields.get("image_std", IMAGENET_STD)]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"unreadable ({error})", where=str(file)) from error
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ModelError("image_mean and image_std are three numbers each", where=str(file))
    return mean, std


def _preprocessor(model: str) -> Path | None:
    """The file with a model's preprocessing; None where it has none."""
    from transformers.utils.hub import cached_file

    if _is_kind(model):
        return None
    try:
        found = cached_file(
            model,
            PREPROCESSOR,
            local_files_only=is_local(model),
            _raise_exceptions_for_missing_entries=False,
        )
    except Exception as error:  # network, disk: not specified
        raise _unusable(model, error) from error
    return None if found is None else Path(found)
