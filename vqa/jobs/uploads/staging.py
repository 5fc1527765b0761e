"""What of one upload has come: kept on the disk, so that it goes on after any death, and counted in memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vqa.data.check import Refused, checked
from vqa.data.image import check_image
from vqa.data.record import Example
from vqa.data.sources.staged import picture_file, piece_name
from vqa.errors import DataError, JobError
from vqa.jobs.uploads.shapes import Piece, Sent, UploadRequest
from vqa.jobs.views import Name, View
from vqa.outputs import exchanged
from vqa.training.disk import write_atomic

BLOCK = 4096
"""Every file takes so many bytes of a disk at least, and a multiple of them."""


class Record(View):
    """`upload.json`: whose upload it is, and of what."""

    user: Name
    store: Name
    request: UploadRequest


class Staging:
    """The folder of one upload.

    Args:
        folder: exists.
        record: what `upload.json` says.

    Attributes:
        questions: how many have come.
        pictures: the hashes of those that have.
        bytes: of the pictures.
        taken: of the disk, in bytes; those of files that are being written with them.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record
        self.questions, self.pictures, self.bytes, self.taken = 0, set[str](), 0, 0
        for file in _files(folder / "examples"):
            self.questions = max(self.questions, int(file.stem.partition("-")[2]))
            self.taken += on_disk(file.stat().st_size)
        for file in _files(folder / "pictures"):
            self.pictures.add(file.name)
            self.bytes += file.stat().st_size
            self.taken += on_disk(file.stat().st_size)

    @classmethod
    def open(cls, folder: Path) -> Staging | None:
        """What a folder holds; None where it is the rest of something that was interrupted."""
        try:
            record = Record.model_validate_json((folder / "upload.json").read_bytes())
            return cls(folder, record)
        except (OSError, ValueError, ValidationError):
            return None

    @classmethod
    def begin(cls, folder: Path, record: Record) -> Staging:
        """Make the folder; examples of other content that stand there go, pictures stay: their names say what they
        are."""
        (folder / "pictures").mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(folder / "examples", ignore_errors=True)
        write_atomic(folder / "upload.json", record.model_dump_json(indent=2) + "\n")
        return cls(folder, record)

    @property
    def touched(self) -> float:
        """When something came last; Unix time, 0 where somebody has removed the folder."""
        try:
            return (self.folder / "upload.json").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def add_examples(self, first: int, lines: bytes, count: int) -> None:
        """Keep the next ones. Whole, or not at all."""
        file = self.folder / "examples" / piece_name(first, first + count)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with exchanged(file) as out:
            out.write(lines)
        self.questions = first + count
        self.taken += on_disk(len(lines))
        self._touch()

    def write_picture(self, sha256: str, data: bytes) -> None:
        """Keep a picture. Whole, or not at all; it is counted afterwards.

        Raises:
            FileNotFoundError: the upload was dropped meanwhile.
        """
        file = picture_file(self.folder, sha256)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with exchanged(file, durably=False) as out:  # for a power cut there is `drop_damaged`
            out.write(data)

    def count_picture(self, sha256: str, size: int) -> None:
        """A picture of `size` bytes has been written."""
        if sha256 not in self.pictures:  # else it came twice at once
            self.pictures.add(sha256)
            self.bytes += size
            self.taken += on_disk(size)
        self._touch()

    def drop_damaged(self) -> int:
        """Delete pictures that are not what their names say, as after a power cut; how many those were."""
        files = list(_files(self.folder / "pictures"))
        damaged = [file for file in files if _sha256(file.read_bytes()) != file.name]
        for file in damaged:
            file.unlink()
        return len(damaged)

    def drop_examples(self) -> None:
        """Delete what has come of examples."""
        shutil.rmtree(self.folder / "examples", ignore_errors=True)

    def _touch(self) -> None:
        (self.folder / "upload.json").touch()


def on_disk(size: int) -> int:
    """What a file of `size` bytes takes."""
    return -(-max(size, 1) // BLOCK) * BLOCK


def expected(request: UploadRequest) -> int:
    """What the pictures of an upload will take, as far as can be told: half a block is lost for each."""
    return 0 if request.text_only else request.bytes + request.images * BLOCK // 2


def lines_of(piece: Piece, request: UploadRequest) -> bytes:
    """A piece as it is kept.

    Raises:
        JobError: an example cannot be used, or has no picture; with its place.
    """
    made = []
    for number, sent in enumerate(piece.examples):
        where = f"record {piece.first + number + 1}"
        fields = _usable(sent, where)
        if not request.text_only:
            fields["sha256"] = _picture_of(sent, piece, where)
        made.append(json.dumps(fields) + "\n")
    if len(piece.pictures) > len({sent.image_id for sent in piece.examples}) or (
        piece.pictures and request.text_only
    ):
        raise JobError("names a picture of none of the examples", where="pictures")
    return "".join(made).encode()


def _usable(sent: Sent, where: str) -> dict[str, Any]:
    """Its fields; what `prepare` would refuse, or change, is refused before pictures are sent."""
    fields = sent.model_dump()
    example = Example(**fields)
    try:
        if checked(example) != example:
            raise Refused("its texts are not as `vqa prepare` writes them")
    except Refused as reason:
        fix = "prepare the store again with this version"
        raise JobError(f"cannot be used: {reason}", where=where, fix=fix) from None
    return fields


def _picture_of(sent: Sent, piece: Piece, where: str) -> str:
    if sent.image_id not in piece.pictures:
        raise JobError(f"no picture is named for image {sent.image_id[:100]!r}", where=where)
    return piece.pictures[sent.image_id]


def check_picture(sha256: str, data: bytes) -> None:
    """Decode a picture under the project's limits.

    Raises:
        JobError: it is another one than its name says, or none that can be used.
    """
    if _sha256(data) != sha256:
        fix = "send the file's bytes as they are, under their SHA-256"
        raise JobError("is the hash of other bytes than came", where=sha256, fix=fix)
    try:
        check_image(data)
    except DataError as error:
        raise JobError(error.what, where=sha256, fix=error.fix) from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Finished files below a folder; what was being written when a server died begins with a dot."""
    return (path for path in folder.rglob("[!.]*") if path.is_file())
