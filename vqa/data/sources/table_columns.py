"""Which column of a person's table holds which part of an example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vqa.data.sources.files import Unusable
from vqa.errors import DataError, InputError

SYNONYMS: dict[str, tuple[str, ...]] = {
    "image": (
        "image_path", "image_name", "image_file", "image_filename", "file_name", "filename",
        "img", "img_path", "img_name", "img_file", "picture", "photo",
    ),
    "image_id": ("img_id", "imageId"),
    "question": ("query", "question_text", "prompt"),
    "answer": ("correct_answer", "right_answer", "answer_text", "ans"),
    "answers": ("all_answers", "direct_answers"),
    "choices": ("options", "multiple_choices", "candidates"),
    "label": ("answer_index", "answer_idx", "correct_index", "correct_idx", "correct_choice_idx"),
    "question_id": ("questionId", "qid", "id"),
    "question_type": ("type", "category", "kind"),
    "answer_type": ("answerType",),
    "split": ("subset", "partition"),
}  # fmt: skip
"""The fields of a table, and other names of a column that say the same."""

WITHHOLDABLE = frozenset({"answer", "answers", "label"})
"""What a test split's file may lack though another file has it."""


@dataclass(frozen=True)
class Columns:
    """The columns of one file: field → the columns that hold it, several for choices or answers."""

    by_field: Mapping[str, tuple[str, ...]]

    def __contains__(self, field: str) -> bool:
        return field in self.by_field

    @property
    def fields(self) -> set[str]:
        """The fields that have a column."""
        return set(self.by_field)

    def without(self, field: str) -> Columns:
        """The same columns but those of one field."""
        return Columns({name: v for name, v in self.by_field.items() if name != field})

    def value(self, record: Mapping[str, Any], field: str) -> Any:
        """What the record has under the field; None where it has nothing.

        Several columns give the list of those of their values that are there.
        """
        value = self.cells(record, field)
        if len(self.by_field.get(field, ())) > 1:
            return [cell for cell in value if cell != ""] or None
        return value

    def cells(self, record: Mapping[str, Any], field: str) -> Any:
        """The same, but several columns give all of their values, "" where one has nothing."""
        columns = self.by_field.get(field, ())
        values = [None if is_missing(value := _look_up(record, c)) else value for c in columns]
        if len(values) > 1:
            return ["" if value is None else value for value in values]
        return values[0] if values else None

    def needed(self, record: Mapping[str, Any], field: str) -> Any:
        """The same of a field that must be there.

        Raises:
            Unusable: it is not.
        """
        value = self.value(record, field)
        if value is None:
            raise Unusable(
                f"no {field} in column {', '.join(self.by_field.get(field, (field,)))!r}"
            )
        return value


def parse_map(entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read `--map field=column`, `--map choices=column,column,…` and `--map field=`, which has no column.

    Raises:
        InputError: an entry without "=", an unknown field, or a field that occurs twice.
    """
    mapping: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        field, assigned, columns = entry.partition("=")
        if field not in SYNONYMS:
            raise InputError(
                f"no field {field!r}", where=f"--map {entry}", fix=suggestion(field, SYNONYMS)
            )
        if not assigned or field in mapping:
            what = "it occurs twice" if assigned else "it names no column"
            fix = "write field=column, or field= where no column holds it"
            raise InputError(what, where=f"--map {entry}", fix=fix)
        mapping[field] = tuple(part.strip() for part in columns.split(",")) if columns else ()
    return mapping


def resolve(
    columns: Sequence[str],
    mapping: Mapping[str, tuple[str, ...]],
    *,
    where: str,
    elsewhere: Iterable[str] = (),
) -> tuple[Columns, list[str]]:
    """Choose the columns of one file, and say in notices what was guessed.

    Args:
        columns: what the file has.
        mapping: what the user said; a field with no column is not looked for.
        where: the file, for messages.
        elsewhere: columns of the other files; answers may be withheld here that stand there.

    Raises:
        DataError: a column that the user named is not there.
    """
    chosen = _named(columns, mapping, where, elsewhere)
    notices: list[str] = []
    taken = {name for names in chosen.values() for name in names}
    for field in SYNONYMS.keys() - mapping.keys():
        name = _guess(field, columns, taken)
        if name is not None:
            chosen[field] = (name,)
            if name != field:
                notices.append(
                    f"{field} is read from column {name!r} (--map {field}=… to change, or {field}= for none)"
                )
    return Columns(chosen), sorted(notices)


def _named(
    columns: Sequence[str],
    mapping: Mapping[str, tuple[str, ...]],
    where: str,
    elsewhere: Iterable[str],
) -> dict[str, tuple[str, ...]]:
    """The fields whose columns the user named and the file has."""
    chosen: dict[str, tuple[str, ...]] = {}
    for field, names in mapping.items():
        if not names:
            continue
        names = (",".join(names),) if ",".join(names) in columns else names
        missing = [name for name in names if not _stands(name, columns)]
        if not missing:
            chosen[field] = names
        elif not (field in WITHHOLDABLE and all(_stands(name, elsewhere) for name in missing)):
            raise DataError(
                f"no column {missing[0]!r} for the {field}",
                where=where,
                fix=suggestion(missing[0], columns),
            )
    return chosen


def check_once(names: list[str], path: Path) -> None:
    """Refuse two columns of one name: which is meant, nobody knows.

    Raises:
        DataError: there are some.
    """
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        fix = "give each a name of its own in the header"
        raise DataError(f"two columns {twice[0]!r}", where=str(path), fix=fix)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of `name`."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    listed = f"there are: {', '.join(names)}"
    return f"did you mean {close[0]!r}? {listed}" if close else listed


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, not-a-number, or blank text."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _guess(field: str, columns: Sequence[str], taken: set[str]) -> str | None:
    return next((n for n in (field, *SYNONYMS[field]) if n in columns and n not in taken), None)


def _stands(name: str, columns: Iterable[str]) -> bool:
    """Whether a column, or the outermost object of a dotted key, is there."""
    columns = set(columns)
    return name in columns or ("." in name and name.split(".")[0] in columns)


def _look_up(record: Mapping[str, Any], name: str) -> Any:
    """The value of a column; `image.path` goes into the object `image`."""
    if name in record:
        return record[name]
    value: Any = record
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
