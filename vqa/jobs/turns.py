"""Who is next: by priority, and among equal priorities users take turns.

The jobs of a user stand in the order of priority and of submission; the k-th that waits has its turn where its user
would have k jobs more than run now. So the first job of somebody who has none comes before the second of all others,
and no job overtakes another of its own user. Of equal turns that one is first whose user was served longest ago: users
take turns where one job runs at a time, too. Then who submitted first.
"""

from __future__ import annotations

import sqlite3

FIRST = """
    WITH
    running AS (
        SELECT user, COUNT(*) AS jobs FROM jobs
        WHERE engine = :engine AND state IN ('starting', 'running') GROUP BY user
    ),
    waiting AS (
        SELECT seq, user, priority, ROW_NUMBER() OVER (PARTITION BY user ORDER BY priority DESC, seq) AS place
        FROM jobs WHERE engine = :engine AND state IN ('queued', 'preempted')
    ),
    users AS (
        SELECT user, MAX(served) AS last FROM jobs
        WHERE user IN (SELECT user FROM waiting) AND engine = :engine GROUP BY user
    ),
    next AS (
        SELECT seq, place + IFNULL(running.jobs, 0) AS turn, last
        FROM waiting LEFT JOIN running USING (user) JOIN users USING (user)
        ORDER BY priority DESC, turn, last, seq LIMIT :limit
    )
    SELECT jobs.* FROM next JOIN jobs USING (seq) ORDER BY priority DESC, turn, last, seq
"""
"""The states stand in the text, as in the index `jobs_waiting`, which is used for equal words alone."""


IN_ORDER = """
    SELECT * FROM jobs WHERE engine = :engine AND state IN ('queued', 'preempted')
    ORDER BY priority DESC, seq LIMIT :limit
"""


def first(
    connection: sqlite3.Connection, engine: str, limit: int, *, turns: bool = True
) -> list[sqlite3.Row]:
    """The rows of an engine's next jobs, in the order in which they should be started.

    Args:
        turns: users take turns; not where the engine has a queue and an order of its own.
    """
    query = FIRST if turns else IN_ORDER
    return connection.execute(query, {"engine": engine, "limit": limit}).fetchall()
