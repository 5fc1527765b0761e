"""What is special of Slurm, against a real one."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.engines.slurm_cluster import Cluster
from tests.jobs.engines.tasks import Script, living, script, standing, until, wait_for
from vqa.errors import EngineError
from vqa.jobs.engines import slurm
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.engines.slurm import SlurmEngine, standing_of
from vqa.jobs.home import SlurmSettings
from vqa.jobs.record import Resources

pytestmark = pytest.mark.xdist_group("slurm")

UNTIL_STOP = """
open('lives' + os.environ.get('NODE_RANK', ''), 'a').write(os.environ['VQA_JOB_ATTEMPT'] + '\\n')
while not os.path.exists('stop'): time.sleep(0.05)
"""
TAKES_ITS_TIME = """
node = os.environ.get('NODE_RANK', '')
def stop(*_):
    open('asked' + node, 'a').write('x')
    time.sleep(2)
    open('stopped' + node, 'w')
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
open('lives' + node, 'w')
while True: time.sleep(0.05)
"""
DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('lives' + os.environ.get('NODE_RANK', ''), 'w')
while True: time.sleep(0.05)
"""
BEFORE_SLURM_KILLS = 20.0
"""Less than the 30 s of Slurm's KillWait."""


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Script]:
    """Makes a task of a job of its own; settings of its needs by name."""
    return lambda text, **resources: script(tmp_path, secrets.token_hex(4), text, **resources)


Make = Callable[..., Script]


def lives(task: Script, node: str = "") -> list[str]:
    """The attempt's number, once for each time that the task was started."""
    file = task.run_dir / f"lives{node}"
    return file.read_text().splitlines() if file.exists() else []


# Submitting


def test_slurm_is_asked_for_what_the_task_needs(slurm_cluster: Cluster, task: Make) -> None:
    engine = SlurmEngine(SlurmSettings(partition="main", options=("--hold",), requeue=False))
    needs = {"nodes": 2, "cores": 3, "memory_mb": 300, "time_minutes": 90}
    held = task("", **needs)
    handle = engine.submit(held)
    record = slurm_cluster.run("scontrol", "--oneliner", "show", "job", handle).stdout.split()
    for field in (
        f"JobName={held.name}",
        "NumNodes=2-2",
        "CPUs/Task=3",
        "MinMemoryNode=300M",
        "TimeLimit=01:30:00",
        "Partition=main",
        "Requeue=0",
    ):
        assert field in record
    engine.cancel(handle, force=False)


def test_a_job_sees_the_gpus_that_slurm_gave_it(slurm_engine: SlurmEngine, task: Make) -> None:
    words = "open('gpus', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])"
    two = task(words, accelerator="gpu", devices=2)
    wait_for(slurm_engine, slurm_engine.submit(two), Standing.ENDED)
    assert (two.run_dir / "gpus").read_text() == "0,1"


def test_setup_comes_before_the_runner(slurm_cluster: Cluster, task: Make) -> None:
    engine = SlurmEngine(SlurmSettings(setup=("export FROM_SETUP='a b'",)))
    prepared = task("open('seen', 'w').write(os.environ['FROM_SETUP'])")
    wait_for(engine, engine.submit(prepared), Standing.ENDED)
    assert (prepared.run_dir / "seen").read_text() == "a b"


def test_variables_of_a_surrounding_job_change_nothing(
    slurm_engine: SlurmEngine, task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "1",
        "SQUEUE_PARTITION": "other",
        "SBATCH_JOB_NAME": "other",
    }.items():
        monkeypatch.setenv(name, value)
    waits = task(UNTIL_STOP)
    handle = slurm_engine.submit(waits)
    until(lambda: len(lives(waits)) == 1)
    assert slurm_engine.submit(waits) == handle
    assert standing(slurm_engine, handle) is Standing.RUNNING
    (waits.run_dir / "stop").touch()
    wait_for(slurm_engine, handle, Standing.ENDED)


def test_one_job_is_queued_however_often_it_is_submitted(
    slurm_cluster: Cluster, task: Make
) -> None:
    held = task("")
    settings = SlurmSettings(options=("--hold",))
    handles = {SlurmEngine(settings).submit(held) for _ in range(3)}
    listed = slurm_cluster.run("squeue", "--noheader", "--format=%i", f"--name={held.name}")
    assert set(listed.stdout.split()) == handles
    assert len(handles) == 1
    SlurmEngine(settings).cancel(handles.pop(), force=False)


def test_a_script_that_was_submitted_twice_runs_once(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    waits = task(UNTIL_STOP)
    handle = slurm_engine.submit(waits)
    until(lambda: len(lives(waits)) == 1)
    again = subprocess.run(
        ["sbatch", "--parsable", "--wait", "--job-name=other", "sbatch.sh"],
        cwd=waits.run_dir,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert again.returncode == 75
    (waits.run_dir / "stop").touch()
    wait_for(slurm_engine, handle, Standing.ENDED)
    assert lives(waits) == ["1"]


def test_what_slurm_has_forgotten_has_ended_and_is_not_run_again(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    once = task("open('lives', 'a').write('1\\n')")
    handle = slurm_engine.submit(once)
    wait_for(slurm_engine, handle, Standing.ENDED)
    slurm_cluster.stop_controller()
    slurm_cluster.start_controller(forget=True)
    assert standing(slurm_engine, handle) is Standing.ENDED
    assert slurm_engine.submit(once) == handle
    assert lives(once) == ["1"]


# Refusals


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            SlurmSettings(partition="nope"),
            r"(?i)invalid partition.*change slurm\.partition in settings\.yaml",
        ),
        (SlurmSettings(options=("--wat=1",)), r"unrecognized option.*change slurm\.options in"),
        (
            SlurmSettings(options=("--gres=tpu:1",)),
            r"(?i)invalid generic resource.*slurm\.gpu_option",
        ),
    ],
)
def test_slurms_refusal_is_passed_on_with_what_to_change(
    slurm_cluster: Cluster, task: Make, settings: SlurmSettings, words: str
) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        SlurmEngine(settings).submit(task(""))
    assert not caught.value.temporary
    assert "\n" not in str(caught.value)


def test_where_slurm_is_not_installed_it_says_so(
    task: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"no `squeue` here.*login node"):
        SlurmEngine(SlurmSettings()).submit(task(""))


def test_a_run_directory_that_is_not_there_is_named(
    slurm_engine: SlurmEngine, tmp_path: Path
) -> None:
    nowhere = Task(secrets.token_hex(4), 1, tmp_path / "gone", Resources())
    with pytest.raises(EngineError, match="gone"):
        slurm_engine.submit(nowhere)


# Standings


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("PENDING", Standing.PENDING),
        ("CONFIGURING", Standing.PENDING),
        ("REQUEUE_HOLD", Standing.PENDING),
        ("RUNNING", Standing.RUNNING),
        ("COMPLETING", Standing.RUNNING),
        ("SUSPENDED", Standing.RUNNING),
        ("STAGE_OUT", Standing.RUNNING),
        ("COMPLETED", Standing.ENDED),
        ("PREEMPTED", Standing.ENDED),
        ("NODE_FAIL", Standing.ENDED),
    ],
)
def test_states_are_read_with_care(state: str, expected: Standing) -> None:
    assert standing_of(state) is expected


def test_handles_that_nobody_knows_have_ended(slurm_engine: SlurmEngine) -> None:
    handles = ["4000000", "4000000_3"]
    assert slurm_engine.standings(handles) == dict.fromkeys(handles, Standing.ENDED)
    for force in (False, True):
        slurm_engine.cancel(handles[0], force=force)


def test_while_the_controller_is_away_nothing_is_known(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    waits, late = task(UNTIL_STOP), task("open('lives', 'w')")
    handle = slurm_engine.submit(waits)
    until(lambda: len(lives(waits)) == 1)
    slurm_cluster.stop_controller()
    assert slurm_engine.standings([handle, "4000000"]) == {
        handle: Standing.UNKNOWN,
        "4000000": Standing.UNKNOWN,
    }
    for call in (
        lambda: slurm_engine.submit(late),
        lambda: slurm_engine.cancel(handle, force=True),
    ):
        with pytest.raises(EngineError) as caught:
            call()
        assert caught.value.temporary
    slurm_cluster.start_controller()
    assert standing(slurm_engine, handle) is Standing.RUNNING
    (waits.run_dir / "stop").touch()
    wait_for(slurm_engine, handle, Standing.ENDED)
    wait_for(slurm_engine, slurm_engine.submit(late), Standing.ENDED)
    assert (late.run_dir / "lives").exists()


def test_a_requeued_job_waits_and_runs_again_as_the_same_attempt(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: Make
) -> None:
    waits = task(UNTIL_STOP)
    handle = slurm_engine.submit(waits)
    until(lambda: len(lives(waits)) == 1)
    assert slurm_cluster.run("scontrol", "requeue", handle).returncode == 0
    wait_for(slurm_engine, handle, Standing.PENDING)
    wait_for(slurm_engine, handle, Standing.RUNNING)
    until(lambda: lives(waits) == ["1", "1"])
    assert slurm_engine.submit(waits) == handle
    (waits.run_dir / "stop").touch()
    wait_for(slurm_engine, handle, Standing.ENDED)


# Cancelling


def test_a_job_that_waits_is_taken_out_of_the_queue(slurm_cluster: Cluster, task: Make) -> None:
    engine = SlurmEngine(SlurmSettings(options=("--hold",)))
    held = task("open('lives', 'w')")
    handle = engine.submit(held)
    assert standing(engine, handle) is Standing.PENDING
    engine.cancel(handle, force=False)
    wait_for(engine, handle, Standing.ENDED)
    assert not lives(held)


@pytest.mark.parametrize("nodes", [1, 2])
def test_every_node_is_asked_to_stop(slurm_engine: SlurmEngine, task: Make, nodes: int) -> None:
    slow = task(TAKES_ITS_TIME, nodes=nodes)
    handle = slurm_engine.submit(slow)
    names = [str(node) for node in range(nodes)] if nodes > 1 else [""]
    until(lambda: all((slow.run_dir / f"lives{name}").exists() for name in names))
    slurm_engine.cancel(handle, force=False)
    wait_for(slurm_engine, handle, Standing.ENDED)
    assert all((slow.run_dir / f"stopped{name}").exists() for name in names)


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_kill_waits_for_nothing(slurm_engine: SlurmEngine, task: Make, nodes: int) -> None:
    deaf = task(DEAF, nodes=nodes)
    handle = slurm_engine.submit(deaf)
    until(lambda: len(living(deaf.job)) == nodes)
    slurm_engine.cancel(handle, force=True)
    until(lambda: not living(deaf.job), BEFORE_SLURM_KILLS)
    wait_for(slurm_engine, handle, Standing.ENDED)


def test_a_setup_that_hangs_can_be_killed(slurm_cluster: Cluster, task: Make) -> None:
    engine = SlurmEngine(SlurmSettings(setup=("touch hangs; sleep 600",)))
    never = task("open('lives', 'w')")
    handle = engine.submit(never)
    until((never.run_dir / "hangs").exists)
    engine.cancel(handle, force=True)
    wait_for(engine, handle, Standing.ENDED)
    assert not lives(never)


def test_the_command_can_be_interrupted(slurm_engine: SlurmEngine, task: Make) -> None:
    asks = task(
        "open('int', 'w').write(str(signal.getsignal(signal.SIGINT) is signal.default_int_handler))"
    )
    wait_for(slurm_engine, slurm_engine.submit(asks), Standing.ENDED)
    assert (asks.run_dir / "int").read_text() == "True"


# Several nodes


def test_nodes_know_their_number_and_where_to_meet(slurm_engine: SlurmEngine, task: Make) -> None:
    words = """
names = 'NODE_RANK', 'MASTER_ADDR', 'MASTER_PORT', 'SLURMD_NODENAME', 'VQA_JOB_ID'
open('node' + os.environ['NODE_RANK'], 'w').write(' '.join(os.environ[name] for name in names))
"""
    two = task(words, nodes=2, cores=2)
    handle = slurm_engine.submit(two)
    wait_for(slurm_engine, handle, Standing.ENDED)
    port = str(20000 + int(handle) % 10000)
    assert [(two.run_dir / f"node{node}").read_text().split() for node in (0, 1)] == [
        ["0", "127.0.0.1", port, "n1", two.job],
        ["1", "127.0.0.1", port, "n2", two.job],
    ]


def test_only_the_command_carries_the_jobs_name(slurm_engine: SlurmEngine, task: Make) -> None:
    two = task(UNTIL_STOP, nodes=2)
    handle = slurm_engine.submit(two)
    until(lambda: lives(two, "0") == lives(two, "1") == ["1"])
    assert len(living(two.job)) == 2
    (two.run_dir / "stop").touch()
    wait_for(slurm_engine, handle, Standing.ENDED)


# Arrays


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
