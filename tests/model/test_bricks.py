"""What every member of every union keeps to: shapes, gradients, state, precision, determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import pytest
import torch
from jaxtyping import TypeCheckError
from pydantic import TypeAdapter
from torch import Tensor, nn

from vqa.model.attention import AnyAttention
from vqa.model.fusion import AnyFusion
from vqa.model.head import AnyHead
from vqa.model.image_encoder import AnyImageEncoder
from vqa.model.question_encoder import AnyQuestionEncoder
from vqa.model.types import EncodedText

WORDS, ANSWERS = 12, 5
SIZE = (32, 24)
GRID, IMAGE_DIM, QUESTION_DIM, CHOICE_DIM = (2, 3), 7, 6, 4

# Small and varied forms; a member that is not named here is tested as it is by default.
FORMS: dict[str, list[dict[str, Any]]] = {
    "small": [
        {"channels": (4, 6), "strides": (2, 4)},
        {"channels": (4, 6), "strides": (1, 3), "kernel": 5, "downsample": "pool"},
    ],
    "torchvision": [{"model": "squeezenet1_1", "stage": "features.4", "normalize": True}],
    "rnn": [{"dim": 5, "embedding_dim": 4}],
    "gru": [{"dim": 5, "embedding_dim": 4, "layers": 2, "bidirectional": True}],
    "lstm": [
        {"dim": 5, "embedding_dim": 4, "layers": 3, "dropout": 0.1, "embedding_dropout": 0.1},
        {"dim": 5, "embedding_dim": 4, "bidirectional": True},
    ],
    "transformers": [{"pooling": "mean"}, {"pooling": "cls"}],
    "attention-none": [{"pool": "mean"}, {"pool": "flatten"}],
    "soft": [{"glimpses": 2, "hidden": 5, "dropout": 0.1}, {"hidden": 5, "activation": "tanh"}],
    "stacked": [{"dim": 8, "hidden": 5}, {"dim": QUESTION_DIM, "hidden": 5, "hops": 3}],
    "concat": [{"hidden": (9, 8)}, {"hidden": ()}],
    "classifier": [{"hidden": (9,), "dropout": 0.1}, {"loss": "soft_bce"}],
}


class Case(NamedTuple):
    """One form of one brick, how it is built, and how it is called."""

    config: Any
    build: Callable[[], nn.Module]
    call: Callable[[nn.Module], Tensor]
    shape: tuple[int, ...]


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
    if name == "transformers":
        fields = {**fields, "model": str(request.getfixturevalue("tiny_bert"))}
    return CASES[family](member(**fields), request.getfixturevalue)


def _image_case(config: Any, get: Callable[[str], Any]) -> Case:
    images = torch.rand(3, 3, *SIZE)
    built = config.build(SIZE)
    assert built.positions == built.grid[0] * built.grid[1]
    shape = (3, built.positions, built.dim)
    return Case(config, lambda: config.build(SIZE), lambda module: module(images), shape)


def _question_case(config: Any, get: Callable[[str], Any]) -> Case:
    words = get("words")
    shape = (6, config.build(WORDS).dim)
    return Case(config, lambda: config.build(WORDS), lambda module: module(words).vector, shape)


def _attention_case(config: Any, get: Callable[[str], Any]) -> Case:
    grid, question = torch.randn(3, 6, IMAGE_DIM), EncodedText(torch.randn(6, QUESTION_DIM))
    where = get("image_of_question")

    def build() -> nn.Module:
        return config.build(IMAGE_DIM, GRID, QUESTION_DIM)

    return Case(config, build, lambda m: m(grid, question, where).vector, (6, build().dim))


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
    (output * torch.randn_like(output)).sum().backward()
    dead = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


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
