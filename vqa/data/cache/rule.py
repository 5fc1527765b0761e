"""Which experiments can have the features of their image encoder kept, and in which type. Loads nothing heavy."""

from __future__ import annotations

from vqa.config import Augmentation, Experiment
from vqa.errors import ConfigError

DEMANDED = ("float16", "bfloat16")
"""Values of `data.features` that refuse where `auto` would go without."""


def obstacle(experiment: Experiment) -> str | None:
    """Why features cannot be kept for an experiment; None where they can."""
    encoder = experiment.model.image_encoder
    if encoder.name == "none":
        return "model.image_encoder=none looks at no picture"
    if encoder.name == "regions":
        return "regions are found elsewhere, and brought in by `vqa prepare regions`"
    if not getattr(encoder, "frozen", False):
        return "the image encoder learns, so what it makes of a picture changes at every step"
    if experiment.data.augmentation != Augmentation():
        return "data.augmentation changes the pictures at every step"
    return None


def check_features(experiment: Experiment) -> None:
    """Refuse an experiment that demands features which cannot be kept.

    Raises:
        ConfigError: it does; says why.
    """
    if experiment.model.image_encoder.name == "regions":
        _check_regions(experiment)
        return
    reason = obstacle(experiment)
    if experiment.data.features in DEMANDED and reason is not None:
        raise ConfigError(
            f"features cannot be kept: {reason}",
            where="data.features",
            fix="use auto or off, or model.image_encoder.frozen=true without augmentation",
        )


def _check_regions(experiment: Experiment) -> None:
    """Refuse settings that would have to do with pictures, of which none is looked at.

    Raises:
        ConfigError: there are some.
    """
    data = experiment.data
    for name, asked, only in (
        (
            "features",
            data.features == "off",
            "auto, float16 or bfloat16: regions are kept features",
        ),
        ("augmentation", data.augmentation != Augmentation(), "none: regions cannot be changed"),
        ("resize", data.resize != "stretch", "stretch: a detector sees the whole picture"),
    ):
        if asked:
            raise ConfigError(
                "model.image_encoder=regions looks at no picture",
                where=f"data.{name}",
                fix=f"use {only}",
            )


def storage(experiment: Experiment) -> str:
    """The type that features are kept in: the one asked for, else bfloat16 where the matrix products are in it, too."""
    chosen = experiment.data.features
    if chosen in DEMANDED:
        return chosen
    return "bfloat16" if experiment.trainer.precision == "bf16-mixed" else "float16"
