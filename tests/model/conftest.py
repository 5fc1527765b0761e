"""Shape checks in every signature of the model, and small batches to feed it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

MODEL = Path(__file__).resolve().parents[2] / "vqa" / "model"


def _modules_with_tensors() -> list[str]:
    """All but the configurations, whose annotations name modules that they import lazily."""
    files = [f for f in MODEL.rglob("*.py") if f.name not in {"__init__.py", "config.py"}]
    return [".".join(("vqa", "model", *f.relative_to(MODEL).with_suffix("").parts)) for f in files]


install_import_hook(_modules_with_tensors(), "beartype.beartype")

import torch  # noqa: E402
from torch.nn.utils.rnn import PackedSequence, pack_sequence  # noqa: E402

from vqa.model.types import Choices, Targets  # noqa: E402

WORDS, ANSWERS = 12, 5

Texts = Callable[[Sequence[int]], PackedSequence]


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def texts() -> Texts:
    """Random texts of the lengths asked for, packed."""

    def make(lengths: Sequence[int]) -> PackedSequence:
        ids = [torch.randint(WORDS, (length,)) for length in lengths]
        return pack_sequence(ids, enforce_sorted=False)

    return make


@pytest.fixture
def words(texts: Texts) -> PackedSequence:
    """The questions of a batch of six."""
    return texts([3, 5, 1, 4, 5, 2])


@pytest.fixture
def images() -> torch.Tensor:
    """Three pictures."""
    return torch.rand(3, 3, 24, 32)


@pytest.fixture
def image_of_question() -> torch.Tensor:
    """Six questions on three pictures."""
    return torch.tensor([0, 0, 1, 2, 1, 0])


@pytest.fixture
def choices(texts: Texts) -> Choices:
    """Two, three, one, none, four, two choices; some texts stand twice, some are no answers."""
    return Choices(
        words=texts([1, 2, 1, 3]),
        text=torch.tensor([0, 1, 1, 2, 3, 0, 0, 1, 2, 3, 2, 0]),
        question=torch.tensor([0, 0, 1, 1, 1, 2, 4, 4, 4, 4, 5, 5]),
        answer_id=torch.tensor([0, 1, 1, -1, 3, 0, 0, 1, -1, 3, -1, 0]),
    )


@pytest.fixture
def targets() -> Targets:
    """One answer, several with weights, none in the vocabulary."""
    return Targets(
        answer_id=torch.tensor([[0, -1], [3, 1], [2, -1], [4, -1], [-1, -1], [1, 0]]),
        weight=torch.tensor([[1, 0], [1, 0.3], [0.6, 0], [1, 0], [0, 0], [0.5, 0.5]]),
        label=torch.tensor([1, 0, 0, -1, 3, -1]),
    )


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    return folder
