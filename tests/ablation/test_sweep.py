"""W&B sweeps: the file is sound, and the command line that W&B's agent builds from it trains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from vqa.ablation import sweep
from vqa.ablation.paths import check_path
from vqa.config import Experiment, load_experiment

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))


def command_line(config: dict[str, Any], chosen: dict[str, Any]) -> list[str]:
    """What the agent would run: its own functions fill in the arguments."""
    words: dict[str, Any] = create_sweep_command_args(
        {"args": {key: {"value": one} for key, one in chosen.items()}}
    )
    words |= {"env": [], "interpreter": [sys.executable], "program": [config["program"]]}
    found: list[str] = []
    for word in create_sweep_command(config["command"]):
        name = word.removeprefix("${").removesuffix("}")
        found += words[name] if word.startswith("${") else [word]
    return found


def first_values(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: one["values"][0] if "values" in one else one["min"]
        for key, one in config["parameters"].items()
    }


def test_there_is_a_sweep() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_parameter_is_a_key_of_an_experiment(file: Path) -> None:
    config = yaml.safe_load(file.read_text())
    base = next(word for word in config["command"] if word.endswith(".yaml"))
    for path, values in config["parameters"].items():
        check_path(path, where=str(file))
        for value in values.get("values", [values.get("min")]):
            load_experiment(ROOT / base, [sweep.as_yaml(f"{path}={value}")])
    assert (ROOT / config["program"]).is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_agents_command_line_trains(
    file: Path, experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    config = yaml.safe_load(file.read_text())
    words = command_line(config, first_values(config))
    base = next(word for word in words if word.endswith(".yaml"))
    small = tmp_path / "small.yaml"
    small.write_text(experiment(trainer={"max_epochs": 1}).to_yaml())
    words[words.index(base)] = str(small)
    environment = {
        "WANDB_SWEEP_ID": "ab12",
        "WANDB_RUN_ID": "r1",
        "WANDB_MODE": "disabled",
        "PYTHONPATH": str(ROOT),
    }
    import os

    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "sweeps" / "ab12" / "r1"
    assert json.loads((run / "result.json").read_text())["status"] == "succeeded"
    assert (run / "wandb_id").read_text() == "r1\n"
    assert (
        load_experiment(run / "experiment.yaml").model.fusion.name
        == first_values(config)["model.fusion"]
    )


def test_what_w_and_b_writes_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("data: {store: x}\n")
    chosen = {
        "trainer.gradient_clip_val": None,
        "model.coordinates": True,
        "model.attention": {"name": "soft", "glimpses": 3},
        "model.fusion": {"name": "concat", "hidden": [8, 4]},
        "optimizer.lr": 1e-05,
    }
    args = create_sweep_command_args(
        {"args": {key: {"value": one} for key, one in chosen.items()}}
    )["args_no_hyphens"]
    made = load_experiment(file, [sweep.as_yaml(text) for text in args])
    assert made.trainer.gradient_clip_val is None
    assert made.model.coordinates is True
    assert made.model.attention.glimpses == 3
    assert made.model.fusion.hidden == (8, 4)
    assert made.optimizer.lr == pytest.approx(1e-5)


@pytest.mark.parametrize("given", ["..", "a b", "-x"])
def test_an_id_is_no_path(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_RUN_ID", given)
    (tmp_path / "e.yaml").write_text("data: {store: x}\n")
    assert sweep.main(["e.yaml"]) == 2
    assert "is no id" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["e.yaml"]


def test_a_wrong_parameter_exits_with_two(tmp_path: Path, capsys) -> None:
    (tmp_path / "e.yaml").write_text("data: {store: x}\n")
    assert sweep.main([str(tmp_path / "e.yaml"), "model.fusoin=sum"]) == 2
    assert "did you mean 'fusion'?" in capsys.readouterr().err
