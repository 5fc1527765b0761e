"""The `slurm` engine: batch jobs of a Slurm cluster, through its own commands.

The run directory must be on a disk that the nodes share. A job's name is its task's, so that `squeue` finds it again;
what `squeue` has forgotten has left its number in the run directory as it started. `sacct` is not asked: it needs a
database, and what the controller does not know does not run.

Source: https://slurm.schedmd.com/sbatch.html, squeue.html, scancel.html
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vqa.errors import EngineError
from vqa.jobs.engines.base import Capacity, Standing, Task
from vqa.jobs.engines.slurm_script import (
    ARRAY_SCRIPT,
    LOG,
    SCRIPT,
    membership,
    render,
    render_array,
    trace,
)
from vqa.jobs.settings import SlurmSettings
from vqa.training.disk import write_atomic

COMMAND_SECONDS, ELEMENT_SECONDS = 30.0, 3.0

WAITS = re.compile(r"PENDING|CONFIGURING|REQUEUE.*|RESV_DEL_HOLD|SPECIAL_EXIT")
ENDS = re.compile(
    r"BOOT_FAIL|CANCELLED|COMPLETED|DEADLINE|FAILED|LAUNCH_FAILED|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|"
    r"RECONFIG_FAIL|REVOKED|TIMEOUT"
)
"""In every other state, a process may be alive."""

UNREACHABLE = re.compile(
    r"unable to contact|timed out|connection (refused|reset|failure)|connect failure|zero bytes|"
    r"temporarily|transport endpoint|munge|configuration source|i/o error writing|MaxSubmitJob",
    re.IGNORECASE,
)
"""Complaints that the same command may not meet later; the last is a limit on the jobs that wait."""

TOO_MANY = re.compile(r"MaxSubmitJob", re.IGNORECASE)

GONE = re.compile(
    r"invalid job id|job \S+ not found|already complet|invalid job state", re.IGNORECASE
)

HINTS = (
    (r"partition", "change slurm.partition"),
    (r"account", "change slurm.account"),
    (r"qos", "change slurm.qos"),
    (r"gres|gpu|tres", "change slurm.gpu_option to what this cluster calls its GPUs"),
    (r"unrecognized option|invalid option|ambiguous", "change slurm.options"),
    (r"array", "raise Slurm's MaxArraySize, or submit fewer runs at once;"),
    (
        r"time limit|node configuration|node count|memory|cpu",
        "ask for less, or change slurm.partition",
    ),
)


class Silent(EngineError):
    """A command of Slurm did not come back in time."""


class SlurmEngine:
    """An `Engine` on Slurm: see the module. A handle is Slurm's number of the job, `<number>_<index>` in an array."""

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings

    def submit(self, task: Task) -> str:
        """See `Engine`. The script is kept in the run directory as sbatch.sh."""
        script = render(task, self._settings)
        known = _known(task, _numbers)
        return known or _sbatch(task.run_dir, SCRIPT, script, task.name)

    def submit_array(self, tasks: Sequence[Task], limit: int = 0) -> list[str]:
        """See `ArrayEngine`. Which array a task was made part of stands in its run directory before that is submitted.

        Args:
            limit: how many run at once; 0 for all.

        Raises:
            EngineError: see `Engine`; or the tasks do not fit together.
        """
        if len({task.resources for task in tasks}) != 1 or tasks[0].resources.nodes > 1:
            raise EngineError("the runs of an array must have equal needs, on one node each")
        numbers = _numbers()
        known = [_known(task, lambda: numbers) for task in tasks]
        new = [task for task, handle in zip(tasks, known, strict=True) if handle is None]
        made = iter(self._array(new, limit) if new else [])
        return [handle or next(made) for handle in known]

    def _array(self, tasks: Sequence[Task], limit: int) -> list[str]:
        name = _array_name(tasks)
        script = render_array(name, tasks, self._settings, limit)
        for index, task in enumerate(tasks):
            _write(task.run_dir, SCRIPT, render(task, self._settings))
            _write(task.run_dir, membership(task), f"{name} {index}\n")
        try:
            number = _sbatch(tasks[0].run_dir, ARRAY_SCRIPT, script, name)
        except EngineError as error:
            if TOO_MANY.search(error.what):  # a smaller one may be taken at once
                raise EngineError(error.what, where=error.where, fix=error.fix) from None
            raise
        return [f"{number}_{index}" for index in range(len(tasks))]

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """See `Engine`: one `squeue`, and `scontrol` for what that does not list."""
        try:
            listed = _listed() if handles else {}
            return {handle: listed.get(handle) or standing_of(_state(handle)) for handle in handles}
        except EngineError as error:
            if not error.temporary:
                raise
            return dict.fromkeys(handles, Standing.UNKNOWN)

    def cancel(self, handle: str, *, force: bool) -> None:
        """See `Engine`. The batch script passes on the signal that it gets.

        Slurm's own way to kill (`scancel`, with or without `--signal=KILL`) asks first and waits for its KillWait.
        What waits gets no signal and no filter such as `--state`: the one hangs, the other takes a whole array.
        """
        state = _state(handle)
        if state == "RUNNING":
            _signal(handle, "USR2" if force else "TERM")
        elif state == "SUSPENDED" or standing_of(state) is Standing.PENDING:
            _scancel(handle)

    def logs(self, task: Task) -> list[Path]:
        """What the batch script, and Slurm itself, said."""
        return [task.run_dir / LOG]

    def capacity(self) -> Capacity | None:
        """None: Slurm keeps jobs waiting until there is room."""
        return None


def standing_of(state: str) -> Standing:
    """What a state of Slurm means, by its long name."""
    if WAITS.fullmatch(state):
        return Standing.PENDING
    return Standing.ENDED if ENDS.fullmatch(state) else Standing.RUNNING


def _listed() -> dict[str, Standing]:
    """This user's jobs, those that ended some minutes ago included."""
    lines = _run("squeue", "--me", "--states=all", "--array", "--noheader", "--format=%i %T")
    pairs = (line.split() for line in lines.splitlines())
    return {number: standing_of(state) for number, state in pairs}


def _state(handle: str) -> str:
    """What the controller says of one job; of one that it has forgotten, COMPLETED."""
    try:
        record = _run("scontrol", "--oneliner", "show", "job", handle)
    except EngineError as error:
        if GONE.search(error.what):
            return "COMPLETED"
        raise
    state = re.search(r"\bJobState=(\w+)", record)
    return state[1] if state else "COMPLETED"


def _numbers() -> dict[str, str]:
    """The first job of every name, an array as a whole."""
    lines = _run("squeue", "--me", "--states=all", "--noheader", "--format=%F %j")
    pairs = [line.split(maxsplit=1) for line in lines.splitlines() if " " in line.strip()]
    return {name: number for number, name in sorted(pairs, key=lambda pair: -int(pair[0]))}


def _known(task: Task, numbers: Callable[[], Mapping[str, str]]) -> str | None:
    """The handle of an attempt that was submitted before, alone or in an array.

    Args:
        numbers: the jobs that Slurm knows, by name; asked where the run directory does not say.
    """
    started = _said(task, trace(task))
    if started:
        return started
    listed = numbers()
    name, _, index = (_said(task, membership(task)) or "").partition(" ")
    return f"{listed[name]}_{index}" if name in listed else listed.get(task.name)


def _said(task: Task, file: str) -> str | None:
    """What a file of the run directory says of this attempt: the job that has started it, as its script wrote it, or
    the array that it belongs to."""
    try:
        return (task.run_dir / file).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _array_name(tasks: Sequence[Task]) -> str:
    names = "\n".join(task.name for task in tasks)
    return f"vqa-array-{hashlib.sha256(names.encode()).hexdigest()[:16]}"


def _sbatch(run_dir: Path, script: str, text: str, name: str) -> str:
    """Submit from the run directory, so that no path stands in the options.

    The name is given again because a variable such as SBATCH_JOB_NAME would win over the script's.
    """
    _write(run_dir, script, text)
    answer = _run("sbatch", "--parsable", f"--job-name={name}", script, cwd=run_dir)
    return answer.strip().partition(";")[0]


def _write(run_dir: Path, script: str, text: str) -> None:
    try:
        (run_dir / LOG).parent.mkdir(exist_ok=True)
        write_atomic(run_dir / script, text)
    except OSError as error:
        raise EngineError(f"cannot write: {error.strerror}", where=str(run_dir)) from None


def _signal(handle: str, name: str) -> None:
    """Signal the batch script.

    An element of an array that has others waiting gets it, but `scancel` is told that it did not, sleeps for five
    seconds and repeats it, ten times: it is stopped before.
    """
    try:
        _scancel(
            "--batch",
            f"--signal={name}",
            handle,
            seconds=ELEMENT_SECONDS if "_" in handle else None,
        )
    except Silent:
        if "_" not in handle:
            raise


def _scancel(*words: str, seconds: float | None = None) -> None:
    try:
        _run("scancel", *words, seconds=seconds)
    except EngineError as error:
        if not GONE.search(error.what):
            raise


def _run(command: str, *words: str, cwd: Path | None = None, seconds: float | None = None) -> str:
    """What one of Slurm's commands printed.

    Raises:
        EngineError: it is missing, does not answer, or refuses.
    """
    if shutil.which(command) is None:
        raise EngineError(
            f"there is no `{command}` here",
            fix="run this where Slurm's commands are, on a login node, or choose another engine",
        )
    seconds = seconds or COMMAND_SECONDS
    try:
        done = subprocess.run(
            [command, *words],
            cwd=cwd,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Silent(f"`{command}` did not answer in {seconds:g} s", temporary=True) from None
    except OSError as error:
        raise EngineError(f"`{command}` cannot be started ({error})") from None
    if done.returncode < 0:
        raise EngineError(f"`{command}` was killed by signal {-done.returncode}", temporary=True)
    if done.returncode:
        raise _refusal(command, done.stderr or done.stdout)
    return done.stdout


def _environment() -> dict[str, str]:
    """Without what a surrounding Slurm job, or a user's taste in listings, would change."""
    private = re.compile(r"SLURM_(?!CONF$|CLUSTERS$)|SQUEUE_|SCANCEL_")
    return {name: value for name, value in os.environ.items() if not private.match(name)}


def _refusal(command: str, complaint: str) -> EngineError:
    """Slurm's own words, on one line, and what to change."""
    lines = (re.sub(r"^\w+: (error: )?", "", line.strip()) for line in complaint.splitlines())
    words = "; ".join(line for line in lines if line) or "it failed without a word"
    if UNREACHABLE.search(words):
        return EngineError(words, where=command, temporary=True)
    hints = (hint for sign, hint in HINTS if re.search(sign, words, re.IGNORECASE))
    hint = next(hints, None) if command == "sbatch" else None
    return EngineError(words, where=command, fix=f"{hint} in settings.yaml" if hint else "")
