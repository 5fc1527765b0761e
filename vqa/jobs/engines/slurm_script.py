"""What the `slurm` engine hands to `sbatch`: text, made from a task and the settings, for people to read as well."""

from __future__ import annotations

import os
import re
import shlex
import string
from collections.abc import Iterator, Sequence

from vqa.errors import EngineError
from vqa.jobs.engines.base import Task
from vqa.jobs.settings import SlurmSettings
from vqa.names import NAME_PATTERN

SCRIPT, ARRAY_SCRIPT, LOG = "sbatch.sh", "array.sh", "logs/slurm.log"

TRACE = """\
# The attempt belongs to the first Slurm job that starts it (requeued, it is the same job); any other leaves it alone.
handle=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
handle=${{handle:-$SLURM_JOB_ID}}
(set -o noclobber; echo "$handle" > {trace}) 2>/dev/null
[ "$(cat {trace})" = "$handle" ] || exit 75
"""

RUNNER = """\
# Given by env, so that the runner and what it starts carry these variables, and nothing else: they are found by them.
runner=(
{words}
)
"""

MEETING = """\
# The ranks meet on the first node, at the address that Slurm uses and a port below those that the kernel hands out.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_ADDR=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p')
export MASTER_ADDR=${{MASTER_ADDR:-$first}} MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))

# One runner a node. A runner that fails ends no other one: each has something to write down.
run() {{
    exec srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --cpus-per-task={cores} \\
        --kill-on-bad-exit=0 --wait=0 \\
        bash -c 'export NODE_RANK=$SLURM_NODEID; exec "$@"' runner "${{runner[@]}}"
}}
ask() {{ scancel --signal=TERM "$SLURM_JOB_ID"; }}
end() {{ kill -TERM "$child"; }}  # srun's way is to kill at once
"""

ALONE = """\
run() { exec "${runner[@]}"; }
ask() { kill -TERM "$child"; }
end() { kill -KILL "$child"; }
"""

FOLLOW = """\
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

ARRAY = """\
run_dirs=(
{run_dirs}
)
cd "${{run_dirs[SLURM_ARRAY_TASK_ID]}}" || exit
exec bash {script} >> {log} 2>&1
"""


def render(task: Task, settings: SlurmSettings) -> str:
    """The batch script of a task, to be submitted from its run directory.

    Raises:
        EngineError: a value does not fit on a line.
    """
    if not re.fullmatch(NAME_PATTERN, task.name):
        raise EngineError(f"{task.name!r} is no name for a Slurm job")
    use = task.resources
    meeting = MEETING.format(nodes=use.nodes, cores=use.cores) if use.nodes > 1 else ALONE
    blocks = [
        _head(f"Attempt {task.attempt} of job {task.job}.", SCRIPT),
        _directives(_options(task.name, task, settings)),
        f"cd {_word(str(task.run_dir))} || exit\n",
        TRACE.format(trace=_word(trace(task))),
        *(f"{line}\n" for line in settings.setup),
        RUNNER.format(words=_indented(_runner(task))),
        meeting,
        FOLLOW,
    ]
    return "\n".join(blocks)


def render_array(name: str, tasks: Sequence[Task], settings: SlurmSettings, limit: int = 0) -> str:
    """A script whose elements each go on as the batch script in one task's run directory.

    Args:
        limit: how many run at once; 0 for all.

    Raises:
        EngineError: a value does not fit on a line.
    """
    indices = f"0-{len(tasks) - 1}" + (f"%{limit}" if limit else "")
    options = [*_options(name, tasks[0], settings), f"--array={indices}"]
    blocks = [
        _head(f"{len(tasks)} runs of equal needs.", ARRAY_SCRIPT),
        _directives(options),
        ARRAY.format(
            run_dirs=_indented(_word(str(task.run_dir)) for task in tasks), script=SCRIPT, log=LOG
        ),
    ]
    return "\n".join(blocks)


def trace(task: Task) -> str:
    """The file in the run directory that says which Slurm job started this attempt."""
    return f".{task.name}.slurm"


def membership(task: Task) -> str:
    """The file in the run directory that says which array this attempt was made part of, and its index there."""
    return f".{task.name}.array"


def _head(what: str, script: str) -> str:
    return (
        f"#!/bin/bash\n# {what} By hand: go to the directory of this file, then `sbatch {script}`."
    )


def _options(name: str, task: Task, settings: SlurmSettings) -> Iterator[str]:
    """Options of `sbatch`, in the order of the script."""
    use = task.resources
    yield f"--job-name={name}"
    yield f"--output={LOG}"
    yield "--open-mode=append"
    yield "--export=ALL"
    for option in ("partition", "account", "qos"):
        value = getattr(settings, option)
        if value is not None:
            yield f"--{option}={shlex.quote(value)}"
    yield f"--nodes={use.nodes}"
    yield "--ntasks-per-node=1"
    yield f"--cpus-per-task={use.cores}"
    if use.gpus:
        yield settings.gpu_option.replace("{gpus}", str(use.gpus))
    if use.memory_mb:
        yield f"--mem={use.memory_mb}M"
    if use.time_minutes:
        yield f"--time={use.time_minutes}"
    yield "--requeue" if settings.requeue else "--no-requeue"
    yield f"--signal=B:TERM@{settings.signal_seconds}"
    yield from settings.options


def _directives(options: Iterator[str] | Sequence[str]) -> str:
    return "".join(f"#SBATCH {_line(option)}\n" for option in options)


def _runner(task: Task) -> Iterator[str]:
    """Lines that start the runner with its variables."""
    yield "env"
    for name, value in task.environment().items():
        yield f"{name}={_word(value)}"
    yield " ".join(_word(word) for word in task.command)


def _indented(lines: Iterator[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _word(value: str) -> str:
    """A value as one word of bash, on one line whatever is in it."""
    return shlex.quote(value) if value.isprintable() else f"$'{_escaped(value)}'"


def _escaped(value: str) -> str:
    plain = frozenset(map(ord, string.ascii_letters + string.digits + " /._-=:,;()[]"))
    return "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(value))


def _line(value: str) -> str:
    """A value that may stand on a line that is not bash's.

    Raises:
        EngineError: it has a line break or a control character, or is no Unicode.
    """
    if not value.isprintable():
        raise EngineError(
            f"{value!r} cannot stand in a batch script", fix="use printable characters on one line"
        )
    return value
