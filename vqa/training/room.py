"""The memory that a network takes while it learns, known before it is made."""

from __future__ import annotations

from vqa.config import OptimizerConfig
from vqa.errors import ModelError
from vqa.model.blueprint import FIX
from vqa.model.network import Network


def learning_bytes(network: Network, config: OptimizerConfig) -> dict[str, int]:
    """What stays in memory from step to step: the network, its gradients, and what the optimiser keeps, in bytes."""
    matrices = network.matrices() if config.name == "muon" else ()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kept = {
        "sgd": lambda p: p.nbytes if config.momentum else 0,
        "muon": lambda p: p.nbytes if p in matrices else 2 * p.nbytes,
    }.get(config.name, lambda p: 2 * p.nbytes)
    return {
        "model": sum(t.nbytes for t in (*network.parameters(), *network.buffers())),
        "gradients": sum(parameter.nbytes for parameter in trained),
        "optimizer": sum(map(kept, trained)),
    }


def check_room(network: Network, config: OptimizerConfig, free: int) -> None:
    """Refuse a network that so many free bytes do not hold while it learns; a blueprint will do.

    Raises:
        ModelError: they do not.
    """
    needs = learning_bytes(network, config)
    if sum(needs.values()) <= free:
        return
    count = sum(parameter.numel() for parameter in network.parameters())
    parts = ", ".join(f"{name} {size / 2**30:,.2f}" for name, size in needs.items())
    raise ModelError(
        f"the network has {count:,} parameters and takes {sum(needs.values()) / 2**30:,.2f} GiB"
        f" while it learns ({parts}), and there are {free / 2**30:,.2f} GiB for it",
        where="model",
        fix=FIX,
    )
