"""TensorBoard through Lightning's own logger."""

from __future__ import annotations

from pytorch_lightning.loggers import TensorBoardLogger

from vqa.tracking.trackers import Tracked


def logger(run: Tracked) -> TensorBoardLogger:
    """Event files in the run's folder; TensorBoard forgets what an earlier life wrote from `first_step` on."""
    return TensorBoardLogger(
        run.folder, name="", version="", default_hp_metric=False, purge_step=run.first_step
    )
