"""`vqa prepare features`, `vqa cache`, and what `vqa inspect` says of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vqa.cli import main
from vqa.config import Experiment
from vqa.data.cache import pictures as decoding
from vqa.data.cache.place import cached
from vqa.data.cache.rows import ROWS
from vqa.data.store import Store
from vqa.training.run import train

ENCODER = {"name": "small", "channels": [4, 8], "strides": [2, 2], "frozen": True}


@pytest.fixture
def store(scenes_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "store"


@pytest.fixture
def config(experiment: Callable[..., Experiment], store: Path, tmp_path: Path) -> Path:
    made = experiment(data={"store": str(store)}, model={"image_encoder": ENCODER})
    file = tmp_path / "experiment.yaml"
    file.write_text(made.to_yaml())
    return file


def result(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_features_are_made_ahead_and_training_takes_them(
    config: Path,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    estimate = result(capsys, "prepare", "features", config, "--estimate")
    assert (estimate["pictures"], estimate["bytes"]) == (60, 60 * 16 * 8 * 2)
    assert not estimate["complete"]
    assert not (store / "cache").exists()
    some = result(capsys, "prepare", "features", config, "--split", "val", "--split", "test")
    assert (some["pictures"], some["made"], some["complete"]) == (20, 20, True)
    rest = result(capsys, "prepare", "features", config)
    assert (rest["pictures"], rest["made"], rest["dtype"]) == (60, 40, "float16")
    monkeypatch.setattr(decoding, "decode_image", pytest.fail)
    from vqa.config import load_experiment

    train(load_experiment(config), tmp_path / "run")
    assert main(["prepare", "features", str(config)]) == 0
    assert "60 pictures, 16×8 float16 each, 15.4 KB; 0 made in" in capsys.readouterr().out


@pytest.mark.parametrize(("fast", "dtype"), [(True, "bfloat16"), (False, "float16")])
def test_features_are_made_in_what_a_precision_of_auto_becomes_here(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fast: bool,
    dtype: str,
) -> None:
    from vqa.config import load_experiment
    from vqa.training import precision, run

    monkeypatch.setattr(precision, "is_fast", lambda _: fast)
    monkeypatch.setattr(run, "is_fast", lambda _: fast)
    auto = "trainer.precision=auto"
    assert result(capsys, "prepare", "features", config, auto)["dtype"] == dtype
    monkeypatch.setattr(decoding, "decode_image", pytest.fail)
    train(load_experiment(config, [auto]), tmp_path / "run")


def test_an_estimate_needs_no_weights(
    config: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"model.image_encoder.weights={tmp_path / 'gone.pt'}"
    estimate = result(capsys, "prepare", "features", config, gone, "--estimate")
    assert (estimate["shape"], estimate["bytes"]) == ([16, 8], 60 * 16 * 8 * 2)
    assert (estimate["complete"], estimate["path"]) == (False, str(store / "cache"))
    assert main(["prepare", "features", str(config), gone]) == 2
    capsys.readouterr()
    wrong = ["model.image_encoder={name: torchvision, stage: nowhere, frozen: true}"]
    assert main(["prepare", "features", str(config), *wrong, "--estimate"]) == 2
    assert "without the weights" not in capsys.readouterr().err


def test_what_cannot_be_made_is_refused(
    config: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["prepare", "features", str(config), "model.image_encoder.frozen=false"]) == 2
    assert "the image encoder learns" in capsys.readouterr().err
    assert main(["prepare", "features", str(config), "--split", "nowhere"]) == 2
    usage = shutil.disk_usage(store)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    assert main(["prepare", "features", str(config)]) == 2
    assert "too little room: 15.4 KB are needed" in capsys.readouterr().err


def test_a_term_stops_it_in_order_and_it_goes_on(config: Path, store: Path) -> None:
    code = (
        "import sys, time; from vqa.data.cache import features; from vqa.cli import main;"
        "kept = features._kept;"
        "features._kept = lambda *a: (print('made', flush=True), time.sleep(60), kept(*a))[2];"
        f"sys.exit(main(['prepare', 'features', {str(config)!r}]))"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"made\n"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 1
    assert b"interrupted" in told
    assert b"Traceback" not in told
    assert time.monotonic() - started < 50
    assert main(["prepare", "features", str(config)]) == 0


def test_what_is_kept_is_listed_verified_and_deleted(
    config: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = result(capsys, "prepare", "features", config)
    again = result(capsys, "prepare", "features", config, "--estimate")
    assert (again["complete"], again["made"], again["path"]) == (True, 0, made["path"])
    assert main(["prepare", "features", str(config), "--estimate"]) == 0
    assert "0 made" in capsys.readouterr().out
    [listed] = result(capsys, "cache", store)
    assert listed["path"] == made["path"]
    assert (listed["kind"], listed["bytes"] > 0) == ("features", True)
    assert listed["about"] == "small: 60 of 60 rows of 16×8 float16"
    inspected = result(capsys, "inspect", store)["cache"]
    assert [one["path"] for one in inspected] == [made["path"]]
    assert main(["inspect", str(store)]) == 0
    assert "kept: features" in capsys.readouterr().out
    with (Path(made["path"]) / ROWS).open("r+b") as file:
        file.write(b"\x01\x02\x03")
    assert result(capsys, "cache", store, "--verify")[0]["damaged"] == 1
    assert result(capsys, "cache", store, "--verify")[0]["damaged"] == 0
    assert "59 of 60 rows" in result(capsys, "cache", store)[0]["about"]
    (Path(made["path"]) / ROWS).rename(Path(made["path"]) / "gone")
    assert "No such file" in result(capsys, "cache", store, "--verify")[0]["fault"]
    assert main(["cache", str(store), "--verify"]) == 0
    assert "cannot be read: " in capsys.readouterr().out
    (Path(made["path"]) / "gone").rename(Path(made["path"]) / ROWS)
    assert main(["cache", str(store), "--older-than", "1"]) == 2
    for days in ("-1", "nan"):
        assert main(["cache", str(store), "--prune", "--older-than", days]) == 2
        assert "--older-than: must not be below 0" in capsys.readouterr().err
    assert result(capsys, "cache", store, "--prune", "--older-than", "1") == []
    assert len(result(capsys, "cache", store, "--prune", "--dry-run")) == 1
    assert len(list(cached(Store.open(store)))) == 1
    left, fresh = store / "cache" / ".table-00.safetensors.1", store / "cache" / ".texts-00.2"
    left.write_bytes(b"")
    fresh.write_bytes(b"")
    os.utime(left, (0, 0))  # a death left it long ago
    assert main(["cache", str(store), "--prune"]) == 0
    assert not left.exists()
    assert fresh.exists()
    assert "freed" in capsys.readouterr().out
    assert list(cached(Store.open(store))) == []
    assert main(["prepare", "features", str(config)]) == 0
