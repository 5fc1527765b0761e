"""Makes one study and puts it on the shelf: `python -m vqa.ablation.worker`, with what to make as JSON on its input.

A process of its own, since comparing many runs takes seconds of pure computing that a server must not stop for.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vqa.ablation.derive import places_of
from vqa.ablation.members import of_group
from vqa.ablation.shelf import Ask, Shelf
from vqa.ablation.study import Options, Study, make_study
from vqa.errors import VQAError
from vqa.evaluation.kept import KeptRuns
from vqa.jobs.home import Home
from vqa.lifetime import die_with

NICENESS = 10


def shelf(home: Home) -> Shelf:
    """Where the studies of a home are kept."""
    return Shelf(home.path / "cache" / "studies")


def kept_runs(home: Home, options: Options) -> KeptRuns:
    """Where the scores of its runs are kept."""
    folder = home.path / "cache" / "scores"
    return KeptRuns(folder, split=options.split, protocol=options.protocol)


def message(home: Home, ask: Ask) -> str:
    """What the process is told."""
    return json.dumps({"home": str(home.path), "parent": os.getpid(), "ask": asdict(ask)})


def main() -> int:
    """Make the study; 0 where it is on the shelf, or why there can be none."""
    told: dict[str, Any] = json.loads(sys.stdin.read())
    die_with(told["parent"])()
    os.nice(NICENESS)
    gc.disable()  # millions of small objects, none of them in a circle; the process ends soon
    home, ask = Home(Path(told["home"])), told["ask"]
    options = Options(**ask.pop("options"))
    make(home, Ask(options=options, **ask))
    return 0


def make(home: Home, ask: Ask) -> None:
    """Compare the group's runs as they are now.

    Raises:
        OSError: there is no room for the outcome.
    """
    kept = kept_runs(home, ask.options)
    try:
        outcome: Study | str = _study(home, ask, kept)
    except VQAError as error:
        outcome = str(error)
    shelf(home).put(ask, outcome)
    kept.tidy()


def _study(home: Home, ask: Ask, kept: KeptRuns) -> Study:
    members = of_group(ask.group, home) or []
    return make_study(ask.group, members, places_of(members), ask.options, kept.load)


if __name__ == "__main__":
    sys.exit(main())
