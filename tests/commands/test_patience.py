"""A server that is away is waited for, and not for ever."""

from __future__ import annotations

import pytest

from vqa.commands import patience
from vqa.errors import EngineError


def failing(*errors: Exception):
    left = list(errors)

    def look() -> str:
        if left:
            raise left.pop(0)
        return "seen"

    return look


def away() -> EngineError:
    return EngineError("cannot be reached", temporary=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.0)


def test_a_server_that_is_away_is_waited_for() -> None:
    assert patience.patiently(failing(away(), away())) == "seen"


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(EngineError):
        patience.patiently(failing(*[away()] * 1000))


def test_another_error_is_not_waited_for() -> None:
    look = failing(EngineError("answers in another language"))
    with pytest.raises(EngineError):
        patience.patiently(look)
    assert look() == "seen"
