"""`vqa score`: score a result file of any model under a named protocol; needs neither a model nor
torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.garbage import no_collection

if TYPE_CHECKING:
    from vqa.evaluation.result import EvaluationResult
    from vqa.evaluation.scoring import Joined, ScoreRequest

EPILOG = """
protocols: vqa-accuracy/since-2021, vqa-accuracy/before-2021, exact/1, multiple-choice/1, anls/1,
token-f1/1, tdiuc/1, gqa/1, visual7w/1

Without --protocol the layout decides (GQA's and Visual7W's have their own, VQA v1's multiple choice
has VQA accuracy of the best-scored choice), else the questions: multiple choice where they have
choices, VQA accuracy for ten answers, else exact match.

Every file may be gzipped. A predictions file of a run (predictions/SPLIT.jsonl) holds the questions
and the right answers, so it can be scored alone: vqa score --results RUN/predictions/val.jsonl
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--protocol", action="append", metavar="NAME", help="give two to see where they differ")
    add("--against", metavar="NAME", help="a second protocol: list the questions that differ")
    add("--questions", type=Path, metavar="FILE", help="question file")
    add("--annotations", type=Path, metavar="FILE", help="annotation file, where answers are apart")
    add("--results", type=Path, metavar="FILE", required=True, help="what the model said")
    add("--choices", type=Path, metavar="FILE", help="GQA's choices, for validity and plausibility")
    add("--split", default="", help="only this split, where the question file holds several")
    add("--allow-missing", action="store_true", help="count questions without an answer as wrong")
    add("--out-of-vocabulary", choices=("mask", "count-wrong"), default="mask")
    add("--explain", metavar="QUESTION_ID", help="show every normalisation step of one question")
    add("--resamples", type=int, default=10_000, help="of the interval's bootstrap; 0 for none")
    add("--csv", type=Path, metavar="FILE", help="write the figures as CSV")
    add("--per-question", action="store_true", help="with --json or --csv: every question's score")
    add("--json", action="store_true", help="print the result as JSON")


@no_collection()
def run(args: argparse.Namespace) -> int:
    """Score, and print a table, JSON, an explanation or the differences between two protocols."""
    from vqa.evaluation.coverage import IdMismatch
    from vqa.evaluation.scoring import read_request

    request, protocols = _request(args)
    try:
        joined = read_request(request)
    except IdMismatch as error:
        if args.json:
            print(json.dumps(error.to_json()))
        elif not error.shown_whole:
            print("vqa: note: --json prints every id", file=sys.stderr)
        raise
    if not args.protocol:  # one to score --against may be given all the same
        protocols = [_default_protocol(joined), *protocols]
        _check_differ(protocols)
    if args.explain is not None:
        return _explain(args, joined, protocols)
    return _score(args, request, joined, protocols)


def _request(args: argparse.Namespace) -> tuple[ScoreRequest, list[str]]:
    from vqa.errors import InputError
    from vqa.evaluation.bootstrap import check_resamples
    from vqa.evaluation.protocols import PROTOCOLS
    from vqa.evaluation.scoring import ScoreRequest

    if args.explain is not None and args.csv:
        raise InputError("--explain writes no CSV", where="vqa score", fix="leave one of them out")
    protocols = [*(args.protocol or []), *([args.against] if args.against else [])]
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise InputError(f"no protocol {unknown[0]!r}", fix=f"one of {', '.join(PROTOCOLS)}")
    _check_differ(protocols)
    if len(protocols) > 2:
        raise InputError("more than two protocols at once", fix="compare them two by two")
    check_resamples(args.resamples, none=True)
    request = ScoreRequest(
        results=args.results,
        questions=args.questions,
        annotations=args.annotations,
        choices=args.choices,
        split=args.split,
        allow_missing=args.allow_missing,
        out_of_vocabulary=args.out_of_vocabulary,
        resamples=args.resamples,
    )
    return request, protocols


def _check_differ(protocols: Sequence[str]) -> None:
    from vqa.errors import InputError

    if len(protocols) != len(set(protocols)):
        raise InputError("the same protocol twice", where=protocols[0], fix="give two that differ")


def _default_protocol(joined: Joined) -> str:
    from vqa.evaluation.protocols import protocol_for

    return joined.truth.protocol or protocol_for(joined.predictions)


def _score(
    args: argparse.Namespace, request: ScoreRequest, joined: Joined, protocols: list[str]
) -> int:
    from vqa.evaluation.files import write_atomically
    from vqa.evaluation.scoring import score_joined
    from vqa.evaluation.table import to_csv, to_text

    results = [score_joined(joined, name, request) for name in protocols]
    if args.csv:
        write_atomically(args.csv, [to_csv(results, per_question=args.per_question)])
    if len(results) == 2:
        return _difference(args, results[0], results[1])
    if args.json:
        print(json.dumps(results[0].to_json(per_question=args.per_question)))
    else:
        print(to_text(results[0]), end="")
    return 0


def _difference(args: argparse.Namespace, first: EvaluationResult, second: EvaluationResult) -> int:
    from vqa.evaluation.scoring import differing
    from vqa.evaluation.table import columns

    found = differing(first, second)
    if args.json:
        results = [item.to_json(per_question=args.per_question) for item in (first, second)]
        print(json.dumps({"results": results, "differing": found, "n_differing": len(found)}))
        return 0
    for result in (first, second):
        print(f"{result.protocol}: {result.overall:.2f}")
    print(f"{len(found)} of {first.n} questions differ")
    names = ("question_id", "answer", first.protocol, second.protocol)
    rows = ([row["question_id"], *(_cell(row[name]) for name in names[1:])] for row in found)
    lines = columns([names, *rows])
    print("\n".join(lines if found else []))
    return 0


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "–" if value is None else ascii(value)


def _explain(args: argparse.Namespace, joined: Joined, protocols: list[str]) -> int:
    from vqa.evaluation.explain import explain_question
    from vqa.evaluation.scoring import find

    item = find(joined.predictions, args.explain)
    shown = {name: explain_question(item, name, args.out_of_vocabulary) for name in protocols}
    if args.json:
        print(json.dumps({"question_id": item.question_id, "explanation": shown}))
    else:
        print("\n\n".join("\n".join(lines) for lines in shown.values()))
    return 0
