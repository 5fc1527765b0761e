"""What `store.json` says of a store; it is written last, so that a folder with one is a whole store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import xxhash

from vqa.errors import DataError

FORMAT_VERSION = 1
FILE = "store.json"
TEXTS = ("fingerprint", "source", "examples_xxh3")
AGAIN = "copy the store again from where it is whole, or prepare it again"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `store.json` says of a store.

    Attributes:
        examples_xxh3: of the file of examples; "" in stores that older programs made.
    """

    fingerprint: str
    source: str
    splits: dict[str, int]
    images: int
    rejected: int
    text_only: bool = False
    examples_xxh3: str = ""
    format_version: int = FORMAT_VERSION

    def check(self) -> None:
        """Refuse what no program has written.

        Raises:
            ValueError: a field is of another kind.
        """
        for field in dataclasses.fields(self):
            value, kinds = getattr(self, field.name), {"splits": dict, "text_only": bool}
            kind = kinds.get(field.name, str if field.name in TEXTS else int)
            if type(value) is not kind:
                raise ValueError(f"{field.name}: {value!r}")
        if not all(type(count) is int for count in self.splits.values()):
            raise ValueError(f"splits: {self.splits!r}")


def read_manifest(path: Path) -> Manifest:
    """The manifest of the store at `path`.

    Raises:
        DataError: no store stands there, a damaged one, or one of another format version.
    """
    manifest_file = path / FILE
    try:
        fields = json.loads(manifest_file.read_text(encoding="utf-8"))
        manifest = Manifest(**fields)
        if manifest.format_version == FORMAT_VERSION:
            manifest.check()
    except FileNotFoundError:
        raise DataError(
            "no prepared store here",
            where=str(path.absolute()),
            fix="make one with: vqa prepare SOURCE … --to STORE",
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"unreadable manifest ({error})", where=str(manifest_file), fix=AGAIN
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise DataError(
            f"store format {manifest.format_version}, this program reads {FORMAT_VERSION}",
            where=str(path),
            fix="prepare it again",
        )
    return manifest


def digest_of(file: Path) -> str:
    """XXH3 over a file's bytes, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, xxhash.xxh3_64).hexdigest()
