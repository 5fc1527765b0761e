"""A study printed, and written in the forms that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from vqa.ablation.csv_table import to_csv
from vqa.ablation.page import to_html
from vqa.ablation.study import Study
from vqa.ablation.tables import to_latex, to_markdown, to_text
from vqa.evaluation.files import write_atomically

FORMS: dict[str, Callable[[Study], str]] = {
    "csv": to_csv,
    "html": to_html,
    "markdown": to_markdown,
    "latex": to_latex,
}


def write_study(study: Study, files: Mapping[str, Path]) -> None:
    """Write each form to its file, whole or not at all."""
    for form, path in files.items():
        write_atomically(path, [FORMS[form](study)])


def print_study(study: Study, *, as_json: bool) -> None:
    """For people, or as one JSON text."""
    print(
        json.dumps(study.to_json(), ensure_ascii=False) if as_json else to_text(study).rstrip("\n")
    )
