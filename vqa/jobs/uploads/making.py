"""Makes a store of what was sent: `python -m vqa.jobs.uploads.making`, with what to make as JSON on its input.

A process of its own: whatever strangers' pictures do to it, the server goes on. It prints lines of JSON: `done`, as
it goes, and at the end one `state`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from vqa.data.prepare import UnusableRecords, prepare
from vqa.data.record import BadRow
from vqa.data.sources.staged import Damaged, Staged
from vqa.data.store import Store
from vqa.errors import VQAError
from vqa.formatting import shortened
from vqa.jobs.home import Home
from vqa.jobs.uploads.owned import RECORD, WORK, Uploaded
from vqa.jobs.uploads.room import Allowance
from vqa.jobs.uploads.shapes import SHOWN
from vqa.jobs.uploads.shelf import Shelf
from vqa.jobs.uploads.staging import Staging
from vqa.lifetime import die_with
from vqa.outputs import sync, sync_all

NICENESS = 10
FIRST_TO_DIE = "1000"
"""Where memory runs out, the kernel is to take this process, and not the server."""
LONGEST_REASON = 500
"""The server keeps them in memory."""
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
Told = dict[str, Any]


def main() -> int:
    """Make the store and say what became of it."""
    told = json.loads(sys.stdin.read())
    die_with(told["parent"])()
    os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_DIE)
    staging = Staging.open(Path(told["folder"]))
    if staging is None:
        _say({"state": "failed", "error": "what was sent is not there any more"})
    else:
        _say(make(Home(Path(told["home"])), staging))
    return 0


def make(home: Home, staging: Staging) -> Told:
    """Make the store beside the others and move it there whole; what became of it, as `UploadView` says it."""
    work = home.stores / f"{WORK}{staging.folder.name}"
    shutil.rmtree(work, ignore_errors=True)  # of one that was killed
    try:
        outcome = _made(home, staging, work)
        if outcome["state"] == "refused" and (count := staging.drop_damaged()):
            what = f"{count:,} pictures were damaged on the server's disk and have to come again"
            return {"state": "failed", "error": what}
        return outcome
    except Damaged as error:
        staging.drop_examples()
        return {"state": "failed", "error": _said(error)}
    except (VQAError, OSError) as error:
        return {"state": "failed", "error": _said(error)}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _made(home: Home, staging: Staging, work: Path) -> Told:
    record = staging.record
    request = record.request
    source = Staged(staging.folder, record.store)
    _check_room(home, staging, source.bytes())
    try:
        store = prepare(
            source,
            work / "store",
            name=request.source,
            text_only=request.text_only,
            progress=_say_done,
        )
    except UnusableRecords as error:
        return _refused(error)
    if store.fingerprint != request.fingerprint:
        what = (
            f"what came makes a store of fingerprint {store.fingerprint}, not {request.fingerprint}"
        )
        return {"state": "refused", "error": what}
    owner = Uploaded(user=record.user, time=time.time())
    (store.path / RECORD).write_text(owner.model_dump_json() + "\n", encoding="utf-8")
    return _placed(store, home.stores / record.store)


def _refused(error: UnusableRecords) -> Told:
    return {
        "state": "refused",
        "error": f"{len(error.records):,} records cannot be used",
        "unusable": [_unusable(row) for row in error.records[:SHOWN]],
        "unusable_in_all": len(error.records),
    }


def _check_room(home: Home, staging: Staging, size: int) -> None:
    """The store may be much larger than what came: a picture came once, whatever number of images it stands for.

    Raises:
        JobError: there is no room for `size` bytes.
    """
    user, allowance = staging.record.user, Allowance(home)
    allowance.check_quota(user, Shelf(home).taken(user) - staging.taken, size)
    allowance.check_disk(size)


def _placed(store: Store, to: Path) -> Told:
    """Move a store to its name, unless another stands there; it survives a power cut from then on."""
    sync_all(store.path)
    try:
        store.path.rename(to)
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        return _taken(store, to)
    sync(to.parent)
    return {"state": "made"}


def _taken(store: Store, to: Path) -> Told:
    """Somebody was faster: the same content is as good."""
    with suppress(VQAError):
        if Store.open(to).fingerprint == store.fingerprint:
            return {"state": "made"}
    return {"state": "failed", "error": f"the name {to.name!r} was taken meanwhile"}


def _said(error: VQAError | OSError) -> str:
    """An error without the places of files on this machine."""
    if isinstance(error, OSError):
        return error.strerror or "the disk cannot be used"
    named = error.where and "/" not in error.where
    return f"{error.where}: {error.what}" if named else error.what


def _unusable(row: BadRow) -> dict[str, str]:
    """Without the place of the file that was staged, whose name is the picture's hash; ids in it may be long."""
    reason = f"picture {Path(row.image).name}: {row.reason}" if row.image else row.reason
    return {"where": row.where, "reason": shortened(reason, LONGEST_REASON)}


def _say_done(read: int, bad: int) -> None:
    _say({"done": read})


def _say(told: Told) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
