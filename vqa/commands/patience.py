"""Looking again and again at a server that may be away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS, LOOK_SECONDS = 120.0, 0.5
Seen = TypeVar("Seen")


def patiently(look: Callable[[], Seen]) -> Seen:
    """What `look` sees; a server that cannot be reached is waited for.

    Raises:
        EngineError: it stayed away for `PATIENCE_SECONDS`.
    """
    from vqa.errors import EngineError

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return look()
        except EngineError as error:
            if not error.temporary or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
