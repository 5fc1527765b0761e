"""Two sets of scored predictions for the same questions: their paired difference, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from vqa.evaluation.bootstrap import Floats, codes
from vqa.evaluation.comparison import p_text
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.significance import paired_test, signed_text


def paired(a: Sequence[Prediction], b: Sequence[Prediction]) -> dict[str, Any] | None:
    """The mean score of `a` less that of `b` with its 95 % interval over images and its p.

    Args:
        a, b: scored, the same questions in the same order.

    Returns:
        The fields of `PairedTest`, rounded; None for fewer than two images, which give no interval.
    """
    images = codes(item.image_id for item in a)
    if images.max() < 1:
        return None
    test = paired_test(_scores(a), _scores(b), images)
    return {name: _short(name, value) for name, value in asdict(test).items()}


def says(test: dict[str, Any] | None) -> str:
    """A difference in a few words: "+12.1 [8.0, 16.3], p < 0.001"."""
    if test is None:
        return "no interval (a single image)"
    p_value = test.get("adjusted_p_value", test["p_value"])
    return f"{signed_text(test['difference'], test['low'], test['high'])}, {p_text(p_value)}"


def _scores(predictions: Sequence[Prediction]) -> Floats:
    return np.array([item.score for item in predictions], dtype=np.float64)


def _short(name: str, value: Any) -> Any:
    return round(value, 6 if name == "p_value" else 4) if isinstance(value, float) else value
