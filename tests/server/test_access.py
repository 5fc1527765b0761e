"""Who gets in: tokens, scopes, owners, hosts, origins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.server.conftest import API, Connect
from vqa.jobs.home import Home
from vqa.server import tokens
from vqa.server.guard import Guard, Hosts

Body = Callable[..., dict[str, Any]]
ROUTES = [
    ("GET", "/jobs"),
    ("POST", "/jobs"),
    ("POST", "/jobs/batch"),
    ("GET", "/jobs/0123abcd"),
    ("POST", "/jobs/0123abcd/cancel"),
    ("POST", "/jobs/0123abcd/resume"),
    ("GET", "/jobs/0123abcd/result"),
    ("GET", "/jobs/0123abcd/logs/rank0.log"),
    ("GET", "/jobs/0123abcd/logs/rank0.log/stream"),
    ("GET", "/jobs/0123abcd/predictions"),
    ("GET", "/jobs/0123abcd/logs/rank0.log/file"),
    ("GET", "/jobs/0123abcd/curves"),
    ("GET", "/jobs/0123abcd/model"),
    ("GET", "/jobs/0123abcd/predictions/val"),
    ("GET", "/jobs/0123abcd/predictions/val/items"),
    ("GET", "/jobs/0123abcd/predictions/val/item?question=1"),
    ("GET", "/jobs/0123abcd/predictions/val/picture?question=1"),
    ("GET", "/jobs/0123abcd/predictions/val/attention?question=1"),
    ("GET", "/jobs/0123abcd/predictions/val/words?question=1"),
    ("GET", "/groups"),
    ("GET", "/scores"),
    ("GET", "/groups/fusion/study"),
    ("GET", "/groups/fusion/data"),
    ("POST", "/groups/fusion/cancel"),
    ("POST", "/groups/fusion/retry"),
    ("GET", "/stores"),
    ("GET", "/stores/scenes"),
    ("GET", "/stores/scenes/examples"),
    ("GET", "/stores/scenes/example"),
    ("GET", "/stores/scenes/picture"),
    ("DELETE", "/stores/scenes"),
    ("PUT", "/uploads/scenes"),
    ("GET", "/uploads/scenes"),
    ("DELETE", "/uploads/scenes"),
    ("POST", "/uploads/scenes/examples"),
    ("POST", "/uploads/scenes/missing"),
    ("PUT", f"/uploads/scenes/pictures/{'0' * 64}"),
    ("POST", "/uploads/scenes/finish"),
    ("POST", "/ask"),
    ("GET", "/me"),
    ("POST", "/logout"),
    ("GET", "/openapi.json"),
    ("GET", "/nothing"),
    ("PUT", "/jobs"),
]


def is_problem(response: Any, status: int, kind: str | None = None) -> bool:
    body = response.json()
    assert (response.status_code, body["status"]) == (status, status), body
    assert response.headers["content-type"] == "application/problem+json"
    assert kind is None or body["kind"] == kind
    assert "Traceback" not in response.text
    return True


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_open_without_a_token(method: str, path: str, connect: Connect) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer vqa_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "vqa_token=vqa_wrong"},
    ):
        response = connect().request(method, path, headers=headers, json={})
        assert is_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


def test_every_route_is_in_that_list(app: Guard) -> None:
    described = app.app.openapi()["paths"]  # type: ignore[attr-defined]
    names = {
        "0123abcd": "{job}",
        "rank0.log": "{name}",
        "val": "{split}",
        "scenes": "{store}",
        "fusion": "{group}",
        "0" * 64: "{sha256}",
    }
    known = {"/health", "/login"}
    for _, path in ROUTES:
        parts = path.partition("?")[0].split("/")
        known.add("/".join(names.get(part, part) for part in parts))
    assert {path.removeprefix("/api/v1") for path in described} <= known


def test_health_says_nothing_to_anybody(connect: Connect) -> None:
    response = connect().get("/health")
    assert (response.status_code, response.content) == (204, b"")
    assert "server" not in response.headers


def test_a_token_in_an_address_is_refused(connect: Connect, home: Home) -> None:
    text = tokens.add(home, "ann", "admin")
    for name in ("token", "access_token", "TOKEN", "vqa_token", "authorization"):
        assert is_problem(connect().get("/jobs", params={name: text}), 400)
        assert is_problem(connect("b" + name).get("/jobs", params={name: "x"}), 400)


def test_a_revoked_token_is_refused_at_once(ann: TestClient, home: Home) -> None:
    assert ann.get("/me").json()["name"] == "ann"
    tokens.revoke(home, "ann")
    assert is_problem(ann.get("/me"), 401)


def test_two_tokens_at_once_are_none(ann: TestClient, home: Home) -> None:
    other = tokens.add(home, "ben", "read")
    headers = [
        ("Authorization", ann.headers["Authorization"]),
        ("Authorization", f"Bearer {other}"),
    ]
    del ann.headers["Authorization"]
    assert is_problem(ann.get("/me", headers=headers), 401)


def test_scopes(connect: Connect, request_body: Body) -> None:
    ann, ben = connect("ann"), connect("ben")
    reader, root = connect("reader", "read"), connect("root", "admin")
    assert is_problem(reader.post("/jobs", json=request_body()), 403, "forbidden")
    assert is_problem(reader.post("/jobs/batch", json={"jobs": [request_body()]}), 403)
    job = ann.post("/jobs", json=request_body()).json()["id"]
    assert reader.get(f"/jobs/{job}").json()["job"]["user"] == "ann"
    for action in ("cancel", "resume"):
        assert is_problem(reader.post(f"/jobs/{job}/{action}"), 403)
        assert is_problem(ben.post(f"/jobs/{job}/{action}"), 403)
    assert ben.get(f"/jobs/{job}").status_code == 200
    assert ann.post(f"/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert root.post(f"/jobs/{job}/resume").json()["state"] == "queued"
    assert root.get(f"/jobs/{job}").json()["job"]["user"] == "ann"
    assert root.post(f"/jobs/{job}/cancel").json()["state"] == "cancelled"


def test_the_cookie(connect: Connect, home: Home, request_body: Body) -> None:
    text, client = tokens.add(home, "ann", "submit"), connect()
    wrong = client.post("/login", json={"token": "vqa_wrong"})
    assert is_problem(wrong, 401)
    assert wrong.json()["fix"] == "`vqa token add NAME` on the server's machine makes one"
    response = client.post("/login", json={"token": text})
    assert response.status_code == 204
    attributes = {part.strip().lower() for part in response.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert client.get("/me").json()["name"] == "ann"
    same = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/jobs", json=request_body(), headers=same).status_code == 201
    assert is_problem(client.get("/me", headers={"Authorization": "Bearer vqa_wrong"}), 401)
    tokens.revoke(home, "ann")
    assert is_problem(client.get("/me"), 401)


def test_a_damaged_token_file_lets_nobody_in_and_tells_nothing(ann: TestClient, home: Home) -> None:
    (home.path / "tokens.json").write_text("{")
    for response in (ann.get("/jobs"), ann.post("/login", json={"token": "vqa_x"})):
        assert is_problem(response, 500)
        assert str(home.path) not in response.text


def test_logging_out_drops_the_cookie(connect: Connect, home: Home) -> None:
    client = connect()
    client.post("/login", json={"token": tokens.add(home, "ann", "read")})
    assert client.post("/logout").status_code == 204
    assert is_problem(client.get("/me"), 401)


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Origin": "http://evil.example#127.0.0.1:8000"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_sites_page_can_do_nothing(
    headers: dict[str, str], ann: TestClient, connect: Connect, home: Home, request_body: Body
) -> None:
    assert is_problem(ann.post("/jobs", json=request_body(), headers=headers), 403)
    assert ann.get("/jobs").json()["jobs"] == []
    client, text = connect(), tokens.add(home, "ben", "admin")
    assert is_problem(client.post("/login", json={"token": text}, headers=headers), 403)
    client.post("/login", json={"token": text})
    assert is_problem(client.get("/jobs", headers=headers), 403)


def test_a_cross_site_read_with_a_token_is_given_no_leave(ann: TestClient) -> None:
    response = ann.get("/jobs", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    response = ann.options("/jobs", headers=preflight)
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


BAD_HOSTS = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1:8001",
    "127.0.0.1",
    "localhost.evil.example:8000",
    "127.0.0.1:8000@evil.example",
    "127.0.0.1:08000x",
    "[::1]",
    "",
    "127.0.0.1.:8000",
]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_of_another_name_is_refused_even_for_health(host: str, connect: Connect) -> None:
    assert is_problem(connect().get("/health", headers={"Host": host}), 421)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "LocalHost:8000", "[::1]:8000"]
)
def test_the_names_of_this_machine(host: str, connect: Connect) -> None:
    assert connect().get("/health", headers={"Host": host}).status_code == 204


def test_two_hosts_are_none(connect: Connect) -> None:
    headers = [("Host", "127.0.0.1:8000"), ("Host", "evil.example")]
    assert is_problem(connect().get("/health", headers=headers), 421)


def test_allowed_names() -> None:
    hosts = Hosts.of(8000, ["Vqa.example", "other.example:443"])
    assert hosts.admits("vqa.example")
    assert hosts.admits("VQA.EXAMPLE:8443")
    assert hosts.admits("other.example:443")
    assert not hosts.admits("other.example")
    assert not hosts.admits("xvqa.example")
    assert Hosts.of(80).admits("localhost")


def test_headers_that_bind_browsers(ann: TestClient) -> None:
    for path in ("/jobs", "/nothing", "/health"):
        headers = ann.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    assert API


def test_no_other_channel_is_opened(ann: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        ann.websocket_connect("ws://127.0.0.1:8000/api/v1/jobs"),
    ):
        pass
    assert refused.value.code == 1008
