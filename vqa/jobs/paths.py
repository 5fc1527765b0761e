"""The keys of an experiment that name files, before it leaves the directory in which it was written."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vqa.errors import JobError
from vqa.jobs.record import NAME_PATTERN

KEYS = (
    ("data", "store"),
    ("model", "image_encoder", "weights"),
    ("model", "question_encoder", "vectors"),
    ("model", "question_encoder", "model"),
)
FOLDER_OR_HUB = KEYS[-1]
"""`owner/name` is a model on the hub, and no path, where no such folder stands here."""


def absolute(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment with every relative path that leads somewhere from here made absolute; names stay."""
    fields = copy.deepcopy(dict(experiment))
    for keys, value in _named(fields):
        path = Path(value).expanduser()
        if path.exists() or (keys != FOLDER_OR_HUB and "/" in value):
            _section(fields, keys)[keys[-1]] = str(path.absolute())
    return fields


def refuse_paths(experiment: Mapping[str, Any], server: str) -> None:
    """Let nothing leave this machine that only it can resolve.

    Raises:
        JobError: a value is a path; a server takes names.
    """
    for keys, value in _named(experiment):
        if re.fullmatch(NAME_PATTERN, value):
            continue
        if keys == FOLDER_OR_HUB and not Path(value).expanduser().exists():
            continue
        kind = "store" if keys == KEYS[0] else "file"
        raise JobError(
            f"{value!r} is a path on this machine, and {server} runs the job",
            where=".".join(keys),
            fix=f"give the name of one of the server's {kind}s, as {'.'.join(keys)}=NAME",
        )


def _named(experiment: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every such key with its value."""
    for keys in KEYS:
        value = _section(experiment, keys).get(keys[-1])
        if isinstance(value, str):
            yield keys, value


def _section(experiment: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The section that holds a key; an empty one where it is missing or written as a name."""
    node: Any = experiment
    for key in keys[:-1]:
        node = node.get(key)
        if not isinstance(node, dict):
            return {}
    return node if isinstance(node, dict) else {}
