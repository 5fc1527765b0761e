"""Whether a network fits is known before it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vqa.errors import ModelError
from vqa.model.blueprint import blueprint, check_network
from vqa.model.config import ModelConfig, Sizes

SIZES = Sizes(64, 64, 5, 7)
FLAT = {"name": "none", "pool": "flatten"}
WIDE = {"attention": FLAT, "fusion": {"name": "concat", "hidden": [65536]}}
REGNET = {"image_encoder": {"name": "torchvision", "model": "regnet_y_400mf", "weights": "none"}}


def made(**fields: Any) -> ModelConfig:
    return ModelConfig.model_validate(fields)


@pytest.mark.parametrize(
    "fields", [{}, {"fusion": "mcb", "attention": FLAT}, REGNET], ids=["default", "mcb", "regnet"]
)
def test_its_parameters_are_those_of_the_network_and_nothing_is_drawn(
    fields: dict[str, Any],
) -> None:
    model = made(**fields)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    drawn = blueprint(model, SIZES)
    assert torch.equal(before, torch.get_rng_state())
    built = model.build(SIZES, pretrained=False)
    assert [p.shape for p in drawn.parameters()] == [p.shape for p in built.parameters()] != []


def test_a_network_that_nothing_holds_is_refused_with_the_numbers() -> None:
    told = r"the network would have [\d,]{13,} parameters, more than 2,147,483,648"
    with pytest.raises(ModelError, match=told):
        check_network(made(**WIDE), (512, 512), 3000)
    check_network(made(**WIDE), (64, 64), 3000)


@pytest.mark.parametrize(
    "fields",
    [
        {"question_encoder": {"name": "bag", "vectors": "nowhere.txt"}},
        {"question_encoder": {"name": "lstm", "vectors": "nowhere.txt"}},
        {"image_encoder": {"name": "small", "weights": "nowhere.pt"}},
    ],
)
def test_files_that_are_not_there_are_found_before_queueing(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"nowhere"):
        check_network(made(**fields), (64, 64), 10)


def test_vectors_of_another_width_are_found_before_queueing(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("red 1 2 3\n")
    words = {"name": "bag", "vectors": str(tmp_path / "v.txt"), "embedding_dim": 4}
    with pytest.raises(ModelError, match="3 values"):
        check_network(made(question_encoder=words), (64, 64), 10)


def test_a_network_is_checked_without_torchs_compiler() -> None:
    """Loading it takes longer than all else: whoever submits would wait for it."""
    code = """
import sys
from vqa.model.blueprint import check_network
from vqa.model.config import ModelConfig
model = {"coordinates": True, "octaves": 2, "attention": "soft", "fusion": "mutan"}
check_network(ModelConfig.model_validate(model), (64, 64), 100)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_blueprint_has_the_shapes_of_the_network() -> None:
    model = ModelConfig.model_validate({"coordinates": True, "attention": "soft", "fusion": "mfb"})
    sizes = Sizes(64, 64, 20, 30)
    drawn, built = blueprint(model, sizes), model.build(sizes)
    shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
    assert {name: tensor.shape for name, tensor in drawn.state_dict().items()} == shapes
    assert all(parameter.is_meta for parameter in drawn.parameters())


@pytest.mark.parametrize("attention", ["soft", "hard", "multi_head"])
def test_a_question_that_moves_no_score_is_found_before_queueing(attention: str) -> None:
    """Of one position the weight is one."""
    one = {"name": "small", "channels": [4], "strides": [8]}
    fields = {"image_encoder": one, "attention": attention, "fusion": "image"}
    with pytest.raises(ModelError, match=f"attention={attention} has one position to look at"):
        check_network(made(**fields), (8, 8), 10)
    check_network(made(**fields), (16, 8), 10)
    check_network(made(**fields, question_encoder="none"), (8, 8), 10)
    check_network(made(**{**fields, "fusion": "multiply"}), (8, 8), 10)
