"""Finding the picture of an image in a folder, whatever exact name its download has."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vqa.data.record import ImageInput
from vqa.data.sources.files import Unusable
from vqa.errors import DataError

Finder = Callable[[str, int | None], ImageInput]
"""Gives the picture of a published name, or else of the number of an image."""
MOST_DIGITS = 18
MOST_NAMED = 3
"""Pictures that a message names."""
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
_NUMBERED = re.compile(r"(?:.*_)?(\d+)\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures with their image's number at the end of the name.

    The published name comes first; where it is missing, a picture with the same number does:
    `COCO_train2014_000000000071.jpg`, `000000000071.jpg`, `71.png`. A name without a suffix stands
    for the picture of that name with one.

    Args:
        root: the folder given by the user, which no picture may leave.
        subfolders: searched before `root` itself, where they exist.
    """

    root: Path
    subfolders: tuple[str, ...] = ()

    def find(self, published: str, number: int | None) -> ImageInput:
        """The picture named `published`, else one numbered `number`, else where it should lie."""
        names, numbers = self._listing
        path = names.get(published)
        if path is None and number is not None:
            path = numbers.get(number, [None])[0]
        if path is None and "." not in published:
            path = self._stems.get(published, [None])[0]
        return self._at(path or self.root / published)

    def find_named(self, name: str) -> ImageInput:
        """The picture that a person's table calls `name`: by its whole name, else without its suffix, else by the
        number at the end; else where it should lie. Accents may be written otherwise than on the disk.

        Raises:
            Unusable: several are called so.
        """
        names, numbers = self._listing
        if name in names:
            return self._at(names[name])
        number = number_of(name)
        stems = filter(None, map(self._stems.get, _spellings(name)))
        found = next(stems, [] if number is None else numbers.get(number, []))
        if len(found) > 1:
            called = [path.name for path in found[:MOST_NAMED]] + ["…"] * (len(found) > MOST_NAMED)
            raise Unusable(f"image {name!r} could be {' or '.join(called)}")
        return self._at(found[0] if found else _spelt(self.root, name))

    def _at(self, path: Path) -> ImageInput:
        return ImageInput(path=path, root=self.root)

    @cached_property
    def _listing(self) -> tuple[dict[str, Path], dict[int, list[Path]]]:
        """Pictures by their name, and by the number at its end."""
        names: dict[str, Path] = {}
        numbers: dict[int, list[Path]] = {}
        for folder in (*self._existing_subfolders(), self.root):
            for name in _file_names(folder):
                names.setdefault(name, folder / name)
                match = _NUMBERED.fullmatch(name)
                number = number_of(match[1]) if match else None
                if number is not None:
                    numbers.setdefault(number, []).append(folder / name)
        return names, numbers

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        """Pictures by their name without its suffix."""
        stems: dict[str, list[Path]] = {}
        for path in self._listing[0].values():
            if path.suffix.lower() in _PICTURES:
                stems.setdefault(path.stem, []).append(path)
        return stems

    def _existing_subfolders(self) -> list[Path]:
        folders = (self.root / name for name in self.subfolders)
        return [folder for folder in folders if folder.is_dir()]


def picture_in(root: Path | None, name: str | Path) -> ImageInput:
    """The picture of that name, which may not leave `root`; nothing where there is no folder."""
    return ImageInput() if root is None else ImageInput(path=root / name, root=root)


def finder(root: Path | None, subfolders: tuple[str, ...] = ()) -> Finder:
    """`PictureFolder.find` of a folder; nothing is found where there is none."""
    if root is None:
        return lambda *_: ImageInput()
    return PictureFolder(root, subfolders).find


def number_of(name: str) -> int | None:
    """The number that an image's id is; None for other ids, and for absurdly long numbers."""
    return int(name) if name.isdecimal() and len(name) <= MOST_DIGITS else None


def _spellings(name: str) -> list[str]:
    """The name, and with each accent as one character with its letter, and as one behind it, as macOS writes it."""
    return [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]


def _spelt(root: Path, name: str) -> Path:
    """The file of that name in any spelling."""
    there = (root / one for one in _spellings(name) if os.path.exists(root / one))  # noqa: PTH110  (never raises)
    return next(there, root / name)


def _file_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  (names alone: 80,000 paths would be slow)
    except OSError as error:
        raise DataError(
            f"no readable folder of images ({error.strerror})",
            where=str(folder),
            fix="see --images",
        ) from error
