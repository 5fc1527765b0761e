"""What every brick's configuration shares. Nothing here imports torch: a configuration is checked before anything heavy."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Brick(BaseModel):
    """A frozen, closed configuration of one part of the network; subclasses add `name: Literal[…]` and `build`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def from_name(value: Any) -> Any:
    """Let a brick be written as just its name: `multiply` for `{name: multiply}`."""
    return {"name": value} if isinstance(value, str) else value
