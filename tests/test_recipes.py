"""Recipes: each can be trained as it stands, and says what was published and what became of it here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vqa.cli import main
from vqa.config import load_experiment
from vqa.model.config import Sizes
from vqa.recipes import Recipe, recipes

DOCUMENT = Path(__file__).parents[1] / "docs" / "recipes.md"
ROWS = {
    "vqa1": 9,
    "vqa2": 1,
    "visual7w": 2,
    "clevr": 5,
    "sort": 2,
    "easy": 1,
}


def test_every_published_row_is_there() -> None:
    found = [recipe.name.split("_")[0] for recipe in recipes()]
    assert {name: found.count(name) for name in ROWS} == ROWS


@pytest.mark.parametrize("recipe", recipes(), ids=lambda one: one.name)
def test_a_recipe_can_be_built_and_says_what_it_is(recipe: Recipe) -> None:
    experiment = load_experiment(recipe.file)
    height, width = experiment.data.image_size
    with torch.device("meta"):
        network = experiment.model.build(Sizes(height, width, 1000, 100), pretrained=False)
    assert sum(parameter.numel() for parameter in network.parameters()) > 0
    assert any(letter.isdigit() for letter in recipe.published)
    assert recipe.setting
    assert recipe.status.split()[0] in ("reproduced:", "run:", "not")
    assert f"configs/recipes/{recipe.name}.yaml" in recipe.file.read_text()


def test_the_document_has_their_rows() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [f"| `{one.name}` {one.title} | {one.published} | {one.status} |" for one in recipes()]
    assert [line for line in lines if line in rows] == rows


def test_sort_of_clevr_has_the_sizes_of_the_paper() -> None:
    """Santoro et al. 2017, supplementary material: model details of Sort-of-CLEVR."""
    wide, last = (2000,) * 4, (2000, 1000, 500, 100)
    found = {one.name: load_experiment(one.file) for one in recipes()}
    pairs, mlp = found["sort_of_clevr_rn"], found["sort_of_clevr_cnn_mlp"]
    assert pairs.model.attention.hidden == mlp.model.fusion.hidden == wide
    for experiment in (pairs, mlp):
        assert experiment.model.image_encoder.channels == (32, 64, 128, 256)
        assert experiment.model.head.hidden == last
        assert (experiment.data.batch_size, experiment.optimizer.lr) == (64, 1e-4)
        assert not experiment.data.group_by_image


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "recipes", "--filter", "film"]) == 0
    printed = capsys.readouterr().out
    assert "clevr_film" in printed
    assert "97.7" in printed
    assert "not run here: needs CLEVR" in printed
    assert main(["list", "recipes", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in shown} == {recipe.name for recipe in recipes()}
