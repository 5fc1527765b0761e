"""What a submission's form holds, as a job or as an ablation's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from vqa.ablation.expand import Grid, expand
from vqa.ablation.schema import parse_ablation
from vqa.config import set_value
from vqa.errors import ConfigError
from vqa.jobs.record import EngineName
from vqa.jobs.views import Name, SubmitRequest, Title
from vqa.server.pages.form import Choice, entries, experiment_form
from vqa.yaml_file import parse_foreign

Text = Annotated[str, Field(max_length=2000)]
FORM = "form"


class Draft(BaseModel):
    """A form as the page's script sends it. Values are written in YAML, like `key.path=value` on a command line.

    Attributes:
        values: key path → value; what is left out stays as it is by default.
        axes: key path → values to be compared; with any, this is an ablation.
        seeds: of an ablation; a number counts from 0.
        baselines: what joins the grid.
        name, group: of the job, or of the ablation.
        engine, priority, cores, memory_mb, time_minutes: see `SubmitRequest`.
        pasted: an experiment or an ablation in YAML, in place of values and axes.
    """

    model_config = ConfigDict(extra="forbid")

    values: dict[Annotated[str, Field(max_length=200)], Text] = Field({}, max_length=300)
    axes: dict[
        Annotated[str, Field(max_length=200)], Annotated[list[Text], Field(max_length=100)]
    ] = Field({}, max_length=10)
    seeds: Text = "3"
    baselines: list[str] = ["question-only", "image-only", "chance"]
    name: Title | None = None
    group: Name | None = None
    engine: EngineName | None = None
    priority: int = Field(default=0, ge=-1000, le=1000)
    cores: int | None = Field(default=None, ge=1, le=4096)
    memory_mb: int | None = Field(default=None, ge=0, le=1 << 40)
    time_minutes: int | None = Field(default=None, ge=0, le=1 << 24)
    pasted: str = Field("", max_length=100_000)

    def to_request(self) -> SubmitRequest | None:
        """The job; None where this is an ablation.

        Raises:
            ConfigError: a value is no YAML.
        """
        fields = self._experiment()
        if self.axes or "axes" in fields:
            return None
        return SubmitRequest(
            experiment=fields, name=self.name, group=self.group, **self._resources()
        )

    def to_grid(self) -> Grid:
        """The ablation, expanded.

        Raises:
            ConfigError: it cannot be used; see `vqa.ablation.expand`.
        """
        ablation = self._experiment()
        if "axes" not in ablation:
            ablation = self._ablation(ablation)
        if not isinstance(ablation.get("base"), dict):
            raise ConfigError(
                "base: a file's name means nothing here",
                where=FORM,
                fix="write the base's sections there",
            )
        return expand(parse_ablation(ablation, Path(), FORM))

    def _ablation(self, base: dict[str, Any]) -> dict[str, Any]:
        if self.group is None:
            raise ConfigError("group: an ablation needs a name", where=FORM)
        return {
            "group": self.group,
            "base": base,
            "axes": {
                path: [parse_foreign(text, f"{path}={text}") for text in texts]
                for path, texts in self.axes.items()
            },
            "seeds": parse_foreign(self.seeds, "seeds"),
            "baselines": self.baselines,
            "resources": self._resources(),
        }

    def _experiment(self) -> dict[str, Any]:
        """The sections that differ from the default; or what was pasted."""
        if self.pasted.strip():
            return _mapping(self.pasted)
        fields: dict[str, Any] = {"data": {}}
        kinds = {
            one.path: one.default for one in entries(experiment_form()) if isinstance(one, Choice)
        }
        touched = {path: kinds[path] for path in map(_parent, self.values) if path in kinds}
        # A brick's name comes before its fields: sorted, "model.fusion" does.
        for path, text in sorted((touched | self.values).items()):
            set_value(fields, path, parse_foreign(text, path), where=path)
        return fields

    def _resources(self) -> dict[str, Any]:
        return self.model_dump(
            include={"engine", "priority", "cores", "memory_mb", "time_minutes"}, exclude_none=True
        )


def _mapping(text: str) -> dict[str, Any]:
    fields = parse_foreign(text, "pasted")
    if not isinstance(fields, dict):
        raise ConfigError(
            "a mapping of sections is expected", where="pasted", fix="begin with `data:`"
        )
    return fields


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
