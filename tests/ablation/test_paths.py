"""Key paths of an experiment."""

import pytest

from vqa.ablation.paths import check_path
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
        ("seed.x", "no such key"),
        ("", "no such key"),
    ],
)
def test_an_unknown_key_path_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_path(path, where="here")
