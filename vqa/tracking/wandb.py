"""W&B mirrors the journal: it is never needed, and never holds up a step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vqa.tracking.journal import Record

if TYPE_CHECKING:
    from vqa.config import Experiment
    from vqa.data.store import Store
    from vqa.evaluation.predictions import Prediction
    from vqa.export import VQAModel


class Mirror(Protocol):
    """Where a run is shown beside its journal."""

    def log(self, record: Record) -> None:
        """Show a journal record."""

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Show some predictions with their pictures."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Show the result."""

    def close(self) -> None:
        """Let go."""


class NoMirror:
    """Shows nothing."""

    def log(self, record: Record) -> None:
        """Nothing."""

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Nothing."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def open_mirror(experiment: Experiment, run_dir: Path, *, enabled: bool) -> Mirror:
    """The mirror that the experiment asks for."""
    return NoMirror()
