"""What tests of `vqa score` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.evaluation.scoring import run


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What the command prints as JSON."""

    def read(*arguments: Any) -> Any:
        assert run(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return read
