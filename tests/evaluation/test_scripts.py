"""The scripts run and report, at toy size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def report(name: str, *arguments: str) -> dict:
    command = [sys.executable, str(SCRIPTS / name), *arguments, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=SCRIPTS.parent)
    return json.loads(done.stdout)


def test_bench_score() -> None:
    found = report("bench_score", "--questions", "200", "--resamples", "100")
    assert found["seconds"] > 0
    assert found["peak_megabytes"] > 0


def test_simulate_significance() -> None:
    found = report(
        "simulate_significance", "--comparisons", "20", "--resamples", "50", "--images", "30"
    )
    assert found.keys() >= {"reject", "reject_unclustered", "cover_mean", "cover_difference"}


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "peak"), [("bf16-mixed", "bf16"), ("32-true", "fp32")])
def test_bench_train(precision: str, peak: str) -> None:
    what = ("--only", "encoder-128", "--precision", precision)
    size = ("--images", "30", "--threads", "1", "--workers", "0")
    time = ("--rounds", "1", "--seconds", "0.01", "--warm", "0")
    found = report("bench_train", "--no-overhead", *what, *size, *time)
    low, middle, high = sorted(found["encoder-128"]["ratio"])
    assert 0 < low <= middle <= high
    assert 0 < found["encoder-128"][f"share of {peak} peak"][0] < 1.5
    assert found["machine"]["threads"] == 1


@pytest.mark.slow
def test_bench_data() -> None:
    sizes = ("--questions", "1000", "--images", "200", "--batch", "16", "--batches", "2")
    found = report("bench_data", *sizes, "--steps", "4", "--repeat", "1")
    assert found["setup"]["table_bytes"] > 0
    for rate in found["reading_mb_per_second"]["pread"].values():
        assert 0 < rate["range"][0] <= rate["median"] <= rate["range"][1]
    assert found["streaming"]["peak_rss_bytes"] > found["streaming"]["imported_rss_bytes"] > 0


@pytest.mark.slow
def test_bench_epoch() -> None:
    sizes = ("--images", "100", "--epochs", "2", "--batch", "256", "--accelerator", "cpu")
    found = report("bench_epoch", "--only", "pooled", "--profile", *sizes)["pooled"]
    median, least, most = found["epoch_seconds"]
    assert 0 < least <= median <= most
    assert found["questions"] == 536
    assert found["step_ms"] == pytest.approx(1e3 * median / 3, rel=0.02)
    assert any("addmm" in row["what"] and row["calls"] >= 1 for row in found["profile"])


@pytest.mark.slow
def test_bench_extract() -> None:
    sizes = ("--pictures", "64", "--model", "resnet18", "--image-size", "64")
    found = report("bench_extract", *sizes, "--stage", "layer3", "--precision", "32-true")
    assert found["features"] == [16, 256]
    assert found["seconds"] > 0 < found["start_seconds"]
    assert found["decoding_alone"][0] > 0 < found["cnn_alone"][0]


@pytest.mark.slow
def test_bench_ablation() -> None:
    sizes = ("--images", "100", "--tested", "50", "--fusions", "2", "--seeds", "1", "--epochs", "1")
    found = report("bench_ablation", *sizes, "--cores", "2", "--batch", "128")
    assert found["runs"] == 2
    assert 0 < found["training_seconds"][0] < found["run_seconds"][0] < found["ablation_seconds"]


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("bench_train", ("--images", "3"), "16 questions, fewer than a batch of 512"),
        ("bench_data", ("--steps", "3"), "4 or more, or 0"),
        ("bench_epoch", ("--epochs", "1"), "--epochs: 1: 2 or more"),
        ("bench_epoch", ("--batch", "0"), "--batch: 0: 1 or more"),
        ("bench_extract", ("--pictures", "63"), "--pictures: 63: 64 or more"),
        ("bench_ablation", ("--fusions", "1"), "invalid choice"),
        ("bench_ablation", ("--images", "-4"), "--images: -4: 1 or more"),
        ("bench_ablation", ("--cores", "2", "--cores-a-job", "3"), "--cores gives all jobs 2"),
        ("bench_ablation", ("--folder", "nowhere"), "no such folder"),
        ("bench_data", ("--repeat", "0"), "--repeat: 0: 1 or more"),
        ("bench_score", ("--repeat", "0"), "--repeat: 0: 1 or more"),
        ("bench_scaling", ("--steps", "0"), "--steps: 0: 1 or more"),
        ("bench_scaling", ("--processes", "1"), "--processes: 1: 2 or more"),
        ("bench_scaling", ("--batch", "3"), "does not divide among --processes 2"),
        ("bench_scaling", ("--images", "3"), "16 questions, fewer than a batch of 512"),
        ("bench_train", ("--rounds", "0"), "--rounds: 0: 1 or more"),
        ("bench_data", ("--images", "10"), "6 steps take 239 or more"),
    ],
)
def test_sizes_that_measure_nothing_are_refused(
    name: str, arguments: tuple[str, ...], told: str
) -> None:
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS.parent)
    assert done.returncode == 2
    assert told in done.stderr


def test_bench_score_ends_where_the_scoring_does() -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "bench_score"),
        "--questions",
        "20",
        "--resamples",
        "5",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS.parent)
    assert done.returncode == 1
    assert "--resamples" in done.stderr
    assert "Traceback" not in done.stderr
