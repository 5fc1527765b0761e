"""What published files and folders look like: the records of a JSON file, and the name of what was given by mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set, Sized
from pathlib import Path
from typing import Any, NamedTuple

from vqa.data.sources.files import kind_of, read_json
from vqa.errors import DataError

_LISTS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"coco_split", "answers"}), "a VQA-CP annotations file (a list, not an object)"),
    (frozenset({"coco_split", "question"}), "a VQA-CP questions file (a list, not an object)"),
    (frozenset({"image", "question", "answerable"}), "a VizWiz file"),
    (frozenset({"image_name", "phrase_type"}), "a VQA-RAD file"),
    (frozenset({"img_name", "q_lang"}), "a SLAKE file"),
    (
        frozenset({"questionId", "prediction"}),
        "a GQA result file (a list of questionId and prediction)",
    ),
)
"""Layouts of a list of objects, by keys that only they have together."""


class Kind(NamedTuple):
    """A published folder.

    Attributes:
        pattern: a file that only it has.
        name: what it is, in words.
        source: what reads it; "" where nothing does.
    """

    pattern: str
    name: str
    source: str = ""


_FOLDERS = (
    Kind("train/questions.json", "easy-VQA", "easy-vqa"),
    Kind("images/*/*_0000.png", "PuzzleVQA", "puzzle-vqa"),
    Kind("dev/dev.json", "NLVR", "nlvr"),
    Kind("test1.json", "NLVR2 (a sentence about two photographs)"),
    Kind("questions/CLEVR_*_questions.json", "CLEVR", "clevr"),
    Kind("CLEVR-Humans-*.json", "CLEVR-Humans (questions of people, without programs)"),
    Kind("superCLEVR_*.json", "Super-CLEVR (vehicles)"),
    Kind("*_balanced_questions.json", "GQA", "gqa"),
    Kind("*_sceneGraphs.json", "GQA's scene graphs (the objects, not the questions)"),
    Kind("train/img_ids.txt", "COCO-QA", "coco-qa"),
    Kind("*.input.npy", "SHAPES", "shapes"),
    Kind("imgs/xmlab*", "SLAKE", "slake"),
    Kind("Questions/OpenEnded_*", "TDIUC", "tdiuc"),
)


def nothing_here(folder: Path, what: str, fix: str) -> DataError:
    """The error about a folder without the files that were looked for; it says what the folder looks like.

    Args:
        folder: as it was given.
        what: as in "no train.json here".
        fix: what to give, for a folder that looks like nothing known.
    """
    where = str(folder)
    if not folder.exists():
        return DataError("no such folder", where=where, fix=fix)
    if not folder.is_dir():
        return DataError("this is a file, a folder is needed", where=where, fix=fix)
    kind = next((kind for kind in _FOLDERS if any(folder.glob(kind.pattern))), None)
    if kind is None:
        return DataError(what, where=where, fix=fix)
    if kind.source:
        fix = f"vqa prepare {kind.source} {folder} --to STORE"
    return DataError(f"{what}; it looks like {kind.name}", where=where, fix=fix)


def another_layout(file: Path, wanted: str, content: Any, fix: str) -> DataError:
    """The error about a file that is not `wanted`; it says what the file looks like.

    Args:
        file: where the content stood.
        wanted: as in "a CLEVR questions file".
        content: parsed JSON.
        fix: the names of the published files.
    """
    return DataError(
        f"not {wanted}; it looks like {looks_like(content)}", where=str(file), fix=f"give {fix}"
    )


def check_some(file: Path, entries: Sized) -> None:
    """Refuse a file of the right layout that holds nothing.

    Raises:
        DataError: there is no entry.
    """
    if not entries:
        raise DataError(
            "no record in it",
            where=str(file),
            fix="get the file again, or leave it out",
        )


def read_records(
    file: Path,
    wanted: str,
    keys: Set[str],
    fix: str,
    *,
    under: str | None = None,
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
) -> list[Any]:
    """The list of records in a JSON file, told by the keys of the first one.

    Args:
        wanted: what the file is called.
        fix: the files that are meant.
        under: the key under which the list stands; it is the whole file where None.
        object_hook: as in `json.load`.

    Raises:
        DataError: not there, not JSON, of another layout, or without a record.
    """
    content = read_json(file, object_hook)
    held = content.get(under) if under is not None and isinstance(content, dict) else content
    first = held[0] if isinstance(held, list) and held else {}
    known = isinstance(first, dict) and (not first or first.keys() >= keys)
    if not isinstance(held, list) or not known:
        raise another_layout(file, wanted, content, fix)
    check_some(file, held)
    return held


def looks_like(content: Any) -> str:
    """What the parsed content of a JSON file seems to be, in words."""
    if isinstance(content, list):
        return _list_layout(content)
    if isinstance(content, dict):
        return _object_layout(content)
    return kind_of(content)


def _list_layout(content: list[Any]) -> str:
    first = content[0] if content else None
    if isinstance(first, dict):
        if first.keys() >= {"question_id", "answer"} and not first.keys() & {"question", "image"}:
            return "a VQA result file (a list of question_id and answer)"
        for keys, name in _LISTS:
            if first.keys() >= keys:
                return name
        return f"a list of objects with the keys {_names(first)} (for the source `table`)"
    if isinstance(first, list) and len(first) == 3:
        return "easy-VQA's list of [question, answer, image number]"
    return f"a list of {len(content)} entries, the first being {kind_of(first)}"


def _object_layout(content: Mapping[str, Any]) -> str:
    for key, layout in (
        ("annotations", _annotations_layout),
        ("questions", _questions_layout),
        ("images", _images_layout),
        ("scenes", lambda _: "CLEVR scenes (the objects, not the questions)"),
        ("data", _data_layout),
    ):
        entries = content.get(key)
        if isinstance(entries, list):
            return layout(entries[0] if entries and isinstance(entries[0], dict) else {})
    first = next(iter(content.values()), None)
    if isinstance(first, dict) and first.keys() >= {"question", "imageId"}:
        return "a GQA questions file (an object by question id)"
    if isinstance(first, dict) and first.keys() >= {"objects", "width"}:
        return "GQA scene graphs (the objects, not the questions)"
    if isinstance(first, dict) and first.keys() >= {"valid", "plausible"}:
        return "a GQA choices file (valid and plausible answers)"
    return f"an object with the keys {_names(content)}"


def _annotations_layout(first: Mapping[str, Any]) -> str:
    if "caption" in first:
        return "a COCO captions file"
    if "bbox" in first:
        return "a COCO instances file"
    return "a VQA annotations file (the answers, not the questions)"


def _questions_layout(first: Mapping[str, Any]) -> str:
    if "image_filename" in first:
        return "a CLEVR questions file"
    if "multiple_choices" in first:
        return "a VQA multiple-choice questions file"
    if "question_id" in first:
        return "a VQA questions file"
    return "an object with a list `questions` of another layout"


def _data_layout(first: Mapping[str, Any]) -> str:
    if "set_name" in first:
        return "a TextVQA file"
    return "an object with a list `data` of another layout"


def _images_layout(first: Mapping[str, Any]) -> str:
    if "qa_pairs" in first:
        return f"a Visual7W file ({'pointing' if is_pointing(first) else 'telling'})"
    return "an object with a list `images` and no questions"


def is_pointing(image: Mapping[str, Any]) -> bool:
    """Whether an image's entry is Visual7W pointing: its answers are numbers of boxes."""
    pairs = image.get("qa_pairs")
    first = pairs[0] if isinstance(pairs, list) and pairs else None
    answer = first.get("answer") if isinstance(first, dict) else None
    return "boxes" in image or (isinstance(answer, int) and not isinstance(answer, bool))


def _names(record: Mapping[str, Any], shown: int = 8) -> str:
    names = ", ".join(str(key) for key in list(record)[:shown])
    return f"{names}, …" if len(record) > shown else names
