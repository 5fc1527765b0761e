"""Where the pictures of an experiment come from: kept features, kept pictures, or the store itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqa.config import Experiment
from vqa.data.bank import Decoded, ImageBank, Resident, Shard, Streamed, Unseen, load
from vqa.data.cache.features import features_layout, features_maker
from vqa.data.cache.fill import Maker, fill
from vqa.data.cache.layout import Layout
from vqa.data.cache.pictures import decode_pictures, pictures_layout, pictures_maker
from vqa.data.cache.place import can_write, shortage, workplace
from vqa.data.cache.regions import open_regions, regions_of
from vqa.data.cache.rows import DamagedRows, RowFile, count_missing, find_kept, open_rows
from vqa.data.cache.rule import DEMANDED, obstacle
from vqa.data.memory import free_bytes
from vqa.data.store import Store
from vqa.model.parts import ImageEncoder

Tell = Callable[[str], None]
RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Supply:
    """Gives the pictures of a store's rows.

    Attributes:
        file: features or pictures that are kept; None decodes the store's own.
        source: where they come from, for people.
        again: makes what is missing of `file`, or a file elsewhere where that folder cannot be mended; None where
            nothing is to be made.
    """

    store: Store
    experiment: Experiment
    device: torch.device
    file: RowFile | None
    source: str
    again: Callable[[Path], RowFile] | None = None

    @property
    def unseen(self) -> bool:
        """Whether nothing looks at the pictures."""
        return self.experiment.model.image_encoder.name == "none"

    @property
    def layout(self) -> Layout:
        """What a row looks like, whether it is kept in a file or decoded."""
        return (
            pictures_layout(self.store, self.experiment.data)
            if self.file is None
            else self.file.layout
        )

    @property
    def row_bytes(self) -> int:
        """What stands for a picture takes so many bytes."""
        return 0 if self.unseen else self.layout.row_bytes

    @property
    def what(self) -> str:
        """What stands for a picture."""
        layout = self.layout
        shape = "×".join(map(str, layout.shape))
        return "none" if self.unseen else f"{layout.kind} {shape} {layout.dtype}"

    def blank(self, count: int) -> Tensor:
        """As a bank gives so many pictures, all of them black."""
        if self.unseen:
            return Unseen(self.device).fetch(np.arange(count))
        shape = (count, *self.layout.shape)
        return torch.zeros(shape, dtype=self.layout.torch_dtype, device=self.device)

    def bank(
        self, rows: np.ndarray, *, resident: bool, held: np.ndarray | None = None
    ) -> ImageBank:
        """The pictures at `rows` of the store's images.

        Args:
            held: where this process looks at some of them alone, their positions in `rows`: no other is resident.

        Raises:
            DamagedRows: rows of the file are, and cannot be made again here.
        """
        if self.unseen:
            return Unseen(self.device)
        if resident and held is not None:
            own = self.bank(rows[held], resident=True) if len(held) else Resident(self.blank(0))
            return Shard.of(own, held, len(rows))
        if self.file is None:
            data = self.experiment.data
            decode = partial(decode_pictures, self.store, data.image_size, data.resize)
            decoded = Decoded(decode, rows, self.device)
            return load(decoded) if resident else decoded
        streamed = Streamed(self.file, rows, self.device)
        return self._loaded(streamed) if resident else streamed

    def _loaded(self, bank: Streamed) -> Resident:
        try:
            return load(bank)
        except DamagedRows:
            if self.again is None:
                raise
            # All of the damaged ones are forgotten, not the first alone.
            bank.file.verify(bank.rows)
            return load(replace(bank, file=self.again(bank.file.folder)))

    def fits(self, count: int, processes: int) -> bool:
        """Whether so many pictures are to be resident, where nothing else is to be placed.

        Args:
            processes: that hold as many each; on a CPU they share its memory.
        """
        wanted = self.experiment.data.resident
        needed = count * self.row_bytes * (processes if self.device.type == "cpu" else 1)
        fitting = needed <= RESIDENT_SHARE * free_bytes(self.device)
        return wanted == "always" or (wanted == "auto" and fitting)


@dataclass(frozen=True)
class Request:
    """What is wanted of a supply.

    Attributes:
        rows: of the store's images, ascending.
        looks: pictures that the run will look at, over and over.
        announce: say on stderr what is made; one process of several does.
        tell: takes warnings.
    """

    rows: np.ndarray
    looks: int
    announce: bool
    tell: Tell


def make_features(
    store: Store,
    experiment: Experiment,
    encoder: ImageEncoder,
    device: torch.device,
    request: Request,
) -> Supply:
    """Features where the experiment can have them, made as far as they are missing; else the store's pictures.

    Raises:
        DataError: features are demanded and there is too little room; or regions are missing.
        VQAError: the disk became full.
    """
    if regions_of(experiment) is not None:
        return _regions(store, experiment, device, request.rows)
    setting, reason = experiment.data.features, obstacle(experiment)
    supply = Supply(store, experiment, device, None, "decoded from the store")
    if reason is not None or setting == "off":
        return replace(supply, source=f"{supply.source} ({reason or 'data.features=off'})")
    layout = features_layout(store, experiment, encoder)
    if setting not in DEMANDED:
        reason = _not_worth_it(store, layout, request)
        if reason is not None:
            return replace(supply, source=f"{supply.source} (no features: {reason})")
    maker = features_maker(store, experiment, encoder, device)
    return _with_file(supply, partial(_filled, store, layout, maker, request))


def keep_pictures(supply: Supply, request: Request, *, streamed: bool) -> Supply:
    """The same supply; where pictures are decoded, from a file in which they have been decoded once."""
    setting, store = supply.experiment.data.decoded, supply.store
    if supply.file is not None or supply.unseen or setting == "never":
        return supply
    layout = pictures_layout(store, supply.experiment.data)
    if setting == "auto":
        found = find_kept(store, layout, request.rows)
        if found is None and not streamed:
            return supply
        reason = _not_worth_it(store, layout, request)
        if reason is not None:
            return replace(supply, source=f"{supply.source} (not kept: {reason})")
    maker = pictures_maker(store, supply.experiment)
    return _with_file(supply, partial(_filled, store, layout, maker, request))


def _with_file(supply: Supply, make: Callable[[Path | None], RowFile]) -> Supply:
    file = make(None)
    return replace(supply, file=file, source=f"from {file.folder}", again=make)


def find_supply(
    store: Store,
    experiment: Experiment,
    encoder: ImageEncoder,
    device: torch.device,
    rows: np.ndarray,
) -> Supply:
    """Features or pictures that are kept and complete for `rows`; nothing is made.

    Raises:
        DataError: the experiment reads regions, and some are missing.
    """
    if regions_of(experiment) is not None:
        return _regions(store, experiment, device, rows)
    layouts = []
    if obstacle(experiment) is None and experiment.data.features != "off":
        layouts.append(features_layout(store, experiment, encoder))
    if experiment.model.image_encoder.name != "none" and experiment.data.decoded != "never":
        layouts.append(pictures_layout(store, experiment.data))
    found = (find_kept(store, layout, rows) for layout in layouts)
    file = next((one for one in found if one is not None), None)
    source = "decoded from the store" if file is None else f"from {file.folder}"
    return Supply(store, experiment, device, file, source)


def _regions(
    store: Store, experiment: Experiment, device: torch.device, rows: np.ndarray
) -> Supply:
    file = open_regions(store, experiment, rows)
    return Supply(store, experiment, device, file, f"from {file.folder}")


def _not_worth_it(store: Store, layout: Layout, request: Request) -> str | None:
    """Why a file is not made unless it is demanded."""
    if find_kept(store, layout, request.rows) is not None:
        return None
    folder = workplace(store, layout.name)
    if request.looks < len(request.rows):
        return (
            f"the run looks at {request.looks:,} pictures and {len(request.rows):,} would be made"
        )
    if not can_write(folder):
        return f"{folder} cannot be written"
    return shortage(folder, count_missing(folder, layout, request.rows) * layout.row_bytes)


def _filled(
    store: Store, layout: Layout, maker: Maker, request: Request, damaged: Path | None
) -> RowFile:
    """The file with every row of the request; the folder that was damaged is one only where it could be mended."""
    folder = workplace(store, layout.name)
    found = find_kept(store, layout, request.rows, None if damaged == folder else damaged)
    if found is not None:
        return found
    file, troubles = open_rows(folder, layout)
    for trouble in troubles:
        request.tell(trouble)
    fill(file, request.rows, maker, announce=request.announce)
    return file
