"""The scripts run and report, at toy size."""

import json
import subprocess
import sys
from pathlib import Path

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
