"""On a device that is no CPU every brick keeps all its tensors there, and waits for none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tests.imaginary_gpu import GPU, imagined
from tests.model.combinations import COMBINATIONS, SIZES, TinyCNN, config_of, looked_at
from tests.model.test_gpu_bricks import there
from vqa.model.question_encoder import recurrent
from vqa.model.question_encoder.packed import run_packed
from vqa.model.types import Choices, Targets


def _holding_each_brick() -> list[tuple[str, ...]]:
    """Of the combinations of every pair, those that hold a brick that none before holds."""
    seen: set[tuple[int, str]] = set()
    chosen = []
    for names in COMBINATIONS:
        if not seen.issuperset(enumerate(names)):
            chosen.append(names)
            seen.update(enumerate(names))
    return chosen


@pytest.mark.parametrize("names", [pytest.param(n, id="-".join(n)) for n in _holding_each_brick()])
def test_nothing_lies_elsewhere_or_is_waited_for(
    names: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tiny_bert: Path,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: TinyCNN())
    monkeypatch.setattr(recurrent, "run_torch", run_packed)  # cuDNN wants a driver
    network = config_of(names, tiny_bert).build(SIZES)
    images = looked_at(names)
    with imagined():
        network.to(GPU)
        batch = [there(part, GPU) for part in (images, image_of_question, words, choices)]
        output = network(*batch)
        asked = Targets(*(part.to(GPU) for part in targets))
        loss = network.loss(output, asked, batch[3]).total
        loss.backward()
        assert loss.device.type == output.scores.device.type == GPU.type
        trained = [p for p in network.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.device.type == GPU.type for p in trained)
        with torch.no_grad():
            assert network.eval()(*batch).scores.device.type == GPU.type
