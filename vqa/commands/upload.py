"""vqa upload STORE [--as NAME] | --delete NAME"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.errors import EngineError, InputError, JobError
from vqa.formatting import size

if TYPE_CHECKING:
    from tqdm import tqdm

    from vqa.jobs.remote import RemoteService
    from vqa.jobs.uploads.remote import RemoteUploads
    from vqa.jobs.uploads.sending import Outcome

EPILOG = """
VQA_SERVER names the server, which makes a store of that name with the same fingerprint: `vqa submit … data.store=NAME`
trains on it there. Sent are questions and pictures; not what is kept beside them (cache/, region features) nor
rejected.jsonl. What broke off is gone on with by the same command; what nobody goes on with is deleted after some days
(`keep_uploads_days` in the server's settings.yaml). A token of scope submit will do.
"""
NOT_SENT = ("cache", "regions", "rejected.jsonl")
STEPS = 10
"""Without a terminal, a line of progress stands after each such part."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("store", nargs="?", type=Path, metavar="STORE", help="a prepared store on this machine")
    add("--as", dest="name", metavar="NAME",
        help="what it is called on the server (default: as its folder)")  # fmt: skip
    add("--delete", metavar="NAME",
        help="delete a store there that was uploaded, or what has come of one; only where no queued or running job "
        "names it")  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Send or delete; 0 where the store stands there, or is gone."""
    from vqa.jobs.connect import connect
    from vqa.jobs.remote import RemoteService

    if (args.store is None) == (args.delete is None):
        raise InputError("give a STORE to send, or --delete NAME", where="vqa upload")
    server = connect()
    if not isinstance(server, RemoteService):
        raise InputError(
            "no server is named",
            where="vqa upload",
            fix="set VQA_SERVER; jobs of this machine take the store's path: data.store=STORE",
        )
    if args.delete is not None:
        return _delete(server, args.delete, args.json)
    return _send(server, args.store, args.name or args.store.resolve().name, args.json)


def _send(server: RemoteService, path: Path, name: str, as_json: bool) -> int:
    from vqa.data.store import Store
    from vqa.jobs.uploads.remote import RemoteUploads
    from vqa.jobs.uploads.sending import Sender

    started = time.monotonic()
    with closing(_Progress()) as progress, _going_on():
        outcome = Sender(RemoteUploads(server), Store.open(path), name, progress).send()
    _check(outcome, as_json)
    if as_json:
        print(json.dumps(_facts(server, outcome, time.monotonic() - started), indent=2))
        return 0
    if outcome.was_there:
        print(f"{name} stands on {server.address} already, with this fingerprint")
    else:
        sent = f"{outcome.pictures:,} pictures, {size(outcome.bytes)}, sent by this command"
        print(f"{name} stands on {server.address} ({sent}; no region features and no caches)")
    print(f"fingerprint {outcome.view.fingerprint}, as here")
    print(f"next: vqa submit CONFIG data.store={name}")
    return 0


@contextmanager
def _going_on() -> Iterator[None]:
    """Say of a server that has gone what to do once it is back."""
    try:
        yield
    except EngineError as error:
        if not error.temporary:
            raise
        fix = "what it has is kept: once it answers again, the same command goes on"
        raise EngineError(error.what, where=error.where, fix=fix, temporary=True) from None


def _check(outcome: Outcome, as_json: bool) -> None:
    """Raise where no store was made."""
    from vqa.data.prepare import UnusableRecords
    from vqa.data.record import BadRow

    view = outcome.view
    if view.state == "failed":
        fix = "try again: the same command goes on with what has come"
        raise EngineError(f"the server could not make the store: {view.error}", fix=fix)
    if view.state == "refused" and view.unusable:
        bad = [BadRow(one.where, one.reason) for one in view.unusable]
        error = UnusableRecords(bad, f"the server refuses the store: {view.error}")
        if as_json:
            print(json.dumps(error.to_json(), ensure_ascii=False, indent=2))
        raise error
    if view.state != "made":
        fix = "prepare the store again with this version, and send that"
        raise JobError(f"the server refuses the store: {view.error}", fix=fix)


def _facts(server: RemoteService, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "store": outcome.view.store,
        "server": server.address,
        "fingerprint": outcome.view.fingerprint,
        "was_there": outcome.was_there,
        "pictures_sent": outcome.pictures,
        "bytes_sent": outcome.bytes,
        "not_sent": list(NOT_SENT),
        "seconds": round(seconds, 3),
    }


def _delete(server: RemoteService, name: str, as_json: bool) -> int:
    """Delete a store; where there is none of that name, what has come of one."""
    from vqa.jobs.uploads.remote import RemoteUploads

    uploads = RemoteUploads(server)
    try:
        freed: int | None = uploads.delete_store(name).bytes
    except JobError as error:
        if error.kind != "not-found" or not _abandon(uploads, name):
            raise
        freed = None
    if as_json:
        print(json.dumps({"store": name, "deleted": freed is not None, "bytes": freed}, indent=2))
    elif freed is None:
        print(f"what had come of {name} is deleted; no store of that name was made")
    else:
        print(f"{name} is deleted; that freed {size(freed)}")
    return 0


def _abandon(uploads: RemoteUploads, name: str) -> bool:
    """Have the server forget what has come of a store; whether there was something."""
    try:
        uploads.abandon(name)
    except JobError as error:
        if error.kind != "not-found":
            raise
        return False
    return True


class _Progress:
    """A bar on a terminal, a few lines elsewhere. Stands on stderr."""

    def __init__(self) -> None:
        self._moving, self._step = sys.stderr.isatty(), -1
        self._bar: tqdm[Any] | None = None
        self._there = self._in_all = self._bytes = self._size = 0

    def questions(self, done: int, in_all: int) -> None:
        """So many questions are there."""
        self._line(done, in_all, f"{done:,} of {in_all:,} questions sent")

    def begin(self, pictures: int, in_all: int, sent: int, size: int) -> None:
        """So many pictures of all are there, and so many bytes of their size."""
        from tqdm import tqdm

        self.close()
        self._there, self._in_all, self._bytes, self._size = pictures, in_all, sent, size
        if self._moving:
            self._bar = tqdm(
                total=size,
                initial=sent,
                unit="B",
                unit_scale=True,
                desc="pictures",
                file=sys.stderr,
            )
        elif in_all:
            self._pictures()

    def advance(self, size: int) -> None:
        """One more picture is there."""
        self._there, self._bytes = self._there + 1, self._bytes + size
        if self._bar is None:
            self._pictures()
        else:
            self._bar.set_postfix_str(f"{self._there:,} of {self._in_all:,}", refresh=False)
            self._bar.update(size)

    def making(self, done: int, in_all: int) -> None:
        """The server has put so many questions into the store."""
        if self._bar is not None:
            self.close()
        self._line(done, in_all, f"the server makes the store: {done:,} of {in_all:,} questions")

    def close(self) -> None:
        """Leave the line clear for what follows."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._moving:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self._step = -1

    def _pictures(self) -> None:
        counts = f"{self._there:,} of {self._in_all:,} pictures"
        text = f"{counts}, {size(self._bytes)} of {size(self._size)}"
        self._line(self._there, self._in_all, text)

    def _line(self, done: int, in_all: int, text: str) -> None:
        """On a terminal over the one before; elsewhere one for each part of the way."""
        step = STEPS * done // max(in_all, 1)
        if self._moving:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif step != self._step:
            print(text, file=sys.stderr, flush=True)
        self._step = step
