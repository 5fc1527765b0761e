"""The `ray` engine: jobs of a Ray cluster, through the Ray Jobs REST API.

Plain HTTP rather than Ray's client: it has time limits, sends the token from a file without touching this process's
environment, and needs no Ray beside the dispatcher. What Ray itself cannot do is done by `ray_keeper`, which Ray
starts and which starts the runner: Ray's stop sends TERM to every process of a job and cannot kill at once, and a
job that waits for resources is not stopped before it has them.

Each attempt has a file of orders in its run directory, written by `cancel` and read by the keeper. Ray's own stop
(`ray job stop`) is graceful too: TERM, and KILL after the job's grace.

A head should be started with `RAY_JOB_START_TIMEOUT_SECONDS` far above its 900: Ray fails a job that has waited so
long for resources; it is submitted anew here when that is seen.

Source: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from vqa.errors import EngineError
from vqa.jobs.engines.base import JOB_VARIABLE, Capacity, Standing, Task
from vqa.jobs.engines.ray_keeper import Order, Orders, Plan
from vqa.jobs.settings import RaySettings

KEEPER = "vqa.jobs.engines.ray_keeper"
NEVER_STARTED = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
FEW = 32
"""So many jobs are asked for one by one; of more, the whole list is read, which has every job of the cluster."""
STANDINGS = {"PENDING": Standing.PENDING, "RUNNING": Standing.RUNNING}
TIMEOUT = httpx.Timeout(10.0, read=30.0)


@dataclass(frozen=True)
class Handle:
    """`<submission id>:<run directory>`: what cancelling needs, even after Ray has forgotten the job."""

    name: str
    run_dir: str

    @classmethod
    def read(cls, text: str) -> Handle:
        """The parts of a handle."""
        name, _, run_dir = text.partition(":")
        return cls(name, run_dir)

    def __str__(self) -> str:
        return f"{self.name}:{self.run_dir}"

    @property
    def orders(self) -> Orders:
        """What the keeper was told."""
        return Orders(Path(self.run_dir) / f".{self.name}.orders")


class Unreachable(EngineError):
    """The job server does not answer now; it may do so later."""

    def __init__(self, what: str, *, where: str, fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix, temporary=True)


class RayEngine:
    """An `Engine` on Ray: see the module."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._client = httpx.Client(base_url=settings.address, timeout=TIMEOUT, trust_env=False)
        weakref.finalize(self, self._client.close)

    def submit(self, task: Task) -> str:
        """See `Engine`: the task's name is the submission id."""
        handle = Handle(task.name, str(task.run_dir))
        if self._job(task.name) is None:
            request = _request(task, handle)
            _make_files(task, handle)
            self._post_job(request)
        return str(handle)

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """See `Engine`. What Ray does not know has ended: a head that was restarted has an empty list.

        A process of an earlier head may outlive it for a short time; the run's own lock keeps the next one off.
        """
        read = {text: Handle.read(text) for text in handles}
        try:
            jobs = self._jobs({handle.name for handle in read.values()})
            return {text: self._standing(h, jobs.get(h.name)) for text, h in read.items()}
        except Unreachable:
            return dict.fromkeys(handles, Standing.UNKNOWN)

    def cancel(self, handle: str, *, force: bool) -> None:
        """See `Engine`. The keeper gets an order; Ray is told too where force is meant or there is no keeper yet."""
        target = Handle.read(handle)
        told = target.orders.give(Order.KILL if force else Order.STOP)
        job = self._job(target.name)
        if job is None or job["status"] not in STANDINGS:
            return
        if force or not told or job["status"] == "PENDING":
            self._ask("POST", f"/api/jobs/{quote(target.name, safe='')}/stop", missing_ok=True)

    def logs(self, task: Task) -> list[Path]:
        """The words of Ray's entrypoint and of the runner, written straight into the run directory."""
        return [_log(task.run_dir)]

    def capacity(self) -> Capacity | None:
        """None: Ray keeps jobs waiting until their resources are free."""
        return None

    def _standing(self, handle: Handle, job: dict[str, Any] | None) -> Standing:
        if job is None:
            return Standing.ENDED
        standing = STANDINGS.get(job["status"], Standing.ENDED)
        if standing is Standing.RUNNING and handle.orders.waiting.exists():
            standing = Standing.PENDING
        ordered = handle.orders.read() is not Order.NONE
        if standing is Standing.PENDING and ordered:
            return Standing.ENDED  # its keeper will see the order before it starts anything
        if job.get("error_type") == NEVER_STARTED and not ordered:
            self._submit_anew(job)
            return Standing.PENDING
        return standing

    def _submit_anew(self, job: dict[str, Any]) -> None:
        """Put a job back that Ray gave up while it waited; nothing of it ever ran."""
        name = job["submission_id"]
        self._ask("DELETE", f"/api/jobs/{quote(name, safe='')}", missing_ok=True)
        kept = ("submission_id", "entrypoint", "runtime_env", "metadata")
        resources = json.loads((job.get("metadata") or {}).get("resources", "{}"))
        self._post_job({key: job[key] for key in kept} | resources)

    def _jobs(self, names: set[str]) -> dict[str, dict[str, Any]]:
        if len(names) > FEW:
            listed = self._ask("GET", "/api/jobs/") or []
            return {job["submission_id"]: job for job in listed if job.get("submission_id")}
        found = ((name, self._job(name)) for name in names)
        return {name: job for name, job in found if job is not None}

    def _job(self, name: str) -> dict[str, Any] | None:
        job = self._ask("GET", f"/api/jobs/{quote(name, safe='')}", missing_ok=True)
        return job if isinstance(job, dict) else None

    def _post_job(self, request: dict[str, Any]) -> None:
        try:
            self._ask("POST", "/api/jobs/", json=request)
        except EngineError:
            if self._job(request["submission_id"]) is None:
                raise  # otherwise it arrived, by this call or by somebody else's

    def _ask(self, method: str, path: str, *, missing_ok: bool = False, json: Any = None) -> Any:
        """One request; None for a job that Ray does not know, where `missing_ok`."""
        headers = {"Authorization": f"Bearer {_token(self._settings.token_file)}"}
        try:
            answer = self._client.request(method, path, headers=headers, json=json)
        except httpx.TransportError as error:
            raise Unreachable(
                f"Ray's job server does not answer ({type(error).__name__})",
                where=self._settings.address,
                fix="start the head, or set `ray.address` in settings.yaml",
            ) from None
        if answer.status_code == 404 and missing_ok and "does not exist" in answer.text:
            return None
        return self._accepted(answer)

    def _accepted(self, answer: httpx.Response) -> Any:
        """The body of an answer.

        Raises:
            EngineError: it is a refusal.
        """
        where = self._settings.address
        if answer.status_code in (401, 403):
            raise EngineError(
                "Ray's job server refused the token",
                where=where,
                fix="set `ray.token_file` in settings.yaml to the cluster's token",
            )
        if answer.status_code != 200:
            reason = answer.text.strip().splitlines() or [""]
            said = f"Ray answered {answer.status_code}: {reason[-1][:300]}"
            raise (Unreachable if answer.status_code >= 500 else EngineError)(said, where=where)
        try:
            return answer.json()
        except ValueError:
            raise EngineError(
                "this is no Ray job server: it does not speak JSON", where=where
            ) from None


def _log(run_dir: Path) -> Path:
    return run_dir / "logs" / "ray.log"


def _make_files(task: Task, handle: Handle) -> None:
    try:
        _log(task.run_dir).parent.mkdir(exist_ok=True)
        handle.orders.create()
        if task.resources.nodes > 1:
            handle.orders.waiting.touch()
    except OSError as error:
        raise EngineError(f"cannot write: {error.strerror}", where=str(task.run_dir)) from None


def _request(task: Task, handle: Handle) -> dict[str, Any]:
    """What is posted: see `JobSubmitRequest` of Ray's REST API.

    A task on several nodes asks for nothing here: its keeper does, by a placement group.
    """
    use = task.resources
    amounts = {"num_cpus": use.cores, "num_gpus": use.gpus, "memory": use.memory_mb << 20}
    plan = Plan(
        task.command,
        task.environment(),
        orders=str(handle.orders.path),
        log=str(_log(task.run_dir)),
        nodes=use.nodes,
        amounts={key: amount for key, amount in amounts.items() if amount},
    )
    own = plan.amounts if use.nodes == 1 else {}
    resources = {f"entrypoint_{key}": amount for key, amount in own.items()}
    wait = math.ceil(task.grace_seconds) + 5
    return {
        "submission_id": task.name,
        "entrypoint": _entrypoint(plan),
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(wait)}},
        "metadata": {JOB_VARIABLE: task.job, "resources": json.dumps(resources)},
        **resources,
    }


def _entrypoint(plan: Plan) -> str:
    """One shell command.

    The task's variables are in the plan, not in Ray's `runtime_env`: there Ray's own watchers would carry them and be
    taken for processes of the job.
    """
    try:
        plan.log.encode()
    except UnicodeEncodeError:
        raise EngineError("the path is not UTF-8", where=repr(plan.log)) from None
    command = shlex.join([sys.executable, "-m", KEEPER, plan.to_json()])
    return f"exec {command} >> {shlex.quote(plan.log)} 2>&1"


def _token(file: Path | None) -> str:
    """From the settings' file, or where Ray itself looks: `RAY_AUTH_TOKEN`, `RAY_AUTH_TOKEN_PATH`, ~/.ray/auth_token.

    Raises:
        EngineError: there is none; a Ray cluster without one lets anybody run anything.
    """
    named = None if file else os.environ.get("RAY_AUTH_TOKEN")
    if named:
        return named.strip()
    default = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    path = Path(file or default).expanduser()
    cause: Exception | None = None
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        problem, cause = getattr(error, "strerror", None) or "it is not text", error
    else:
        if token.isascii() and token.isprintable() and token:
            return token
        problem = "it holds no token"
    raise EngineError(
        f"Ray's token cannot be read: {problem}",
        where=str(path),
        fix="start Ray with RAY_AUTH_MODE=token and set `ray.token_file` in settings.yaml",
    ) from cause
