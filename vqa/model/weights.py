"""Weight files handed in by path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqa.errors import ModelError

SHOWN = 3
UNUSED = "num_batches_tracked"
"""Files from before batch norm counted its batches lack the counts; nothing here uses them."""


def check_weight_file(path: Path) -> None:
    """Refuse a file that is not there; it is not read.

    Raises:
        ModelError: it is not.
    """
    if not path.is_file():
        raise ModelError("no such weight file", where=str(path))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.safetensors` file, or in one of torch's (read with weights only).

    A dict around it under `state_dict` or `model`, and `module.` before names, are taken off.

    Raises:
        ModelError: the file is missing, corrupt, or something else than a state dict.
    """
    check_weight_file(path)
    try:
        content = _reader(path)(path)
    except Exception as error:  # what a corrupt file raises is not specified
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"not a readable weight file ({type(error).__name__}: {reason[0] if reason else ''})",
            where=str(path),
            fix="give a .safetensors file, or a state dict saved with torch.save",
        ) from error
    return _unwrap(content, path)


def _reader(path: Path) -> Callable[[Path], Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        reader: Callable[[Path], Any] = load_file
        return reader
    return lambda path: torch.load(path, map_location="cpu", weights_only=True)


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        raise ModelError(
            f"holds {type(content).__name__}, not a state dict of tensors",
            where=str(path),
            fix="save model.state_dict()",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def load_what_is_needed(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load the tensors that `module` has; others (a classifier that was cut off) are left out.

    Raises:
        ModelError: a tensor is missing or has another shape.
    """
    wanted = module.state_dict()
    needed = {name for name in wanted if not name.endswith(UNUSED)}
    missing = sorted(needed - state.keys())
    other = sorted(n for n in needed & state.keys() if state[n].shape != wanted[n].shape)
    if missing or other:
        raise ModelError(
            _difference(missing, other, len(needed)),
            where=where,
            fix="give the weights of the same model",
        )
    module.load_state_dict({name: state.get(name, wanted[name]) for name in wanted})


@contextmanager
def without_report() -> Iterator[None]:
    """Keep back what `transformers` tells of weights, such as those of another half of the model, that it left unread.

    What is missing is an error of `check_loaded`.
    """
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_loaded(
    network: nn.Module, whole: Mapping[str, Tensor], info: Mapping[str, Iterable[Any]], where: str
) -> None:
    """Refuse what `transformers` has loaded in part: it gives random values to what a file lacks, and goes on.

    Args:
        network: what is used of it.
        whole: every tensor of all that was loaded, by its name there.
        info: what `from_pretrained` says of the loading, names among `missing_keys` and `mismatched_keys`.
        where: the folder, or the name on the hub.

    Raises:
        ModelError: a tensor that is used is missing or has another shape.
    """
    kept = network.state_dict(keep_vars=True)
    used = {id(tensor) for name, tensor in kept.items() if not name.endswith(UNUSED)}
    # Some names stand with both shapes.
    other = {name if isinstance(name, str) else name[0] for name in info["mismatched_keys"]}
    wrong = (set(info["missing_keys"]) - other, other)
    missing, other = ({n for n in names if id(whole.get(n)) in used} for names in wrong)
    if missing or other:
        raise ModelError(
            _difference(sorted(missing), sorted(other), len(used)),
            where=where,
            fix="give the folder of a whole model, with the configuration that its weights belong to",
        )


def _difference(missing: list[str], other: list[str], needed: int) -> str:
    parts = []
    for names, what in ((missing, "missing"), (other, "of another shape")):
        if names:
            more = ", …" if len(names) > SHOWN else ""
            parts.append(
                f"{len(names)} of {needed} tensors {what} ({', '.join(names[:SHOWN])}{more})"
            )
    return "; ".join(parts)
