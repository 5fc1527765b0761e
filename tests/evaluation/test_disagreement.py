"""Questions that tell two variants apart, from kept scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ablation.runs import BASE, make_run
from vqa.errors import ResultError
from vqa.evaluation.disagreement import Disagreement, Lines
from vqa.evaluation.kept import KeptRuns
from vqa.evaluation.predictions import Prediction, write_predictions
from vqa.evaluation.runs import load_run


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    return KeptRuns(tmp_path / "kept")


def made(tmp_path: Path, name: str, rate: float, seed: int = 0) -> Path:
    return make_run(tmp_path / name, {**BASE, "seed": seed}, rate)


def test_the_same_questions_as_by_hand(tmp_path: Path, kept: KeptRuns) -> None:
    paths = [made(tmp_path, f"{rate}-{seed}", rate, seed) for rate in (0.7, 0.5) for seed in (0, 1)]
    held = [kept.held(path) for path in paths]
    found = Disagreement(held[:2], held[2:])
    runs = [load_run(path) for path in paths]
    left, right = (np.mean([run.scores for run in side], axis=0) for side in (runs[:2], runs[2:]))
    ids = [item.question_id for item in runs[0].predictions]
    expected = {ids[at] for at in np.flatnonzero((left >= 50) & (right < 50))}
    page = found.page(Lines(found.questions), "a", 0, 10_000)
    assert {one.question.question_id for one in page} == expected
    assert len(expected) > 50
    apart = [one.a_score - one.b_score for one in page]
    assert apart == sorted(apart, reverse=True)
    assert (page[0].a_answers[0].answer, page[0].a_answers[0].runs) == ("yes", 2)
    counts = found.both + found.neither + len(found.only_a) + len(found.only_b)
    assert counts == len(ids)


def test_pages_follow_each_other(tmp_path: Path, kept: KeptRuns) -> None:
    a, b = (kept.held(made(tmp_path, str(rate), rate)) for rate in (0.7, 0.5))
    found = Disagreement([a], [b])
    lines = Lines(found.questions)
    assert len(lines) == len(a.scores)
    whole = [one.question.question_id for one in found.page(lines, "a", 0, 1000)]
    parts = [one.question.question_id for at in (0, 7) for one in found.page(lines, "a", at, 7)]
    assert parts == whole[:14]
    assert found.page(lines, "a", 10_000, 7) == []
    assert len(found.page(lines, "b", 0, 1000)) == len(found.places("b"))


def test_it_is_read_once(tmp_path: Path, kept: KeptRuns) -> None:
    run = made(tmp_path, "run", 0.5)
    first = kept.held(run)
    (run / "predictions" / "test.jsonl").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(run / "predictions" / "test.jsonl")
    again = KeptRuns(kept.folder).held(run)
    assert np.array_equal(first.scores, again.scores)
    make_run(run, {**BASE, "seed": 0}, 0.9)
    assert kept.held(run).scores.mean() > first.scores.mean()


def test_no_answer_and_other_questions(tmp_path: Path, kept: KeptRuns) -> None:
    run, other = made(tmp_path, "run", 0.5), made(tmp_path, "other", 0.5)
    silent = [
        Prediction(f"q{at}", f"i{at}", split="test", answers=["yes"], score=0.0) for at in range(4)
    ]
    write_predictions(other / "predictions" / "test.jsonl", silent)
    held = kept.held(other)
    assert held.codes.tolist() == [-1] * 4
    with pytest.raises(ResultError, match="same questions"):
        Disagreement([kept.held(run)], [held])
    with pytest.raises(ResultError, match="same questions"):
        Disagreement([], [])


def test_another_protocol_is_kept_beside(tmp_path: Path, kept: KeptRuns) -> None:
    run = made(tmp_path, "run", 0.5)
    kept.held(run)
    other = KeptRuns(kept.folder, protocol="exact/1")
    assert other.load(run).identity["protocol"] == "exact/1"
    assert kept.load(run).identity["protocol"] == "multiple-choice/1"
