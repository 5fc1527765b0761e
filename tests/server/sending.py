"""A small store as a client sends it, good or bad."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from starlette.testclient import TestClient

from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.jobs.uploads.owned import DOOMED

BYTES = {"Content-Type": "application/octet-stream"}


class Sent:
    """What is sent of a small store: two examples, one picture each."""

    def __init__(self, store: Store) -> None:
        self.pictures = {store.images[row]["image_id"]: store.image_bytes(row) for row in (0, 1)}
        self.hashes = {key: sha256(data) for key, data in self.pictures.items()}
        wanted = [r for r in store.records() if r["image_id"] in self.pictures]
        self.examples = wanted
        self.request = {
            "fingerprint": fingerprint(wanted, self.hashes),
            "source": "scenes",
            "questions": len(wanted),
            "images": 2,
            "bytes": sum(map(len, self.pictures.values())),
        }

    def piece(self, first: int = 0, count: int | None = None, **changes: Any) -> dict[str, Any]:
        examples = self.examples[first:][:count]
        ids = {one["image_id"] for one in examples}
        pictures = {key: value for key, value in self.hashes.items() if key in ids}
        return {"first": first, "examples": examples, "pictures": pictures, **changes}

    def send(self, client: TestClient, name: str = "mine") -> None:
        """All of it, but for the finish."""
        assert client.put(f"/uploads/{name}", json=self.request).status_code == 200
        assert client.post(f"/uploads/{name}/examples", json=self.piece()).status_code == 200
        for key, data in self.pictures.items():
            assert put(client, self.hashes[key], data, name).status_code == 204


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fingerprint(examples: list[dict[str, Any]], hashes: dict[str, str]) -> str:
    """As `prepare` makes it: each picture before its first example."""
    digest, seen = hashlib.sha256(), set()
    for one in examples:
        if one["image_id"] not in seen:
            seen.add(one["image_id"])
            digest.update(json.dumps([one["image_id"], hashes[one["image_id"]]]).encode())
        digest.update(json.dumps(one).encode())
    return digest.hexdigest()


def put(
    client: TestClient,
    name: str,
    data: bytes,
    store: str = "mine",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    sent = {**headers, **BYTES}
    return client.put(f"/uploads/{store}/pictures/{name}", content=data, headers=sent)


def made(client: TestClient, name: str = "mine") -> dict[str, Any]:
    """Finish, and wait for what becomes of it."""
    view = client.post(f"/uploads/{name}/finish").json()
    until = time.monotonic() + 120
    while view["state"] == "making":
        assert time.monotonic() < until
        time.sleep(0.05)
        view = client.get(f"/uploads/{name}").json()
    return dict(view)


def staged(home: Home) -> list[Path]:
    return [path for path in (home.path / "uploads").iterdir() if DOOMED not in path.name]
