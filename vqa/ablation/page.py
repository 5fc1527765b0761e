"""A study as one self-contained HTML page: no script, no request, every text escaped, light and dark."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from vqa.ablation.drawing import dots, heat_map, learning, panels
from vqa.ablation.study import TYPE_KINDS, Study
from vqa.ablation.tables import heading, left_out, remarks, tables

TEMPLATES = Path(__file__).parent / "templates"


def to_html(study: Study) -> str:
    """The page; its policy allows nothing but its own style sheet, by hash."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return environment.get_template("study.html.j2").render(
        study=study,
        style=style,
        policy=policy,
        heading=heading(study),
        tables=tables(study, most_types=100),
        dots=dots(study.rows),
        panels=panels(learning(study.journals), study.reference),
        heat_maps=[found for kind in TYPE_KINDS if (found := heat_map(study, kind))],
        left_out=left_out(study),
        remarks=remarks(study),
    )
