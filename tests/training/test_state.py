"""The state of a run in its checkpoints."""

from vqa.training.result import peak_memory
from vqa.training.state import Progress


def test_progress_survives_its_state() -> None:
    progress = Progress(batches=7, steps=3, best=61.5, best_step=2, best_seconds=4.5)
    assert Progress.from_state(progress.to_state()) == progress


def test_a_state_of_an_older_program_is_read() -> None:
    state = Progress(steps=3).to_state()
    del state["best_seconds"]
    assert Progress.from_state(state) == Progress(steps=3)


def test_peak_memory_is_in_mebibytes() -> None:
    assert 50 < peak_memory()["peak_memory_mb"] < 100_000
