"""vqa prepare features CONFIG [key.path=value …]"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.commands.preparation import preparation_of
from vqa.formatting import size

if TYPE_CHECKING:
    import numpy as np

    from vqa.config import Experiment
    from vqa.data.cache.layout import Layout
    from vqa.data.cache.rows import RowFile
    from vqa.data.store import Store
    from vqa.model.parts import ImageEncoder


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Make the features of a frozen image encoder, once for all experiments that share encoder, weights, "
        "picture size and precision. Training does the same on its first use; this does it ahead, and goes on "
        "where an earlier call was interrupted. Several calls at once share the work."
    )
    add = parser.add_argument
    add("config", type=Path, metavar="CONFIG", help="an experiment, in YAML")
    add("overrides", nargs="*", default=[], metavar="key.path=value", help="changes to it")
    add("--split", action="append", default=[], metavar="S",
        help="only the pictures of this split (may be repeated; default: all)")  # fmt: skip
    add("--estimate", action="store_true", help="say what it would take, and make nothing")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the features; 0 where they stand."""
    from vqa.training.process import settle

    settle()
    from vqa.config import load_experiment
    from vqa.data.store import Store

    experiment = load_experiment(args.config, args.overrides)
    _check(experiment)
    with preparation_of(args.config):
        store = Store.open(experiment.data.store)
    rows = image_rows(store, args.split)
    facts = _made(store, experiment, rows, estimate=args.estimate)
    print(json.dumps(facts, indent=2) if args.json else _text(facts))
    return 0


def _check(experiment: Experiment) -> None:
    from vqa.data.cache.rule import obstacle
    from vqa.errors import ConfigError

    reason = obstacle(experiment)
    if reason is not None:
        raise ConfigError(
            f"features cannot be kept: {reason}",
            where="model.image_encoder",
            fix="use model.image_encoder.frozen=true and no data.augmentation",
        )


def image_rows(store: Store, splits: list[str]) -> np.ndarray:
    """The images of some splits, each once, ascending; of all where none is named."""
    import numpy as np

    if not splits:
        return np.arange(store.manifest.images)
    found = np.concatenate([store.image_rows[store.rows(split)] for split in splits])
    rows: np.ndarray = np.unique(found)
    return rows


def _made(
    store: Store, experiment: Experiment, rows: np.ndarray, *, estimate: bool
) -> dict[str, Any]:
    """Make what is missing, unless it is only to be estimated; what `--json` prints."""
    from vqa.data.cache.features import features_layout, features_maker
    from vqa.data.cache.fill import fill
    from vqa.data.cache.place import workplace
    from vqa.data.cache.rows import find_kept, open_rows
    from vqa.errors import ModelError
    from vqa.training.hardware import choose_device

    started = time.monotonic()
    experiment = _settled(experiment)
    try:
        encoder = _encoder(experiment)
    except ModelError as error:
        if not estimate:
            raise
        layout = features_layout(store, experiment, _encoder(experiment, pretrained=False))
        _say(f"the estimate is made without the weights: {error}")
        return _facts(layout, workplace(store, layout.name).parent, rows, None, started)
    layout = features_layout(store, experiment, encoder)
    kept = find_kept(store, layout, rows)
    if kept is not None:
        return _facts(layout, kept.folder, rows, kept, started) | {"made": 0}
    folder = workplace(store, layout.name)
    if estimate:
        return _facts(layout, folder, rows, None, started)
    file, troubles = open_rows(folder, layout)
    for trouble in troubles:
        _say(trouble)
    device = choose_device(experiment.trainer)
    before = len(file.missing(rows))
    fill(file, rows, features_maker(store, experiment, encoder, device))
    return _facts(layout, folder, rows, file, started) | {"made": before}


def _settled(experiment: Experiment) -> Experiment:
    """With what a precision of `auto` becomes here."""
    from vqa.training.hardware import choose_device
    from vqa.training.precision import settled

    auto = experiment.trainer.precision == "auto"
    return settled(experiment, choose_device(experiment.trainer)) if auto else experiment


def _encoder(experiment: Experiment, *, pretrained: bool = True) -> ImageEncoder:
    from vqa.lightning import import_lightning

    import_lightning()
    from pytorch_lightning import seed_everything

    from vqa.training.session import quiet

    with quiet():
        seed_everything(experiment.seed, verbose=False)  # weights that are random follow from it
    build = experiment.model.image_encoder.build
    return build(experiment.data.image_size, pretrained=pretrained)


def _facts(
    layout: Layout, folder: Path, rows: np.ndarray, file: RowFile | None, started: float
) -> dict[str, Any]:
    from vqa.data.cache.place import free_bytes

    return {
        "path": str(folder),
        "pictures": len(rows),
        "shape": list(layout.shape),
        "dtype": layout.dtype,
        "bytes": len(rows) * layout.row_bytes,
        "free_bytes": free_bytes(folder),
        "complete": file is not None,
        "seconds": round(time.monotonic() - started, 3),
    }


def _text(facts: dict[str, Any]) -> str:
    shape = "×".join(map(str, facts["shape"]))
    what = f"{facts['pictures']:,} pictures, {shape} {facts['dtype']} each, {size(facts['bytes'])}"
    if not facts["complete"]:
        return f"{facts['path']}: would hold {what}; {size(facts['free_bytes'])} are free"
    return f"{facts['path']}: {what}; {facts['made']:,} made in {facts['seconds']:.1f} s"


def _say(text: str) -> None:
    import sys

    print(f"vqa: {text}", file=sys.stderr)
