"""Names of curves, from the ends of journals."""

from __future__ import annotations

import json
from pathlib import Path

from vqa.tracking.names import LOOK_BYTES, recent_names


def test_validation_first_and_no_names_of_places(tmp_path: Path) -> None:
    journal = tmp_path / "metrics.jsonl"
    records = [
        {"step": 1, "epoch": 0, "time": 1.0, "train/loss": 2.0, "a": 1, "words": "no"},
        {"step": 2, "epoch": 0, "time": 2.0, "val/accuracy": 50, "train/lr": 0.1},
    ]
    journal.write_text("".join(json.dumps(one) + "\n" for one in records))
    assert recent_names([journal]) == ["val/accuracy", "train/loss", "train/lr", "a"]


def test_damage_and_length(tmp_path: Path) -> None:
    journal = tmp_path / "metrics.jsonl"
    line = json.dumps({"step": 1, "train/loss": 1.0}) + "\n"
    journal.write_text("[1]\n\x00{\n" + line * (2 * LOOK_BYTES // len(line)) + '{"step": 3, "cut')
    assert recent_names([journal, tmp_path / "none"]) == ["train/loss"]
