"""Features and decoded pictures that are kept on disk: same results as without, whatever becomes of the files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vqa
from tests.training.test_resume import Death, assert_same, die_at
from vqa.cli import main
from vqa.config import Experiment
from vqa.data import supply as supplying
from vqa.data.cache import pictures as decoding
from vqa.data.cache import place
from vqa.data.cache.layout import INDEX, read_manifest
from vqa.data.cache.place import cached
from vqa.data.cache.rows import ROWS
from vqa.data.store import Store
from vqa.data.supply import RESIDENT_SHARE, Supply, find_supply
from vqa.errors import ConfigError, DataError, TrainingError
from vqa.evaluation.predictions import Prediction, read_predictions
from vqa.export import VQAModel
from vqa.training.activations import activation_bytes
from vqa.training.materials import load_materials
from vqa.training.run import train

Make = Callable[..., Experiment]
FROZEN: dict[str, Any] = {
    "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2], "frozen": True},
    "attention": {"name": "soft", "glimpses": 2, "hidden": 8},
}


@pytest.fixture
def store(scenes_store: Path, tmp_path: Path) -> Path:
    """A store without caches."""
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "store"


@pytest.fixture
def make(experiment: Make, store: Path) -> Make:
    """Experiments with a frozen encoder on that store."""

    def made(model: dict[str, Any] = FROZEN, **data: Any) -> Experiment:
        trainer = {
            "max_epochs": 2,
            "accelerator": "cpu",
            "checkpoint_every_n_steps": 2,
            "devices": data.pop("devices", 1),
            "precision": data.pop("precision", "32-true"),
        }
        return experiment(data={"store": str(store), **data}, model=model, trainer=trainer)

    return made


def plan(run: Path) -> dict[str, Any]:
    """What the run said of its memory, last."""
    lines = (run / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    found: dict[str, Any] = [event for event in events if event["event"] == "memory"][-1]
    return found


def kinds(store: Path) -> list[str]:
    kept = [one.kind for one in cached(Store.open(store))]
    return [kind for kind in kept if kind in ("features", "pictures")]


def said(run: Path) -> list[Prediction]:
    return read_predictions(run / "predictions" / "test.jsonl")


def no_picture(*_: Any, **__: Any) -> None:
    raise AssertionError("a picture was decoded")


@pytest.mark.parametrize(
    ("dtype", "precision", "tolerance"),
    [("float16", "32-true", 2e-3), ("bfloat16", "32-true", 1e-2), ("auto", "bf16-mixed", 3e-2)],
)
def test_features_give_what_pictures_give(
    make: Make, store: Path, tmp_path: Path, dtype: str, precision: str, tolerance: float
) -> None:
    """One run, evaluated from features, from pictures and by asking about a picture: the same, within rounding."""
    train(make(features=dtype, precision=precision), tmp_path / "run")
    assert plan(tmp_path / "run")["what"].startswith("features 16×8 ")
    [kept] = [one for one in cached(Store.open(store)) if one.kind == "features"]
    assert kept.about.startswith("small: 60 of 60 rows of 16×8")
    from_features = said(tmp_path / "run")
    shutil.rmtree(store / "cache")
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert kinds(store) == []  # evaluation makes none
    opened, model = Store.open(store), vqa.load(tmp_path / "run")
    rows = opened.rows("test")
    for row, one, other in zip(rows, from_features, said(tmp_path / "run"), strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=tolerance)
        scores = zip(one.choice_scores, other.choice_scores, strict=True)
        assert all(a == pytest.approx(b, abs=20 * tolerance) for a, b in scores)
        image = opened.image_bytes(int(opened.image_rows[row]))
        asked = model.ask(image, one.question, choices=one.choices)
        assert asked.confidence == pytest.approx(one.confidence, abs=tolerance)


@pytest.mark.parametrize("model", [FROZEN, {}], ids=["features", "pictures"])
def test_resident_or_streamed_is_the_same_to_the_last_bit(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any]
) -> None:
    """Streamed with threads ahead, killed on its way and resumed; against resident and undisturbed."""
    train(make(model, resident="always"), tmp_path / "resident")
    assert all(one["resident"] for one in plan(tmp_path / "resident")["splits"])
    assert kinds(store) == (["features"] if model else [])
    streamed = make(model, resident="never", workers=3)
    with monkeypatch.context() as patch:
        die_at(8, patch)
        with pytest.raises(Death):
            train(streamed, tmp_path / "streamed")
    monkeypatch.setattr(decoding, "decode_image", no_picture)  # all are on disk by now
    train(streamed, tmp_path / "streamed")
    assert not any(one["resident"] for one in plan(tmp_path / "streamed")["splits"])
    assert kinds(store) == ["features" if model else "pictures"]
    assert_same(tmp_path / "resident", tmp_path / "streamed")


def test_a_second_run_makes_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make(), tmp_path / "one")
    monkeypatch.setattr(decoding, "decode_image", no_picture)
    train(make(batch_size=16), tmp_path / "two")


def test_processes_share_the_work_and_the_features(make: Make, store: Path, tmp_path: Path) -> None:
    train(make(devices=2), tmp_path / "two")
    assert kinds(store) == ["features"]
    train(make(), tmp_path / "one")
    one, two = (vqa.load(tmp_path / name).network.state_dict() for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": {}}, "the image encoder learns"),
        ({"augmentation": {"shift": 1}}, "augmentation changes the pictures"),
        ({"model": {"image_encoder": "none"}}, "looks at no picture"),
    ],
)
def test_what_cannot_have_features_says_why(
    make: Make, store: Path, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        train(make(**fields, features="float16"), tmp_path / "run")
    assert "data.features" in str(caught.value)
    assert not (tmp_path / "run").exists()
    train(make(**fields), tmp_path / "run")
    assert says in plan(tmp_path / "run")["source"]
    assert kinds(store) == []


def test_off_is_off_and_nobody_looks_at_what_nobody_reads(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make(features=False, decoded="never"), tmp_path / "off")
    assert "data.features=off" in plan(tmp_path / "off")["source"]
    monkeypatch.setattr(decoding, "decode_image", no_picture)
    blind = make({"image_encoder": "none"}, resident="never", augmentation={"shift": 1})
    train(blind, tmp_path / "blind")
    assert kinds(store) == []


def test_a_short_run_makes_no_features_unless_told(make: Make, store: Path, tmp_path: Path) -> None:
    short = make(batch_size=8)
    trainer = short.trainer.model_copy(update={"max_steps": 4})
    train(short.model_copy(update={"trainer": trainer}), tmp_path / "run")
    assert "looks at 24 pictures and 60 would be made" in plan(tmp_path / "run")["source"]
    assert kinds(store) == []


def test_no_room(make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match="too little room"):
        train(make(features="float16"), tmp_path / "refused")
    assert json.loads((tmp_path / "refused" / "result.json").read_text())["status"] == "failed"
    train(make(resident="never"), tmp_path / "raw")
    assert "1.0 KB are free" in plan(tmp_path / "raw")["source"]
    assert kinds(store) == ["features"]  # begun by the refused run: empty


def test_no_room_for_what_is_still_missing(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make(), tmp_path / "first")
    [index] = (store / "cache").glob(f"features-*/{INDEX}")
    index.write_bytes(bytes(8 * 30) + index.read_bytes()[8 * 30 :])
    usage = shutil.disk_usage(tmp_path)._replace(free=place.KEPT_FREE + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    train(make(), tmp_path / "second")
    assert "are needed at" in plan(tmp_path / "second")["source"]


def test_where_nothing_can_be_kept_a_run_goes_without(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_HOME", os.devnull)
    monkeypatch.setattr(os, "access", lambda path, _: store not in (path, *Path(path).parents))
    for name, data in (("features", {}), ("decoded", {"features": "off", "resident": "never"})):
        train(make(**data), tmp_path / name)
        assert "cannot be written" in plan(tmp_path / name)["source"]


def test_a_run_goes_on_with_the_pictures_that_it_began_with(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that another run made meanwhile are rounded: training on them would end elsewhere."""
    train(make(features="off"), tmp_path / "whole")
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        die_at(4, patch)
        with pytest.raises(Death):
            train(make(), tmp_path / "run")
    assert plan(tmp_path / "run")["what"].startswith("pictures")
    train(make(features="float16"), tmp_path / "other")
    assert kinds(store) == ["features"]
    train(make(), tmp_path / "run")
    assert plan(tmp_path / "run")["what"].startswith("pictures")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_began_with_features_says_that_it_goes_on_without(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_at(4, patch)
        with pytest.raises(Death):
            train(make(), tmp_path / "run")
    shutil.rmtree(store / "cache")
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        assert train(make(), tmp_path / "run").status == "succeeded"
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    warnings = [event["message"] for event in map(json.loads, lines) if event["event"] == "warning"]
    assert any("goes on without" in warning and "are free" in warning for warning in warnings)


def test_a_store_that_cannot_be_written_has_its_features_at_home(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(place.os, "access", lambda path, _: Path(path) != store)
    train(make(), tmp_path / "one")
    assert not (store / "cache").exists()
    assert [one.kind for one in cached(Store.open(store))].count("features") == 1
    monkeypatch.setattr(decoding, "decode_image", no_picture)
    train(make(), tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")


def damage(store: Path) -> None:
    """Change one byte in the middle."""
    [folder] = (store / "cache").glob("features-*")
    size = read_manifest(folder).row_bytes
    with (folder / ROWS).open("r+b") as file:
        file.seek(11 * size + 5)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_features_that_others_keep_and_nobody_can_mend_are_made_at_home(
    harm: str, make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    train(make(), tmp_path / "good")
    [theirs] = (store / "cache").glob("features-*")
    if harm == "damaged":
        damage(store)
    else:
        with (theirs / INDEX).open("r+b") as file:
            file.write(bytes(80))
    before = {file.name: file.read_bytes() for file in theirs.iterdir()}
    monkeypatch.setattr(
        os, "access", lambda path, _: store not in (Path(path), *Path(path).parents)
    )
    train(make(), tmp_path / "one")
    assert before == {file.name: file.read_bytes() for file in theirs.iterdir()}
    [ours] = (tmp_path / "home" / "cache").glob("*/features-*")
    made = (ours / ROWS).stat().st_mtime_ns
    train(make(), tmp_path / "two")
    assert (ours / ROWS).stat().st_mtime_ns == made
    for name in ("one", "two"):
        assert_same(tmp_path / "good", tmp_path / name)


def test_damaged_features_are_made_again(make: Make, store: Path, tmp_path: Path) -> None:
    train(make(), tmp_path / "good")
    damage(store)
    train(make(), tmp_path / "mended")
    assert_same(tmp_path / "good", tmp_path / "mended")
    damage(store)
    with pytest.raises((DataError, TrainingError), match="1 rows are damaged"):
        train(make(resident="never"), tmp_path / "streamed")
    train(make(resident="never"), tmp_path / "streamed")
    assert_same(tmp_path / "good", tmp_path / "streamed")


def test_features_of_other_weights_sizes_or_types_are_others(
    make: Make, store: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "first" / "model" / "weights.safetensors"
    train(make(), tmp_path / "first")
    same = {**FROZEN, "image_encoder": {**FROZEN["image_encoder"], "weights": str(weights)}}
    train(make(same), tmp_path / "same")
    assert len(kinds(store)) == 1
    for number, fields in enumerate(
        ({"image_size": 20}, {"resize": "fit"}, {"features": "bfloat16"}), start=2
    ):
        train(make(**fields), tmp_path / str(number))
        assert len(kinds(store)) == number
    other = make().model_copy(update={"seed": 7})  # other random weights
    train(other, tmp_path / "other")
    assert len(kinds(store)) == 5


def test_the_plan_counts_what_is_kept_for_the_gradient(make: Make, tmp_path: Path) -> None:
    """Twice the batch keeps about twice as much; the estimate moves no weight, statistic or random number."""
    for batch_size in (32, 64):
        train(make({}, batch_size=batch_size), tmp_path / str(batch_size))
    small, large = (plan(tmp_path / name)["needs"] for name in ("32", "64"))
    assert large["activations"] == pytest.approx(2 * small["activations"], rel=0.2)
    # The first stage's maps alone, before and after batch norm and after ReLU: 4 channels of 8×8.
    assert small["activations"] > 32 * 2 * 4 * 8 * 8 * 4
    assert small["model"] > 0
    assert small["optimizer"] == 2 * small["gradients"]


def test_a_batch_is_no_larger_than_the_data(make: Make, store: Path, tmp_path: Path) -> None:
    sizes = {"whole": len(Store.open(store).rows("train")), "larger": 1_000_000}
    for name, batch_size in sizes.items():
        train(make(batch_size=batch_size), tmp_path / name)
    whole, larger = (plan(tmp_path / name) for name in sizes)
    assert larger["needs"]["activations"] == whole["needs"]["activations"]
    assert larger["source"] == whole["source"]


@pytest.mark.parametrize(
    ("kind", "processes", "fits"), [("cpu", 1, True), ("cpu", 2, False), ("cuda", 2, True)]
)
def test_processes_share_the_memory_of_a_cpu_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch, kind: str, processes: int, fits: bool
) -> None:
    config = make({})
    materials = load_materials(config)
    supply = Supply(materials.store, config, torch.device(kind), None, "decoded")
    room = round(10 * supply.row_bytes / RESIDENT_SHARE)
    monkeypatch.setattr(supplying, "free_bytes", lambda _: room)
    assert supply.fits(10, processes) is fits
    assert supply.fits(5, processes)


def test_the_plan_counts_what_dropout_keeps(make: Make, tmp_path: Path) -> None:
    """One byte a value of the grid that is dropped from, and the grid that is left of it."""
    attention = FROZEN["attention"]
    kept = {}
    for rate in (0.0, 0.5):
        model = FROZEN | {"attention": {**attention, "grid_dropout": rate}}
        train(make(model, batch_size=64), tmp_path / str(rate))
        kept[rate] = plan(tmp_path / str(rate))["needs"]["activations"]
    assert kept[0.5] - kept[0.0] >= 64 * 16 * 8


def test_the_plan_moves_no_statistic(make: Make, tmp_path: Path) -> None:
    config = make({"image_encoder": {"name": "small", "channels": [4], "strides": [2]}})
    materials = load_materials(config)
    network = config.model.build(materials.sizes(config.data))
    nothing: Any = None
    model = VQAModel(network, config, nothing, nothing, "")
    encoder, device = network.image_encoder, torch.device("cpu")
    rows = materials.train.image_rows
    supply = find_supply(materials.store, config, encoder, device, rows)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert any(name.endswith("running_mean") for name in before)
    random = torch.get_rng_state()
    assert activation_bytes(model.predictor(device), materials.train, supply, 8) > 0
    assert torch.equal(torch.get_rng_state(), random)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
