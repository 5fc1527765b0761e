"""Amounts as people read them, and texts as long as they read them."""

from __future__ import annotations


def size(count: float) -> str:
    """A number of bytes in the unit that fits: "812 B", "4.2 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, the last an ellipsis where some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"
