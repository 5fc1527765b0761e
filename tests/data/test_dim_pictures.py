"""Pictures whose 16 bits a pixel hold less are told when a store is made of them: they are seen nearly black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqa.data.prepare import prepare


@pytest.mark.parametrize(
    ("greatest", "kind", "told"),
    [
        (4095, np.uint16, True),
        (300, np.uint16, True),
        (4400, np.uint16, False),
        (0, np.uint16, False),
        (15, np.uint8, False),
    ],
)
def test_pictures_of_12_bits_in_16_are_told(
    tmp_path: Path, make: Any, rows_of: Any, greatest: int, kind: type[np.generic], told: bool
) -> None:
    said: list[str] = []
    for suffix in ("png", "tif"):
        Image.fromarray(np.full((4, 4), greatest, kind)).save(tmp_path / f"a.{suffix}")
    rows = [
        make.row(tmp_path / f"a.{suffix}", image_id=suffix, question_id=f"{suffix}{k}")
        for suffix in ("png", "tif")
        for k in range(2)
    ]
    prepare(rows_of(rows), tmp_path / "store", told=said.append)
    start = (
        "pictures of 16 bits a pixel that use the lower 12 alone: 2 (the first is 'png'); they are"
    )
    assert [text.startswith(start) for text in said] == [True] * told
