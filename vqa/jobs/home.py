"""`VQA_HOME`: where the queue, the runs, the stores and the settings of a service stand.

VQA_HOME/
    settings.yaml      how this service runs jobs: see `vqa.jobs.settings`
    queue.sqlite3      the queue
    runs/<job>/        run directories
    stores/<name>/     stores that a submission may name, beside those in settings
    weights/<name>     weight and word-vector files that a submission may name
    uploads/           what is on its way here from other machines
    cache/             what can be made again, such as what was counted in a store
    tokens.json        who may use the HTTP interface (0600)
    token              the owner's token for commands on this machine (0600)
    dispatcher.lock, dispatcher.log, server.lock, quotas.lock, uploads.lock
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vqa.errors import JobError
from vqa.jobs.settings import Settings, SettingsFile
from vqa.names import NAME_PATTERN


@dataclass(frozen=True)
class Home:
    """Paths under `VQA_HOME`."""

    path: Path

    @classmethod
    def here(cls) -> Home:
        """The one that `VQA_HOME` names, `~/.vqa` otherwise."""
        named = os.environ.get("VQA_HOME")
        return cls(Path(named).expanduser().resolve() if named else Path.home() / ".vqa")

    def make(self) -> Home:
        """Create what is missing, for this user alone."""
        for folder in (self.path, self.runs, self.stores, self.weights):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    @property
    def queue_file(self) -> Path:
        """The queue's database."""
        return self.path / "queue.sqlite3"

    @property
    def runs(self) -> Path:
        """Run directories."""
        return self.path / "runs"

    @property
    def stores(self) -> Path:
        """Stores that a submission may name."""
        return self.path / "stores"

    @property
    def weights(self) -> Path:
        """Weight and word-vector files that a submission may name."""
        return self.path / "weights"

    @property
    def dispatcher_lock(self) -> Path:
        """Held by the one dispatcher."""
        return self.path / "dispatcher.lock"

    @property
    def server_lock(self) -> Path:
        """Held by a server, whose dispatcher goes before one that was started on demand."""
        return self.path / "server.lock"

    @property
    def quotas_lock(self) -> Path:
        """Held by who checks quotas until what it checked is queued."""
        return self.path / "quotas.lock"

    @property
    def uploads_lock(self) -> Path:
        """Held by the one server that takes uploads."""
        return self.path / "uploads.lock"

    @property
    def dispatcher_log(self) -> Path:
        """What a dispatcher that was started on demand says."""
        return self.path / "dispatcher.log"

    def run_dir(self, job: str) -> Path:
        """The run directory of a job.

        Raises:
            JobError: the id is no name.
        """
        if not re.fullmatch(NAME_PATTERN, job):
            raise JobError(f"no job {job!r}", fix="see `vqa jobs`", kind="not-found")
        return self.runs / job

    def cancel_marker(self, job: str) -> Path:
        """A file that says to a job's runner that being stopped means being cancelled."""
        return self.run_dir(job) / "cancel"

    @property
    def settings(self) -> Settings:
        """What `settings.yaml` says, defaults elsewhere; read again when it has changed.

        A changed file with a fault is not taken: what held before goes on holding, and the log says so.

        Raises:
            ConfigError: when it is first read, a key or a value does not fit.
        """
        return self._settings_file.read()

    @cached_property
    def _settings_file(self) -> SettingsFile:
        return SettingsFile(self.path / "settings.yaml")
