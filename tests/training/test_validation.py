"""What a validation changes in a run's progress."""

from __future__ import annotations

import pytest

from vqa.config import EarlyStopping
from vqa.training.state import Progress
from vqa.training.validation import judge


@pytest.mark.parametrize("patience", [0, 3])
def test_the_best_is_noted_and_too_little_gain_is_waited_out(patience: int) -> None:
    progress, rule = Progress(), EarlyStopping(patience=patience, min_delta=1)
    found = []
    for progress.steps, accuracy in enumerate((10.0, 12.0, 12.5, 12.9, 12.9, 13.1), 1):
        is_best = judge(progress, accuracy, rule)
        found.append((is_best, progress.best, progress.best_step, progress.waited))
        assert progress.stopped_early == (progress.waited == 3 == patience)
    assert found == [
        (True, 10.0, 1, 0),
        (True, 12.0, 2, 0),
        (True, 12.5, 3, 1),
        (True, 12.9, 4, 2),
        (False, 12.9, 4, 3),
        (True, 13.1, 6, 0),
    ]


def test_the_wait_of_an_older_program_goes_on_from_its_best() -> None:
    progress = Progress(best=12.0, waited=2)
    judge(progress, 12.9, EarlyStopping(patience=9, min_delta=1))
    assert (progress.best, progress.gained, progress.waited) == (12.9, None, 3)


def test_no_gain_at_all_is_needed_where_none_is_asked_for() -> None:
    progress = Progress()
    assert judge(progress, 0.0, EarlyStopping(patience=1))
    assert not judge(progress, 0.0, EarlyStopping(patience=1))
    assert (progress.waited, progress.stopped_early) == (1, True)
