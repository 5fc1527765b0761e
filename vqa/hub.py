"""Whether the Hugging Face hub can be asked at all: its client tries for half a minute and tells of every try."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")


def is_reachable() -> bool:
    """Whether there is a way to the hub: it is not switched off, and its address has a host or lies behind a proxy."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies().keys() & {"https", "http", "all"}:
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        return False
    except ValueError:
        return True  # no address at all: the client says so
    return True


def is_elsewhere(name: str) -> bool:
    """Whether `name` can only be meant for the hub: `name` or `owner/name`, and nothing here is called so."""
    return NAME.fullmatch(name) is not None and not Path(name).exists()


def is_local(name: str) -> bool:
    """Whether `name` is to be looked for on this machine alone."""
    return not is_elsewhere(name) or not is_reachable()


def why_not(model: str, error: Exception) -> str:
    """Why a model could not be had, in one clause."""
    if isinstance(error, OSError) and is_elsewhere(model) and not is_reachable():
        return "there is no such folder, and the hub cannot be reached"
    if not is_elsewhere(model) and not Path(model).exists():
        return "there is no such folder"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
