"""A row of the queue's table as a job."""

from __future__ import annotations

import json
import sqlite3

from vqa.jobs.record import Job, Resources, State, Submission


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
