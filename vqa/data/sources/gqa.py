"""GQA (Hudson and Manning 2019, arXiv 1902.09506): questions from scene graphs of photographs.

    FOLDER/{train,val,testdev,test,…}_{balanced,all}_questions.json, by question id:
    {"<id>": {"question", "imageId", "answer", "isBalanced", "groups": {"global", "local"},
              "types": {"structural", "semantic", "detailed"}, "entailed": ["<id>"], …}}

`train_all_questions` is a folder of ten such files. `test` and `challenge` have no answers. Groups
and entailed questions stay in the file: `vqa score --protocol gqa/1 --questions FILE` reads them
there. The format stands on the data set's download page (cs.stanford.edu/people/dorarad/gqa).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, kind_of, mapping, read_json, row_of, scalar, text
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import another_layout, check_some, nothing_here
from vqa.data.sources.pictures import Finder, finder
from vqa.errors import DataError, InputError

SPLITS = ("train", "val", "testdev", "test", "challenge", "submission")
_NAME = re.compile(rf"({'|'.join(SPLITS)})_(?:balanced|all)_questions(?:_\d+)?\.json(?:\.gz)?")
_SCENE_GRAPHS = re.compile(r".*sceneGraphs\.json(?:\.gz)?", re.IGNORECASE)
_KEPT = ("question", "imageId", "answer", "types")


@dataclass(frozen=True)
class GQA:
    """GQA; `question_type` is the structural type, `answer_type` open (query) or binary.

    Args:
        files: each with the name of its split.
        images: the folder of <imageId>.jpg; without it rows point at no picture.
    """

    name: ClassVar[str] = "gqa"
    files: tuple[tuple[str, Path], ...]
    images: Path | None = None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, file by file.

        Raises:
            DataError: a file is unreadable or of another layout.
        """
        find = finder(self.images)
        for split, file in self.files:
            for question_id, record in _read(file).items():
                where = f"{file}, question {question_id}"
                yield row_of(where, _example, question_id, record, split, find)


def _example(question_id: str, found: Any, split: str, find: Finder) -> tuple[Example, ImageInput]:
    record = mapping(found)
    structural = _structural(record.get("types"))
    example = Example(
        question_id=question_id,
        image_id=scalar(record, "imageId"),
        question=text(record, "question"),
        answers=[text(record, "answer")] if record.get("answer") is not None else [],
        question_type=structural,
        answer_type=("open" if structural == "query" else "binary") if structural else "",
        split=split,
    )
    return example, find(example.image_id, None)


def _structural(types: Any) -> str:
    """The structural type; "" where there is none, as in the test split."""
    if types is None:
        return ""
    if not isinstance(types, dict):
        raise Unusable(f"key 'types': an object was expected, not {kind_of(types)}")
    found = types.get("structural")
    if not isinstance(found, str | None):
        raise Unusable(f"key 'structural' of 'types': text was expected, not {kind_of(found)}")
    return found or ""


def _shrink(entry: dict[str, Any]) -> Any:
    """Keep of a question what becomes an example; programs and groups are most of a file."""
    if "operation" in entry and "dependencies" in entry:
        return None
    if "imageId" in entry:
        return {key: entry[key] for key in _KEPT if key in entry}
    return entry


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file, object_hook=_shrink)
    first = next(iter(content.values()), None) if isinstance(content, dict) else None
    fits = isinstance(content, dict) and (
        not content or (isinstance(first, dict) and "imageId" in first)
    )
    if not fits:
        raise another_layout(
            file, "a GQA questions file", content, "<split>_balanced_questions.json"
        )
    check_some(file, content)
    return dict(content)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare gqa`."""
    parser.description = (
        "GQA: the folder of questions1.2.zip, or questions files, each as FILE or SPLIT=FILE. Of a\n"
        "folder the balanced questions are taken, unless --all is given."
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="folder, or files (SPLIT=FILE names a split)"
    )
    add_images(parser, "folder of <imageId>.jpg (default: FOLDER/images)")
    parser.add_argument(
        "--all", action="store_true", help="of a folder: all questions, not the balanced ones"
    )


def from_args(args: argparse.Namespace) -> GQA:
    """The source that the command line describes.

    Raises:
        InputError: a file whose split is not known, a folder without questions, or no pictures.
    """
    folders = [Path(given) for given in args.inputs if Path(given).is_dir()]
    default = folders[0] / "images" if folders else None
    kind = "all" if args.all else "balanced"
    files = [pair for given in args.inputs for pair in _files(given, kind)]
    return GQA(tuple(files), images_given(args, "gqa", default))


def _files(given: str, kind: str) -> list[tuple[str, Path]]:
    path = Path(given)
    if path.is_dir():
        return _in_folder(path, kind)
    split, equals, rest = given.partition("=")
    if equals and not path.exists():
        return [(split, Path(rest))]
    name = _NAME.fullmatch(path.name)
    if _SCENE_GRAPHS.fullmatch(path.name):
        raise DataError(
            "not a GQA questions file; it looks like GQA scene graphs (the objects, not the questions)",
            where=given,
            fix="give <split>_balanced_questions.json",
        )
    if name is None:
        raise InputError(
            "the file's name does not say which split it is",
            where=given,
            fix="write SPLIT=FILE, as in val=" + path.name,
        )
    return [(name[1], path)]


def _in_folder(folder: Path, kind: str) -> list[tuple[str, Path]]:
    """The questions files of a folder, balanced or all.

    Raises:
        DataError: there is none; the message says what there is.
    """
    found = _found_in(folder, kind)
    if found:
        return found
    what = f"no <split>_{kind}_questions.json here"
    other, fix = ("all", "use --all") if kind == "balanced" else ("balanced", "leave out --all")
    if there := _found_in(folder, other):
        told = f"{what}, but {other} questions ({there[0][1].relative_to(folder)})"
        raise DataError(told, where=str(folder), fix=fix)
    raise nothing_here(
        folder, what, "give the folder of the unpacked questions1.2.zip, or the questions files"
    )


def _found_in(folder: Path, kind: str) -> list[tuple[str, Path]]:
    found = []
    for split in SPLITS:
        stem = f"{split}_{kind}_questions"
        files = [folder / f"{stem}.json", *sorted((folder / stem).glob(f"{stem}_*.json"))]
        found += [(split, file) for file in files if file.is_file()]
    return found
