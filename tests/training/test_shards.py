"""Several processes, each with the pictures that it owns: what they hold, and that they learn what one would."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqa
from tests.training.test_resume import assert_same, command, wait_for_step
from vqa.cli import main
from vqa.config import Experiment
from vqa.data.bank import Resident, Shard, Streamed
from vqa.evaluation.predictions import read_predictions
from vqa.export import VQAModel
from vqa.tracking.journal import read_journal
from vqa.training import pictures
from vqa.training.directory import RunDirectory
from vqa.training.distributed import Place
from vqa.training.materials import load_materials
from vqa.training.run import train
from vqa.training.session import Session
from vqa.training.state import Progress

Make = Callable[..., Experiment]
WITHOUT_CHANCE: dict[str, Any] = {
    "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2], "frozen": True},
    "attention": {"name": "soft", "hidden": 8},
}
"""No dropout, and batch norm in the frozen encoder alone."""


def plan(run: Path) -> dict[str, Any]:
    """What the first process said of its memory, last."""
    lines = (run / "events.jsonl").read_text().splitlines()
    found: dict[str, Any] = [e for e in map(json.loads, lines) if e["event"] == "memory"][-1]
    return found


@pytest.mark.parametrize(
    "data",
    [
        {"group_by_image": True, "batch_size": 4},  # one picture or two: a process often has none
        {"group_by_length": True, "batch_size": 32},
    ],
    ids=["image", "length"],
)
def test_two_processes_with_shards_learn_and_say_what_one_does(
    experiment: Make, tmp_path: Path, data: dict[str, Any]
) -> None:
    for devices in (1, 2):
        made = experiment(
            model=WITHOUT_CHANCE,
            data={**data, "resident": "shards"},
            trainer={"devices": devices, "max_epochs": 2, "accelerator": "cpu"}
            | {"log_every_n_steps": 3},
            optimizer={"name": "sgd", "lr": 0.1},
            evaluation={"batch_size": 7},
        )
        result = train(made, tmp_path / str(devices))
        assert result.fields["training"]["questions"] == 2 * 160
    one, two = (tmp_path / "1", tmp_path / "2")
    [training, validation] = plan(two)["splits"]
    assert (training["shard"], training["held"], training["images"]) == ("1 of 2", 20, 40)
    assert validation["shard"] == "1 of 2"
    assert validation["held"] < validation["images"] == 10
    assert all(split["shard"] is None for split in plan(one)["splits"])
    for alone, both in zip(
        read_journal(one / "metrics.jsonl"), read_journal(two / "metrics.jsonl"), strict=True
    ):
        for name in {"train/loss", "train/gradient_norm", "val/accuracy"} & alone.keys():
            assert both[name] == pytest.approx(alone[name], rel=1e-4), name
    weights, weights2 = (vqa.load(run).network.state_dict() for run in (one, two))
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, weights2[name], rtol=1e-4, atol=1e-6)
    said = read_predictions(two / "predictions" / "test.jsonl")
    assert main(["evaluate", str(two), "--json"]) == 0  # by one process, with all the pictures
    assert read_predictions(two / "predictions" / "test.jsonl") == said


@pytest.mark.slow
def test_two_processes_with_shards_go_on_after_a_kill_as_if_there_had_been_none(
    experiment: Make, tmp_path: Path
) -> None:
    """With dropout, and a record of the loss that was begun before the kill and ends after it."""
    made = experiment(
        model={**WITHOUT_CHANCE, "head": {"name": "classifier", "dropout": 0.5}},
        data={"group_by_image": True, "batch_size": 8, "resident": "shards"},
        trainer={"devices": 2, "max_epochs": 4, "accelerator": "cpu"}
        | {"log_every_n_steps": 5, "checkpoint_every_n_steps": 7},
    )
    config, run = tmp_path / "experiment.yaml", tmp_path / "killed"
    config.write_text(made.to_yaml())
    process = command(config, run)
    wait_for_step(run, 20, process, seconds=300)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (run / "result.json").exists()
    assert train(made, run).status == "succeeded"
    train(made, tmp_path / "whole")
    assert_same(tmp_path / "whole", run)


@pytest.fixture
def session(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Session]:
    """Opens the session of one of several processes, which agree with it."""
    monkeypatch.setattr(Place, "least", lambda _, value, __: value)

    def opened(rank: int, world: int, **data: Any) -> Session:
        made = experiment(
            model=WITHOUT_CHANCE, data=data, trainer={"accelerator": "cpu", "devices": world}
        )
        materials = load_materials(made)
        torch.manual_seed(0)
        network = made.model.build(materials.sizes(made.data))
        fingerprint = materials.store.fingerprint
        model = VQAModel(network, made, materials.tokenizer, materials.vocabulary, fingerprint)
        run = RunDirectory(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        return Session(made, run, materials, model, Place(rank, world))

    return opened


@pytest.mark.parametrize("fields", [{}, {"group_by_image": True, "batch_size": 4}])
def test_a_process_holds_its_own_pictures_and_needs_no_other(
    session: Callable[..., Session], fields: dict[str, Any]
) -> None:
    fields = {"batch_size": 32, **fields}
    whole = session(0, 1, **fields)
    everything = whole.bank("train")
    assert isinstance(everything, Resident)
    ranks = [session(rank, 2, resident="shards", **fields) for rank in range(2)]
    batches = [list(one.batches(Progress())) for one in ranks]
    for rank, one in enumerate(ranks):
        bank = one.bank("train")
        assert isinstance(bank, Shard)
        assert isinstance(bank.part, Resident)
        own = np.flatnonzero(bank.place >= 0)
        assert own.tolist() == list(range(rank, 40, 2))
        assert len(bank.part.values) == 20
        assert torch.equal(bank.fetch(own), everything.fetch(own))
    for alone, *parts in zip(whole.batches(Progress()), *batches, strict=True):
        counted = [part for part in parts if part.share]
        assert sorted(np.concatenate([part.index for part in counted])) == sorted(alone.index)
        assert all(part.whole == len(alone) and len(part) for part in parts)
        assert sum(part.share for part in parts) == pytest.approx(2)
        for part in counted:
            assert part.share == 2 * len(part) / len(alone)


def test_validation_is_held_by_turns_even_by_a_process_without_one(
    session: Callable[..., Session],
) -> None:
    held = [session(rank, 2, resident="shards").bank("validation") for rank in range(2)]
    sizes = [len(bank.part.values) for bank in held if isinstance(bank, Shard)]  # type: ignore[attr-defined]
    assert sizes == [10, 0]  # all of it is one batch


def test_how_questions_are_shared_out_is_settled_when_a_run_begins(
    session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever room there is later on."""
    roomy = session(0, 2, resident="auto")
    assert isinstance(roomy.bank("train"), Resident)
    assert roomy.batches(Progress()).owner is None
    monkeypatch.setattr(pictures, "free_bytes", lambda _: 0)
    narrow = session(0, 2, resident="auto")
    assert isinstance(narrow.bank("train"), Streamed)
    assert narrow.batches(Progress()).owner is None
    (narrow.run.path / "events.jsonl").unlink()
    room = sum(narrow.pictures.plan.needs.values()) + 30 * narrow.pictures.supply.row_bytes
    for free, kind in ((4 * room, Shard), (0, Streamed), (10**12, Shard)):
        monkeypatch.setattr(pictures, "free_bytes", lambda _, free=free: free)
        sharded = session(0, 2, resident="auto")
        assert isinstance(sharded.bank("train"), kind)
        assert sharded.batches(Progress()).owner is not None
    assert session(0, 2, resident="never").batches(Progress()).owner is None
