"""What a submission may name on this machine: stores, weight files, word vectors, text encoders.

A client of the HTTP interface gives names and never a path; a command on this machine may give either.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa.data.manifest import read_manifest
from vqa.errors import JobError, VQAError
from vqa.jobs.home import Home
from vqa.names import NAME_PATTERN, at_home

Fields = dict[str, Any]
STORE = ("data", "store")
WEIGHTS = ("model", "image_encoder", "weights")
VECTORS = (("model", "question_encoder", "vectors"), ("model", "head", "encoder", "vectors"))
TEXT_ENCODER = ("model", "question_encoder", "model")
BACKBONE = ("model", "image_encoder", "model")
"""Of a `transformers` backbone alone; elsewhere it is a library's own name."""
FILES = (WEIGHTS, *VECTORS, TEXT_ENCODER, BACKBONE)
PUBLISHED = r"none|pretrained|[A-Z][A-Z0-9_]*"


def fingerprint_at(store: Path) -> str | None:
    """Of the store that stands at a path; None where none does."""
    try:
        return read_manifest(store).fingerprint
    except VQAError:
        return None


def refuse_paths(experiment: Mapping[str, Any], server: str) -> None:
    """Say here and now that a path leads nowhere on a server.

    Raises:
        JobError: a value is a path; a server takes names.
    """
    for keys in (STORE, *FILES):
        value = value_at(experiment, keys)
        if isinstance(value, str) and _is_path(value, keys):
            key, kind = ".".join(keys), "stores" if keys == STORE else "files"
            raise JobError(
                f"{value!r} is a path on this machine, and {server} runs the job",
                where=key,
                fix=f"give the name of one of the server's {kind}, as {key}=NAME",
            )


def _is_path(value: str, keys: tuple[str, ...]) -> bool:
    """`owner/name` may be an encoder on the hub: the server has its say."""
    if re.fullmatch(NAME_PATTERN, value):
        return False
    return keys not in (TEXT_ENCODER, BACKBONE) or Path(value).expanduser().exists()


@dataclass(frozen=True)
class Library:
    """The files of a `VQA_HOME` by their names."""

    home: Home

    def stores(self) -> dict[str, Path]:
        """Prepared stores: those of the settings, and the folders in `stores/`."""
        settings = self.home.settings.stores
        named = {name: self.home.path / at_home(str(path)) for name, path in settings.items()}
        found = {**_entries(self.home.stores), **named}
        return {
            name: path
            for name, path in sorted(found.items())
            if re.fullmatch(NAME_PATTERN, name) and (path / "store.json").is_file()
        }

    def weights(self) -> dict[str, Path]:
        """Files and folders in `weights/`."""
        return _entries(self.home.weights)

    def resolve(self, experiment: Fields, *, paths_allowed: bool) -> Fields:
        """A complete experiment with every file that it names as an absolute path.

        Args:
            experiment: as `Experiment.to_dict` gives it.
            paths_allowed: take paths, relative to the working directory, beside names.

        Raises:
            JobError: no such store or file, or a path where only names are taken.
        """
        fields = copy.deepcopy(experiment)
        weights = self.weights()
        _replace(fields, STORE, self._store(value_at(fields, STORE), paths_allowed))
        for keys in FILES:
            value = value_at(fields, keys)
            if value is not None and _names_a_file(fields, keys):
                _replace(fields, keys, _file(keys, value, weights, paths_allowed))
        if not paths_allowed:
            _refuse_settings(fields)
        return fields

    def named(self, experiment: Fields) -> Fields:
        """The inverse of `resolve`: names for paths, so that a client can submit it again.

        What stands elsewhere has its file's name; where that is the name of something else here, it says so.
        """
        fields = copy.deepcopy(experiment)
        known = self._names()
        names = known | {os.path.realpath(path): name for path, name in known.items()}
        for keys in (STORE, *FILES):
            value = value_at(fields, keys)
            if isinstance(value, str) and value.startswith("/"):
                own = Path(value).name
                own = f"{own} (elsewhere)" if own in names.values() else own
                _replace(fields, keys, names.get(value) or names.get(os.path.realpath(value), own))
        return fields

    def store_name(self, path: str) -> str:
        """What a client calls the store that stands there."""
        return str(self.named({"data": {"store": path}})["data"]["store"])

    def without_paths(self, text: str) -> str:
        """A message with the names of things in the place of where they are."""
        for path, name in sorted(self._names().items(), key=lambda item: -len(item[0])):
            text = text.replace(path, name)
        return text.replace(f"{self.home.path}/", "")

    def _names(self) -> dict[str, str]:
        known = [*self.weights().items(), *self.stores().items()]
        return {str(path): name for name, path in known}

    def _store(self, value: str, paths_allowed: bool) -> str:
        stores, path = self.stores(), Path(value).expanduser()
        if paths_allowed and ((path / "store.json").exists() or value not in stores):
            return str(path.absolute())
        if value not in stores:
            raise _unknown("store", value, STORE, list(stores))
        return str(stores[value])


def _file(keys: tuple[str, ...], value: str, weights: dict[str, Path], paths_allowed: bool) -> str:
    """A weight file, a word-vector file or the folder of a text encoder; published weights stay a name."""
    path = Path(value).expanduser()
    if paths_allowed and path.exists():
        return str(path.absolute())
    if value in weights:
        return str(weights[value])
    published = keys == WEIGHTS and re.fullmatch(PUBLISHED, value) is not None
    from_hub = paths_allowed and keys in (TEXT_ENCODER, BACKBONE)
    if published or from_hub or (keys == BACKBONE and _is_kind(value)):
        return value
    raise _unknown("file", value, keys, list(weights))


def _names_a_file(fields: Fields, keys: tuple[str, ...]) -> bool:
    """Whether the value under `keys` may be one: `model.image_encoder.model` is a backbone's only."""
    return keys != BACKBONE or value_at(fields, (*BACKBONE[:-1], "name")) == "backbone"


def _is_kind(value: str) -> bool:
    """Whether `transformers` makes an image encoder of that word, with random weights."""
    from vqa.model.image_encoder.backbone import kinds

    return value in kinds()


def _refuse_settings(fields: Fields) -> None:
    """A client's sizes would be tried out on this machine, whatever they cost.

    Raises:
        JobError: there are some.
    """
    keys = (*BACKBONE[:-1], "settings")
    if value_at(fields, keys):
        raise JobError(
            "settings of a backbone are taken from commands on the service's machine alone",
            where=".".join(keys),
            fix="put a folder with that configuration into weights/ and name it as the model",
        )


def _unknown(what: str, value: str, keys: tuple[str, ...], known: list[str]) -> JobError:
    names = ", ".join(known[:20]) or "none yet"
    return JobError(f"no {what} {value!r}", where=".".join(keys), fix=f"known here: {names}")


def _entries(folder: Path) -> dict[str, Path]:
    """What stands in a folder, by its name; what is no name cannot be asked for."""
    return {path.name: path for path in _children(folder) if re.fullmatch(NAME_PATTERN, path.name)}


def _children(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except FileNotFoundError:
        return


def value_at(fields: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """The value under a key path; None where a section lacks it or is written as a word."""
    node: Any = fields
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _replace(fields: Fields, keys: tuple[str, ...], value: str) -> None:
    node: Any = fields
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
