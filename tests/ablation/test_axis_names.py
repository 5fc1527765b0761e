"""Names by which runs would be taken for others are refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import BASE
from vqa.ablation.expand import Grid, expand
from vqa.ablation.schema import parse_ablation
from vqa.errors import ConfigError


def grid(axes: dict[str, Any], **fields: Any) -> Grid:
    given = {"group": "g", "base": copy.deepcopy(BASE), "seeds": 2, "axes": axes} | fields
    return expand(parse_ablation(given, Path(), "a.yaml"))


@pytest.mark.parametrize("name", ["variant", "baseline", "beside"])
def test_an_axis_is_not_called_as_a_tag_of_its_runs(name: str) -> None:
    """Its label would be read as the variant, or the run as a baseline."""
    values = [{"label": "a", "set": {}}, {"label": "chance", "set": {"optimizer.lr": 0.5}}]
    with pytest.raises(ConfigError, match=rf"axes\.{name}: is a word of the runs' own tags"):
        grid({name: values})
    assert grid({f"my-{name}": values}, baselines=[]).variants == ["a", "chance"]


def test_a_variant_of_the_grid_does_not_bear_a_baseline_s_name() -> None:
    """Two experiments of one name and seed would count as one run, done twice."""
    blind = {"model.image_encoder": "none", "model.attention": "none", "model.fusion": "sum"}
    axes = {"sees": [{"label": "both", "set": {}}, {"label": "question-only", "set": blind}]}
    with pytest.raises(ConfigError, match="two cells are called question-only"):
        grid(axes)
    assert grid(axes, baselines=["chance"]).variants == ["both", "question-only"]


@pytest.mark.parametrize("head", ["chooser", {"name": "chooser", "encoder": "shared"}])
def test_baselines_that_read_the_choices_by_other_encoders_bear_other_names(head: Any) -> None:
    axes = {"model.head": ["classifier", head], "model.question_encoder": ["lstm", "gru"]}
    made = grid(axes, baselines=["image-only"], seeds=[0])
    assert [cell.variant for cell in made.cells if cell.baseline] == [
        "image-only-classifier",
        "image-only-chooser-lstm",
        "image-only-chooser-gru",
    ]
