"""vqa list recipes"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from vqa.commands.filter import mentioning, say_nothing_matches

if TYPE_CHECKING:
    from vqa.recipes import Recipe


def list_recipes(text: str, as_json: bool) -> int:
    """Print those that mention a text; 0."""
    from vqa.recipes import recipes

    found = mentioning(recipes(), text)
    if as_json:
        shown = [{"name": one.name, **asdict(one), "file": str(one.file)} for one in found]
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    elif found:
        print("\n\n".join("\n".join(_lines(one)) for one in found))
    if not found:
        say_nothing_matches("recipes", text)
    return 0


def _lines(recipe: Recipe) -> Iterator[str]:
    """Name and title, then a line for each thing that is said."""
    yield f"{recipe.name}  {recipe.title}"
    for name in ("published", "setting", "differs", "status"):
        if said := getattr(recipe, name):
            yield f"    {name}: {said}"
