"""Axes: what each of their values changes, and under which label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqa.ablation.paths import check_path
from vqa.errors import ConfigError
from vqa.names import did_you_mean
from vqa.tracking.tags import BASELINE, BESIDE, VARIANT

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
FIXED = {
    "seed": "list them under `seeds`",
    "tracking": "it decides no result",
    "schema_version": "there is one",
    "evaluation": "no comparison takes runs that were scored otherwise; `vqa evaluate` scores trained runs anew",
}


@dataclass(frozen=True)
class Value:
    """One value of an axis.

    Attributes:
        label: short and without spaces; names the value in variants, tags and tables.
        changes: key path → what it is set to.
        raw: as written, by which an exclusion may name it.
        kept: the key paths whose value is the base's own.
    """

    label: str
    changes: dict[str, Any]
    raw: Any
    kept: frozenset[str] = frozenset()

    def replaces(self, path: str) -> bool:
        """Whether it sets the key, whatever the base says of it."""
        return any(f"{path}.".startswith(f"{one}.") for one in self.changes if one not in self.kept)


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Attributes:
        name: a key path, or the name of a change to several keys.
        values: two or more; the first is what effects are measured against.
    """

    name: str
    values: tuple[Value, ...]

    @property
    def paths(self) -> set[str]:
        """All key paths that its values change."""
        return {path for value in self.values for path in value.changes}

    def replaces(self, path: str) -> bool:
        """Whether each of its values sets the key, whatever the base says of it."""
        return all(value.replaces(path) for value in self.values)


def parse_axes(
    axes: Mapping[str, Sequence[Any]], base: Mapping[str, Any], where: str
) -> list[Axis]:
    """Check every axis and label its values.

    Args:
        axes: as in the file.
        base: the base experiment's sections, whose bricks a bare name keeps.

    Raises:
        ConfigError: no axis, an unknown key path, an axis with less than two values, equal values or labels,
            a key path that two axes change.
    """
    if not axes:
        raise ConfigError("axes: there is none", where=where, fix="give a key path and its values")
    parsed = [_axis(name, values, base, f"{where}: axes.{name}") for name, values in axes.items()]
    seen: dict[str, str] = {}
    for axis in parsed:
        for path in axis.paths:
            if path in seen:
                raise ConfigError(
                    f"{path} is changed by the axes {seen[path]} and {axis.name}", where=where
                )
            seen[path] = axis.name
    return parsed


def _axis(name: str, raw: Sequence[Any], base: Mapping[str, Any], where: str) -> Axis:
    if not raw:
        raise ConfigError(
            "has no value", where=where, fix="give two or more, or leave the axis out"
        )
    composite = all(_is_labelled(one, "set") for one in raw)
    if not composite:
        check_path(name, where=where)
    elif not LABEL.fullmatch(name):
        raise ConfigError("is no name", where=where, fix="letters, digits and . _ - (at most 40)")
    elif name in (VARIANT, BASELINE, BESIDE):
        raise ConfigError("is a word of the runs' own tags", where=where, fix="call it otherwise")
    values = tuple(_value(name, one, base, where) for one in raw)
    for path in {path for value in values for path in value.changes}:
        _check_free(path, where)
    _check_distinct(values, where)
    if len(values) == 1:
        raise ConfigError(
            "has a single value, which compares nothing",
            where=where,
            fix="give two or more, or set the value and leave the axis out",
        )
    return Axis(name, values)


def _value(name: str, raw: Any, base: Mapping[str, Any], where: str) -> Value:
    label = None
    changes = {name: raw}
    if _is_labelled(raw, "set"):
        label, changes = raw["label"], raw["set"]
        if not isinstance(changes, dict):
            raise ConfigError(
                f"{label}: `set` holds key paths and their values",
                where=where,
                fix="{} stands for the base as it is",
            )
    elif _is_labelled(raw, "value"):
        label, changes = raw["label"], {name: raw["value"]}
    for path in changes:
        check_path(path, where=where)
    own = {path: _own(path, value, base) for path, value in changes.items()}
    kept = {path: brick for path, brick in own.items() if brick is not None}
    label = str(label) if label is not None else auto_label(name, raw)
    if not LABEL.fullmatch(label):
        raise ConfigError(
            f"{label!r} is no label",
            where=where,
            fix="write {label: short, value: …}; at most 40 letters, digits and . _ + -",
        )
    return Value(label, {**changes, **kept}, raw, frozenset(kept))


def _is_labelled(raw: Any, content: str) -> bool:
    return isinstance(raw, dict) and raw.keys() == {"label", content}


def _own(path: str, value: Any, base: Mapping[str, Any]) -> dict[str, Any] | None:
    """The base's own brick where `value` is its bare name, else None."""
    node: Any = base
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    own = isinstance(value, str) and isinstance(node, Mapping) and node.get("name") == value
    return dict(node) if own and isinstance(node, Mapping) else None


def auto_label(name: str, value: Any) -> str:
    """A word as it is, a brick's name, and the last key before anything else: `lr0.01`, `hidden256x128`."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return _slug(value["name"])
    if isinstance(value, str):
        return _slug(value)
    parts = value if isinstance(value, list) else [value]
    key = name.rpartition(".")[2]
    return _slug(key + ("x".join(map(_plain, parts)) or "-empty"))


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return f"-{value}".lower()
    return str(value)


def _slug(text: str) -> str:
    """The text with every other character as an underscore; too long a one stays too long and is refused."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)


def _check_free(path: str, where: str) -> None:
    """Refuse a key that an axis cannot vary."""
    head = path.partition(".")[0]
    if head in FIXED:
        raise ConfigError(f"{path} is no axis: {FIXED[head]}", where=where)


def _check_distinct(values: Sequence[Value], where: str) -> None:
    for at, value in enumerate(values):
        for earlier in values[:at]:
            if value.changes == earlier.changes:
                raise ConfigError(f"the value {value.label!r} stands twice", where=where)
            if value.label == earlier.label:
                raise ConfigError(
                    f"two values are labelled {value.label!r}",
                    where=where,
                    fix="write {label: short, value: …}",
                )


def is_value(axes: Sequence[Axis], name: str, wanted: Any) -> bool:
    """Whether an axis has a value that is written so."""
    return any(value.raw == wanted for axis in axes if axis.name == name for value in axis.values)


def find_value(axes: Sequence[Axis], name: str, wanted: Any, where: str) -> tuple[Axis, Value]:
    """The axis and the value that an exclusion names, by label or as written.

    Raises:
        ConfigError: there is none; the nearest one is named.
    """
    axis = next((one for one in axes if one.name == name), None)
    if axis is None:
        hint = did_you_mean(name, [one.name for one in axes])
        raise ConfigError(f"no axis {name!r}{hint}", where=where)
    for value in axis.values:
        if wanted == value.label or wanted == value.raw:
            return axis, value
    hint = did_you_mean(str(wanted), [value.label for value in axis.values])
    raise ConfigError(f"the axis {name} has no value {wanted!r}{hint}", where=where)
