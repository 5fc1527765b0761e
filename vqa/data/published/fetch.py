"""Fetching one file over HTTP: resumed where it broke off, complete or not there at all.

While it comes, `NAME.part` holds the bytes and `NAME.part.json` says of which version of the address
they are; a resumed request asks for the rest of that version only (RFC 9110, Range and If-Range).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vqa.data.published.facts import Remote
from vqa.errors import DownloadError

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 5
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""
SPARE = 200_000_000
"""Bytes of the disk that a download leaves free."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another attempt may do."""


class Bar(Protocol):
    """What is told how far a file is."""

    def begin(self, total: int | None, done: int) -> None:
        """The file has `total` bytes, `done` of which are here."""
        ...

    def advance(self, count: int) -> None:
        """So many more bytes are here."""
        ...


class Again(Exception):
    """This attempt failed in a way that another may not; the message says how."""


class Part(NamedTuple):
    """An unfinished file and the note on its version."""

    data: Path
    note: Path

    @classmethod
    def of(cls, target: Path) -> Part:
        """Those of a file that is to become `target`."""
        name = f"{target.name}.part"
        return cls(target.with_name(name), target.with_name(f"{name}.json"))

    def validator(self, url: str) -> str | None:
        """What names the version that the bytes are of; None where they cannot be gone on with."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(note, dict) or note.get("url") != url or not self.data.exists():
            return None
        validator = note.get("validator")
        return validator if isinstance(validator, str) and validator else None

    def begin(self, url: str, validator: str | None) -> None:
        """Forget the bytes and note the version of those that will come."""
        self.data.write_bytes(b"")
        self.note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def drop(self) -> None:
        """Remove both."""
        self.data.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@contextmanager
def client() -> Iterator[httpx.Client]:
    """What requests are made with: redirects are followed, certificates checked."""
    import httpx

    import vqa

    with httpx.Client(
        follow_redirects=True,
        max_redirects=5,
        timeout=httpx.Timeout(60, connect=20),
        headers={"User-Agent": f"vqa/{vqa.__version__}", "Accept-Encoding": "identity"},
    ) as made:
        yield made


def length_of(remote: Remote, http: httpx.Client) -> int | None:
    """The bytes of a file: as known, else as its server says; None where it does not say.

    Raises:
        DownloadError: the address cannot be reached, or has no such file.
    """
    import httpx

    if remote.size is not None:
        return remote.size
    try:
        answer = http.head(remote.url)
    except httpx.HTTPError as error:
        raise _unreachable(remote, error) from error
    if answer.status_code in (404, 410):
        raise _gone(remote, answer.status_code)
    length = answer.headers.get("content-length", "")
    return int(length) if answer.is_success and length.isdecimal() else None


def fetch(remote: Remote, target: Path, http: httpx.Client, bar: Bar) -> Part:
    """Get all bytes of a file, going on where an earlier attempt or run broke off.

    Returns:
        the complete, unchecked part; its name is still `NAME.part`.

    Raises:
        DownloadError: the address cannot be reached or has no such file, what comes is not of the
            known size, or the disk is full.
    """
    part, said = Part.of(target), ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            _attempt(remote, part, http, bar)
        except Again as reason:
            said = str(reason)
        else:
            return part
    raise DownloadError(
        f"broke off {ATTEMPTS} times ({said}); {_here(part)} bytes are kept",
        where=remote.url,
        fix="the same command goes on from there",
    )


def _attempt(remote: Remote, part: Part, http: httpx.Client, bar: Bar) -> None:
    import httpx

    validator = part.validator(remote.url)
    have = _here(part) if validator else 0
    asked = {"Range": f"bytes={have}-", "If-Range": validator} if validator and have else {}
    try:
        with http.stream("GET", remote.url, headers=asked) as answer:
            _check_answer(remote, answer)
            if answer.status_code == 416:
                _settle_416(part, answer, have)
                return
            if answer.status_code != 206 or not _continues(answer, have):
                part.begin(remote.url, _version(answer))
                have = 0
            _receive(remote, part, answer, have, bar)
    except httpx.HTTPStatusError as error:
        raise Again(str(error)) from error
    except httpx.TooManyRedirects as error:
        raise _unreachable(remote, error) from error
    except httpx.ConnectError as error:
        raise _unreachable(remote, error) from error
    except httpx.HTTPError as error:
        raise Again(str(error) or type(error).__name__) from error


def _check_answer(remote: Remote, answer: httpx.Response) -> None:
    """Raises `DownloadError` where no further attempt would do, `Again` where one may."""
    if remote.url.startswith("https:") and answer.url.scheme != "https":
        raise DownloadError(
            f"its server leads from https to {answer.url.scheme}", where=remote.url, fix=_BY_HAND
        )
    if answer.status_code in PASSING:
        raise Again(f"the server answers {answer.status_code}")
    if answer.status_code not in (200, 206, 416):
        raise _gone(remote, answer.status_code)
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise DownloadError("its server sends it packed, unasked", where=remote.url, fix=_BY_HAND)


def _settle_416(part: Part, answer: httpx.Response, have: int) -> None:
    """The server has nothing after what is here: either that is all, or it is of another version."""
    if answer.headers.get("content-range", "") == f"bytes */{have}":
        return
    part.drop()
    raise Again("what was here is not the beginning of the file")


def _continues(answer: httpx.Response, have: int) -> bool:
    said: str = answer.headers.get("content-range", "")
    return said.startswith(f"bytes {have}-")


def _version(answer: httpx.Response) -> str | None:
    """A strong validator of what comes: without one, nothing can be gone on with."""
    tag: str = answer.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("last-modified") or None


def _receive(remote: Remote, part: Part, answer: httpx.Response, have: int, bar: Bar) -> None:
    length = answer.headers.get("content-length", "")
    total = have + int(length) if length.isdecimal() else remote.size
    if None not in (total, remote.size) and total != remote.size:
        part.drop()
        raise DownloadError(
            f"{total:,} bytes would come, {remote.size:,} are known of it: the file has changed",
            where=remote.url,
            fix="see the data set's page (vqa list datasets)",
        )
    bar.begin(total, have)
    done = have
    with part.data.open("ab") as file:
        for chunk in answer.iter_raw():  # as it comes, so that nothing is lost where it breaks off
            done += len(chunk)
            _check_room(part, remote, done, total)
            file.write(chunk)
            bar.advance(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise Again(f"{done:,} of {total:,} bytes came")


def _check_room(part: Part, remote: Remote, done: int, total: int | None) -> None:
    if total is not None and done > total:
        part.drop()
        raise DownloadError(f"more than {total:,} bytes come", where=remote.url, fix=_BY_HAND)
    if shutil.disk_usage(part.data.parent).free < SPARE:
        raise DownloadError(
            f"the disk is nearly full; {_here(part):,} bytes are kept",
            where=str(part.data.parent),
            fix="make room; the same command goes on from there",
        )


def _here(part: Part) -> int:
    return part.data.stat().st_size if part.data.exists() else 0


_BY_HAND = "get the file by hand and put it there under its name"


def _gone(remote: Remote, status: int) -> DownloadError:
    return DownloadError(
        f"the server answers {status}",
        where=remote.url,
        fix=f"see the data set's page for where it is now (vqa list datasets), or {_BY_HAND}",
    )


def _unreachable(remote: Remote, error: Exception) -> DownloadError:
    return DownloadError(
        f"cannot be reached ({error or type(error).__name__})",
        where=remote.url,
        fix=f"check the network and its proxy (HTTPS_PROXY), or {_BY_HAND}",
    )


Progress = Callable[[Remote], Bar]
"""Makes the bar of a file."""
