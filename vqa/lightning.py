"""Lightning, imported without what its metrics might need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

UNASKED = ("scipy", "torchvision", "transformers")
"""What torchmetrics, which comes with Lightning, imports where it is installed, for metrics that no run asks for."""


def import_lightning() -> None:
    """Import Lightning without what its metrics might need: a third of the time that a run takes to start, and 90 MB.

    To be called before anything else imports it. Who needs one of these packages imports it as ever.
    """
    with _unseen(*UNASKED):
        import pytorch_lightning  # noqa: F401


@contextmanager
def _unseen(*packages: str) -> Iterator[None]:
    """Let packages that have not been imported seem not to be installed."""
    names = [name for name in packages if name not in sys.modules]
    found, kept = metadata.Distribution.from_name, vars(metadata.Distribution)["from_name"]

    def from_name(name: str) -> metadata.Distribution:
        if name in names:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: an import of it fails
    metadata.Distribution.from_name = staticmethod(from_name)  # type: ignore[method-assign]
    try:
        yield
    finally:
        metadata.Distribution.from_name = kept  # type: ignore[method-assign]
        for name in names:
            del sys.modules[name]
