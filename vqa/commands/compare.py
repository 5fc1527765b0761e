"""`vqa compare`: two runs or more on the same questions, with what their differences mean."""

from __future__ import annotations

import argparse
import csv
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqa.evaluation.comparison import Comparison, Variant

COLUMNS = ("variant", "kind", "name", "score", "sd", "seeds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN", help="run directory or predictions file")
    add(
        "--variant",
        action="append",
        default=[],
        metavar="NAME=RUN,RUN",
        help="runs of one variant that differ in their seed only; may be given several times",
    )
    add("--split", default="", help="which predictions of the run directories")
    add("--protocol", default="", metavar="NAME", help="score all anew under this protocol")
    add("--resamples", type=int, default=10_000, help="of intervals and permutations")
    add("--csv", type=Path, metavar="FILE", help="write every variant's figures as CSV")
    add("--json", action="store_true", help="print the comparison as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the runs, compare every pair, print a table and a sentence for each."""
    from vqa.errors import InputError
    from vqa.evaluation.comparison import compare_runs, dumps
    from vqa.evaluation.files import write_atomically

    if args.resamples < 100:
        raise InputError("--resamples is below 100", fix="10000 gives p to two digits")
    comparison = compare_runs(_variants(args), resamples=args.resamples)
    if args.csv:
        write_atomically(args.csv, [to_csv(comparison)])
    print(dumps(comparison) if args.json else to_text(comparison))
    return 0


def to_text(comparison: Comparison) -> str:
    """The comparison as a table, a sentence a pair, and notes."""
    from vqa.evaluation.comparison import MCNEMAR_CAVEAT, p_text
    from vqa.evaluation.table import columns

    figures = comparison.to_json()["variants"]
    kinds = sorted({name for one in figures for name in one["per_answer_type"]})
    head = ("variant", "overall", "sd", "seeds", *kinds)
    rows = [
        (
            one["name"],
            f"{one['overall']['mean']:.2f}",
            "–" if one["overall"]["sd"] is None else f"{one['overall']['sd']:.2f}",
            one["overall"]["n"],
            *(f"{one['per_answer_type'][kind]:.2f}" for kind in kinds),
        )
        for one in figures
    ]
    lines = [*columns([head, *rows]), ""]
    for pair in comparison.pairs:
        lines.append(pair.sentence)
        if pair.mcnemar:
            only_a, only_b, p_value = pair.mcnemar
            counts = f"{only_a} questions only {pair.a} has right, {only_b} only {pair.b}"
            lines.append(f"  {counts}; McNemar {p_text(p_value)} ({MCNEMAR_CAVEAT})")
    if len(comparison.pairs) > 1:
        lines.append(f"p is Holm's over {len(comparison.pairs)} comparisons")
    return "\n".join([*lines, *(f"note: {note}" for note in comparison.notes)])


def to_csv(comparison: Comparison) -> str:
    """Every variant's figures, one a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in comparison.to_json()["variants"]:
        overall = one["overall"]
        writer.writerow([one["name"], "overall", "", overall["mean"], overall["sd"], overall["n"]])
        for kind in ("per_answer_type", "per_question_type"):
            rows = one[kind].items()
            writer.writerows(
                [one["name"], kind, name, score, "", overall["n"]] for name, score in rows
            )
    return out.getvalue()


def _variants(args: argparse.Namespace) -> list[Variant]:
    from vqa.errors import InputError
    from vqa.evaluation.comparison import Variant, load_run

    named = [_named(text) for text in args.variant]
    single = [(str(path), [path]) for path in args.runs]
    names = [name for name, _ in (*named, *single)]
    twice = [name for name, again in itertools.groupby(sorted(names)) if len(list(again)) > 1]
    if twice:
        raise InputError(f"{twice[0]!r} is given twice")
    return [
        Variant(name, [load_run(path, split=args.split, protocol=args.protocol) for path in paths])
        for name, paths in (*named, *single)
    ]


def _named(text: str) -> tuple[str, list[Path]]:
    from vqa.errors import InputError

    name, _, runs = text.partition("=")
    paths = [Path(part) for part in runs.split(",") if part]
    if not name or not paths:
        raise InputError(f"--variant {text!r}", fix="write NAME=RUN,RUN")
    return name, paths
