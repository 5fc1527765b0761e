"""Which file of regions is of which kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.data.regions.npz import ENDING, npz_records
from vqa.data.regions.record import Form, Record
from vqa.data.regions.tsv import tsv_records
from vqa.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

HDF5 = (".hdf5", ".h5")
PICKLED = (".pkl", ".pickle", ".npy", ".pt", ".pth")


def records(path: Path, dim: int) -> Iterator[Record]:
    """Every picture of a file, or of a folder of archives; decoded when it is read.

    Raises:
        DataError: it is not there, or of a kind that is not read; or as the kinds say.
    """
    if not path.exists():
        raise DataError("no such file or folder", where=str(path))
    if path.suffix in HDF5:
        raise DataError(
            "HDF5 files of regions are not read: their index of pictures is published as a pickle",
            where=str(path),
            fix="give the .tsv file that they were converted from",
        )
    if path.suffix in PICKLED:
        raise DataError(
            "nothing pickled is ever loaded", where=str(path), fix="give a .tsv or .npz file"
        )
    if path.is_dir() or path.suffix == ENDING:
        return npz_records(path, dim)
    return tsv_records(path)


def read_one(path: Path, form: Form) -> Tensor:
    """The one picture of a file as a row, its boxes included where it has any.

    Raises:
        DataError: there is none, more than one, or it does not fit.
    """
    found = list(islice(records(path, form.dim), 2))
    if len(found) != 1:
        raise DataError(
            f"{'more than one picture' if found else 'no picture'} here, and one was expected",
            where=str(path),
            fix="give a file with the regions of this picture alone",
        )
    [record] = found
    regions = record.read()
    drawable = regions.boxes is not None and regions.size is not None
    return replace(form, boxes=form.boxes or drawable).row(regions, record.where)
