"""On a GPU every brick computes what it computes on a CPU; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tests.model.combinations import COMBINATIONS, SIZES, TinyCNN, config_of, looked_at, step
from tests.model.test_packed import LENGTHS, every_layer, everything, inputs_of
from vqa.model.network import Network
from vqa.model.question_encoder.packed import run_packed
from vqa.model.question_encoder.recurrent import run_torch
from vqa.model.types import Choices, Targets

# One of them where all are skipped.
SHOWN = COMBINATIONS if torch.cuda.is_available() else COMBINATIONS[:1]


def there(part: Any, device: torch.device) -> Any:
    """On `device`, but for the batch sizes of packed words, which torch wants on the CPU."""
    if isinstance(part, PackedSequence):
        data, sizes, *order = part
        return PackedSequence(data.to(device), sizes, *(one.to(device) for one in order))
    if isinstance(part, Choices):
        return Choices(*(there(one, device) for one in part))
    return part.to(device)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32, not in TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("names", [pytest.param(n, id="-".join(n)) for n in SHOWN])
def test_it_computes_what_a_cpu_computes(
    names: tuple[str, ...],
    gpu: torch.device,
    exact: None,
    monkeypatch: pytest.MonkeyPatch,
    tiny_bert: Path,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: TinyCNN())
    network = config_of(names, tiny_bert).build(SIZES)
    images = looked_at(names)
    batch = (images, image_of_question, words, choices)
    here = evaluated(network, batch)
    batch = tuple(there(part, gpu) for part in batch)
    network.to(gpu)
    found = evaluated(network, batch)
    assert found.device == gpu
    torch.testing.assert_close(found.cpu(), here, rtol=1e-3, atol=1e-4)
    with torch.autocast(gpu.type, torch.bfloat16):
        assert evaluated(network, batch).isfinite().all()
    asked = (Targets(*(part.to(gpu) for part in targets)), there(choices, gpu))
    assert step(network, batch, *asked) > 0
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def evaluated(network: Network, batch: tuple[Any, ...]) -> Tensor:
    """Scores in evaluation mode."""
    with torch.no_grad():
        scores: Tensor = network.eval()(*batch).scores
    return scores


@every_layer
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("run", [run_torch, run_packed])
def test_recurrent_layers_are_as_near_to_double_as_on_a_cpu(
    kind: Any, bidirectional: bool, run: Any, gpu: torch.device, exact: None
) -> None:
    """In float32 within rounding; in bfloat16 under autocast within its own."""
    layer = kind(24, 32, bidirectional=bidirectional)
    double = kind(24, 32, bidirectional=bidirectional).double()
    double.load_state_dict(layer.state_dict())
    inputs = inputs_of(LENGTHS, 24, torch.float32)
    doubled = inputs._replace(data=inputs.data.double())
    right = [one.detach() for one in everything(run_packed, double, doubled)]
    layer.to(gpu)
    moved = there(inputs, gpu)
    for mine, exact_one in zip(everything(run, layer, moved), right, strict=True):
        torch.testing.assert_close(mine.double().cpu(), exact_one, rtol=1e-4, atol=1e-4)
    with torch.autocast(gpu.type, torch.bfloat16):
        half = everything(run, layer, moved)
    assert half[0].dtype is torch.bfloat16
    for mine, exact_one in zip(half, right, strict=True):
        allowed = 0.05 * float(exact_one.abs().max()) + 0.02
        assert float((mine.detach().double().cpu() - exact_one).abs().max()) < allowed
