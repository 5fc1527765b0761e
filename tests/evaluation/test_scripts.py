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
    found = report("bench_score", "--questions", "200", "--resamples", "10")
    assert found["seconds"] > 0
    assert found["peak_megabytes"] > 0


def test_simulate_significance() -> None:
    found = report(
        "simulate_significance", "--comparisons", "20", "--resamples", "50", "--images", "30"
    )
    assert found.keys() >= {"reject", "reject_unclustered", "cover_mean", "cover_difference"}


@pytest.mark.slow
def test_bench_train() -> None:
    sizes = ("--images", "30", "--rounds", "1", "--seconds", "0.01", "--threads", "1")
    found = report(
        "bench_train", "--only", "encoder-128", "--workers", "0", "--no-overhead", *sizes
    )
    low, middle, high = sorted(found["encoder-128"]["ratio"])
    assert 0 < low <= middle <= high
    assert 0 < found["encoder-128"]["share of bf16 peak"][0] < 1.5
    assert found["machine"]["threads"] == 1


@pytest.mark.slow
def test_bench_data() -> None:
    sizes = ("--questions", "1000", "--images", "200", "--batch", "16", "--batches", "2")
    found = report("bench_data", *sizes, "--steps", "4", "--repeat", "1")
    assert found["setup"]["table_bytes"] > 0
    for rate in found["reading_mb_per_second"]["pread"].values():
        assert 0 < rate["range"][0] <= rate["median"] <= rate["range"][1]
    assert found["streaming"]["peak_rss_bytes"] > found["streaming"]["imported_rss_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("bench_train", ("--images", "3"), "16 questions, fewer than a batch of 512"),
        ("bench_data", ("--steps", "3"), "4 or more, or 0"),
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
