"""Whether a grid's runs are of the data that it names: asked of a server at once, whatever their number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from vqa.ablation.expand import expand
from vqa.ablation.plan import look, submit
from vqa.ablation.schema import parse_ablation
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.errors import ConfigError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.remote import RemoteService

Body = Callable[..., dict[str, Any]]


def test_the_data_of_a_group_take_one_request(
    ann: TestClient, home: Home, service: LocalService, request_body: Body, tmp_path: Path
) -> None:
    asked: list[str] = []

    def forward(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        kind = {"Content-Type": "application/json"} if request.content else {}
        answer = ann.request(
            request.method, str(request.url), content=request.content, headers=kind
        )
        return httpx.Response(answer.status_code, content=answer.content)

    server = RemoteService("http://127.0.0.1:8000", "x", transport=httpx.MockTransport(forward))
    fields = {"group": "g", "base": request_body(0)["experiment"], "seeds": 3, "baselines": []}
    fields["axes"] = {"model.fusion": ["concat", "multiply"]}
    grid = expand(parse_ablation(fields, tmp_path, "ablation.yaml"))
    submit(look(grid, server), server)
    plan = look(grid, server)
    asked.clear()
    plan.check_data(server)
    assert len(plan.members) == 6
    assert asked == ["/api/v1/groups/g/data", "/api/v1/stores"]

    known = server.data_of_group("g")
    [fingerprint] = set(known.values())
    assert (len(known), fingerprint) == (6, service.fingerprint("scenes"))
    job = next(iter(known))
    home.run_dir(job).mkdir(parents=True, exist_ok=True)
    result = {"status": "succeeded", "data_fingerprint": fingerprint}
    (home.run_dir(job) / "result.json").write_text(json.dumps(result))
    shutil.rmtree(home.stores / "scenes")
    splits = {"train": 8, "val": 4, "test": 4}
    prepare(Scenes(splits, questions_per_image=2), home.stores / "scenes", name="other")
    with pytest.raises(ConfigError, match="1 of its runs are of other data than scenes holds now"):
        plan.check_data(server)
    assert server.data_of_group("nothing") == {}
