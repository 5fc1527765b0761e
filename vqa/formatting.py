"""How people are shown things: sizes and times, texts cut to length and made harmless, columns side by side."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

_NOT_PLAIN = re.compile(r"[^\n\t -~]")
CONTROL_PICTURES = 0x2400


def size(count: float) -> str:
    """A number of bytes in the unit that fits: "812 B", "4.2 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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


def roughly(seconds: float | None) -> str:
    """A time that is estimated: `42 s`, `12 min`, `1.5 h`; `unknown` for None."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def moment(unix: float) -> str:
    """Date and time in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, the last an ellipsis where some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def printable(text: str, keep: str = "") -> str:
    """The text without a character that could steer a terminal, but for those to `keep`."""
    return "".join(
        mark if mark.isprintable() or mark in keep else "\N{REPLACEMENT CHARACTER}" for mark in text
    )


def plain(text: str, most: int = 200) -> str:
    """The text on one line that cannot steer a terminal, in at most so many characters."""
    return shortened(printable(text), most)


def one_line(text: str) -> str:
    """The same, but whole, and with a blank for any run of them."""
    return printable(" ".join(text.split()))


def harmless(text: str) -> str:
    """A log as it stands, but for what could steer a terminal: escapes are shown, not obeyed.

    A carriage return, with which progress bars write over themselves, begins a new line.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _NOT_PLAIN.sub(lambda match: _visible(match[0]), text)


def _visible(mark: str) -> str:
    code = ord(mark)
    return chr(CONTROL_PICTURES + code) if code < 0x20 else printable(mark)


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of columns side by side: the first `left` of them to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
