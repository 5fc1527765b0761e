"""Bodies and paths of people who mean harm."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from starlette.testclient import TestClient

from tests.server.test_access import is_problem
from vqa.jobs.home import Home
from vqa.server.app import create_app
from vqa.server.guard import BODY_BYTES, INLINE_BYTES, Guard, Hosts
from vqa.server.strict_json import check_json

Body = Callable[..., dict[str, Any]]
JSON = {"Content-Type": "application/json"}
TRAVERSAL = [
    "..",
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "..%5c..%5cetc",
    "..\\..\\etc",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "%00",
    "rank0.log%00",
    "....//....//etc",
    "..;/etc",
    "%c0%ae%c0%ae/etc",
    "file:%2f%2f%2fetc%2fpasswd",
    "~root",
    "rank0.log/../../experiment.yaml",
    "secret",
    "..%2fsecret",
    "%EF%BC%8E%EF%BC%8E%2fsecret",
    "a" * 5000,
]


@pytest.fixture
def job(ann: TestClient, request_body: Body, home: Home) -> str:
    """A job whose run directory holds something that is nobody's business."""
    job: str = ann.post("/jobs", json=request_body()).json()["id"]
    run_dir = home.run_dir(job)
    for folder in ("logs", "predictions"):
        (run_dir / folder).mkdir(parents=True)
    (run_dir / "secret").write_text("CANARY")
    (run_dir / "logs" / "rank0.log").write_text("fine\n")
    (run_dir / "logs" / "link.log").symlink_to(run_dir / "secret")
    (run_dir / "predictions" / "val.jsonl").write_text('{"question_id": "1"}\n')
    (run_dir / "predictions" / "link.jsonl").symlink_to(run_dir / "secret")
    return job


def raw(app: Guard, token: str, method: str, path: str) -> tuple[int, str]:
    """What an answer to a path is that no client has tidied up before: its status and text."""
    sent: list[Any] = []

    async def main() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1:8000"), (b"authorization", token.encode())]
        scope = {"type": "http", "method": method, "headers": headers, "query_string": b""}
        scope |= {
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
        }
        await app(scope, receive, send)

    anyio.run(main)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]).decode()


@pytest.mark.parametrize("name", [*TRAVERSAL, "link.log", "link", "val.jsonl"])
def test_no_path_leads_out_of_its_folder(name: str, job: str, ann: TestClient, app: Guard) -> None:
    for method, path in (
        ("GET", f"/jobs/{name}"),
        ("POST", f"/jobs/{name}/cancel"),
        ("GET", f"/jobs/{name}/result"),
        ("GET", f"/jobs/{name}/logs/rank0.log"),
        ("GET", f"/jobs/{job}/logs/{name}"),
        ("GET", f"/jobs/{job}/logs/{name}/stream"),
        ("GET", f"/jobs/{job}/predictions/{name}"),
    ):
        status, text = raw(app, ann.headers["Authorization"], method, f"/api/v1{path}")
        assert status in (404, 405, 422), path
        assert json.loads(text)["status"] == status
        assert "CANARY" not in text
        assert "root:" not in text


@pytest.mark.parametrize("store", [*TRAVERSAL, "/work", "scenes\x00"])
def test_a_store_is_a_name(store: str, ann: TestClient, request_body: Body) -> None:
    body = request_body()
    body["experiment"]["data"]["store"] = store
    assert is_problem(ann.post("/jobs", json=body), 422, "invalid")
    assert ann.get("/jobs").json()["counts"] == {}


@pytest.mark.parametrize(
    "reference",
    [
        "http://evil.example/w.pth",
        "https://evil.example/w",
        "file:///etc/passwd",
        "s3://bucket/w",
        "x.zip",
        "x.pkl",
    ],
)
def test_no_address_and_no_archive_is_fetched(
    reference: str, ann: TestClient, request_body: Body
) -> None:
    for brick in (
        {"image_encoder": {"name": "torchvision", "weights": reference}},
        {"question_encoder": {"name": "lstm", "vectors": reference}},
        {"question_encoder": {"name": "transformers", "model": reference}},
        {"head": {"name": "chooser", "encoder": {"name": "gru", "vectors": reference}}},
    ):
        body = request_body()
        body["experiment"]["model"] |= brick
        assert is_problem(ann.post("/jobs", json=body), 422, "invalid")


MALFORMED = {
    "nothing": b"",
    "cut": b'{"experiment": {"data": ',
    "NaN": b'{"experiment": {"optimizer": {"lr": NaN}}}',
    "Infinity": b'{"experiment": {"optimizer": {"lr": -Infinity}}}',
    "twice": b'{"experiment": {}, "experiment": {"data": {"store": "scenes"}}}',
    "twice within": b'{"experiment": {"data": {"store": "scenes", "store": "../x"}}}',
    "deep arrays": b'{"experiment": {"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "deep objects": b'{"experiment": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "endless number": b'{"priority": ' + b"9" * 10_000 + b', "experiment": {}}',
    "lone surrogate": b'{"experiment": {"\\ud800": 1}}',
    "lone surrogate value": b'{"experiment": {"tracking": {"project": "\\udfff"}}}',
    "latin-1": '{"experiment": {"é": 1}}'.encode("latin-1"),
    "utf-16": '{"experiment": {}}'.encode("utf-16"),
    "byte-order mark": b'\xef\xbb\xbf{"experiment": {}}',
    "comment": b'{"experiment": {} /* hello */}',
    "array": b"[]",
    "text": b'"experiment"',
    "null": b"null",
    "yaml": b"experiment: {}",
}


def test_a_large_body_is_plain_json_too(ann: TestClient) -> None:
    twice = b'{"experiment": {}, "name": "%s", "experiment": {}}' % (b"x" * INLINE_BYTES)
    refused = ann.post("/jobs", content=twice, headers=JSON)
    assert is_problem(refused, 400, "malformed")
    assert "no plain JSON" in refused.json()["detail"]


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies(name: str, ann: TestClient) -> None:
    for path in ("/jobs", "/jobs/batch"):
        response = ann.post(path, content=MALFORMED[name], headers=JSON)
        assert is_problem(response, response.status_code)
        assert response.status_code in (400, 422)
    assert ann.get("/jobs").json()["counts"] == {}


def test_strict_json_takes_plain_json() -> None:
    check_json(json.dumps({"a": [1, 2.5, None, True, "é🙂\x00"], "b": {"a": {}}}).encode())


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_other_forms_of_body_are_refused(kind: str, ann: TestClient, request_body: Body) -> None:
    content = json.dumps(request_body()).encode()
    assert is_problem(ann.post("/jobs", content=content, headers={"Content-Type": kind}), 415)


def test_bodies_that_are_too_large(ann: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    large = ann.post("/jobs", content=b" " * (BODY_BYTES + 1), headers=JSON)
    assert is_problem(large, 413, "too-large")
    assert is_problem(ann.post("/jobs", content=parts(), headers=JSON), 413, "too-large")
    lying = {**JSON, "Content-Length": "99999999999999999999"}
    assert is_problem(ann.post("/jobs", content=b"{}", headers=lying), 413)
    assert is_problem(ann.post("/jobs/batch", json={"jobs": [{"experiment": {}}] * 501}), 422)


def test_a_body_that_does_not_come(home: Home, ann: TestClient) -> None:
    app = create_app(home, Hosts.of(8000), warm=False)
    guard = Guard(app.app, Hosts.of(8000), app._tokens, body_seconds=0.05)
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
        headers.append((b"authorization", ann.headers["Authorization"].encode()))
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/jobs",
            "query_string": b"",
            "headers": headers,
        }
        await guard(scope, anyio.sleep_forever, send)

    anyio.run(main)
    assert sent[0]["status"] == 408


SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "'; DROP TABLE jobs; --",
    "{{7*7}}${7*7}",
    "!!python/object/apply:os.system ['touch CANARY']",
    "$(touch CANARY)`touch CANARY`",
    "\u202egnp.exe\u0000\u001b[31m",
    "__import__('os').system('touch CANARY')",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_strings_are_kept_as_they_are_and_given_back_as_data(
    text: str, ann: TestClient, request_body: Body, home: Home, tmp_path: Path
) -> None:
    body = request_body(key=text)
    body["experiment"]["tracking"] = {"project": text, "tags": [text], "group": text}
    response = ann.post("/jobs", json=body)
    assert response.status_code == 201
    shown = ann.get(f"/jobs/{response.json()['id']}")
    tracking = shown.json()["experiment"]["tracking"]
    assert (tracking["project"], tracking["tags"], tracking["group"]) == (text, [text], text)
    assert shown.headers["content-type"] == "application/json"
    assert shown.headers["x-content-type-options"] == "nosniff"
    with sqlite3.connect(home.queue_file) as database:
        assert database.execute("SELECT COUNT(*) FROM jobs").fetchone() == (1,)
    database.close()
    assert not list(tmp_path.rglob("CANARY"))
    assert not Path("CANARY").exists()


@pytest.mark.parametrize("text", SCRIPTS)
def test_names_and_groups_are_words(text: str, ann: TestClient, request_body: Body) -> None:
    for field in ("name", "group"):
        assert is_problem(ann.post("/jobs", json=request_body(**{field: text})), 422)
    for field in ("group", "user", "prefix", "engine"):
        assert is_problem(ann.get("/jobs", params={field: text}), 422)


def test_an_experiment_that_would_be_code_in_yaml_stays_text(
    ann: TestClient, request_body: Body, home: Home
) -> None:
    """What the dispatcher will write into the run directory, read as YAML: the same plain text."""
    from vqa.config import parse_experiment
    from vqa.yaml_file import read_yaml

    evil = "!!python/object/apply:pathlib.Path.touch [CANARY]\n- !!python/name:os.system"
    body = request_body()
    body["experiment"]["tracking"] = {"project": evil}
    job = ann.post("/jobs", json=body).json()["id"]
    file = home.path / "experiment.yaml"
    with sqlite3.connect(home.queue_file) as database:
        (stored,) = database.execute("SELECT experiment FROM jobs WHERE id = ?", (job,)).fetchone()
    database.close()
    file.write_text(parse_experiment(json.loads(stored)).to_yaml())
    assert read_yaml(file)["tracking"]["project"] == evil


def test_a_weight_file_that_is_a_program_is_never_run(
    ann: TestClient, request_body: Body, home: Home, tmp_path: Path
) -> None:
    """A pickle in weights/ passes the check, which reads no weights, and is refused by what trains."""
    import pickle

    from vqa.errors import ModelError
    from vqa.model.weights import read_state_dict

    canary = tmp_path / "canary"

    class Program:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    (home.weights / "evil.pth").write_bytes(pickle.dumps(Program()))
    body = request_body()
    body["experiment"]["model"]["image_encoder"] = {"name": "torchvision", "weights": "evil.pth"}
    body["experiment"]["data"]["image_size"] = 64
    assert ann.post("/jobs", json=body).status_code == 201
    with pytest.raises(ModelError):
        read_state_dict(home.weights / "evil.pth")
    assert not canary.exists()


def test_a_failure_within_tells_nothing(ann: TestClient, home: Home) -> None:
    home.queue_file.unlink()
    for suffix in ("-wal", "-shm"):
        Path(f"{home.queue_file}{suffix}").unlink(missing_ok=True)
    home.queue_file.write_bytes(b"no database at all" * 100)
    response = ann.get("/jobs")
    assert response.status_code >= 400
    assert is_problem(response, response.status_code)
    assert str(home.path) not in response.json()["detail"]
