"""trackio as one of Lightning's loggers: Lightning has none for it, and trackio is called like W&B."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger
from typing_extensions import override

from vqa.tracking.trackers import Tracked


class TrackioLogger(Logger):
    """One trackio run, found again by its name.

    Args:
        run: what it is called; its config is trackio's.
    """

    def __init__(self, run: Tracked) -> None:
        import trackio

        super().__init__()
        self._run = trackio.init(
            project=run.project,
            name=f"{run.name} {run.run_id}",
            group=run.group,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    @property
    @override
    def name(self) -> str:
        """The run's name in trackio."""
        return str(self._run.name)

    @property
    @override
    def version(self) -> str | None:
        """trackio knows none."""
        return None

    @override
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """One record."""
        self._run.log(dict(metrics), step=step)

    @override
    def log_hyperparams(
        self, params: dict[str, Any] | argparse.Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """They were given at the beginning."""

    @override
    def finalize(self, status: str) -> None:
        """Send what is left."""
        self._run.finish()
