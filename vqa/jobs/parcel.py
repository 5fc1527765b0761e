"""An exported model on its way to another machine: packed as a tar where it lies, unpacked where it is wanted."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vqa.config import parse_experiment
from vqa.errors import ModelError

MANIFEST, EXPERIMENT = "model.json", "experiment.yaml"
PIECE_BYTES = 1 << 20
MOST_PARTS = 100
PART = r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?"
"""A file of a model, or of a folder in it."""
Fields = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One file of a model: its header in the tar, and a file or bytes that were made for it."""

    header: bytes
    size: int
    content: Path | bytes

    def pieces(self) -> Iterator[bytes]:
        """What stands in the tar."""
        yield self.header
        if isinstance(self.content, bytes):
            yield self.content
        else:
            yield from _pieces(self.content, self.size)
        yield bytes(self.padding)

    @property
    def padding(self) -> int:
        """Bytes up to the end of the last block."""
        return -self.size % tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Parcel:
    """A model as a tar that is made while it is sent."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Of the whole tar, in bytes."""
        sizes = (len(part.header) + part.size + part.padding for part in self.parts)
        return sum(sizes) + len(END)

    def pieces(self) -> Iterator[bytes]:
        """The tar.

        Raises:
            OSError: a file was removed or cut off meanwhile.
        """
        for part in self.parts:
            yield from part.pieces()
        yield END


END = bytes(2 * tarfile.BLOCKSIZE)


def pack(folder: Path, named: Callable[[Fields], Fields]) -> Parcel:
    """A model's folder as a parcel.

    Args:
        named: gives an experiment names in the place of this machine's paths.

    Raises:
        OSError, ValueError, KeyError: there is no model, or a damaged one.
    """
    fields = yaml.safe_load((folder / EXPERIMENT).read_text(encoding="utf-8"))
    experiment = parse_experiment(named(fields)).to_yaml().encode()
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    vouched = manifest["sha256"]
    vouched[EXPERIMENT] = hashlib.sha256(experiment).hexdigest()
    made = {EXPERIMENT: experiment, MANIFEST: json.dumps(manifest, indent=2).encode() + b"\n"}
    files = {name: folder / name for name in vouched if re.fullmatch(PART, name)}
    return Parcel(tuple(_part(name, content) for name, content in (files | made).items()))


def _part(name: str, content: Path | bytes) -> Part:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, time.time()
    return Part(info.tobuf(), size, content)


def _pieces(file: Path, size: int) -> Iterator[bytes]:
    """So many bytes of a file."""
    left = size
    with file.open("rb") as opened:
        while left:
            piece = opened.read(min(left, PIECE_BYTES))
            if not piece:
                raise OSError(f"{file.name} was cut off while it was sent")
            left -= len(piece)
            yield piece


def unpack(parcel: Path, folder: Path) -> None:
    """Write a parcel's files to a new folder, with the modes that new files have here. Whether they are a model,
    `vqa.export.load` says.

    Raises:
        ModelError: it is no tar of plain files with a model's names.
        OSError: it cannot be read or written.
    """
    try:
        with tarfile.open(parcel, "r:") as tar:
            members = tar.getmembers()
            _check(members, parcel.stat().st_size)
            folder.mkdir()
            plain = [member.replace(mode=None) for member in members]  # type: ignore[arg-type]
            tar.extractall(folder, plain, filter="data")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise ModelError(f"what came is no model ({error})", fix="try again") from None


def _check(members: list[tarfile.TarInfo], size: int) -> None:
    """Refuse whatever is no plain file of a model, and more bytes than came."""
    if len(members) > MOST_PARTS or sum(member.size for member in members) > size:
        raise ModelError("what came is no model: it is larger than it can be")
    for member in members:
        plain = member.isreg() and not member.issparse()
        if not plain or not re.fullmatch(PART, member.name):
            raise ModelError(f"what came is no model: it has {member.name[:80]!r}")
