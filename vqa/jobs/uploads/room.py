"""Whether there is room for what is sent: the quota of its user, and the disk."""

from __future__ import annotations

import shutil

from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.uploads.owned import bytes_of, stores_of

MOST_STORES = 1000
"""Of a user: however small they are, each is looked at wherever stores are listed."""


class Allowance:
    """Checks uploads against the quotas of a `VQA_HOME`; everything in bytes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stored: dict[str, int] = {}

    def changed(self) -> None:
        """A store was made or deleted."""
        self._stored.clear()

    def check_count(self, user: str) -> None:
        """Refuse one more store.

        Raises:
            JobError: `quota`.
        """
        count = sum(1 for _ in stores_of(self._home, user))
        if count >= MOST_STORES:
            raise JobError(
                f"{user} has uploaded {count:,} stores, as many as each user may have",
                fix="`vqa upload --delete NAME` deletes one",
                kind="quota",
            )

    def check_quota(self, user: str, unfinished: int, more: int) -> None:
        """Refuse `more` beside what the user's uploads take that are no stores yet.

        Raises:
            JobError: `forbidden` where uploads are off, `quota` with the numbers.
        """
        limit = self._home.settings.quotas.upload_mb_per_user << 20
        if not limit:
            fix = "ask an admin: `quotas: {upload_mb_per_user: …}` in the server's settings.yaml"
            raise JobError("uploads are off on this server", fix=fix, kind="forbidden")
        if user not in self._stored:
            self._stored[user] = bytes_of(self._home, user)
        used = self._stored[user] + unfinished
        if used + more > limit:
            raise JobError(
                f"the uploads of {user} take {_mb(used)}, and {_mb(more)} more would exceed the "
                f"{_mb(limit)} that each user may have",
                fix="`vqa upload --delete NAME` frees what one of them takes",
                kind="quota",
            )

    def check_disk(self, more: int) -> None:
        """Refuse what would leave less than `min_free_mb` free.

        Raises:
            JobError: `disk-full`, with the numbers.
        """
        folders = self._home.path, self._home.stores  # which may be a link to another disk
        free = min(shutil.disk_usage(folder).free for folder in folders)
        least = self._home.settings.quotas.min_free_mb << 20
        if free - more < least:
            raise JobError(
                f"the server's disk is full: {_mb(free)} are free, {_mb(more + least)} are needed",
                fix="ask an admin to free some; what has come is kept for some days",
                kind="disk-full",
            )


def _mb(count: int) -> str:
    """Bytes as MiB, rounded up."""
    return f"{-(-count >> 20):,} MiB"
