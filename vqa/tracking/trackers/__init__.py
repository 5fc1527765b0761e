"""Trackers beside W&B, each by its name in `tracking.loggers`; nothing of them is imported here.

Where a tracker keeps its records is never in an experiment, which may come from another machine: it is below the run,
or where the tracker's own environment variable says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from vqa.errors import ConfigError
from vqa.lightning import import_lightning
from vqa.model.brick import Brick, from_name


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run before its first record.

    Attributes:
        folder: below the run, the tracker's own.
        run_id: the same in every life of the run.
        first_step: of the records to come: those of an earlier life from there on are done again.
    """

    folder: Path
    run_id: str
    name: str
    project: str
    group: str | None
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    first_step: int


class Logger(Protocol):
    """What a tracker's run is told; Lightning's loggers are such."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One record."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """The configuration, before the first record."""

    def finalize(self, status: str) -> None:
        """The end of the run, `success` or `failed`."""


class Tracker(Brick):
    """One tracker.

    Attributes:
        title: as people know it.
        package: what is imported.
    """

    title: ClassVar[str]
    package: ClassVar[str]
    name: str

    def build(self, run: Tracked) -> Logger:
        """Begin the run, or go on with it."""
        raise NotImplementedError


class TensorBoard(Tracker):
    """TensorBoard's event files in `RUN/tensorboard`: `tensorboard --logdir RUNS`."""

    title: ClassVar[str] = "TensorBoard"
    package: ClassVar[str] = "tensorboard"
    name: Literal["tensorboard"] = "tensorboard"

    def build(self, run: Tracked) -> Logger:
        """Event files of every life of the run in one folder; what an earlier one wrote from `first_step` on is
        forgotten."""
        import_lightning()
        from pytorch_lightning.loggers import TensorBoardLogger

        return TensorBoardLogger(
            run.folder, name="", version="", default_hp_metric=False, purge_step=run.first_step
        )


class MLflow(Tracker):
    """An MLflow run, on the server that `MLFLOW_TRACKING_URI` names or else in `RUN/mlflow`."""

    title: ClassVar[str] = "MLflow"
    package: ClassVar[str] = "mlflow"
    name: Literal["mlflow"] = "mlflow"

    def build(self, run: Tracked) -> Logger:
        """The same MLflow run in every life."""
        import_lightning()
        from vqa.tracking.trackers.mlflow import logger

        return logger(run)


class Trackio(Tracker):
    """A trackio run, where trackio's own variables say (`TRACKIO_DIR`, `TRACKIO_SERVER_URL`): `trackio show`."""

    title: ClassVar[str] = "trackio"
    package: ClassVar[str] = "trackio"
    name: Literal["trackio"] = "trackio"

    def build(self, run: Tracked) -> Logger:
        """The same trackio run in every life."""
        from vqa.tracking.trackers.trackio import TrackioLogger

        return TrackioLogger(run)


def _listed(value: Any) -> Any:
    """Let a single tracker be written without brackets."""
    return [value] if isinstance(value, str | Mapping) else value


def _distinct(trackers: tuple[Tracker, ...]) -> tuple[Tracker, ...]:
    names = [tracker.name for tracker in trackers]
    if len(set(names)) < len(names):
        raise ValueError("a tracker stands twice")
    return trackers


AnyTracker = Annotated[
    TensorBoard | MLflow | Trackio, Field(discriminator="name"), BeforeValidator(from_name)
]
MEMBERS: tuple[type[Tracker], ...] = get_args(get_args(AnyTracker)[0])
Loggers = Annotated[tuple[AnyTracker, ...], BeforeValidator(_listed), AfterValidator(_distinct)]


def check_loggers(trackers: Iterable[Tracker]) -> None:
    """Refuse a tracker that is not installed here.

    Raises:
        ConfigError: its package is missing.
    """
    for tracker in trackers:
        if find_spec(tracker.package) is None:
            raise ConfigError(
                f"{tracker.title} is not installed",
                where="tracking.loggers",
                fix=f"pip install 'vqa-service[{tracker.name}]', or leave it out",
            )
