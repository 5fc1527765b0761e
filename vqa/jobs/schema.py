"""The queue's tables, their rows as jobs, and how a database of an older program becomes one of today's."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import weakref
from pathlib import Path

from vqa.errors import JobError
from vqa.jobs.record import Job, Resources, State, Submission

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        user TEXT NOT NULL,
        key TEXT,
        name TEXT NOT NULL,
        group_name TEXT,
        engine TEXT NOT NULL,
        priority INTEGER NOT NULL,
        max_restarts INTEGER NOT NULL,
        experiment TEXT NOT NULL,
        resources TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        restarts INTEGER NOT NULL DEFAULT 0,
        handle TEXT,
        gpus TEXT NOT NULL DEFAULT '[]',
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        submitted REAL NOT NULL,
        started REAL,
        ended REAL,
        UNIQUE (user, key)
    );
    CREATE INDEX jobs_by_state ON jobs (state, engine, priority DESC, seq);
    CREATE INDEX jobs_by_group ON jobs (group_name, seq);
    CREATE INDEX jobs_by_user ON jobs (user, seq);
    CREATE TABLE history (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        time REAL NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        reason TEXT NOT NULL
    );
    CREATE INDEX history_by_job ON history (job);
    """,
    "ALTER TABLE jobs ADD COLUMN reached INTEGER NOT NULL DEFAULT -1;",
    """
    CREATE INDEX jobs_waiting ON jobs (engine, user, priority DESC, seq)
    WHERE state IN ('queued', 'preempted');
    """,
    """
    ALTER TABLE jobs ADD COLUMN served INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX jobs_served ON jobs (user, engine, served);
    """,
)
"""Entry k takes a database of version k to version k + 1. Entries are only ever added."""

VERSION = len(MIGRATIONS)
NOT_WRITABLE = "it or its folder cannot be written here: mend that, or name another with VQA_HOME"
SHARED_BYTES = 1 << 15
"""SQLite makes a file of this size beside a database that is opened; of a full disk it says "disk I/O error" then."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, durable at every commit, in today's version.

    Raises:
        JobError: it was made by a newer program, is no database, or cannot be written.
        OSError, sqlite3.OperationalError: the machine fails: a full disk, for one.
    """
    _make(path)
    try:
        return _opened(path)
    except sqlite3.OperationalError as error:
        _refuse(path, error)
        raise
    except sqlite3.DatabaseError as error:
        raise JobError(f"is no queue ({error})", where=str(path), fix="move it away") from error


def _opened(path: Path) -> sqlite3.Connection:
    # Each thread has its own; whichever sees its end may close it.
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        migrate(connection, path)
    except (sqlite3.DatabaseError, JobError):
        connection.close()
        raise
    return connection


def _refuse(path: Path, error: sqlite3.OperationalError) -> None:
    """Say what SQLite's error came of, where that can be mended; otherwise the machine is at fault.

    Raises:
        JobError: it cannot be written here.
        OSError: its disk is full.
    """
    places = [path.parent, path] if path.exists() else [path.parent]
    if not all(os.access(place, os.W_OK) for place in places):
        raise JobError(f"cannot be opened ({error})", where=str(path), fix=NOT_WRITABLE) from error
    if shutil.disk_usage(path.parent).free < SHARED_BYTES:
        what = "cannot be opened: its disk is full — free some space there"
        raise OSError(errno.ENOSPC, what, str(path)) from error


def _make(path: Path) -> None:
    """Make a missing database for this user alone.

    One that is there is never opened here: to close it would drop the locks that this process's connections hold on
    it (POSIX), and another process could then take the log away beneath them.
    """
    with contextlib.suppress(OSError):  # it exists; or SQLite says better why it cannot
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to today's version, each step in a transaction of its own.

    Raises:
        JobError: they are newer than this program.
    """
    while (version := _version(connection)) != VERSION:
        if version > VERSION:
            raise JobError(
                f"the queue has version {version}, this program reads up to {VERSION}",
                where=str(path),
                fix="use the newer program",
            )
        with Transaction(connection):
            if _version(connection) == version:  # nobody else was faster
                for statement in filter(str.strip, MIGRATIONS[version].split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={version + 1}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def job_of(row: sqlite3.Row) -> Job:
    """The job that a row of `jobs` keeps."""
    submission = Submission(
        experiment=json.loads(row["experiment"]),
        user=row["user"],
        name=row["name"],
        engine=row["engine"],
        resources=Resources.model_validate_json(row["resources"]),
        group=row["group_name"],
        key=row["key"],
        priority=row["priority"],
        max_restarts=row["max_restarts"],
    )
    return Job(
        seq=row["seq"],
        id=row["id"],
        state=State(row["state"]),
        submission=submission,
        attempt=row["attempt"],
        restarts=row["restarts"],
        reached=row["reached"],
        handle=row["handle"],
        gpus=tuple(json.loads(row["gpus"])),
        cancel_requested=bool(row["cancel_requested"]),
        reason=row["reason"],
        submitted=row["submitted"],
        started=row["started"],
        ended=row["ended"],
    )


class Held:
    """A connection that is closed when its thread, or the queue, is gone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        weakref.finalize(self, connection.close)


class Transaction:
    """Everything inside is committed together, or not at all; writers wait for one another at the start."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # SQLite itself ends one that meets a full disk
                self._connection.execute("ROLLBACK")
