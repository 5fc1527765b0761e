"""Which names a journal has."""

from __future__ import annotations

import json
from pathlib import Path

from vqa.tracking.curves import read_curves
from vqa.tracking.names import LOOK_BYTES, LOOKS, recent_names, sampled_names


def test_a_short_journal_is_read_whole(tmp_path: Path) -> None:
    lines = [{"step": 1, "a": 1}, {"step": 2, "b/c": 2.5, "text": "x"}, {"step": 3, "d": 1}]
    (tmp_path / "j").write_text("\n".join(["{broken", *map(json.dumps, lines), ""]))
    assert sampled_names(tmp_path / "j") == ["a", "b/c", "d"]
    assert sampled_names(tmp_path / "none") == []
    (tmp_path / "j").write_text("")
    assert sampled_names(tmp_path / "j") == []


def test_of_a_long_one_what_comes_again_and_again(tmp_path: Path) -> None:
    size = 0
    with (tmp_path / "j").open("w") as file:
        step = 0
        while size < 3 * LOOKS * LOOK_BYTES:
            record = {"step": step, "train/loss": 0.5} | (
                {"val/accuracy": 1} if step % 500 == 0 else {}
            )
            size += file.write(json.dumps(record) + "\n")
            step += 1
    assert sampled_names(tmp_path / "j") == list(read_curves(tmp_path / "j").by_name)


def test_recent_ones_have_validation_first(tmp_path: Path) -> None:
    journal = tmp_path / "metrics.jsonl"
    records = [
        {"step": 1, "epoch": 0, "time": 1.0, "train/loss": 2.0, "a": 1, "words": "no"},
        {"step": 2, "epoch": 0, "time": 2.0, "val/accuracy": 50, "train/lr": 0.1},
    ]
    journal.write_text("".join(json.dumps(one) + "\n" for one in records))
    assert recent_names([journal]) == ["val/accuracy", "train/loss", "train/lr", "a"]


def test_recent_ones_of_damaged_and_long_journals(tmp_path: Path) -> None:
    journal = tmp_path / "metrics.jsonl"
    line = json.dumps({"step": 1, "train/loss": 1.0}) + "\n"
    journal.write_text("[1]\n\x00{\n" + line * (2 * LOOK_BYTES // len(line)) + '{"step": 3, "cut')
    assert recent_names([journal, tmp_path / "none"]) == ["train/loss"]
