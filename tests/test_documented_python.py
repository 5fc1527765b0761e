"""What docs/data.md shows of Python runs as it stands there."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pandas = pytest.importorskip("pandas")
HERE = Path(__file__).parents[1]


def test_a_run_is_trained_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = (HERE / "docs" / "data.md").read_text(encoding="utf-8").split("## From Python\n")[1]
    (code, *_) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(HERE / "configs")
    names: dict[str, Any] = {"encoded": grey}
    exec(code, names)
    assert capsys.readouterr().out.startswith("succeeded ")
    assert len(pandas.read_json("runs/mine/metrics.jsonl", lines=True))
    shown = pandas.read_json("runs/mine/predictions/val.jsonl", lines=True, dtype=False)
    assert set(shown["answer"]) <= set("01234")


def grey(number: int) -> bytes:
    """A small picture, as a PNG."""
    file = io.BytesIO()
    Image.new("L", (8, 8), 50 * (number % 5)).save(file, "PNG")
    return file.getvalue()
