"""Where runs stand in a grid that nobody wrote down: variants and axes from what their experiments differ in."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.ablation.axes import auto_label
from vqa.config import by_path
from vqa.tracking.tags import Place

if TYPE_CHECKING:
    from vqa.ablation.members import Member

IGNORED = ("seed", "schema_version", "tracking")


def places_of(members: Sequence[Member]) -> list[Place]:
    """Each run's place: by its tags where runs have some, else by the keys in which the runs differ."""
    if any(member.place is not None for member in members):
        return [member.place or _alone(member) for member in members]
    stores = store_paths(members)
    settings = [settings_of(member, stores) for member in members]
    known = [one for one in settings if one]
    differing = {key for one in known for key in one if _differs(known, key)}
    keys = sorted(differing, key=lambda key: key.removesuffix(".name"))
    keys = [key for key in keys if not _goes_with_the_brick(key, keys, known)]
    folders = {key: _folder([one.get(key) for one in known]) for key in keys}
    return [_place(member, one, folders) for member, one in zip(members, settings, strict=True)]


def _alone(member: Member) -> Place:
    """A variant of its own."""
    return Place(member.path.name)


def flat(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a result, key path → value."""
    return by_path({key: value for key, value in experiment.items() if key not in IGNORED})


def store_paths(members: Iterable[Member]) -> dict[str, Any]:
    """Fingerprint → the first path to a store of that content: it is the same one wherever it lies."""
    found: dict[str, Any] = {}
    for member in members:
        path = flat(member.experiment).get("data.store")
        found.setdefault(str(member.result.get("data_fingerprint")), path)
    return {content: path for content, path in found.items() if path and content != str(None)}


def settings_of(member: Member, stores: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a run's result, key path → value; its store as in `store_paths`."""
    settings = flat(member.experiment)
    path = stores.get(str(member.result.get("data_fingerprint")))
    return settings | {"data.store": path} if settings and path else settings


def _differs(settings: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(one.get(key) != settings[0].get(key) for one in settings)


def _goes_with_the_brick(
    key: str, keys: Sequence[str], settings: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a field of bricks that differ in their name is the same in all of one name: it tells nothing more."""
    name = f"{key.rpartition('.')[0]}.name"
    if key == name or name not in keys:
        return False
    seen: dict[Any, Any] = {}
    return all(seen.setdefault(one.get(name), one.get(key)) == one.get(key) for one in settings)


def _folder(values: Sequence[Any]) -> str:
    """Where all of several values that are whole paths stand, with a slash behind it; empty where none is one."""
    parents = [str(Path(value).parent) for value in values if _is_path(value)]
    return os.path.commonpath(parents).rstrip("/") + "/" if parents else ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _place(member: Member, settings: Mapping[str, Any], folders: Mapping[str, str]) -> Place:
    if not folders or not settings:
        return _alone(member)
    labels = {
        key.removesuffix(".name"): _label(key, settings.get(key), folder)
        for key, folder in folders.items()
    }
    return Place("-".join(labels.values()), labels)


def _label(key: str, value: Any, folder: str) -> str:
    if value is None:
        return f"no-{key.rpartition('.')[2]}"
    if _is_path(value):
        value = value.removeprefix(folder)
    return str(value) if key.endswith(".name") else auto_label(key, value)
