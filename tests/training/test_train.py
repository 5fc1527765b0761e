"""A run from its experiment to its result."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vqa
from vqa.config import Experiment
from vqa.data.store import Store
from vqa.errors import ConfigError, DataError, InputError, NonFiniteLossError, RunError
from vqa.evaluation.predictions import read_predictions
from vqa.tracking.journal import read_journal
from vqa.training import directory
from vqa.training.directory import RunDirectory, RunLock
from vqa.training.finite import FiniteWatch, Seen
from vqa.training.module import TrainingModule
from vqa.training.run import train

Make = Callable[..., Experiment]
CHOOSER = {"head": {"name": "chooser", "dim": 8}}


def ids(store: Path, split: str) -> list[str]:
    opened = Store.open(store)
    return opened.column("question_id", opened.rows(split))


def test_a_run_leaves_what_the_contract_names(
    experiment: Make, tmp_path: Path, scenes_store: Path
) -> None:
    made = experiment()
    result = train(made, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    assert result.status == "succeeded"
    assert run.experiment() == made
    fields = json.loads((run.path / "result.json").read_text())
    assert fields["status"] == "succeeded"
    assert fields["protocol"] == "multiple-choice/1"
    assert fields["n"] == 40
    assert fields["split"] == "test"
    assert fields["data_fingerprint"] == Store.open(scenes_store).fingerprint
    assert fields["config_hash"] == made.digest()
    assert fields["training"]["questions"] == 2 * 160
    assert fields["counts"]["parameters"] > 0
    assert fields["versions"]["torch"] == torch.__version__.split("+")[0]
    predictions = read_predictions(run.predictions_file("test"))
    assert [item.question_id for item in predictions] == ids(scenes_store, "test")
    assert fields["overall"] == pytest.approx(
        sum(item.score or 0 for item in predictions) / 40, abs=1e-3
    )
    records = list(read_journal(run.journal_file))
    assert [record["step"] for record in records if "train/loss" in record] == [2, 4, 6, 8, 10]
    assert [record["epoch"] for record in records if "val/accuracy" in record] == [0, 1]
    assert {
        "train/gradient_norm",
        "train/lr",
        "gradient_by_step/00",
        "forget_gate/layer_0",
    } <= records[0].keys()
    kept = sorted(file.name for file in run.checkpoints.iterdir())
    assert kept == [
        "best.json",
        "best.pt",
        "step-000000005.json",
        "step-000000005.pt",
        "step-000000010.json",
        "step-000000010.pt",
    ]


def test_training_learns_what_can_be_learnt(experiment: Make, tmp_path: Path) -> None:
    """Scored on the pictures that it trained on, a network with room to learn them fits them; chance is 25."""
    made = experiment(
        data={"validation_split": "none"},
        model={
            "question_encoder": {"name": "gru", "dim": 32, "embedding_dim": 32},
            "attention": {"name": "none", "pool": "flatten"},
            "fusion": {"name": "multiply", "dim": 64, "activation": "relu"},
        },
        optimizer={"lr": 0.01},
        trainer={"max_epochs": 25, "accelerator": "cpu"},
        evaluation={"split": "train"},
    )
    assert (train(made, tmp_path / "run").overall or 0) > 80


BASELINES: dict[str, dict[str, Any]] = {
    "question only": {"image_encoder": "none"},
    "image only": {"question_encoder": "none"},
    "choices only": {
        "image_encoder": "none",
        "question_encoder": "none",
        "head": {
            "name": "chooser",
            "dim": 8,
            "encoder": {"name": "gru", "dim": 8, "embedding_dim": 8},
        },
    },
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_fall_out_of_the_bricks(name: str, experiment: Make, tmp_path: Path) -> None:
    made = experiment(model=BASELINES[name], trainer={"max_epochs": 1, "accelerator": "cpu"})
    assert train(made, tmp_path / "run").status == "succeeded"


def predictions_of(run: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()
    ]


@pytest.mark.parametrize(("head", "validation"), [({}, "auto"), (CHOOSER, "auto"), ({}, "none")])
def test_two_processes_evaluate_as_one(
    head: dict[str, Any], validation: str, experiment: Make, tmp_path: Path, scenes_store: Path
) -> None:
    """The model that two processes trained, evaluated by two and by one: same file, each question once.

    Each process has batch-norm statistics of its own pictures; the first one's are the model's.
    """
    from vqa.cli import main

    made = experiment(
        data={"validation_split": validation},
        model=head | {"attention": {"name": "soft", "hidden": 8}},
        trainer={"devices": 2, "max_epochs": 1, "log_every_n_steps": 1, "accelerator": "cpu"},
        evaluation={"batch_size": 7},
    )
    result = train(made, tmp_path / "run")
    assert result.status == "succeeded", (tmp_path / "run" / "logs" / "rank0.log").read_text()
    by_two = predictions_of(tmp_path / "run")
    assert [item["question_id"] for item in by_two] == ids(scenes_store, "test")
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert predictions_of(tmp_path / "run") == by_two
    assert not list((tmp_path / "run" / "predictions").glob(".*"))
    assert (tmp_path / "run" / "logs" / "rank1.log").exists()


def test_streamed_training_equals_resident_training(experiment: Make, tmp_path: Path) -> None:
    for resident in ("always", "never"):
        train(
            experiment(data={"resident": resident, "augmentation": {"shift": 1}}),
            tmp_path / resident,
        )
    assert predictions_of(tmp_path / "always") == predictions_of(tmp_path / "never")
    one, two = (vqa.load(tmp_path / name).network.state_dict() for name in ("always", "never"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def poison(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the loss of a run's batch no number."""
    original = TrainingModule.training_step

    def poisoned(self: TrainingModule, given: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == batch:
            given.targets.weight.fill_(float("nan"))
        return original(self, given, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", poisoned)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    device: str,
    experiment: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenes_store: Path,
) -> None:
    made = experiment()

    def see_on_a_gpu(self: FiniteWatch, loss: torch.Tensor, index: Any, step: int) -> None:
        self._seen.append(Seen(step, index, loss.detach()))

    with monkeypatch.context() as patch:
        poison(7, patch)
        if device == "gpu":  # where losses are looked at late
            patch.setattr(FiniteWatch, "see", see_on_a_gpu)
        with pytest.raises(NonFiniteLossError) as caught:
            train(made, tmp_path / "run")
    message = str(caught.value)
    assert "step 7" in message
    named = message.split("(questions ")[1].split(" and ")[0].split(", ")
    assert set(named) <= set(ids(scenes_store, "train"))
    assert len(named) == 3
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["error"] == message
    assert train(made, tmp_path / "run").status == "succeeded"
    events = [
        json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    ]
    assert [event["step"] for event in events if event["event"] == "resumed"] == [5]


@pytest.mark.parametrize("damage", ["truncate", "flip", "no manifest", "manifest"])
def test_a_damaged_checkpoint_is_passed_over_and_said_so(
    damage: str, experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = experiment()
    train(made, tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*.pt"))
    content = bytearray(newest.read_bytes())
    if damage == "truncate":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
    elif damage == "manifest":
        newest.with_suffix(".json").write_text("{")
    else:
        newest.with_suffix(".json").unlink()
    (tmp_path / "run" / "result.json").unlink()
    assert train(made, tmp_path / "run").status == "succeeded"
    if damage != "no manifest":
        assert f"{newest.name} is passed over" in capsys.readouterr().err


def test_a_run_without_any_trusted_checkpoint_does_not_begin_anew(
    experiment: Make, tmp_path: Path
) -> None:
    made = experiment()
    train(made, tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").glob("step-*.pt"):
        file.write_bytes(b"")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(RunError, match="no checkpoint can be trusted"):
        train(made, tmp_path / "run")


def test_early_stopping_waits_as_long_as_it_is_told(
    experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = {
        "max_epochs": 50,
        "early_stopping": {"patience": 2, "min_delta": 100},
        "accelerator": "cpu",
    }
    result = train(experiment(trainer=trainer), tmp_path / "run")
    assert result.fields["training"]["stopped_early"]
    assert result.fields["training"]["steps"] == 3 * 5
    assert "stopped early: validations without a gain: 2" in capsys.readouterr().err


def test_early_stopping_without_a_validation_split_is_told(
    experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for patience in (0, 1):
        trainer = {"max_steps": 1, "early_stopping": {"patience": patience}, "accelerator": "cpu"}
        made = experiment(trainer=trainer, data={"validation_split": "none"})
        train(made, tmp_path / str(patience))
        told = "trainer.early_stopping needs a validation split" in capsys.readouterr().err
        assert told == bool(patience)


def test_max_steps_and_accumulation_count_optimiser_steps(experiment: Make, tmp_path: Path) -> None:
    trainer = {"max_epochs": 9, "max_steps": 4, "accumulate_grad_batches": 2, "accelerator": "cpu"}
    training = train(experiment(trainer=trainer), tmp_path / "run").fields["training"]
    assert (training["steps"], training["questions"]) == (4, 8 * 32)


def test_a_run_is_trained_by_one_process_at_a_time(experiment: Make, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create(experiment())
    with RunLock(run.path), pytest.raises(RunError, match="another process"):
        train(experiment(), run.path)


def test_a_folder_without_locks_is_refused(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(directory.fcntl, "flock", fail)
    with pytest.raises(RunError, match=r"cannot be locked .* file system that has locks"):
        train(experiment(), tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"data": {"store": "nowhere"}}, DataError, "no prepared store"),
        ({"data": {"train_split": "trian"}}, DataError, "no split 'trian'"),
        ({"evaluation": {"split": "nope"}}, DataError, "no split 'nope'"),
        (
            {"model": {"image_encoder": {"name": "torchvision", "model": "resnet81"}}},
            InputError,
            "resnet81",
        ),
        ({"trainer": {"accelerator": "gpu"}}, ConfigError, "no GPU"),
    ],
)
def test_bad_input_begins_nothing(
    overrides: dict[str, Any],
    error: type[Exception],
    message: str,
    experiment: Make,
    tmp_path: Path,
) -> None:
    if "accelerator" in overrides.get("trainer", {}) and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(error, match=message):
        train(experiment(**overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_words_found_in_a_file_of_vectors_are_told(
    experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("what 1 2 3 4\nzebra 1 2 3 4\nis 1 2 3 4\n")
    encoder = {"name": "bag", "embedding_dim": 4, "vectors": str(file)}
    train(
        experiment(model={"question_encoder": encoder}, trainer={"max_epochs": 1}), tmp_path / "run"
    )
    events = map(json.loads, (tmp_path / "run" / "events.jsonl").read_text().splitlines())
    (told,) = [event for event in events if event["event"] == "vectors"]
    assert (told["file"], told["found"]) == ("glove.txt", 2)
    line = f"vqa: found 2 of {told['words']} words in glove.txt\n"
    assert capsys.readouterr().err.count(line) == 1


@pytest.mark.parametrize(
    ("protocol", "told"), [("auto", False), ("multiple-choice/1", False), ("exact/1", True)]
)
def test_a_checkpoint_that_is_chosen_by_another_score_than_the_runs_is_told(
    experiment: Make, tmp_path: Path, protocol: str, told: bool
) -> None:
    train(experiment(evaluation={"protocol": protocol}, trainer={"max_steps": 1}), tmp_path / "run")
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert (f"{protocol} scores the run at its end" in events) is told


def test_a_protocol_that_does_not_exist_is_refused_before_training(
    experiment: Make, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no protocol"):
        train(experiment(evaluation={"protocol": "exact/9"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_store_without_pictures_trains_no_image_encoder(experiment: Make, tmp_path: Path) -> None:
    from vqa.data.prepare import prepare
    from vqa.data.sources.scenes import Scenes

    prepare(Scenes({"train": 8, "test": 2}), tmp_path / "store", text_only=True)
    data = {"store": str(tmp_path / "store")}
    with pytest.raises(ConfigError, match="no pictures"):
        train(experiment(data=data), tmp_path / "run")
    assert (
        train(experiment(data=data, model={"image_encoder": "none"}), tmp_path / "run").status
        == "succeeded"
    )


@pytest.mark.parametrize(
    "ending",
    [{"max_epochs": 2}, {"max_epochs": 9, "early_stopping": {"patience": 1, "min_delta": 100}}],
    ids=["planned", "early"],
)
def test_a_run_of_few_steps_has_a_record_at_its_end(
    experiment: Make, tmp_path: Path, ending: dict[str, Any]
) -> None:
    trainer = {"log_every_n_steps": 50, "accelerator": "cpu", **ending}
    train(experiment(trainer=trainer), tmp_path / "run")
    records = list(read_journal(tmp_path / "run" / "metrics.jsonl"))
    [record] = [record for record in records if "train/loss" in record]
    assert (record["step"], record["epoch"]) == (10, 1)
