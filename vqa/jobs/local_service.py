"""The service on this machine: everything that `Service` promises, done on `VQA_HOME`."""

from __future__ import annotations

import copy
import getpass
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from vqa.errors import JobError, RunError, VQAError
from vqa.jobs.groups import May, anyone, can_cancel, can_retry, data_of, own_jobs
from vqa.jobs.home import Home
from vqa.jobs.library import fingerprint_at
from vqa.jobs.logs import log_files, read_log
from vqa.jobs.outcome import mark_cancelled
from vqa.jobs.parcel import Parcel, pack
from vqa.jobs.progress import read_overall, read_progress, read_warnings
from vqa.jobs.queue import Queue
from vqa.jobs.quotas import Room
from vqa.jobs.record import ACTIVE, Filter, Job, State, Submission
from vqa.jobs.scores import best_scores
from vqa.jobs.submit import Checker
from vqa.jobs.uploads.owned import delete, store_view
from vqa.jobs.views import (
    HIGHEST_PRIORITY,
    ChangeView,
    Chunk,
    GroupView,
    JobDetail,
    JobPage,
    JobView,
    Progress,
    ScoreView,
    StoreView,
    SubmitRequest,
)
from vqa.training.directory import RunDirectory

log = logging.getLogger(__name__)


class LocalService:
    """See `Service`. One object serves any number of threads.

    Args:
        home: made where it is missing.
        user: whose jobs it submits; the account that this process runs under where None.
        paths_allowed: whether files may be given, and are shown, by path: for commands on this machine.
    """

    def __init__(self, home: Home, user: str | None = None, paths_allowed: bool = True) -> None:
        self.home, self.user, self.paths_allowed = home.make(), user or account(), paths_allowed
        self.queue, self.checker, self._room = Queue(home.queue_file), Checker(home), Room(home)
        self._any_priority = True

    def as_user(self, user: str, *, any_priority: bool = True) -> LocalService:
        """The same service for somebody else.

        Args:
            any_priority: the quota on priorities does not bind them.
        """
        other = copy.copy(self)
        other.user, other._any_priority = user, any_priority
        return other

    def submit(self, request: SubmitRequest) -> JobView:
        """Check an experiment in full and queue it; it is on the disk before this returns.

        Raises:
            JobError: it cannot be used (`invalid`), its key stands for another one (`conflict`), or there is no
                room for it (`quota`, `disk-full`).
        """
        return self.submit_all([request])[0]

    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        """Several at once, all or none.

        Raises:
            JobError: see `submit`.
        """
        submissions = [
            self.checker.check(
                request,
                self.user,
                paths_allowed=self.paths_allowed,
                where="experiment" if len(requests) == 1 else f"jobs.{place}.experiment",
                earlier=self.queue.under(self.user, request.key),
            )
            for place, request in enumerate(requests)
        ]
        with self._room.turn():
            new = [one for one in submissions if self.queue.known(one) is None]
            if new:
                self._check_priority(max(one.priority for one in new))
                _check_stores(new)
                self._room.check(self.queue, self.user, len(new))
            return [self.view(job) for job, _ in self.queue.submit_all(submissions)]

    @property
    def highest_priority(self) -> int:
        """What this user may give a job."""
        return HIGHEST_PRIORITY if self._any_priority else self.home.settings.quotas.max_priority

    def _check_priority(self, priority: int) -> None:
        """Refuse what only an admin may give.

        Raises:
            JobError: `forbidden`, with the numbers.
        """
        highest = self.highest_priority
        if priority > highest:
            raise JobError(
                f"{priority} is above {highest}, the highest that a token of scope submit may give",
                where="priority",
                fix=f"give {highest} or less, or ask an admin",
                kind="forbidden",
            )

    def jobs(self, wanted: Filter, limit: int = 100) -> JobPage:
        """Jobs, newest first."""
        found = self.queue.find(wanted, limit + 1)
        return JobPage(
            jobs=[self.view(job) for job in found[:limit]],
            next=found[limit - 1].seq if len(found) > limit else None,
            counts=self.queue.count(replace(wanted, before=None)),
        )

    def show(self, job: str) -> JobDetail:
        """All that is known of a job.

        Raises:
            JobError: there is none.
        """
        found = self.queue.get(job)
        run_dir = self.home.run_dir(job)
        result = self._result(found)
        warnings = read_warnings(run_dir)
        made = read_progress(run_dir, ended=found.terminal) if run_dir.exists() else None
        return JobDetail(
            job=self.view(found, progress=made),
            experiment=self._shown(found),
            history=[
                ChangeView(time=c.time, state=c.state, attempt=c.attempt, reason=c.reason)
                for c in self.queue.history(job)
            ],
            result=result,
            warnings=warnings,
            logs=list(log_files(run_dir)),
            run_dir=str(run_dir) if self.paths_allowed else None,
        )

    def log(self, job: str, name: str = "rank0.log", offset: int = 0) -> Chunk:
        """What a log file holds from `offset` on.

        Raises:
            JobError: no such job, or no such log.
        """
        found = self.queue.get(job)  # asked first: what is written before it has ended is read
        use = found.submission.resources
        return read_log(
            self.home.run_dir(job),
            name,
            offset,
            ended=found.terminal,
            processes=use.nodes * use.devices,
            nodes=use.nodes,
        )

    def cancel(self, job: str) -> JobView:
        """Have a job ended.

        Raises:
            JobError: there is none.
        """
        for told in self.cancel_all([self.queue.get(job)]):
            return told
        return self.view(self.queue.get(job))

    def cancel_all(self, jobs: Sequence[Job]) -> list[JobView]:
        """Have jobs ended, together; gives those that had not."""
        asked = self.queue.request_cancel_all(job.id for job in jobs)
        ended = State.CANCELLED  # those that ran are so later
        return [self.view(self._marked(job) if job.state is ended else job) for job in asked]

    def _marked(self, job: Job) -> Job:
        """A cancelled job whose last result says: preempted; its reason says where that cannot be mended."""
        why = mark_cancelled(self.home.run_dir(job.id), job)
        if not why:
            return job
        log.warning("job %s is cancelled, but %s", job.id, why)
        return replace(job, reason=f"{job.reason}; {why}")

    def resume(self, job: str) -> JobView:
        """Queue an ended, unfinished job again.

        Raises:
            JobError: there is none, it has not ended or has succeeded, or there is no room for it.
        """
        found = self.queue.get(job)
        with self._room.turn():
            if found.terminal:
                self._room.check(self.queue, found.submission.user, 1)
            return self.view(self.queue.resume(job))

    def resume_all(self, jobs: Sequence[Job]) -> list[JobView]:
        """Queue ended, unfinished jobs again, together; gives those.

        Raises:
            JobError: there is no room for all of them.
        """
        with self._room.turn():
            for user, new in Counter(job.submission.user for job in jobs).items():
                self._room.check(self.queue, user, new)
            return [self.view(job) for job in self.queue.resume_all(job.id for job in jobs)]

    def cancel_group(self, group: str, may: May = anyone) -> list[JobView]:
        """Have every job of a group ended that has not ended.

        Raises:
            JobError: see `own_jobs`.
        """
        return self.cancel_all(own_jobs(self.queue, group, can_cancel, may))

    def retry_group(self, group: str, may: May = anyone) -> list[JobView]:
        """Queue every job of a group again that failed or was lost; each goes on from its last checkpoint.

        Raises:
            JobError: see `own_jobs`; or there is no room for all of them.
        """
        return self.resume_all(own_jobs(self.queue, group, can_retry, may))

    def scores(self, wanted: Filter) -> list[ScoreView]:
        """The best score of each user among some jobs; see `vqa.jobs.scores`."""
        store_name = str if self.paths_allowed else self.checker.library.store_name
        return best_scores(self.home, self.queue, wanted, store_name)

    def _shown(self, job: Job) -> dict[str, Any]:
        """A job's experiment; where no places are shown, with the names of its files."""
        fields = job.submission.experiment
        return fields if self.paths_allowed else self.checker.library.named(fields)

    def groups(self) -> list[GroupView]:
        """Groups, newest first."""
        return [GroupView(name=name, counts=counts) for name, counts in self.queue.groups()]

    def stores(self) -> list[StoreView]:
        """Stores that a submission may name; one that cannot be read is left out."""
        views = (store_view(name, path) for name, path in self.checker.library.stores().items())
        return [view for view in views if view is not None]

    def fingerprint(self, store: str) -> str | None:
        """Of the store that a submission would mean by this name or path; None where there is none."""
        library, fields = self.checker.library, {"data": {"store": store}}
        try:
            found = library.resolve(fields, paths_allowed=self.paths_allowed)["data"]["store"]
        except VQAError:
            return None
        return fingerprint_at(Path(found))

    def data_of_group(self, group: str) -> dict[str, str]:
        """The fingerprint of each job's data; see `groups.data_of`."""
        return data_of(self.queue, self.home, group)

    def delete_store(self, name: str, *, any_owner: bool = False) -> int:
        """Delete an uploaded store that no unfinished job names; how many bytes that freed.

        Args:
            any_owner: also somebody else's.

        Raises:
            JobError: see `vqa.jobs.uploads.owned.delete`.
        """
        with self._room.turn():  # no job comes to name it meanwhile
            freed = delete(self.home, self.queue, name, self.user, any_owner=any_owner)
        self.checker.let_go()
        return freed

    def result(self, job: str) -> dict[str, Any]:
        """What `result.json` says of how a job ended.

        Raises:
            JobError: no such job, or it says nothing yet.
        """
        result = self._result(self.queue.get(job))
        if result is None:
            fix = "it is written when the run ends"
            raise JobError("has no result yet", where=job, fix=fix, kind="not-found")
        return result

    def predictions(self, job: str) -> dict[str, Path]:
        """The prediction files of a job by split.

        Raises:
            JobError: there is no such job.
        """
        self.queue.get(job)
        folder = self.home.run_dir(job) / "predictions"
        files = sorted(folder.glob("*.jsonl"))
        return {file.stem: file for file in files if file.is_file() and not file.is_symlink()}

    def model(self, job: str) -> Parcel:
        """The exported model of a job, with names in the place of this machine's paths.

        Raises:
            JobError: there is no such job, or it has no model.
        """
        self.queue.get(job)
        folder = self.home.run_dir(job) / "model"
        if not folder.exists():
            fix = "a run exports it when it has succeeded"
            raise JobError("has no model", where=job, fix=fix, kind="not-found")
        try:
            return pack(folder, self.checker.library.named)
        except (OSError, ValueError, LookupError, TypeError, VQAError, yaml.YAMLError):
            what, fix = "has a damaged model", "train it again"
            raise JobError(what, where=job, fix=fix, kind="not-found") from None

    def _result(self, job: Job) -> dict[str, Any] | None:
        try:
            return RunDirectory(self.home.run_dir(job.id)).result()
        except RunError as error:
            return {"status": "unreadable", "error": error.what}

    def view(self, job: Job, progress: Progress | None = None) -> JobView:
        """A job as it is shown; of one that runs, or has a score, the run directory is read, of others not."""
        run_dir = self.home.run_dir(job.id)
        if progress is None and job.state in ACTIVE:
            progress = read_progress(run_dir)
        overall = read_overall(run_dir) if job.state is State.SUCCEEDED else None
        return job_view(job, progress, overall)


def _check_stores(submissions: Sequence[Submission]) -> None:
    """Refuse a store that was deleted since it was looked into.

    Raises:
        JobError: it is gone.
    """
    for path in {str(one.experiment["data"]["store"]) for one in submissions}:
        if not Path(path, "store.json").is_file():
            what = f"the store {Path(path).name!r} was deleted in this moment"
            raise JobError(what, where="data.store", fix="see `vqa list stores`", kind="conflict")


def job_view(job: Job, progress: Progress | None, overall: float | None) -> JobView:
    """A job of the queue with what its run directory says."""
    submission: Submission = job.submission
    return JobView(
        id=job.id,
        seq=job.seq,
        name=submission.name,
        user=submission.user,
        group=submission.group,
        engine=submission.engine,
        priority=submission.priority,
        state=job.state,
        reason=job.reason,
        attempt=job.attempt,
        restarts=job.restarts,
        max_restarts=submission.max_restarts,
        cancel_requested=job.cancel_requested,
        resources=submission.resources,
        submitted=job.submitted,
        started=job.started,
        ended=job.ended,
        progress=progress,
        overall=overall,
    )


def account() -> str:
    """The name of the account that this process runs under, as a job carries it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no entry for this number, as in a container
        name = str(os.getuid())
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-") or "user"
