"""What every brick's configuration shares.

Nothing here imports torch: a configuration is checked before anything heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

Width = Annotated[int, Field(ge=1, le=65_536)]
"""Number of values in a vector."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Share of the values that training sets to zero."""

LearningRate = Annotated[float, Field(gt=0, le=100)]

Activation = Literal["relu", "tanh", "none"]


LARGEST = 2**26
"""The most values in one tensor of weights: 256 MiB in float32, and four times that with its gradient and
Adam's state."""


class Closed(BaseModel):
    """A frozen part of an experiment that takes no other keys, and no true or false for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, fields: Any) -> Any:
        """Pydantic takes true for 1, as Python does; as a word it is refused where it stands."""
        if not isinstance(fields, Mapping):
            return fields
        known = cls.model_fields
        return {
            name: _in_words(value)
            if isinstance(value, bool | list | tuple)
            and name in known
            and _is_a_number(known[name].annotation)
            else value
            for name, value in fields.items()
        }


class Brick(Closed):
    """A configuration of one part of the network.

    Subclasses add `name: Literal[…]` and `build`.
    """


def _in_words(value: Any) -> Any:
    """`value` with true and false as words, in a list, too."""
    if isinstance(value, bool):
        return str(value).lower()
    return [_in_words(one) for one in value] if isinstance(value, list | tuple) else value


def _is_a_number(annotation: Any) -> bool:
    """Whether a field takes numbers, or lists of them, and not true or false."""
    kinds = _kinds(annotation)
    return bool(kinds & {int, float}) and bool not in kinds


def _kinds(annotation: Any) -> set[type]:
    """The types of what an annotation admits."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    inner = [_kinds(part) for part in get_args(annotation)]
    return set().union(*inner) if inner else {annotation}


def from_name(value: Any) -> Any:
    """Let a brick be written as just its name: `multiply` for `{name: multiply}`."""
    return {"name": value} if isinstance(value, str) else value


def refuse_large(what: str, shape: Sequence[int], fix: str) -> None:
    """Refuse weights of more than `LARGEST` values, with the numbers.

    Raises:
        ValueError: they are.
    """
    values = prod(shape)
    if values > LARGEST:
        raise ValueError(
            f"{what} of {'×'.join(map(str, shape))} has {values:,} values"
            f" ({values / 2**28:,.1f} GiB), more than {LARGEST:,}; {fix}"
        )


def _fitting(widths: tuple[int, ...]) -> tuple[int, ...]:
    for before, after in pairwise(widths):
        refuse_large("a layer", (before, after), "lower one of the widths")
    return widths


Widths = Annotated[tuple[Width, ...], AfterValidator(_fitting)]
"""Of a chain of fully connected layers."""
