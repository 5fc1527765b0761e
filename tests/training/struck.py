"""A rank in a process of its own that meets a signal while it validates; it imports what a rank does, and no more."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.lightning import import_lightning
from vqa.training import rank

if TYPE_CHECKING:
    from vqa.data.batches import Batch
    from vqa.model.types import Output

STRUCK_AT = 2


def be_struck(run: Path, variables: dict[str, str]) -> None:
    """Train as a rank of which the second alone meets TERM, in its second batch of the first validation."""
    os.environ.update(variables)
    import_lightning()
    from vqa.evaluation.predict import Predictor
    from vqa.training import distributed

    distributed.SECONDS = 1e-9  # a vote after every batch
    asked, original = 0, Predictor.ask

    def struck(self: Predictor, batch: Batch) -> Output:
        nonlocal asked
        asked += 1
        if asked == STRUCK_AT and variables["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        (run / f"asked-{variables['RANK']}").write_text(str(asked))
        return original(self, batch)

    Predictor.ask = struck  # type: ignore[method-assign]
    raise SystemExit(rank.main(str(run)))
