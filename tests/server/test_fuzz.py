"""schemathesis over the described interface, in a short form; `scripts/fuzz_api` runs the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_requests_find_no_fault() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "fuzz_api"), "--json"]
    words += ["--cases", "80", "--examples", "5", "--phases", "examples,fuzzing"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == report["errors"] == 0
    assert report["cases"] >= 80
