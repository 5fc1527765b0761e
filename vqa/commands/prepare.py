"""vqa prepare SOURCE INPUT… --to STORE; vqa prepare features CONFIG; vqa prepare regions STORE FILE…"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vqa.errors import InputError
from vqa.names import nearest

if TYPE_CHECKING:
    from vqa.data.published.compare import Compared
    from vqa.data.record import Source
    from vqa.data.store import Store


class Entry(NamedTuple):
    """Where a source's options are added and read, and what it is."""

    module: str
    help: str


SOURCES = {
    "scenes": Entry("scenes.source", "generated scenes with questions and four choices"),
    "sort-of-clevr": Entry("scenes.sort_of_clevr", "Sort-of-CLEVR, generated as published"),
    "shapes-style": Entry("shapes_style", "generated yes/no questions in the style of SHAPES"),
    "easy-vqa": Entry("easy_vqa", "easy-VQA: its folder"),
    "puzzle-vqa": Entry("puzzle_vqa", "PuzzleVQA: its folder"),
    "vqa": Entry("vqa", "VQA v1 and v2: questions and annotations files, folders of images"),
    "visual7w": Entry("visual7w", "Visual7W telling: its JSON file, folder of images"),
    "clevr": Entry("clevr", "CLEVR: its folder, or questions files"),
    "gqa": Entry("gqa", "GQA: the folder of its questions, or questions files"),
    "coco-qa": Entry("coco_qa", "COCO-QA: its folder, folders of COCO"),
    "daquar": Entry("daquar", "DAQUAR, full or reduced: files of questions and answers"),
    "vqa-rad": Entry("vqa_rad", "VQA-RAD: its JSON file, folder of images"),
    "slake": Entry("slake", "SLAKE: its folder"),
    "shapes": Entry("shapes", "SHAPES: its folder of arrays"),
    "nlvr": Entry("nlvr", "NLVR: its folder"),
    "tdiuc": Entry("tdiuc", "TDIUC: its folder"),
    "vqa-cp": Entry("vqa_cp", "VQA-CP v1 and v2: questions files, folders of COCO"),
    "textvqa": Entry("textvqa", "TextVQA: its JSON files, folder of images"),
    "vizwiz": Entry("vizwiz", "VizWiz: its folder, folder of images"),
    "hub": Entry("hub", "any set of the Hugging Face hub, or a folder in its layout, by columns"),
    "table": Entry("table", "your own JSON, JSON Lines, CSV or Parquet files"),
}
BESIDE = ("features", "regions")
"""What is prepared beside a store; each has a command of its own."""
SHOWN = 5
"""Records left out that a report shows, and their reasons."""
PLAIN_STEP = 50_000
"""Without a terminal, a line of progress stands after every so many records."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments; those of a source are added when it is known which."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = "\n".join(f"  {name:<14} {entry.help}" for name, entry in SOURCES.items())
    parser.description = "Turn a data set into a store. Sources:\n\n" + listed
    parser.epilog = (
        "vqa prepare SOURCE --help tells the options of a source.\n"
        "vqa prepare features CONFIG makes the features of an experiment's frozen image encoder.\n"
        "vqa prepare regions STORE FILE… brings in the regions that a detector found elsewhere."
    )
    parser.add_argument("source", metavar="SOURCE", help="one of the above")
    parser.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="INPUT… --to STORE", help="see SOURCE --help"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare; 0 where a store stands."""
    if args.source in BESIDE:
        return _beside(args.source, args.rest)
    if args.source not in SOURCES:
        raise _unknown(args.source)
    module = import_module(f"vqa.data.sources.{SOURCES[args.source].module}")
    parser = argparse.ArgumentParser(
        prog=f"vqa prepare {args.source}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.description = SOURCES[args.source].help
    module.configure(parser)
    _add_common(parser)
    options = parser.parse_args(args.rest)
    started = time.monotonic()
    source = module.from_args(options)
    store = _prepare(_split(source, options), args.source, options)
    kin = getattr(source, "resembles", None)
    published = [] if options.split_by_image or kin else _published(store, args.source, source)
    _report(store, published, kin, time.monotonic() - started, options.json)
    return 0


def _published(store: Store, name: str, source: Source) -> list[Compared]:
    """The store's numbers beside the published ones; [] where none are known."""
    from vqa.data.published.compare import compare

    return compare(store, name, getattr(source, "version", None))


def _beside(name: str, words: list[str]) -> int:
    module = import_module(f"vqa.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"vqa prepare {name}")
    module.configure(parser)
    return int(module.run(parser.parse_intermixed_args(words)))


def _unknown(name: str) -> InputError:
    fix = nearest(name, [*SOURCES, *BESIDE])
    return InputError(f"no source {name!r}", where="vqa prepare", fix=fix)


def _add_common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the store")
    add = group.add_argument
    add("--to", type=Path, required=True, metavar="STORE", help="folder to make")
    add("--overwrite", action="store_true", help="replace a store that stands there")
    add("--max-bad", type=_count, default=0, metavar="N",
        help="go on without up to N records that cannot be used (default 0)")  # fmt: skip
    add("--link-images", action="store_true", help="keep paths of images instead of their bytes")
    add("--text-only", action="store_true", help="read no image: for question-only baselines")
    add("--split-by-image", metavar="SHARES",
        help="split anew, no image in two splits: train=0.8,val=0.1,test=0.1")  # fmt: skip
    add("--seed", type=int, default=0, metavar="S", help="of everything drawn (default 0)")
    add("--json", action="store_true", help="print the result as JSON")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("0 or more is needed")
    return value


def _split(source: Source, options: argparse.Namespace) -> Source:
    if options.split_by_image is None:
        return source
    from vqa.data.sources.split import SplitByImage, parse_shares

    return SplitByImage(source, parse_shares(options.split_by_image), options.seed)


def _prepare(source: Source, name: str, options: argparse.Namespace) -> Store:
    from vqa.data.prepare import UnusableRecords, prepare

    progress = _Progress()
    try:
        with closing(progress):
            return prepare(
                source,
                options.to,
                name=name,
                max_bad=options.max_bad,
                overwrite=options.overwrite,
                link_images=options.link_images,
                text_only=options.text_only,
                progress=progress,
                told=lambda text: print(f"note: {text}", file=sys.stderr),
            )
    except UnusableRecords as error:
        if options.json:
            print(json.dumps(error.to_json(), ensure_ascii=False, indent=2))
        if (kin := getattr(source, "resembles", None)) is not None:
            print(f"vqa: these files look like {kin}", file=sys.stderr)
        raise


class _Progress:
    """One line that moves on a terminal; now and then a line elsewhere. Stands on stderr."""

    def __init__(self) -> None:
        self._started, self._moving = time.monotonic(), sys.stderr.isatty()

    def __call__(self, read: int, bad: int) -> None:
        line = f"{read:,} records, {bad:,} unusable, {time.monotonic() - self._started:.0f} s"
        if self._moving:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif read % PLAIN_STEP == 0 and read:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line clear for what follows."""
        if self._moving:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _report(
    store: Store, published: Sequence[Compared], kin: str | None, seconds: float, as_json: bool
) -> None:
    """Say what was made; `kin` is what the files look like that are not the published set itself."""
    compared = {"published": [one.to_json() for one in published], "looks_like": kin}
    facts = summary(store, seconds) | compared
    from vqa.data.record import first_of_each_reason

    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for split, count in facts["splits"].items():
        without = " without answers" if split in facts["without_answers"] else ""
        print(f"{split:<12} {count:>10,} questions{without}")
    images = "images, none of them read" if facts["text_only"] else "images"
    print(f"{'':<12} {facts['images']:>10,} {images}")
    if facts["rejected"]:
        print(f"{'':<12} {facts['rejected']:>10,} records left out ({facts['rejected_file']})")
        for line in first_of_each_reason(store.rejected(), SHOWN):
            print(f"  {line}")
    for one in published:
        print(one.line())
    if kin is not None:
        print(
            f"{store.manifest.source}: these files look like {kin}; not compared with its numbers"
        )
    print(f"fingerprint {store.fingerprint}")
    print(f"{store.path}: prepared in {seconds:.1f} s")


def summary(store: Store, seconds: float) -> dict[str, Any]:
    """What `--json` prints."""
    manifest = store.manifest
    return {
        "store": str(store.path),
        "source": manifest.source,
        "splits": manifest.splits,
        "without_answers": _without_answers(store),
        "questions": sum(manifest.splits.values()),
        "images": manifest.images,
        "text_only": manifest.text_only,
        "rejected": manifest.rejected,
        "first_rejected": [asdict(row) for row in store.rejected(limit=SHOWN)],
        "rejected_file": str(store.path / "rejected.jsonl") if manifest.rejected else None,
        "fingerprint": manifest.fingerprint,
        "seconds": round(seconds, 3),
    }


def _without_answers(store: Store) -> list[str]:
    """The splits whose answers are withheld: of all their questions, so that one tells."""
    from vqa.data.record import NO_LABEL

    firsts = {split: store.example(int(store.rows(split)[0])) for split in store.manifest.splits}
    return [name for name, one in firsts.items() if not one.answers and one.label == NO_LABEL]
