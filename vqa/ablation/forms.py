"""A study in every form: JSON, CSV, a page, Markdown, LaTeX; printed, or written where that was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from vqa.ablation.csv_table import to_csv
from vqa.ablation.page import to_html
from vqa.ablation.study import Study
from vqa.ablation.tables import to_latex, to_markdown, to_text
from vqa.evaluation.files import write_atomically

Form = Literal["json", "csv", "html", "markdown", "latex"]
FILES: dict[Form, str] = {
    "json": "study.json",
    "csv": "study.csv",
    "html": "study.html",
    "markdown": "study.md",
    "latex": "study.tex",
}


def to_json(study: Study) -> str:
    """See `Study.to_json`."""
    return json.dumps(study.to_json(), ensure_ascii=False)


FORMS: dict[Form, Callable[[Study], str]] = {
    "json": to_json,
    "csv": to_csv,
    "html": to_html,
    "markdown": to_markdown,
    "latex": to_latex,
}


def write_study(study: Study, files: Mapping[Form, Path]) -> None:
    """Write each form to its file, whole or not at all."""
    for form, path in files.items():
        write_atomically(path, [FORMS[form](study)])


def print_study(study: Study, *, as_json: bool) -> None:
    """For people, or as one JSON text."""
    print(to_json(study) if as_json else to_text(study).rstrip("\n"))
