"""What docs/data.md shows of Python runs as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pandas = pytest.importorskip("pandas")
HERE = Path(__file__).parents[1]


def test_a_run_is_trained_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = (HERE / "docs" / "data.md").read_text(encoding="utf-8").split("## From Python\n")[1]
    code, reading = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(HERE / "configs")
    exec(code, {})
    status, score = capsys.readouterr().out.split()
    assert status == "succeeded"
    assert float(score) > 90
    shutil.copytree("runs/shades", "runs/other")
    exec(reading, {})
    assert re.match(r"\['dark'\] dark 0\.\d+ \[.*\nno difference found", capsys.readouterr().out)
    assert len(pandas.read_json("runs/shades/metrics.jsonl", lines=True))
    shown = pandas.read_json("runs/shades/predictions/val.jsonl", lines=True, dtype=False)
    assert set(shown["answer"]) <= {"dark", "light"}
