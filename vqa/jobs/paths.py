"""What must not leave this machine in an experiment that another one runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqa.errors import JobError
from vqa.jobs.library import BACKBONE, FILES, STORE, TEXT_ENCODER, value_at
from vqa.names import NAME_PATTERN


def refuse_paths(experiment: Mapping[str, Any], server: str) -> None:
    """Say here and now that a path leads nowhere on a server.

    Raises:
        JobError: a value is a path; a server takes names.
    """
    for keys in (STORE, *FILES):
        value = value_at(experiment, keys)
        if isinstance(value, str) and _is_path(value, keys):
            key, kind = ".".join(keys), "stores" if keys == STORE else "files"
            raise JobError(
                f"{value!r} is a path on this machine, and {server} runs the job",
                where=key,
                fix=f"give the name of one of the server's {kind}, as {key}=NAME",
            )


def _is_path(value: str, keys: tuple[str, ...]) -> bool:
    """`owner/name` may be an encoder on the hub: the server has its say."""
    if re.fullmatch(NAME_PATTERN, value):
        return False
    return keys not in (TEXT_ENCODER, BACKBONE) or Path(value).expanduser().exists()
