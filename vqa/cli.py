"""The `vqa` command: parses words, imports the room that does the work, and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import vqa
from vqa.errors import VQAError, first_line
from vqa.formatting import printable
from vqa.garbage import collect_rarely
from vqa.lifetime import Ending, interruptible
from vqa.outputs import is_failing

COMMANDS = {
    "download": "fetch a published data set",
    "prepare": "make a store of a data set",
    "inspect": "say what is in a store",
    "cache": "say what is kept of a store, or delete it",
    "train": "train an experiment here and now",
    "submit": "queue an experiment to be trained",
    "jobs": "list jobs, or free the disk of ended ones",
    "show": "say all about a job",
    "logs": "print or follow what a job writes",
    "cancel": "have jobs ended",
    "resume": "queue ended, unfinished jobs again",
    "evaluate": "score a trained model on a split",
    "score": "score a result file, without a model",
    "ablate": "train a grid of experiments",
    "compare": "compare runs or an ablation, with paired statistics",
    "report": "make a W&B report and view of an ablation",
    "ask": "ask a trained model about a picture",
    "export": "copy a trained model out of its run",
    "sync": "send or resend runs to W&B",
    "upload": "send a store to a server, or delete one there",
    "serve": "run the service: HTTP interface, pages, dispatcher",
    "token": "say who may use the HTTP interface",
    "list": "say which bricks, protocols, trackers, data sets, recipes and stores there are",
}

AT_HOME = re.compile(r"(?:^|(?<=[=,]))~(?=/)")
"""One's home in a word. A shell reads it at the beginning, but not in `--to=~/x` or `key=~/x`."""


def program() -> int:
    """The `vqa` command in a process of its own."""
    ending = Ending()
    collect_rarely()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack letters of what is printed
    return ending.at(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 1 anything else."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0].startswith("-") or words[0] not in COMMANDS:
        return _outline(words)
    try:
        code = _run(words[0], words[1:])
        print(end="", flush=True)  # a full disk behind it shows here at the latest
        return code
    except VQAError as error:
        said = printable(str(error), keep="\n")  # messages quote what stands in files
        print(f"vqa: {said}", file=sys.stderr)
        return 1 if is_failing(error) else error.exit_code
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:  # a path that cannot be made, read or written
        failing = is_failing(error) or isinstance(error, BlockingIOError)
        if error.filename is None and not failing:
            raise
        where = _output() if error.filename is None else f"{error.filename}: "
        print(f"vqa: {where}{(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1 if failing else 2
    except sqlite3.Error as error:
        from vqa.jobs.home import Home

        queue = Home.here().queue_file
        print(f"vqa: {queue}: the queue cannot be used: {error} (of SQLite)", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"vqa: no memory is left here: {first_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vqa: interrupted", file=sys.stderr)
        return 1


def _output() -> str:
    """Names the output, ready to stand before a message, where it is what cannot be written."""
    try:
        print(end="", flush=True)
    except OSError:
        _drop_output()
        return "standard output: "
    return ""


def _drop_output() -> None:
    """Let what is printed and cannot be written go, or the interpreter fails over it again as it ends."""
    with suppress(OSError):  # there is no such file where a caller of `main` reads the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(name: str, words: Sequence[str]) -> int:
    """Parse and run one command; options may stand anywhere among its arguments."""
    module = importlib.import_module(f"vqa.commands.{name}")
    summary = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"vqa {name}", description=summary[:1].upper() + summary[1:] + "."
    )
    module.configure(parser)
    words = [AT_HOME.sub(lambda _: str(Path.home()), word) for word in words]
    try:
        args = parser.parse_intermixed_args(words)
    except TypeError:  # a command with commands of its own
        args = parser.parse_args(words)
    with interruptible():
        return int(module.run(args))


def _outline(words: Sequence[str]) -> int:
    """Help, the version, or the nearest command to one that does not exist."""
    parser = argparse.ArgumentParser(
        prog="vqa",
        description="Train and evaluate visual question answering.",
        epilog="`vqa COMMAND --help` tells a command's arguments.",
    )
    parser.add_argument("--version", action="version", version=f"vqa {vqa.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    if words and not words[0].startswith("-"):
        from vqa.names import did_you_mean

        hint = did_you_mean(words[0], list(COMMANDS))
        print(f"vqa: no command {words[0]!r}{hint}", file=sys.stderr)
        return 2
    parser.parse_args(words)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(program())
