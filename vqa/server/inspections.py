"""What `vqa inspect` tells of stores, for pages: counted in the background, once for each store, and kept."""

from __future__ import annotations

import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

from vqa.errors import VQAError
from vqa.evaluation.files import write_atomically
from vqa.jobs.home import Home

log = logging.getLogger(__name__)
MOST_KEPT = 50
FINGERPRINT = re.compile(r"[0-9a-f]{8,128}")


class Inspections:
    """See `get`. One object serves any number of threads.

    Args:
        home: keeps the results, in `cache/inspections/`.
    """

    def __init__(self, home: Home) -> None:
        self._folder = home.path / "cache" / "inspections"
        self._lock = threading.Lock()
        self._working: set[Path] = set()
        self._failed: dict[Path, str] = {}
        self._one_at_a_time = threading.Lock()

    def get(self, path: Path, fingerprint: str) -> dict[str, Any] | None:
        """What is in a store; None while it is being counted, which this call begins.

        Raises:
            VQAError: it cannot be counted.
        """
        found = self._read(fingerprint)
        if found is not None:
            return found
        with self._lock:
            if path in self._failed:
                raise VQAError(self._failed.pop(path), where=path.name)
            if path not in self._working:
                self._working.add(path)
                threading.Thread(
                    target=self._work, args=(path, fingerprint), name="inspect", daemon=True
                ).start()
        return None

    def _work(self, path: Path, fingerprint: str) -> None:
        from vqa.data.inspect import inspect
        from vqa.data.store import Store

        try:
            with self._one_at_a_time:
                text = json.dumps(inspect(Store.open(path)), ensure_ascii=False)
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file(fingerprint), [text])
            self._prune()
        except Exception as error:  # said to whoever asks next
            log.warning("a store could not be inspected", exc_info=error)
            with self._lock:
                self._failed[path] = error.what if isinstance(error, VQAError) else str(error)
        finally:
            with self._lock:
                self._working.discard(path)

    def _read(self, fingerprint: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._file(fingerprint).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _file(self, fingerprint: str) -> Path:
        if not FINGERPRINT.fullmatch(fingerprint):
            raise VQAError("the store's fingerprint is none", fix="prepare it anew")
        return self._folder / f"{fingerprint}.json"

    def _prune(self) -> None:
        files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for file in files[:-MOST_KEPT]:
            file.unlink(missing_ok=True)
