"""What can be set of a brick: each setting with its default, what it may be, and what it means."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vqa.model.brick import Brick

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
PLAIN = {"boolean": "true | false", "null": "null", "string": "text", "object": "a mapping"}
LISTED = re.compile(r"^ {4}([\w, ]+): (.+(?:\n {8,}.+)*)", re.MULTILINE)
"""Names and their meaning in a docstring's list of attributes."""


@dataclass(frozen=True)
class Setting:
    """One field of a brick.

    Attributes:
        name: as it is written in an experiment.
        default: where none is given.
        allowed: what it may be, in words.
        meaning: as the docstrings say.
        needed: there is no default.
    """

    name: str
    default: Any
    allowed: str
    meaning: str
    needed: bool

    def __str__(self) -> str:
        value = "…" if self.needed else shown(self.default)
        needed = ", needed" if self.needed else ""
        return f"{self.name}={value} ({self.allowed}{needed}): {self.meaning}"


def settings(member: type[Brick]) -> tuple[Setting, ...]:
    """Those of a brick, without its name, its own and those that it shares with others."""
    properties, explained = member.model_json_schema()["properties"], meanings(member)
    return tuple(
        Setting(
            name,
            None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
            allowed(properties[name]),
            explained.get(name, ""),
            field.is_required(),
        )
        for name, field in member.model_fields.items()
        if name != "name"
    )


def meanings(member: type[Brick]) -> dict[str, str]:
    """What the docstrings say of each field: the brick's own, else that of what it shares with others."""
    found: dict[str, str] = {}
    for base in member.__mro__:
        doc = (base.__doc__ or "") if issubclass(base, Brick) else ""
        for names, said in LISTED.findall(inspect.cleandoc(doc)):
            meaning = " ".join(said.split()).removesuffix(".")
            if not meaning.startswith("see `"):
                found = dict.fromkeys(names.split(", "), meaning) | found
    return found


def allowed(schema: Mapping[str, Any]) -> str:
    """The values that a field's JSON schema lets through, in words."""
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " | ".join(map(allowed, schema["anyOf"]))
    if "discriminator" in schema:
        return " | ".join(schema["discriminator"]["mapping"])
    if kind == "array":
        return f"list, each {allowed(schema['items'])}"
    return PLAIN.get(str(kind)) or _range(schema)


def shown(value: Any) -> str:
    """A value as it is written in an experiment."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _range(schema: Mapping[str, Any]) -> str:
    bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if key in schema]
    return ", ".join(bounds) or str(schema.get("type", "any"))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
