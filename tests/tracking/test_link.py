"""The line to the process that talks to a dashboard."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vqa.tracking.link import Link


def test_a_sender_that_died_with_much_waiting_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, said = tmp_path / "gone", list[str]()
    deaf = f"import pathlib, time\nwhile not pathlib.Path({str(gone)!r}).exists():\n    time.sleep(0.01)\n"
    (tmp_path / "deaf.py").write_text(deaf)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    link = Link({"run_dir": str(tmp_path)}, said.append, 2, program="deaf", title="It")
    for _ in range(3):  # one is on its way into a full pipe, two wait for it
        assert link.put_patiently({"record": "x" * 1_000_000})
    assert not link.put({"record": {}})
    gone.touch()
    assert not link.close(3600)
    assert said == [f"It's process ended early, see {link.log_file}"]


def test_nothing_of_a_line_lives_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obedient = 'import sys\nfor line in sys.stdin:\n    if "end" in line:\n        break\nprint(\'{"done": {}}\')\n'
    (tmp_path / "obedient.py").write_text(obedient)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    link = Link({"run_dir": str(tmp_path)}, pytest.fail, program="obedient", folder="shown")
    assert link.put({"record": {}})
    assert link.close(3600)
    assert not link.alive
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("shown-")]
