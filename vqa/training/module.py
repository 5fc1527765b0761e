"""The LightningModule: loss, optimiser, clipping; figures stay on the device until they are logged."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from typing_extensions import override

from vqa.config import Experiment
from vqa.data.batches import Batch, entering
from vqa.model.network import Network
from vqa.model.question_encoder.diagnostics import keep_gradient
from vqa.model.types import Output
from vqa.training.finite import FiniteWatch
from vqa.training.loader import TrainingBatches
from vqa.training.optimizer import build_optimizer, rate


class TrainingModule(LightningModule):
    """A network and how it learns.

    Attributes:
        output: what the network returned for the last batch, for diagnostics.
        watch: looks whether losses are finite.
        loss_sum, clipped, gradient_norm, steps_seen: running figures since they were last read, on the device; of the
            loss, this process's share.
    """

    FIGURES = ("loss_sum", "clipped", "gradient_norm", "batches_seen", "steps_seen")

    def __init__(
        self, network: Network, experiment: Experiment, total_steps: int, batches_an_epoch: int
    ) -> None:
        super().__init__()
        self.network, self.experiment = network, experiment
        self.total_steps, self.batches_an_epoch = total_steps, batches_an_epoch
        self.batches: TrainingBatches | None = None
        self.output: Output | None = None
        self.watch = FiniteWatch()
        self.keep_input_gradients = False
        self.reset_figures()
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]
            self, [f"network.{name}" for name in constants(network)]
        )

    def reset_figures(self) -> None:
        """Begin to count anew."""
        self.loss_sum: Tensor | float = 0.0
        self.clipped: Tensor | float = 0.0
        self.gradient_norm: Tensor | float = 0.0
        self.steps_seen: Tensor | int = 0
        self.batches_seen = 0

    @override
    def train_dataloader(self) -> TrainingBatches:
        """The stream that was handed in."""
        assert self.batches is not None
        return self.batches

    @override
    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Batches are made on the device."""
        return batch

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss over the batch's questions.

        Raises:
            NonFiniteLossError: it is NaN or infinite; on a GPU the loop asks later.
        """
        output = self.network(
            entering(batch.images),
            batch.image_of_question,
            batch.words,
            batch.choices,
            batch.text_of_question,
        )
        loss = self.network.loss(output, batch.targets, batch.choices)
        self.watch.see(loss.total, batch.index, self.global_step)
        if self.keep_input_gradients:
            keep_gradient(output.text)
        self.output = output
        self.loss_sum += loss.answers.detach() * batch.share
        self.batches_seen += 1
        return loss.total * batch.share

    @override
    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of all gradients together, and count how often that bites."""
        limit = self.experiment.trainer.gradient_clip_val
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        # The scaler leaves out a step that overflows.
        scaled = self.experiment.trainer.precision == "16-mixed"
        made, seen = (norm.isfinite(), norm.nan_to_num(0, 0, 0)) if scaled else (1, norm)
        self.gradient_norm += seen
        if limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)
            self.clipped += (seen > limit).float()
        self.steps_seen += made

    @override
    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule, stepped every optimiser step."""
        config = self.experiment.optimizer
        fused = self.experiment.trainer.precision != "16-mixed"
        optimizer = build_optimizer(
            self.network.parameter_groups(config.lr),
            config,
            matrices=self.network.matrices(),
            fused=fused,
        )
        together = self.experiment.trainer.accumulate_grad_batches
        factor = rate(config.schedule, self.total_steps, self.batches_an_epoch, together)
        schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def constants(network: Network) -> list[str]:
    """Buffers that all processes have alike from the beginning: of encoders that do not learn, and those that no state
    keeps. To send them at every step would take longer than many a step."""
    kept = network.state_dict().keys()
    still = tuple(
        f"{name}."
        for name, part in network.named_children()
        if name.endswith("_encoder") and not any(p.requires_grad for p in part.parameters())
    )
    return [n for n, _ in network.named_buffers() if n not in kept or n.startswith(still)]
