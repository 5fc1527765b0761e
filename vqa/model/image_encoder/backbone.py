"""A backbone of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from vqa.errors import ModelError
from vqa.hub import is_local, why_not
from vqa.model.image_encoder import Backbone
from vqa.model.image_encoder.grid import IMAGENET_MEAN, IMAGENET_STD, Statistics
from vqa.model.image_encoder.library import LibraryCNN
from vqa.model.weights import check_loaded
from vqa.names import nearest

WHERE = "model.image_encoder"
PREPROCESSOR = "preprocessor_config.json"
ADDED = "hidden_states_norms."
"""Norms that a backbone puts behind its stages, and that no published model has; they begin with scale one."""


class TransformersBackbone(LibraryCNN):
    """A backbone from its input to one or more of its stages.

    Raises:
        ModelError: no such model, kind, setting or stage; pictures too small.
    """

    def __init__(
        self, config: Backbone, image_size: tuple[int, int], *, pretrained: bool = True
    ) -> None:
        settings = _settings(config)
        stages = _stages(config, getattr(settings, "stage_names", []))
        # transformers gives the stages in the order of depth, we in the order that was asked for.
        settings.out_features = sorted(set(stages), key=settings.stage_names.index)
        order = [settings.out_features.index(stage) for stage in stages]
        network = _network(config, settings, pretrained)
        self._order = order
        super().__init__(config, network, image_size, stages, _statistics(config.model))
        if not self.frozen:
            self.freeze_what_is_unread(image_size)

    @override
    def scales(self, images: Tensor) -> list[Tensor]:
        """The maps of each stage."""
        maps = self.network(images).feature_maps
        return [maps[place] for place in self._order]


def _settings(config: Backbone) -> Any:
    """The configuration of a kind, or of a folder or a name on the hub."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES as KINDS

    if config.model in KINDS:
        return _of_a_kind(config)
    if config.settings:
        raise ModelError(
            f"settings are for a kind with random weights, and {config.model} has its own",
            where=f"{WHERE}.settings",
        )
    try:
        settings: Any = AutoConfig.from_pretrained(
            config.model, local_files_only=is_local(config.model)
        )
    except Exception as error:  # network, disk, format: not specified
        raise _unusable(config.model, error) from error
    if settings.model_type not in KINDS:
        raise ModelError(
            f"a {settings.model_type} is no backbone",
            where=f"{WHERE}.model={config.model}",
            fix=f"choose of: {', '.join(KINDS)}",
        )
    return settings


def _of_a_kind(config: Backbone) -> Any:
    from transformers import AutoConfig

    default = AutoConfig.for_model(config.model)
    known = default.to_dict()
    for name in config.settings:
        if name not in known:
            raise ModelError(
                f"a {config.model} has no setting {name!r}",
                where=f"{WHERE}.settings",
                fix=nearest(name, list(known)),
            )
    # Some kinds have tuples where their own networks want lists.
    tuples = {name: getattr(default, name, None) for name in known}
    lists = {name: list(value) for name, value in tuples.items() if isinstance(value, tuple)}
    try:
        return AutoConfig.for_model(config.model, **{**lists, **config.settings})
    except Exception as error:  # each kind has its own checks
        raise _unusable(config.model, error) from error


def _stages(config: Backbone, known: list[str]) -> tuple[str, ...]:
    if not known:
        raise ModelError(f"{config.model} has no stages of its own", where=f"{WHERE}.model")
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


def _network(config: Backbone, settings: Any, pretrained: bool) -> nn.Module:
    from transformers import AutoBackbone
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES as KINDS

    try:
        if pretrained and config.model not in KINDS:
            return _loaded(config.model, settings)
        network: nn.Module = AutoBackbone.from_config(settings)
    except ModelError:
        raise
    except Exception as error:  # network, disk, format: not specified
        raise _unusable(config.model, error) from error
    return network


def _loaded(model: str, settings: Any) -> nn.Module:
    """With all its weights."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING as CLASSES

    # AutoBackbone itself would ask the hub first, even for a folder.
    network, info = CLASSES[type(settings)].from_pretrained(
        model,
        config=settings,
        local_files_only=is_local(model),
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are named here
    )
    found = dict(info)
    found["missing_keys"] = [n for n in info["missing_keys"] if not n.startswith(ADDED)]
    check_loaded(network, network.state_dict(keep_vars=True), found, model)
    loaded: nn.Module = network
    return loaded


def _unusable(model: str, error: Exception) -> ModelError:
    return ModelError(
        f"cannot load this backbone ({why_not(model, error)})",
        where=f"{WHERE}.model={model}",
        fix="give a kind such as resnet, or a local folder with config.json and model.safetensors",
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
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES as KINDS
    from transformers.utils.hub import cached_file

    if model in KINDS:
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
