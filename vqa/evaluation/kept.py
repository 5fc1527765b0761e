"""Scores of runs, kept beside them so that their predictions are read and checked once.

What a comparison needs of a run is a score a question; what the questions are is the same in all runs of a data set.
So the folder holds `<run>.npz`, the scores with what they were read from and what was answered, and
`<digest>.jsonl`, the questions.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqa.errors import InputError
from vqa.evaluation.bootstrap import Floats, Ints
from vqa.evaluation.predictions import Prediction, read_predictions, write_predictions
from vqa.evaluation.runs import Run, load_run
from vqa.outputs import exchanged

VERSION = 3
"""Of what is kept; another one, too, where a protocol scores otherwise than it did."""
MOST_BYTES = 1 << 30
ASKED = (
    "question_id",
    "image_id",
    "split",
    "question_type",
    "answer_type",
    "answers",
    "choices",
    "label",
    "question",
)
"""Fields of `Prediction` that are the same whoever answers."""


def stamp(run: Path, scored: bool = True) -> list[list[Any]]:
    """What tells a run's results from others: each file that they are read from with its size and time of change.

    Args:
        scored: with its predictions.
    """
    files = [run / "result.json", run / "experiment.yaml"]
    for folder in ("predictions", "evaluations") if scored else ():
        files += sorted((run / folder).glob("*.json*"))
    found = [(file, state) for file in files if (state := _state(file)) is not None]
    return [[str(file.relative_to(run)), state.st_size, state.st_mtime_ns] for file, state in found]


def _state(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


@dataclass(frozen=True)
class Held:
    """What is kept of a run, without the questions themselves; arrays in the order of question ids.

    Attributes:
        scores: float64 [questions].
        codes: places in `answers` [questions]; −1 where nothing was answered.
        answers: every answer once.
        questions: the file with the questions, a line each, in the same order.
    """

    scores: Floats
    codes: Ints
    answers: list[str]
    questions: Path


@dataclass
class KeptRuns:
    """Reads runs as `load_run` does, and each version of one only once.

    Attributes:
        folder: where scores are kept; made where it is missing. A damaged file in it is made anew.
        most_bytes: what `tidy` leaves of it.
        split, protocol: see `load_run`.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    split: str = ""
    protocol: str = ""
    _questions: dict[str, list[Prediction]] = field(default_factory=dict)
    _sound: set[str] = field(default_factory=set)

    def load(self, run: Path) -> Run:
        """A run directory's scores; its `predictions` have no answers, only what was asked and the score.

        Raises:
            InputError: see `load_run`.
        """
        known = json.dumps([VERSION, stamp(run)])
        return self._kept(run, known) or self._read(run, known)

    def held(self, run: Path) -> Held:
        """What is kept of a run; quick where it was read before.

        Raises:
            InputError: see `load_run`; or there is no room to keep it.
        """
        known = json.dumps([VERSION, stamp(run)])
        found = self._held(run, known)
        if found is None:
            self._read(run, known)
            found = self._held(run, known)
        if found is None:
            raise InputError("its scores cannot be kept", where=run.name, fix="is the disk full?")
        return found

    def _held(self, run: Path, known: str) -> Held | None:
        file = self._file(run)
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
                if str(kept["known"]) != known:
                    return None
                said = json.loads(str(kept["said"]))
                questions = self._questions_file(said["questions"])
                os.utime(questions)
                os.utime(file)
                return Held(kept["scores"], kept["codes"], said["answers"], questions)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return None

    def tidy(self) -> None:
        """Delete what was used longest ago, until the rest is small enough."""
        files = [(file, state) for file in self.folder.glob("*") if (state := _state(file))]
        files.sort(key=lambda pair: pair[1].st_mtime_ns, reverse=True)
        held = 0
        for file, state in files:
            held += state.st_size
            if held > self.most_bytes:
                file.unlink(missing_ok=True)

    def _file(self, run: Path) -> Path:
        about = "\0".join((str(run.absolute()), self.split, self.protocol))
        return self.folder / f"{hashlib.sha256(os.fsencode(about)).hexdigest()[:32]}.npz"

    def _kept(self, run: Path, known: str) -> Run | None:
        file = self._file(run)
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as held:
                if str(held["known"]) != known:
                    return None
                said = json.loads(str(held["said"]))
                scores = held["scores"]
            questions = self._asked(said["questions"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, InputError, EOFError):
            return None
        if len(questions) != len(scores):
            return None
        file.touch()
        scored = [
            one.with_score(score) for one, score in zip(questions, scores.tolist(), strict=True)
        ]
        return Run(str(run), scored, said["identity"], said["seed"])

    def _asked(self, digest: str) -> list[Prediction]:
        """The questions of this digest.

        Raises:
            InputError: they are not here, or damaged.
        """
        if digest not in self._questions:
            file = self._questions_file(digest)
            found = read_predictions(file)
            if _digest(found) != digest:
                raise InputError("is damaged", where=str(file))
            file.touch()
            self._questions[digest] = found
            self._sound.add(digest)
        return self._questions[digest]

    def _questions_file(self, digest: str) -> Path:
        return self.folder / f"{digest}.jsonl"

    def _read(self, run: Path, known: str) -> Run:
        found = load_run(run, split=self.split, protocol=self.protocol)
        asked = [_asked(item) for item in found.predictions]
        digest = _digest(asked)
        self._questions[digest] = asked
        said = {"questions": digest, "identity": dict(found.identity), "seed": found.seed}
        self._keep(run, known, said, found)
        return found

    def _keep(self, run: Path, known: str, said: dict[str, Any], found: Run) -> None:
        """Where there is no room, it is read again the next time."""
        held = io.BytesIO()
        codes, answers = _answered(found.predictions)
        text = json.dumps(said | {"answers": answers})
        np.savez(held, known=known, said=text, scores=found.scores, codes=codes)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._questions_file(said["questions"])
            if said["questions"] not in self._sound:
                write_predictions(file, self._questions[said["questions"]])
                self._sound.add(said["questions"])
            # Not durably: what a power cut damages is made anew.
            with exchanged(self._file(run), durably=False) as out:
                out.write(held.getvalue())
        except OSError:
            return


def _asked(item: Prediction) -> Prediction:
    """A prediction without what was said."""
    return Prediction(**{name: getattr(item, name) for name in ASKED})


def _answered(predictions: Sequence[Prediction]) -> tuple[Ints, list[str]]:
    """See `Held`."""
    places: dict[str, int] = {}
    codes = [
        -1 if item.answer is None else places.setdefault(item.answer, len(places))
        for item in predictions
    ]
    return np.array(codes, dtype=np.int64), list(places)


def _digest(asked: Sequence[Prediction]) -> str:
    rows = [[getattr(one, name) for name in ASKED] for one in asked]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
