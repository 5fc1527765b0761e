"""Fetching a data set's files into a folder: room checked before, checksums after, what came written down.

FOLDER/vqa-download.json holds for every file its address, size and sha256. Where nobody publishes a
checksum, the first download's is kept there, so that a later one, or a damaged disk, is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vqa.data.published.facts import Remote
from vqa.data.published.fetch import SPARE, Part, Progress, client, fetch, length_of
from vqa.errors import DataError, DownloadError, InputError
from vqa.outputs import exchanged, naming

if TYPE_CHECKING:
    import httpx

LOCK = "vqa-download.json"
CHUNK = 1 << 20
"""Bytes that are hashed at a time."""
Checked = Literal["published", "first download", "nothing"]


@dataclass(frozen=True)
class Fetched:
    """A file that is in the folder now.

    Attributes:
        name, url: of the file.
        size: bytes.
        sha256: of its bytes.
        fetched: whether bytes came in this run.
        checked: against what the sha256 was checked; `nothing` where this is the first download and
            no checksum is published.
    """

    name: str
    url: str
    size: int
    sha256: str
    fetched: bool
    checked: Checked


def download(
    files: Sequence[Remote], folder: Path, progress: Progress, again: bool = False
) -> list[Fetched]:
    """Have every file in the folder, complete and checked.

    A file that is there already is checked and left. One that fails its check is not kept under its
    name.

    Args:
        files: to fetch.
        folder: is made where it is not there.
        progress: makes the bar of a file.
        again: fetch also what is there, and accept that a file has changed since the first download.

    Raises:
        InputError: too little room, another download into the folder, or a damaged lock file.
        DownloadError: a file cannot be fetched or is not what it should be.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, made), client() as http:
        lock = _read_lock(folder)
        missing = [one for one in files if again or not (folder / one.name).exists()]
        check_room(_to_come(missing, folder, http), folder)
        done = []
        for remote in files:
            target, known = folder / remote.name, lock.get(remote.name, {}).get("sha256")
            if remote in missing:
                part = fetch(remote, target, http, progress(remote))
                found = _taken(remote, part, target, None if again else known)
            else:
                found = _checked(remote, target, known, fetched=False)
            lock[remote.name] = {"url": remote.url, "size": found.size, "sha256": found.sha256}
            _write_lock(folder, lock)
            done.append(found)
    return done


def check_room(count: int, folder: Path) -> None:
    """Refuse what would fill the disk.

    Raises:
        InputError: naming what is needed and what is free.
    """
    free = shutil.disk_usage(folder).free
    if count and count + SPARE > free:
        raise InputError(
            f"{count / 1e9:,.1f} GB are to come, {free / 1e9:,.1f} GB are free",
            where=str(folder),
            fix="make room or choose another disk with --to; unpacking needs as much again",
        )


def _to_come(files: Sequence[Remote], folder: Path, http: httpx.Client) -> int:
    """Bytes that will come, as far as their sizes are known or their servers say them."""
    total = 0
    for remote in files:
        length = length_of(remote, http) or 0
        part = Part.of(folder / remote.name).data
        total += max(length - (part.stat().st_size if part.exists() else 0), 0)
    return total


def _taken(remote: Remote, part: Part, target: Path, known: str | None) -> Fetched:
    """The file that came, checked and under its name; a wrong one is dropped."""
    try:
        found = _checked(remote, part.data, known, fetched=True)
    except DownloadError:
        part.drop()
        raise
    part.data.replace(target)
    part.note.unlink(missing_ok=True)
    return found


def _checked(remote: Remote, file: Path, known: str | None, *, fetched: bool) -> Fetched:
    """The file with its checksum.

    Args:
        known: the sha256 of the first download.

    Raises:
        DownloadError: it is not what it should be.
    """
    size, sha256, md5 = _digests(file)
    for kind, wanted, found in (
        ("bytes", remote.size, size),
        ("sha256", remote.sha256, sha256),
        ("md5", remote.md5, md5),
        ("sha256 of the first download", known, sha256),
    ):
        if wanted not in (None, found):
            raise _wrong(remote, file, f"{kind}: {found}, but {wanted} was expected", fetched)
    published = remote.sha256 or remote.md5
    checked: Checked = "published" if published else "first download" if known else "nothing"
    return Fetched(remote.name, remote.url, size, sha256, fetched, checked)


def _wrong(remote: Remote, file: Path, what: str, fetched: bool) -> DownloadError:
    if fetched:
        fix = "it was not kept; the same command fetches it again, --again also if it has changed"
        return DownloadError(what, where=remote.url, fix=fix)
    return DownloadError(what, where=str(file), fix="remove it, or fetch it anew with --again")


def _digests(file: Path) -> tuple[int, str, str]:
    """Size, sha256 and md5 of a file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            size += len(chunk)
            sha256.update(chunk)
            md5.update(chunk)
    return size, sha256.hexdigest(), md5.hexdigest()


@contextmanager
def _alone(folder: Path, made: bool) -> Iterator[None]:
    """Keep a second download out of the folder, and leave none that was made for nothing.

    Raises:
        InputError: one is at work there.
    """
    lock = folder / ".vqa-download.lock"
    with lock.open("w") as file:
        try:
            with naming(lock):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "another vqa download works here", where=str(folder), fix="wait, or choose --to"
            ) from error
        try:
            yield
        finally:
            if made and list(folder.iterdir()) == [lock]:
                lock.unlink()
                folder.rmdir()


def _read_lock(folder: Path) -> dict[str, dict[str, Any]]:
    file = folder / LOCK
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        files = found["files"]
        if not all(isinstance(files[name].get("sha256"), str | None) for name in files):
            raise TypeError("a sha256 that is no text")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fix = "remove it; checksums of first downloads are then forgotten"
        raise DataError(f"damaged ({error})", where=str(file), fix=fix) from error
    return dict(files)


def _write_lock(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    text = json.dumps({"format": 1, "files": files}, indent=2, sort_keys=True)
    with exchanged(folder / LOCK) as file:
        file.write(f"{text}\n".encode())


def to_json(found: Sequence[Fetched]) -> list[dict[str, Any]]:
    """What `--json` prints of the files."""
    return [asdict(one) for one in found]
