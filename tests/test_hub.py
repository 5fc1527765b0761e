"""Whether the hub can be asked is known before its client tries for half a minute."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from vqa.data.text import QuestionTokenizer
from vqa.errors import ModelError
from vqa.hub import is_elsewhere, is_reachable, why_not
from vqa.model.image_encoder import Backbone
from vqa.model.question_encoder import Transformers

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


_resolve = socket.getaddrinfo


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A resolver that knows no host, online and without a proxy; the hosts that it was asked for."""
    hosts: list[str] = []

    def unknown(host: str, *args: Any, **kwargs: Any) -> Any:
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example:8443/hub")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return hosts


def test_it_is_asked_where_its_address_has_a_host(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_reachable()
    assert asked == ["mirror.example"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    assert is_reachable()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not is_reachable()


@pytest.mark.parametrize("endpoint", ["https://[abc", "https://a..b"])
def test_an_endpoint_that_is_no_address_is_left_to_the_client(
    endpoint: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(socket, "getaddrinfo", _resolve)
    assert is_reachable()
    assert asked == []


def test_behind_a_proxy_it_is_asked(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert is_reachable()
    assert asked == []


def test_a_name_is_told_from_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert is_elsewhere("bert-base-uncased")
    assert is_elsewhere("owner/name_1.0")
    for local in ("mine", "./mine", "/no/such/folder", "a/b/c", "", "."):
        assert not is_elsewhere(local)


def test_no_network_is_said_in_one_clause(asked: list[str], tmp_path: Path) -> None:
    told = "there is no such folder, and the hub cannot be reached"
    assert why_not("owner/name", OSError("many\nlines")) == told
    assert why_not(str(tmp_path), OSError("no config.json\nmore")) == "no config.json"
    assert why_not(str(tmp_path), OSError()) == "OSError"
    assert (
        why_not("no/such/folder", ValueError("a name has one slash")) == "there is no such folder"
    )
    assert why_not("owner/name", ValueError("an unknown kind")) == "an unknown kind"
    with pytest.raises(ModelError, match=f"no fast tokenizer \\({told}"):
        QuestionTokenizer.pretrained("owner/name")
    with pytest.raises(ModelError, match=f"cannot load this text encoder \\({told}"):
        Transformers(model="owner/name").build(5)
    with pytest.raises(ModelError, match=f"cannot load this backbone \\({told}"):
        Backbone(model="owner/name").build((64, 64))
    assert set(asked) == {"mirror.example"}
