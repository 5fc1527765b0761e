"""Vision models of `transformers` that are no backbones: their patches, their weights, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.tiny import LAYERS, VIT
from vqa.data.cache.features import weights_digest
from vqa.errors import ModelError
from vqa.model.image_encoder import Backbone

READS: dict[str, Any] = {**LAYERS, "vocab_size": 9, "bos_token_id": 1, "eos_token_id": 2}
CUT: dict[str, Any] = {**LAYERS, "num_patches": 4, "patch_size": 8}
HALVES: dict[str, Any] = {"text_config": READS, "vision_config": VIT}
UNREAD = ("pooler", "head", "post_layernorm", "mask_token")
MEAN, STD = [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]


def saved(folder: Path, kind: str, **settings: Any) -> Path:
    """A small model of a class of `transformers`, as it saves it, with a preprocessing of its own."""
    import transformers

    made = getattr(transformers, kind)
    made(made.config_class(**settings)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": MEAN, "image_std": STD})
    )
    return folder


def said(folder: Path, kind: str, images: Tensor, **options: Any) -> Any:
    """What the library's own class says of pictures, normalised."""
    import transformers

    network = getattr(transformers, kind).from_pretrained(folder).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    pixels = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
    return network(pixel_values=pixels, output_hidden_states=True, **options)


@pytest.mark.parametrize(
    ("kind", "settings", "seeing", "before"),
    [
        ("ViTModel", VIT, "ViTModel", 1),
        ("ViTForImageClassification", VIT, "ViTModel", 1),  # has no pooling layer
        ("DeiTModel", VIT, "DeiTModel", 2),
        ("ViTMSNModel", VIT, "ViTMSNModel", 1),
        ("IJepaModel", VIT, "IJepaModel", 0),
        ("Data2VecVisionModel", VIT, "Data2VecVisionModel", 1),
        ("CLIPModel", HALVES, "CLIPVisionModel", 1),
        ("CLIPVisionModelWithProjection", VIT, "CLIPVisionModel", 1),
        ("SiglipModel", HALVES, "SiglipVisionModel", 0),
        ("SiglipVisionModel", VIT, "SiglipVisionModel", 0),
    ],
)
def test_the_grid_is_the_librarys_last_hidden_state(
    kind: str, settings: dict[str, Any], seeing: str, before: int, tmp_path: Path
) -> None:
    """Row by row, without the tokens before the patches; of other sizes with interpolated positions."""
    folder = saved(tmp_path / "model", kind, **settings)
    for size in ((16, 16), (24, 32)):
        encoder = Backbone(model=str(folder)).build(size).eval()
        images = torch.rand(2, 3, *size)
        states = said(folder, seeing, images, interpolate_pos_encoding=True).last_hidden_state
        assert torch.equal(encoder(images), states[:, before:])
        assert (encoder.dim, encoder.grid) == (8, (size[0] // 8, size[1] // 8))
    encoder(images).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    idle = [name for name, p in encoder.named_parameters() if not p.requires_grad]
    assert all(any(part in name for part in UNREAD) for name in idle)
    frozen = Backbone(model=str(folder), frozen=True).build(size).train()
    assert not frozen(images).requires_grad
    assert torch.equal(frozen(images), encoder(images))


@pytest.mark.parametrize("kind", ["Siglip2Model", "Siglip2VisionModel"])
def test_pictures_are_cut_into_patches_for_siglip_2(kind: str, tmp_path: Path) -> None:
    """As its own image processor cuts them."""
    whole = kind == "Siglip2Model"
    settings = {"text_config": READS, "vision_config": CUT} if whole else CUT
    folder, images = saved(tmp_path / "model", kind, **settings), torch.rand(2, 3, 16, 24)
    encoder = Backbone(model=str(folder)).build((16, 24)).eval()
    patches = encoder.standardize(images).unfold(2, 8, 8).unfold(3, 8, 8)
    rows = patches.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
    import transformers

    network = transformers.Siglip2VisionModel.from_pretrained(folder).eval()
    mask, shapes = torch.ones(2, 6, dtype=torch.long), torch.tensor([[2, 3], [2, 3]])
    states = network(pixel_values=rows, pixel_attention_mask=mask, spatial_shapes=shapes)
    torch.testing.assert_close(encoder(images), states.last_hidden_state)
    assert encoder.grid == (2, 3)


def test_a_stage_is_a_hidden_state(tmp_path: Path) -> None:
    folder, images = saved(tmp_path / "vit", "ViTModel", **VIT), torch.rand(2, 3, 16, 16)
    inner = said(folder, "ViTModel", images).hidden_states
    encoder = Backbone(model=str(folder), stage=("stage1", "stem")).build((16, 16)).eval()
    expected = torch.cat([inner[1][:, 1:], inner[0][:, 1:]], dim=2)
    assert torch.equal(encoder(images), expected)
    idle = {n for n, p in encoder.named_parameters() if not p.requires_grad}
    assert idle
    assert not any(".embeddings." in name for name in idle)
    with pytest.raises(ModelError, match=r"no stage .stage3. — choose of: stem, stage1, stage2$"):
        Backbone(model=str(folder), stage="stage3").build((16, 16))


def test_weights_that_are_read_must_be_there(tmp_path: Path, capfd: Any) -> None:
    """What nothing reads is zero, so that what is kept of pictures stays valid; a text half is not told of."""
    folder = saved(tmp_path / "clip", "CLIPModel", **HALVES)
    file = folder / "model.safetensors"
    state = load_file(file)
    spare = {n: t for n, t in state.items() if "text" not in n and "post_layernorm" not in n}
    assert len(spare) < len(state)
    save_file(spare, file, metadata={"format": "pt"})
    build = Backbone(model=str(folder), frozen=True).build
    torch.manual_seed(1)
    first = weights_digest(build((16, 16)))
    torch.manual_seed(2)
    assert weights_digest(build((16, 16))) == first
    assert "UNEXPECTED" not in capfd.readouterr().err
    assert weights_digest(build((16, 16), pretrained=False)) != first
    lacking = {n: t for n, t in spare.items() if "layers.1.mlp" not in n}
    save_file(lacking, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"4 of \d+ tensors missing \(.*layers\.1\.mlp"):
        build((16, 16))
    file.unlink()
    with pytest.raises(ModelError, match=r"cannot load this backbone .*no file named"):
        build((16, 16))


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        (
            "vit",
            (20, 16),
            r"image_size: vit cuts pictures into patches of 8×8, and 20×16.*\[16, 16\]",
        ),
        (
            "aimv2_vision_model",
            (24, 24),
            r"takes pictures of 16×16 alone, not of 24×24.*\[16, 16\]",
        ),
        ("yolos", (16, 16), "not the patches of a picture, row by row"),  # others stand behind them
        ("vit_mae", (16, 16), "not the patches of a picture, row by row"),  # it shuffles and drops
        ("videomae", (16, 16), "gives no hidden states of pictures of 16×16"),
        ("imagegpt", (16, 16), "kind imagegpt gives no grid of a picture"),
    ],
)
def test_other_models_are_refused(kind: str, size: tuple[int, int], message: str) -> None:
    settings = {} if kind == "imagegpt" else VIT
    settings = {**settings, "image_size": [16, 16]} if kind == "yolos" else settings
    settings = {**settings, "mask_ratio": 0.0} if kind == "vit_mae" else settings
    with pytest.raises(ModelError, match=message):
        Backbone(model=kind, settings=settings).build(size)


def test_a_folder_goes_before_the_kind_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "vit", "ViTModel", **VIT)
    monkeypatch.chdir(tmp_path)
    assert Backbone(model="vit").build((16, 16)).dim == 8


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("CLIPVisionModel", VIT),
        ("ResNetBackbone", {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]}),
    ],
)
def test_weights_in_half_precision_are_computed_with_in_float32(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model", kind, **settings)
    file = folder / "model.safetensors"
    state = load_file(file)
    half = {n: t.bfloat16() if t.is_floating_point() else t for n, t in state.items()}
    save_file(half, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    for pretrained in (True, False):
        encoder = Backbone(model=str(folder)).build((32, 32), pretrained=pretrained)
        assert encoder(torch.rand(2, 3, 32, 32)).dtype == torch.float32
