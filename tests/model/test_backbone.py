"""Image encoders of `transformers` and timm: stages, folders, what is trained, what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vqa.errors import ModelError
from vqa.model.image_encoder import Backbone, Timm
from vqa.model.image_encoder.backbone import _statistics
from vqa.model.image_encoder.grid import join_scales

SETTINGS: dict[str, Any] = {"embedding_size": 4, "hidden_sizes": [4, 6, 8], "depths": [1, 1, 1]}


@pytest.fixture
def resnet_folder(tmp_path: Path) -> Path:
    """A small ResNet as `transformers` saves it, with its own preprocessing."""
    from transformers import ResNetBackbone, ResNetConfig

    folder = tmp_path / "resnet"
    ResNetBackbone(ResNetConfig(**SETTINGS)).save_pretrained(folder)
    fields = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(fields))
    return folder


def test_a_backbone_from_a_folder_has_its_weights_and_preprocessing(resnet_folder: Path) -> None:
    from transformers import ResNetBackbone

    config = Backbone(model=str(resnet_folder), stage=("stage2", "stage3"))
    encoder = config.build((32, 48)).eval()
    whole = ResNetBackbone.from_pretrained(resnet_folder, out_features=["stage2", "stage3"]).eval()
    images = torch.rand(2, 3, 32, 48)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.1, 0.2, 0.3])
    maps = whole((images - mean.view(3, 1, 1)) / std.view(3, 1, 1)).feature_maps
    expected = join_scales(maps).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder(images), expected)
    assert (encoder.dim, encoder.grid) == (14, (4, 6))


def test_a_backbone_by_its_name_has_the_preprocessing_of_that_name(
    resnet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's file, as its client would have fetched it."""
    asked = []

    def fetched(model: str, name: str, **_: Any) -> str:
        asked.append(model)
        return str(resnet_folder / name)

    monkeypatch.setattr("transformers.utils.hub.cached_file", fetched)
    mean, std = _statistics("owner/resnet")
    assert (mean, std, asked) == ([0.5, 0.4, 0.3], [0.1, 0.2, 0.3], ["owner/resnet"])


def test_what_the_hub_does_not_give_is_told() -> None:
    with pytest.raises(ModelError, match="cannot load this backbone"):
        _statistics("no such owner/resnet")


def test_a_backbones_weights_may_come_later(resnet_folder: Path) -> None:
    encoder = Backbone(model=str(resnet_folder)).build((32, 32)).eval()
    (resnet_folder / "model.safetensors").unlink()
    later = Backbone(model=str(resnet_folder)).build((32, 32), pretrained=False).eval()
    later.load_state_dict(encoder.state_dict())
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(later(images), encoder(images))


def test_building_moves_no_statistics() -> None:
    encoder = Backbone(settings=SETTINGS).build((64, 64))
    assert encoder.network.training
    means = [b for n, b in encoder.named_buffers() if n.endswith("running_mean")]
    assert means
    assert not any(mean.any() for mean in means)


def test_what_lies_behind_the_stage_is_not_trained() -> None:
    encoder = Backbone(settings=SETTINGS, stage="stage2").build((32, 32))
    frozen = {n for n, p in encoder.network.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(".stages.2." in name for name in frozen)
    frozen_whole = Backbone(settings=SETTINGS, frozen=True).build((32, 32)).train()
    assert not any(p.requires_grad for p in frozen_whole.parameters())
    assert not frozen_whole.network.training


@pytest.mark.parametrize("kind", ["resnet", "convnext", "convnextv2", "focalnet", "swin"])
def test_kinds_have_settings_of_their_own(kind: str) -> None:
    with torch.device("meta"):
        encoder = Backbone(model=kind).build((64, 64))
    assert encoder.dim >= 768


@pytest.mark.parametrize("kind", ["convnext", "swin", "dinov2"])
def test_backbones_of_other_kinds(kind: str) -> None:
    settings: dict[str, Any] = {
        "convnext": {"hidden_sizes": [4, 6, 8, 8], "depths": [1, 1, 1, 1]},
        "swin": {"embed_dim": 4, "depths": [1, 1], "num_heads": [1, 1], "image_size": 64},
        "dinov2": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2},
    }
    encoder = Backbone(model=kind, settings=settings[kind]).build((64, 64))
    grid = encoder(torch.rand(2, 3, 64, 64))
    assert grid.shape == (2, encoder.positions, encoder.dim)
    assert encoder.positions > 1
    grid.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "resnett"}, "cannot load this backbone.*a kind such as resnet"),
        ({"model": "no/such/folder"}, "cannot load this backbone"),
        ({"model": "timm_backbone"}, "timm_backbone has no stages of its own"),
        ({"stage": "stage9"}, "resnet has no stage 'stage9' — choose of: stem, stage1"),
        ({"stage": ("stage1", "stage9")}, "no stage 'stage9'"),
        ({"settings": {"depth": [1]}}, "no setting 'depth' — did you mean 'depths'"),
        (
            {"model": "clip", "settings": {"vision_config": {"patchsize": 8}}},
            r"settings\.vision_config: a clip has no setting 'patchsize' — did you mean 'patch_size'",
        ),
        ({"settings": {"depths": "many"}}, "cannot load this backbone"),
        ({"settings": {**SETTINGS, "layer_type": "odd"}}, "cannot load this backbone"),
    ],
)
def test_wrong_backbones_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Backbone(**fields).build((64, 64))


def test_wrong_backbone_folders_are_refused(resnet_folder: Path, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match=r"kind bert gives no grid.*siglip.*resnet"):
        Backbone(model=str(tiny_bert)).build((64, 64))
    with pytest.raises(ModelError, match="has its own"):
        Backbone(model=str(resnet_folder), settings={"depths": [1]}).build((64, 64))
    preprocessing = resnet_folder / "preprocessor_config.json"
    for text in (
        "{",
        '{"image_mean": 1}',
        '{"image_mean": [1, 2]}',
        '{"image_std": [0, 1, 1]}',
        "[]",
    ):
        preprocessing.write_text(text)
        with pytest.raises(ModelError, match="preprocessor_config"):
            Backbone(model=str(resnet_folder)).build((64, 64))
    preprocessing.unlink()
    (resnet_folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot load this backbone"):
        Backbone(model=str(resnet_folder)).build((64, 64))


def test_a_folder_whose_weights_do_not_fit_is_refused(resnet_folder: Path) -> None:
    """`transformers` would give random values to what is missing, and go on."""
    file = resnet_folder / "model.safetensors"
    state = load_file(file)
    others = {name.replace("encoder", "enc0der"): tensor for name, tensor in state.items()}
    save_file(others, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"tensors missing \(encoder\.stages.*whole model"):
        Backbone(model=str(resnet_folder), frozen=True).build((32, 32))
    uncounted = {n: tensor for n, tensor in state.items() if not n.endswith("num_batches_tracked")}
    assert len(uncounted) < len(state)
    save_file(uncounted, file, metadata={"format": "pt"})
    Backbone(model=str(resnet_folder)).build((32, 32))


def test_a_swin_without_the_backbones_own_norms_is_whole(tmp_path: Path) -> None:
    """As it was published, for classification."""
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(embed_dim=4, depths=[1, 1], num_heads=[1, 1], image_size=64)
    SwinModel(config).save_pretrained(tmp_path)
    assert Backbone(model=str(tmp_path)).build((64, 64)).dim == 8


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"timm is not installed — .*vqa-service\[timm\]"):
        Timm().build((64, 64))


class StandInNet(nn.Module):
    """Keeps to the part of timm's interface that is used: three stages and their grids."""

    feature_info = ({}, {}, {})
    pretrained_cfg: ClassVar = {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}

    def __init__(self) -> None:
        super().__init__()
        sides = [(3, 4), (4, 6), (6, 8)]
        self.stages = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in sides)

    def forward_intermediates(self, x: Tensor, indices: list[int], **options: Any) -> list[Tensor]:
        assert options == {"stop_early": True, "output_fmt": "NCHW", "intermediates_only": True}
        found = []
        for place, stage in enumerate(self.stages):
            x = stage(x)
            found += [x] if place in indices else []
        return found


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("timm")
    module.is_model = lambda name: name == "net"  # type: ignore[attr-defined]
    module.list_models = lambda: ["net"]  # type: ignore[attr-defined]
    module.create_model = lambda *_, **__: StandInNet()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", module)


def test_timms_stages_come_in_the_order_asked_for(stand_in: None, tmp_path: Path) -> None:
    whole = StandInNet()
    torch.save(whole.state_dict(), tmp_path / "net.pth")
    config = Timm(model="net", stage=(1, 0), weights=str(tmp_path / "net.pth"))
    encoder = config.build((32, 32))
    images = torch.rand(2, 3, 32, 32)
    first = whole.stages[0](encoder.standardize(images))
    expected = join_scales([whole.stages[1](first), first]).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder(images), expected)
    assert (encoder.dim, encoder.grid) == (10, (8, 8))
    assert [p.requires_grad for p in encoder.network.parameters()] == [True] * 4 + [False] * 2
    assert encoder.standardize.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert encoder.standardize.std.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "nett"}, "timm has no model 'nett' — did you mean net"),
        ({"stage": 3}, "net has 3 stages, and none 3 — choose of 0 … 2"),
        ({"stage": (0, -4)}, "none -4"),
        ({"weights": "missing.pth"}, "no such weight file"),
    ],
)
def test_wrong_timm_settings_are_refused(
    stand_in: None, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Timm(**{"model": "net", **fields}).build((32, 32))


def test_timm_itself() -> None:
    pytest.importorskip("timm")
    encoder = Timm(model="resnet18", stage=(-1, -2)).build((64, 64))
    assert (encoder.dim, encoder.grid) == (768, (2, 2))
    assert encoder(torch.rand(2, 3, 64, 64)).shape == (2, 4, 768)
    vit = Timm(model="vit_tiny_patch16_224").build((224, 224), pretrained=False)
    assert vit.standardize.mean.flatten().tolist() == [0.5] * 3
