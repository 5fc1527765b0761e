"""`RemoteService`: what goes over the wire, what comes back, and what happens when it does not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from vqa.errors import EngineError, JobError, VQAError
from vqa.jobs.record import Filter, Resources, State
from vqa.jobs.remote import RemoteService, check_address, read_token
from vqa.jobs.views import Chunk, JobPage, JobView, SubmitRequest

ADDRESS = "http://127.0.0.1:8000"
EXPERIMENT = {"data": {"store": "scenes"}}
Answer = Callable[[httpx.Request], httpx.Response]


def view(**changes: Any) -> JobView:
    fields: dict[str, Any] = {
        "id": "0123abcd",
        "seq": 1,
        "name": "multiply",
        "user": "ann",
        "group": None,
        "engine": "local",
        "priority": 0,
        "state": "queued",
        "reason": "",
        "attempt": 0,
        "restarts": 0,
        "max_restarts": 3,
        "cancel_requested": False,
        "resources": Resources(),
        "submitted": 1.0,
        "started": None,
        "ended": None,
        "progress": None,
    }
    return JobView(**{**fields, **changes})


def good(body: Any) -> httpx.Response:
    return httpx.Response(200, json=json.loads(body.model_dump_json()))


class Server:
    """Answers from a list, or raises what stands there; remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.requests = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def remote() -> Any:
    made = []

    def make(*answers: httpx.Response | Exception, delays: tuple[float, ...] = (0, 0)) -> Any:
        server = Server(*answers)
        transport = httpx.MockTransport(server)
        service = RemoteService(ADDRESS, "secret", delays=delays, transport=transport)
        made.append(service)
        return service, server

    yield make
    for service in made:
        service.close()


def test_a_submission_always_carries_a_key_and_the_token_stands_in_a_header(remote: Any) -> None:
    service, server = remote(good(view()), good(view()))
    service.submit(SubmitRequest(experiment=EXPERIMENT))
    service.submit(SubmitRequest(experiment=EXPERIMENT))
    keys = {json.loads(request.content)["key"] for request in server.requests}
    assert len(keys) == 2
    assert all(len(key) > 20 for key in keys)
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert "secret" not in str(server.requests[0].url)


def test_a_lost_answer_is_asked_for_again_under_the_same_key(remote: Any) -> None:
    service, server = remote(httpx.ReadTimeout("slow"), httpx.Response(503), good(view()))
    assert service.submit(SubmitRequest(experiment=EXPERIMENT, key="mine")).id == "0123abcd"
    assert {json.loads(request.content)["key"] for request in server.requests} == {"mine"}
    assert len(server.requests) == 3


def test_resuming_is_not_repeated_where_it_may_have_happened(remote: Any) -> None:
    service, server = remote(httpx.ReadTimeout("slow"), good(view()))
    with pytest.raises(EngineError, match="cannot be reached"):
        service.resume("0123abcd")
    assert len(server.requests) == 1


def test_resuming_is_repeated_where_the_server_was_never_reached(remote: Any) -> None:
    service, server = remote(httpx.ConnectError("refused"), good(view()))
    assert service.resume("0123abcd").id == "0123abcd"
    assert len(server.requests) == 2


def test_a_server_that_stays_away_is_named(remote: Any) -> None:
    service, server = remote(*[httpx.ConnectError("Connection refused")] * 3)
    with pytest.raises(
        EngineError, match=r"VQA_SERVER=http://127\.0\.0\.1:8000.*refused.*vqa serve"
    ):
        service.jobs(Filter())
    assert len(server.requests) == 3


def test_a_problem_becomes_the_error_that_the_server_had(remote: Any) -> None:
    problem = {"title": "Conflict", "detail": "is running", "where": "0123abcd", "fix": "wait"}
    service, _ = remote(
        httpx.Response(409, json={**problem, "status": 409, "kind": "conflict"}),
    )
    with pytest.raises(JobError) as caught:
        service.resume("0123abcd")
    assert (caught.value.kind, caught.value.what) == ("conflict", "is running")
    assert (caught.value.where, caught.value.fix) == ("0123abcd", "wait")


def test_a_study_that_is_being_made_is_waited_for(
    remote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.jobs.remote.STUDY_SECONDS", 0)
    making = httpx.Response(202, json={"status": "computing", "since": None})
    service, server = remote(making, making, httpx.Response(200, text="| variant |"))
    assert service.study("fusions", "markdown") == "| variant |"
    assert {request.url.raw_path for request in server.requests} == {
        b"/api/v1/groups/fusions/study?form=markdown"
    }


@pytest.mark.parametrize(
    "body", [{"json": {"detail": "Not Found", "kind": "not-found"}}, {"text": "<html>no</html>"}]
)
def test_an_address_without_a_server_of_ours_is_named(remote: Any, body: dict[str, Any]) -> None:
    service, _ = remote(httpx.Response(404, **body))
    with pytest.raises(JobError, match=r"VQA_SERVER=http://127\.0\.0\.1:8000: no vqa server"):
        service.groups()


def test_a_token_that_is_refused_says_what_to_do(remote: Any) -> None:
    service, _ = remote(httpx.Response(401, json={"title": "no such token"}))
    with pytest.raises(JobError, match="VQA_TOKEN_FILE") as caught:
        service.groups()
    assert caught.value.kind == "forbidden"


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (403, "forbidden", JobError),
        (429, "quota", JobError),
        (507, "disk-full", JobError),
        (413, "too-large", JobError),
        (500, "internal", EngineError),
    ],
)
def test_what_the_server_refuses_is_not_asked_again(
    remote: Any, status: int, kind: str, error: type[VQAError]
) -> None:
    service, server = remote(httpx.Response(status, json={"detail": "no", "kind": kind}))
    with pytest.raises(error, match="no"):
        service.groups()
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed(remote: Any) -> None:
    service, server = remote(httpx.Response(307, headers={"location": "http://evil.example/"}))
    with pytest.raises(EngineError, match=r"evil\.example"):
        service.jobs(Filter())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>log in</html>"),
        httpx.Response(200, json={"jobs": "many"}),
        httpx.Response(200, json=[]),
    ],
)
def test_another_kind_of_server_is_told_apart(remote: Any, answer: httpx.Response) -> None:
    service, _ = remote(answer)
    with pytest.raises(EngineError, match="answers in another language"):
        service.jobs(Filter())


@pytest.mark.parametrize("body", [b"", b"<h1>oops</h1>", b"[1]"])
def test_a_server_that_fails_is_said_so(remote: Any, body: bytes) -> None:
    service, _ = remote(httpx.Response(500, content=body))
    with pytest.raises(EngineError, match="500"):
        service.jobs(Filter())


def test_an_older_server_is_not_taken_for_none(remote: Any) -> None:
    """It is there and knows who asks, and has no such address."""
    me = httpx.Response(200, json={"name": "ann", "scope": "read"})
    service, _ = remote(httpx.Response(404, json={"detail": "Not Found"}), me)
    with pytest.raises(EngineError, match="was trained on: its program is older than this one"):
        service.data_of_group("g")


@pytest.mark.parametrize("act", ["cancel_group", "retry_group", "study"])
def test_what_an_older_server_cannot_do_is_said(remote: Any, act: str) -> None:
    me = httpx.Response(200, json={"name": "ann", "scope": "read"})
    service, _ = remote(httpx.Response(404, json={"detail": "Not Found"}), me)
    with pytest.raises(EngineError, match="groups: its program is older than this one"):
        getattr(service, act)("g")


def test_settings_that_an_older_server_does_not_know_are_said_to_be_newer(remote: Any) -> None:
    refused = {"detail": "data.zoom: no such key", "where": "jobs.1.experiment", "kind": "invalid"}
    service, _ = remote(*[httpx.Response(422, json=refused)] * 2)
    asked = SubmitRequest(experiment={"data": {"store": "scenes"}})
    for act in (lambda: service.submit(asked), lambda: service.submit_all([asked])):
        with pytest.raises(JobError, match="its program is older than this one") as caught:
            act()
        assert (caught.value.where, caught.value.kind) == ("jobs.1.experiment", "invalid")


def test_what_a_newer_server_says_beside_is_left_unread(remote: Any) -> None:
    newer = view().model_dump(mode="json") | {"flavour": "sweet"}
    newer["resources"] |= {"tapes": 2}
    page = {"jobs": [newer], "next": None, "counts": {}, "more": True}
    service, _ = remote(httpx.Response(200, json=page), httpx.Response(200, json=[newer]))
    assert service.jobs(Filter()).jobs == [view()]
    assert service.cancel_group("g") == [view()]


def test_where_nothing_of_ours_answers_no_server_is_called_old(remote: Any) -> None:
    nothing = httpx.Response(404, text="<html>no</html>")
    service, _ = remote(nothing, nothing)
    with pytest.raises(JobError, match="no vqa server answers at that address"):
        service.data_of_group("g")


def test_a_fingerprint_is_that_of_the_store_of_this_name(remote: Any) -> None:
    shown = {"source": "table", "splits": {"train": 1}, "images": 1, "text_only": False}
    stores = [{**shown, "name": name, "fingerprint": f"of {name}"} for name in ("a", "b")]
    service, _ = remote(*[httpx.Response(200, json=stores)] * 2)
    assert [service.fingerprint(name) for name in ("b", "c")] == ["of b", None]


def test_a_model_is_written_as_it_comes_and_none_is_said_so(remote: Any) -> None:
    none = json.dumps({"detail": "has no model", "kind": "not-found"}).encode()
    service, _ = remote(
        httpx.Response(200, stream=httpx.ByteStream(b"a tar")),
        httpx.Response(404, stream=httpx.ByteStream(none)),
    )
    out = io.BytesIO()
    service.model("0123abcd", out)
    assert out.getvalue() == b"a tar"
    with pytest.raises(JobError, match="has no model"):
        service.model("0123abcd", out)
    assert out.getvalue() == b"a tar"


def test_what_is_not_asked_for_is_not_in_the_query(remote: Any) -> None:
    service, server = remote(good(JobPage(jobs=[], next=None, counts={})))
    service.jobs(Filter(), limit=7)
    assert server.requests[0].url.query == b"limit=7"


def test_filters_go_into_the_query(remote: Any) -> None:
    page = JobPage(jobs=[view()], next=1, counts={State.QUEUED: 1})
    service, server = remote(good(page))
    wanted = Filter(states=(State.QUEUED, State.LOST), group="g", user="ann", before=9, prefix="01")
    assert service.jobs(wanted, 5) == page
    query = server.requests[0].url.params
    assert query.get_list("state") == ["queued", "lost"]
    assert {key: query[key] for key in ("group", "user", "before", "prefix", "limit")} == {
        "group": "g",
        "user": "ann",
        "before": "9",
        "prefix": "01",
        "limit": "5",
    }


def test_best_scores_are_asked_for_by_group_and_user(remote: Any) -> None:
    me = httpx.Response(200, json={"name": "ann", "scope": "read"})
    older = httpx.Response(404, json={"detail": "Not Found"})
    service, server = remote(httpx.Response(200, json=[]), older, me)
    assert service.scores(Filter(group="g")) == []
    assert server.requests[0].url.query == b"group=g"
    with pytest.raises(EngineError, match="its program is older than this one"):
        service.scores(Filter())


def test_a_log_is_read_from_an_offset(remote: Any) -> None:
    service, server = remote(good(Chunk(text="x\n", offset=12)))
    assert service.log("0123abcd", "metrics", 10).offset == 12
    assert server.requests[0].url.params["offset"] == "10"


@pytest.mark.parametrize("job", ["../etc", "a/b", "", "a?b", "a%2fb"])
def test_no_job_is_an_address(remote: Any, job: str) -> None:
    service, server = remote()
    with pytest.raises(JobError) as caught:
        service.cancel(job)
    assert caught.value.kind == "not-found"
    assert not server.requests


def test_a_path_is_refused_before_anything_is_sent(remote: Any, tmp_path: Path) -> None:
    service, server = remote()
    for store in (str(tmp_path), "stores/scenes", "./scenes", "~/scenes"):
        with pytest.raises(JobError, match=r"data\.store.*data\.store=NAME"):
            service.submit(SubmitRequest(experiment={"data": {"store": store}}))
    assert not server.requests


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "http://ann:pw@127.0.0.1",
        "http://127.0.0.1/?token=x",
        "http://[",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(VQAError, match="VQA_SERVER"):
        check_address(address)


def test_a_token_does_not_cross_a_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VQA_ALLOW_HTTP", raising=False)
    with pytest.raises(JobError, match=r"in the clear.*ssh -L"):
        check_address("http://gpu-box:8000")
    check_address("https://gpu-box")
    monkeypatch.setenv("VQA_ALLOW_HTTP", "1")
    check_address("http://gpu-box:8000")


def test_a_token_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(JobError, match="vqa token add"):
        read_token(file)
    file.write_text("abc\n")
    file.chmod(0o640)
    with pytest.raises(JobError, match="chmod 600"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == "abc"
    for bad in ("", "two words", "line\nline", "é"):
        file.write_text(bad)
        with pytest.raises(JobError):
            read_token(file)
