"""Image encoders: the grid's geometry, torchvision's networks, weights from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from vqa.errors import ModelError
from vqa.model.image_encoder import NoImage, Small, TorchVision
from vqa.model.image_encoder.convolutions import PointConvolution, replace_points
from vqa.model.image_encoder.grid import join_scales

MODEL = "squeezenet1_1"
STAGE = "features.4"


@pytest.mark.parametrize("size", [(64, 64), (75, 75), (33, 50), (1, 7)])
@pytest.mark.parametrize("downsample", ["stride", "pool"])
def test_the_small_grid_is_computed_from_the_image_size(
    size: tuple[int, int], downsample: Any
) -> None:
    config = Small(channels=(4, 6, 8), strides=(2, 1, 3), downsample=downsample)
    encoder = config.build(size)
    maps = encoder.stages(torch.zeros(2, 3, *size))
    assert maps.shape == (2, encoder.dim, *encoder.grid)
    assert encoder(torch.zeros(2, 3, *size)).shape == (2, encoder.positions, 8)


def test_positions_run_row_by_row() -> None:
    """A bright pixel lights up the position that its row and column say."""
    encoder = Small(channels=(4,), strides=(2,), kernel=1).build((6, 8)).eval()
    dark = torch.zeros(1, 3, 6, 8)
    bright = dark.clone()
    bright[0, :, 4, 2] = 1
    changed = (encoder(bright) - encoder(dark)).abs().sum(2)[0].nonzero().flatten()
    assert encoder.grid == (3, 4)
    assert changed.tolist() == [2 * 4 + 1]


@pytest.mark.parametrize("stride", [2, 3, (2, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_point_convolution_is_torchs_own(stride: Any, bias: bool) -> None:
    """In double precision, which torch's CPU library leaves alone."""
    ours = PointConvolution(3, 5, 1, stride, bias=bias).double()
    torchs = nn.Conv2d(3, 5, 1, stride, bias=bias).double()
    torchs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(images), torchs(images))
    ours(images).square().sum().backward()
    torchs(images).square().sum().backward()
    for one, other in zip(ours.parameters(), torchs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize(("side", "stride"), [(1, 2), (3, 4)])
def test_places_that_see_only_padding_have_no_gradient_in_half_precision(
    side: int, stride: int
) -> None:
    """Torch's CPU library left there what its memory held before."""
    encoder = Small(channels=(32,), strides=(stride,)).build((side, side))
    for parameter in encoder.parameters():
        _ = [torch.full((1 << size,), torch.nan) for size in range(6, 18)]  # what memory held
        with torch.autocast("cpu", dtype=torch.bfloat16):
            grid = encoder(torch.rand(4, 3, side, side))
        grid.square().sum().backward()
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    kernel = encoder.stages[0][0].weight.grad
    assert not kernel[:, :, 0].any()
    assert not kernel[:, :, :, 0].any()
    assert kernel.any()


def test_narrow_strided_points_of_any_encoder_are_replaced() -> None:
    """Torch's CPU library would write past its memory, by chance to a process's death."""
    small = Small(channels=(4, 20, 6), strides=(2, 2, 1), kernel=1).build((8, 8))
    layers = [type(stage[0]) for stage in small.stages]
    assert layers == [PointConvolution, PointConvolution, nn.Conv2d]
    network = nn.Sequential(
        nn.Conv2d(3, 20, 1, 2), nn.Conv2d(20, 8, 1, 2), nn.Conv2d(8, 4, 3, 2), nn.Conv2d(4, 4, 1)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    replace_points(network)
    assert [type(layer) for layer in network] == [PointConvolution, *[nn.Conv2d] * 3]
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_frozen_small_encoder_stays_as_it_is() -> None:
    encoder = Small(channels=(4, 6), strides=(2, 2), frozen=True).build((8, 8)).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    grid = encoder(torch.rand(4, 3, 8, 8))
    assert not grid.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("prefix", ["", "image_encoder."])
def test_a_small_encoder_takes_weights_alone_or_out_of_a_network(
    prefix: str, tmp_path: Path
) -> None:
    config = Small(channels=(4, 6), strides=(2, 2))
    state = config.build((8, 8)).state_dict()
    file = tmp_path / "weights.pt"
    others = {"head.weight": torch.zeros(2)} if prefix else {}
    torch.save({**others, **{f"{prefix}{name}": t for name, t in state.items()}}, file)
    loaded = config.model_copy(update={"weights": str(file)})
    for name, tensor in loaded.build((8, 8)).state_dict().items():
        assert torch.equal(tensor, state[name])
    with pytest.raises(ModelError, match="of another shape"):
        Small(channels=(4, 7), strides=(2, 2), weights=str(file)).build((8, 8))
    with pytest.raises(ModelError, match="no such weight file"):
        Small(weights=str(tmp_path / "none.pt")).build((64, 64))


def test_pictures_are_standardized() -> None:
    encoder = TorchVision(model=MODEL, stage=STAGE).build((32, 32))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    assert encoder.standardize(mean.expand(1, 3, 2, 2)).abs().max() < 1e-6
    assert "standardize.mean" in encoder.state_dict()


def test_the_grid_needs_no_copy() -> None:
    images = torch.rand(2, 3, 32, 32)
    for config in (Small(channels=(4, 6), strides=(2, 2)), TorchVision(model=MODEL, stage=STAGE)):
        assert config.build((32, 32))(images).is_contiguous()


def test_no_image_takes_pictures_of_any_size() -> None:
    encoder = NoImage().build((64, 64))
    assert encoder(torch.zeros(4, 3, 0, 0)).tolist() == [[[1.0]]] * 4


@pytest.mark.parametrize(
    ("model", "dim"),
    [
        ("densenet121", 1024),
        ("googlenet", 1024),
        ("mobilenet_v3_small", 576),
        ("regnet_y_400mf", 440),
        ("resnet18", 512),
        ("swin_t", 768),
    ],
)
def test_the_default_stage_is_the_last_grid(model: str, dim: int) -> None:
    encoder = TorchVision(model=model).build((64, 96))
    assert encoder.dim == dim
    grid = encoder.train()(torch.rand(2, 3, 64, 96))
    assert grid.shape == (2, encoder.positions, dim)
    assert encoder.positions > 1


def test_it_equals_torchvisions_own_features() -> None:
    encoder = TorchVision(model=MODEL, weights="file.pth").build((32, 32), pretrained=False).eval()
    whole = torchvision.models.get_model(MODEL, weights=None).eval()
    encoder.network.load_state_dict(whole.state_dict(), strict=False)
    images = torch.rand(2, 3, 32, 32)
    maps = whole.features(encoder.standardize(images))
    torch.testing.assert_close(encoder(images), maps.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        ("resnet18", "layer2"),
        ("resnet18", "layer1.0.bn1"),
        ("resnet18", ("layer1.0.conv1", "layer2")),
        ("densenet121", "features.transition1"),
        ("mobilenet_v2", "features.3"),
        ("mobilenet_v3_small", "features.2"),
        (MODEL, STAGE),
    ],
)
def test_folded_batch_norms_change_no_grid(model: str, stage: Any) -> None:
    encoder = TorchVision(model=model, stage=stage, frozen=True).build((32, 32))
    for norm in (m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)):
        for tensor, (low, high) in zip(
            [norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data],
            [(-1, 1), (0.5, 2), (0.5, 2), (-1, 1)],
            strict=True,
        ):
            assert tensor is not None
            tensor.uniform_(low, high)
    images = torch.rand(2, 3, 32, 32)
    before = {name: value.clone() for name, value in encoder.eval().state_dict().items()}
    folded = encoder.folded()
    torch.testing.assert_close(folded(images), encoder(images), rtol=1e-4, atol=1e-4)
    assert not folded.training
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_a_folded_resnet_has_no_batch_norm() -> None:
    folded = TorchVision(model="resnet18", frozen=True).build((32, 32)).folded()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    state = torchvision.models.get_model(MODEL, weights=None).state_dict()
    file = tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    encoder = TorchVision(model=MODEL, stage=STAGE, weights=str(file)).build((32, 32))
    loaded = encoder.network.state_dict()
    assert loaded
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)


def test_wrapped_state_dicts_are_unwrapped(tmp_path: Path) -> None:
    state = torchvision.models.get_model(MODEL, weights=None).state_dict()
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "w.pth")
    config = TorchVision(model=MODEL, stage=STAGE, weights=str(tmp_path / "w.pth"))
    loaded = config.build((32, 32)).network.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)


def test_densenets_old_names_and_missing_batch_counts_are_understood(tmp_path: Path) -> None:
    state = torchvision.models.get_model("densenet121", weights=None).state_dict()
    old = {_old_name(n): v for n, v in state.items() if not n.endswith("num_batches_tracked")}
    assert old.keys() - state.keys()
    torch.save(old, tmp_path / "w.pth")
    config = TorchVision(
        model="densenet121", stage="features.denseblock1", weights=str(tmp_path / "w.pth")
    )
    loaded = config.build((32, 32)).network.state_dict()
    names = [name for name in loaded if not name.endswith("num_batches_tracked")]
    assert any("denselayer" in name for name in names)
    assert all(torch.equal(loaded[name], state[name]) for name in names)


def _old_name(name: str) -> str:
    for part in ("norm1", "norm2", "conv1", "conv2"):
        if "denselayer" in name:
            name = name.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")
    return name


def _bad_file(kind: str, folder: Path) -> Path:
    file = folder / f"{kind}.pth"
    state = torchvision.models.get_model(MODEL, weights=None).state_dict()
    if kind == "garbage":
        file.write_bytes(b"not a weight file" * 10)
    elif kind == "truncated":
        torch.save(state, file)
        file.write_bytes(file.read_bytes()[:1000])
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), file)
    elif kind == "list":
        torch.save([torch.zeros(2)], file)
    elif kind == "empty":
        torch.save({}, file)
    elif kind == "other":
        torch.save(torchvision.models.get_model("mnasnet0_5", weights=None).state_dict(), file)
    elif kind == "shape":
        torch.save({**state, "features.0.weight": torch.zeros(64, 1, 3, 3)}, file)
    return file


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("garbage", "not a readable weight file"),
        ("truncated", "not a readable weight file"),
        ("module", "not a readable weight file"),
        ("list", "holds list, not a state dict"),
        ("empty", "not a state dict"),
        ("other", "tensors missing"),
        ("shape", r"1 of \d+ tensors of another shape \(features\.0\.weight\)"),
        ("absent", "no such weight file"),
    ],
)
def test_wrong_weight_files_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    file = _bad_file(kind, tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        TorchVision(model=MODEL, stage=STAGE, weights=str(file)).build((32, 32))
    assert str(file) in str(caught.value)


def test_without_network_a_weight_name_says_how_to_supply_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> Any:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", unreachable)
    config = TorchVision(model=MODEL, weights="DEFAULT")
    with pytest.raises(
        ModelError, match=r"cannot fetch DEFAULT .*https.*give its path as `weights`"
    ):
        config.build((32, 32))
    config.build((32, 32), pretrained=False)


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"])
def test_weights_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    state = torchvision.models.get_model(MODEL, weights=None).state_dict()
    fetch = "load_state_dict_from_url"
    monkeypatch.setattr(torchvision.models._api, fetch, lambda *_, **__: state)
    encoder = TorchVision(model=MODEL, stage=STAGE, weights=name).build((32, 32))
    loaded = encoder.network.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


@pytest.mark.parametrize(
    ("weights", "mean", "std"),
    [
        ("IMAGENET1K_V1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("IMAGENET1K_FEATURES", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3),
        ("vgg16_features-amdegroot-88682ab5.pth", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3),
        ("mine.pth", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("none", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_pictures_are_standardized_as_the_weights_learnt_them(
    weights: str, mean: tuple[float, ...], std: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, or as the file of that name."""
    monkeypatch.setattr("vqa.model.image_encoder.torchvision._load", lambda *_: None)
    config = TorchVision(model="vgg16", stage="features.2", weights=weights)
    standardize = config.build((32, 32)).standardize
    torch.testing.assert_close(standardize.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(standardize.std.flatten(), torch.tensor(std))


@pytest.mark.parametrize(
    ("fields", "size", "message"),
    [
        ({"model": "resnet19"}, (32, 32), "did you mean resnet18"),
        ({"model": "fasterrcnn_resnet50_fpn"}, (32, 32), "no image classifier"),
        (
            {"stage": "features.99"},
            (32, 32),
            r"no stage 'features.99' — choose a node such as f",
        ),
        ({"weights": "IMAGENET9K"}, (32, 32), "no weights 'IMAGENET9K'.*IMAGENET1K_V1.*local file"),
        ({}, (8, 8), "cannot take pictures of 8×8"),
        ({"stage": "flatten"}, (64, 64), "which is no grid"),
    ],
)
def test_wrong_torchvision_settings_are_refused(
    fields: dict[str, Any], size: tuple[int, int], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=message):
        TorchVision(**{"model": MODEL, **fields}).build(size)
    assert capfd.readouterr().err == ""


def _statistics(encoder: Any) -> list[Tensor]:
    return [b.clone() for n, b in encoder.named_buffers() if "running" in n]


def test_a_frozen_network_keeps_weights_and_statistics() -> None:
    config = TorchVision(model="resnet18", stage="layer1", frozen=True)
    encoder = config.build((32, 32)).train()
    before = _statistics(encoder)
    grid = encoder(torch.rand(4, 3, 32, 32))
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, _statistics(encoder), strict=True))
    assert not grid.requires_grad
    assert not any(p.requires_grad for p in encoder.parameters())


def test_a_tuned_network_moves_its_statistics() -> None:
    encoder = TorchVision(model="resnet18", stage="layer1", lr=1e-4).build((32, 32)).train()
    before = _statistics(encoder)
    assert encoder(torch.rand(4, 3, 32, 32)).requires_grad
    assert not any(torch.equal(a, b) for a, b in zip(before, _statistics(encoder), strict=True))
    assert encoder.learning_rate == 1e-4


def test_normalized_vectors_have_length_one() -> None:
    encoder = TorchVision(model=MODEL, stage=STAGE, normalize=True).build((32, 32))
    lengths = encoder(torch.rand(2, 3, 32, 32)).norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_published_googlenet_weights_get_the_input_scale_that_they_want() -> None:
    """They came from another framework; torchvision rescales their input, ours must do the same."""
    whole = torchvision.models.get_model(
        "googlenet", weights=None, aux_logits=False, init_weights=False, transform_input=True
    ).eval()
    config = TorchVision(model="googlenet", stage="maxpool1", weights="DEFAULT")
    encoder = config.build((32, 32), pretrained=False).eval()
    encoder.network.load_state_dict(whole.state_dict(), strict=False)
    images = torch.rand(2, 3, 32, 32)
    maps = whole.maxpool1(whole.conv1(whole._transform_input(encoder.standardize(images))))
    torch.testing.assert_close(encoder(images), maps.flatten(2).transpose(1, 2))


def test_stages_of_several_sizes_stand_side_by_side() -> None:
    """The first one's grid: a larger one is averaged, a smaller one interpolated, channels in the order given."""
    stages = ("features.4", "features.0", "features.12")
    encoder = TorchVision(model=MODEL, stage=stages).build((64, 64)).eval()
    alone = [TorchVision(model=MODEL, stage=stage).build((64, 64)).eval() for stage in stages]
    for single in alone:
        single.network.load_state_dict(encoder.network.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    maps = [e(images).transpose(1, 2).unflatten(2, e.grid) for e in alone]
    size = alone[0].grid
    assert encoder.grid == size
    resized = [
        maps[0],
        functional.adaptive_avg_pool2d(maps[1], size),
        functional.interpolate(maps[2], size, mode="bilinear"),
    ]
    expected = torch.cat(resized, 1).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder(images), expected)
    assert encoder.dim == sum(e.dim for e in alone)


def test_of_several_stages_the_wrong_one_is_named() -> None:
    with pytest.raises(ModelError, match=r"no stage 'features\.99'"):
        TorchVision(model=MODEL, stage=("features.4", "features.99")).build((64, 64))


def test_averaging_keeps_the_mean() -> None:
    maps = torch.randn(1, 2, 7, 9)
    joined = join_scales([torch.zeros(1, 1, 1, 1), maps])
    torch.testing.assert_close(joined[0, 1:, 0, 0], maps.mean((2, 3))[0])
