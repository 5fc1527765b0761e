"""Whose runs are whose, in every form of a study of several users' jobs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.ablation.runs import BASE, QUICK, make_run, run_job
from vqa.ablation.csv_table import to_csv
from vqa.ablation.derive import places_of
from vqa.ablation.members import of_group, read_member
from vqa.ablation.page import to_html
from vqa.ablation.standing import standing
from vqa.ablation.study import Study, make_study
from vqa.ablation.tables import to_latex, to_markdown, to_text
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue

RUNS = (
    ("ann", "concat", 0, 0.5),
    ("ben", "concat", 1, 0.5),
    ("cleo", "multiply", 0, 0.7),
    ("dan", "multiply", 0, 0.7),
    ("eve", "sum", 0, None),
)
"""User, fusion, seed, and the rate of a run that succeeded."""


def group(folder: Path, users: dict[str, str] | None = None) -> tuple[Home, dict[str, str]]:
    """The group, whose users may bear other names; the ids of its jobs by these users."""
    home = Home(folder).make()
    queue = Queue(home.queue_file)
    return home, {
        user: run_job(home, queue, (users or {}).get(user, user), *rest) for user, *rest in RUNS
    }


def study_of(home: Home) -> Study:
    members = of_group("g", home) or []
    return make_study("g", members, places_of(members), QUICK)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, str]]:
    """Their home and jobs; only to be read."""
    return group(tmp_path_factory.mktemp("shared"))


def test_json_says_who_ran_what(shared: tuple[Home, dict[str, str]]) -> None:
    home, _ = shared
    members = of_group("g", home) or []
    for told in (study_of(home).to_json(), standing("g", members, places_of(members))):
        users = {row["name"]: row["users"] for row in told["variants"]}
        assert users == {"concat": ["ann", "ben"], "multiply": ["dan"]}
        assert [one["user"] for one in told["left_out"]] == ["eve"]
        assert told["users"] == ["ann", "ben", "cleo", "dan", "eve"]


def test_csv_says_who_ran_what(shared: tuple[Home, dict[str, str]]) -> None:
    home, jobs = shared
    rows = list(csv.DictReader(io.StringIO(to_csv(study_of(home)))))
    runs = {row["name"]: (row["users"], row["seeds"]) for row in rows if row["kind"] == "run"}
    assert runs == {jobs["ann"]: ("ann", "0"), jobs["ben"]: ("ben", "1"), jobs["dan"]: ("dan", "0")}
    scores = {row["variant"]: float(row["score"]) for row in rows if row["kind"] == "run"}
    assert scores["multiply"] == pytest.approx(70, abs=5)
    by_kind = {(row["variant"], row["kind"]): row["users"] for row in rows}
    assert by_kind["concat", "overall"] == "ann, ben"
    assert by_kind["multiply", "comparison"] == ""
    assert by_kind["sum", "left_out"] == "eve"


def test_every_table_says_who_ran_what(shared: tuple[Home, dict[str, str]]) -> None:
    home, jobs = shared
    study = study_of(home)
    for text in (to_text(study), to_markdown(study), to_latex(study), to_html(study)):
        assert "ann, ben" in text
        assert "sum, seed 0 by eve: failed: no memory" in text
        assert f"in the place of {jobs['cleo']} of cleo" in text


def test_a_run_of_no_queue_is_nobodys(tmp_path: Path) -> None:
    home, _ = group(tmp_path / "home", dict.fromkeys([user for user, *_ in RUNS], "ann"))
    members = [*(of_group("g", home) or []), read_member(make_run(tmp_path / "own", BASE, 0.5))]
    study = make_study("g", members, places_of(members), QUICK)
    assert study.users == ["ann"]
    assert not study.shared


def test_of_one_user_nobody_is_named(tmp_path: Path) -> None:
    home, jobs = group(tmp_path, dict.fromkeys([user for user, *_ in RUNS], "ann"))
    study = study_of(home)
    text = to_text(study)
    assert study.users == ["ann"]
    assert "ann" not in text
    assert "sum, seed 0: failed: no memory" in text
    assert f"in the place of {jobs['cleo']}\n" in text
