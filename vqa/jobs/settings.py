"""`VQA_HOME/settings.yaml`: how a service runs jobs. Every key has a default; a file that changes is read again."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vqa.errors import ConfigError
from vqa.faults import explain
from vqa.jobs.record import EngineName
from vqa.yaml_file import read_yaml

REST_SECONDS = 1.0
log = logging.getLogger(__name__)


class Section(BaseModel):
    """A frozen, closed part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LocalSettings(Section):
    """What jobs on this machine may use together; `auto` is all there is.

    Attributes:
        gpus: indices or UUIDs.
        cores: CPU cores.
        memory_mb: memory in MiB.
        jobs_per_gpu: jobs of one GPU that run on it side by side, each with an equal part of most of its memory.
            Not to be changed while jobs run on GPUs: each keeps the part that it began with.
    """

    gpus: Literal["auto"] | tuple[str, ...] = "auto"
    cores: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    memory_mb: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    jobs_per_gpu: int = Field(default=1, ge=1, le=16)


class SlurmSettings(Section):
    """How batch scripts for Slurm are written.

    Attributes:
        gpu_option: the line that asks for GPUs; `{gpus}` is their number a node.
        options: further `sbatch` options, each without `#SBATCH`.
        setup: shell lines before the runner starts, such as `module load cuda`.
        requeue: let Slurm start a preempted job again by itself.
        signal_seconds: how long before its end Slurm asks a job to stop.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpu_option: str = "--gpus-per-node={gpus}"
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    requeue: bool = True
    signal_seconds: int = Field(default=60, ge=1)


def _address(text: str) -> str:
    """Refuse what no client can be made for."""
    import httpx

    try:
        httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return text


class RaySettings(Section):
    """Where Ray's job server is.

    Attributes:
        address: the dashboard's address.
        token_file: a file with the cluster's token (Ray's own variables are used where it is None).
    """

    address: Annotated[str, AfterValidator(_address)] = "http://127.0.0.1:8265"
    token_file: Path | None = None


class Quotas(Section):
    """Limits that a submission or an upload meets; 0 means none, but for the last two.

    Attributes:
        jobs_per_user: jobs of a user that have not ended.
        disk_mb_per_user: MiB that a user's run directories may hold.
        min_free_mb: MiB that must be free on the disk of `VQA_HOME` for a job to be taken or started.
        max_priority: the highest that a token of scope `submit` may give a job; an admin's is bound by none, nor is
            a command on this machine.
        upload_mb_per_user: MiB that the stores that a user has uploaded may hold, with what is on its way; 0 takes
            no uploads.
    """

    jobs_per_user: int = Field(default=10_000, ge=0)
    disk_mb_per_user: int = Field(default=0, ge=0)
    min_free_mb: int = Field(default=256, ge=0)
    max_priority: int = Field(default=0, ge=0, le=1000)
    upload_mb_per_user: int = Field(default=20_000, ge=0, lt=1 << 40)


class Settings(Section):
    """How a service runs jobs.

    Attributes:
        engine: where a job runs that names no engine.
        max_restarts: how often a lost job is started again without having come further.
        grace_seconds: time between asking a run to stop and killing it.
        lease_seconds: a running job whose heartbeat stands still for so long is lost.
        poll_seconds: how often the dispatcher looks.
        keep_uploads_days: how long the parts of an upload are kept that nobody goes on with.
        keep_checkpoints: `all` of what training keeps, the `best` and the last, or `none`, once a job has succeeded.
        stores: further stores by name.
    """

    engine: EngineName = "local"
    max_restarts: int = Field(default=3, ge=0, le=1000)
    grace_seconds: float = Field(default=30.0, ge=0, le=3600)
    lease_seconds: float = Field(default=30.0, ge=1, le=86_400)
    poll_seconds: float = Field(default=0.25, gt=0, le=60)
    keep_uploads_days: float = Field(default=7.0, gt=0, le=3650)
    keep_checkpoints: Literal["all", "best", "none"] = "all"
    stores: dict[str, Path] = Field(default_factory=dict)
    local: LocalSettings = LocalSettings()
    slurm: SlurmSettings = SlurmSettings()
    ray: RaySettings = RaySettings()
    quotas: Quotas = Quotas()


def parse_settings(fields: dict[str, Any], where: str) -> Settings:
    """Check plain fields against the schema.

    Raises:
        ConfigError: a key or a value does not fit; each is named.
    """
    try:
        return Settings.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(explain(error, Settings), where=where) from None


class SettingsFile:
    """The last settings that a file held without a fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[_Sign | None, Settings] | None = None

    def read(self) -> Settings:
        """As the file is now; while it is being exchanged, or has a fault, as it was before.

        Raises:
            ConfigError: when it is first read, a key or a value does not fit.
        """
        sign, kept = self._sign(), self._kept
        if kept is None:
            found = Settings() if sign is None else self._parse()
        elif (
            sign is None or sign == kept[0] or sign.is_fresh
        ):  # one that is gone is being exchanged
            return kept[1]
        else:
            found = self._anew(kept[1])
        self._kept = sign, found
        return found

    def _sign(self) -> _Sign | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return _Sign(found.st_mtime_ns, found.st_ino, found.st_size)

    def _anew(self, before: Settings) -> Settings:
        try:
            return self._parse()
        except ConfigError as error:
            log.warning("%s (what held before goes on holding)", error)
            return before

    def _parse(self) -> Settings:
        fields = read_yaml(self._path, "settings", "begin with a key such as `engine:`")
        return parse_settings(fields, where=str(self._path))


class _Sign(NamedTuple):
    """By which a file is known to be the same."""

    changed_ns: int
    inode: int
    size: int

    @property
    def is_fresh(self) -> bool:
        """Whether somebody may still be writing it: a part may pass for the whole."""
        return 0 <= time.time() - self.changed_ns / 1e9 < REST_SECONDS
