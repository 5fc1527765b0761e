"""Work that is done before it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(
    work: Iterable[Callable[[], T]], threads: int, begin: Callable[[], object] | None = None
) -> Generator[T, None, None]:
    """Run `work` in order, up to `threads` pieces ahead of the consumer; 0 runs each when it is asked for.

    Args:
        begin: called first in each thread.
    """
    if not threads:
        yield from (piece() for piece in work)
        return
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for piece in work:
                waiting.append(pool.submit(piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
