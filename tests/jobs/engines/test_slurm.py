"""What is special of Slurm, against a real one."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from tests.jobs.engines.slurm_cluster import Cluster
from tests.jobs.engines.tasks import (
    TAKES_ITS_TIME,
    UNTIL_STOP,
    Make,
    lives,
    living,
    standing,
    until,
    wait_for,
)
from vqa.errors import EngineError
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.engines.slurm import SlurmEngine, standing_of
from vqa.jobs.record import Resources
from vqa.jobs.settings import SlurmSettings

pytestmark = pytest.mark.xdist_group("slurm")

DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('lives' + os.environ.get('NODE_RANK', ''), 'w')
while True: time.sleep(0.05)
"""
BEFORE_SLURM_KILLS = 20.0
"""Less than the 30 s of Slurm's KillWait."""


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


@pytest.mark.slow
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
