"""What a keeper does with its runner and its orders, without Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.engines.tasks import living, script, until
from vqa.jobs.engines.base import JOB_VARIABLE, Task
from vqa.jobs.engines.ray_keeper import RANK_VARIABLE, Order, Orders, Plan, keep
from vqa.jobs.processes import kill_all

FIRST = {RANK_VARIABLE: "0"}


def test_the_greater_order_counts(tmp_path: Path) -> None:
    orders = Orders(tmp_path / "orders")
    assert not orders.give(Order.STOP)  # nobody waits for it: nothing is left behind
    assert not orders.path.exists()
    orders.create()
    size = orders.path.stat().st_size
    for given, told in (("STOP", "STOP"), ("KILL", "KILL"), ("STOP", "KILL")):
        assert orders.give(Order[given])
        assert orders.read() is Order[told]
        assert orders.path.stat().st_size == size  # so that a full disk takes it
    orders.path.write_text("nonsense")
    assert orders.read() is Order.NONE


def plan_of(task: Task, folder: Path) -> Plan:
    """A plan for this machine alone."""
    orders = Orders(folder / "orders")
    orders.create()
    orders.waiting.unlink(missing_ok=True)
    log = str(folder / "log")
    return Plan(task.command, task.environment(), str(orders.path), log, 1, {})


def test_a_keeper_ends_as_its_runner_does_and_kills_what_that_leaves(tmp_path: Path) -> None:
    left = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    task = script(tmp_path, "keep-left", f"import subprocess\n{left}\nprint('hello')\nsys.exit(3)")
    assert keep(plan_of(task, tmp_path), {"NODE_RANK": "3"}) == 3
    assert living("keep-left") == []
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_keeper_that_was_told_before_starts_nothing(tmp_path: Path) -> None:
    task = script(tmp_path, "keep-told", "open('ran', 'w')")
    plan = plan_of(task, tmp_path)
    Orders(Path(plan.orders)).give(Order.STOP)
    assert keep(plan, FIRST) == 0
    assert not (task.run_dir / "ran").exists()


def test_a_run_that_another_runner_holds_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
open('tries', 'a').write('x')
tries = len(open('tries').read())
open(f'waiting{tries}', 'w').write(str(os.path.exists('../orders.waiting')))
sys.exit(75 if tries < 3 else 0)
"""
    task = script(tmp_path, "keep-busy", text)
    assert keep(plan_of(task, tmp_path), FIRST) == 0
    said = [(task.run_dir / f"waiting{number}").read_text() for number in (1, 2, 3)]
    assert said == ["False", "True", "True"]
    (task.run_dir / "tries").unlink()
    monkeypatch.setattr("vqa.jobs.engines.ray_keeper.BUSY_SECONDS", 0)
    assert keep(plan_of(task, tmp_path), FIRST) == 75


def test_runners_of_other_nodes_are_left_alone(tmp_path: Path) -> None:
    task = script(tmp_path, "keep-other", "pass")
    plan = plan_of(task, tmp_path)
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    environment = os.environ | task.environment() | {"NODE_RANK": "1"}
    with subprocess.Popen(sleeper, env=environment) as other:
        until(lambda: bool(living("keep-other")))
        assert keep(plan, FIRST) == 0
        assert other.poll() is None
        kill_all({JOB_VARIABLE: task.job, "NODE_RANK": "1"})
        assert living("keep-other") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_runner_ends_with_its_keeper(number: signal.Signals, tmp_path: Path) -> None:
    text = "open('ready', 'w')\nwhile True: time.sleep(0.05)"
    task = script(tmp_path, f"keep-{number}", text)
    plan = plan_of(task, tmp_path)
    command = [sys.executable, "-m", "vqa.jobs.engines.ray_keeper", plan.to_json()]
    with subprocess.Popen(command) as keeper:
        until((task.run_dir / "ready").exists)
        keeper.send_signal(number)
    until(lambda: not living(task.job), 5)
    assert keeper.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 241)
