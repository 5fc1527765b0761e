"""What `vqa train` prints when a run has succeeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vqa.cli import main
from vqa.config import Experiment


def test_a_figure_is_printed_with_what_it_has_to_be_read_against(
    experiment: Callable[..., Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = "vqa-accuracy/since-2021"
    made = experiment(trainer={"max_steps": 1}, evaluation={"protocol": protocol})
    config = tmp_path / "experiment.yaml"
    config.write_text(made.to_yaml())
    assert main(["train", str(config), "--run", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert protocol in printed
    assert "note: " in printed
    assert "score 0 by this rule; exact/1 suits them" in printed
