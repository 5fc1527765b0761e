"""`vqa compare`: runs on the same questions, with what their differences mean.

Single runs are compared in pairs. A group of jobs, a folder of runs, a `--baseline` or a page makes it an ablation's
table: every variant over its seeds, tested against one of them, and what each axis does (`vqa.ablation.study`).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.commands.find import run_path
from vqa.formatting import plain
from vqa.garbage import no_collection

if TYPE_CHECKING:
    from vqa.evaluation.comparison import Comparison, Pair, Variant

COLUMNS = ("variant", "kind", "name", "score", "sd", "seeds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "runs",
        nargs="*",
        metavar="GROUP_OR_RUN",
        help="group of jobs, folder of runs, run directory, its job, or predictions file",
    )
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
    add("--baseline", metavar="VARIANT", help="the variant that all others are tested against")
    add(
        "--chance",
        action=argparse.BooleanOptionalAction,
        help="compare with blind guessing too (default: as the ablation says)",
    )
    add("--csv", type=Path, metavar="FILE", help="write every variant's figures as CSV")
    for name in ("html", "markdown", "latex"):
        add(f"--{name}", type=Path, metavar="FILE", help=f"write the table as {name}")
    add("--json", action="store_true", help="print the comparison as JSON")


@no_collection()
def run(args: argparse.Namespace) -> int:
    """Read the runs, compare every pair, print a table and a sentence for each."""
    from vqa.evaluation.bootstrap import check_resamples
    from vqa.evaluation.comparison import compare_runs
    from vqa.evaluation.files import write_atomically

    check_resamples(args.resamples)
    _check_given(args)
    if _is_study(args):
        return _study(args)
    variants = _variants(args)
    notes = _notes(variants)
    comparison = compare_runs(variants, resamples=args.resamples)
    comparison = replace(comparison, notes=[*notes, *comparison.notes])
    if args.csv:
        write_atomically(args.csv, [to_csv(comparison)])
    print(json.dumps(comparison.to_json()) if args.json else to_text(comparison))
    return 0


def _check_given(args: argparse.Namespace) -> None:
    """Refuse to compare nothing, and a protocol that there is not."""
    from vqa.errors import InputError
    from vqa.evaluation.protocols import check_protocol

    if not args.runs and not args.variant:
        fix = "give a group, a folder of runs, or two runs; `vqa jobs` shows groups"
        raise InputError("nothing to compare", where="vqa compare", fix=fix)
    if args.protocol:
        check_protocol(args.protocol)


def _is_study(args: argparse.Namespace) -> bool:
    """Whether more than pairs of single runs is asked for."""
    from vqa.ablation.gather import is_collection

    asked = (args.baseline, args.chance, args.html, args.markdown, args.latex)
    return any(one is not None for one in asked) or any(
        is_collection(run_path(word)) for word in args.runs
    )


def _study(args: argparse.Namespace) -> int:
    from vqa.ablation.forms import FORMS, print_study, write_study
    from vqa.ablation.gather import gather, is_collection
    from vqa.ablation.study import Options, make_study
    from vqa.jobs.home import Home

    several = [word for word in args.runs if is_collection(run_path(word))]
    single = {word: [run_path(word)] for word in args.runs if word not in several}
    found = gather(several, single | dict(_named(text) for text in args.variant), Home.here())
    options = Options(args.baseline, args.split, args.protocol, args.resamples, args.chance)
    study = make_study(found.title, found.members, found.places, options)
    asked = {form: getattr(args, form) for form in FORMS if form != "json"}
    write_study(study, {form: file for form, file in asked.items() if file is not None})
    print_study(study, as_json=args.json)
    return 0


MOST_TYPES = 12
"""Data with more types than this show them in --csv and --json alone."""


def to_text(comparison: Comparison) -> str:
    """The comparison as tables, a sentence a pair, and notes."""
    from vqa.evaluation.comparison import EACH_ALONE, MCNEMAR_CAVEAT
    from vqa.evaluation.table import columns

    figures = comparison.to_json()["variants"]
    head = ("variant", "overall", "sd", "seeds")
    lines = [*columns([head, *(_overall(one) for one in figures)]), ""]
    for kind in ("per_answer_type", "per_question_type"):
        names = sorted({name for one in figures for name in one[kind]})
        if 1 < len(names) <= MOST_TYPES:
            by_type = [
                (one["name"], *(_shown(one[kind].get(name)) for name in names)) for one in figures
            ]
            lines += [*columns([(kind.replace("_", " "), *names), *by_type]), ""]
    lines += [pair.sentence for pair in comparison.pairs]
    if len(comparison.pairs) > 1:
        lines.append(f"p is Holm's over {len(comparison.pairs)} comparisons; {EACH_ALONE}")
    lines += ["", "questions that one has right and the other wrong (all of them with --json):"]
    lines += [_apart(pair) for pair in comparison.pairs]
    if any(pair.mcnemar for pair in comparison.pairs):
        lines.append(f"McNemar's test {MCNEMAR_CAVEAT}")
    return "\n".join([*lines, *(f"note: {note}" for note in comparison.notes)])


def _apart(pair: Pair) -> str:
    """How many questions, and a few of them, each of a pair has right where the other is wrong."""
    from vqa.evaluation.comparison import p_text
    from vqa.evaluation.coverage import first_few

    sides = ((pair.a, pair.only_a), (pair.b, pair.only_b))
    told = [
        f"{len(ids)} only {name}" + (f" ({first_few(ids)})" if ids else "") for name, ids in sides
    ]
    if pair.mcnemar:
        told.append(f"McNemar {p_text(pair.mcnemar.p_value)}")
    return plain("  " + "; ".join(told), 1000)


def _overall(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A variant's row of the first table."""
    overall = one["overall"]
    return one["name"], _shown(overall["mean"]), _shown(overall["sd"]), str(overall["n"])


def _shown(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"


def to_csv(comparison: Comparison) -> str:
    """Every variant's figures, one a row."""
    from vqa.evaluation.table import csv_text

    rows: list[list[Any]] = []
    for one in comparison.to_json()["variants"]:
        overall = one["overall"]
        rows.append([one["name"], "overall", "", overall["mean"], overall["sd"], overall["n"]])
        for kind in ("per_answer_type", "per_question_type"):
            found = one[kind].items()
            rows += [[one["name"], kind, name, score, "", overall["n"]] for name, score in found]
    return csv_text(COLUMNS, rows)


def _variants(args: argparse.Namespace) -> list[Variant]:
    from vqa.errors import InputError
    from vqa.evaluation.comparison import Variant
    from vqa.evaluation.runs import load_run

    named = [_named(text) for text in args.variant]
    single = [(word, [run_path(word)]) for word in args.runs]
    given = [*single, *named]
    names = [name for name, _ in given]
    twice = [name for name, again in itertools.groupby(sorted(names)) if len(list(again)) > 1]
    if twice:
        raise InputError(f"{twice[0]!r} is given twice")
    for name, paths in named:
        if len({path.resolve() for path in paths}) < len(paths):
            raise InputError("names the same run twice", where=f"--variant {name}")
    return [
        Variant(name, [load_run(path, split=args.split, protocol=args.protocol) for path in paths])
        for name, paths in given
    ]


def _notes(variants: Sequence[Variant]) -> list[str]:
    """What the experiments of the runs say against counting them as seeds of one variant, and the questions against
    the protocol.

    Raises:
        RunError: two runs of a variant have one seed.
    """
    from vqa.ablation.gather import gather
    from vqa.ablation.sorting import sort_members
    from vqa.evaluation.protocols import unscorable

    paths = {one.name: [Path(run.name) for run in one.runs] for one in variants}
    found = gather([], paths, None)
    first = variants[0].runs[0]
    lone = unscorable(first.predictions, first.identity["protocol"] or "")
    return [*sort_members(found.members, found.places).notes, *lone]


def _named(text: str) -> tuple[str, list[Path]]:
    from vqa.errors import InputError

    name, _, runs = text.partition("=")
    paths = [run_path(part) for part in runs.split(",") if part]
    if not name or not paths:
        raise InputError(f"--variant {text!r}", fix="write NAME=RUN,RUN")
    return name, paths
