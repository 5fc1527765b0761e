"""Bottom-up attention's own files: one picture a line, tab-separated, arrays in base64.

    image_id  image_w  image_h  num_boxes  boxes  features
    img_id  img_h  img_w  objects_id  objects_conf  attrs_id  attrs_conf  num_boxes  boxes  features

The first is what Anderson et al. publish (tools/generate_tsv.py and read_tsv.py of
github.com/peteanderson80/bottom-up-attention), the second what LXMERT reads (src/utils.py, `load_obj_tsv`, of
github.com/airsplay/lxmert). `boxes` are x1, y1, x2, y2 in pixels, both arrays little-endian float32, a region after
another. There is no header. A line of 36 regions of 2,048 values has about 400 kB, so lines are split by hand: Python's
csv stops at 128 kB, and no value here is quoted.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from vqa.data.regions.record import AGAIN, Found, Record
from vqa.errors import DataError

COLUMNS = {
    len(names): names
    for names in (
        ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features"),
        ("image_id", "image_h", "image_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf",
         "num_boxes", "boxes", "features"),
    )
}  # fmt: skip
LONGEST = 64_000_000
"""Bytes of a line."""
MOST_REGIONS = 10_000
MEMBER = re.compile(r".*\.tsv(\.\d+)?")
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
FLOAT = np.dtype("<f4")


def tsv_records(path: Path) -> Iterator[Record]:
    """Every line of a file that is plain, gzipped, or one or more members of a zip archive.

    Raises:
        DataError: it cannot be read, or a line is of another layout.
    """
    with _told(path), path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == ZIP:
            yield from _members(file, path)
        elif start.startswith(GZIP):
            with gzip.open(file) as plain:
                yield from _lines(plain, str(path))
        else:
            yield from _lines(file, str(path))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Put what the disk and the archive say into this program's words."""
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"truncated or damaged archive ({error})", where=str(path), fix="get the file again"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"unreadable ({reason})", where=str(path), fix="give a file that can be read"
        ) from error


def _members(file: IO[bytes], path: Path) -> Iterator[Record]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if MEMBER.fullmatch(name)]
        if not names:
            raise DataError(
                "no member of this archive is a .tsv file", where=str(path), fix="give another one"
            )
        for name in names:
            with archive.open(name) as member:
                yield from _lines(member, f"{path}, {name}")


def _lines(file: IO[bytes] | gzip.GzipFile, where: str) -> Iterator[Record]:
    for number, line in enumerate(iter(partial(file.readline, LONGEST + 1), b""), start=1):
        place = f"{where}, line {number}"
        if len(line) > LONGEST:
            raise DataError(
                f"a line of more than {LONGEST:,} bytes", where=place, fix="is it the right file?"
            )
        if line.strip():
            yield _record(line.rstrip(b"\r\n").split(b"\t"), place)


def _record(values: list[bytes], where: str) -> Record:
    names = COLUMNS.get(len(values))
    if names is None:
        known = " or ".join(map(str, COLUMNS))
        raise DataError(
            f"{len(values)} columns separated by tabs, and {known} were expected",
            where=where,
            fix="is it the right file? if it is the last line, the file was cut off",
        )
    fields = dict(zip(names, values, strict=True))
    image_id = fields["image_id"].decode("utf-8", "backslashreplace")
    return Record(image_id, where, partial(_found, fields, where))


def _found(fields: dict[str, bytes], where: str) -> Found:
    count = _whole(fields, "num_boxes", where)
    if not 1 <= count <= MOST_REGIONS:
        raise DataError(f"num_boxes is {count}", where=where, fix="get the file again")
    boxes, features = (_array(fields, name, count, where) for name in ("boxes", "features"))
    size = _whole(fields, "image_w", where), _whole(fields, "image_h", where)
    return Found(features, boxes, size)


def _whole(fields: dict[str, bytes], name: str, where: str) -> int:
    try:
        return int(fields[name])
    except ValueError:
        shown = fields[name][:40].decode("utf-8", "backslashreplace")
        what = f"{name}: {shown!r} is no whole number"
        raise DataError(what, where=where, fix=AGAIN) from None


def _array(fields: dict[str, bytes], name: str, count: int, where: str) -> np.ndarray:
    """`count` rows of float32."""
    try:
        data = base64.b64decode(fields[name], validate=True)
    except binascii.Error as error:
        raise DataError(
            f"{name}: damaged base64 ({error})", where=where, fix="get the file again"
        ) from None
    if not data or len(data) % (FLOAT.itemsize * count):
        raise DataError(
            f"{name}: {len(data):,} bytes do not divide among {count} regions of float32",
            where=where,
            fix="get the file again",
        )
    return np.frombuffer(data, dtype=FLOAT).reshape(count, -1)
