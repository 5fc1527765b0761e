"""Variants of runs without tags: what their experiments differ in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import make_run, study_of
from vqa.ablation.derive import places_of
from vqa.ablation.members import Member
from vqa.config import Experiment

Make = Callable[..., Experiment]


def rows(folder: Path, experiment: Make, fusions: list[dict[str, Any]]) -> dict[str, int]:
    """Variant → its runs, of a run with each fusion, all of one seed."""
    for at, fusion in enumerate(fusions):
        made = experiment(model={"fusion": fusion}).to_dict()
        make_run(folder / f"run{at}", made, 0.3 + 0.1 * at)
    return {row.name: len(row.runs) for row in study_of(folder).rows}


@pytest.mark.parametrize("dims", [(8, 16), (16, 8)])
def test_bricks_of_one_name_and_other_sizes_are_variants_beside_one_of_another_name(
    tmp_path: Path, experiment: Make, dims: tuple[int, int]
) -> None:
    """One of them would count as the other's repetition and vanish."""
    fusions = [{"name": "concat"}, *({"name": "multiply", "dim": dim} for dim in dims)]
    found = rows(tmp_path, experiment, fusions)
    assert found == {"concat-no-dim": 1} | {f"multiply-dim{dim}": 1 for dim in dims}


def test_a_field_that_goes_with_the_brick_is_no_axis(tmp_path: Path, experiment: Make) -> None:
    fusions = [{"name": "concat"}, {"name": "multiply", "dim": 8}, {"name": "sum", "dim": 16}]
    assert rows(tmp_path, experiment, fusions) == {"concat": 1, "multiply": 1, "sum": 1}


@pytest.mark.parametrize(
    ("stores", "names"),
    [
        (["/srv/home/stores/scenes", "/srv/home/stores/easy"], ["scenes", "easy"]),
        (["/data/a/scenes", "/data/b/scenes"], ["a_scenes", "b_scenes"]),
        (["stores/scenes", "/data/scenes"], ["stores_scenes", "scenes"]),
    ],
)
def test_paths_that_differ_are_told_without_the_folder_of_all(
    tmp_path: Path, experiment: Make, stores: list[str], names: list[str]
) -> None:
    """Where a server keeps its stores is nobody's business, and makes names that nobody reads."""
    members = []
    for store in stores:
        made = experiment().to_dict()
        made["data"]["store"] = store
        members.append(Member(tmp_path, "succeeded", experiment=made))
    assert [place.variant for place in places_of(members)] == names
