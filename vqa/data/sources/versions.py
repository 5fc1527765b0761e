"""Which kin of a published data set its files look like, found in their first 64 kB: what is told beside a store."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqa.data.sources.files import damaged, open_text
from vqa.data.sources.vqa_records import split_name
from vqa.errors import DataError

LOOKED_AT = 1 << 16
TEXTVQA = "0.5.1"
OK_VQA_ANSWERS = 5


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


def vizwiz_kin(file: Path) -> str | None:
    """What a VizWiz file looks like whose pictures are not named as in the published one."""
    found = re.search(r'"image"\s*:\s*"([^"]+)"', head(file))
    if found is None or re.fullmatch(r"VizWiz_\w+_\d{8}\.\w+", found[1]):
        return None
    if re.fullmatch(r"VizWiz_\w+_\d{12}\.\w+", found[1]):
        return "VizWiz of 2018 (numbers of pictures have 12 digits, not 8)"
    return f"VizWiz with other names of pictures ({found[1][:40]})"


def vqa_kin(annotations: Path) -> str | None:
    """What annotations in VQA's format look like; None for VQA's own, and where nothing tells."""
    start = head(annotations)
    named = re.search(r'"description"\s*:\s*"[^"]*OK-?VQA', start, re.IGNORECASE)
    answers = re.search(r'"answers"\s*:\s*\[(.*?)\]', start, re.DOTALL)
    first = answers[1] if answers else ""
    if named or '"raw_answer"' in first or first.count('"answer"') == OK_VQA_ANSWERS:
        return "OK-VQA (questions that need outside knowledge)"
    return None


def check_pair(
    questions: Path, asked: Mapping[str, Any], annotations: Path, said: Mapping[str, Any]
) -> None:
    """Refuse annotations of another version or split than the questions, as far as the heads of both say.

    Raises:
        DataError: they differ.
    """
    ours, theirs = _facts(said), _facts(asked)
    for key in ("version", "data_type", "data_subtype"):
        if key in ours and key in theirs and ours[key] != theirs[key]:
            raise DataError(
                f"{key} {ours[key]}, but {theirs[key]} in {questions}",
                where=str(annotations),
                fix="give questions and annotations of one version and split",
            )


def _facts(content: Mapping[str, Any]) -> dict[str, str]:
    """What the head of a file says: its version's main number, kind of pictures and split."""
    info = content.get("info")
    found = re.match(r"\d+", str(info.get("version", ""))) if isinstance(info, dict) else None
    texts = {key: content.get(key) for key in ("data_type", "data_subtype")}
    facts = {key: split_name(text) for key, text in texts.items() if isinstance(text, str)}
    return facts | ({"version": found[0]} if found else {})
