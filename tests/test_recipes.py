"""Recipes: each can be trained as it stands, and says what was published and what became of it here."""

from __future__ import annotations

import json

import pytest
import torch

from vqa.cli import main
from vqa.config import load_experiment
from vqa.model.config import Sizes
from vqa.recipes import Recipe, recipes

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


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "recipes", "--filter", "film"]) == 0
    printed = capsys.readouterr().out
    assert "clevr_film" in printed
    assert "97.7" in printed
    assert "not run here: needs CLEVR" in printed
    assert main(["list", "recipes", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in shown} == {recipe.name for recipe in recipes()}
