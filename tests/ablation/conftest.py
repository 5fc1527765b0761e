"""A grid of runs and its study, for tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ablation.runs import known, make_folder, study_of
from vqa.ablation.study import Study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the grid whose true differences are known."""
    return make_folder(tmp_path_factory.mktemp("runs"), known)


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    """Their comparison."""
    return study_of(folder)
