"""The state of a run in its checkpoints."""

import pytest
import torch

from vqa.training.result import peak_memory
from vqa.training.state import Progress, random_states


def test_progress_survives_its_state() -> None:
    progress, again = (
        Progress(batches=7, steps=3, best=61.5, best_step=2, best_seconds=4.5),
        Progress(),
    )
    again.take(progress.to_state())
    assert again == progress


def test_a_state_of_an_older_program_is_read() -> None:
    state, again = Progress(steps=3).to_state(), Progress()
    del state["best_seconds"]
    again.take(state)
    assert again == Progress(steps=3)


def test_a_run_on_a_cpu_opens_no_gpu_for_its_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: pytest.fail("a GPU was opened"))
    assert random_states()["cuda"] is None


def test_peak_memory_is_in_mebibytes() -> None:
    assert 50 < peak_memory()["peak_memory_mb"] < 100_000
