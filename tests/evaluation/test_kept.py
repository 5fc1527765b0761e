"""Scores that are kept, so that a run's predictions are read once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.ablation.runs import BASE, make_run
from vqa.errors import InputError
from vqa.evaluation import kept as module
from vqa.evaluation.kept import KeptRuns
from vqa.evaluation.runs import Run, load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", BASE | {"seed": 3}, 0.5)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Runs whose predictions were read."""
    found: list[Path] = []

    def noted(path: Path, **given: str) -> Run:
        found.append(path)
        return load_run(path, **given)

    monkeypatch.setattr(module, "load_run", noted)
    return found


def load(tmp_path: Path, run: Path) -> Run:
    """As another process does."""
    return KeptRuns(tmp_path / "kept").load(run)


def check_same(kept: Run, whole: Run) -> None:
    assert (kept.name, kept.identity, kept.seed) == (whole.name, whole.identity, whole.seed)
    assert np.array_equal(kept.scores, whole.scores)
    for one, other in zip(kept.predictions, whole.predictions, strict=True):
        assert [getattr(one, name) for name in module.ASKED] == [
            getattr(other, name) for name in module.ASKED
        ]


def test_a_run_is_read_once_and_then_the_same(tmp_path: Path, run: Path, read: list[Path]) -> None:
    for _ in range(3):
        check_same(load(tmp_path, run), load_run(run))
    assert read == [run]


def test_scores_by_the_rules_of_an_older_program_are_not_believed(
    tmp_path: Path, run: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second version kept what VQA accuracy made of choices before it read their scores."""
    with monkeypatch.context() as older:
        older.setattr(module, "VERSION", 2)
        load(tmp_path, run)
    load(tmp_path, run)
    assert read == [run, run]


def test_runs_on_the_same_questions_keep_them_once(tmp_path: Path, run: Path) -> None:
    other = make_run(tmp_path / "other", BASE | {"seed": 4}, 0.9)
    for one in (run, other):
        load(tmp_path, one)
    files = [file.suffix for file in (tmp_path / "kept").iterdir()]
    assert sorted(files) == [".jsonl", ".npz", ".npz"]


def scored_anew(run: Path) -> None:
    make_run(run, BASE | {"seed": 3}, 0.9)


def evaluated_anew(run: Path) -> None:
    (run / "evaluations").mkdir()
    (run / "evaluations" / "test.json").write_text(json.dumps({"protocol": "exact/1"}))


def touched(run: Path) -> None:
    os.utime(run / "predictions" / "test.jsonl", (1, 1))


@pytest.mark.parametrize("change", [scored_anew, evaluated_anew, touched])
def test_a_run_that_has_changed_is_read_again(
    tmp_path: Path, run: Path, read: list[Path], change: Callable[[Path], None]
) -> None:
    load(tmp_path, run)
    change(run)
    check_same(load(tmp_path, run), load_run(run))
    assert read == [run, run]


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "gone"])
def test_what_is_damaged_is_made_anew(
    tmp_path: Path, run: Path, read: list[Path], suffix: str, damage: str
) -> None:
    load(tmp_path, run)
    file = next((tmp_path / "kept").glob(f"*{suffix}"))
    whole = file.read_bytes()
    half = len(whole) // 2
    if damage == "gone":
        file.unlink()
    else:
        changed = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        file.write_bytes({"cut": whole[:half], "empty": b"", "changed": changed}[damage])
    for _ in range(2):
        check_same(load(tmp_path, run), load_run(run))
    assert read == [run, run]


def test_a_run_that_cannot_be_read_is_an_error_as_ever(tmp_path: Path, run: Path) -> None:
    (run / "predictions" / "test.jsonl").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load(tmp_path, run)


def test_without_room_it_is_read_all_the_same(tmp_path: Path, run: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    check_same(load(tmp_path, run), load_run(run))


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    kept = KeptRuns(tmp_path / "kept", most_bytes=200_000)
    runs = [make_run(tmp_path / str(at), BASE | {"seed": at}, 0.5) for at in range(40)]
    for run in runs:
        kept.load(run)
    kept.tidy()
    files = list((tmp_path / "kept").iterdir())
    assert 0 < sum(file.stat().st_size for file in files) <= 200_000
