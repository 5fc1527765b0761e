"""A form made from the experiment's schema: what can be set, what it takes, and what it is when left out."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vqa.config import Experiment
from vqa.faults import models_of

Kind = Literal["choice", "switch", "number", "text"]
HIDDEN = frozenset({"schema_version", "tracking.group", "tracking.tags"})
"""Set by the service, or by an ablation."""
LETTERED, PLAIN = re.compile(r"[A-Za-z_/][\w./-]*"), re.compile(r"[\w./-]+")
DOCUMENTED = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.+(?:\n {8,}.+)*)", re.MULTILINE)


@dataclass(frozen=True)
class Keyed:
    """What stands under a key path."""

    path: str

    @property
    def label(self) -> str:
        """The last key."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Entry(Keyed):
    """One value.

    Attributes:
        default: what it is when left out, as YAML; empty where it must be given.
        options: the values of a choice, or those that a text suggests.
        low, high: of a number.
        whole: a number without a fraction.
        help: what it means.
    """

    kind: Kind
    default: str
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    help: str = ""


@dataclass(frozen=True)
class Part(Keyed):
    """A section, or one brick of several.

    Attributes:
        name: the brick's; empty for a section.
        help: its first paragraph.
    """

    name: str
    help: str
    children: tuple[Entry | Part | Choice, ...]


@dataclass(frozen=True)
class Choice(Keyed):
    """One brick of several kinds.

    Attributes:
        default: the name of the one that is taken when nothing is said.
        members: every kind with what it takes.
    """

    default: str
    members: tuple[Part, ...]
    help: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """The names of all kinds."""
        return tuple(part.name for part in self.members)


@lru_cache(maxsize=1)
def experiment_form() -> Part:
    """The whole experiment."""
    return _part(Experiment, "")


def entries(part: Part) -> Iterator[Entry | Choice]:
    """Everything in a form that takes a value, bricks' own fields once for each kind that has them."""
    for child in part.children:
        if isinstance(child, Part):
            yield from entries(child)
        else:
            yield child
        if isinstance(child, Choice):
            for member in child.members:
                yield from entries(member)


def written(value: Any) -> str:
    """A value as YAML on one line; JSON is that, and text that reads as itself needs no quotes."""
    if isinstance(value, str) and (LETTERED.fullmatch(value) or _reads_as_itself(value)):
        return value
    return json.dumps(value, ensure_ascii=False)


def _reads_as_itself(text: str) -> bool:
    return PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text


def flat(fields: Mapping[str, Any], base: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Key paths and values of an experiment where they differ from another, as a form takes them."""
    found: dict[str, str] = {}
    for key, value in fields.items():
        here, other = f"{path}{key}", base.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            renamed = value.get("name") != other.get("name")
            found |= flat(value, {} if renamed else other, f"{here}.")
        elif isinstance(value, Mapping):
            found |= flat(value, {}, f"{here}.")
        elif value != other and here not in HIDDEN:
            found[path.rstrip(".") if key == "name" and path in _bricks() else here] = written(
                value
            )
    return found


@lru_cache(maxsize=1)
def _bricks() -> frozenset[str]:
    """The paths of bricks with a dot behind, whose names stand for them."""
    return frozenset(
        f"{one.path}." for one in entries(experiment_form()) if isinstance(one, Choice)
    )


def _part(model: type[BaseModel], path: str, name: str = "") -> Part:
    helps = _attributes(model)
    schema = model.model_json_schema()["properties"]
    children = [
        _child(info, f"{path}{key}", schema[key], helps.get(key, ""))
        for key, info in model.model_fields.items()
        if f"{path}{key}" not in HIDDEN and not (name and key == "name")
    ]
    return Part(path.rstrip("."), name, _summary(model), tuple(children))


def _child(
    info: FieldInfo, path: str, schema: Mapping[str, Any], help: str
) -> Entry | Part | Choice:
    models = models_of(info.annotation)
    if models and not _takes_more(info.annotation):
        if len(models) == 1:
            return _part(models[0], f"{path}.")
        parts = tuple(_part(one, f"{path}.", _name(one)) for one in models)
        return Choice(path, str(info.get_default(call_default_factory=True).name), parts, help)
    return _entry(info, path, schema, help, models)


def _entry(
    info: FieldInfo,
    path: str,
    schema: Mapping[str, Any],
    help: str,
    models: Sequence[type[BaseModel]],
) -> Entry:
    default = (
        "" if info.is_required() else written(_plain(info.get_default(call_default_factory=True)))
    )
    options = tuple(str(one) for one in schema.get("enum", ()))
    if options:
        return Entry(path, "choice", default, options, help=help)
    if schema.get("type") == "boolean":
        return Entry(path, "switch", default, ("true", "false"), help=help)
    number = next(
        (one for one in schema.get("anyOf", [schema]) if one.get("type") in ("integer", "number")),
        None,
    )
    if number is not None:
        return Entry(
            path,
            "number",
            default,
            low=number.get("minimum", number.get("exclusiveMinimum")),
            high=number.get("maximum", number.get("exclusiveMaximum")),
            whole=number["type"] == "integer",
            help=help,
        )
    words = [str(one["const"]) for one in schema.get("anyOf", ()) if "const" in one]
    return Entry(path, "text", default, (*words, *(_name(one) for one in models)), help=help)


def _takes_more(annotation: Any) -> bool:
    """Whether something beside models fits, such as a word or nothing."""
    origin = get_origin(annotation)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return any(_takes_more(one) for one in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _takes_more(get_args(annotation)[0])
    return not (isinstance(annotation, type) and issubclass(annotation, BaseModel))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def _name(model: type[BaseModel]) -> str:
    return str(model.model_fields["name"].default)


def _summary(model: type[BaseModel]) -> str:
    """A docstring's first paragraph, on one line."""
    text = inspect.getdoc(model) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Field → what the docstrings of a class and its bases say of it."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = "\n".join(inspect.cleandoc(one.__doc__ or "").split("\n"))
        _, _, attributes = text.partition("Attributes:\n")
        for match in DOCUMENTED.finditer(attributes):
            told = " ".join(match["text"].split())
            if not told.startswith("see `"):  # a base says it
                found |= dict.fromkeys(match["names"].split(", "), told)
    return found
