"""A study as tables of text, and these for a terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vqa.ablation.alike import shortly
from vqa.ablation.study import TYPE_KINDS, Row, Study
from vqa.evaluation.comparison import EACH_ALONE, RIGHT
from vqa.evaluation.table import columns
from vqa.formatting import one_line

MOST_TYPES = 12
"""More types than this, or more variants, do not stand side by side."""
MOST_ROWS = 40
"""Data with more types than this show them in CSV, JSON and HTML alone."""

NOTHING = "–"
SPREADS = "behind a score, ± is the standard deviation over seeds; behind a difference, half its 95 % interval"
FIGURES = (
    "variant",
    "score",
    "95 % interval",
    "seeds",
    "parameters",
    "questions/s",
    "to best, s",
    "memory, MiB",
)

TYPOGRAPHY = {"–": "--", "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}", "−": "$-$"}
LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **TYPOGRAPHY,
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(study: Study, most_types: int = MOST_TYPES) -> list[Table]:
    """The figures of every variant, and their scores by type."""
    found = [_variants(study)]
    for kind in TYPE_KINDS:
        names = study.type_names(kind)
        if 1 < len(names) <= most_types:
            found.append(_by_variant(study, kind, names))
        elif most_types < len(names) <= MOST_ROWS:
            starts = range(0, len(study.rows), most_types)
            parts = (study.rows[start : start + most_types] for start in starts)
            found += [_by_type(part, kind, names) for part in parts]
    return found


def _variants(study: Study) -> Table:
    """The figures of every variant; whose its runs are where they are of several users."""
    rows = [_figures(row) for row in study.rows]
    if not study.shared:
        return Table("variants", FIGURES, rows)
    people = [(*cells, by(row.users)) for cells, row in zip(rows, study.rows, strict=True)]
    return Table("variants", (*FIGURES, "by"), people)


def by(users: Sequence[str]) -> str:
    """Whose the runs of a variant are, the first few by name."""
    return shortly([*filter(None, dict.fromkeys(users))]) or NOTHING


def _by_variant(study: Study, kind: str, names: Sequence[str]) -> Table:
    """A row a variant, a column a type."""
    title = kind.replace("_", " ")
    rows = [
        (row.name, *(score(getattr(row, kind).get(name)) for name in names)) for row in study.rows
    ]
    return Table(title, (title, *names), rows)


def _by_type(variants: Sequence[Row], kind: str, names: Sequence[str]) -> Table:
    """A row a type, a column a variant."""
    title = kind.replace("_", " ")
    rows = [(name, *(score(getattr(row, kind).get(name)) for row in variants)) for name in names]
    return Table(title, (title, *(row.name for row in variants)), rows)


def _figures(row: Row) -> tuple[str, ...]:
    spread = "" if row.sd is None else f" ± {row.sd:.2f}"
    return (
        row.name,
        f"{row.mean:.2f}{spread}",
        f"{row.low:.2f} … {row.high:.2f}",
        str(len(row.seeds)) if row.seeds else NOTHING,
        amount(row.parameters, 0),
        amount(row.questions_per_second, 0),
        amount(row.seconds_to_best, 1),
        amount(row.peak_memory_mb, 0),
    )


def score(value: float | None) -> str:
    """On 0 to 100."""
    return NOTHING if value is None else f"{value:.2f}"


def amount(value: float | None, digits: int) -> str:
    """With thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def remarks(study: Study) -> list[str]:
    """What the reader must know beside the figures."""
    tests = (
        [f"p is Holm's over {len(study.pairs)} comparisons with {study.reference}"]
        if len(study.pairs) > 1
        else []
    )
    for kind, effects in (
        ("main effects", study.main_effects),
        ("interactions", study.interactions),
    ):
        if len(effects) > 1:
            tests.append(f"p is Holm's over {len(effects)} {kind}")
    if tests:
        tests.append(EACH_ALONE)
    spread = [SPREADS] if any(row.sd is not None for row in study.rows) else []
    notes = [f"note: {note}" for note in study.notes if note != RIGHT]
    return [*spread, *tests, *notes]


def left_out(study: Study) -> list[str]:
    """The runs that are not in the figures, those of a variant with the same reason on one line."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for one in study.left_out:
        whose = f" by {one.user}" if study.shared and one.user else ""
        seeds.setdefault((one.variant, whose, one.reason), []).append(str(one.seed))
    return [
        f"{variant}, seed{'s' * (len(those) > 1)} {', '.join(those)}{whose}: {reason}"
        for (variant, whose, reason), those in seeds.items()
    ]


def heading(study: Study) -> str:
    """What was scored, and how."""
    identity = study.comparison.identity
    n = len(study.comparison.variants[0].runs[0].predictions)
    said = [
        identity["protocol"],
        identity["split"] and f"split {identity['split']}",
        f"{n} questions",
        f"{study.images} images",
    ]
    return f"{study.title}: {', '.join(part for part in said if part)}"


def to_text(study: Study) -> str:
    """For a terminal."""
    lines = [one_line(heading(study)), ""]
    for table in tables(study):
        lines += [*columns([table.head, *table.rows]), ""]
    lines += [one_line(claim) for claim in study.claims]
    if study.effect_claims:
        lines += ["", *(one_line(claim) for claim in study.effect_claims)]
    if study.left_out:
        lines += [
            "",
            f"left out, {len(study.left_out)} runs:",
            *(f"  {one_line(line)}" for line in left_out(study)),
        ]
    return "\n".join([*lines, "", *(one_line(line) for line in remarks(study))]) + "\n"


def to_markdown(study: Study) -> str:
    """For a README or a report."""
    lines = [f"## {_markdown(heading(study))}", "", *markdown_tables(study)]
    lines += _bullets(map(_markdown, [*study.claims, *study.effect_claims]))
    if study.left_out:
        lines += ["Left out:", "", *_bullets(map(_markdown, left_out(study)))]
    return "\n".join([*lines, *_bullets(map(_markdown, remarks(study)))]).rstrip() + "\n"


def markdown_tables(study: Study) -> list[str]:
    """The figures alone, as lines."""
    lines: list[str] = []
    for table in tables(study):
        rule = ["---", *("---:" for _ in table.head[1:])]
        cells = [[_markdown(cell) for cell in row] for row in (table.head, *table.rows)]
        lines += ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])] + [""]
    return lines


def _bullets(lines: Iterable[str]) -> list[str]:
    found = [f"- {line}" for line in lines]
    return [*found, ""] if found else []


def _markdown(text: str) -> str:
    """Text as itself, whatever it holds."""
    safe = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{mark}" if mark in "\\`*_[]|#!~" else mark for mark in safe)


def to_latex(study: Study) -> str:
    """Tables with booktabs' rules, ready to be included; needs `booktabs` alone."""
    lines = [f"% {one_line(heading(study))}"]
    for table in tables(study):
        align = "l" + "r" * (len(table.head) - 1)
        lines += [
            f"% {one_line(table.title)}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            _latex_row(table.head),
        ]
        lines += [r"\midrule", *map(_latex_row, table.rows), r"\bottomrule", r"\end{tabular}", ""]
    claims = [*study.claims, *study.effect_claims, *left_out(study), *remarks(study)]
    return "\n".join([*lines, *(f"% {one_line(claim)}" for claim in claims)]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex(cell) for cell in cells) + r" \\"


def latex(text: str) -> str:
    """Text as itself in LaTeX."""
    return "".join(LATEX.get(mark, mark) for mark in one_line(text))
