"""What fits beside what already runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vqa.jobs.engines.base import Capacity
from vqa.jobs.record import Job, Resources


def place(capacity: Capacity, active: Sequence[Job], wanted: Resources) -> tuple[str, ...] | None:
    """The GPUs for one more job, none for a job on the CPU; None where it does not fit now."""
    if lacking(capacity, active, wanted):
        return None
    return tuple(_with_room(capacity, active, wanted.gpus)[: wanted.gpus])


def lacking(capacity: Capacity, active: Sequence[Job], wanted: Resources) -> list[str]:
    """What does not suffice for one more job now, with the numbers; empty where it fits."""
    used = [job.submission.resources for job in active]
    gpus = len(_with_room(capacity, active, wanted.gpus))
    cores = capacity.cores - sum(r.cores for r in used)
    memory = capacity.memory_mb - sum(r.memory_mb for r in used)
    room = (
        (wanted.gpus, "GPUs", gpus, len(capacity.gpus)),
        (wanted.cores, "cores", cores, capacity.cores),
        (wanted.memory_mb, "MiB", memory, capacity.memory_mb),
    )
    return [
        f"{asked} {name.removesuffix('s') if asked == 1 else name} ({max(0, free)} of {every} free)"
        for asked, name, free, every in room
        if asked > free
    ]


def may_fit(capacity: Capacity | None, wanted: Resources) -> bool:
    """Whether a job fits once others have ended; where an engine knows no capacity, that is its own affair."""
    return capacity is None or why_never(capacity, wanted) is None


def why_not_now(capacity: Capacity, active: Sequence[Job], wanted: Resources) -> str:
    """What one more job waits for that does not fit."""
    needs = ", ".join(lacking(capacity, active, wanted))
    return why_never(capacity, wanted) or f"waits for {needs}"


def _with_room(capacity: Capacity, active: Sequence[Job], wanted: int) -> list[str]:
    """The GPUs that can take one more job, those with the fewest first; a job of several has each to itself."""
    jobs = Counter(gpu for job in active for gpu in job.gpus)
    alone = {gpu for job in active if len(job.gpus) > 1 for gpu in job.gpus}
    most = capacity.jobs_per_gpu if wanted == 1 else 1
    suited = _that_join(capacity, wanted)
    free = [gpu for gpu in suited if gpu not in alone and jobs[gpu] < most]
    return sorted(free, key=lambda gpu: jobs[gpu])


def _that_join(capacity: Capacity, wanted: int) -> list[str]:
    """The GPUs of which so many can work together: a process sees one slice (MIG) of all that it is given."""
    return [gpu for gpu in capacity.gpus if wanted == 1 or not gpu.startswith("MIG-")]


def why_never(capacity: Capacity, wanted: Resources) -> str | None:
    """Why a job would not fit even an idle machine; None where it would."""
    if wanted.nodes > 1:
        return f"asks for {wanted.nodes} nodes, and the local engine has one; use slurm or ray"
    if wanted.gpus > (most := len(_that_join(capacity, wanted.gpus))):
        slices = " for one job (of slices, MIG, each stands alone)" * (most < len(capacity.gpus))
        return f"asks for {wanted.gpus} GPUs, and this machine has {most}{slices}"
    if wanted.cores > capacity.cores:
        return f"asks for {wanted.cores} cores, and this machine has {capacity.cores}"
    if wanted.memory_mb > capacity.memory_mb:
        return f"asks for {wanted.memory_mb} MiB, and this machine has {capacity.memory_mb}"
    return None
