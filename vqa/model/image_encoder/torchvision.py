"""Any CNN of torchvision, cut off after the stage whose output is the grid."""

from __future__ import annotations

import contextlib
import difflib
import io
from pathlib import Path
from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.image_encoder import TorchVision
from vqa.model.image_encoder.grid import IMAGENET_MEAN, IMAGENET_STD, Standardize, positions_last
from vqa.model.parts import ImageEncoder
from vqa.model.weights import load_what_is_needed, read_state_dict

# The last grid before pooling, by the beginning of the model's name; all others end in `features`.
LAST_GRID = {
    "densenet": "relu",
    "googlenet": "inception5b",
    "inception": "Mixed_7c",
    "maxvit": "blocks",
    "mnasnet": "layers",
    "regnet": "trunk_output",
    "resnet": "layer4",
    "resnext": "layer4",
    "shufflenet": "conv5",
    "swin": "permute",
    "wide_resnet": "layer4",
}
# These have side branches for the loss, of no use here, and published weights for another input
# scale.
WITH_AUXILIARY = ("googlenet", "inception_v3")
GRID = "grid"
SHOWN = 20


class TorchVisionCNN(ImageEncoder):
    """A torchvision CNN from its input to one of its stages.

    Raises:
        ModelError: no such model, stage or weights; weights that do not fit; pictures too small.
    """

    def __init__(
        self, config: TorchVision, image_size: tuple[int, int], *, pretrained: bool = True
    ) -> None:
        super().__init__()
        self.frozen, self.normalize = config.frozen, config.normalize
        self.learning_rate = config.lr
        self.standardize = Standardize(IMAGENET_MEAN, IMAGENET_STD)
        self.network = _cut(_whole_network(config), config)
        if config.weights != "none" and pretrained:
            _load(self.network, config)
        _, self.dim, *grid = _output_shape(self.network, config, image_size)
        self.grid = (grid[0], grid[1])
        self.to(memory_format=torch.channels_last)
        self.network.requires_grad_(not self.frozen)
        self.train(self.training)

    @override
    def train(self, mode: bool = True) -> TorchVisionCNN:
        """A frozen network stays in evaluation mode: its batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    @override
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images positions dim"]:
        """Pictures in 0…1 to the stage's grid."""
        images = self.standardize(images).contiguous(memory_format=torch.channels_last)
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            grid = positions_last(self.network(images)[GRID])
        return functional.normalize(grid, dim=2) if self.normalize else grid


def default_stage(model: str) -> str:
    """The node with a model's last grid before pooling."""
    matches = (stage for start, stage in LAST_GRID.items() if model.startswith(start))
    return next(matches, "features")


def _whole_network(config: TorchVision) -> nn.Module:
    """The model with random weights."""
    _check_model(config.model)
    options: dict[str, Any] = {}
    if config.model in WITH_AUXILIARY:
        published = config.weights != "none"
        options = {"aux_logits": False, "init_weights": not published, "transform_input": published}
    network: nn.Module = torchvision.models.get_model(config.model, weights=None, **options)
    return network


def _check_model(name: str) -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known)
        raise ModelError(
            f"torchvision has no image classifier {name!r}",
            where="model.image_encoder.model",
            fix=f"did you mean {' or '.join(near)}?" if near else f"choose of: {', '.join(known)}",
        )


def _cut(network: nn.Module, config: TorchVision) -> nn.Module:
    """The network up to the chosen stage."""
    stage = config.stage or default_stage(config.model)
    try:
        cut: nn.Module = create_feature_extractor(network, {stage: GRID})
    except ValueError as error:
        nodes = get_graph_node_names(network)[1]
        stages = list(dict.fromkeys(".".join(node.split(".")[:2]) for node in nodes))
        near = difflib.get_close_matches(stage, stages) or stages
        raise ModelError(
            f"{config.model} has no stage {stage!r}",
            where="model.image_encoder.stage",
            fix=f"choose a node such as {', '.join(near[:SHOWN])}",
        ) from error
    return cut


def _output_shape(network: nn.Module, config: TorchVision, size: tuple[int, int]) -> torch.Size:
    """What one picture becomes; the shape of a grid."""
    network.eval()
    try:
        # A traced network prints its own traceback besides raising.
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            shape: torch.Size = network(torch.zeros(1, 3, *size))[GRID].shape
    except RuntimeError as error:
        raise ModelError(
            f"{config.model} cannot take pictures of {size[0]}×{size[1]} ({error})",
            where="data.image_size",
            fix="use larger pictures or an earlier stage",
        ) from error
    if len(shape) != 4:
        raise ModelError(
            f"the output of stage {config.stage or default_stage(config.model)!r} of {config.model}"
            f" has shape {list(shape)}, which is no grid",
            where="model.image_encoder.stage",
            fix="choose a stage of a CNN with [images, channels, height, width]",
        )
    return shape


def check_weights(config: TorchVision) -> None:
    """Refuse weights that are neither published nor a file; a file is not read.

    Raises:
        ModelError: there are no such weights.
    """
    path = Path(config.weights)
    _check_model(config.model)
    if config.weights == "none":
        return
    if not _is_file(path):
        _published(config)
    elif not path.is_file():
        raise ModelError("no such weight file", where=str(path))


def _is_file(path: Path) -> bool:
    """Whether `weights` means a file, there or not, and no published weights."""
    return (
        path.exists()
        or path.suffix in {".pth", ".pt", ".bin", ".safetensors"}
        or len(path.parts) > 1
    )


def _load(network: nn.Module, config: TorchVision) -> None:
    path = Path(config.weights)
    state = read_state_dict(path) if _is_file(path) else _download(config)
    state = {_today(name): tensor for name, tensor in state.items()}
    load_what_is_needed(network, state, where=config.weights)


def _published(config: TorchVision) -> tuple[str, Any]:
    """torchvision's weights of that name: the name, and where they are to be had."""
    names = torchvision.models.get_model_weights(config.model)
    short = config.weights.removeprefix(f"{names.__name__}.")
    if short not in names.__members__:
        raise ModelError(
            f"{config.model} has no weights {config.weights!r}, and there is no such file",
            where="model.image_encoder.weights",
            fix=f"choose of: none, {', '.join(names.__members__)}, or a local file",
        )
    return short, names[short]


def _download(config: TorchVision) -> dict[str, Tensor]:
    """torchvision's weights of that name, from its cache or its address."""
    short, weights = _published(config)
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # network, disk or a wrong hash
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise ModelError(
            f"cannot fetch {short} of {config.model} from {weights.url} ({error})",
            where="model.image_encoder.weights",
            fix=f"fetch that file elsewhere, then give its path as `weights` or put it in {cache}",
        ) from error
    return state


def _today(name: str) -> str:
    """The name that a tensor has today: DenseNet's published files write `norm.1` for `norm1`."""
    if "denselayer" in name:
        for part in ("norm", "conv"):
            name = name.replace(f".{part}.1.", f".{part}1.").replace(f".{part}.2.", f".{part}2.")
    return name
