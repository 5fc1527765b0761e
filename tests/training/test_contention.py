"""A person hears that other programs take the cores from a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from vqa.config import Experiment
from vqa.training import loop
from vqa.training.contention import SECONDS, Contention
from vqa.training.run import train


@pytest.fixture
def waited(tmp_path: Path) -> Callable[[float], None]:
    """Sets the seconds that the thread has waited for a core, as the kernel tells them."""
    (tmp_path / "thread-self").mkdir()

    def told(seconds: float) -> None:
        text = f"99 {round(1e9 * seconds)} 7\n"
        (tmp_path / "thread-self" / "schedstat").write_text(text)

    told(5)
    return told


def watch(proc: Path, now: Iterator[float], threads: int = 2) -> Contention:
    return Contention(threads, proc, lambda: next(now))


def test_it_is_told_once(tmp_path: Path, waited: Callable[[float], None]) -> None:
    watched = watch(tmp_path, iter([100, 100 + SECONDS, 100 + 2 * SECONDS]))
    waited(5 + 0.44 * SECONDS)
    assert "training waited for one 44% of the last 10 seconds" in (watched.remark() or "")
    waited(5 + 0.88 * SECONDS)
    assert watched.remark() is None


def test_each_while_counts_alone(tmp_path: Path, waited: Callable[[float], None]) -> None:
    """What was quiet before hides nothing, and a moment is not looked at."""
    watched = watch(tmp_path, iter([0, 0.5 * SECONDS, 10 * SECONDS, 11 * SECONDS]))
    waited(5 + 0.4 * SECONDS)
    assert watched.remark() is None
    assert watched.remark() is None
    waited(5 + 0.7 * SECONDS)
    assert "30%" in (watched.remark() or "")


def test_one_thread_waits_for_no_other(tmp_path: Path, waited: Callable[[float], None]) -> None:
    watched = watch(tmp_path, iter([0, SECONDS]), threads=1)
    waited(5 + SECONDS)
    assert watched.remark() is None


@pytest.mark.parametrize("text", [None, "", "0 x 1"])
def test_a_kernel_that_does_not_count_is_not_asked(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "thread-self").mkdir()
        (tmp_path / "thread-self" / "schedstat").write_text(text)
    assert watch(tmp_path, iter([0, SECONDS])).remark() is None


def test_a_run_says_it(
    experiment: Callable[..., Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = Mock(return_value=Mock(remark=Mock(side_effect=["the cores are taken", *[None] * 99])))
    monkeypatch.setattr(loop, "Contention", made)
    train(experiment(trainer={"max_epochs": 1, "accelerator": "cpu"}), tmp_path)
    made.assert_called_once_with(torch.get_num_threads())
    assert capsys.readouterr().err.count("vqa: the cores are taken\n") == 1
    events = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert "the cores are taken" in [event.get("message") for event in events]
