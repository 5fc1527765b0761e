"""How long runs will take, from finished ones on the same store, or from a few steps of each; else unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa.config import Experiment
from vqa.jobs.record import Filter, State
from vqa.jobs.service import Service

MOST_LOOKED_AT = 60


@dataclass(frozen=True)
class Measured:
    """A finished run, or a short one as if it had been a whole one.

    Attributes:
        store: its data.
        model: its model's sections and batch size, by which runs are as fast as each other.
        questions: in its training split, as if its fraction had been 1.
        speed: questions a second in training.
        rest: seconds beside training: start, evaluation, export.
    """

    store: str
    model: tuple[Any, ...]
    questions: float
    speed: float
    rest: float

    @property
    def kind(self) -> tuple[str, tuple[Any, ...]]:
        """See `kind_of`."""
        return self.store, self.model


def measured(service: Service) -> list[Measured]:
    """The newest finished runs that say how fast they were."""
    page = service.jobs(Filter(states=(State.SUCCEEDED,)), limit=MOST_LOOKED_AT)
    details = (service.show(job.id) for job in page.jobs)
    found = (
        _measured(one.experiment, one.result or {}, _wall(one.job.started, one.job.ended))
        for one in details
    )
    return [one for one in found if one is not None]


def _wall(started: float | None, ended: float | None) -> float | None:
    return None if started is None or ended is None else ended - started


def _measured(
    fields: Mapping[str, Any], result: Mapping[str, Any], wall: float | None
) -> Measured | None:
    try:
        experiment = Experiment.model_validate(fields)
        training, counts = result["training"], result["counts"]
        speed, seconds = float(training["questions_per_second"]), float(training["seconds"])
        questions = float(counts["training_questions"]) / experiment.data.fraction
    except (KeyError, TypeError, ValueError):
        return None
    rest = max(0.0, wall - seconds) if wall is not None else 0.0
    return Measured(*kind_of(experiment), questions, speed, rest) if speed > 0 else None


def seconds(experiment: Experiment, finished: Sequence[Measured]) -> float | None:
    """What a run will take: by finished runs of the same model where there are some, else by all on its store."""
    known = [one for one in finished if one.store == _store(experiment)]
    alike = [one for one in known if one.kind == kind_of(experiment)] or known
    if not alike:
        return None
    speed = sum(one.speed for one in alike) / len(alike)
    rest = sum(one.rest for one in alike) / len(alike)
    return _questions(experiment, alike[0].questions) / speed + rest


def _questions(experiment: Experiment, whole: float) -> float:
    """Questions that training sees, over all epochs."""
    trainer, data = experiment.trainer, experiment.data
    seen = whole * data.fraction * trainer.max_epochs
    if trainer.max_steps < 0:
        return seen
    return min(seen, trainer.max_steps * trainer.accumulate_grad_batches * data.batch_size)


def is_known(experiment: Experiment, finished: Sequence[Measured]) -> bool:
    """Whether a run of this very kind has finished."""
    return any(one.kind == kind_of(experiment) for one in finished)


def kind_of(experiment: Experiment) -> tuple[str, tuple[Any, ...]]:
    """Store and model: runs that agree in both are as fast as each other."""
    return _store(experiment), _model(experiment)


def _store(experiment: Experiment) -> str:
    """Its last name: jobs hold the whole path of what an experiment may name shortly."""
    return Path(experiment.data.store).name


def _model(experiment: Experiment) -> tuple[Any, ...]:
    data, trainer = experiment.data, experiment.trainer
    model = experiment.model.model_dump_json()
    return (
        model,
        data.batch_size,
        data.group_by_image,
        data.group_size,
        data.image_size,
        trainer.accelerator,
        trainer.devices,
        trainer.num_nodes,
        trainer.precision,
    )
