"""A training service for visual question answering.

import vqa
model = vqa.load("RUN/model")
model.ask("picture.png", "what colour is the circle?", choices=["red", "blue"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqa.export import Answer, VQAModel, load

__all__ = ["Answer", "VQAModel", "__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the model room only when it is asked for, so that `vqa --help` stays fast."""
    if name in ("Answer", "VQAModel", "load"):
        from vqa import export

        return getattr(export, name)
    raise AttributeError(f"module 'vqa' has no attribute {name!r}")
