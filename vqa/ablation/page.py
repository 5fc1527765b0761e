"""A study as one self-contained HTML page: no script, no request, every text escaped, light and dark."""

from __future__ import annotations

from pathlib import Path

from vqa.ablation.drawing import dots, heat_map, learning, panels
from vqa.ablation.study import TYPE_KINDS, Study
from vqa.ablation.tables import heading, left_out, remarks, tables
from vqa.evaluation.standalone import standalone

TEMPLATE = Path(__file__).parent / "templates" / "study.html.j2"


def to_html(study: Study) -> str:
    """The page; its policy allows nothing but its own style sheet, by hash."""
    pieces = standalone(
        TEMPLATE,
        study=study,
        heading=heading(study),
        tables=tables(study, most_types=100),
        dots=dots(study.rows),
        panels=panels(learning(study.journals), study.reference),
        heat_maps=[found for kind in TYPE_KINDS if (found := heat_map(study, kind))],
        left_out=left_out(study),
        remarks=remarks(study),
    )
    return "".join(pieces)
