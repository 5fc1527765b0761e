"""Prints what pyproject.toml requires, with the extras that are named: an image installs it before the code."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [project["optional-dependencies"][name] for name in sys.argv[1:]]
print("\n".join([*project["dependencies"], *(line for extra in extras for line in extra)]))
