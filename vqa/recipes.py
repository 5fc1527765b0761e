"""Published rows as short experiments: `configs/recipes/`, each with the paper's figure and what became of it here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDERS = (
    Path(__file__).parent / "configs" / "recipes",
    Path(__file__).parents[1] / "configs" / "recipes",
)
"""In an installed package, and in a checkout."""
FACT = re.compile(r"# (?P<name>published|setting|differs|status): (?P<text>.+)")


@dataclass(frozen=True)
class Recipe:
    """What a recipe's head says.

    Attributes:
        file: an experiment; its name is the recipe's.
        title: data, model and paper.
        published: the paper's figure, on 0 to 100.
        setting: the paper's, in short.
        differs: what this experiment does otherwise; empty where nothing.
        status: whether it was run here, and with what result.
    """

    file: Path
    title: str
    published: str
    setting: str
    differs: str
    status: str

    @property
    def name(self) -> str:
        """As `vqa list recipes` shows it."""
        return self.file.stem


def recipes() -> list[Recipe]:
    """Every recipe, by name."""
    folder = next((one for one in FOLDERS if one.is_dir()), None)
    return [] if folder is None else [_read(file) for file in sorted(folder.glob("*.yaml"))]


def _read(file: Path) -> Recipe:
    title, *lines = file.read_text(encoding="utf-8").splitlines()
    facts = {m["name"]: m["text"] for line in lines if (m := FACT.fullmatch(line))}
    return Recipe(
        file=file,
        title=title.removeprefix("# "),
        published=facts.get("published", ""),
        setting=facts.get("setting", ""),
        differs=facts.get("differs", ""),
        status=facts.get("status", ""),
    )
