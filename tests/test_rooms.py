"""Imports go downward only: no room knows of those above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import vqa

ROOT = Path(vqa.__file__).parent
LAYERS = (
    {
        "errors",
        "faults",
        "yaml_file",
        "hub",
        "machine",
        "lifetime",
        "collection",
        "outputs",
        "names",
        "amounts",
    },
    {"model"},
    {"config", "deviations", "recipes"},
    {"data"},
    {"evaluation", "export", "asked"},
    {"tracking"},
    {"training"},
    {"jobs"},
    {"ablation"},
    {"server"},
    {"commands"},
    {"cli"},
)
SCHEMA_OF_ANOTHER_ROOM = ("config", "vqa.tracking.trackers")
"""An experiment's schema has each tracker's own; they import nothing of their room."""


def imports(file: Path) -> Iterator[str]:
    """Modules of this package that a file imports, wherever in it; not those for type checkers alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def layer(room: str) -> int:
    [found] = [at for at, rooms in enumerate(LAYERS) if room in rooms]
    return found


def test_no_room_imports_one_above_it() -> None:
    looked_at = 0
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).with_suffix("").parts[0]
        for name in imports(file):
            parts = name.split(".")
            if parts[0] != "vqa" or len(parts) < 2 or room == "__init__":
                continue
            looked_at += 1
            if (room, name) != SCHEMA_OF_ANOTHER_ROOM:
                assert layer(parts[1]) <= layer(room), f"{file.relative_to(ROOT)} imports {name}"
    assert looked_at > 1000


def test_a_model_knows_no_framework() -> None:
    for file in (ROOT / "model").rglob("*.py"):
        for name in imports(file):
            assert name.split(".")[0] not in {"pytorch_lightning", "lightning", "wandb"}, file
