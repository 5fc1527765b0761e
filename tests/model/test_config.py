"""The model's part of an experiment, before torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from vqa.model.attention import AnyAttention
from vqa.model.config import ModelConfig
from vqa.model.fusion import AnyFusion
from vqa.model.head import AnyHead
from vqa.model.image_encoder import AnyImageEncoder
from vqa.model.question_encoder import AnyQuestionEncoder

UNIONS = {
    "image_encoder": AnyImageEncoder,
    "question_encoder": AnyQuestionEncoder,
    "attention": AnyAttention,
    "fusion": AnyFusion,
    "head": AnyHead,
}
MEMBERS = [
    pytest.param(family, member, id=f"{family}-{member.model_fields['name'].default}")
    for family, union in UNIONS.items()
    for member in get_args(get_args(union)[0])
]
REQUIRED: dict[str, dict[str, Any]] = {"transformers": {"model": "some/folder"}}


@pytest.mark.parametrize("module", ["config", *UNIONS])
def test_configuration_imports_no_torch(module: str) -> None:
    code = f"import sys, vqa.model.{module}; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("family", "member"), MEMBERS)
def test_every_brick_round_trips_through_plain_data(family: str, member: Any) -> None:
    name = member.model_fields["name"].default
    brick = member(**REQUIRED.get(name, {}))
    adapter = TypeAdapter(UNIONS[family])
    assert adapter.validate_python(brick.model_dump(mode="json")) == brick
    assert adapter.validate_json(brick.model_dump_json()) == brick


@pytest.mark.parametrize(("family", "member"), MEMBERS)
def test_every_brick_is_frozen_closed_and_explained(family: str, member: Any) -> None:
    name = member.model_fields["name"].default
    brick = member(**REQUIRED.get(name, {}))
    with pytest.raises(ValidationError, match="frozen"):
        brick.name = "other"
    with pytest.raises(ValidationError, match="no_such_key"):
        member(**REQUIRED.get(name, {}), no_such_key=1)
    assert member.__doc__


@pytest.mark.parametrize(
    ("family", "member"), [m for m in MEMBERS if not m.id.endswith("transformers")]
)
def test_a_name_alone_is_a_brick(family: str, member: Any) -> None:
    name = member.model_fields["name"].default
    assert TypeAdapter(UNIONS[family]).validate_python(name) == member()


def test_the_default_model() -> None:
    config = ModelConfig()
    names = [getattr(config, family).name for family in UNIONS]
    assert names == ["small", "lstm", "none", "multiply", "classifier"]
    assert not config.coordinates
    assert not config.reads_choices


def test_a_whole_model_round_trips() -> None:
    config = ModelConfig.model_validate(
        {
            "image_encoder": {"name": "small", "channels": [8, 16], "strides": [2, 4]},
            "question_encoder": "none",
            "attention": {"name": "soft", "glimpses": 2},
            "head": {"name": "chooser", "encoder": {"name": "gru", "layers": 2}},
            "coordinates": True,
        }
    )
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.reads_choices


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fusion": "multiplication"}, "multiply"),
        ({"fusion": {"name": "multiply", "dim": 0}}, "greater than or equal to 1"),
        ({"fusion": {"name": "multiply", "dropout": 1.0}}, "less than 1"),
        ({"fusion": {"dim": 3}}, "name"),
        ({"question_encoder": {"name": "bag", "pooling": "forgetting", "keep": 1}}, "less than 1"),
        ({"question_encoder": {"name": "lstm", "layers": 5}}, "less than or equal to 4"),
        ({"question_encoder": {"name": "gru", "forget_bias": 1}}, "forget_bias"),
        ({"question_encoder": {"name": "gru", "freeze_vectors": True}}, "freeze_vectors"),
        ({"question_encoder": "transformers"}, "model"),
        ({"attention": {"name": "soft", "glimpses": 0}}, "greater than or equal to 1"),
        ({"image_encoder": {"name": "small", "channels": []}}, "channels"),
        ({"image_encoder": {"name": "small", "channels": [8], "strides": [2, 2]}}, "1 channels"),
        ({"image_encoder": {"name": "torchvision", "frozen": True, "lr": 1}}, "learning rate"),
        (
            {"question_encoder": {"name": "transformers", "model": "m", "frozen": True, "lr": 1}},
            "learning rate",
        ),
        ({"question_encoder": "none", "head": "chooser"}, "give it its own"),
        ({"fusion": "image"}, "attention=none has not read the question"),
        ({"fusion": "image", "attention": "co_attention"}, "question vector that co_attention"),
        (
            {
                "question_encoder": {"name": "gru", "pooling": "attention"},
                "attention": "co_attention",
            },
            "pooling=last",
        ),
        (
            {
                "question_encoder": {"name": "gru", "pooling": "attention"},
                "attention": "conv_gru",
                "fusion": "image",
            },
            "conv_gru reads the words itself.*pooling=last",
        ),
        ({"question_encoder": {"name": "gru", "glimpses": 2}}, "2 glimpses need pooling"),
        ({"question_encoder": {"name": "bag", "freeze_vectors": True}}, "freeze_vectors"),
        (
            {"attention": {"name": "multi_head", "heads": 3, "dim": 8}},
            "3 heads do not divide dim 8",
        ),
        ({"attention": {"name": "hard", "estimator": "guess"}}, "straight-through"),
        (
            {"fusion": {"name": "mlb", "dim": 60000, "rank": 60000}},
            r"60000×60000 has 3,600,000,000 values",
        ),
        ({"fusion": {"name": "concat", "hidden": [65536, 65536]}}, r"a layer of 65536×65536 has"),
        (
            {"fusion": {"name": "concat_mlp", "hidden": [65536, 65536]}},
            r"a layer of 65536×65536 has",
        ),
        ({"head": {"name": "classifier", "hidden": [65536, 2000]}}, r"a layer of 65536×2000 has"),
        ({"attention": {"name": "relation", "hidden": [9000, 9000]}}, r"a layer of 9000×9000 has"),
        ({"attention": {"name": "film", "dim": 4096}}, r"convolution of 4096×4096×3×3 has"),
        ({"attention": {"name": "conv_gru", "dim": 4096}}, r"convolution of 12288×4096×3×3 has"),
        ({"attention": {"name": "relation", "hidden": []}}, "at least 1 item"),
        ({"image_encoder": {"name": "torchvision", "stage": []}}, "at least 1 item"),
        ({"image_encoder": {"name": "backbone", "frozen": True, "lr": 1}}, "learning rate"),
        ({"octaves": 17}, "less than or equal to 16"),
        ({"fusion": {"name": "block", "dim": 10, "chunks": 3}}, "3 chunks do not divide dim 10"),
        ({"head": {"name": "chooser", "encoder": "none"}}, "encoder"),
    ],
)
def test_a_wrong_model_is_refused_with_the_reason(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"fusion": "image", "attention": "relation"},
        {"fusion": "image", "attention": "film", "coordinates": True},
        {"fusion": "image", "question_encoder": "none"},
        {"attention": "conv_gru", "question_encoder": {"name": "gru", "pooling": "attention"}},
        {"image_encoder": {"name": "torchvision", "stage": ["layer3", "layer4"]}},
    ],
)
def test_such_models_are_meant(fields: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(fields)
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_a_tokenizer_comes_with_transformers_alone() -> None:
    for name in ("lstm", "none"):
        config = ModelConfig.model_validate({"question_encoder": name})
        assert config.question_encoder.tokenizer is None
    own = ModelConfig.model_validate({"question_encoder": {"name": "transformers", "model": "a/b"}})
    assert own.question_encoder.tokenizer == "a/b"
