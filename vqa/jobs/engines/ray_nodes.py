"""Keepers on several nodes of a Ray cluster: a placement group with one bundle a node, one task in each."""

from __future__ import annotations

import socket
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from vqa.errors import EngineError
from vqa.jobs.engines.base import GRACE_VARIABLE
from vqa.jobs.engines.ray_keeper import (
    POLL_SECONDS,
    RANK_VARIABLE,
    Order,
    Orders,
    Plan,
    keep,
    on_term,
)

BUNDLE = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
NICENESS = "RAY_worker_niceness"
"""Ray gives its workers the least priority among processes; a training is to have the usual one."""


def keep_nodes(plan: Plan) -> int:
    """Run one keeper a node, each on a machine of its own, to their ends.

    Returns:
        The exit code of node 0's runner, which writes the result.

    Raises:
        EngineError: Ray is not installed here.
    """
    ray, orders = _ray(), Orders(Path(plan.orders))
    ray.init(address="auto", runtime_env={"env_vars": {NICENESS: "0"}})
    on_term(orders)  # Ray had put a handler of its own in place
    places = _reserve(ray, plan, orders)
    if not places:
        return 0
    variables = ray.get(ray.remote(_meeting_point).options(**places[0]).remote())
    keeper = ray.remote(keep)
    tasks = [
        keeper.options(**place).remote(plan, {**variables, RANK_VARIABLE: str(node)})
        for node, place in enumerate(places)
    ]
    return _wait(ray, tasks, orders, float(plan.environment[GRACE_VARIABLE]))


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError:
        fix = "pip install 'vqa-service[ray]'"
        raise EngineError("Ray is not installed on this node", fix=fix) from None


def _reserve(ray: Any, plan: Plan, orders: Orders) -> list[dict[str, Any]]:
    """Wait for the nodes and return each one's task options; none where told to stop meanwhile."""
    util = import_module("ray.util")
    strategies = import_module("ray.util.scheduling_strategies")
    bundle = {BUNDLE[key]: amount for key, amount in plan.amounts.items()}
    group = util.placement_group([bundle] * plan.nodes, strategy="STRICT_SPREAD")
    ready = group.ready()
    while not ray.wait([ready], timeout=POLL_SECONDS)[0]:
        if orders.read() is not Order.NONE:
            return []
    orders.waiting.unlink(missing_ok=True)
    strategy = strategies.PlacementGroupSchedulingStrategy
    return [
        {"scheduling_strategy": strategy(group, node), "max_retries": 0, **plan.amounts}
        for node in range(plan.nodes)
    ]


def _meeting_point() -> dict[str, str]:
    """Where the ranks of all nodes find each other: asked on node 0."""
    address = import_module("ray.util").get_node_ip_address()
    with socket.socket() as listener:
        listener.bind(("", 0))
        return {"MASTER_ADDR": address, "MASTER_PORT": str(listener.getsockname()[1])}


def _wait(ray: Any, tasks: list[Any], orders: Orders, grace: float) -> int:
    """Wait for all.

    When node 0 has ended the others have nothing left to do: they are asked to stop, and killed after the grace. When
    a node is lost they are killed at once.
    """
    running, code, last = tasks, 1, float("inf")
    while running:
        ended, running = ray.wait(running, timeout=POLL_SECONDS)
        for task in ended:
            try:
                own = ray.get(task)
            except ray.exceptions.RayError as error:
                print(f"a node was lost: {error}", flush=True)
                orders.give(Order.KILL)
                continue
            if task == tasks[0]:
                code, last = own, time.monotonic() + grace
                orders.give(Order.STOP)
        if time.monotonic() > last:
            orders.give(Order.KILL)
    return code
