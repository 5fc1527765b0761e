"""trackio, called as Lightning's loggers are, which have none for it: it is itself called like W&B."""

from __future__ import annotations

from typing import Any

from vqa.tracking.trackers import Tracked


class TrackioLogger:
    """One trackio run, found again by its name.

    Args:
        run: what it is called; its config is trackio's.
    """

    def __init__(self, run: Tracked) -> None:
        import trackio

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

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One record."""
        self._run.log(dict(metrics), step=step)

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """They were given at the beginning."""

    def finalize(self, status: str) -> None:
        """Send what is left."""
        self._run.finish()
