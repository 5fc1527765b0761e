"""Key paths of an experiment."""

from pathlib import Path

import pytest

from vqa.ablation.paths import check_path
from vqa.ablation.schema import load_ablation
from vqa.errors import ConfigError


@pytest.mark.parametrize(
    "path",
    ["seed", "data.augmentation.shift", "model.fusion", "model.fusion.dim", "model.attention.hops"],
)
def test_a_key_path_is_known(path: str) -> None:
    check_path(path, where="here")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("modle.fusion", r"here: modle\.fusion: no such key; did you mean 'model'\?"),
        ("model.fusion.dmi", r"did you mean 'dim'\?"),
        ("max_epochs", r"max_epochs: no such key; did you mean 'trainer\.max_epochs'\?"),
        ("seed.x", "no such key"),
        ("", "no such key"),
    ],
)
def test_an_unknown_key_path_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_path(path, where="here")


def test_an_experiment_is_told_from_an_ablation(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("data: {store: x}\nmodel: {fusion: concat}\n")
    with pytest.raises(ConfigError, match=f"is an experiment — vqa train {file} --run DIR"):
        load_ablation(file)
