"""What cannot be expanded is refused before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ablation.grids import AXES, grid
from tests.ablation.runs import BASE
from vqa.ablation.schema import load_ablation
from vqa.errors import ConfigError

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"axes": {"model.fusoin": ["sum", "concat"]}},
        r"model\.fusoin: no such key; did you mean 'fusion'\?",
    ),
    ({"axes": {"modle.fusion": ["sum", "concat"]}}, r"did you mean 'model'\?"),
    ({"axes": {"model.fusion.dmi": [1, 2]}}, r"did you mean 'dim'\?"),
    ({"axes": {"model.fusion": []}}, r"axes\.model\.fusion: has no value"),
    ({"axes": {}}, "axes: there is none"),
    ({"axes": {"model.fusion": ["sum"]}}, "a single value"),
    ({"axes": {"model.fusion": ["sum", "sum"]}}, "'sum' stands twice"),
    (
        {
            "axes": {
                "model.attention": [
                    {"name": "soft", "glimpses": 1},
                    {"name": "soft", "glimpses": 3},
                ]
            }
        },
        "two values are labelled 'soft'.*label: short",
    ),
    (
        {"axes": {"model.fusion": ["concat", "multiplly"]}},
        r"cell multiplly: .*did you mean 'multiply'\?",
    ),
    (
        {"axes": {"data.batch_size": [0, 32]}},
        r"cell batch_size0: data\.batch_size: .*greater than or equal to 1",
    ),
    ({"axes": {"seed": [1, 2]}}, "seed is no axis"),
    (
        {"axes": {"evaluation.protocol": ["exact/1", "multiple-choice/1"]}},
        r"evaluation\.protocol is no axis: no comparison takes runs that were scored otherwise",
    ),
    ({"axes": {"evaluation.split": ["val", "test"]}}, "`vqa evaluate` scores trained runs anew"),
    ({"overrides": {"seed": 5}}, r"override of a\.yaml: seed: the ablation sets .*`seeds`"),
    ({"overrides": {"tracking.group": "mine"}}, "write it as `group`"),
    (
        {"overrides": {"model.fusion": "mutan"}},
        r"model\.fusion: the axis model\.fusion sets it in every cell",
    ),
    (
        {"overrides": {"model.fusion.dim": 8}, "axes": {"model.fusion": ["concat", "sum"]}},
        r"model\.fusion\.dim: the axis model\.fusion sets it",
    ),
    ({"axes": {"tracking.project": ["a", "b"]}}, "it decides no result"),
    (
        {
            "axes": {
                "model.attention": [
                    {"name": "soft"},
                    {"label": "x", "value": {"name": "soft", "glimpses": 1}},
                ]
            }
        },
        "same exp",
    ),
    (
        {
            "axes": {
                "model.fusion": ["sum", "concat"],
                "x": [{"label": "a", "set": {"model.fusion": "sum"}}],
            }
        },
        "single value",
    ),
    (
        {
            "axes": {
                "model.fusion": ["sum", "concat"],
                "x": [
                    {"label": a, "set": {"model.fusion": b}}
                    for a, b in (("a", "sum"), ("b", "concat"))
                ],
            }
        },
        "is changed by the axes",
    ),
    (
        {"axes": {"x": [{"label": "a", "set": ["seed"]}, {"label": "b", "set": {"seed": 1}}]}},
        "`set` holds key paths",
    ),
    ({"axes": {"model.fusion": [{"label": "a b", "value": "sum"}, "concat"]}}, "is no label"),
    ({"axes": {"model.fusion": [{"label": "x" * 41, "value": "sum"}, "concat"]}}, "at most 40"),
    ({"seeds": []}, "seeds"),
    ({"seeds": 0}, "from 1 to 1000 seeds"),
    ({"seeds": [1, 1]}, "1 stands twice"),
    ({"seeds": [-1]}, r"seeds\.0: .* 0, not -1$"),
    ({"exclude": [{"model.fusion": "sun"}]}, r"no value 'sun'; did you mean 'sum'\?"),
    ({"exclude": [{"fusion": "sum"}]}, r"no axis 'fusion'; did you mean 'model.fusion'\?"),
    ({"exclude": [{}]}, "names no axis"),
    ({"exclude": [{"model.fusion": ["sum", "concat", "multiply"]}]}, "leaves nothing"),
    ({"exclude": [{"model.fusion": "sum"}]}, "leaves no cell with model.fusion=sum"),
    ({"overrides": {"trainer.max_epoch": 3}}, r"overrides: .*did you mean 'max_epochs'\?"),
    ({"budget": {"max_jobs": 3}}, "16 runs with baselines, budget.max_jobs allows 3"),
    ({"baselines": ["question_only"]}, "baselines"),
    ({"grup": "x"}, r"grup: no such key; did you mean 'group'\?"),
    ({"group": "a/b"}, "group"),
    ({"base": {"data": {}}}, r"data\.store: missing"),
    ({"base": {"data": {"store": "x"}, "tracking": {"tags": ["a=b"]}}}, "would be read as an axis"),
    ({"base": "nowhere.yaml"}, r"^a\.yaml: base: nowhere\.yaml: no such file"),
    ({"axes": {"optimizer.lr": [1e-3] + [n + 1.5 for n in range(40)]}, "seeds": 60}, "2,460 cells"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(**fields)


def test_an_empty_file_is_told_how_an_ablation_begins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"an ablation: .* begin with `group:`"):
        load_ablation(tmp_path / "a.yaml")


def test_ten_thousand_cells_are_refused_before_one_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "vqa.ablation.expand.parse_experiment", lambda *_, **__: pytest.fail("built")
    )
    axes = {"model.fusion.dim": list(range(1, 101)), "data.batch_size": list(range(1, 21))}
    with pytest.raises(
        ConfigError, match=r"10,000 cells \(100 × 20 values × 5 seeds\), at most 2,000"
    ):
        grid(axes=axes, seeds=5)


def test_labels_that_make_one_name_of_two_variants_are_refused() -> None:
    axes = {
        "model.fusion": [{"label": "a-b", "value": "sum"}, {"label": "a", "value": "concat"}],
        "model.attention": [{"label": "c", "value": "none"}, {"label": "b-c", "value": "soft"}],
    }
    with pytest.raises(ConfigError, match="two cells are called a-b-c"):
        grid(axes=axes)


def test_a_wrong_override_of_the_command_is_not_laid_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ablation.yaml"
    file.write_text(yaml.safe_dump({"group": "g", "base": BASE, "axes": AXES}))
    with pytest.raises(ConfigError, match=rf"^override of {file}: trainer.max_epoch: no such key"):
        load_ablation(file, ["trainer.max_epoch=3"])
