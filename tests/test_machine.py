"""What a container or a batch system leaves of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqa.machine import cores, free_memory, total_memory

GIB = 1 << 30
MEMINFO = f"MemTotal: {64 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB\n"


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    """Folders in the place of /proc and /sys/fs/cgroup."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    groups.mkdir()
    return proc, groups


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_without_limits_it_is_the_machines(tree: tuple[Path, Path]) -> None:
    proc, groups = tree
    (proc / "self" / "cgroup").write_text("0::/user.slice\n")
    write(groups / "user.slice", memory__max="max", memory__current=5, cpu__max="max 100000")
    assert free_memory(*tree) == 8 * GIB
    assert total_memory(*tree) == total_memory(proc, groups / "none")
    assert cores(*tree) == cores(proc, groups / "none") >= 1


def test_the_narrowest_group_above_counts(tree: tuple[Path, Path]) -> None:
    """Version 2, as Slurm and Kubernetes use it; what files are kept in can be taken."""
    proc, groups = tree
    (proc / "self" / "cgroup").write_text("0::/job/step\n")
    stat = f"anon 7\ninactive_file {GIB // 2}\nactive_file {GIB // 2}"
    write(groups / "job", memory__max=4 * GIB, memory__current=2 * GIB, memory__stat=stat)
    write(groups / "job" / "step", memory__max="max", memory__current=GIB, cpu__max="50000 100000")
    assert free_memory(*tree) == 3 * GIB
    assert total_memory(*tree) == 4 * GIB
    assert cores(*tree) == 1
    write(groups / "job", memory__high=3 * GIB)  # beyond it the kernel slows down
    assert (free_memory(*tree), total_memory(*tree)) == (2 * GIB, 3 * GIB)


def test_the_older_tree(tree: tuple[Path, Path]) -> None:
    """Version 1 within a container, where the path is the host's and the limits stand at the root."""
    proc, groups = tree
    (proc / "self" / "cgroup").write_text("4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
    use = {"memory__usage_in_bytes": 3 * GIB, "memory__stat": f"total_inactive_file {2 * GIB}"}
    write(groups / "memory", memory__limit_in_bytes=2 * GIB, **use)
    write(groups / "cpu,cpuacct", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert (free_memory(*tree), total_memory(*tree)) == (GIB, 2 * GIB)
    assert cores(*tree) == cores(proc, groups / "none")
    write(groups / "cpu,cpuacct", cpu__cfs_quota_us=100000)
    assert cores(*tree) == 1


@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
def test_controllers_that_are_mounted_together(tree: tuple[Path, Path], mounted: str) -> None:
    proc, groups = tree
    (proc / "self" / "cgroup").write_text(f"1:{mounted if ',' in mounted else 'cpuacct,cpu'}:/\n")
    write(groups / mounted, cpu__cfs_quota_us=100000, cpu__cfs_period_us=100000)
    assert cores(*tree) == 1


def test_a_group_that_is_over_its_limit_has_nothing_left(tree: tuple[Path, Path]) -> None:
    proc, groups = tree
    (proc / "self" / "cgroup").write_text("0::/\n")
    write(groups, memory__max=GIB, memory__current=2 * GIB)
    assert free_memory(*tree) == 0


def test_a_system_without_any_of_this(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path) == total_memory(tmp_path, tmp_path) > 0
    assert cores(tmp_path, tmp_path) >= 1


def test_here() -> None:
    assert 0 < free_memory() <= total_memory()
    assert cores() >= 1
