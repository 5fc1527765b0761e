"""One job as its page and its programs look at it: curves, predictions, pictures, and the model asked again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.errors import JobError
from vqa.jobs.local_service import LocalService
from vqa.server.absent import absent
from vqa.server.opened import Opened, OpenStore
from vqa.tracking.curves import Curves
from vqa.tracking.names import sampled_names

if TYPE_CHECKING:
    from vqa.evaluation.browse import PredictionIndex
    from vqa.evaluation.predictions import Prediction
    from vqa.evaluation.word_states import WordStates
    from vqa.export import Answer, VQAModel


@dataclass(frozen=True)
class Watched:
    """A job's run directory, read through what the server has open.

    Raises:
        JobError: from every method, where there is no such job, split, question, picture or model (`not-found`).
            Messages carry names and no paths.
    """

    job: str
    service: LocalService
    opened: Opened

    @cached_property
    def run_dir(self) -> Path:
        """Where the job's run stands, or will stand."""
        self.service.queue.get(self.job)
        return self.service.home.run_dir(self.job)

    def curves(self, names: list[str] | None = None) -> Curves:
        """The journal's curves, or those of some names."""
        return self.opened.curves.read(self.run_dir / "metrics.jsonl", names)

    def names(self) -> list[str]:
        """The journal's names, those of a long one as far as a quick look tells."""
        return sampled_names(self.run_dir / "metrics.jsonl")

    @property
    def name(self) -> str:
        """What people call the job."""
        return self.service.queue.get(self.job).submission.name

    @property
    def sees(self) -> bool:
        """Whether its model sees pictures at all."""
        model: dict[str, Any] = self.service.queue.get(self.job).submission.experiment["model"]
        return bool(model["image_encoder"]["name"] != "none")

    def predictions_file(self, split: str) -> Path:
        """The file of a split, found in the directory's listing: the name is never made part of a path."""
        files = self.service.predictions(self.job)
        if split not in files:
            raise JobError(
                f"has no predictions for split {split!r}",
                where=self.job,
                fix=f"there are {', '.join(files) or 'none'}",
                kind="not-found",
            )
        return files[split]

    def index(self, split: str) -> PredictionIndex:
        """The predictions of a split."""
        file = self.predictions_file(split)
        with self.told():
            return self.opened.predictions(file)

    def prediction(self, split: str, question: str) -> Prediction:
        """One of them."""
        index = self.index(split)
        with self.told():
            return index.find(question)

    def picture(self, image_id: str) -> bytes:
        """A picture's bytes as they were published."""
        store = self._store()
        with self.told():
            return store.picture(image_id)

    def blindness(self) -> str:
        """Why no picture can be shown; empty where they can."""
        try:
            self._store()
        except JobError as error:
            return error.what
        return ""

    def model(self) -> VQAModel:
        """The exported model."""
        with self.told():
            return self.opened.model(self.run_dir)

    def answer(self, item: Prediction) -> Answer:
        """What the model says to a question now, with its attention."""
        data, model = self.picture(item.image_id), self.model()
        question = (item.image_id, item.question, tuple(item.choices))
        with self.told():
            return self.opened.answer(
                self.run_dir, question, partial(self._answer_now, model, data, item)
            )

    def _answer_now(self, model: VQAModel, data: bytes, item: Prediction) -> Answer:
        from vqa.data.cache.regions import regions_at

        held = self._store()
        regions = regions_at(held.store, model.experiment, held.image_row[item.image_id])
        choices = list(dict.fromkeys(item.choices)) or None
        return model.ask(data, item.question, choices, regions=regions)

    def words(self, item: Prediction, layer: int | None = None) -> WordStates:
        """What the question encoder held after each word."""
        from vqa.evaluation.word_states import word_states

        model = self.model()
        with self.told(), self.opened.asking:
            states = word_states(model, item.question, layer)
        if states is None:
            name = model.experiment.model.question_encoder.name
            raise JobError(
                f"question encoder {name} is not recurrent: it has no hidden units to show",
                where=self.job,
                kind="not-found",
            )
        return states

    def _store(self) -> OpenStore:
        path = Path(self.service.queue.get(self.job).submission.experiment["data"]["store"])
        with self.told():
            opened = self.opened.store(path)
        if opened.store.manifest.text_only:
            raise JobError(
                "the store was prepared from text alone", where=self.job, kind="not-found"
            )
        if self._learnt_from() not in (None, opened.store.fingerprint):
            raise JobError(
                "the store was prepared anew since this run", where=self.job, kind="not-found"
            )
        return opened

    def _learnt_from(self) -> str | None:
        """The fingerprint that the run wrote down; None before its end."""
        try:
            found: str | None = self.service.result(self.job).get("data_fingerprint")
        except JobError:
            return None
        return found

    def told(self) -> AbstractContextManager[None]:
        """What cannot be read within is not there, in words without a path."""
        return absent(self.service.checker.library, self.job)
