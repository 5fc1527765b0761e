"""Grids of a small ablation."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tests.ablation.runs import BASE
from vqa.ablation.expand import Grid, expand
from vqa.ablation.schema import parse_ablation

AXES = {"model.fusion": ["concat", "multiply", "sum"], "model.attention": ["none", "soft"]}


def grid(**fields: Any) -> Grid:
    """The expansion of three fusions with and without attention, but for `fields`."""
    given: dict[str, Any] = {
        "group": "g",
        "base": copy.deepcopy(BASE),
        "axes": AXES,
        "seeds": 2,
    } | fields
    return expand(parse_ablation(given, Path(), "a.yaml"))
