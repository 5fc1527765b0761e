"""Whatever is done to a checkpoint's files, what is loaded is what was saved, or is not loaded and said so."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from vqa.errors import RunError
from vqa.training.checkpoints import Checkpoints

OFFSETS = 100


def state(step: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(step)
    return {
        "network": {"weight": torch.randn(50, generator=generator)},
        "progress": {"steps": step},
    }


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path: Path, said: list[str]) -> Checkpoints:
    """With steps 1 and 2."""
    made = Checkpoints(tmp_path / "checkpoints", said.append)
    for step in (1, 2):
        made.save(state(step), step)
    return made


def newest(tmp_path: Path, suffix: str = ".pt") -> Path:
    return tmp_path / "checkpoints" / f"step-000000002{suffix}"


def assert_is(found: dict[str, Any] | None, step: int) -> None:
    assert found is not None
    assert found["progress"] == {"steps": step}
    assert torch.equal(found["network"]["weight"], state(step)["network"]["weight"])


def offsets(size: int) -> list[int]:
    """Both ends, and others from all over."""
    return [0, size - 1, *random.Random(0).sample(range(1, size - 1), OFFSETS - 2)]


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_the_one_before_is_used_wherever_the_newest_is_damaged(
    damage: str, checkpoints: Checkpoints, said: list[str], tmp_path: Path
) -> None:
    content = newest(tmp_path).read_bytes()
    for count, offset in enumerate(offsets(len(content)), 1):
        flipped = bytes([content[offset] ^ (1 << offset % 8)])
        rest = flipped + content[offset + 1 :] if damage == "flipped" else b""
        newest(tmp_path).write_bytes(content[:offset] + rest)
        assert_is(checkpoints.last(), 1)
        assert len(said) == count
        assert "step-000000002.pt is passed over" in said[-1]
    newest(tmp_path).write_bytes(content)
    assert_is(checkpoints.last(), 2)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_manifest_vouches_for_nothing_else(
    damage: str, checkpoints: Checkpoints, said: list[str], tmp_path: Path
) -> None:
    """Every byte of the manifest: the newest is passed over, or is what was saved."""
    file = newest(tmp_path, ".json")
    content = file.read_bytes()
    passed_over = 0
    for offset in range(len(content)):
        for bit in range(8) if damage == "flipped" else (0,):
            flipped = bytes([content[offset] ^ (1 << bit)])
            rest = flipped + content[offset + 1 :] if damage == "flipped" else b""
            file.write_bytes(content[:offset] + rest)
            before = len(said)
            found = checkpoints.last()
            passed = len(said) > before
            assert_is(found, 1 if passed else 2)
            passed_over += passed
    assert passed_over > 64


def test_nothing_to_trust_is_no_start_from_zero(
    checkpoints: Checkpoints, said: list[str], tmp_path: Path
) -> None:
    for file in (tmp_path / "checkpoints").glob("*.pt"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RunError, match="no checkpoint can be trusted") as caught:
        checkpoints.last()
    assert caught.value.exit_code == 2
    assert len(said) == 2


class Malice:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._canary}",)


def plain_pickle(file: Path, malice: Malice) -> None:
    file.write_bytes(pickle.dumps(malice))


def torch_archive(file: Path, malice: Malice) -> None:
    torch.save({"network": {}, "progress": malice}, file)


def swapped_pickle(file: Path, malice: Malice) -> None:
    """A true checkpoint with another pickle inside."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, pickle.dumps(malice) if name.endswith("data.pkl") else content)


def torchscript(file: Path, malice: Malice) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(malice))
        archive.writestr("archive/data.pkl", pickle.dumps(malice))
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [plain_pickle, torch_archive, swapped_pickle, torchscript])
@pytest.mark.parametrize("name", ["step-000000002", "best"])
def test_a_checkpoint_that_carries_code_runs_none_of_it(
    write: Any, name: str, checkpoints: Checkpoints, said: list[str], tmp_path: Path
) -> None:
    """Its manifest vouches for it: who could write the one could write the other."""
    checkpoints.save_best(state(2)["network"], 2)
    checkpoints.save(state(2), 2)
    file = tmp_path / "checkpoints" / f"{name}.pt"
    write(file, Malice(tmp_path / "canary"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_suffix(".json").write_text(json.dumps({"sha256": digest, "step": 2}))
    if name == "best":
        assert checkpoints.best(2) is None
    else:
        assert_is(checkpoints.last(), 1)
    assert f"{name}.pt is passed over" in said[0]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [[], {}, {"network": {}}, {"progress": {}}, 1, None])
def test_what_holds_no_state_is_passed_over(
    content: Any, checkpoints: Checkpoints, tmp_path: Path, said: list[str]
) -> None:
    torch.save(content, newest(tmp_path))
    digest = hashlib.sha256(newest(tmp_path).read_bytes()).hexdigest()
    newest(tmp_path, ".json").write_text(json.dumps({"sha256": digest, "step": 2}))
    assert_is(checkpoints.last(), 1)
    assert said == ["checkpoint step-000000002.pt is passed over: it holds no state"]


def test_what_a_death_left_half_written_is_removed(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    kept = sorted((tmp_path / "checkpoints").iterdir())
    (tmp_path / "checkpoints" / ".step-000000003.4711").write_bytes(b"half")
    (tmp_path / "checkpoints" / ".best.json.4711").write_bytes(b"half")
    checkpoints.tidy()
    assert sorted((tmp_path / "checkpoints").iterdir()) == kept


def test_two_that_can_be_trusted_are_kept_beside_one_that_cannot(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """The damaged one has the highest number until training has passed it; then it goes."""
    checkpoints.save(state(3), 3)
    damaged = tmp_path / "checkpoints" / "step-000000003.pt"
    damaged.write_bytes(b"no more")
    assert_is(checkpoints.last(), 2)

    def kept() -> list[str]:
        return sorted(file.stem[-1] for file in damaged.parent.glob("step-*.json"))

    (damaged.parent / "step-000000002.json").rename(damaged.parent / "step-000000001.json")
    (damaged.parent / "step-000000002.pt").rename(damaged.parent / "step-000000001.pt")
    checkpoints.save(state(2), 2)
    assert kept() == ["1", "2", "3"]
    checkpoints.save(state(4), 4)
    assert kept() == ["2", "4"]
    assert_is(checkpoints.last(), 4)


def test_one_that_is_saved_anew_is_trusted_again(checkpoints: Checkpoints, tmp_path: Path) -> None:
    newest(tmp_path).write_bytes(b"no more")
    assert_is(checkpoints.last(), 1)
    checkpoints.save(state(2), 2)
    checkpoints.save(state(3), 3)
    assert sorted(file.stem[-1] for file in newest(tmp_path).parent.glob("*.pt")) == ["2", "3"]


def test_half_removed_ones_are_tidied_away_beside_another(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    newest(tmp_path, ".json").unlink()
    checkpoints.tidy()
    assert [file.name for file in newest(tmp_path).parent.glob("*.pt")] == ["step-000000001.pt"]
    newest(tmp_path).with_name("step-000000001.json").unlink()
    checkpoints.tidy()  # the last one tells that something is lost
    assert [file.name for file in newest(tmp_path).parent.glob("*.pt")] == ["step-000000001.pt"]


def best_weights(checkpoints: Checkpoints, step: int) -> bool:
    """Whether the best weights are those of `step`."""
    found = checkpoints.best(step)
    return found is not None and torch.equal(found["weight"], state(step)["network"]["weight"])


@pytest.mark.parametrize("known", [2, 3])
@pytest.mark.parametrize("done", range(4))
def test_the_best_weights_are_those_that_the_state_knows(
    done: int, known: int, checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in their exchange a death comes: after the first `done` of its renames and removals."""
    checkpoints.save_best(state(2)["network"], 2)
    checkpoints.save(state(2), 2)
    checkpoints.save_best(state(3)["network"], 3)
    folder = tmp_path / "checkpoints"
    parts = [
        (folder / "best.json").unlink,
        lambda: (folder / "best-next.pt").replace(folder / "best.pt"),
        lambda: (folder / "best-next.json").replace(folder / "best.json"),
    ]
    for part in parts[: done if known == 3 else 0]:  # only once the state is there
        part()
    checkpoints.settle_best(known)
    assert best_weights(checkpoints, known)
    assert not [*folder.glob("best-next*")]


def test_best_weights_of_another_step_are_passed_over(
    checkpoints: Checkpoints, said: list[str]
) -> None:
    checkpoints.save_best(state(2)["network"], 2)
    assert checkpoints.best(2) is None
    checkpoints.save(state(2), 2)
    assert best_weights(checkpoints, 2)
    assert checkpoints.best(1) is None
    assert said == ["checkpoint best.pt is passed over: it is of step 2, not of 1"]


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], pytest.MonkeyPatch]:
    """Has the machine read no file of a name."""
    read = Path.read_text

    def make(name: str) -> pytest.MonkeyPatch:
        def fails(file: Path, **how: Any) -> str:
            if fnmatch(file.name, name):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(file))
            return read(file, **how)

        monkeypatch.setattr(Path, "read_text", fails)
        return monkeypatch

    return make


def test_best_weights_that_the_machine_does_not_read_are_not_replaced_by_the_last(
    checkpoints: Checkpoints, tmp_path: Path, unread: Callable[[str], pytest.MonkeyPatch]
) -> None:
    checkpoints.save_best(state(2), 2)
    patch = unread("best*.json")
    with pytest.raises(OSError, match=r"best-next\.json"):
        checkpoints.settle_best(2)
    patch.undo()
    checkpoints.settle_best(2)
    unread("best*.json")
    with pytest.raises(OSError, match=r"best\.json"):
        checkpoints.best(2)
    patch.undo()
    assert_is(checkpoints.best(2), 2)


def test_where_the_machine_reads_no_checkpoint_none_is_called_damaged(
    checkpoints: Checkpoints, said: list[str], unread: Callable[[str], pytest.MonkeyPatch]
) -> None:
    patch = unread("step-000000002.json")
    assert_is(checkpoints.last(), 1)
    assert "step-000000002.pt is passed over: [Errno 5]" in said[-1]
    unread("step-*.json")
    with pytest.raises(OSError, match=r"step-000000001\.json"):
        checkpoints.last()
    patch.undo()
    assert_is(checkpoints.last(), 2)
