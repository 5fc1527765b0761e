"""The baselines that are trained: a network that does not see the picture, and one that does not read the question."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Blind = Literal["question-only", "image-only"]
BLIND: tuple[Blind, ...] = ("question-only", "image-only")

RESET: dict[Blind, tuple[str, ...]] = {
    "question-only": ("image_encoder", "attention", "fusion", "coordinates"),
    "image-only": ("question_encoder", "attention", "fusion"),
}
"""The model's keys that a baseline sets by itself: cells that differ in these alone share one."""


def neutral(kind: Blind, paths: Iterable[str], fields: Mapping[str, Any]) -> bool:
    """Whether changes to these key paths make no difference to an experiment's baseline."""
    keys = set(RESET[kind])
    if _shares_encoder((fields.get("model") or {}).get("head")):
        keys.discard("question_encoder")  # which then reads the choices
    return all(
        any(path == f"model.{key}" or path.startswith(f"model.{key}.") for key in keys)
        for path in paths
    )


def blinded(
    kind: Blind, fields: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any] | None:
    """An experiment's sections with one of its senses taken away; None where that leaves none.

    Attention and fusion, which then have nothing to join, are those of the base, or none. A fusion that
    takes the picture's vector alone gives way to the default: without a picture it would leave nothing to read.
    """
    blind = copy.deepcopy(dict(fields))
    model = blind["model"] = dict(blind.get("model") or {})
    other = "question_encoder" if kind == "question-only" else "image_encoder"
    if _name(model.get(other)) == "none":
        return None
    if kind == "image-only":
        _keep_choices_read(model)
    for key in RESET[kind]:
        _reset(model, key, base)
    if kind == "question-only":
        model["image_encoder"] = model["attention"] = "none"
        model.pop("coordinates", None)
        if _name(model.get("fusion")) == "image":
            del model["fusion"]
    else:
        model["question_encoder"] = "none"
    return blind


def _reset(model: dict[str, Any], key: str, base: Mapping[str, Any]) -> None:
    own = (base.get("model") or {}).get(key)
    if own is None:
        model.pop(key, None)
    else:
        model[key] = copy.deepcopy(own)


def _keep_choices_read(model: dict[str, Any]) -> None:
    """A chooser that shares the question's encoder gets one of its own."""
    head = model.get("head")
    if _shares_encoder(head):
        own = {"encoder": model.get("question_encoder") or "lstm"}
        model["head"] = {**(head if isinstance(head, Mapping) else {"name": head}), **own}


def _shares_encoder(head: Any) -> bool:
    """Whether a head reads the choices with the question's encoder."""
    shared = not isinstance(head, Mapping) or head.get("encoder", "shared") == "shared"
    return _name(head) == "chooser" and shared


def _name(brick: Any) -> Any:
    return brick.get("name") if isinstance(brick, Mapping) else brick
