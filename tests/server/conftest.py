"""A server of one's own in this process: a home with a store, tokens of each scope, and clients that hold them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.sending import Sent
from vqa.config import Experiment
from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.server import tokens
from vqa.server.app import create_app
from vqa.server.guard import Guard, Hosts

ADDRESS = "http://127.0.0.1:8000"
API = f"{ADDRESS}/api/v1"
Connect = Callable[..., TestClient]


@pytest.fixture
def home(tmp_path: Path, scenes_store: Path) -> Home:
    """A VQA_HOME with the store `scenes`, and tokens ann (submit), ben (submit), reader, root."""
    home = Home(tmp_path / "home").make()
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    shutil.copytree(scenes_store, home.stores / "scenes")
    return home


@pytest.fixture
def app(home: Home) -> Guard:
    """The application, without its warm-up thread."""
    return create_app(home, Hosts.of(8000), warm=False)


@pytest.fixture
def connect(app: Guard, home: Home) -> Connect:
    """Makes a client with a new token of this name and scope; without a name, one without a token."""

    def make(name: str | None = None, scope: tokens.Scope = "submit") -> TestClient:
        headers = (
            {} if name is None else {"Authorization": f"Bearer {tokens.add(home, name, scope)}"}
        )
        return TestClient(app, base_url=API, headers=headers, raise_server_exceptions=False)

    return make


@pytest.fixture
def ann(connect: Connect) -> TestClient:
    """A client of somebody who may submit."""
    return connect("ann")


@pytest.fixture
def service(home: Home) -> LocalService:
    """The same home, from this machine."""
    return LocalService(home, "ann")


@pytest.fixture
def request_body(experiment: Callable[..., Experiment]) -> Callable[..., dict[str, Any]]:
    """Makes the body of a submission of the tiny experiment."""

    def make(seed: int = 0, **fields: Any) -> dict[str, Any]:
        body = experiment().to_dict()
        body["data"]["store"], body["seed"] = "scenes", seed
        return {"experiment": body, **fields}

    return make


@pytest.fixture
def sent(scenes_store: Path) -> Sent:
    """What a client sends of a small store."""
    return Sent(Store.open(scenes_store))
