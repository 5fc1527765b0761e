"""Run directories with predictions of known accuracy, studies of them, and a service that makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vqa.ablation.expand import expand
from vqa.ablation.gather import gather
from vqa.ablation.schema import parse_ablation
from vqa.ablation.study import Options, Study, make_study
from vqa.evaluation.predictions import Prediction, write_predictions
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, Job, Resources, State, Submission
from vqa.jobs.views import JobDetail, JobPage, JobView, SubmitRequest

QUESTIONS, AN_IMAGE = 600, 3
BASE: dict[str, Any] = {
    "data": {"store": "stores/none", "batch_size": 32},
    "model": {
        "attention": {"name": "soft", "glimpses": 2},
        "fusion": {"name": "multiply", "dim": 64},
    },
    "trainer": {"max_epochs": 2},
}
RATES = {
    ("concat", "none"): 0.4,
    ("multiply", "none"): 0.5,
    ("concat", "soft"): 0.6,
    ("multiply", "soft"): 0.8,
}
AXES = {"model.fusion": ["concat", "multiply"], "model.attention": ["none", "soft"]}
QUICK = Options(resamples=500)


def predictions(
    rate: float, seed: int = 0, types: Sequence[str] = ("colour", "shape")
) -> list[Prediction]:
    """The same questions always; a question that a lower rate gets right, a higher one does too, but for the seed."""
    easy = np.random.default_rng(0).random(QUESTIONS)
    luck = np.random.default_rng(seed + 1).normal(0, 0.02, QUESTIONS)
    return [
        Prediction(
            f"q{number:04d}",
            f"i{number // AN_IMAGE}",
            split="test",
            question_type=types[number % len(types)],
            answer="yes" if easy[number] + luck[number] < rate else "no",
            answers=["yes"],
            choices=["yes", "no", "maybe", "never"],
            label=0,
            score=100.0 * bool(easy[number] + luck[number] < rate),
        )
        for number in range(QUESTIONS)
    ]


def make_run(path: Path, experiment: Mapping[str, Any], rate: float, **changes: Any) -> Path:
    """A finished run."""
    types = changes.pop("types", ("colour", "shape"))
    items = predictions(rate, int(experiment.get("seed", 0)), types)
    write_predictions(path / "predictions" / "test.jsonl", items)
    (path / "experiment.yaml").write_text(yaml.safe_dump(dict(experiment)))
    result = {
        "status": "succeeded",
        "protocol": "multiple-choice/1",
        "split": "test",
        "data_fingerprint": "abc",
        "overall": round(100 * rate, 2),
        "training": {
            "questions": 1000,
            "seconds": 10.0,
            "questions_per_second": 100.0,
            "seconds_to_best": 7.5,
            "peak_memory_mb": 512.0,
        },
        "counts": {"parameters": 12345, "training_questions": 500},
    } | changes
    (path / "result.json").write_text(json.dumps(result))
    return path


def fail_run(path: Path, experiment: Mapping[str, Any], error: str) -> Path:
    """A run that failed."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "experiment.yaml").write_text(yaml.safe_dump(dict(experiment)))
    (path / "result.json").write_text(json.dumps({"status": "failed", "error": error}))
    return path


def make_folder(folder: Path, rate: Callable[[dict[str, str]], float], **fields: Any) -> Path:
    """Runs of a 2 × 2 grid with three seeds; blind baselines at 0.3."""
    given = {"group": "g", "base": BASE, "axes": AXES} | fields
    for cell in expand(parse_ablation(given, Path(), "a")).cells:
        chosen = rate(cell.labels) if cell.labels else 0.3
        make_run(folder / cell.name, cell.experiment.to_dict(), chosen)
    return folder


def run_job(home: Home, queue: Queue, user: str, fusion: str, seed: int, rate: float | None) -> str:
    """A job of the group `g`; gives its id."""
    tags = [f"variant={fusion}", f"model.fusion={fusion}"]
    fields = {**BASE, "seed": seed, "tracking": {"tags": tags}}
    job, _ = queue.submit(Submission(fields, user, user, group="g"))
    claimed = queue.claim(job)
    assert claimed is not None
    run = home.run_dir(job.id)
    if rate is None:
        fail_run(run, fields, "no memory")
    else:
        make_run(run, fields, rate)
    queue.move(claimed, State.FAILED if rate is None else State.SUCCEEDED)
    return job.id


def known(labels: dict[str, str]) -> float:
    """The accuracy put into a cell of the grid."""
    return RATES[labels["model.fusion"], labels["model.attention"]]


def study_of(folder: Path, options: Options = QUICK) -> Study:
    """The comparison of the runs in a folder."""
    found = gather([str(folder)], {}, None)
    return make_study(found.title, found.members, found.places, options)


Work = Callable[[Path, Mapping[str, Any]], str]
"""Does a job's work in its run directory and says the state it ends in."""


class InstantService:
    """A service of one user whose jobs run in the call that looks at them."""

    user = "ada"

    def __init__(self, home: Home, work: Work) -> None:
        self.home, self.queue, self.work = home, Queue(home.queue_file), work
        self.asked: list[int] = []

    def submit(self, request: SubmitRequest) -> JobView:
        return self.submit_all([request])[0]

    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        self.asked.append(len(requests))
        submissions = [
            Submission(
                one.experiment,
                self.user,
                one.name or "job",
                group=one.group,
                key=one.key,
                priority=one.priority,
            )
            for one in requests
        ]
        return [view(job) for job, _ in self.queue.submit_all(submissions)]

    def fingerprint(self, store: str) -> str | None:
        """Its experiments name no store that there is."""
        return None

    def data_of_group(self, group: str) -> dict[str, str]:
        """See `fingerprint`."""
        return {}

    def jobs(self, wanted: Filter, limit: int = 100) -> JobPage:
        for job in self.queue.waiting(2):
            claimed = self.queue.claim(job)
            assert claimed is not None
            self.queue.move(
                claimed, State(self.work(self.home.run_dir(job.id), job.submission.experiment))
            )
        found = self.queue.find(wanted, limit)
        more = len(found) == limit
        return JobPage(
            jobs=[view(job) for job in found], next=found[-1].seq if more else None, counts={}
        )

    def show(self, job: str) -> JobDetail:
        record = self.queue.get(job)
        file = self.home.run_dir(job) / "result.json"
        result = json.loads(file.read_text()) if file.exists() else None
        return JobDetail(
            job=view(record),
            experiment=record.submission.experiment,
            history=[],
            result=result,
            warnings=[],
            logs=[],
            run_dir=None,
        )

    def resume(self, job: str) -> JobView:
        return view(self.queue.resume(job))


def view(job: Job) -> JobView:
    """A job as a service shows it."""
    submission = job.submission
    return JobView(
        id=job.id,
        seq=job.seq,
        name=submission.name,
        user=submission.user,
        group=submission.group,
        engine="local",
        priority=submission.priority,
        state=job.state,
        reason=job.reason,
        attempt=job.attempt,
        restarts=job.restarts,
        max_restarts=submission.max_restarts,
        cancel_requested=False,
        resources=Resources(),
        submitted=job.submitted,
        started=job.started,
        ended=job.ended,
        progress=None,
    )
