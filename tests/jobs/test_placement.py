"""Which jobs fit a machine together, and on which of its GPUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqa.jobs.engines.base import Capacity
from vqa.jobs.placement import lacking, place, why_never
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


@given(st.lists(resources, max_size=20))
def test_jobs_of_one_gpu_share_one_as_far_as_that_is_allowed(queue: list[Resources]) -> None:
    capacity = Capacity(("0", "1", "2"), 1000, 10_000, jobs_per_gpu=3)
    active: list[Job] = []
    for number, wanted in enumerate(queue):
        gpus = place(capacity, active, wanted)
        if gpus is not None:
            active.append(running(number, wanted, gpus))
    for gpu in capacity.gpus:
        there = [job for job in active if gpu in job.gpus]
        assert len(there) <= 3
        assert len(there) <= 1 or all(len(job.gpus) == 1 for job in there)


def test_the_emptiest_gpu_is_taken_and_several_are_had_alone() -> None:
    capacity = Capacity(("0", "1"), 8, 1000, jobs_per_gpu=2)
    one, two = (Resources(accelerator="gpu", devices=number) for number in (1, 2))
    active: list[Job] = []
    for expected in (("0",), ("1",), ("0",), ("1",), None):
        gpus = place(capacity, active, one)
        assert gpus == expected
        active += [] if gpus is None else [running(len(active), one, gpus)]
    assert place(capacity, active[:1], two) is None
    assert place(capacity, [running(0, two, ("0", "1"))], one) is None
    assert place(capacity, [], two) == ("0", "1")


@given(resources)
def test_what_fits_an_idle_machine_is_placed_on_it(wanted: Resources) -> None:
    capacity = Capacity(("0", "1"), 3, 300)
    assert (place(capacity, [], wanted) is not None) == (why_never(capacity, wanted) is None)


def test_slices_of_a_gpu_do_not_work_together() -> None:
    capacity = Capacity(("MIG-1", "GPU-1", "MIG-2", "GPU-2"), 9, 1000)
    one, two, three = (Resources(accelerator="gpu", devices=number) for number in (1, 2, 3))
    assert place(capacity, [], one) == ("MIG-1",)
    assert place(capacity, [], two) == ("GPU-1", "GPU-2")
    assert place(capacity, [], three) is None
    assert "has 2 for one job" in str(why_never(capacity, three))


def test_why_it_never_fits_has_the_numbers() -> None:
    capacity = Capacity(("0",), 2, 100)
    assert why_never(capacity, Resources(nodes=2)) == (
        "asks for 2 nodes, and the local engine has one; use slurm or ray"
    )
    many = Resources(accelerator="gpu", devices=2)
    assert why_never(capacity, many) == "asks for 2 GPUs, and this machine has 1"
    assert why_never(capacity, Resources(cores=3)) == "asks for 3 cores, and this machine has 2"


def test_what_is_lacking_has_the_numbers() -> None:
    capacity = Capacity(("0", "1"), 8, 1000)
    taken = running(0, Resources(accelerator="gpu", cores=5, memory_mb=600), ("0",))
    wanted = Resources(accelerator="gpu", devices=2, cores=4, memory_mb=500)
    assert lacking(capacity, [taken], wanted) == [
        "2 GPUs (1 of 2 free)",
        "4 cores (3 of 8 free)",
        "500 MiB (400 of 1000 free)",
    ]
    full = running(1, Resources(cores=3), ())
    assert lacking(capacity, [taken, full], Resources()) == ["1 core (0 of 8 free)"]
    assert lacking(capacity, [taken], Resources(cores=3)) == []
