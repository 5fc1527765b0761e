"""Where a run's pictures come from, and where they lie: the memory plan, told before the first step."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vqa.config import Experiment
from vqa.data.memory import SHARE, Held, MemoryPlan, free_bytes, place_splits, total_bytes
from vqa.data.supply import Request, Supply, keep_pictures, make_features
from vqa.training.activations import activation_bytes
from vqa.training.directory import RunDirectory
from vqa.training.room import learning_bytes

if TYPE_CHECKING:
    from vqa.training.session import Session


@dataclass(frozen=True)
class Pictures:
    """What gives the pictures, and what is resident."""

    supply: Supply
    plan: MemoryPlan


def arrange_pictures(session: Session) -> Pictures:
    """Make what is to be kept on disk, plan the memory, and say so."""
    materials, device = session.materials, session.device
    experiment = as_begun(session.experiment, session.run)
    free = free_bytes(device)  # before anything is placed there
    network = session.model.network.to(device)
    looks = (session.plan.batches - 1) * session.whole_batch
    request = Request(_rows(session), looks, session.place.first, session.warn)
    make = partial(make_features, materials.store, encoder=network.image_encoder, device=device)
    supply = make(experiment=experiment, request=request)
    if not session.place.same(int(supply.file is not None), device):
        supply = make(experiment=experiment.with_features("off"), request=request)
    if session.run.features() and supply.file is None and session.place.first:
        session.warn(f"this run began with kept features, and goes on without: {supply.source}")
    plan = _plan(session, supply, free)
    streamed = any(not one.resident for one in plan.splits)
    kept = keep_pictures(supply, request, streamed=streamed)
    pictures = Pictures(kept, replace(plan, what=kept.what, source=kept.source))
    if session.place.first:
        session.run.event("memory", **pictures.plan.to_json())
        for line in pictures.plan.lines():
            print(f"vqa: {line}", file=sys.stderr)
    return pictures


def as_begun(experiment: Experiment, run: RunDirectory) -> Experiment:
    """A run that began without features goes on so: they are rounded, and it would not end as if it had never
    stopped."""
    without = experiment.data.features == "auto" and run.features() is False
    return experiment.with_features("off") if without else experiment


def _rows(session: Session) -> np.ndarray:
    """The pictures that the run will look at, its evaluation included."""
    materials = session.materials
    store, tables = materials.store, (materials.train, materials.validation)
    rows = [table.image_rows for table in tables if table is not None]
    rows.append(store.image_rows[store.rows(materials.splits.evaluation)])
    found: np.ndarray = np.unique(np.concatenate(rows))
    return found


def _plan(session: Session, supply: Supply, free: int) -> MemoryPlan:
    materials, device, config = session.materials, session.device, session.experiment
    share = SHARE[device.type]
    if device.type == "cpu":
        free //= config.trainer.devices  # they share the machine's memory
    tables = {"train": materials.train, "validation": materials.validation}
    needs = _needs(session, supply)
    images = {name: len(table.image_rows) for name, table in tables.items() if table is not None}
    begun = session.run.shards()
    room = session.place.least(round(share * free) - sum(needs.values()), device)
    return MemoryPlan(
        device=str(device),
        total=total_bytes(device),
        free=free,
        share=share,
        what=supply.what,
        source=supply.source,
        needs=needs,
        splits=place_splits(
            images, supply.row_bytes, room, config.data.resident, _shards(session, images, begun)
        ),
    )


def _shards(
    session: Session, images: Mapping[str, int], begun: bool | None
) -> dict[str, tuple[Held, ...]]:
    """What one of several processes may hold of each split, the best first; the same in all of them.

    How training questions are shared out is settled when a run begins: `begun` tells whether that was in shards.
    """
    place, wanted = session.place, session.experiment.data.resident
    if place.world == 1 or images["train"] < place.world or wanted in ("always", "never"):
        return {}
    name = f"{place.rank + 1} of {place.world}"
    found: dict[str, tuple[Held, ...]] = {}
    for split, count in images.items():
        most = max(len(session.held(split, rank)) for rank in range(place.world))
        choices = (Held(count), Held(most, name))
        found[split] = choices[1:] if wanted == "shards" else choices
    if begun is not None:
        found["train"] = found["train"][-1:] if begun else found["train"][:1]
    return found


def _needs(session: Session, supply: Supply) -> dict[str, int]:
    """Everything on the device but the pictures, in bytes."""
    materials, network, config = session.materials, session.model.network, session.experiment
    batch = session.whole_batch // session.place.world
    predictor = session.model.predictor(session.device)
    needs = {
        **learning_bytes(network, config.optimizer),
        "activations": activation_bytes(predictor, materials.train, supply, batch),
    }
    if session.device.type == "cpu":
        validation = materials.validation
        questions = materials.train.nbytes + (validation.nbytes if validation is not None else 0)
        needs = {"questions": questions, **needs}
    return needs
