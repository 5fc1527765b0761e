"""What every brick's configuration shares.

Nothing here imports torch: a configuration is checked before anything heavy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1, le=65_536)]
"""Number of values in a vector."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Share of the values that training sets to zero."""

LearningRate = Annotated[float, Field(gt=0, le=100)]

Activation = Literal["relu", "tanh", "none"]


class Brick(BaseModel):
    """A frozen, closed configuration of one part of the network.

    Subclasses add `name: Literal[…]` and `build`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def from_name(value: Any) -> Any:
    """Let a brick be written as just its name: `multiply` for `{name: multiply}`."""
    return {"name": value} if isinstance(value, str) else value
