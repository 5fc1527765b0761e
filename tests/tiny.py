"""Settings of small models of `transformers`, for tests of several rooms."""

from __future__ import annotations

from typing import Any

LAYERS: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
VIT: dict[str, Any] = {**LAYERS, "image_size": 16, "patch_size": 8}
