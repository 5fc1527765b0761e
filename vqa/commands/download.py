"""vqa download NAME [--to DIR] [--no-images] [--again] [--json]"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.errors import InputError
from vqa.formatting import size

if TYPE_CHECKING:
    from tqdm import tqdm

    from vqa.data.published.download import Fetched
    from vqa.data.published.facts import DataSet, Remote

EPILOG = """
Files keep their published names and are not unpacked. What broke off is gone on with. `vqa list datasets` says
which data sets there are.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("name", metavar="NAME", help="a data set, as vqa list datasets calls it")
    add("--to", type=Path, metavar="DIR", help="folder for the files (default: NAME here)")
    add("--no-images", action="store_true", help="leave out what holds only pictures")
    add("--again", action="store_true", help="fetch also what is there")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Download; 0 where every file is there and checked."""
    from vqa.data.published.download import download, to_json
    from vqa.data.published.sets import data_set

    one = data_set(args.name)
    files = _files(one, args.no_images)
    folder = args.to or Path(one.name)
    print(_about(one, files, folder), file=sys.stderr)
    with ExitStack() as bars:
        found = download(files, folder, lambda remote: _Bar(remote, bars), again=args.again)
    if args.json:
        told = {"data_set": one.name, "to": str(folder), "licence": one.licence, "page": one.page}
        print(json.dumps({**told, "files": to_json(found)}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_said(file) for file in found))
        print(f"next: unpack in {folder}, then there: vqa prepare {one.prepare} --to STORE")
    return 0


def _files(one: DataSet, no_images: bool) -> tuple[Remote, ...]:
    if one.generated:
        what, fix = "is generated, not downloaded", f"vqa prepare {one.prepare} --to STORE"
        raise InputError(f"{one.name} {what}", where="vqa download", fix=fix)
    if not one.downloads:
        raise InputError(
            f"no public address of {one.name} is known here",
            where="vqa download",
            fix=f"see {one.page}",
        )
    return one.files if no_images else (*one.files, *one.pictures)


def _about(one: DataSet, files: tuple[Remote, ...], folder: Path) -> str:
    """What comes, from where, under which licence, and whom to cite."""
    known = sum(file.size or 0 for file in files)
    if any(file.size is None for file in files):
        amount = f"{size(known)} and more" if known else "of unknown size"
    else:
        amount = size(known)
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    return "\n".join(
        (
            f"{one.name}: {one.summary}",
            f"licence: {one.licence}",
            f"cite: {one.paper}",
            f"page: {one.page}",
            f"{count}, {amount}, to {folder}",
        )
    )


def _said(file: Fetched) -> str:
    how = "fetched" if file.fetched else "already here"
    against = {
        "published": "checksum as published",
        "first download": "checksum as at the first download",
        "nothing": "no checksum is published; that of this download is kept in vqa-download.json",
    }
    return f"{file.name}  {size(file.size)}  {how}, {against[file.checked]}"


class _Bar:
    """A bar on a terminal, a line elsewhere."""

    def __init__(self, remote: Remote, bars: ExitStack) -> None:
        self._remote, self._bars = remote, bars
        self._bar: tqdm[Any] | None = None

    def begin(self, total: int | None, done: int) -> None:
        """Show that the file begins, or goes on after a break."""
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        elif not sys.stderr.isatty():
            of = "" if total is None else f" of {size(total)}"
            here = f", {size(done)} here" if done else ""
            print(f"{self._remote.name}{of}{here}", file=sys.stderr)
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self._remote.name,
            unit="B",
            unit_scale=True,
            disable=None,
            file=sys.stderr,
        )
        self._bars.callback(self._bar.close)

    def advance(self, count: int) -> None:
        """Show so many more bytes."""
        if self._bar is not None:
            self._bar.update(count)
