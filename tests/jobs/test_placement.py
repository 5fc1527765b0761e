from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqa.jobs.engines.base import Capacity
from vqa.jobs.placement import place, why_never
from vqa.jobs.record import Job, Resources, State, Submission

resources = st.builds(
    Resources,
    accelerator=st.sampled_from(["cpu", "gpu"]),
    devices=st.integers(1, 3),
    cores=st.integers(1, 4),
    memory_mb=st.integers(0, 400),
)


def running(number: int, wanted: Resources, gpus: tuple[str, ...]) -> Job:
    submission = Submission(experiment={}, user="u", name="n", resources=wanted)
    return Job(number, str(number), State.RUNNING, submission, gpus=gpus)


@given(st.lists(resources, max_size=12))
def test_jobs_never_share_a_gpu_nor_exceed_the_machine(queue: list[Resources]) -> None:
    capacity = Capacity(("0", "1", "2", "3"), 8, 1000)
    active: list[Job] = []
    for number, wanted in enumerate(queue):
        gpus = place(capacity, active, wanted)
        if gpus is None:
            continue
        assert len(gpus) == wanted.gpus
        active.append(running(number, wanted, gpus))
    given_out = [gpu for job in active for gpu in job.gpus]
    assert len(given_out) == len(set(given_out))
    assert sum(job.submission.resources.cores for job in active) <= 8
    assert sum(job.submission.resources.memory_mb for job in active) <= 1000


@given(resources)
def test_what_fits_an_idle_machine_is_placed_on_it(wanted: Resources) -> None:
    capacity = Capacity(("0", "1"), 3, 300)
    assert (place(capacity, [], wanted) is not None) == (why_never(capacity, wanted) is None)


def test_why_it_never_fits_has_the_numbers() -> None:
    capacity = Capacity(("0",), 2, 100)
    assert why_never(capacity, Resources(nodes=2)) == (
        "asks for 2 nodes, and the local engine has one; use slurm or ray"
    )
    many = Resources(accelerator="gpu", devices=2)
    assert why_never(capacity, many) == "asks for 2 GPUs, and this machine has 1"
    assert why_never(capacity, Resources(cores=3)) == "asks for 3 cores, and this machine has 2"
