"""`python -m vqa.jobs.engines.ray_keeper PLAN`: what Ray starts for an attempt, and what starts its runners.

On each node a keeper starts the runner, watches the attempt's orders, passes TERM on to the runner alone, kills at
once where told so, and leaves no process of the attempt behind. It dies, and the runner with it, when Ray's own
process does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from types import FrameType

from vqa.jobs.engines.base import ATTEMPT_VARIABLE, JOB_VARIABLE
from vqa.jobs.processes import kill_all
from vqa.lifetime import die_with

RANK_VARIABLE = "NODE_RANK"
IDENTITY = (JOB_VARIABLE, ATTEMPT_VARIABLE, RANK_VARIABLE)
"""Variables that all processes of one runner share and no other's do, even where nodes share a machine."""
POLL_SECONDS = 0.2
BUSY = 75
"""A runner ends so where another holds its run: one of a head that died, whose nodes live for another minute."""
BUSY_SECONDS, SETTLED_SECONDS = 120.0, 2.0
SECRETS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class Order(IntEnum):
    """What a keeper is told; the greater one counts."""

    NONE = 0
    STOP = 1
    KILL = 2


@dataclass(frozen=True)
class Orders:
    """A file that holds one order.

    It exists before the keeper starts and is opened anew for each look: network file systems promise that what
    was written is then seen, while a new file may stay unseen for half a minute.
    """

    path: Path

    @property
    def waiting(self) -> Path:
        """A file that is there while no runner can be started yet, so that none is missed."""
        return self.path.with_suffix(".waiting")

    def create(self) -> None:
        """Make it, as long as any order, so that giving one needs no room on a full disk."""
        self.path.write_text(Order.NONE.name)

    def give(self, order: Order) -> bool:
        """Write an order; False where the file is gone or cannot be written. A lesser order changes nothing."""
        try:
            with self.path.open("r+") as file:
                if order > Order.__members__.get(file.read(), Order.NONE):
                    file.seek(0)
                    file.write(order.name)
            return True
        except OSError:
            return False

    def read(self) -> Order:
        """The order so far."""
        try:
            return Order.__members__.get(self.path.read_text(), Order.NONE)
        except OSError:
            return Order.NONE

    def remove(self) -> None:
        """Take the files away: there is nobody left to read them."""
        for file in (self.path, self.waiting):
            file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Plan:
    """What a keeper is to do; it travels as JSON.

    Attributes:
        command: the runner's.
        environment: the variables of the task.
        orders, log: files in the run directory.
        amounts: `num_cpus`, `num_gpus` and `memory` (bytes) of each node, where several take part.
    """

    command: list[str]
    environment: dict[str, str]
    orders: str
    log: str
    nodes: int
    amounts: dict[str, int]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        return cls(**json.loads(text))


def keep(plan: Plan, variables: Mapping[str, str]) -> int:
    """Run the runner of this node to its end, and return its exit code.

    Where another runner still holds the run, it is tried again for a while.

    Args:
        variables: further ones: the node's number, and where nodes meet.
    """
    orders, last_try = Orders(Path(plan.orders)), time.monotonic() + BUSY_SECONDS
    code = 0
    while orders.read() is Order.NONE:
        code = _run(plan, variables, orders)
        if code != BUSY or time.monotonic() > last_try:
            break
        orders.waiting.touch()
        time.sleep(1)
    return code


def _run(plan: Plan, variables: Mapping[str, str], orders: Orders) -> int:
    """One life of a runner."""
    environment = plan.environment | dict(variables)
    runner, told, started = _start(plan, environment), Order.NONE, time.monotonic()
    try:
        while runner.poll() is None:
            order = orders.read()
            if order > told:
                told = order
                runner.send_signal(signal.SIGKILL if order is Order.KILL else signal.SIGTERM)
            if time.monotonic() - started > SETTLED_SECONDS:
                orders.waiting.unlink(missing_ok=True)
            time.sleep(POLL_SECONDS)
    finally:
        if runner.poll() is None:
            runner.kill()
            runner.wait()
        _clear({key: environment[key] for key in IDENTITY})
    return runner.returncode


def _start(plan: Plan, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    inherited = {key: value for key, value in os.environ.items() if key not in SECRETS}
    with Path(plan.log).open("ab") as log:
        return subprocess.Popen(
            plan.command,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with(os.getpid()),
        )


def _clear(variables: Mapping[str, str]) -> None:
    """Leave no process of the attempt behind; how its runner ended counts even where one does not die."""
    try:
        kill_all(variables)
    except TimeoutError as error:
        print(error, flush=True)


def on_term(orders: Orders) -> None:
    """Turn Ray's own TERM (`ray job stop`) into an order, which every node's keeper sees."""

    def handle(number: int, frame: FrameType | None) -> None:
        orders.give(Order.STOP)

    signal.signal(signal.SIGTERM, handle)


def main(arguments: list[str]) -> int:
    """Keep one node's runner, or those of several; return an exit code."""
    plan = Plan.from_json(arguments[0])
    orders = Orders(Path(plan.orders))
    on_term(orders)
    try:
        if plan.nodes == 1:
            return keep(plan, {RANK_VARIABLE: "0"})
        from vqa.jobs.engines.ray_nodes import keep_nodes

        return keep_nodes(plan)
    finally:
        orders.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
