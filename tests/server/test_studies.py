"""Studies that a server makes behind its pages: once for a set of results, kept, and never in its way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from tests.ablation.runs import BASE, fail_run, make_run
from vqa.ablation import worker
from vqa.ablation.expand import expand
from vqa.ablation.forms import FILES
from vqa.ablation.schema import parse_ablation
from vqa.ablation.shelf import Ask, Rendered
from vqa.ablation.study import Options
from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State, Submission
from vqa.server import studies as room
from vqa.server.studies import Studies, StudyState

QUICK = Options(resamples=100)
SECONDS = 60


class Group:
    """The group `g`, whose jobs end one by one."""

    def __init__(self, home: Home) -> None:
        self.home, self.queue = home, Queue(home.queue_file)
        given = {
            "group": "g",
            "base": BASE,
            "axes": {"model.fusion": ["concat", "multiply", "sum"]},
            "seeds": [0],
            "baselines": [],
        }
        self.cells = list(expand(parse_ablation(given, Path(), "a")).cells)
        fields = [cell.experiment.to_dict() for cell in self.cells]
        self.jobs = [
            self.queue.submit(Submission(one, "ada", "job", group="g"))[0] for one in fields
        ]

    def end(self, at: int, rate: float = 0.5, state: State = State.SUCCEEDED) -> None:
        job = self.jobs[at]
        claimed = self.queue.claim(job)
        assert claimed is not None
        run, fields = self.home.run_dir(job.id), job.submission.experiment
        if state is State.SUCCEEDED:
            make_run(run, fields, rate)
        else:
            fail_run(run, fields, "broke")
        self.queue.move(claimed, state)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def group(home: Home) -> Group:
    return Group(home)


class Here:
    """Makes studies in this process, when it is let."""

    def __init__(self, home: Home) -> None:
        self.home, self.made, self.let = home, [], threading.Event()
        self.made: list[Ask] = []
        self.let.set()

    def __call__(self, ask: Ask) -> None:
        assert self.let.wait(SECONDS)
        self.made.append(ask)
        worker.make(self.home, ask)


@pytest.fixture
def here(home: Home) -> Here:
    return Here(home)


@pytest.fixture
def studies(home: Home, here: Here) -> Iterator[Studies]:
    made = Studies(home, here)
    yield made
    here.let.set()
    made.close()


def settled(studies: Studies, options: Options = QUICK) -> StudyState:
    deadline = time.monotonic() + SECONDS
    while (state := studies.get("g", options)).status == "computing":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return state


def shown(state: StudyState) -> list[str]:
    assert state.study is not None
    return [row["name"] for row in state.study.to_json()["variants"]]


def test_a_study_is_made_behind_and_follows_the_runs(
    group: Group, studies: Studies, here: Here
) -> None:
    group.end(0), group.end(1, 0.8)
    begun = studies.get("g", QUICK)
    assert (begun.status, begun.study, begun.stale) == ("computing", None, False)
    assert begun.since == pytest.approx(time.time(), abs=SECONDS)
    first = settled(studies)
    assert (first.status, shown(first)) == ("ready", ["concat", "multiply"])
    here.let.clear()
    group.end(2, 0.3)
    between = studies.get("g", QUICK)
    assert (between.status, between.stale) == ("computing", True)
    assert between.study == first.study
    here.let.set()
    last = settled(studies)
    assert (shown(last), last.stale) == (["concat", "multiply", "sum"], False)
    assert len(here.made) == 2


def test_every_form_is_there(group: Group, studies: Studies) -> None:
    group.end(0), group.end(1, 0.8)
    study = settled(studies).study
    assert study is not None
    assert all("multiply" in study.text(form) for form in FILES)
    assert study.to_json()["title"] == "g"


def test_a_member_that_fails_is_told_in_a_new_study(group: Group, studies: Studies) -> None:
    group.end(0), group.end(1, 0.8)
    settled(studies)
    group.end(2, state=State.FAILED)
    study = settled(studies).study
    assert study is not None
    assert [one["reason"] for one in study.to_json()["left_out"]] == ["failed: broke"]


def test_those_who_ask_at_once_have_it_made_once(
    group: Group, studies: Studies, here: Here
) -> None:
    group.end(0), group.end(1)
    here.let.clear()
    found: list[StudyState] = []
    threads = [
        threading.Thread(target=lambda: found.append(studies.get("g", QUICK))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.status for one in found} == {"computing"}
    assert len({one.since for one in found}) == 1
    here.let.set()
    settled(studies)
    assert len(here.made) == 1


def test_other_options_are_another_study(group: Group, studies: Studies) -> None:
    group.end(0), group.end(1)
    other = Options(baseline="multiply", resamples=100)
    references = [settled(studies, one).study.to_json()["reference"] for one in (QUICK, other)]  # type: ignore[union-attr]
    assert references == ["concat", "multiply"]


def test_why_there_can_be_none_is_said_and_ends_with_the_next_run(
    group: Group, studies: Studies, here: Here
) -> None:
    group.end(0)
    failed = settled(studies)
    assert failed.status == "failed"
    assert "needs two variants" in failed.error
    assert studies.get("g", QUICK) == failed
    assert len(here.made) == 1
    group.end(1)
    assert settled(studies).status == "ready"
    unknown = settled(studies, Options(baseline="multply", resamples=100))
    assert "did you mean 'multiply'" in unknown.error


def test_a_study_that_breaks_is_said_and_the_next_is_made(group: Group, home: Home) -> None:
    def work(ask: Ask) -> None:
        if ask.options.baseline:
            raise RuntimeError("bug")
        worker.make(home, ask)

    group.end(0), group.end(1)
    studies = Studies(home, work)
    try:
        broken = settled(studies, Options(baseline="concat", resamples=100))
        assert (broken.status, "bug" in broken.error) == ("failed", True)
        assert settled(studies).status == "ready"
    finally:
        studies.close()


def test_a_study_that_broke_is_tried_again_whatever_the_clock_was_set_to(
    group: Group, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = Studies(home, Mock(side_effect=RuntimeError("bug")))
    try:
        assert settled(studies).status == "failed"
        monkeypatch.setattr(room, "RETRY_SECONDS", 0.0)
        monkeypatch.setattr(room, "time", Mock(time=lambda: 0.0, monotonic=time.monotonic))
        assert studies.get("g", QUICK).status == "computing"
    finally:
        studies.close()


def test_a_restart_finds_them(group: Group, home: Home, studies: Studies, here: Here) -> None:
    group.end(0), group.end(1)
    made = settled(studies)
    studies.close()
    assert Studies(home, here).get("g", QUICK) == made


@pytest.mark.parametrize("name", [*FILES.values(), "made.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_file_is_made_anew(
    group: Group, studies: Studies, here: Here, name: str, damage: str
) -> None:
    group.end(0), group.end(1)
    study = settled(studies).study
    assert study is not None
    file = study.folder / name
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:10] if damage == "cut" else b"\xff" + whole[1:])
    again = settled(studies)
    assert (again.status, again.error) == ("ready", "")
    assert len(here.made) == 2
    if name != "made.json":
        assert file.stat().st_size >= len(whole) - 10


@pytest.mark.parametrize("name", ["../g", "..", "a/b", "", ".hidden", "g\0", "x" * 5000, "none"])
def test_what_is_no_group_is_refused_and_no_path(studies: Studies, home: Home, name: str) -> None:
    with pytest.raises(JobError, match="no group") as error:
        studies.get(name)
    assert error.value.kind == "not-found"
    assert not (home.path / "cache").exists()


@pytest.mark.parametrize("name", ["../g", "a/b", ".hidden", "x" * 5000])
def test_not_even_the_shelf_makes_a_path_of_it(home: Home, name: str) -> None:
    with pytest.raises(JobError):
        worker.shelf(home).put(Ask(name, QUICK, "0"), "no")


def test_only_so_many_are_kept(home: Home) -> None:
    shelf = worker.shelf(home)
    shelf.most = 3
    asks = [Ask(f"g{at}", QUICK, "0") for at in range(6)]
    for at, ask in enumerate(asks):
        shelf.put(ask, f"no {at}")
        os.utime(next(shelf._group(ask.group).iterdir()), (at, at))
    shelf.put(Ask("last", QUICK, "0"), "no")
    assert [shelf.find(ask) for ask in asks] == [None] * 4 + ["no 4", "no 5"]


def test_who_only_looks_at_them_remembers_few(group: Group, home: Home) -> None:
    group.end(0), group.end(1)
    shelf = worker.shelf(home)
    shelf.most = 1
    for runs in "abc":
        ask = Ask("g", QUICK, runs)
        worker.make(home, ask)
        assert isinstance(shelf.find(ask), Rendered)
    assert len(shelf._sound) == len(FILES)


def test_a_process_makes_it_and_ends(group: Group, home: Home) -> None:
    group.end(0), group.end(1, 0.8)
    studies = Studies(home)
    try:
        state = settled(studies)
        assert shown(state) == ["concat", "multiply"], state.error
    finally:
        studies.close()


def children() -> list[psutil.Process]:
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if "vqa.ablation.worker" in (one.info["cmdline"] or [])
    ]


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


SERVER = """
import sys, time
from pathlib import Path
from vqa.jobs.home import Home
from vqa.server.studies import Studies
studies = Studies(Home(Path(sys.argv[1])))
print(studies.get("g").status, flush=True)
sys.stdin.readline()
studies.close()
"""


@pytest.mark.parametrize("death", ["close", "kill"])
def test_nothing_is_left_of_a_server_that_ends(group: Group, home: Home, death: str) -> None:
    group.end(0), group.end(1)
    before = {one.pid for one in children()}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    assert server.stdout.readline() == "computing\n"

    def mine() -> list[psutil.Process]:
        return [one for one in children() if one.pid not in before and str(server.pid)]

    wait_for(lambda: bool(mine()))
    if death == "kill":
        server.kill()
    else:
        server.stdin.write("end\n")
        server.stdin.flush()
    server.wait(SECONDS)
    wait_for(lambda: not mine())
    server.stdout.close(), server.stdin.close()
