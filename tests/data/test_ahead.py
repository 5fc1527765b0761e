"""Work that is done before it is asked for, and no more of it than may wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from vqa.data.ahead import ahead


def numbered(drawn: list[int]) -> Iterator[Callable[[], int]]:
    """Pieces that say their numbers; `drawn` gets those that were asked for."""
    for number in range(50):
        drawn.append(number)
        yield lambda number=number: number


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_so_many_pieces_are_drawn_ahead(threads: int) -> None:
    drawn = list[int]()
    pieces = ahead(numbered(drawn), threads)
    for number in range(10):
        assert next(pieces) == number
        assert len(drawn) == number + 1 + threads
    assert list(pieces) == list(range(10, 50))


def test_what_nobody_asks_for_any_more_is_not_begun() -> None:
    drawn, begun = list[int](), list[int]()
    pieces = ahead(numbered(drawn), 2, lambda: begun.append(threading.get_ident()))
    assert next(pieces) == 0
    pieces.close()
    assert len(drawn) == 3
    assert threading.get_ident() not in begun
    assert not {thread.ident for thread in threading.enumerate()} & set(begun)
