"""vqa inspect STORE"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqa.formatting import size

SHOWN_TYPES = 12
UNEVEN = 0.001
"""Below this probability the places of the right choice are called different."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("store", type=Path, metavar="STORE", help="a prepared store")
    parser.add_argument(
        "--image-size", type=_side, nargs="+", default=[64], metavar="PIXELS",
        help="side, or height and width, for the estimate of memory (default 64)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Tell what is in the store; 0."""
    from vqa.data.inspect import inspect
    from vqa.data.store import Store
    from vqa.errors import InputError

    if len(args.image_size) > 2:
        raise InputError("one or two numbers are needed", where="--image-size")
    _check_here(args.store)
    found = inspect(Store.open(args.store), (args.image_size[0], args.image_size[-1]))
    text = json.dumps(found, ensure_ascii=False, indent=2) if args.json else "\n".join(lines(found))
    print(text)
    return 0


def _check_here(store: Path) -> None:
    """Say where a server's store is looked into.

    Raises:
        InputError: there is none on this machine, and VQA_SERVER names a server.
    """
    from vqa.errors import InputError
    from vqa.jobs.connect import server

    away = server()
    if away is not None and not store.exists():
        fix = f"vqa list stores shows those of the server; what is in one, {away}/data shows"
        raise InputError("no prepared store on this machine", where=str(store), fix=fix)


def _side(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 4096:
        raise argparse.ArgumentTypeError("1 to 4096 is needed")
    return value


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What `inspect` found, to read."""
    yield f"{found['store']} ({found['source']})"
    pictures = " (text only)" if found["text_only"] else ""
    yield f"  {found['questions']:,} questions, {found['images']:,} images{pictures}"
    if found["rejected"]:
        yield f"  {found['rejected']:,} records were left out, see rejected.jsonl"
        for one in found["rejected_reasons"]:
            yield f"    {one['records']:>9,}  {one['reason']}"
    yield f"  fingerprint {found['fingerprint']}"
    for name, split in found["splits"].items():
        yield ""
        yield from _split(name, split)
    yield ""
    yield from _leakage(found)
    yield from _repeated(found["repeated"])
    yield from _coverage(found["coverage"])
    yield from _estimate(found["estimate"])
    for one in found["cache"]:
        yield f"kept: {one['kind']} {size(one['bytes'])}{': ' * bool(one['about'])}{one['about']} ({one['path']})"


def _split(name: str, split: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: {split['questions']:,} questions on {split['images']:,} images"
    words = split["question_words"]
    yield (
        f"  words        {words['min']} to {words['max']}, "
        f"mean {words['mean']:.1f}, 95 % have at most {words['p95']:.0f}"
    )
    yield from _answers(split["answers"])
    yield _row("answers each", split["answers_per_question"])
    if split["choices"]:
        choices = split["choices"]
        yield _row("choices each", choices["per_question"])
        yield _row("right place", choices["right_place"]) + _evenness(choices["right_place_p"])
        yield f"  chance       {choices['chance_percent']:.2f} %"
    for title, key in (("types", "question_types"), ("answer types", "answer_types")):
        if split[key]:
            yield _row(title, split[key])


def _evenness(p: float | None) -> str:
    if p is None:
        return ""
    return f" (places {'differ, ' if p < UNEVEN else 'alike, '}p = {p:.2g})"


def _answers(answers: dict[str, Any]) -> Iterator[str]:
    if answers["without"]:
        yield f"  no answer    {answers['without']:,} questions"
    if answers["majority_percent"] is not None:
        yield (
            f"  answers      {answers['distinct']:,} distinct, "
            f"the most frequent {answers['majority_percent']:.2f} %"
        )
        yield _row("top answers", answers["top"])


def _row(title: str, counts: dict[str, int]) -> str:
    shown = [f"{name or '(none)'} {count:,}" for name, count in list(counts.items())[:SHOWN_TYPES]]
    more = [f"… {len(counts) - SHOWN_TYPES} more"] if len(counts) > SHOWN_TYPES else []
    return f"  {title:<12} {', '.join(shown + more)}"


def _leakage(found: dict[str, Any]) -> Iterator[str]:
    if not found["leakage"]:
        yield "shared images: none between splits"
        return
    yield "shared images (what a model saw in one split helps it in the other):"
    for pair in found["leakage"]:
        first, second = pair["splits"]
        content = "" if pair["by_content"] is None else f", {pair['by_content']:,} by content"
        yield (
            f"  {first} and {second}: {pair['by_id']:,} by id{content}; "
            f"{pair['questions']:,} questions of {second}"
        )


def _repeated(repeated: list[dict[str, Any]]) -> Iterator[str]:
    for pair in repeated:
        first, second = pair["splits"]
        yield (
            f"repeated questions: {pair['questions']:,} of {second} ({pair['percent']:.2f} %) stand "
            f"word for word in {first}, {pair['same_image']:,} about the same image"
        )


def _coverage(coverage: list[dict[str, Any]]) -> Iterator[str]:
    if coverage:
        yield "covered by the most frequent answers of train:"
    for item in coverage:
        name = (
            f"{item['answers']} ({item['vocabulary']:,})"
            if item["answers"] == "all"
            else f"{item['answers']:,}"
        )
        yield (
            f"  {name:<14} {item['split']:<10} {_percent(item['questions_percent'])} of questions, "
            f"{_percent(item['choices_percent'])} of choices"
        )


def _percent(value: float | None) -> str:
    return "     –  " if value is None else f"{value:6.2f} %"


def _estimate(estimate: dict[str, int]) -> Iterator[str]:
    pixels = f"{estimate['image_height']}×{estimate['image_width']}"
    yield f"on disk {size(estimate['disk_bytes'])}"
    yield (
        f"in memory {size(estimate['image_bytes'])} of pictures at {pixels}, "
        f"{size(estimate['token_bytes'])} of words, "
        f"{size(estimate['table_bytes'])} of answers and choices"
    )
