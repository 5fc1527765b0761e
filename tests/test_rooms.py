"""Imports go downward only: no room knows of those above it."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import pytest

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
        "garbage",
        "lightning",
        "outputs",
        "names",
        "formatting",
    },
    {"model"},
    {"config", "deviations", "idle", "recipes"},
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
SCHEMA_OF_ANOTHER_ROOM = "vqa.tracking.trackers."
"""An experiment's schema has each tracker's own; they import nothing of their room."""


def imports(file: Path) -> Iterator[str]:
    """What a file imports, wherever in it and be it for types alone: `vqa.data.store.Store` of such a `from` line."""
    return imported(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import, in line {node.lineno}"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def layer(room: str) -> int:
    [found] = [at for at, rooms in enumerate(LAYERS) if room in rooms]
    return found


def rooms_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name of this package with its room; `vqa.__version__` and the like are of none."""
    for name in names:
        package, _, rest = name.partition(".")
        room = rest.partition(".")[0]
        if package == "vqa" and room and not room.startswith("__"):
            yield name, room


@pytest.mark.parametrize(
    "line",
    [
        "import vqa.server.app",
        "from vqa.server import app",
        "from vqa import server",
        "if TYPE_CHECKING:\n    from vqa.server.app import create_app",
        "def late():\n    from vqa.server.app import create_app",
    ],
)
def test_each_kind_of_import_is_seen(line: str) -> None:
    [(_, room)] = rooms_of(imported(ast.walk(ast.parse(line))))
    assert room == "server"


def test_no_room_imports_one_above_it() -> None:
    looked_at = 0
    for file in ROOT.rglob("*.py"):
        room = file.relative_to(ROOT).with_suffix("").parts[0]
        if room == "__init__":  # the front door: what it shows is imported when it is asked for
            continue
        for name, other in rooms_of(imports(file)):
            looked_at += 1
            if room != "config" or not name.startswith(SCHEMA_OF_ANOTHER_ROOM):
                assert layer(other) <= layer(room), f"{file.relative_to(ROOT)} imports {name}"
    assert looked_at > 1000


def test_no_module_waits_for_itself() -> None:
    """What a module imports when it is loaded leads nowhere back to it."""
    names = {module_name(file): file for file in ROOT.rglob("*.py")}
    graph = {
        name: {known for one in imported(at_once(file)) if (known := nearest(one, names)) != name}
        for name, file in names.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(names) > 300


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def at_once(file: Path) -> Iterator[ast.AST]:
    """The statements that run when a module is loaded: not those for types alone, nor within functions."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def nearest(name: str, known: Container[str]) -> str:
    """The module that an imported name is or comes from; "vqa" for all that is none of this package's."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name if name in known else "vqa"


def test_a_model_knows_no_framework() -> None:
    for file in (ROOT / "model").rglob("*.py"):
        for name in imports(file):
            assert name.split(".")[0] not in {"pytorch_lightning", "lightning", "wandb"}, file
