"""Reading JSON from strangers: nothing in it may mean two things."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def check_json(body: bytes) -> None:
    """Refuse what is not plain JSON: other encodings, lone surrogates, NaN, repeated keys, great depth.

    Raises:
        ValueError: with the reason.
    """
    from_json(body, allow_inf_nan=False, cache_strings="none")  # depth, encoding, surrogates, NaN
    json.loads(body.decode("utf-8"), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields
