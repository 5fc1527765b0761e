"""Any CNN of torchvision, cut off after the stage whose output is the grid."""

from __future__ import annotations

import copy
import difflib
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.image_encoder import TorchVision
from vqa.model.image_encoder.grid import IMAGENET, Statistics
from vqa.model.image_encoder.library import LibraryCNN
from vqa.model.weights import check_weight_file, load_what_is_needed, read_state_dict

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
SHOWN = 20


class TorchVisionCNN(LibraryCNN):
    """A torchvision CNN from its input to one or more of its stages.

    Raises:
        ModelError: no such model, stage or weights; weights that do not fit; pictures too small.
    """

    def __init__(
        self, config: TorchVision, image_size: tuple[int, int], *, pretrained: bool = True
    ) -> None:
        network = _whole_network(config)
        self._stages = stages = _stages(config)
        network = _cut(network, config.model, stages)
        if config.weights != "none" and pretrained:
            _load(network, config)
        # Else a state dict brings them.
        statistics = _statistics(config) if pretrained else IMAGENET
        stage = stages[0] if len(stages) == 1 else stages
        super().__init__(config, network, image_size, stage, statistics)

    @override
    def scales(self, images: Tensor) -> list[Tensor]:
        """The maps of each stage."""
        maps = self.network(images)
        return [maps[stage] for stage in self._stages]

    @override
    def folded(self) -> TorchVisionCNN:
        """A copy in which convolutions do what the batch norms after them would."""
        folded = copy.deepcopy(self).eval()
        # A copied graph is in training mode again until it is told.
        folded.network = fuse(folded.network.eval(), inplace=True, no_trace=True).eval()
        return folded


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


def _stages(config: TorchVision) -> tuple[str, ...]:
    stage = config.stage or default_stage(config.model)
    return (stage,) if isinstance(stage, str) else stage


def _cut(network: nn.Module, model: str, stages: tuple[str, ...]) -> nn.Module:
    """The network up to the last of the chosen stages."""
    if len(stages) > 1:
        _keep_outputs(network)
    try:
        cut: nn.Module = create_feature_extractor(network, {stage: stage for stage in stages})
    except ValueError as error:
        nodes = get_graph_node_names(network)[1]
        wrong = next(stage for stage in stages if not _is_node(stage, nodes))
        known = list(dict.fromkeys(".".join(node.split(".")[:2]) for node in nodes))
        near = difflib.get_close_matches(wrong, known) or known
        raise ModelError(
            f"{model} has no stage {wrong!r}",
            where="model.image_encoder.stage",
            fix=f"choose a node such as {', '.join(near[:SHOWN])}",
        ) from error
    return cut


def _keep_outputs(network: nn.Module) -> None:
    """Have no layer overwrite its input, which may be a stage's output."""
    for module in network.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False


def _is_node(stage: str, nodes: list[str]) -> bool:
    return any(node == stage or node.startswith(f"{stage}.") for node in nodes)


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
    else:
        check_weight_file(path)


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


def _statistics(config: TorchVision) -> Statistics:
    """Those of the pictures that the weights learnt from; a file's by its name, where it is a published one."""
    path = Path(config.weights)
    if config.weights == "none":
        return IMAGENET
    if not _is_file(path):
        published = _published(config)[1]
    else:
        names = torchvision.models.get_model_weights(config.model)
        of_file = (one for one in names if Path(one.url).name == path.name)
        published = next(of_file, names["DEFAULT"])
    preprocessing = published.transforms()
    return preprocessing.mean, preprocessing.std


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
