"""Expansion: complete, deterministic, each experiment once; and every refusal before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ablation.grids import AXES, grid
from tests.ablation.runs import BASE
from vqa.ablation.expand import Grid, expand
from vqa.ablation.schema import load_ablation
from vqa.config import Experiment, load_experiment, parse_experiment
from vqa.errors import ConfigError
from vqa.model.config import ModelConfig
from vqa.tracking.tags import place_of

ROOT = Path(__file__).resolve().parents[2]


def variants(made: Grid) -> list[str]:
    return made.variants


def test_every_combination_with_every_seed() -> None:
    made = grid(baselines=[])
    assert variants(made) == [
        f"{fusion}-{attention}"
        for fusion in ("concat", "multiply", "sum")
        for attention in ("none", "soft")
    ]
    assert [cell.seed for cell in made.cells[:2]] == [0, 1]
    assert len(made.cells) == 12
    cell = made.cells[-1]
    assert cell.experiment.model.fusion.name == "sum"
    assert cell.experiment.seed == 1
    assert cell.experiment.tracking.group == "g"
    assert cell.labels == {"model.fusion": "sum", "model.attention": "soft"}
    place = place_of(cell.experiment.tracking.tags)
    assert place is not None
    assert (place.variant, place.labels, place.chance) == ("sum-soft", cell.labels, False)


def test_a_bare_name_keeps_what_the_base_says_of_that_brick() -> None:
    made = {cell.variant: cell.experiment.model for cell in grid(baselines=[]).cells}
    assert made["multiply-soft"].attention.glimpses == 2
    assert made["multiply-none"].fusion.dim == 64
    assert made["sum-none"].fusion.dim == 256


def test_an_empty_set_is_the_base_as_it_is() -> None:
    changed = {"label": "deep", "set": {"model.fusion": "sum"}}
    made = grid(axes={"cells": [{"label": "base", "set": {}}, changed]}, baselines=[], seeds=1)
    base = parse_experiment(BASE)
    assert [cell.variant for cell in made.cells] == ["base", "deep"]
    assert made.cells[0].experiment.model == base.model


def test_each_experiment_can_be_run_alone(tmp_path: Path) -> None:
    for cell in grid().cells:
        file = tmp_path / f"{cell.name}.yaml"
        file.write_text(cell.experiment.to_yaml())
        assert load_experiment(file) == cell.experiment


def test_baselines_are_shared_by_all_fusions_and_attentions() -> None:
    made = grid()
    blind = [cell for cell in made.cells if cell.baseline]
    assert [(cell.variant, cell.seed) for cell in blind] == [
        ("question-only", 0),
        ("question-only", 1),
        ("image-only", 0),
        ("image-only", 1),
    ]
    question, image = blind[0].experiment.model, blind[2].experiment.model
    assert (question.image_encoder.name, question.attention.name) == ("none", "none")
    assert image.question_encoder.name == "none"
    assert question.fusion.dim == image.fusion.dim == 64  # the base's
    assert all("beside=chance" in cell.experiment.tracking.tags for cell in made.cells)


def test_a_fusion_of_the_picture_alone_leaves_the_question_only_baseline_one_that_reads() -> None:
    looking = {"attention": {"name": "relation"}, "fusion": "image", "coordinates": True}
    made = grid(base=BASE | {"model": looking}, axes={"optimizer.lr": [0.01, 0.1]}, seeds=[0])
    blind = {cell.baseline: cell.experiment.model for cell in made.cells if cell.baseline}
    assert blind["question-only"].fusion == ModelConfig().fusion
    assert blind["image-only"].fusion.name == "image"


def test_an_axis_that_a_baseline_feels_gives_it_one_for_each_value() -> None:
    made = grid(
        axes=AXES | {"model.question_encoder": ["lstm", "gru"], "data.fraction": [0.5, 1.0]},
        seeds=[7],
    )
    assert [cell.variant for cell in made.cells if cell.baseline] == [
        "question-only-lstm-fraction0.5",
        "question-only-lstm-fraction1.0",
        "question-only-gru-fraction0.5",
        "question-only-gru-fraction1.0",
        "image-only-fraction0.5",
        "image-only-fraction1.0",
    ]


def test_a_baseline_that_stands_in_the_grid_is_not_made_twice() -> None:
    axes = {"model.image_encoder": ["small", "none"], "model.fusion": ["multiply", "concat"]}
    base = BASE | {"model": {"fusion": "multiply", "attention": "none"}}
    made = grid(base=base, axes=axes, baselines=["question-only"])
    assert not [cell for cell in made.cells if cell.baseline]
    assert "question-only: adds no experiment" in made.notes[0]
    digests = [cell.experiment.digest() for cell in made.cells]
    assert len(set(digests)) == len(digests)


def test_a_chooser_reads_its_choices_without_the_question() -> None:
    base = BASE | {"model": {"head": "chooser", "question_encoder": {"name": "gru", "dim": 32}}}
    made = grid(base=base, axes={"model.fusion": ["concat", "sum"]}, baselines=["image-only"])
    model = made.cells[-1].experiment.model
    assert (model.question_encoder.name, model.head.encoder.name, model.head.encoder.dim) == (
        "none",
        "gru",
        32,
    )


def test_labelled_and_composite_values() -> None:
    made = grid(
        axes={
            "model.attention": [
                "none",
                {"label": "soft4", "value": {"name": "soft", "glimpses": 4}},
            ],
            "size": [
                {"label": "small", "set": {"model.fusion": "concat", "model.fusion.hidden": [32]}},
                {"label": "large", "set": {"model.fusion": "concat", "model.fusion.hidden": [512]}},
            ],
            "optimizer.lr": [0.01, 0.001],
            "model.coordinates": [True, False],
        },
        seeds=1,
        baselines=[],
    )
    assert made.cells[0].variant == "none-small-lr0.01-coordinates-true"
    last = made.cells[-1].experiment.model
    assert (last.attention.glimpses, last.fusion.hidden) == (4, (512,))
    assert made.cells[0].experiment.model.fusion.hidden == (32,)


def test_a_key_within_a_brick_is_set_after_the_brick() -> None:
    made = grid(
        axes={"model.fusion.dim": [32, 48], "model.fusion": ["multiply", "sum"]},
        seeds=1,
        baselines=[],
    )
    found = {
        (cell.experiment.model.fusion.name, cell.experiment.model.fusion.dim) for cell in made.cells
    }
    assert found == {(name, dim) for name in ("multiply", "sum") for dim in (32, 48)}


def test_excluded_combinations_and_overrides() -> None:
    made = grid(
        exclude=[{"model.fusion": ["sum", "concat"], "model.attention": "none"}],
        overrides={"trainer.max_epochs": 5},
        baselines=[],
    )
    assert variants(made) == ["concat-soft", "multiply-none", "multiply-soft", "sum-soft"]
    assert made.cells[0].experiment.trainer.max_epochs == 5


def test_an_override_that_some_cell_keeps_is_taken() -> None:
    made = experiments(overrides={"model.fusion.dim": 8})
    dims = {one.model.fusion.name: getattr(one.model.fusion, "dim", None) for one in made}
    assert dims == {"concat": None, "multiply": 8, "sum": 256}  # the base's own brick keeps it
    quick = {"label": "quick", "set": {"trainer.max_epochs": 1}}
    recipe = {"recipe": [{"label": "base", "set": {}}, quick]}
    made = experiments(axes=recipe, overrides={"trainer.max_epochs": 7})
    assert {one.trainer.max_epochs for one in made} == {1, 7}


def experiments(**fields: Any) -> list[Experiment]:
    return [cell.experiment for cell in grid(**fields).cells if not cell.baseline]


def test_stores_as_an_axis_are_told_to_need_a_common_test() -> None:
    [note] = grid(axes={"data.store": ["a", "b"]}, baselines=[]).notes
    assert note.startswith("data.store is varied: runs of different stores are compared only once")
    assert grid(baselines=[]).notes == []


def test_an_exclusion_names_a_list_as_it_is_written() -> None:
    hidden = [[128, 64], [128], [64]]
    axes = {"model.head.hidden": hidden, "model.fusion": ["concat", "sum"]}
    whole = {"model.head.hidden": [128, 64], "model.fusion": "sum"}
    either = {"model.head.hidden": [[128], [64]], "model.fusion": "concat"}
    base = BASE | {"model": {"head": {"name": "classifier"}}}
    made = grid(base=base, axes=axes, baselines=[], exclude=[whole, either])
    assert variants(made) == ["hidden128x64-concat", "hidden128-sum", "hidden64-sum"]


def test_the_same_file_gives_the_same_names() -> None:
    assert [cell.name for cell in grid().cells] == [cell.name for cell in grid().cells]
    names = [cell.name for cell in grid().cells]
    assert len(set(names)) == len(names)
    changed = grid(overrides={"optimizer.lr": 0.5})
    assert not {cell.name for cell in changed.cells} & set(names)


BRICKS = {
    "model.fusion": ["concat", "multiply", "sum"],
    "model.attention": ["none", "soft", "stacked"],
    "model.question_encoder": ["lstm", "gru", "rnn"],
    "data.fraction": [0.25, 0.5, 1.0],
    "optimizer.lr": [0.1, 0.01, 0.001],
    "trainer.max_epochs": [1, 2, 3],
}


@st.composite
def ablations(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(BRICKS)), min_size=1, max_size=3, unique=True))
    axes = {
        name: draw(st.lists(st.sampled_from(BRICKS[name]), min_size=2, max_size=3, unique=True))
        for name in names
    }
    seeds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True))
    kinds = draw(st.lists(st.sampled_from(["question-only", "image-only", "chance"]), unique=True))
    return {"axes": axes, "seeds": seeds, "baselines": kinds}


@settings(deadline=None, max_examples=50)
@given(ablations())
def test_any_grid_is_complete_distinct_and_as_asked(fields: dict[str, Any]) -> None:
    made = grid(**fields)
    cells = [cell for cell in made.cells if cell.baseline is None]
    size = len(fields["seeds"])
    for values in fields["axes"].values():
        size *= len(values)
    assert len(cells) == size
    digests = [cell.experiment.digest() for cell in made.cells]
    assert len(set(digests)) == len(digests)
    places = [(cell.variant, cell.seed) for cell in made.cells]
    assert len(set(places)) == len(places)
    for cell in cells:
        written = yaml.safe_load(cell.experiment.to_yaml())
        assert parse_experiment(written) == cell.experiment
        assert set(cell.labels) == set(fields["axes"])
    seeing = {"question-only", "image-only"} & set(fields["baselines"])
    assert {cell.baseline for cell in made.cells if cell.baseline} == seeing
    assert grid(**fields).cells == made.cells


def test_every_shipped_ablation_expands() -> None:
    files = sorted((ROOT / "configs" / "ablations").glob("*.yaml"))
    assert files
    for file in files:
        assert expand(load_ablation(file)).cells


def test_a_command_line_override_changes_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({"group": "g", "base": "base.yaml", "axes": AXES}))
    made = expand(load_ablation(file, ["trainer.max_epochs=9"]))
    assert {cell.experiment.trainer.max_epochs for cell in made.cells} == {9}
    with pytest.raises(ConfigError, match="did you mean 'max_epochs'"):
        load_ablation(file, ["trainer.max_epoch=9"])
