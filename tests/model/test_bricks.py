"""What every member of every union keeps to: shapes, gradients, state, precision, determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import pytest
import torch
from jaxtyping import TypeCheckError
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from tests.tiny import VIT
from vqa.model.attention import AnyAttention
from vqa.model.fusion import AnyFusion
from vqa.model.head import AnyHead
from vqa.model.image_encoder import AnyImageEncoder
from vqa.model.question_encoder import AnyQuestionEncoder
from vqa.model.types import EncodedText

TINY = {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1], "layer_type": "basic"}
WORDS, ANSWERS = 12, 5
SIZE = (32, 24)
GRID, IMAGE_DIM, QUESTION_DIM, CHOICE_DIM = (2, 3), 7, 6, 4

# Small and varied forms; a member that is not named here is tested as it is by default.
FORMS: dict[str, list[dict[str, Any]]] = {
    "small": [
        {"channels": (4, 6), "strides": (2, 4)},
        {"channels": (4, 6), "strides": (1, 3), "kernel": 5, "downsample": "pool"},
    ],
    "torchvision": [
        {"model": "squeezenet1_1", "stage": "features.4", "normalize": True},
        {"model": "squeezenet1_1", "stage": ("features.4", "features.7"), "normalize": True},
    ],
    "backbone": [
        {"settings": TINY},
        {"settings": TINY, "stage": ("stage2", "stage1"), "normalize": True},
        {"settings": TINY, "stage": "stage1"},
        {"model": "vit", "settings": VIT, "stage": ("stage2", "stage1")},
    ],
    "timm": [{"model": "test_efficientnet", "stage": (1, 0)}],
    "regions": [
        {"count": 4, "dim": 5},
        {"count": 4, "dim": 5, "boxes": True, "normalize": True},
    ],
    "bag": [
        {"embedding_dim": 5},
        {"embedding_dim": 5, "pooling": "sum", "embedding_dropout": 0.1},
        {"embedding_dim": 5, "pooling": "forgetting"},
    ],
    "rnn": [{"dim": 5, "embedding_dim": 4}],
    "gru": [{"dim": 5, "embedding_dim": 4, "layers": 2, "bidirectional": True}],
    "lstm": [
        {"dim": 5, "embedding_dim": 4, "layers": 3, "dropout": 0.1, "embedding_dropout": 0.1},
        {"dim": 5, "embedding_dim": 4, "bidirectional": True},
        {"dim": 5, "pooling": "attention", "glimpses": 2, "bidirectional": True, "dropout": 0.1},
    ],
    "transformers": [{"pooling": "mean"}, {"pooling": "cls"}],
    "attention-none": [{"pool": "mean"}, {"pool": "flatten"}],
    "soft": [{"glimpses": 2, "hidden": 5, "dropout": 0.1}, {"hidden": 5, "activation": "tanh"}],
    "hard": [
        {"hidden": 5, "glimpses": 2},
        {"hidden": 5, "glimpses": 2, "meeting": "product", "estimator": "reinforce"},
    ],
    "stacked": [{"dim": 8, "hidden": 5}, {"dim": QUESTION_DIM, "hidden": 5, "hops": 3}],
    "multi_head": [{"dim": 8, "heads": 2}, {"dim": 8, "heads": 1, "dropout": 0.1}],
    "co_attention": [
        {"hidden": 5, "dropout": 0.1},
        {"hidden": 5, "order": "alternating", "dropout": 0.1},
    ],
    "relation": [
        {"hidden": (8, 9), "dropout": 0.1},
        {"hidden": (8,), "ordered": False, "normalize": True},
    ],
    "film": [{"blocks": 2, "dim": 8, "out": 9}, {"blocks": 1, "dim": 8, "coordinates": False}],
    "conv_gru": [{"dim": 8, "hidden": 5, "dropout": 0.1}, {"dim": 4, "hidden": 5, "kernel": 1}],
    "concat": [{"hidden": (9, 8)}, {"hidden": ()}],
    "concat_mlp": [{"hidden": (9, 8), "dropout": 0.1}],
    "gated_tanh": [{"dim": 8, "dropout": 0.1}],
    "bilinear": [{"dim": 8, "rank": 3, "dropout": 0.1}],
    "mlb": [{"dim": 8, "rank": 9, "dropout": 0.1}],
    "mcb": [{"dim": 24}, {"dim": 9, "normalize": False}],
    "tucker": [{"dim": 8, "image_dim": 5, "question_dim": 4, "dropout": 0.1}],
    "mutan": [{"dim": 8, "image_dim": 5, "question_dim": 4, "rank": 3, "dropout": 0.1}],
    "mfb": [{"dim": 8, "factor": 3}],
    "mfh": [{"dim": 4, "factor": 3, "orders": 3}],
    "block": [
        {"dim": 12, "chunks": 3, "rank": 2},
        {"dim": 8, "chunks": 1, "rank": 8, "normalize": False, "dropout": 0.1},
    ],
    "classifier": [{"hidden": (9,), "dropout": 0.1}, {"loss": "soft_bce"}],
}


class Case(NamedTuple):
    """One form of one brick, how it is built, how it is called, and what it learns from beside its output."""

    config: Any
    build: Callable[[], nn.Module]
    call: Callable[[nn.Module], Tensor]
    shape: tuple[int, ...]
    added: Callable[[nn.Module], Tensor | None] = lambda _: None


def forms(family: str, union: Any) -> Iterator[Any]:
    for member in get_args(get_args(union)[0]):
        name = member.model_fields["name"].default
        variants = FORMS.get(f"{family}-{name}", FORMS.get(name, [{}]))
        for number, fields in enumerate(variants):
            yield pytest.param(family, member, fields, id=f"{family}-{name}-{number}")


UNIONS = {
    "image_encoder": AnyImageEncoder,
    "question_encoder": AnyQuestionEncoder,
    "attention": AnyAttention,
    "fusion": AnyFusion,
    "head": AnyHead,
}
BRICKS = [form for family, union in UNIONS.items() for form in forms(family, union)]


@pytest.fixture
def case(family: str, member: Any, fields: dict[str, Any], request: pytest.FixtureRequest) -> Case:
    name = member.model_fields["name"].default
    if name == "timm":
        pytest.importorskip("timm")
    if name == "transformers":
        fields = {**fields, "model": str(request.getfixturevalue("tiny_bert"))}
    return CASES[family](member(**fields), request.getfixturevalue)


def _image_case(config: Any, get: Callable[[str], Any]) -> Case:
    images = torch.rand(3, 3, *SIZE)
    if config.name == "regions":  # rows as they are kept, boxes included
        images = torch.rand(3, config.count, config.dim + 6)
    built = config.build(SIZE)
    assert built.positions == built.grid[0] * built.grid[1]
    shape = (3, built.positions, built.dim)
    return Case(config, lambda: config.build(SIZE), lambda module: module(images), shape)


def _question_case(config: Any, get: Callable[[str], Any]) -> Case:
    words = get("words")
    shape = (6, config.build(WORDS).dim)
    return Case(config, lambda: config.build(WORDS), lambda module: module(words).vector, shape)


def _attention_case(config: Any, get: Callable[[str], Any]) -> Case:
    states = pack_sequence([torch.randn(n, QUESTION_DIM) for n in (3, 5, 1, 4, 5, 2)], False)
    question = EncodedText(torch.randn(6, QUESTION_DIM), states=states)
    grid, where = torch.randn(3, 6, IMAGE_DIM), get("image_of_question")

    def build() -> nn.Module:
        return config.build(IMAGE_DIM, GRID, QUESTION_DIM)

    def call(module: nn.Module) -> Tensor:
        attended = module(grid, question, where)
        if attended.question is None:
            return attended.vector
        assert attended.question.shape == (6, QUESTION_DIM)
        return torch.cat((attended.vector, attended.question), dim=1)

    def added(module: nn.Module) -> Tensor | None:
        return module.loss(module(grid, question, where), torch.rand(6))

    both = config.name == "co_attention"
    return Case(config, build, call, (6, build().dim + QUESTION_DIM * both), added)


def _fusion_case(config: Any, get: Callable[[str], Any]) -> Case:
    image, question = torch.randn(6, IMAGE_DIM), torch.randn(6, QUESTION_DIM)

    def build() -> nn.Module:
        return config.build(IMAGE_DIM, QUESTION_DIM)

    return Case(config, build, lambda module: module(image, question), (6, build().dim))


def _head_case(config: Any, get: Callable[[str], Any]) -> Case:
    fused, offered, choices = torch.randn(6, 8), torch.randn(4, CHOICE_DIM), get("choices")
    shape = (12,) if config.name == "chooser" else (6, ANSWERS)

    def build() -> nn.Module:
        return config.build(8, ANSWERS, CHOICE_DIM)

    return Case(config, build, lambda module: module(fused, offered, choices), shape)


CASES = {
    "image_encoder": _image_case,
    "question_encoder": _question_case,
    "attention": _attention_case,
    "fusion": _fusion_case,
    "head": _head_case,
}
every_brick = pytest.mark.parametrize(("family", "member", "fields"), BRICKS)


@every_brick
def test_shape(case: Case) -> None:
    assert case.call(case.build()).shape == case.shape


@every_brick
def test_gradients_reach_every_parameter(case: Case) -> None:
    module = case.build()
    output = case.call(module)
    if not [*module.parameters()]:
        return
    added = case.added(module)
    ((output * torch.randn_like(output)).sum() + (0 if added is None else added)).backward()
    trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    dead = [n for n, p in trained if p.grad is None or not p.grad.any()]
    assert dead == []
    assert case.config.name in ("backbone", "timm") or len(trained) == len([*module.parameters()])


@every_brick
def test_state_round_trips(case: Case) -> None:
    module, other = case.build().eval(), case.build().eval()
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(case.call(other), case.call(module), rtol=0, atol=0)


@every_brick
def test_evaluation_is_deterministic(case: Case) -> None:
    module = case.build().eval()
    assert torch.equal(case.call(module), case.call(module))


@every_brick
def test_bfloat16_autocast_stays_close(case: Case) -> None:
    module = case.build().eval()
    with torch.autocast("cpu", torch.bfloat16):
        half = case.call(module)
    torch.testing.assert_close(half.float(), case.call(module), rtol=0.05, atol=0.05)


FUSIONS = [form for form in BRICKS if form.values[0] == "fusion"]


@pytest.mark.parametrize(("family", "member", "fields"), FUSIONS)
def test_zeros_have_finite_gradients(case: Case) -> None:
    """A black picture or a vector that dropout emptied: roots and lengths have infinite slopes there."""
    module = case.build()
    image = torch.zeros(6, IMAGE_DIM, requires_grad=True)
    question = torch.zeros(6, QUESTION_DIM, requires_grad=True)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.mul_(0 if name.endswith("bias") else 1)
    output = module(image, question)
    assert output.isfinite().all()
    gradients = torch.autograd.grad(
        output.square().sum() + output.sum(), [image, *module.parameters()], allow_unused=True
    )
    assert all(g.isfinite().all() for g in gradients if g is not None)


@every_brick
def test_the_random_state_decides_the_weights(case: Case) -> None:
    torch.manual_seed(3)
    first = case.build()
    torch.manual_seed(3)
    second = case.build()
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_shapes_are_checked_here() -> None:
    fusion = TypeAdapter(AnyFusion).validate_python("multiply").build(IMAGE_DIM, QUESTION_DIM)
    with pytest.raises(TypeCheckError):
        fusion(torch.randn(6, IMAGE_DIM), torch.randn(5, QUESTION_DIM))
