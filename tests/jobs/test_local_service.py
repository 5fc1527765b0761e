"""The service on this machine."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vqa.config import Experiment
from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService, account
from vqa.jobs.record import Filter, State
from vqa.jobs.views import SubmitRequest

Request = Callable[..., SubmitRequest]


@pytest.fixture
def service(home: Home, scenes_store: Path) -> LocalService:
    """A service for commands, with the store `scenes`."""
    shutil.copytree(scenes_store, home.stores / "scenes")
    return LocalService(home, "ann")


@pytest.fixture
def request_of(experiment: Callable[..., Experiment]) -> Request:
    """Makes a request of the tiny experiment."""

    def make(seed: int = 0, **fields: Any) -> SubmitRequest:
        made = experiment(seed=seed).to_dict()
        made["data"]["store"] = "scenes"
        return SubmitRequest(experiment=made, **fields)

    return make


def set_quotas(service: LocalService, quotas: str) -> LocalService:
    (service.home.path / "settings.yaml").write_text(f"quotas: {quotas}\n")
    return LocalService(Home(service.home.path), "ann")


def end(
    service: LocalService, job: str, state: State, result: dict[str, Any] | None = None
) -> None:
    claimed = service.queue.claim(service.queue.get(job))
    assert claimed
    run_dir = service.home.run_dir(job)
    run_dir.mkdir(exist_ok=True)
    if result is not None:
        (run_dir / "result.json").write_text(json.dumps(result))
    service.queue.move(claimed, state)


def test_a_job_from_its_submission_to_its_score(service: LocalService, request_of: Request) -> None:
    view = service.submit(request_of(group="g"))
    assert (view.user, view.state, view.progress, view.overall) == ("ann", "queued", None, None)
    end(service, view.id, State.SUCCEEDED, {"status": "succeeded", "overall": 81.25})
    detail = service.show(view.id)
    assert (detail.job.state, detail.job.overall) == ("succeeded", 81.25)
    assert detail.result == {"status": "succeeded", "overall": 81.25}
    assert [change.state for change in detail.history] == ["queued", "starting", "succeeded"]
    assert detail.run_dir == str(service.home.run_dir(view.id))
    assert service.jobs(Filter()).jobs[0].overall == 81.25
    assert [(g.name, g.counts) for g in service.groups()] == [("g", {"succeeded": 1})]


def test_far_away_nothing_is_shown_by_path(service: LocalService, request_of: Request) -> None:
    remote = LocalService(service.home, "ann", paths_allowed=False)
    job = remote.submit(request_of()).id
    detail = remote.show(job)
    assert detail.run_dir is None
    assert detail.experiment["data"]["store"] == "scenes"
    assert remote.submit(SubmitRequest(experiment=detail.experiment)).name == detail.job.name
    assert str(service.home.path) not in detail.model_dump_json()


def test_an_ended_job_shows_the_speed_of_its_whole_training(
    service: LocalService, request_of: Request
) -> None:
    job = service.submit(request_of()).id
    end(service, job, State.SUCCEEDED, {"training": {"questions_per_second": 25.5}})
    (service.home.run_dir(job) / "metrics.jsonl").write_text(
        '{"step": 9, "train/questions_per_second": 10.0}\n'
    )
    shown = service.show(job).job.progress
    assert shown is not None
    assert shown.questions_per_second == 25.5


def test_pages_and_counts(service: LocalService, request_of: Request) -> None:
    submitted = [service.submit(request_of(seed)).id for seed in range(5)]
    service.cancel(submitted[2])
    seen, before = [], None
    while True:
        page = service.jobs(Filter(before=before), limit=2)
        assert page.counts == {"queued": 4, "cancelled": 1}
        seen += [job.id for job in page.jobs]
        if (before := page.next) is None:
            break
    assert seen == submitted[::-1]
    assert service.jobs(Filter(prefix=submitted[0])).jobs[0].id == submitted[0]


def test_a_key_gives_the_same_job_for_any_number_of_clients(
    service: LocalService, request_of: Request
) -> None:
    service = set_quotas(service, "{min_free_mb: 0, jobs_per_user: 10}")
    with ThreadPoolExecutor(8) as pool:
        views = list(
            pool.map(lambda k: service.submit(request_of(k % 10, key=f"k{k % 10}")), range(80))
        )
    assert len({view.id for view in views}) == 10
    assert service.queue.count() == {"queued": 10}
    with pytest.raises(JobError, match="another submission") as caught:
        service.submit(request_of(99, key="k0"))
    assert caught.value.kind == "conflict"
    assert service.as_user("ben").submit(request_of(99, key="k0")).user == "ben"


def test_all_or_none(service: LocalService, request_of: Request) -> None:
    bad = SubmitRequest(experiment={"data": {"store": "nowhere"}})
    with pytest.raises(JobError, match="store"):
        service.submit_all([request_of(), bad])
    assert service.queue.count() == {}


def test_quota_of_jobs_holds_under_a_rush(service: LocalService, request_of: Request) -> None:
    service = set_quotas(service, "{min_free_mb: 0, jobs_per_user: 3}")
    service.submit(request_of())
    barrier = threading.Barrier(6)

    def rush(seed: int) -> str:
        barrier.wait()
        try:
            return service.submit(request_of(seed)).id
        except JobError as error:
            return error.kind

    with ThreadPoolExecutor(6) as pool:
        assert sorted(len(found) for found in pool.map(rush, range(6))) == [5] * 4 + [8] * 2
    assert service.queue.count() == {"queued": 3}
    with pytest.raises(JobError, match="ann has 3 unfinished jobs, and 1 more would exceed 3"):
        service.submit(request_of(77))
    assert service.as_user("ben").submit(request_of())


@pytest.mark.parametrize(
    ("new", "fix"), [(3, "wait for some, or cancel them"), (4, "submit 3 at most at a time")]
)
def test_no_waiting_makes_room_for_more_than_there_may_be(
    service: LocalService, request_of: Request, new: int, fix: str
) -> None:
    service = set_quotas(service, "{min_free_mb: 0, jobs_per_user: 3}")
    service.submit(request_of())
    with pytest.raises(JobError, match="would exceed 3") as caught:
        service.submit_all([request_of(seed) for seed in range(1, new + 1)])
    assert caught.value.fix == fix


def test_a_job_that_stands_already_meets_no_quota_of_priority(
    service: LocalService, request_of: Request
) -> None:
    assert service.submit(request_of(priority=9, key="k")).priority == 9  # from this machine
    other = service.as_user("ann", any_priority=False)
    assert other.submit(request_of(priority=9, key="k")).priority == 9
    with pytest.raises(JobError, match="9 is above 0") as caught:
        other.submit(request_of(priority=9))
    assert caught.value.kind == "forbidden"


def test_quota_of_disk_and_a_full_disk(service: LocalService, request_of: Request) -> None:
    job = service.submit(request_of(key="k")).id
    end(service, job, State.FAILED, {"status": "failed"})
    (service.home.run_dir(job) / "big").write_bytes(b"x" * (2 << 20))
    small = set_quotas(service, "{min_free_mb: 0, disk_mb_per_user: 1}")
    with pytest.raises(JobError, match="the runs of ann take 2 MiB, of 1 allowed") as caught:
        small.submit(request_of(1))
    assert caught.value.kind == "quota"
    assert "on the machine of the service" in caught.value.fix  # a user of a server cannot prune
    full = set_quotas(service, "{min_free_mb: 1000000000}")
    for ask in (lambda: full.submit(request_of(2)), lambda: full.resume(job)):
        with pytest.raises(JobError, match=r"disk full: .* MiB are free") as caught:
            ask()
        assert caught.value.kind == "disk-full"
    assert full.submit(request_of(key="k")).id == job  # it was taken before


def test_the_quota_of_disk_counts_what_a_run_writes_last(
    service: LocalService, request_of: Request
) -> None:
    job = service.queue.claim(service.queue.get(service.submit(request_of()).id))
    assert job
    (service.home.run_dir(job.id) / "checkpoints").mkdir(parents=True)
    small = set_quotas(service, "{min_free_mb: 0, disk_mb_per_user: 1}")
    small.submit(request_of(1))  # while the job runs
    (service.home.run_dir(job.id) / "predictions").write_bytes(b"x" * (2 << 20))
    service.queue.move(job, State.SUCCEEDED)
    with pytest.raises(JobError, match="the runs of ann take 2 MiB, of 1 allowed"):
        small.submit(request_of(2))


def test_cancelling_a_job_that_waits_after_it_ran_says_so_in_its_result(
    service: LocalService, request_of: Request
) -> None:
    job = service.submit(request_of()).id
    end(service, job, State.PREEMPTED, {"status": "preempted", "job": job, "attempt": 1})
    assert service.cancel(job).state == "cancelled"
    result = service.result(job)
    assert (result["status"], result["job"], result["attempt"]) == ("cancelled", job, 1)
    finished = service.result(job)["finished"]
    assert service.cancel(job).state == "cancelled"
    assert service.result(job)["finished"] == finished
    assert service.resume(job).state == "queued"


def test_cancelling_never_touches_the_result_of_another_end(
    service: LocalService, request_of: Request
) -> None:
    job = service.submit(request_of()).id
    end(service, job, State.SUCCEEDED, {"status": "succeeded", "overall": 1.0})
    assert service.cancel(job).state == "succeeded"
    assert service.result(job)["status"] == "succeeded"
    with pytest.raises(JobError, match="is succeeded") as caught:
        service.resume(job)
    assert caught.value.kind == "conflict"


def test_what_is_not_there(service: LocalService, request_of: Request) -> None:
    for ask in (
        service.show,
        service.cancel,
        service.resume,
        service.log,
        service.result,
        service.predictions,
    ):
        with pytest.raises(JobError) as caught:
            ask("../../etc")
        assert caught.value.kind == "not-found"
    with pytest.raises(JobError, match="has no result yet"):
        service.result(service.submit(request_of()).id)


def test_stores_that_cannot_be_read_are_left_out(service: LocalService, scenes_store: Path) -> None:
    (service.home.stores / "broken").mkdir()
    (service.home.stores / "broken" / "store.json").write_text("{}")
    shutil.copytree(scenes_store, service.home.stores / ".hidden")
    assert [(s.name, s.splits) for s in service.stores()] == [
        ("scenes", {"train": 160, "val": 40, "test": 40})
    ]


def test_an_account_is_always_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "DOMAIN\\ann müller")
    assert account() == "DOMAIN-ann-m-ller"
    monkeypatch.setenv("LOGNAME", "../..")
    assert account() == "user"


def test_a_key_stands_for_what_was_asked_whatever_the_service_chooses_now(
    service: LocalService, request_of: Request
) -> None:
    """Settings, the machine, and the defaults of an experiment have changed since."""
    job = service.submit(request_of(key="k")).id
    with sqlite3.connect(service.home.queue_file) as database:
        [[text]] = database.execute("SELECT experiment FROM jobs").fetchall()
        experiment = json.loads(text)
        del experiment["trainer"]["precision"]  # an older program had no such field
        resources = json.dumps({"accelerator": "cpu", "cores": 3, "memory_mb": 7})
        changed = (json.dumps(experiment), resources, "slurm")
        database.execute("UPDATE jobs SET experiment = ?, resources = ?, engine = ?", changed)
    database.close()
    (service.home.path / "settings.yaml").write_text(
        "max_restarts: 9\nquotas: {min_free_mb: 0}\nlocal: {cores: 1}\n"
    )
    other = LocalService(Home(service.home.path), "ann")
    assert other.submit(request_of(key="k")).id == job
    assert other.submit(request_of(key="k", cores=3, engine="slurm")).id == job
    for asked in (
        {"cores": 1}, {"memory_mb": 8}, {"engine": "local"}, {"max_restarts": 9}, {"seed": 1}, {"name": "n"}
    ):  # fmt: skip
        with pytest.raises(JobError, match="stands for another submission") as caught:
            other.submit(request_of(key="k", **asked))
        assert caught.value.kind == "conflict"


@pytest.mark.parametrize("now", ["cores: 1", "memory_mb: 1"])
def test_a_key_gives_its_job_back_where_the_machine_is_too_small_for_it_now(
    now: str, service: LocalService, request_of: Request
) -> None:
    settings = service.home.path / "settings.yaml"

    def submit(local: str, **fields: Any) -> str:
        settings.write_text(f"quotas: {{min_free_mb: 0}}\nlocal: {{gpus: [], {local}}}\n")
        request = request_of(engine="local", cores=3, **fields)
        return LocalService(Home(service.home.path), "ann").submit(request).id

    job = submit("cores: 4", key="k")
    assert submit(now, key="k") == job
    for other in ({"key": "k", "seed": 1}, {"key": "new"}):
        with pytest.raises(JobError, match=r"asks for 3 cores|GiB for it") as caught:
            submit(now, **other)
        assert caught.value.kind == "invalid"
