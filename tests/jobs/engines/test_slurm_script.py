"""The batch script, word for word, and what no value in it can do."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa.errors import EngineError
from vqa.jobs.engines.base import Task
from vqa.jobs.engines.slurm_script import render, render_array
from vqa.jobs.record import Resources
from vqa.jobs.settings import SlurmSettings

ALONE = r"""#!/bin/bash
# Attempt 2 of job 9f3c01ab. By hand: go to the directory of this file, then `sbatch sbatch.sh`.
#SBATCH --job-name=vqa-9f3c01ab-2
#SBATCH --output=logs/slurm.log
#SBATCH --open-mode=append
#SBATCH --export=ALL
#SBATCH --partition=gpu
#SBATCH --account=vision
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=2
#SBATCH --mem=32000M
#SBATCH --time=90
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --exclude=node7

cd '/data/my runs/9f3c01ab' || exit

# The attempt belongs to the first Slurm job that starts it (requeued, it is the same job); any other leaves it alone.
handle=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
handle=${handle:-$SLURM_JOB_ID}
(set -o noclobber; echo "$handle" > .vqa-9f3c01ab-2.slurm) 2>/dev/null
[ "$(cat .vqa-9f3c01ab-2.slurm)" = "$handle" ] || exit 75

module load cuda

# Given by env, so that the runner and what it starts carry these variables, and nothing else: they are found by them.
runner=(
    env
    VQA_JOB_ID=9f3c01ab
    VQA_JOB_ATTEMPT=2
    VQA_JOB_GRACE=30.0
    OMP_NUM_THREADS=4
    PYTHONUNBUFFERED=1
    /opt/vqa/bin/python -m vqa.jobs.runner '/data/my runs/9f3c01ab'
)

run() { exec "${runner[@]}"; }
ask() { kill -TERM "$child"; }
end() { kill -KILL "$child"; }

# TERM asks the run to end, which may take its time; USR2 ends it. How it ended stands in result.json alone.
set -o monitor  # or the runner would be deaf to INT
run </dev/null &
child=$!
trap ask TERM
trap end USR2
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || exit "$code"
done
"""

TOGETHER = r"""
# The ranks meet on the first node, at the address that Slurm uses and a port below those that the kernel hands out.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_ADDR=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
export MASTER_ADDR=${MASTER_ADDR:-$first} MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))

# One runner a node. A runner that fails ends no other one: each has something to write down.
run() {
    exec srun --nodes=4 --ntasks=4 --ntasks-per-node=1 --cpus-per-task=8 \
        --kill-on-bad-exit=0 --wait=0 \
        bash -c 'export NODE_RANK=$SLURM_NODEID; exec "$@"' runner "${runner[@]}"
}
ask() { scancel --signal=TERM "$SLURM_JOB_ID"; }
end() { kill -TERM "$child"; }  # srun's way is to kill at once
"""

ARRAY = r"""#!/bin/bash
# 2 runs of equal needs. By hand: go to the directory of this file, then `sbatch array.sh`.
#SBATCH --job-name=vqa-array-x
#SBATCH --output=logs/slurm.log
#SBATCH --open-mode=append
#SBATCH --export=ALL
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --no-requeue
#SBATCH --signal=B:TERM@60
#SBATCH --array=0-1%5

run_dirs=(
    /runs/a
    '/runs/b'"'"'s'
)
cd "${run_dirs[SLURM_ARRAY_TASK_ID]}" || exit
exec bash sbatch.sh >> logs/slurm.log 2>&1
"""


@dataclass(frozen=True)
class Printing(Task):
    """A task with a command of its own."""

    words: tuple[str, ...] = ("/opt/vqa/bin/python", "-m", "vqa.jobs.runner")

    @property
    def command(self) -> list[str]:
        """Those words and the run directory."""
        return [*self.words, str(self.run_dir)]


GPUS = Resources(accelerator="gpu", devices=2, cores=8, memory_mb=32000, time_minutes=90)
TASK = Printing("9f3c01ab", 2, Path("/data/my runs/9f3c01ab"), GPUS)
SETTINGS = SlurmSettings(
    partition="gpu", account="vision", options=("--exclude=node7",), setup=("module load cuda",)
)


def test_the_script_of_one_node() -> None:
    assert render(TASK, SETTINGS) == ALONE


def test_the_script_of_several_nodes_differs_where_they_meet() -> None:
    several = replace(TASK, resources=GPUS.model_copy(update={"nodes": 4}))
    start, end = ALONE.index("\nrun()"), ALONE.index("\n# TERM asks")
    expected = ALONE[:start] + TOGETHER + ALONE[end:]
    assert render(several, SETTINGS) == expected.replace("--nodes=1", "--nodes=4")


def test_the_script_of_an_array() -> None:
    tasks = [
        Task("a", 1, Path("/runs/a"), Resources()),
        Task("b", 1, Path("/runs/b's"), Resources()),
    ]
    assert render_array("vqa-array-x", tasks, SlurmSettings(requeue=False), limit=5) == ARRAY


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (SlurmSettings(gpu_option="--gres=gpu:h100:{gpus}"), "#SBATCH --gres=gpu:h100:2"),
        (SlurmSettings(qos="low"), "#SBATCH --qos=low"),
        (SlurmSettings(signal_seconds=300), "#SBATCH --signal=B:TERM@300"),
    ],
)
def test_settings_become_options(settings: SlurmSettings, line: str) -> None:
    assert line in render(TASK, settings).splitlines()


def test_what_is_left_open_is_not_asked_for() -> None:
    script = render(Task("j", 1, Path("/runs/j"), Resources()), SlurmSettings())
    for option in ("--time", "--mem", "--gpus", "--partition", "--account", "--qos"):
        assert option not in script


@pytest.mark.parametrize(
    "settings",
    [
        SlurmSettings(partition="gpu\n#SBATCH --uid=0"),
        SlurmSettings(gpu_option="--gpus={gpus}\nrm -r /"),
        SlurmSettings(options=("--comment=a\rb",)),
        SlurmSettings(qos="a\u2028b"),
    ],
)
def test_no_setting_adds_a_line(settings: SlurmSettings) -> None:
    with pytest.raises(EngineError, match="cannot stand in a batch script"):
        render(TASK, settings)


@given(st.text())
def test_no_job_adds_a_line(job: str) -> None:
    try:
        script = render(replace(TASK, job=job), SETTINGS)
    except EngineError:
        return
    assert len(script.splitlines()) == len(ALONE.splitlines())


FILE_NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)
HOSTILE = st.sampled_from(
    ["$(touch pwned)", "`touch pwned`", "a\nb", "'; touch pwned; '", "\\", "~", "-", "\udcff"]
)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(HOSTILE.map(os.fsencode), FILE_NAMES), st.one_of(HOSTILE, FILE_NAMES.map(os.fsdecode))
)
def test_whatever_a_path_holds_it_is_one_word_on_one_line(name: bytes, word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / os.fsdecode(name)
        run_dir.mkdir()
        task = Printing("j", 1, run_dir, Resources(), words=("printf", "%s\\0", word))
        script = render(task, SlurmSettings())
        assert len(script.splitlines()) == len(
            render(replace(task, run_dir=Path("/runs/j")), SlurmSettings()).splitlines()
        )
        done = subprocess.run(
            ["bash", "-c", script],
            env={"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7"},
            cwd=folder,
            capture_output=True,
            check=True,
        )
        assert done.stdout.split(b"\0") == [os.fsencode(word), os.fsencode(run_dir), b""]
        assert [path.name for path in run_dir.iterdir()] == [".vqa-j-1.slurm"]
        assert len(list(Path(folder).iterdir())) == 1
