"""Where an experiment departs from what it would be if nobody had said anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from vqa.config import Experiment


@dataclass(frozen=True)
class Deviation:
    """A key that holds something else than its default.

    Attributes:
        path: such as `model.fusion.dim`.
        value, default: as JSON has them. The default of a brick's own key is that brick's.
        required: there is no default: somebody had to say something.
    """

    path: str
    value: Any
    default: Any = None
    required: bool = False


def deviations(experiment: Experiment) -> list[Deviation]:
    """Every key with another value than its default, in the schema's order.

    A brick is compared with the default brick by its name, and by its other keys with its own defaults.
    """
    return list(_section(experiment, None, ""))


def _section(section: BaseModel, usual: Any, path: str) -> Iterator[Deviation]:
    """Of one section or brick; `usual` is what stands in its place by default."""
    for name, field in type(section).model_fields.items():
        value, here = getattr(section, name), f"{path}{name}"
        default = field.get_default(call_default_factory=True)
        if name == "name":
            default = getattr(usual, "name", usual)
        if isinstance(value, BaseModel):
            yield from _section(value, default, f"{here}.")
        elif default is PydanticUndefined:
            yield Deviation(here, _plain(value), required=True)
        elif value != default:
            yield Deviation(here, _plain(value), _plain(default))


def _plain(value: Any) -> Any:
    return TypeAdapter(type(value)).dump_python(value, mode="json")
