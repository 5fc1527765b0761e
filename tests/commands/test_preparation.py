"""A missing store is named with the command that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqa.cli import main

ROOT = Path(__file__).parents[2] / "configs"
SCENES = ROOT / "experiments" / "scenes.yaml"
CODES = "vqa prepare sort-of-clevr --questions codes --to stores/sort-of-clevr-codes"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VQA_SERVER", raising=False)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["train", SCENES, "--run", "run"], "vqa prepare scenes --to stores/scenes"),
        (["submit", ROOT / "recipes" / "sort_of_clevr_rn.yaml"], CODES),
        (
            ["ablate", ROOT / "ablations" / "fusion.yaml"],
            "vqa prepare scenes --images 2500 --to stores/scenes",
        ),
        (
            ["prepare", "features", ROOT / "recipes" / "clevr_film.yaml"],
            "vqa prepare clevr FOLDER --to stores/clevr",
        ),
    ],
)
def test_the_head_of_the_file_says_how_its_store_is_made(
    words: list[object], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.rstrip().endswith(f"no prepared store here — make one with: {command}")


@pytest.mark.parametrize("store", ["other", "other/stores/scenes", "stores/scenes-2"])
def test_another_store_is_not_made_by_it(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(SCENES), f"data.store={store}", "--run", "run"]) == 2
    said = capsys.readouterr().err
    assert f"{store}: no prepared store here — make one with: vqa prepare SOURCE" in said


def test_a_store_that_a_relative_path_no_longer_leads_to_is_told_by_all_of_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was trained in one folder is evaluated from another."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(SCENES), "data.store=s", "--run", "run"]) == 2
    assert f"vqa: {tmp_path}/s: no prepared store here" in capsys.readouterr().err
