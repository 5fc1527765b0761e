"""The service that commands talk to: this machine's own, or the one that `VQA_SERVER` names."""

from __future__ import annotations

import os
from pathlib import Path

from vqa.jobs.home import Home
from vqa.jobs.service import Service

SERVER_VARIABLE, TOKEN_VARIABLE = "VQA_SERVER", "VQA_TOKEN_FILE"


def server() -> str | None:
    """What `VQA_SERVER` says; None where jobs run here."""
    return os.environ.get(SERVER_VARIABLE) or None


def connect() -> Service:
    """The service that the environment names.

    Raises:
        VQAError: `VQA_SERVER` is no address, or its token file is missing or open to others.
    """
    address = server()
    if address is None:
        from vqa.jobs.own_service import OwnService

        return OwnService(Home.here())
    from vqa.jobs.remote import RemoteService, read_token

    named = os.environ.get(TOKEN_VARIABLE)
    file = Path(named).expanduser() if named else Home.here().path / "token"
    return RemoteService(address, read_token(file))
