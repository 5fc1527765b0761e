"""`vqa report`: what it needs, and what it would make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ablation.runs import BASE, make_folder, make_run
from vqa.cli import main
from vqa.commands import report

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")
"""Inside wandb-workspaces."""

AXES = {"model.fusion": ["concat", "multiply"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "NETRC", "XDG_CONFIG_HOME", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    return make_folder(tmp_path / "runs", lambda labels: 0.4 + 0.3 * bool(labels), axes=AXES)


def call(*words: str) -> int:
    return main(["report", *words, "--resamples", "200"])


def test_what_would_be_made_is_printed_without_network_or_key(folder, capsys) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    assert call(str(folder), "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "report on (your own entity)/vqa, group g" in shown
    assert "multiply" in shown
    assert "[val/accuracy: accuracy on the validation split, 0 to 100]" in shown
    assert str(folder) not in shown
    assert call(str(folder), "--dry-run", "--json", "--entity", "team", "--project", "p") == 0
    text = capsys.readouterr().out
    made = json.loads(text)
    assert made["report"]["project"] == made["report"]["project"] | {
        "entityName": "team",
        "name": "p",
    }
    assert made["workspace"]["entity"] == "team"
    assert str(folder.parent) not in text


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WANDB_BASE_URL": "http://127.0.0.1:9"}, "no answer from http://127.0.0.1:9"),
        ({"WANDB_MODE": "offline"}, "WANDB_MODE"),
    ],
)
def test_without_a_network_it_says_what_is_needed(
    variables, said, folder, monkeypatch, capsys
) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert call(str(folder)) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "--dry-run" in err


def test_without_a_key_it_says_what_is_needed(folder, monkeypatch, capsys) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    from vqa.tracking import sender

    def no_key() -> None:
        raise sender.NoService("there is no API key, `wandb login` stores one")

    monkeypatch.setattr(sender, "check_reachable", lambda _: None)
    monkeypatch.setattr(sender, "check_key", no_key)
    assert call(str(folder)) == 2
    assert "a report is made online, and there is no API key" in capsys.readouterr().err


def test_without_the_package_it_says_what_to_install(folder, monkeypatch, capsys) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert call(str(folder), "--dry-run") == 2
    assert "pip install 'vqa-service[report]'" in capsys.readouterr().err


def test_runs_that_wandb_could_not_find_are_refused(tmp_path, folder, monkeypatch, capsys) -> None:
    monkeypatch.setattr("vqa.ablation.wandb_report.check_installed", lambda: None)
    loose = tmp_path / "loose"
    for seed in range(2):
        make_run(loose / f"r{seed}", {**BASE, "seed": seed}, 0.5)
    assert call(str(loose), "--dry-run") == 2
    assert "tracking.group: W&B finds runs by one group" in capsys.readouterr().err
    assert call("nowhere", "--dry-run") == 2
    assert "no run, folder or group 'nowhere'" in capsys.readouterr().err


def test_what_wandb_answers_is_told(folder, monkeypatch, capsys) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    monkeypatch.setattr(report, "_check_online", lambda: None)
    monkeypatch.setattr(
        "vqa.ablation.wandb_figures.log_comparison", lambda *_: (_ for _ in ()).throw(OSError("no"))
    )
    assert call(str(folder), "--entity", "team") == 1
    err = capsys.readouterr().err
    assert "team/vqa: W&B made no report (OSError: no)" in err
    assert "vqa sync GROUP" in err
