"""Runs of several ranks and nodes: they train as one, and end together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.jobs.runners import LONG, Job, Make, finish
from vqa.export import load
from vqa.training.launch import _free_port
from vqa.training.run import train


def test_one_of_two_ranks_killed_is_a_lost_run(job: Callable[..., Job]) -> None:
    one = job(trainer={**LONG, "devices": 2, "max_epochs": 1000})
    process = one.start()
    one.wait_for_step(5, process)
    one.ranks()[1].kill()
    assert finish(process, 5) == 1
    one.assert_gone(0.1)
    assert one.run.result() is None
    assert one.names() == ["started", "lost"]
    assert one.events()[-1]["reason"] == "rank 1 died of SIGKILL"


@pytest.fixture
def rendezvous() -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}


def test_two_nodes_train_and_evaluate_as_one_process(
    job: Callable[..., Job], rendezvous: dict[str, str], experiment: Make, tmp_path: Path
) -> None:
    """Without batch norm the same questions a step give the same weights, to rounding; the same model evaluated by
    four processes and by one gives the same file."""
    from vqa.cli import main

    fields: dict[str, Any] = {
        "model": {
            "image_encoder": "none",
            "question_encoder": {"name": "gru", "dim": 8, "embedding_dim": 8},
        },
        "optimizer": {"name": "sgd", "lr": 0.1},
    }
    layout = {"devices": 2, "num_nodes": 2, "max_epochs": 2, "accelerator": "cpu"}
    one = job(**fields, trainer=layout)
    nodes = [one.start(node, **rendezvous) for node in (0, 1)]
    assert [finish(node) for node in nodes] == [0, 0], one.logs()
    one.assert_gone(0.1)
    result = one.result()
    assert result["status"] == "succeeded"
    assert one.names() == ["started", "succeeded"]
    reports = [json.loads(file.read_text()) for file in (one.run.path / "nodes").iterdir()]
    assert [(report["codes"], report["lost"]) for report in reports] == [([0, 0], None)]
    assert sorted(file.name for file in (one.run.path / "logs").iterdir()) == [
        *(f"rank{n}.log" for n in range(4)),
        *("runner0.log", "runner1.log"),
    ]
    (one.run.path / "result.json").unlink()  # a life that finds nothing left to train
    nodes = [one.start(node, **rendezvous) for node in (0, 1)]
    assert [finish(node) for node in nodes] == [0, 0], one.logs()
    assert one.names()[-2:] == ["resumed", "succeeded"]

    by_four = (one.run.path / "predictions" / "test.jsonl").read_text()
    assert main(["evaluate", str(one.run.path)]) == 0
    assert (one.run.path / "predictions" / "test.jsonl").read_text() == by_four

    alone = train(
        experiment(**fields, trainer={"max_epochs": 2, "accelerator": "cpu"}), tmp_path / "alone"
    )
    assert alone.overall == result["overall"]
    assert alone.fields["n"] == result["n"]
    weights, other = (
        load(path).network.state_dict() for path in (one.run.path, tmp_path / "alone")
    )
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_runner_of_two_killed_is_a_lost_run(
    job: Callable[..., Job], rendezvous: dict[str, str]
) -> None:
    one = job(trainer={**LONG, "devices": 1, "num_nodes": 2, "max_epochs": 1000})
    nodes = [one.start(node, **rendezvous) for node in (0, 1)]
    one.wait_for_step(5, nodes[0])
    nodes[1].kill()
    nodes[1].wait()
    assert finish(nodes[0], 20) == 1
    one.assert_gone(0.1)
    assert one.run.result() is None
    assert one.names() == ["started", "lost"]
    assert one.events()[-1]["reason"] == "node 1: its runner is gone"


def test_a_stop_on_one_node_stops_both(job: Callable[..., Job], rendezvous: dict[str, str]) -> None:
    one = job(trainer={**LONG, "devices": 1, "num_nodes": 2, "max_epochs": 1000})
    nodes = [one.start(node, **rendezvous) for node in (0, 1)]
    one.wait_for_step(5, nodes[0])
    nodes[1].terminate()
    assert [finish(node, 30) for node in nodes] == [1, 1]
    assert one.result()["status"] == "preempted"
    assert one.names() == ["started", "preempted"]
    assert one.result()["training"]["steps"] > 0
