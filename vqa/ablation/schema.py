"""The one schema of an ablation: a base experiment, axes, seeds. Nothing here imports torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from vqa.ablation.paths import check_path
from vqa.config import Section, parse_override, set_value
from vqa.errors import ConfigError
from vqa.faults import explain
from vqa.jobs.record import EngineName
from vqa.names import NAME_PATTERN
from vqa.yaml_file import read_yaml

Baseline = Literal["question-only", "image-only", "chance"]
BASELINES: tuple[Baseline, ...] = ("question-only", "image-only", "chance")
MOST_SEEDS = 1000


class Budget(Section):
    """What the whole ablation may take; 0 means no limit.

    Attributes:
        max_jobs: runs, baselines included.
        max_hours: estimated training time, all runs one after the other.
    """

    max_jobs: int = Field(default=0, ge=0)
    max_hours: float = Field(default=0.0, ge=0)


class Wanted(Section):
    """Where and how each run is queued; see `vqa.jobs.views.SubmitRequest`."""

    engine: EngineName | None = None
    priority: int = Field(default=0, ge=-1000, le=1000)
    cores: int | None = Field(default=None, ge=1, le=4096)
    memory_mb: int | None = Field(default=None, ge=0, le=1 << 40)
    time_minutes: int | None = Field(default=None, ge=0, le=1 << 24)
    max_restarts: int | None = Field(default=None, ge=0, le=1000)


Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _counted(value: Any) -> Any:
    """Let seeds be written as their number: 3 for [0, 1, 2]."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"from 1 to {MOST_SEEDS} seeds")
        return tuple(range(value))
    return value


class Ablation(Section):
    """A grid of experiments.

    Attributes:
        group: name under which the runs belong together, here and in W&B.
        base: an experiment's file, relative to the ablation's, or its sections.
        overrides: key path → value, set in the base.
        axes: key path → values. A value is anything that the key takes; a brick's bare name keeps what the
            base says of that brick. `{label, value}` names a value. Under a name that is no key path,
            `{label, set: {key path: value, …}}` changes several keys at once, `set: {}` none.
        seeds: every cell is trained with each; a number counts from 0.
        exclude: combinations that are left out, as {axis: label, …}.
        baselines: what joins the grid to be compared with.
        budget: what the whole may take.
        resources: where and how each run is queued.
    """

    schema_version: Literal[1] = 1
    group: Annotated[str, Field(min_length=1, max_length=80, pattern=NAME_PATTERN)]
    base: Path | dict[str, Any]
    overrides: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]]
    seeds: Annotated[
        tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS), BeforeValidator(_counted)
    ] = (0, 1, 2)
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    baselines: tuple[Baseline, ...] = BASELINES
    budget: Budget = Budget()
    resources: Wanted = Wanted()

    @field_validator("seeds", "baselines")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = [one for at, one in enumerate(value) if one in value[:at]]
        if twice:
            raise ValueError(f"{twice[0]!r} stands twice")
        return value


@dataclass(frozen=True)
class Source:
    """An ablation and the base it starts from.

    Attributes:
        base: the base experiment's sections as written, with the overrides set.
        where: the ablation's file, for errors.
    """

    ablation: Ablation
    base: dict[str, Any]
    where: str


def load_ablation(path: Path | str, overrides: Sequence[str] = ()) -> Source:
    """Read an ablation from YAML, with its base; `key.path=value` overrides change the base last.

    Raises:
        ConfigError: a file cannot be read, or a key or a value does not fit.
    """
    path = Path(path)
    parsed = dict(parse_override(text) for text in overrides)
    fields = read_yaml(path, "an ablation", "begin with `group:`")
    if "data" in fields and "base" not in fields:
        fix = f"vqa train {path} --run DIR, or `base: {path.name}` in an ablation"
        raise ConfigError("is an experiment", where=str(path), fix=fix)
    return parse_ablation(fields, path.parent, str(path), parsed)


def parse_ablation(
    fields: dict[str, Any], folder: Path, where: str, overrides: dict[str, Any] | None = None
) -> Source:
    """Check plain fields; a base that is a path is read relative to `folder`.

    Raises:
        ConfigError: see `load_ablation`.
    """
    try:
        ablation = Ablation.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(explain(error, Ablation), where=where) from None
    ablation = ablation.model_copy(update={"overrides": ablation.overrides | (overrides or {})})
    base = _base(ablation.base, folder, where)
    for key, value in ablation.overrides.items():
        given = key in (overrides or {})
        check_path(key, where=f"override of {where}" if given else f"{where}: overrides")
        set_value(base, key, copy.deepcopy(value), where=f"{where}: overrides.{key}")
    return Source(ablation, base, where)


def _base(base: Path | dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """The sections of a base experiment; an error names the ablation and its key beside the base's file."""
    if not isinstance(base, Path):
        return copy.deepcopy(base)
    try:
        return read_yaml(folder / base)
    except ConfigError as error:
        fix = error.fix or "base is an experiment's file, relative to the ablation's"
        raise ConfigError(f"base: {error.where}: {error.what}", where=where, fix=fix) from None
