"""What happens between the steps of a run: journal, validation, checkpoints, stopping."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, distributed
from typing_extensions import override

from vqa.data.batches import Batch
from vqa.model.question_encoder.diagnostics import forget_gates, gradient_norm_by_step
from vqa.tracking.curve_names import VALIDATED
from vqa.tracking.journal import Journal
from vqa.tracking.mirrors import Mirrors
from vqa.training.checkpoints import Checkpoints, State
from vqa.training.contention import Contention
from vqa.training.display import Display
from vqa.training.distributed import Vote, gather, longest
from vqa.training.module import TrainingModule
from vqa.training.session import Session
from vqa.training.signals import Stopped, StopSignals
from vqa.training.state import Progress, random_states, restore_random_states
from vqa.training.validation import LONG_SECONDS, Validation, judge

SPEED = "train/questions_per_second"
"""The one journal figure, beside `time`, that a resumed run does not repeat."""


@dataclass(frozen=True)
class Life:
    """One life of a run, as one process has it.

    Attributes:
        session: what is trained, where, for how long.
        progress: how far the run has come; moved by `RunLoop` alone.
        checkpoints, mirrors: written by the first process alone.
        signals: what may end it before.
    """

    session: Session
    progress: Progress
    checkpoints: Checkpoints
    mirrors: Mirrors
    signals: StopSignals


class RunLoop(Callback):
    """The state of a run beside the network's, and the hooks that move it.

    Args:
        life: whose loop it is.
        module: the network and how it learns.
        resumed: the state to go on from.
        journal: written by the first process alone.
    """

    def __init__(
        self,
        life: Life,
        module: TrainingModule,
        resumed: State | None,
        journal: Journal,
        display: Display,
    ) -> None:
        self.session = session = life.session
        self.progress, self.signals = life.progress, life.signals
        self.checkpoints, self.mirrors = life.checkpoints, life.mirrors
        self.module, self.resumed = module, resumed
        self.journal, self.display = journal, display
        self.config, self.first = session.experiment.trainer, session.place.first
        self.predictor = session.model.predictor(session.device)
        self.validation = session.validation()
        self._save_is_due, self._shown_loss = False, float("nan")
        self._clock = time.perf_counter()
        self._logged_questions, self._logged_at = self.progress.questions, self._clock
        self._vote, self._saved = Vote(self.progress.steps), self.progress.to_state()
        self._contention = Contention(torch.get_num_threads())

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back optimiser, schedule, scaler, figures and random states of the run's earlier life."""
        if self.resumed is not None:
            self._restore(trainer, self.resumed)
            self.resumed = None
        self._clock = self._logged_at = time.perf_counter()
        self.signals.note()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the gradients that the next record shows."""
        batches = self.progress.batches + 1
        due = self._is_recorded(self.progress.steps + 1, batches) and self._is_step(batches)
        self.module.keep_input_gradients = self.config.diagnostics and due

    def _is_recorded(self, steps: int, batches: int) -> bool:
        """Whether a record comes after so many: so often as is set, and at the end, however short the run is."""
        return steps % self.config.log_every_n_steps == 0 or batches == self.session.plan.batches

    def _is_step(self, batches: int) -> bool:
        return batches % self.config.accumulate_grad_batches == 0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count, record, validate, save and stop, in this order."""
        progress, last = self.progress, batch_idx + 1 == trainer.num_training_batches
        progress.batches += 1
        progress.questions += _whole(batch)
        self.display.batch(_whole(batch))
        if self._is_step(progress.batches) or last:
            progress.steps += 1
            self.display.step()
            self._after_step(batch)
        self.module.output = None
        epochs, index = divmod(progress.batches, self.module.batches_an_epoch)
        if index == 0 or last:
            self._after_epoch(trainer, epochs + (index > 0))
        if progress.stopped_early and self.module.batches_seen:
            self._log(self._figures() | self._speed())
        self._save_or_stop(trainer, last)

    def _after_step(self, batch: Batch) -> None:
        config, steps = self.config, self.progress.steps
        if self._is_recorded(steps, self.progress.batches):
            self.module.watch.look()
            self._log(self._figures() | self._diagnostics(batch) | self._speed())
        if config.checkpoint_every_n_steps and steps % config.checkpoint_every_n_steps == 0:
            self._save_is_due = True
        if self._long_validation_is_next():
            self._save_is_due = True

    def _long_validation_is_next(self) -> bool:
        """Whether a validation that may outlast a request to stop comes after the next step: the epoch would be
        lost. How long it takes is known from the one before; the first may take long."""
        if self.validation is None or self.progress.validation_seconds <= LONG_SECONDS:
            return False
        first = self.progress.batches + 1
        following = range(first, first + self.config.accumulate_grad_batches)
        return any(map(self._is_validated, following))

    def _is_validated(self, batches: int) -> bool:
        """Whether a validation comes after so many batches."""
        epoch, index = divmod(batches, self.module.batches_an_epoch)
        last = batches == self.session.plan.batches
        return last or (index == 0 and epoch % self.config.check_val_every_n_epoch == 0)

    def _figures(self) -> dict[str, float]:
        """Means since the last record."""
        module = self.module
        optimizer = module.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        figures = {
            "train/loss": self._loss(),
            "train/gradient_norm": _mean(module.gradient_norm, module.steps_seen),
            "train/clipped_share": _mean(module.clipped, module.steps_seen),
            "train/lr": float(optimizer.param_groups[0]["lr"]),
        }
        self._shown_loss = figures["train/loss"]
        module.reset_figures()
        return figures

    def _loss(self) -> float:
        """Mean over the questions of all processes since the last record; all of them ask together."""
        total, world = self.module.loss_sum, self.session.place.world
        if world > 1:
            total = torch.as_tensor(total, device=self.session.device) / world
            distributed.all_reduce(total)
        return _mean(total, self.module.batches_seen)

    def _diagnostics(self, batch: Batch) -> dict[str, float]:
        """Gradient norm by distance from the question's end, and each layer's mean forget gate."""
        output = self.module.output
        if not self.module.keep_input_gradients or output is None:
            return {}
        norms = gradient_norm_by_step(output.text.inputs).tolist()
        gates = forget_gates(self.module.network.question_encoder, batch.words).tolist()
        figures = {f"gradient_by_step/{k:02d}": norm for k, norm in enumerate(norms)}
        return figures | {f"forget_gate/layer_{k}": gate for k, gate in enumerate(gates)}

    def _speed(self) -> dict[str, float]:
        now, done = time.perf_counter(), self.progress.questions
        speed = (done - self._logged_questions) / max(1e-9, now - self._logged_at)
        self._logged_questions, self._logged_at = done, now
        return {SPEED: round(speed, 1)}

    def _log(self, values: dict[str, float]) -> None:
        epoch = (self.progress.batches - 1) // self.module.batches_an_epoch
        self.mirrors.log(self.journal.log(self.progress.steps, epoch, values))
        if self.first and (remark := self._contention.remark()):
            self.session.run.event("warning", message=remark)
            self.display.say(f"vqa: {remark}")

    def _after_epoch(self, trainer: Trainer, epoch: int) -> None:
        self.module.watch.look()
        if self.module.batches_seen:
            self._shown_loss = self._loss()
        shown = {"loss": self._shown_loss}
        if self.validation is not None and self._is_validated(self.progress.batches):
            shown["val accuracy"] = self._validate(trainer, self.validation)
        self.display.epoch(epoch, shown)
        if self.progress.stopped_early:
            self.display.say(
                f"vqa: stopped early: validations without a gain: {self.progress.waited}"
            )
        self._save_is_due = True

    def _validate(self, trainer: Trainer, validation: Validation) -> float:
        started = time.perf_counter()
        leave = self._leaving() if self.progress.validation_seconds > LONG_SECONDS else None
        rank, world = trainer.global_rank, trainer.world_size
        accuracy = validation.accuracy(self.predictor, rank, world, leave)
        taken = longest(time.perf_counter() - started, self.session.device)
        self.progress.validation_seconds = taken
        self._log({VALIDATED: accuracy})
        if judge(self.progress, accuracy, self.config.early_stopping):
            self.progress.best_seconds = self._seconds()
            if self.first:
                self.checkpoints.save_best(self.module.network.state_dict(), self.progress.steps)
        return accuracy

    def _leaving(self) -> Callable[[int], None]:
        """What leaves a validation where the run is to stop: the step that led here, saved before, is done again."""
        vote = Vote(0)

        def look(batches: int) -> None:
            if self._stop_is_agreed(vote, batches):
                self.progress.take(self._saved)
                raise Stopped(str(self.signals.agreed))

        return look

    def _save_or_stop(self, trainer: Trainer, last: bool) -> None:
        """Save between two steps alone: a half accumulated gradient is in no checkpoint."""
        if not (self._is_step(self.progress.batches) or last):
            return
        stop = self._stop_is_agreed(self._vote, self.progress.steps)
        if self._save_is_due or stop or last:
            self.module.watch.look()
            self._save(trainer)
            self._save_is_due = False
        if stop or self.progress.stopped_early:
            trainer.should_stop = True

    def _stop_is_agreed(self, vote: Vote, done: int) -> bool:
        """Whether a signal ends the run here; several processes vote, so that all stop at one step, or batch."""
        if self.session.place.world == 1:
            self.signals.agreed = self.signals.status
        elif done >= vote.due:
            self.signals.agreed = vote.take(done, self.signals.status, self.session.device)
        return self.signals.agreed is not None

    def _seconds(self) -> float:
        """Training time so far, over all lives of the run."""
        return self.progress.train_seconds + time.perf_counter() - self._clock

    def _save(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        self.progress.train_seconds += now - self._clock
        self._clock = now
        self.journal.sync()
        self.progress.journal_bytes = self.journal.size
        own = {"random": random_states(), "loss_sum": _on_cpu(self.module.loss_sum)}
        every = gather(own, trainer.world_size)
        if self.first:
            self.checkpoints.save(self._state(trainer, every), self.progress.steps)
        self._saved = self.progress.to_state()

    def _state(self, trainer: Trainer, every: list[dict[str, Any]]) -> State:
        """Of the whole run; `every` process's own parts among it."""
        module = self.module
        return {
            "network": module.network.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
            "progress": self.progress.to_state(),
            "figures": {name: getattr(module, name) for name in module.FIGURES},
            "random": [own["random"] for own in every],
            "loss_sums": [own["loss_sum"] for own in every],
            "data_fingerprint": self.session.materials.store.fingerprint,
            "training_questions": len(self.session.materials.train),
            "regions_fingerprint": self.session.materials.regions,
        }

    def _restore(self, trainer: Trainer, state: State) -> None:
        trainer.optimizers[0].load_state_dict(state["optimizer"])
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["schedule"])
        if state["precision"]:
            trainer.precision_plugin.load_state_dict(state["precision"])
        figures = dict(state["figures"])
        if "loss_sums" in state:  # an older program kept the first process's alone
            figures["loss_sum"] = state["loss_sums"][trainer.global_rank]
        for name, value in figures.items():
            moved = value.to(self.module.device) if isinstance(value, Tensor) else value
            setattr(self.module, name, moved)
        restore_random_states(state["random"][trainer.global_rank])


def _whole(batch: Batch) -> int:
    """Questions of a training batch over all processes."""
    assert batch.whole is not None
    return batch.whole


def _on_cpu(value: Tensor | float) -> Tensor | float:
    return value.cpu() if isinstance(value, Tensor) else value


def _mean(total: Tensor | float, count: Tensor | float) -> float:
    return float(total) / max(1.0, float(count))
