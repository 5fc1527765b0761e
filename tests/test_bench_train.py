"""What `scripts/bench_train` compares is one function: with the same weights both sides give the same scores."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [name for name in sys.modules if name.startswith("bench_parts")]:
        del sys.modules[name]


def test_generated_questions_have_the_shapes_of_vqa2() -> None:
    from bench_parts.generated import ANSWERS, LONGEST, WORDS, questions

    made = questions(2000)
    lengths = np.diff(made.offsets)
    assert len(made) == round(5.36 * 2000)
    assert abs(lengths.mean() - 6.2) < 0.1
    assert lengths.max() <= LONGEST
    assert np.bincount(made.image).min() >= 3
    assert 1 <= made.tokens.min() <= made.tokens.max() <= WORDS
    assert made.answer_id.max() < ANSWERS
    assert ((made.answer_id >= 0) == (made.weight > 0)).all()


@pytest.mark.parametrize("name", ["grid", "pooled"])
def test_both_sides_compute_the_same(name: str) -> None:
    from bench_parts import ours, textbook
    from bench_parts.generated import ANSWERS, SHAPES, WORDS, questions

    from vqa.data.batches import pack
    from vqa.data.text import Texts
    from vqa.model.config import Sizes

    shape, made = SHAPES[name], questions(3)
    config = ours.experiment(shape, "32-true")
    network = config.model.build(
        Sizes(*config.data.image_size, WORDS + 1, ANSWERS), pretrained=False
    )
    net = (textbook.GridNet if shape.attention else textbook.PooledNet)()
    _copy(net, network)
    network.eval()
    net.eval()
    index, image = np.arange(6), torch.from_numpy(made.image[:6])
    raw = torch.rand(3, shape.channels, shape.positions)
    grid = torch.nn.functional.normalize(raw, dim=1).transpose(1, 2)
    words = pack(Texts(made.tokens, made.offsets), index, torch.device("cpu"))
    with torch.no_grad():
        mine = network.answer(grid, image, words).scores
        padded, lengths = _padded(made.tokens, made.offsets, index)
        theirs = net(raw[image], padded, lengths)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def _padded(
    tokens: np.ndarray, offsets: np.ndarray, index: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    texts = [torch.from_numpy(tokens[offsets[i] : offsets[i + 1]].astype(np.int64)) for i in index]
    padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    return padded, torch.tensor([len(text) for text in texts])


def _copy(net: torch.nn.Module, network: torch.nn.Module) -> None:
    """The textbook's weights into ours."""
    theirs = net.state_dict()
    places = {
        "encoder.embedding": "question_encoder.embedding",
        "encoder.lstm": "question_encoder.layers.0",
    }
    if "v_conv.weight" in theirs:
        places |= {
            "v_conv": "attention.project_image",
            "q_lin": "attention.project_question",
            "x_conv": "attention.score",
            "lin1": "fusion.layers.0.1",
            "lin2": "head.answer.1",
        }
    else:
        places |= {
            "v_lin": "fusion.project_image.1",
            "q_lin": "fusion.project_question.1",
            "lin1": "head.hidden.0.1",
            "lin2": "head.answer.1",
        }
    mine = network.state_dict()
    copied = set()
    for name, value in theirs.items():
        module, parameter = name.rsplit(".", 1)
        if f"{places[module]}.{parameter}" in mine:  # a bias of the scores moves all alike
            mine[f"{places[module]}.{parameter}"].copy_(
                value.view_as(mine[f"{places[module]}.{parameter}"])
            )
            copied.add(f"{places[module]}.{parameter}")
    left = {key for key in mine if not key.startswith("image_encoder.")} - copied
    assert not left
