"""Which kin of a published data set its files look like, found in their first 64 kB: what is told beside a store."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from vqa.data.sources.files import damaged, open_text

LOOKED_AT = 1 << 16
TEXTVQA = "0.5.1"


def head(file: Path) -> str:
    """The beginning of a text file, gzipped or not.

    Raises:
        DataError: not there, or damaged.
    """
    try:
        with open_text(file) as opened:
            return opened.read(LOOKED_AT)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise damaged(file, error) from error


def clevr_kin(file: Path) -> str | None:
    """What a file of CLEVR's layout looks like; None for CLEVR itself and its test split."""
    start = head(file)
    if re.search(r'"image_filename"\s*:\s*"superCLEVR', start):
        return "Super-CLEVR (vehicles)"
    if '"answer"' in start and '"program"' not in start:
        return "CLEVR-Humans (questions of people, without programs)"
    return None


def textvqa_kin(file: Path) -> str | None:
    """What a TextVQA file of another version than the published numbers looks like."""
    found = re.search(r'"dataset_version"\s*:\s*"?([^",}\s]+)', head(file))
    if found is None or found[1] == TEXTVQA:
        return None
    return f"TextVQA {found[1]} (the published numbers are of {TEXTVQA})"
