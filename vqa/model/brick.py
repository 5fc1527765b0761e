"""What every brick's configuration shares.

Nothing here imports torch: a configuration is checked before anything heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1, le=65_536)]
"""Number of values in a vector."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Share of the values that training sets to zero."""

LearningRate = Annotated[float, Field(gt=0, le=100)]

Activation = Literal["relu", "tanh", "none"]


LARGEST = 2**26
"""The most values in one tensor of weights: 256 MiB in float32, and four times that with its gradient and
Adam's state."""


class Brick(BaseModel):
    """A frozen, closed configuration of one part of the network.

    Subclasses add `name: Literal[…]` and `build`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
