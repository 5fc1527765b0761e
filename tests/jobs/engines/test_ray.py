"""What is special of Ray, on a real cluster; what every engine promises is in test_conformance.py."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.engines.ray_cluster import NODE, RayCluster, make_ray_engine, ray_cluster
from tests.jobs.engines.tasks import PATIENCE, Script, living, script, standing, until, wait_for
from vqa.config import Experiment
from vqa.errors import EngineError
from vqa.jobs.engines.base import JOB_VARIABLE, Standing, Task
from vqa.jobs.engines.ray import FEW, RayEngine
from vqa.jobs.record import Resources
from vqa.jobs.settings import RaySettings
from vqa.training.directory import RunDirectory

__all__ = ["make_ray_engine", "ray_cluster"]
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]

LOOP = "while not os.path.exists('stop'): time.sleep(0.05)"
SLOW_STOP = """
def stop(*_):
    time.sleep(4)
    open('stopped', 'w')
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
"""


@pytest.fixture
def engine(make_ray_engine: Callable[[], RayEngine]) -> RayEngine:
    """An engine on the cluster."""
    return make_ray_engine()


@pytest.fixture
def job() -> str:
    """A job's id, new each time."""
    return secrets.token_hex(4)


def start(engine: RayEngine, task: Script) -> str:
    """Submit a task and wait until its script says that it is ready."""
    handle = engine.submit(task)
    until((task.run_dir / "ready").exists)
    return handle


def status(cluster: RayCluster, task: Script) -> str:
    """What Ray itself says."""
    answer: str = cluster.ask("GET", f"/api/jobs/{task.name}").json()["status"]
    return answer


def test_a_task_has_its_variables_and_no_secret(
    engine: RayEngine, ray_cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    text = "import json; json.dump([dict(os.environ), os.nice(0)], open('seen', 'w'))"
    task = script(tmp_path, job, text, cores=2)
    wait_for(engine, engine.submit(task), Standing.ENDED)
    seen, niceness = json.loads((task.run_dir / "seen").read_text())
    assert task.environment().items() <= seen.items()
    assert (seen["OMP_NUM_THREADS"], seen["CUDA_VISIBLE_DEVICES"], niceness) == ("2", "", 0)
    assert not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & seen.keys()
    assert not list(task.run_dir.glob(".vqa-*"))
    assert not list(tmp_path.rglob("pwned"))


def test_ray_chooses_the_gpu(engine: RayEngine, job: str, tmp_path: Path) -> None:
    text = "open('seen', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])"
    plain = script(tmp_path, job, text)
    task = replace(plain, resources=Resources(accelerator="gpu"))
    wait_for(engine, engine.submit(task), Standing.ENDED)
    assert (task.run_dir / "seen").read_text() == "0"


def test_the_token_is_checked_and_never_told(
    engine: RayEngine,
    ray_cluster: RayCluster,
    job: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, wrong = script(tmp_path, job, "open('ran', 'w')"), tmp_path / "wrong"
    wrong.write_text("0" * 64)
    refused = RayEngine(RaySettings(address=ray_cluster.settings.address, token_file=wrong))
    for ask in (lambda: refused.submit(task), lambda: refused.standings(["x:/y"])):
        with pytest.raises(EngineError, match=r"refused the token — set `ray\.token_file`") as told:
            ask()
        assert "0" * 64 not in str(told.value)
    monkeypatch.setenv("RAY_AUTH_TOKEN", ray_cluster.token_file.read_text() + "\n")
    asked = RayEngine(RaySettings(address=ray_cluster.settings.address))
    assert standing(asked, "vqa-none-1:/nowhere") is Standing.ENDED
    assert ray_cluster.token_file.read_text() not in ray_cluster.ask("GET", "/api/jobs/").text


def test_many_are_asked_for_at_once(engine: RayEngine, job: str, tmp_path: Path) -> None:
    task = script(tmp_path, job, f"open('ready', 'w')\n{LOOP}")
    unknown = [f"vqa-none-{number}:/nowhere" for number in range(FEW)]
    handle = start(engine, task)
    said = engine.standings([handle, *unknown])
    assert said == {handle: Standing.RUNNING, **dict.fromkeys(unknown, Standing.ENDED)}
    (task.run_dir / "stop").touch()
    wait_for(engine, handle, Standing.ENDED)


def test_tasks_that_do_not_fit_together_run_in_turn(
    engine: RayEngine, job: str, tmp_path: Path
) -> None:
    first = script(tmp_path, job, f"open('ready', 'w')\n{LOOP}", cores=2)
    second = script(tmp_path, job + "b", "open('ran', 'w')", cores=1)
    third = script(tmp_path, job + "c", "open('ran', 'w')", cores=1, memory_mb=64)
    running = start(engine, first)
    waiting, unwanted = engine.submit(second), engine.submit(third)
    said = engine.standings([running, waiting, unwanted])
    assert list(said.values()) == [Standing.RUNNING, Standing.PENDING, Standing.PENDING]
    engine.cancel(unwanted, force=False)  # Ray itself would leave it pending until it could run
    assert standing(engine, unwanted) is Standing.ENDED
    (first.run_dir / "stop").touch()
    wait_for(engine, waiting, Standing.ENDED)
    assert (second.run_dir / "ran").exists()
    until(lambda: not engine._job(third.name) or engine._job(third.name)["status"] == "STOPPED")
    assert not (third.run_dir / "ran").exists()


def test_only_the_runner_is_asked_to_stop_and_has_its_grace(
    engine: RayEngine, job: str, tmp_path: Path
) -> None:
    child = "import signal, time; signal.signal(15, lambda *_: open('told', 'w')); time.sleep(60)"
    text = f"""
import subprocess
{SLOW_STOP}
child = subprocess.Popen([sys.executable, '-c', {child!r}])
open('ready', 'w')
while True: time.sleep(0.05)
"""
    task = script(tmp_path, job, text)
    handle = start(engine, task)
    engine.cancel(handle, force=False)
    wait_for(engine, handle, Standing.ENDED)
    assert (task.run_dir / "stopped").exists()
    assert not (task.run_dir / "told").exists()
    assert living(job) == []


def test_rays_own_stop_leaves_the_grace_too(
    engine: RayEngine, ray_cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, f"{SLOW_STOP}\nopen('ready', 'w')\nwhile True: time.sleep(0.05)")
    handle = start(engine, task)
    assert ray_cluster.ask("POST", f"/api/jobs/{task.name}/stop").status_code == 200
    wait_for(engine, handle, Standing.ENDED)
    assert (task.run_dir / "stopped").exists()
    assert status(ray_cluster, task) == "STOPPED"


STUBBORN = """
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
open('ready', 'w')
while True: time.sleep(0.05)
"""


def test_force_kills_at_once_and_leaves_nothing(
    engine: RayEngine, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, STUBBORN)
    handle = start(engine, task)
    assert len(living(job)) == 2
    engine.cancel(handle, force=False)
    engine.cancel(handle, force=True)
    until(lambda: not living(job), task.grace_seconds / 2)  # Ray itself kills after the grace
    wait_for(engine, handle, Standing.ENDED)


@pytest.mark.parametrize("word", ["ray_keeper", "JobSupervisor"])
def test_the_runner_dies_with_what_started_it(
    word: str, engine: RayEngine, ray_cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, f"open('ready', 'w')\n{LOOP}")
    handle = start(engine, task)
    assert ray_cluster.processes(lambda command, _: word in command)
    ray_cluster.kill(lambda command, _: word in command)
    until(lambda: not living(job), 5)
    wait_for(engine, handle, Standing.ENDED)


@pytest.fixture
def second_node(ray_cluster: RayCluster) -> Iterator[str]:
    """One more node while a test runs; its name."""
    name = secrets.token_hex(4)
    with ray_cluster.node(name):
        yield name


SEEN = f"""
import json
names = ['NODE_RANK', 'MASTER_ADDR', 'MASTER_PORT', {JOB_VARIABLE!r}]
text = json.dumps([os.environ.get({NODE!r}), os.nice(0), [os.environ[name] for name in names]])
open('seen' + os.environ['NODE_RANK'], 'w').write(text)
"""


def both(task: Script, name: str) -> bool:
    """Whether the runners of both nodes have written a file."""
    return all((task.run_dir / f"{name}{node}").exists() for node in (0, 1))


def test_one_runner_a_node_and_all_are_asked_to_stop(
    engine: RayEngine, ray_cluster: RayCluster, second_node: str, job: str, tmp_path: Path
) -> None:
    text = f"""
{SLOW_STOP.replace("'stopped'", "'stopped' + os.environ['NODE_RANK']").replace("sleep(4)", "sleep(2)")}
{SEEN}
while True: time.sleep(0.05)
"""
    task = script(tmp_path, job, text, nodes=2)
    handle = engine.submit(task)
    until(lambda: both(task, "seen"))
    (name0, nice0, seen0), (name1, nice1, seen1) = (
        json.loads((task.run_dir / f"seen{node}").read_text()) for node in (0, 1)
    )
    assert {name0, name1} == {None, second_node}
    assert (seen0[0], seen1[0], seen0[1:]) == ("0", "1", seen1[1:])
    assert nice0 == nice1 == 0
    assert standing(engine, handle) is Standing.RUNNING
    assert ray_cluster.ask("POST", f"/api/jobs/{task.name}/stop").status_code == 200
    wait_for(engine, handle, Standing.ENDED)
    assert both(task, "stopped")
    assert living(job) == []


def test_nodes_that_are_not_there_are_waited_for_until_it_is_cancelled(
    engine: RayEngine, ray_cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, "open('ran', 'w')", nodes=2)
    handle = engine.submit(task)
    log = engine.logs(task)[0]
    until(lambda: log.exists() and "Connected to Ray" in log.read_text())
    assert status(ray_cluster, task) == "RUNNING"
    assert standing(engine, handle) is Standing.PENDING
    engine.cancel(handle, force=False)
    assert standing(engine, handle) is Standing.ENDED
    until(lambda: status(ray_cluster, task) == "SUCCEEDED")
    assert not list(task.run_dir.glob(".vqa-*"))
    assert not (task.run_dir / "ran").exists()


def test_a_lost_node_ends_the_others(
    engine: RayEngine, ray_cluster: RayCluster, second_node: str, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, f"{SEEN}\nwhile True: time.sleep(0.05)", nodes=2)
    handle = engine.submit(task)
    until(lambda: both(task, "seen"))
    ray_cluster.crash(second_node)
    until(lambda: not living(job), 30)
    wait_for(engine, handle, Standing.ENDED)


def run_of(experiment: Experiment, job: str, folder: Path) -> RunDirectory:
    """A run directory as the dispatcher makes it."""
    run = RunDirectory(folder / f"run {job}")
    run.create(experiment)
    return run


def await_end(engine: RayEngine, handle: str) -> None:
    """Wait for the end of a training, which imports torch first."""
    until(lambda: standing(engine, handle) is Standing.ENDED, 2 * PATIENCE)


def test_a_training_is_preempted_goes_on_and_succeeds(
    engine: RayEngine, experiment: Callable[..., Experiment], job: str, tmp_path: Path
) -> None:
    run = run_of(experiment(trainer={"max_epochs": 60}), job, tmp_path)
    first = engine.submit(Task(job, 1, run.path, Resources()))
    until(lambda: run.journal_file.exists() and run.journal_file.stat().st_size > 0)
    engine.cancel(first, force=False)
    await_end(engine, first)
    result = run.result()
    assert result is not None
    assert (result["status"], result["job"], result["attempt"]) == ("preempted", job, 1)
    await_end(engine, engine.submit(Task(job, 2, run.path, Resources())))
    result = run.result()
    assert result is not None
    assert (result["status"], result["attempt"]) == ("succeeded", 2)
    assert living(job) == []


def test_a_training_on_two_nodes_succeeds(
    engine: RayEngine,
    second_node: str,
    experiment: Callable[..., Experiment],
    job: str,
    tmp_path: Path,
) -> None:
    run = run_of(experiment(trainer={"num_nodes": 2}), job, tmp_path)
    handle = engine.submit(Task(job, 1, run.path, Resources(nodes=2)))
    await_end(engine, handle)
    result = run.result()
    assert result is not None, (run.path / "logs" / "runner0.log").read_text()
    assert (result["status"], result["job"], result["attempt"]) == ("succeeded", job, 1)
    assert living(job) == []


@pytest.mark.slow
def test_a_head_that_is_gone_says_nothing_and_a_new_one_knows_nothing(
    engine: RayEngine, ray_cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    task = script(tmp_path, job, f"open('ready', 'w')\n{LOOP}")
    handle = start(engine, task)
    ray_cluster.crash()
    until(lambda: not living(job), 5)
    assert engine.standings([handle]) == {handle: Standing.UNKNOWN}
    with pytest.raises(EngineError, match="does not answer"):
        engine.submit(task)
    with pytest.raises(EngineError, match="does not answer"):
        engine.cancel(handle, force=True)
    ray_cluster.start(RAY_JOB_START_TIMEOUT_SECONDS="8")
    assert standing(engine, handle) is Standing.ENDED
    _waits_longer_than_ray_does(engine, ray_cluster, job, tmp_path)


def _waits_longer_than_ray_does(
    engine: RayEngine, cluster: RayCluster, job: str, tmp_path: Path
) -> None:
    """The new head gives a job up that has waited for eight seconds; nothing else may use it any more."""
    first = script(tmp_path, job + "d", f"open('ready', 'w')\n{LOOP}", cores=2)
    second = script(tmp_path, job + "e", "open('ran', 'w')", cores=1)
    running = engine.submit(first)
    ready = first.run_dir / "ready"
    until(lambda: standing(engine, running) is Standing.RUNNING and ready.exists())
    waiting = engine.submit(second)
    until(lambda: status(cluster, second) == "FAILED")
    assert standing(engine, waiting) is Standing.PENDING
    assert status(cluster, second) == "PENDING"
    (first.run_dir / "stop").touch()
    wait_for(engine, running, Standing.ENDED)
    wait_for(engine, waiting, Standing.ENDED)
    assert (second.run_dir / "ran").exists()
