"""What a fault in a configuration file says: the key as the user writes it, and the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vqa.names import NAME_PATTERN, NAME_RULE, did_you_mean

LONGEST_VALUE = 40
"""Of the given values that a message repeats, in characters."""
NO_KEY = "no such key"
MOST_PLACES = 3
"""Where a key that stands elsewhere is still worth naming."""
OWN_WORDS = {"path_type": "a path is expected", "model_type": "a section of keys is expected"}
"""Where pydantic's name a class of Python's."""


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """What is wrong, one clause a fault, with its key path and the nearest known key."""
    return "; ".join(faults(error, schema))


def faults(error: ValidationError, schema: type[BaseModel]) -> list[str]:
    """The same, a text a fault."""
    return list(_explain(error, schema))


def _explain(error: ValidationError, schema: type[BaseModel]) -> Iterable[str]:
    """One sentence a fault, with the key path and, for an unknown key or name, the nearest known one."""
    for fault in _of_its_own(error):
        path, known = _locate(fault["loc"], schema)
        if fault["type"] == "extra_forbidden":
            yield f"{path}: {NO_KEY}{meant(path, known, schema)}"
        elif fault["type"] == "union_tag_invalid":
            names = [name.strip(" '") for name in str(fault["ctx"]["expected_tags"]).split(",")]
            tag = str(fault["ctx"]["tag"])
            yield f"{path}: no {tag!r}{_beside(tag, path, schema)}{did_you_mean(tag, names)}"
        elif fault["type"] == "union_tag_not_found":
            yield f"{path}: has no name; write {{name: NAME, key: value}}, a space behind each colon"
        elif fault["type"] == "missing":
            yield f"{path}: missing"
        else:
            yield f"{path}: {said(fault)}" if path else said(fault)


def _of_its_own(error: ValidationError) -> Iterable[Any]:
    """Every fault, but no list's that is too short for the want of the items that are at fault."""
    found = error.errors()
    places = {fault["loc"][:-1] for fault in found}
    return (fault for fault in found if fault["type"] != "too_short" or fault["loc"] not in places)


def said(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value; behind pydantic's words the value itself, where it is short."""
    given = repr(fault["input"])
    if fault["type"] == "value_error" or len(given) > LONGEST_VALUE:
        return words(fault)
    return f"{words(fault)}, not {'nothing' if fault['input'] is None else given}"


def words(fault: Mapping[str, Any]) -> str:
    """Pydantic's words or our own, without the value."""
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] == NAME_PATTERN:
        return NAME_RULE
    message = OWN_WORDS.get(fault["type"], str(fault["msg"])).replace("a valid tuple", "a list")
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _locate(loc: tuple[int | str, ...], schema: type[BaseModel]) -> tuple[str, list[str]]:
    """The key path as a user writes it (without pydantic's union tags), and the keys known beside its end."""
    model: Any = schema
    path: list[str] = []
    known: list[str] = []
    for part in loc:
        members = models_of(model)
        tagged = [m for m in members if _tag(m) == part]
        if len(members) > 1 and tagged:
            model = tagged[0]
            continue
        fields = _fields(model)
        known = list(fields)
        path.append(str(part))
        model = fields[part].annotation if part in fields else None
    return ".".join(path), known


def _beside(tag: str, path: str, schema: type[BaseModel]) -> str:
    """A clause that names the keys beside that of `path` which know `tag`; empty where none does."""
    *parents, own = path.split(".")
    fields = _fields(schema)
    for part in parents:
        fields = _fields(fields[part].annotation) if part in fields else {}
    known = [
        ".".join((*parents, name))
        for name, info in fields.items()
        if name != own and tag in map(_tag, models_of(info.annotation))
    ]
    return f"; it is one of {', '.join(known)}" if known else ""


def meant(path: str, known: Sequence[str], schema: type[BaseModel]) -> str:
    """A clause that names where else the key stands, if it does in few places, or the nearest known key."""
    key = path.rpartition(".")[2]
    paths = sorted(one for one in _paths(schema) if one.rpartition(".")[2] == key)
    if path not in paths and 0 < len(paths) <= MOST_PLACES:
        return f"; did you mean {' or '.join(map(repr, paths))}?"
    return did_you_mean(key, known)


def _paths(annotation: Any, above: str = "") -> set[str]:
    """Every key path of a schema."""
    paths: set[str] = set()
    for name, info in _fields(annotation).items():
        paths |= {f"{above}{name}", *_paths(info.annotation, f"{above}{name}.")}
    return paths


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    return {n: i for model in models_of(annotation) for n, i in model.model_fields.items()}


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The configuration classes that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def _tag(model: type[BaseModel]) -> str | None:
    name = model.model_fields.get("name")
    return None if name is None else str(name.default)
