"""vqa list recipes"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from vqa.commands.listing import print_list

if TYPE_CHECKING:
    from vqa.recipes import Recipe

FACTS = ("published", "setting", "differs", "status")


def list_recipes(text: str, as_json: bool) -> int:
    """Print those that mention a text; 0."""
    from vqa.recipes import recipes

    print_list(
        "recipes",
        recipes(),
        text,
        said=lambda one: (one.name, one.title, *(getattr(one, fact) for fact in FACTS)),
        plain=lambda one: {"name": one.name, **asdict(one), "file": str(one.file)},
        lines=_lines,
        as_json=as_json,
    )
    return 0


def _lines(recipe: Recipe) -> Iterator[str]:
    """Name and title, then a line for each thing that is said."""
    yield f"{recipe.name}  {recipe.title}"
    for name in FACTS:
        if said := getattr(recipe, name):
            yield f"    {name}: {said}"
