"""Arrays of jobs, on a real Slurm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.jobs.engines.slurm_cluster import Cluster
from tests.jobs.engines.tasks import TAKES_ITS_TIME, UNTIL_STOP, Make, lives, until, wait_for
from vqa.errors import EngineError
from vqa.jobs.engines import slurm
from vqa.jobs.engines.base import Standing
from vqa.jobs.engines.slurm import SlurmEngine
from vqa.jobs.settings import SlurmSettings

pytestmark = pytest.mark.xdist_group("slurm")


def test_an_array_runs_each_task_in_its_own_directory(
    slurm_engine: SlurmEngine, task: Make
) -> None:
    words = "open('ran', 'a').write(os.environ['VQA_JOB_ID'])"
    tasks = [task(words) for _ in range(3)]
    handles = slurm_engine.submit_array(tasks)
    assert slurm_engine.submit_array(tasks) == handles
    assert [handle.partition("_")[2] for handle in handles] == ["0", "1", "2"]
    for handle in handles:
        wait_for(slurm_engine, handle, Standing.ENDED)
    assert [(each.run_dir / "ran").read_text() for each in tasks] == [each.job for each in tasks]
    assert slurm_engine.submit(tasks[1]) == handles[1]


def test_elements_of_an_array_are_followed_and_cancelled_one_by_one(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    tasks = [task(TAKES_ITS_TIME) for _ in range(3)]
    first, second, third = handles = slurm_engine.submit_array(tasks, limit=1)
    until((tasks[0].run_dir / "lives").exists)
    waits = Standing.PENDING
    expected = dict(zip(handles, (Standing.RUNNING, waits, waits), strict=True))
    assert slurm_engine.standings(handles) == expected
    slurm_engine.cancel(second, force=False)
    wait_for(slurm_engine, second, Standing.ENDED)
    slurm_engine.cancel(first, force=False)
    wait_for(slurm_engine, first, Standing.ENDED)
    assert (tasks[0].run_dir / "stopped").exists()
    assert (tasks[0].run_dir / "asked").read_text() == "x"
    until((tasks[2].run_dir / "lives").exists)
    slurm_engine.cancel(third, force=True)
    wait_for(slurm_engine, third, Standing.ENDED)
    assert not (tasks[1].run_dir / "lives").exists()


def sbatches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Calls of sbatch from now on."""
    called: list[tuple[str, ...]] = []
    real = slurm._run

    def noted(command: str, *words: str, **options: Any) -> str:
        if command == "sbatch":
            called.append(words)
        return real(command, *words, **options)

    monkeypatch.setattr(slurm, "_run", noted)
    return called


def test_an_element_is_found_again_alone_or_with_others(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher that died after `sbatch` had noted some handles, or none; what waits has left no trace yet."""
    called = sbatches(monkeypatch)
    tasks = [task(TAKES_ITS_TIME) for _ in range(4)]
    handles = slurm_engine.submit_array(tasks[:3], limit=1)
    assert slurm_engine.submit(tasks[2]) == handles[2]
    assert slurm_engine.submit_array(tasks[1:3]) == handles[1:]
    assert len(called) == 1
    *known, new = slurm_engine.submit_array(tasks)
    assert known == handles
    assert new.partition("_")[2] == "0"
    assert len(called) == 2
    for handle in (*handles, new):
        slurm_engine.cancel(handle, force=True)
    for handle in (*handles, new):
        wait_for(slurm_engine, handle, Standing.ENDED)


def test_a_task_whose_array_was_never_submitted_is_submitted(
    slurm_engine: SlurmEngine, task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher that died before `sbatch`: the run directories name an array that there is not."""
    tasks = [task("open('ran', 'w')") for _ in range(2)]

    def death(*words: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(slurm, "_sbatch", death)
        with pytest.raises(KeyboardInterrupt):
            slurm_engine.submit_array(tasks)
    for each in tasks:
        wait_for(slurm_engine, slurm_engine.submit(each), Standing.ENDED)
        assert (each.run_dir / "ran").exists()


def test_an_element_that_slurm_requeues_runs_again_as_the_same_attempt(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    tasks = [task(UNTIL_STOP) for _ in range(2)]
    handles = slurm_engine.submit_array(tasks)
    for each in tasks:
        until(lambda each=each: len(lives(each)) == 1)
    assert slurm_cluster.run("scontrol", "requeue", handles[1]).returncode == 0
    until(lambda: len(lives(tasks[1])) == 2)
    assert slurm_engine.submit_array(tasks) == handles
    assert [lives(each) for each in tasks] == [["1"], ["1", "1"]]
    for each, handle in zip(tasks, handles, strict=True):
        (each.run_dir / "stop").touch()
        wait_for(slurm_engine, handle, Standing.ENDED)


def test_a_limit_on_jobs_is_no_reason_to_wait_where_a_smaller_array_may_fit(
    task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: str, **options: object) -> str:
        if words[0] == "sbatch":
            raise slurm._refusal("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
        return ""

    monkeypatch.setattr(slurm, "_run", refused)
    engine, tasks = SlurmEngine(SlurmSettings()), [task(""), task("")]
    with pytest.raises(EngineError, match="MaxSubmitJob") as error:
        engine.submit_array(tasks)
    assert not error.value.temporary
    with pytest.raises(EngineError, match="MaxSubmitJob") as error:
        engine.submit(tasks[0])
    assert error.value.temporary


def test_tasks_of_an_array_have_equal_needs(slurm_cluster: Cluster, task: Make) -> None:
    with pytest.raises(EngineError, match="equal needs"):
        SlurmEngine(SlurmSettings()).submit_array([task("", cores=1), task("", cores=2)])
