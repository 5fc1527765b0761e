"""What tests of jobs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.runners import Job
from tests.jobs.scripted import Scripted
from vqa.config import Experiment
from vqa.data.store import Store
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Submission

Submit = Callable[..., Submission]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty VQA_HOME whose service looks often and waits briefly."""
    home = Home(tmp_path / "home").make()
    (home.path / "settings.yaml").write_text(
        "poll_seconds: 0.05\ngrace_seconds: 20\nquotas: {min_free_mb: 0}\n"
    )
    return home


@pytest.fixture
def store(scenes_store: Path) -> Store:
    """A small store with pictures."""
    return Store.open(scenes_store)


@pytest.fixture
def queue(home: Home) -> Queue:
    """Its queue."""
    return Queue(home.queue_file)


@pytest.fixture
def submission(experiment: Callable[..., Experiment]) -> Submit:
    """Makes a submission of the tiny experiment; sections of it under `experiment`."""

    def make(**fields: Any) -> Submission:
        sections = fields.pop("experiment", {})
        chosen = {"user": "ada", "name": "tiny", **fields}
        return Submission(experiment=experiment(**sections).to_dict(), **chosen)

    return make


@pytest.fixture
def engine() -> Scripted:
    """An engine that does as the test says."""
    return Scripted()


@pytest.fixture
def dispatcher(home: Home, engine: Scripted) -> Dispatcher:
    """A dispatcher that has no other engine."""
    return Dispatcher(home, lambda _: engine)


@pytest.fixture
def job(experiment: Callable[..., Experiment], tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Makes jobs; nothing of them is left after the test."""
    made: list[Job] = []

    def make(name: str = "run", **overrides: Any) -> Job:
        made.append(Job(tmp_path / name, experiment(**overrides)))
        return made[-1]

    yield make
    for one in made:
        one.end()
