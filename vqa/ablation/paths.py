"""Key paths of an experiment, such as `model.fusion.dim`."""

from __future__ import annotations

from pydantic import BaseModel

from vqa.config import Experiment
from vqa.errors import ConfigError
from vqa.faults import meant, models_of


def check_path(path: str, where: str) -> None:
    """Refuse a key path that no experiment has.

    Raises:
        ConfigError: naming the first key that is not there, and the nearest one that is.
    """
    models: list[type[BaseModel]] = [Experiment]
    keys = path.split(".")
    for at, key in enumerate(keys):
        known = [name for model in models for name in model.model_fields]
        if key not in known:
            hint = meant(".".join(keys[: at + 1]), list(dict.fromkeys(known)), Experiment)
            raise ConfigError(f"{path}: no such key{hint}", where=where)
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        models = [model for info in fields for model in models_of(info.annotation)]
