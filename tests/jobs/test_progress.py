"""How far a run has come, from what it leaves on the disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from vqa.jobs.progress import TAIL_BYTES, read_overall, read_progress, read_warnings
from vqa.jobs.views import Progress


def write(file: Path, *records: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_of_a_run_that_was_resumed(tmp_path: Path) -> None:
    write(
        tmp_path / "events.jsonl",
        {"time": 100.0, "event": "started", "step": 0, "steps": 500},
        {"time": 150.0, "event": "warning", "message": "a checkpoint is passed over"},
        {"time": 160.0, "event": "lost", "reason": "rank 1 died of signal 9"},
        {"time": 200.0, "event": "resumed", "step": 100, "steps": 500},
    )
    write(
        tmp_path / "metrics.jsonl",
        {"step": 100, "epoch": 1, "time": 120.0, "val/accuracy": 71.5},
        {
            "step": 150,
            "epoch": 2,
            "time": 210.0,
            "train/loss": 0.5,
            "train/questions_per_second": 10.0,
        },
        {"step": 200, "epoch": 2, "time": 220.0, "val/accuracy": 70.0},
    )
    with (tmp_path / "metrics.jsonl").open("a") as journal:
        journal.write('{"step": 250, "epo')
    write(tmp_path / "heartbeats" / "0.json", {"beat": 3, "time": time.time() - 5})
    found = read_progress(tmp_path)
    assert found.model_copy(update={"heartbeat_age": None}) == Progress(
        step=200,
        steps=500,
        epoch=2,
        loss=0.5,
        best=71.5,
        questions_per_second=10.0,
        seconds_left=60.0,  # 300 steps at 5 a second
    )
    assert found.heartbeat_age is not None
    assert 4 < found.heartbeat_age < 30
    assert read_warnings(tmp_path) == [
        "a checkpoint is passed over",
        "lost: rank 1 died of signal 9",
    ]


def test_the_speed_of_a_run_that_has_ended_is_that_of_all_its_training(tmp_path: Path) -> None:
    """As a comparison shows it. The result of an attempt that goes on says nothing of the present."""
    write(tmp_path / "metrics.jsonl", {"step": 9, "train/questions_per_second": 10.0})
    assert read_progress(tmp_path, ended=True).questions_per_second == 10  # no result: killed
    for training, speed in ({"questions_per_second": 25.5}, 25.5), ({}, 10), (None, 10):
        (tmp_path / "result.json").write_text(json.dumps({"training": training}))
        assert read_progress(tmp_path, ended=True).questions_per_second == speed
        assert read_progress(tmp_path).questions_per_second == 10


def test_the_best_may_be_long_ago(tmp_path: Path) -> None:
    records = [{"step": k, "epoch": 0, "time": 1.0, "train/loss": 1.0} for k in range(5000)]
    write(tmp_path / "metrics.jsonl", {"step": 0, "time": 0.0, "val/accuracy": 99.5}, *records)
    assert (tmp_path / "metrics.jsonl").stat().st_size > TAIL_BYTES
    found = read_progress(tmp_path)
    assert (found.best, found.step) == (99.5, 4999)


def test_of_nothing_and_of_nonsense(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "none") == Progress()
    (tmp_path / "metrics.jsonl").write_text('[1]\n\x00\n{"step": 1, "train/loss": NaN}\n')
    (tmp_path / "events.jsonl").write_bytes(b"\xff\xfe\n")
    (tmp_path / "result.json").write_text("{")
    assert read_progress(tmp_path) == Progress(step=1)
    assert read_overall(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text('{"step": "many", "epoch": {}}\n')
    assert read_progress(tmp_path) == Progress()
