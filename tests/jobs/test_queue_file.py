"""The queue's file: writers that are killed, other versions, damage, a full disk."""

from __future__ import annotations

import errno
import gc
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.errors import JobError
from vqa.jobs import schema
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, State, Submission

Submit = Callable[..., Submission]


def plain(number: int = 0, **fields: object) -> Submission:
    """A submission whose experiment the queue does not look into."""
    return Submission(**{"experiment": {"seed": number}, "user": "ada", "name": "n", **fields})  # type: ignore[arg-type]


WRITER = """
import sys
from pathlib import Path
from vqa.jobs.queue import Queue
from vqa.jobs.record import State, Submission
queue = Queue(Path(sys.argv[1]))
number = 0
while True:
    job = queue.submit(Submission(experiment={"n": number}, user="w", name="n"))[0]
    print(job.id, flush=True)
    if number % 3 == 0:
        queue.move(queue.claim(job), State.SUCCEEDED)
        print(job.id, "succeeded", flush=True)
    number += 1
"""


def test_kill_in_a_write_loop_loses_nothing_that_was_acknowledged(home_queue_file: Path) -> None:
    chance = random.Random(0)
    acknowledged: list[list[str]] = []
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(home_queue_file)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]  # it writes
        threading.Timer(chance.uniform(0.05, 0.4), writer.send_signal, (signal.SIGKILL,)).start()
        lines += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        acknowledged += [line.split() for line in lines if line.endswith("\n")]
    with sqlite3.connect(home_queue_file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    queue = Queue(home_queue_file)
    assert len(acknowledged) > 50
    for words in acknowledged:
        job = queue.get(words[0])
        assert len(words) == 1 or job.state is State.SUCCEEDED
    queue.close()


@pytest.fixture
def home_queue_file(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite3"


def test_a_newer_queue_is_refused_and_an_older_one_brought_forward(
    home_queue_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Queue(home_queue_file)
    job = old.submit(plain(4))[0]
    old.close()
    with monkeypatch.context() as newer:
        added = (*schema.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'red'")
        newer.setattr(schema, "MIGRATIONS", added)
        newer.setattr(schema, "VERSION", len(added))
        migrated = Queue(home_queue_file)
        assert migrated.get(job.id) == job
        migrated.close()
        with sqlite3.connect(home_queue_file) as connection:
            assert connection.execute("SELECT colour FROM jobs").fetchone() == ("red",)
        connection.close()
    told = f"version {schema.VERSION + 1}, this program reads up to {schema.VERSION}"
    with pytest.raises(JobError, match=told):
        Queue(home_queue_file)


def test_a_queue_of_the_first_program_keeps_its_jobs(home_queue_file: Path) -> None:
    with sqlite3.connect(home_queue_file) as connection:
        connection.executescript(schema.MIGRATIONS[0])
        connection.execute("PRAGMA user_version=1")
        connection.execute(
            """INSERT INTO jobs (id, user, name, engine, priority, max_restarts, experiment, resources, state,
               restarts, submitted) VALUES ('0a1b2c3d', 'ada', 'tiny', 'local', 0, 3, '{}', '{}', 'queued', 2, 1.0)"""
        )
    connection.close()
    job = Queue(home_queue_file).get("0a1b2c3d")
    assert (job.restarts, job.reached, job.submission.user) == (2, -1, "ada")


def test_a_failing_migration_changes_nothing(
    home_queue_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue(home_queue_file).close()
    with monkeypatch.context() as broken:
        added = (*schema.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN a TEXT; NONSENSE")
        broken.setattr(schema, "MIGRATIONS", added)
        broken.setattr(schema, "VERSION", len(added))
        with pytest.raises(sqlite3.OperationalError):
            Queue(home_queue_file)
    queue = Queue(home_queue_file)
    assert queue.find() == []
    queue.close()


def test_a_file_that_is_no_queue_is_named(home_queue_file: Path) -> None:
    home_queue_file.write_bytes(b"something else" * 100)
    with pytest.raises(JobError, match="is no queue") as error:
        Queue(home_queue_file)
    assert str(home_queue_file) in str(error.value)


def test_another_process_that_looks_in_takes_nothing_away(home_queue_file: Path) -> None:
    """Locks of open connections outlive further connections of the same process."""
    queue = Queue(home_queue_file)
    queue.submit(plain(1))
    other = threading.Thread(target=lambda: Queue(home_queue_file).close())
    other.start()
    other.join()
    look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM jobs'); c.close()"
    subprocess.run([sys.executable, "-c", look, str(home_queue_file)], check=True)
    assert Path(f"{home_queue_file}-wal").exists()  # the last to close would have removed it
    queue.submit(plain(2))
    assert len(queue.find()) == 2
    assert home_queue_file.stat().st_mode & 0o777 == 0o600
    queue.close()


def test_a_full_disk_is_told_as_such(queue: Queue) -> None:
    """SQLite ends the transaction by itself."""
    connection = queue._connection()
    [[pages]] = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        queue.submit_all([plain(number, name="n" * 100) for number in range(500)])
    connection.execute(f"PRAGMA max_page_count={10 * pages}")
    assert queue.find(Filter()) == []
    assert queue.submit(plain())[1]


def test_a_queue_that_the_machine_keeps_shut_is_no_fault_of_the_user(
    home_queue_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite speaks of an I/O error on a full disk, too: its shared memory has no room."""
    error = sqlite3.OperationalError("disk I/O error")
    monkeypatch.setattr(schema, "migrate", Mock(side_effect=error))
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        Queue(home_queue_file)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=4096))
    with pytest.raises(OSError, match="its disk is full — free some space there") as caught:
        Queue(home_queue_file)
    assert (caught.value.filename, caught.value.errno) == (str(home_queue_file), errno.ENOSPC)


def test_a_queue_that_cannot_be_written_here_is_refused(home_queue_file: Path) -> None:
    with pytest.raises(JobError, match="cannot be written here: mend that") as caught:
        Queue(home_queue_file.parent / "nowhere" / home_queue_file.name)
    assert caught.value.where.endswith("nowhere/queue.sqlite3")


def test_connections_end_with_their_threads_and_with_the_queue(home_queue_file: Path) -> None:
    def connections() -> list[sqlite3.Connection]:
        queue = Queue(home_queue_file)
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(queue._connection).result(), queue._connection()]

    found = connections()
    gc.collect()
    for connection in found:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_file_that_could_once_only_be_read_is_written_again(home_queue_file: Path) -> None:
    """SQLite takes what it can open, and would go on so to the end of the thread."""
    queue = Queue(home_queue_file)
    queue.close()
    reading = sqlite3.connect(f"file:{home_queue_file}?mode=ro", uri=True, isolation_level=None)
    reading.row_factory = sqlite3.Row
    queue._local.held = schema.Held(reading)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        queue.submit(plain())
    assert queue.submit(plain())[1]
    queue.close()
