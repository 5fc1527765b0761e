"""The queue: every job that was submitted, in SQLite. A change is on the disk before a method returns."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from vqa.errors import JobError
from vqa.jobs.record import (
    ACTIVE,
    TERMINAL,
    WAITING,
    Change,
    EngineName,
    Filter,
    Job,
    Loss,
    State,
    Submission,
)
from vqa.jobs.schema import Held, Transaction, connect, job_of
from vqa.jobs.turns import first

ID_BYTES, PAGE = 4, 1000


class Queue:
    """The queue in one database file; for any number of processes and threads.

    Args:
        path: the file; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._local = path, threading.local()
        self._connection()

    def _connection(self) -> sqlite3.Connection:
        """This thread's own."""
        held: Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = Held(connect(self._path))
        return held.connection

    def close(self) -> None:
        """Close this thread's connection."""
        held: Held | None = self._local.__dict__.pop("held", None)
        if held is not None:
            held.connection.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction. SQLite opens a file to read alone where it cannot be written just then: it is opened anew."""
        try:
            with Transaction(self._connection()) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY:
                self.close()
            raise

    def submit(self, submission: Submission) -> tuple[Job, bool]:
        """Keep a job and return it, with whether it is new.

        A key that its user has used before gives that job back.

        Raises:
            JobError: the key stands for another submission (`conflict`).
        """
        return self.submit_all([submission])[0]

    def submit_all(self, submissions: Sequence[Submission]) -> list[tuple[Job, bool]]:
        """Keep several jobs, all or none.

        Raises:
            JobError: see `submit`.
        """
        with self._changing() as connection:
            return [_insert(connection, submission) for submission in submissions]

    def known(self, submission: Submission) -> Job | None:
        """The job that was submitted before under the same key; None where there is none.

        Raises:
            JobError: see `submit`.
        """
        return _with_key(self._connection(), submission)

    def under(self, user: str, key: str | None) -> Submission | None:
        """What a user submitted under a key before; None where there was nothing."""
        found = _under(self._connection(), user, key)
        return None if found is None else found.submission

    def get(self, job: str) -> Job:
        """A job by its id.

        Raises:
            JobError: there is none (`not-found`).
        """
        row = self._connection().execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        if row is None:
            raise JobError(f"no job {job!r}", fix="see `vqa jobs`", kind="not-found")
        return job_of(row)

    def find(self, wanted: Filter | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        where, values = _where(wanted or Filter())
        query = f"SELECT * FROM jobs {where} ORDER BY seq DESC LIMIT ?"
        return [job_of(row) for row in self._connection().execute(query, [*values, limit])]

    def each(self, wanted: Filter) -> Iterator[Job]:
        """All jobs, newest first; so many are looked up at a time, for their experiments take memory."""
        while jobs := self.find(wanted, PAGE):
            yield from jobs
            wanted = replace(wanted, before=jobs[-1].seq)

    def count(self, wanted: Filter | None = None) -> dict[State, int]:
        """How many jobs are in each state; states without any are left out."""
        where, values = _where(wanted or Filter())
        query = f"SELECT state, COUNT(*) FROM jobs {where} GROUP BY state"
        return {State(state): n for state, n in self._connection().execute(query, values)}

    def groups(self) -> list[tuple[str, dict[State, int]]]:
        """Every group with its counts by state, newest first."""
        query = """SELECT group_name, state, COUNT(*) AS n, MAX(seq) AS newest FROM jobs
                   WHERE group_name IS NOT NULL GROUP BY group_name, state ORDER BY newest DESC"""
        groups: dict[str, dict[State, int]] = {}
        for row in self._connection().execute(query):
            groups.setdefault(row["group_name"], {})[State(row["state"])] = row["n"]
        return list(groups.items())

    def members(self, group: str) -> list[tuple[str, State]]:
        """Ids and states of a group's jobs, in the order of submission."""
        query = "SELECT id, state FROM jobs WHERE group_name = ? ORDER BY seq"
        rows = self._connection().execute(query, (group,))
        return [(row["id"], State(row["state"])) for row in rows]

    def waiting(self, limit: int = 100, more: Mapping[str, int] | None = None) -> list[Job]:
        """The first of each engine's jobs that may be started, in the order in which they should be (see `turns`).

        Args:
            limit: of jobs an engine.
            more: another limit for engines that take many at once, to put them in an order of their own.
        """
        return [
            job_of(row)
            for engine in get_args(EngineName)
            for row in first(
                self._connection(),
                engine,
                (more or {}).get(engine, limit),
                turns=engine not in (more or {}),
            )
        ]

    def active(self) -> list[Job]:
        """Jobs that were given to an engine."""
        query = f"SELECT * FROM jobs WHERE state IN ({_marks(ACTIVE)}) ORDER BY seq"
        return [job_of(row) for row in self._connection().execute(query, list(ACTIVE))]

    def claim(self, job: Job, gpus: Sequence[str] = ()) -> Job | None:
        """Begin a new attempt of a waiting job; None where somebody changed it meanwhile."""
        with self._changing() as connection:
            done = connection.execute(
                f"""UPDATE jobs SET state = ?, attempt = attempt + 1, handle = NULL, gpus = ?, reason = '',
                    started = ?, ended = NULL, served = 1 + (SELECT MAX(served) FROM jobs)
                    WHERE id = ? AND attempt = ? AND NOT cancel_requested
                    AND state IN ({_marks(WAITING)})""",
                (State.STARTING, json.dumps([*gpus]), time.time(), job.id, job.attempt, *WAITING),
            )
            if not done.rowcount:
                return None
            return _record(connection, job.id)

    def note(self, said: Iterable[tuple[Job, str]]) -> None:
        """Say why jobs that have not ended stand where they stand, until they move on."""
        rows = [(reason, job.id, job.attempt, *TERMINAL) for job, reason in said]
        with self._changing() as connection:
            connection.executemany(
                f"""UPDATE jobs SET reason = ? WHERE id = ? AND attempt = ?
                    AND state NOT IN ({_marks(TERMINAL)})""",
                rows,
            )

    def note_silent(self, engine: str, reason: str) -> None:
        """Say why an engine's waiting jobs wait, of those alone of which nothing is said."""
        self._connection().execute(
            f"UPDATE jobs SET reason = ? WHERE engine = ? AND state IN ({_marks(WAITING)}) AND reason = ''",
            (reason, engine, *WAITING),
        )

    def set_handle(self, job: Job, handle: str) -> None:
        """Remember the engine's word for the running attempt."""
        query = "UPDATE jobs SET handle = ? WHERE id = ? AND attempt = ?"
        with self._changing() as connection:
            connection.execute(query, (handle, job.id, job.attempt))

    def move(
        self, job: Job, state: State, reason: str = "", *, loss: Loss | None = None
    ) -> Job | None:
        """Change the state of the attempt that `job` shows; None where it is no longer active in that attempt.

        Args:
            loss: after which it goes on.
        """
        ended = time.time() if state in TERMINAL else None
        counted = loss or Loss(job.restarts, job.reached)
        with self._changing() as connection:
            done = connection.execute(
                f"""UPDATE jobs SET state = ?, reason = ?, restarts = ?, reached = ?, ended = ?
                    WHERE id = ? AND attempt = ? AND state IN ({_marks(ACTIVE)})""",
                (state, reason, *counted, ended, job.id, job.attempt, *ACTIVE),
            )
            return _record(connection, job.id) if done.rowcount else None

    def request_cancel(self, job: str) -> Job:
        """Have a job ended, see `request_cancel_all`.

        Raises:
            JobError: there is none (`not-found`).
        """
        self.request_cancel_all([job])
        return self.get(job)

    def request_cancel_all(self, jobs: Iterable[str]) -> list[Job]:
        """Have jobs ended: at once those that wait, by the dispatcher those that run.

        Returns:
            Those that had not ended.
        """
        with self._changing() as connection:
            return [done for job in jobs if (done := _cancel(connection, job)) is not None]

    def resume(self, job: str) -> Job:
        """Queue a failed, cancelled or lost job again, with its restarts counted anew.

        Raises:
            JobError: it has not ended, or has succeeded (`conflict`).
        """
        for done in self.resume_all([job]):
            return done
        what, fix = f"is {self.get(job).state}", "only an ended, unfinished job can go on"
        raise JobError(what, where=job, fix=fix, kind="conflict")

    def resume_all(self, jobs: Iterable[str]) -> list[Job]:
        """The same of several; gives those that had ended without success."""
        with self._changing() as connection:
            return [done for job in jobs if (done := _resume(connection, job)) is not None]

    def remove(self, job: str, before: Callable[[], None] = lambda: None) -> bool:
        """Forget an ended job; false where it has not ended.

        Args:
            before: is done first; where it raises, the job is not forgotten.
        """
        query = f"DELETE FROM jobs WHERE id = ? AND state IN ({_marks(TERMINAL)})"
        with self._changing() as connection:
            removed = bool(connection.execute(query, (job, *TERMINAL)).rowcount)
            if removed:
                before()
            return removed

    def history(self, job: str) -> list[Change]:
        """What happened to a job, in order."""
        query = "SELECT time, state, attempt, reason FROM history WHERE job = ? ORDER BY rowid"
        return [
            Change(row["time"], State(row["state"]), row["attempt"], row["reason"])
            for row in self._connection().execute(query, (job,))
        ]


def _insert(connection: sqlite3.Connection, submission: Submission) -> tuple[Job, bool]:
    earlier = _with_key(connection, submission)
    if earlier is not None:
        return earlier, False
    job = secrets.token_hex(ID_BYTES)
    while connection.execute("SELECT 1 FROM jobs WHERE id = ?", (job,)).fetchone():
        job = secrets.token_hex(ID_BYTES)
    connection.execute(
        """INSERT INTO jobs (id, user, key, name, group_name, engine, priority, max_restarts, experiment,
           resources, state, submitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            job,
            submission.user,
            submission.key,
            submission.name,
            submission.group,
            submission.engine,
            submission.priority,
            submission.max_restarts,
            json.dumps(submission.experiment, sort_keys=True),
            submission.resources.model_dump_json(),
            State.QUEUED,
            time.time(),
        ),
    )
    return _record(connection, job), True


def _under(connection: sqlite3.Connection, user: str, key: str | None) -> Job | None:
    query = "SELECT * FROM jobs WHERE user = ? AND key = ?"
    row = connection.execute(query, (user, key)).fetchone()  # no row has the key NULL
    return None if row is None else job_of(row)


def _with_key(connection: sqlite3.Connection, submission: Submission) -> Job | None:
    """The job that its user submitted under this key before."""
    job = _under(connection, submission.user, submission.key)
    if job is None:
        return None
    if job.submission != submission:
        raise JobError(
            f"key {submission.key!r} stands for another submission (job {job.id})",
            fix="choose another key",
            kind="conflict",
        )
    return job


def _record(connection: sqlite3.Connection, job: str) -> Job:
    """Write the present state into the job's history, within the transaction that changed it."""
    found = _read(connection, job)
    connection.execute(
        "INSERT INTO history (job, time, state, attempt, reason) VALUES (?, ?, ?, ?, ?)",
        (job, time.time(), found.state, found.attempt, found.reason),
    )
    return found


def _read(connection: sqlite3.Connection, job: str) -> Job:
    return job_of(connection.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone())


def _cancel(connection: sqlite3.Connection, job: str) -> Job | None:
    """A job that is asked to end; None where it has ended."""
    done = connection.execute(
        f"""UPDATE jobs SET state = ?, cancel_requested = 1, ended = ?,
            reason = CASE attempt WHEN 0 THEN 'cancelled before it ran' ELSE 'cancelled while it waited' END
            WHERE id = ? AND state IN ({_marks(WAITING)})""",
        (State.CANCELLED, time.time(), job, *WAITING),
    )
    if done.rowcount:
        return _record(connection, job)
    asked = connection.execute(
        f"UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state IN ({_marks(ACTIVE)})",
        (job, *ACTIVE),
    )
    return _read(connection, job) if asked.rowcount else None


def _resume(connection: sqlite3.Connection, job: str) -> Job | None:
    """A job that is queued again; None where it has not ended, or has succeeded."""
    ended = TERMINAL - {State.SUCCEEDED}
    done = connection.execute(
        f"""UPDATE jobs SET state = ?, reason = 'resumed', cancel_requested = 0, restarts = 0, ended = NULL
            WHERE id = ? AND state IN ({_marks(ended)})""",
        (State.QUEUED, job, *ended),
    )
    return _record(connection, job) if done.rowcount else None


def _where(wanted: Filter) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if wanted.states is not None:
        conditions.append(f"state IN ({_marks(wanted.states)})")
        values += wanted.states
    for column in ("group", "user", "engine"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"{'group_name' if column == 'group' else column} = ?")
            values.append(value)
    if wanted.before is not None:
        conditions.append("seq < ?")
        values.append(wanted.before)
    if wanted.prefix is not None:
        conditions.append("substr(id, 1, ?) = ?")
        values += [len(wanted.prefix), wanted.prefix]
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)
