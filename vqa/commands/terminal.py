"""What others wrote, made harmless for a terminal; times as people read them."""

from __future__ import annotations

import re
import time

from vqa.amounts import shortened

_NOT_PLAIN = re.compile(r"[^\n\t -~]")
CONTROL_PICTURES = 0x2400


def plain(text: str, limit: int = 200) -> str:
    """`text` on one line, without a character that could steer a terminal, and not overlong."""
    shown = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text)
    return shortened(shown, limit)


def harmless(text: str) -> str:
    """A log as it stands, but for what could steer a terminal: escapes are shown, not obeyed.

    A carriage return, with which progress bars write over themselves, begins a new line.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _NOT_PLAIN.sub(lambda match: _shown(match[0]), text)


def _shown(mark: str) -> str:
    if mark.isprintable():
        return mark
    code = ord(mark)
    if code < 0x20:
        return chr(CONTROL_PICTURES + code)
    return "\N{REPLACEMENT CHARACTER}"


def duration(seconds: float) -> str:
    """Two units at most: `43s`, `5m10s`, `3h20m`, `2d04h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def moment(unix: float) -> str:
    """Date and time in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))
