"""What of a finished run is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqa.jobs.retention import Policy, disk_use, retain


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("all", {"best", "step-000000010", "step-000000020"}),
        ("best", {"best", "step-000000020"}),
        ("none", set()),
    ],
)
def test_policies(policy: Policy, kept: set[str], tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 5000)
    folder.mkdir()
    for name in ("best", "step-000000010", "step-000000020"):
        (folder / f"{name}.pt").write_bytes(b"x" * 10_000)
        (folder / f"{name}.json").write_text("{}")
    before = disk_use(tmp_path)
    retain(tmp_path, policy)
    assert {f.name for f in folder.iterdir()} == {f"{n}.{e}" for n in kept for e in ("pt", "json")}
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert disk_use(tmp_path) <= before - 10_000 * (3 - len(kept))


def test_a_run_without_checkpoints_is_left_alone(tmp_path: Path) -> None:
    retain(tmp_path, "none")
    retain(tmp_path / "nothing", "best")
    assert disk_use(tmp_path / "nothing") == 0
