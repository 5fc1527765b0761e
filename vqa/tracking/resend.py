"""Send a run's journal to W&B again: for a run that was offline, was cut off, or was not mirrored at all."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa.config import Experiment, parse_experiment
from vqa.errors import RunError, VQAError
from vqa.outputs import naming
from vqa.tracking.identity import sender_setup
from vqa.tracking.journal import read_journal
from vqa.tracking.link import Link
from vqa.tracking.listener import result_on_disk
from vqa.tracking.sender import SENT_FILE, journal_digest
from vqa.yaml_file import read_yaml

UPLOAD_SECONDS = 600.0


@dataclass(frozen=True)
class Sent:
    """What became of one run.

    Attributes:
        run: its directory.
        status: `sent`, `offline` (written as an offline W&B run), `already sent`, `failed`, or
            `left out` (damaged, or still being trained).
        records: of the journal.
        url: where W&B shows it.
        path: W&B's own files of it.
        message: why not online, where that was wanted.
    """

    run: str
    status: str
    records: int
    url: str | None = None
    path: str | None = None
    message: str | None = None


def find_runs(paths: list[Path]) -> list[Path]:
    """The run directories among `paths`, and those directly inside a path that is no run itself.

    Raises:
        RunError: a path holds no run.
    """
    found: list[Path] = []
    for path in paths:
        inside = [path] if _is_run(path) else sorted(p for p in _children(path) if _is_run(p))
        if not inside:
            raise RunError("no run here", where=str(path), fix="give what `vqa train --run` made")
        found += inside
    return list(dict.fromkeys(item.resolve() for item in found))


def resend(run_dir: Path, *, mode: str = "online", again: bool = False) -> Sent:
    """Send experiment, journal, result, tables and artifacts under the run's own W&B id.

    Args:
        mode: `online`, which falls back on offline where W&B cannot be reached or there is no key, or `offline`.
        again: send what W&B already has; records sent twice stand twice in its history, at the same step.

    Raises:
        InputError: the directory's experiment or journal is damaged, or the run is still being trained.
    """
    experiment = _experiment(run_dir)
    _check_idle(run_dir)
    records = list(read_journal(run_dir / "metrics.jsonl"))
    earlier = _already_sent(run_dir)
    if mode == "online" and earlier is not None and not again:
        return Sent(str(run_dir), "already sent", len(records), url=earlier)
    messages: list[str] = []
    samples = _samples(run_dir, experiment, messages.append)
    link = Link(sender_setup(experiment, run_dir, mode, UPLOAD_SECONDS), messages.append)
    for record in records:
        link.put_patiently({"record": record})
    if samples is not None:
        link.put_patiently({"samples": str(samples)})
    done = link.close(UPLOAD_SECONDS + 60)
    return _report(run_dir, len(records), link.opened, done, messages)


def _report(
    run_dir: Path, records: int, opened: dict[str, Any], done: bool, messages: list[str]
) -> Sent:
    online = opened.get("mode") == "online"
    status = "failed" if not done else "sent" if online else "offline"
    message = "; ".join(messages) or None
    return Sent(str(run_dir), status, records, opened.get("url"), opened.get("path"), message)


def _already_sent(run_dir: Path) -> str | None:
    """The address of the run in W&B, where that has all that stands in the directory now."""
    try:
        noted = json.loads((run_dir / "wandb" / SENT_FILE).read_text(encoding="utf-8"))
        return str(noted["url"]) if noted["digest"] == journal_digest(run_dir) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _samples(run_dir: Path, experiment: Experiment, say: Callable[[str], None]) -> Path | None:
    """The folder of sample predictions; made now, from model, store and predictions, where it is missing."""
    folder = run_dir / "wandb" / "samples"
    if (folder / "table.json").exists():
        return folder
    if not experiment.tracking.samples or not (run_dir / "model" / "model.json").exists():
        return None
    try:
        return _make_samples(run_dir, experiment)
    except (VQAError, OSError, ValueError, KeyError) as error:
        say(f"no sample predictions ({error})")
        return None


def _make_samples(run_dir: Path, experiment: Experiment) -> Path | None:
    from vqa.data.store import Store
    from vqa.evaluation.predictions import predictions_file, read_predictions
    from vqa.export import load
    from vqa.tracking.samples import write_samples

    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    file = predictions_file(run_dir, result["split"])
    if not file.exists():
        return None
    store = Store.open(experiment.data.store)
    predictions = read_predictions(file)
    count = experiment.tracking.samples
    return write_samples(run_dir, load(run_dir), store, predictions, count)


def _experiment(run_dir: Path) -> Experiment:
    """As it was submitted, but for a precision of `auto`: what that became stands in the result."""
    file = run_dir / "experiment.yaml"
    experiment = parse_experiment(read_yaml(file), where=str(file))
    became = result_on_disk(run_dir).get("precision")
    return experiment.with_precision(became) if became else experiment


def _check_idle(run_dir: Path) -> None:
    """Refuse a run whose trainer is at work: it keeps an exclusive lock on this file."""
    if not (run_dir / ".lock").exists():
        return
    with naming(run_dir / ".lock"), (run_dir / ".lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                "is still being trained", where=str(run_dir), fix="sync it when it has ended"
            ) from None


def _is_run(path: Path) -> bool:
    return (path / "experiment.yaml").is_file()


def _children(path: Path) -> list[Path]:
    return [child for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
