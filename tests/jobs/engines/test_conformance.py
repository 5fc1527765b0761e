"""What every engine promises, each asked in the same words: real processes, a real Slurm, a real Ray."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.engines.tasks import living, script, standing, until, wait_for
from vqa.jobs.engines.base import ATTEMPT_VARIABLE, JOB_VARIABLE, Engine, Standing
from vqa.jobs.engines.local import LocalEngine
from vqa.jobs.settings import LocalSettings

Make = Callable[[], Engine]

ENGINES = [
    pytest.param("local", id="local"),
    pytest.param("slurm", id="slurm", marks=pytest.mark.xdist_group("slurm")),
    pytest.param("ray", id="ray", marks=pytest.mark.xdist_group("ray")),
]


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes an engine as a program that was just started would."""
    if request.param == "local":
        return lambda: LocalEngine(LocalSettings())
    made: Make = request.getfixturevalue(f"make_{request.param}_engine")
    return made


@pytest.fixture
def job() -> str:
    """A job's id, new each time."""
    return secrets.token_hex(4)


def test_a_task_runs_once_with_its_variables_and_ends(make: Make, job: str, tmp_path: Path) -> None:
    words = f"open('ran', 'a').write(os.environ[{JOB_VARIABLE!r}] + os.environ[{ATTEMPT_VARIABLE!r}] + '\\n')"
    task = script(tmp_path, job, words, attempt=7)
    engine = make()
    handle = engine.submit(task)
    wait_for(engine, handle, Standing.ENDED)
    assert (task.run_dir / "ran").read_text() == f"{job}7\n"
    assert not list(tmp_path.rglob("pwned"))


def test_submitting_again_finds_what_runs(make: Make, job: str, tmp_path: Path) -> None:
    task = script(
        tmp_path,
        job,
        "open('ran', 'a').write('x')\nwhile not os.path.exists('stop'): time.sleep(0.05)",
    )
    handle = make().submit(task)
    until((task.run_dir / "ran").exists)
    other = make()  # the program that submitted it died
    assert other.submit(task) == handle
    assert standing(other, handle) is Standing.RUNNING
    (task.run_dir / "stop").touch()
    wait_for(other, handle, Standing.ENDED)
    assert (task.run_dir / "ran").read_text() == "x"


def test_attempts_of_a_job_are_told_apart(make: Make, job: str, tmp_path: Path) -> None:
    engine = make()
    first = engine.submit(script(tmp_path, job, "pass", attempt=1))
    wait_for(engine, first, Standing.ENDED)
    second = engine.submit(script(tmp_path, job, "open('second', 'w')", attempt=2))
    assert second != first
    wait_for(engine, second, Standing.ENDED)
    assert engine.standings([first, second]) == dict.fromkeys((first, second), Standing.ENDED)


def test_a_task_that_is_asked_to_stop_may_take_its_time(
    make: Make, job: str, tmp_path: Path
) -> None:
    task = script(
        tmp_path,
        job,
        """
def stop(*_):
    time.sleep(4)
    open('stopped', 'w')
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
open('ready', 'w')
while True: time.sleep(0.05)
""",
    )
    engine = make()
    handle = engine.submit(task)
    until((task.run_dir / "ready").exists)
    engine.cancel(handle, force=False)
    wait_for(engine, handle, Standing.ENDED)
    assert (task.run_dir / "stopped").exists()


def test_a_task_that_does_not_stop_is_killed(make: Make, job: str, tmp_path: Path) -> None:
    task = script(
        tmp_path,
        job,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('ready', 'w')\nwhile True: time.sleep(0.05)",
    )
    engine = make()
    handle = engine.submit(task)
    until((task.run_dir / "ready").exists)
    engine.cancel(handle, force=True)
    wait_for(engine, handle, Standing.ENDED)
    until(lambda: not living(job), 5)


def test_cancelling_what_has_ended_harms_nobody(make: Make, job: str, tmp_path: Path) -> None:
    engine = make()
    handle = engine.submit(script(tmp_path, job, "sys.exit(3)"))
    wait_for(engine, handle, Standing.ENDED)
    for force in (False, True):
        engine.cancel(handle, force=force)
    assert standing(make(), handle) is Standing.ENDED


def test_logs_are_files_of_the_run(make: Make, job: str, tmp_path: Path) -> None:
    engine = make()
    task = script(tmp_path, job, "print('hello from the task', flush=True)")
    wait_for(engine, engine.submit(task), Standing.ENDED)
    logs = engine.logs(task)
    assert all(task.run_dir in log.parents for log in logs)
    until(lambda: any("hello from the task" in log.read_text() for log in logs if log.exists()))


def test_nothing_is_said_of_no_handles(make: Make) -> None:
    assert make().standings([]) == {}
