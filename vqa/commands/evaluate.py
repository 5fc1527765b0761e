"""vqa evaluate RUN [--store STORE] [--split S] [--protocol NAME]"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--store", type=Path, help="another store than the one it was trained on")
    parser.add_argument(
        "--split", help="the split that is scored (default: as the experiment says)"
    )
    parser.add_argument(
        "--protocol",
        default=None,
        metavar="NAME",
        help="for example multiple-choice/1 (default: fits the data)",
    )
    parser.add_argument(
        "--out-of-vocabulary",
        choices=("mask", "count-wrong"),
        help="what a choice that a classifier cannot say gets",
    )
    parser.add_argument(
        "--batch-size", type=int, help="questions a forward pass; changes no figure"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Score a trained model and print the figures."""
    fields = evaluate(args)
    if args.json:
        print(json.dumps(fields, ensure_ascii=False, indent=2))
        return 0
    from vqa.commands.table import figures

    print(figures(fields))
    return 0


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Predict every question of the split once, write the predictions file, score it."""
    from vqa.data.store import Store
    from vqa.errors import InputError
    from vqa.evaluation.evaluate import has_truth, predict_split, score
    from vqa.evaluation.predictions import write_predictions
    from vqa.export import load
    from vqa.training.directory import RunDirectory
    from vqa.training.materials import choose_splits
    from vqa.training.session import choose_device

    if args.batch_size is not None and args.batch_size < 1:
        raise InputError("must be at least 1", where="--batch-size")
    directory = RunDirectory(args.run)
    experiment = directory.experiment()
    model = load(directory.path)
    store = Store.open(args.store or experiment.data.store)
    settings = experiment.evaluation
    split = args.split or choose_splits(store, experiment).evaluation
    store.rows(split)
    if store.fingerprint != model.data_fingerprint:
        print("vqa: note: this is not the store that the model was trained on", file=sys.stderr)
    predictions = predict_split(
        model,
        store,
        split,
        batch_size=args.batch_size or settings.batch_size,
        device=choose_device(experiment.trainer),
    )
    file = directory.predictions_file(
        split if args.store is None else f"{split}-{store.fingerprint[:12]}"
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    if not has_truth(predictions):
        write_predictions(file, predictions)
        note = f"split {split} has no answers: nothing was scored; predictions stand in {file}"
        return {
            "split": split,
            "data_fingerprint": store.fingerprint,
            "n": len(predictions),
            "notes": [note],
        }
    policy = args.out_of_vocabulary or settings.out_of_vocabulary
    result = score(predictions, args.protocol or settings.protocol, policy, file)
    return {**result.to_json(), "split": split, "data_fingerprint": store.fingerprint}
