"""Pruning frees the disk, and takes nothing that anybody still needs; what of a finished run is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.prune import DOOMED, Policy, Pruner, disk_use, retain
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, Job, State, Submission

Make = Callable[..., Job]


@pytest.fixture
def ended(home: Home, queue: Queue) -> Make:
    """Makes a job in a state, with a run directory."""

    def make(state: State, user: str = "ada") -> Job:
        job, _ = queue.submit(Submission(experiment={}, user=user, name="n"))
        run = home.run_dir(job.id)
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints" / "last.ckpt").write_bytes(b"x" * 100_000)
        (run / "result.json").write_text("{}")
        if state is not State.QUEUED:
            claimed = queue.claim(job)
            assert claimed
            if state is not State.STARTING:
                assert queue.move(claimed, state)
        return queue.get(job.id)

    return make


def test_checkpoints_of_jobs_that_succeeded_go_and_all_else_stays(home: Home, ended: Make) -> None:
    jobs = {state: ended(state) for state in State if state is not State.RUNNING}
    done = list(Pruner(home).checkpoints(Filter()))
    assert [item.job for item in done] == [jobs[State.SUCCEEDED].id]
    assert done[0].bytes >= 100_000
    for state, job in jobs.items():
        run = home.run_dir(job.id)
        assert (run / "result.json").exists()
        assert (run / "checkpoints").exists() == (state is not State.SUCCEEDED)
    assert not list(Pruner(home).checkpoints(Filter()))


def test_runs_of_ended_jobs_go_with_their_entries(home: Home, queue: Queue, ended: Make) -> None:
    kept = [ended(State.QUEUED), ended(State.STARTING), ended(State.PREEMPTED)]
    gone = [ended(state) for state in (State.SUCCEEDED, State.FAILED, State.LOST)]
    assert {item.job for item in Pruner(home).runs(Filter())} == {job.id for job in gone}
    assert {job.id for job in queue.find()} == {job.id for job in kept}
    assert {path.name for path in home.runs.iterdir()} == {job.id for job in kept}


def test_filters_choose(home: Home, queue: Queue, ended: Make) -> None:
    mine, theirs = ended(State.FAILED), ended(State.FAILED, user="bob")
    ended(State.SUCCEEDED, user="bob")
    wanted = Filter(states=(State.FAILED,), user="bob")
    assert [item.job for item in Pruner(home).runs(wanted)] == [theirs.id]
    assert queue.get(mine.id)
    assert not list(Pruner(home, older_than=3600).runs(Filter()))


def test_an_active_state_in_the_filter_prunes_nothing(home: Home, ended: Make) -> None:
    job = ended(State.STARTING)
    assert not list(Pruner(home).runs(Filter(states=(State.STARTING, State.QUEUED))))
    assert home.run_dir(job.id).exists()


def test_a_dry_run_touches_nothing(home: Home, queue: Queue, ended: Make) -> None:
    job = ended(State.SUCCEEDED)
    pruner = Pruner(home, dry_run=True)
    assert [item.job for item in pruner.checkpoints(Filter())] == [job.id]
    assert [item.job for item in pruner.runs(Filter())] == [job.id]
    assert (home.run_dir(job.id) / "checkpoints" / "last.ckpt").exists()
    assert queue.get(job.id)


def test_links_are_not_followed(home: Home, ended: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    job = ended(State.SUCCEEDED)
    checkpoints = home.run_dir(job.id) / "checkpoints"
    (checkpoints / "link").symlink_to(outside)
    list(Pruner(home).checkpoints(Filter()))
    checkpoints.symlink_to(outside)
    list(Pruner(home).checkpoints(Filter()))
    list(Pruner(home).runs(Filter()))
    assert (outside / "precious").exists()


def test_what_an_earlier_call_began_is_finished_and_a_run_without_job_is_kept(home: Home) -> None:
    half = home.runs / f"{DOOMED}0123abcd"
    half.mkdir()
    orphan = home.runs / "89abcdef"
    orphan.mkdir()
    assert [item.job for item in Pruner(home).runs(Filter())] == ["0123abcd"]
    assert list(home.runs.iterdir()) == [orphan]


def test_a_death_leaves_no_directory_without_its_job_or_a_mark(
    home: Home, queue: Queue, ended: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(State.SUCCEEDED)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", Mock(side_effect=OSError))
        with pytest.raises(OSError):
            list(Pruner(home).runs(Filter()))
    assert queue.get(job.id)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(Pruner(home).runs(Filter()))
    assert queue.find() == []
    assert [item.job for item in Pruner(home).runs(Filter())] == [job.id]
    assert not list(home.runs.iterdir())


def test_a_job_whose_directory_was_set_aside_goes_with_it(
    home: Home, queue: Queue, ended: Make
) -> None:
    """A death came before the queue had forgotten it."""
    run = home.run_dir(ended(State.SUCCEEDED).id)
    run.rename(run.with_name(DOOMED + run.name))
    assert [item.job for item in Pruner(home).runs(Filter())] == [run.name]
    assert (queue.find(), list(home.runs.iterdir())) == ([], [])


def test_checkpoints_that_an_earlier_call_began_to_delete_go(home: Home, ended: Make) -> None:
    run = home.run_dir(ended(State.SUCCEEDED).id)
    (run / "checkpoints").rename(run / f"{DOOMED}checkpoints")
    assert next(Pruner(home).checkpoints(Filter())).bytes >= 100_000
    assert not list(run.glob(f"{DOOMED}*"))


def test_a_job_that_was_resumed_meanwhile_is_kept(home: Home, queue: Queue, ended: Make) -> None:
    job = ended(State.FAILED)
    other = ended(State.FAILED)
    found = Pruner(home).runs(Filter())
    assert next(found).job == other.id  # the newest first
    queue.resume(job.id)
    assert not list(found)
    assert home.run_dir(job.id).exists()
    with pytest.raises(JobError):
        queue.get(other.id)


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


def test_weights_whose_manifest_went_before_a_death_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (
        "best.pt",
        "best.json",
        "step-000000010.pt",
        "step-000000020.pt",
        "step-000000020.json",
    ):
        (folder / name).touch()
    retain(tmp_path, "best")
    assert not (folder / "step-000000010.pt").exists()
    retain(tmp_path, "none")
    assert not list(folder.iterdir())
