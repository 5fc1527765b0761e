"""YAML files that people write: plain values only, and no key twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vqa.errors import ConfigError


def read_yaml(
    path: Path, kind: str = "an experiment", fix: str = "begin with `data:`"
) -> dict[str, Any]:
    """Read a YAML mapping; no tags, no objects, no repeated keys.

    Args:
        kind, fix: what the file should be and how it begins, for the message.

    Raises:
        ConfigError: it cannot be read, or is something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read ({reason})", where=str(path)) from None
    fields = _parse(text, str(path), _UniqueKeyLoader)
    if not isinstance(fields, dict):
        raise ConfigError(f"{kind}: a mapping of sections is expected", where=str(path), fix=fix)
    return fields


def parse_foreign(text: str, where: str) -> Any:
    """A YAML value from somebody else: as in `read_yaml`, and without aliases, which can make much out of little.

    Raises:
        ConfigError: it is something else.
    """
    return _parse(text, where, _ForeignLoader)


def _parse(text: str, where: str, loader: type[yaml.SafeLoader]) -> Any:
    try:
        return yaml.load(text, Loader=loader)  # a subclass of SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}", where=where) from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build the mapping, or name the key and line that repeats."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.YAMLError(f"a key must be a word, line {key_node.start_mark.line + 1}")
            if key in seen:
                raise yaml.YAMLError(
                    f"key {key!r} stands twice, line {key_node.start_mark.line + 1}"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _ForeignLoader(_UniqueKeyLoader):
    """Refuses aliases too."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Build a node, which stands for itself."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name): write out what it stands for")
        return super().compose_node(parent, index)
