"""Features of every kind of frozen encoder: what the file holds is what the encoder says of the picture."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import VIT
from vqa.config import Experiment
from vqa.data.cache.features import features_layout, weights_digest
from vqa.data.cache.pictures import decode_pictures
from vqa.data.cache.rule import storage
from vqa.data.store import Store
from vqa.data.supply import Request, find_supply, make_features
from vqa.errors import VQAError

Make = Callable[..., Experiment]
CPU = torch.device("cpu")
TINY = {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8, "layer_type": "basic"}
ENCODERS: dict[str, dict[str, Any]] = {
    "small": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
    "torchvision": {"name": "torchvision", "model": "resnet18", "stage": "layer1"},
    "torchvision, two stages": {
        "name": "torchvision",
        "model": "shufflenet_v2_x0_5",
        "stage": ["stage2", "stage3"],
        "normalize": True,
    },
    "backbone": {"name": "backbone", "model": "resnet", "settings": TINY, "normalize": True},
    "vision": {"name": "backbone", "model": "vit", "settings": VIT},
    "timm": {"name": "timm", "model": "resnet18", "stage": 1},
}


@pytest.fixture
def store(scenes_store: Path, tmp_path: Path) -> Store:
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rows_are_what_the_encoder_says(
    experiment: Make, store: Store, name: str, dtype: str
) -> None:
    if name == "timm" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    torch.manual_seed(0)
    made = experiment(
        data={"store": str(store.path), "image_size": 32, "features": dtype},
        model={"image_encoder": ENCODERS[name] | {"frozen": True}},
    )
    encoder = made.model.image_encoder.build((32, 32)).train()
    rows = np.asarray([0, 3, 4, 59])
    request = Request(rows, 1000, False, pytest.fail)
    supply = make_features(store, made, encoder, CPU, request)
    assert encoder.training
    grid = supply.bank(rows, resident=True).fetch(np.arange(4))
    assert grid.shape == (4, encoder.positions, encoder.dim)
    with torch.no_grad():
        pictures = decode_pictures(store, (32, 32), "stretch", rows).float() / 255
        said = encoder.eval()(pictures)
    close = {"float16": 1e-3, "bfloat16": 8e-3}[dtype]
    assert torch.allclose(grid.float(), said, rtol=close, atol=1e-4)
    if ENCODERS[name].get("normalize"):
        assert torch.allclose(grid.float().norm(dim=2), torch.ones(()), atol=1e-2)
    found = find_supply(store, made, encoder, CPU, rows)
    assert torch.equal(found.bank(rows, resident=False).fetch(np.arange(4)), grid)
    assert find_supply(store, made, encoder, CPU, np.arange(60)).file is None


def test_what_overflows_is_refused(experiment: Make, store: Store) -> None:
    made = experiment(
        data={"store": str(store.path), "features": "float16"},
        model={"image_encoder": ENCODERS["small"] | {"frozen": True}},
    )
    encoder = made.model.image_encoder.build((16, 16))
    encoder.stages[-1][1].weight.data.fill_(1e8)
    request = Request(np.arange(60), 1000, False, pytest.fail)
    with pytest.raises(VQAError, match=r"beyond torch.float16 — use data.features=bfloat16"):
        make_features(store, made, encoder, CPU, request)


def test_the_type_follows_the_precision_unless_it_is_named(experiment: Make) -> None:
    half = {"trainer": {"precision": "bf16-mixed"}}
    assert storage(experiment()) == "float16"
    assert storage(experiment(**half)) == "bfloat16"
    assert storage(experiment(data={"features": "float16"}, **half)) == "float16"


def test_weights_count_by_their_content(experiment: Make, store: Store, tmp_path: Path) -> None:
    made = experiment(model={"image_encoder": ENCODERS["small"] | {"frozen": True}})
    encoder = made.model.image_encoder.build((16, 16))
    torch.save(encoder.state_dict(), tmp_path / "weights.pt")
    loaded = ENCODERS["small"] | {"frozen": True, "weights": str(tmp_path / "weights.pt")}
    again = experiment(model={"image_encoder": loaded})
    same = again.model.image_encoder.build((16, 16))
    assert weights_digest(same) == weights_digest(encoder)
    assert features_layout(store, again, same) == features_layout(store, made, encoder)
    same.stages[0][1].running_mean[0] += 1
    assert features_layout(store, again, same).name != features_layout(store, made, encoder).name
