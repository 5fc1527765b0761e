"""Which picture of a store a record of regions is of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vqa.data.sources.pictures import number_of
from vqa.data.store import Store

SUFFIX = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)
COCO = re.compile(r"COCO_\w+_(\d{12})")
AMBIGUOUS = -1
SKEW = 0.05
"""By how much the shapes of two pictures may differ that are taken to be the same one."""


class Pictures:
    """The pictures of a store by their ids.

    An id counts as it stands; else without a picture's ending; else a COCO file's name counts as the number at its
    end, and a number without its leading zeros. What would be more than one picture is none.

    Args:
        store: whose.
    """

    def __init__(self, store: Store) -> None:
        ids = store.image_table.column("image_id").to_pylist()
        self._exact = {name: row for row, name in enumerate(ids)}
        self._loose: dict[str, int] = {}
        for row, name in enumerate(ids):
            for form in _forms(name):
                self._loose[form] = AMBIGUOUS if self._loose.get(form, row) != row else row
        self._sizes = None
        if not store.manifest.text_only:
            table = store.image_table
            self._sizes = [table.column(name).to_numpy() for name in ("width", "height")]

    def row(self, image_id: str) -> int | None:
        """The row of a picture in the store's images; None where it is not there."""
        if image_id in self._exact:
            return self._exact[image_id]
        found = (self._loose.get(form, AMBIGUOUS) for form in _forms(image_id))
        return next((row for row in found if row != AMBIGUOUS), None)

    def another_shape(self, row: int, size: tuple[int, int] | None) -> str | None:
        """How the picture at `row` differs in shape from one of this width and height; None where it does not."""
        if self._sizes is None or size is None or min(size) <= 0:
            return None
        width, height = (int(side[row]) for side in self._sizes)
        ratio = (size[0] / size[1]) / (width / height)
        if 1 / (1 + SKEW) <= ratio <= 1 + SKEW:
            return None
        return f"of a picture of {size[0]}×{size[1]}, and the store's has {width}×{height}"


def _forms(name: str) -> Iterator[str]:
    """What else an id may be written as."""
    stem = SUFFIX.sub("", name)
    yield stem
    match = COCO.fullmatch(stem)
    number = number_of(match[1] if match else stem)
    if number is not None:
        yield str(number)
