"""What a file of rows holds (see `rows`), and its manifest. Loads nothing heavy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vqa.outputs import exchanged

if TYPE_CHECKING:
    import torch

FORMAT_VERSION = 1
MANIFEST, INDEX = "manifest.json", "index.bin"
Kind = Literal["features", "pictures", "regions"]
TYPES = {"float16": 2, "bfloat16": 2, "uint8": 1}
"""Bytes of a value of each type."""


@dataclass(frozen=True)
class Layout:
    """What stands in a file of rows, and what it was made from.

    Attributes:
        shape: of one row.
        dtype: `float16`, `bfloat16` or `uint8`.
        made_from: everything that decides the content, in plain types.
    """

    kind: Kind
    rows: int
    shape: tuple[int, ...]
    dtype: str
    made_from: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of it."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.kind}-{self.fingerprint[:12]}"

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return prod(self.shape) * TYPES[self.dtype]

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of its values."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self) | {"shape": list(self.shape), "format_version": FORMAT_VERSION}


def read_manifest(folder: Path) -> Layout:
    """What a file of rows says of itself.

    Raises:
        ValueError: nothing that can be understood.
        OSError: it cannot be read.
    """
    fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    try:
        if fields.pop("format_version") != FORMAT_VERSION:
            raise ValueError("another format version")
        layout = Layout(**fields | {"shape": tuple(fields["shape"])})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a manifest ({error})") from error
    if layout.dtype not in TYPES:
        raise ValueError(f"no type {layout.dtype!r}")
    if not all(isinstance(size, int) and size > 0 for size in (layout.rows, *layout.shape)):
        raise ValueError("sizes are whole numbers above 0")
    return layout


def described(folder: Path) -> str:
    """One line about a file of rows, for people."""
    try:
        layout = read_manifest(folder)
        index = np.fromfile(folder / INDEX, dtype="<u8")
    except (OSError, ValueError) as error:
        return f"unreadable ({error})"
    shape = "×".join(map(str, layout.shape))
    encoder, source = layout.made_from.get("encoder"), layout.made_from.get("source", "")
    if encoder:
        source = " ".join(str(encoder[key]) for key in ("name", "model") if key in encoder)
    made = np.count_nonzero(index)
    return f"{source + ': ' if source else ''}{made:,} of {layout.rows:,} rows of {shape} {layout.dtype}"


def fault_of(folder: Path, layout: Layout) -> str | None:
    """What is wrong with a manifest that stands there; None where there is none yet, or a right one.

    Raises:
        OSError: it cannot be read now, which says nothing of the rows.
    """
    try:
        found = read_manifest(folder)
    except FileNotFoundError:
        return None
    except ValueError as error:
        return f"unreadable manifest ({error})"
    same = found.fingerprint == layout.fingerprint
    return None if same else "holds rows that were made from something else"


def write_manifest(folder: Path, layout: Layout) -> None:
    """Say what a file of rows holds, where that has not been said."""
    if (folder / MANIFEST).exists():
        return
    with exchanged(folder / MANIFEST) as file:
        file.write(json.dumps(layout.to_json(), indent=2).encode() + b"\n")
