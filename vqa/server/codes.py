"""A code that signs the server's owner in once: it may stand in an address, where a token must not."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from pathlib import Path

from vqa.server.tokens import digest_of

LIFE_SECONDS = 600.0


class Codes:
    """Codes that were given out and not used.

    Args:
        token_file: the owner's token, which a code stands for; None gives none out.
        life_seconds: how long a code holds.
    """

    def __init__(self, token_file: Path | None = None, life_seconds: float = LIFE_SECONDS) -> None:
        self._token_file, self._life = token_file, life_seconds
        self._open: dict[str, float] = {}
        self._lock = threading.Lock()

    def new(self) -> str:
        """A code to put behind the # of the sign-in page's address, which no browser sends to anybody."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._open[digest_of(code)] = time.monotonic() + self._life
        return code

    def redeem(self, code: str) -> str | None:
        """The owner's token for a code that holds; it holds no longer. None for any other text."""
        digest, found = digest_of(code), False
        with self._lock:
            for known, until in list(self._open.items()):
                matches = hmac.compare_digest(known, digest)
                found = found or (matches and time.monotonic() < until)
                if matches:
                    del self._open[known]
        if not found or self._token_file is None:
            return None
        return self._token_file.read_text(encoding="ascii").strip()
