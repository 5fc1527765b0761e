"""What to watch in a recurrent encoder that learns: how far back it reaches, what it forgets."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder.recurrent import LayerRun, RecurrentEncoder
from vqa.model.types import EncodedText


def keep_gradient(text: EncodedText) -> bool:
    """Have the backward pass keep the gradient of the embedded words; False where there is none.

    There is none without a recurrent encoder, with frozen vectors, and where gradients are off.
    """
    if text.inputs is None or not text.inputs.data.requires_grad:
        return False
    text.inputs.data.retain_grad()
    return True


def gradient_norm_by_step(inputs: PackedSequence | None) -> Float[Tensor, " steps"]:
    """How strongly the loss depends on the word k steps before a question's end.

    Args:
        inputs: the embedded words; `keep_gradient` was called before the backward pass.

    Returns:
        At index k the norm of the loss's gradient at that word, in the mean over the questions that
        are long enough; index 0 is the last word. Empty where no gradient was kept. A loss scaled
        for half precision scales these likewise.
    """
    gradient = None if inputs is None else inputs.data.grad
    if inputs is None or gradient is None:
        return torch.zeros(0)
    present = _present(inputs.batch_sizes)
    back = present.sum(0) - 1 - torch.arange(len(present))[:, None]
    norms = gradient.detach().float().norm(dim=1)
    total = norms.new_zeros(len(present)).index_add(0, back[present].to(norms.device), norms)
    # As many questions reach back k steps as have more than k words.
    mean: Tensor = total / inputs.batch_sizes.to(norms.device)
    return mean


@torch.no_grad()
def forget_gates(encoder: QuestionEncoder, words: PackedSequence) -> Float[Tensor, " layers"]:
    """Each LSTM layer's mean forget gate over a batch, without dropout: 1 keeps all, 0 forgets all.

    Empty for an encoder without forget gates.
    """
    lstms = isinstance(encoder, RecurrentEncoder) and isinstance(encoder.layers[0], nn.LSTM)
    if not isinstance(encoder, RecurrentEncoder) or not lstms:
        return torch.zeros(0)
    training = encoder.training
    encoder.eval()
    try:
        runs = encoder.run(words)
    finally:
        encoder.train(training)
    layers = zip(encoder.layers, runs, strict=True)
    return torch.stack([_mean_forget_gate(layer, run) for layer, run in layers])


def _mean_forget_gate(layer: nn.Module, run: LayerRun) -> Float[Tensor, ""]:
    """The gates again from what went in and the states before: no step by step loop is needed."""
    weights = dict(layer.named_parameters())
    reverse = "weight_ih_l0_reverse" in weights
    states = run.states.data.chunk(2 if reverse else 1, dim=1)
    earlier = _neighbours(run.states.batch_sizes)
    gates = []
    for direction, suffix in enumerate(("l0", "l0_reverse")[: len(states)]):
        padded = torch.cat((states[direction], states[direction].new_zeros(1, states[0].shape[1])))
        before = padded[earlier[direction].to(padded.device)]
        input_weight, input_bias = (
            _forget(weights[f"{w}_ih_{suffix}"]) for w in ("weight", "bias")
        )
        state_weight, state_bias = (
            _forget(weights[f"{w}_hh_{suffix}"]) for w in ("weight", "bias")
        )
        gate = run.inputs.data @ input_weight.T + input_bias + before @ state_weight.T + state_bias
        gates.append(gate.sigmoid().mean())
    return torch.stack(gates).mean()


def _forget(parameter: Tensor) -> Tensor:
    """The forget gate's quarter; torch's order is input, forget, cell, output."""
    return parameter.chunk(4)[1]


def _present(batch_sizes: Int[Tensor, " steps"]) -> Bool[Tensor, "steps batch"]:
    """Which texts, longest first, still have a word at each step."""
    return torch.arange(int(batch_sizes[0])) < batch_sizes[:, None]


def _neighbours(batch_sizes: Int[Tensor, " steps"]) -> Int[Tensor, "2 words"]:
    """For each packed word the place of the word before and of the one after.

    Where there is none it is the number of words.
    """
    present = _present(batch_sizes)
    words = int(batch_sizes.sum())
    place = torch.full(present.shape, words)
    place[present] = torch.arange(words)
    nothing = torch.full_like(place[:1], words)
    before, after = torch.cat((nothing, place[:-1])), torch.cat((place[1:], nothing))
    return torch.stack((before[present], after[present]))
