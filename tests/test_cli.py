"""The `vqa` command: its help, what it says of a wrong word, and its exit codes."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.cli import COMMANDS, main
from vqa.errors import JobError
from vqa.jobs.home import Home


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_an_unknown_command_exits_2_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert f"usage: vqa {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["submit", "train --run r", "ablate", "prepare features"])
def test_what_may_be_left_out_is_not_asked_for(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(name.split())
    assert exit_.value.code == 2
    missing = capsys.readouterr().err.strip().rpartition("required: ")[2]
    assert missing.lower() in ("config", "ablation")


@pytest.mark.parametrize(
    "words",
    [
        ["train", "missing.yaml", "--run", "r"],
        ["inspect", "nowhere"],
        ["evaluate", "nowhere"],
        ["ask", "nowhere", "picture.png", "what?"],
        ["export", "nowhere", "--to", "there"],
        ["compare", "nowhere"],
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("vqa: ")
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_messages_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "p.jsonl"
    record = {"question_id": "\x1b[2J", "image_id": "i", "answer": "x"}
    file.write_text(json.dumps(record))
    assert main(["score", "--results", str(file), "--protocol", "exact/1"]) == 2
    message = capsys.readouterr().err
    assert "\ufffd[2J" in message
    assert "\x1b" not in message


def test_help_and_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, vqa, vqa.cli, importlib;"
        "[importlib.import_module(f'vqa.commands.{name}') for name in vqa.cli.COMMANDS];"
        "heavy = ('torch', 'numpy', 'pydantic', 'datasets', 'transformers', 'wandb', 'scipy');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_path_that_cannot_be_made_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path, experiment
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "experiment.yaml").write_text(experiment().to_yaml())
    words = ["train", str(tmp_path / "experiment.yaml"), "--run", str(tmp_path / "file" / "run")]
    assert main(words) == 2
    message = capsys.readouterr().err.strip()
    assert "not a directory" in message
    assert len(message.splitlines()) == 1


SELF = "import sys; from vqa.cli import program; sys.exit(program())"


@pytest.mark.parametrize("words", [["list", "fusions"], ["list", "datasets"]])
def test_an_output_that_cannot_be_written_is_one_line_and_exit_1(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SELF, *words], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if not line.startswith("vqa: parameters")]
    assert said == ["vqa: standard output: no space left on device"]


def test_who_stops_reading_is_told_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-c", SELF, "list", "datasets"]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_letters_that_a_terminal_lacks_are_replaced() -> None:
    words = [sys.executable, "-c", SELF, "list", "fusions", "--filter", "gated"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "gated_tanh" in done.stdout


@pytest.mark.parametrize("words", [["--to=~/a"], ["--to", "~/a"]])
def test_home_is_read_where_a_shell_leaves_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "scenes", "--images", "10", *words]) == 0
    assert (tmp_path / "home" / "a" / "store.json").is_file()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.EAGAIN]
)
def test_a_disk_that_fails_is_one_line_whether_a_file_is_named_or_not(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = os.strerror(number).lower()
    for name, said in ((None, f"vqa: {words}\n"), ("a/file", f"vqa: a/file: {words}\n")):
        error = OSError(number, os.strerror(number), name)
        monkeypatch.setattr("vqa.cli._run", Mock(side_effect=error))
        assert main(["list"]) == 1
        assert capsys.readouterr().err == said


@pytest.mark.parametrize(("number", "code"), [(errno.EIO, 1), (errno.EMFILE, 1), (errno.EACCES, 2)])
def test_a_file_that_cannot_be_read_by_the_machines_fault_is_not_the_users(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "store.json").touch()
    fault = OSError(number, os.strerror(number))
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=fault))
    assert main(["inspect", str(tmp_path)]) == code


@pytest.mark.parametrize(("kind", "code"), [("disk-full", 1), ("quota", 2)])
def test_a_full_disk_is_not_the_users_on_a_server_either(
    kind: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.cli._run", Mock(side_effect=JobError("no room", kind=kind)))
    assert main(["submit", "a.yaml"]) == code


def test_a_polite_kill_cleans_up_in_every_command(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from vqa import cli
from vqa.commands import list
from vqa.outputs import replacing

def run(args):
    with replacing(Path("report")):
        print("begun", flush=True)
        time.sleep(60)

list.run = run
sys.exit(cli.main(["list", "fusions"]))
"""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=pipe, stderr=pipe, cwd=tmp_path, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.terminate()
        assert process.communicate()[1] == "vqa: interrupted\n"
    assert (process.returncode, list(tmp_path.iterdir())) == (1, [])


def test_a_want_of_memory_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.cli._run", Mock(side_effect=MemoryError("4 GB wanted")))
    assert main(["ask", "run", "a.png", "what?"]) == 1
    assert capsys.readouterr().err == "vqa: no memory is left here: 4 GB wanted\n"


def test_a_queue_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path))
    monkeypatch.setattr("vqa.cli._run", Mock(side_effect=sqlite3.OperationalError("readonly")))
    assert main(["jobs"]) == 1
    where = Home.here().queue_file
    assert (
        capsys.readouterr().err == f"vqa: {where}: the queue cannot be used: readonly (of SQLite)\n"
    )


def test_the_program_collects_cycles_rarely_and_a_caller_of_main_keeps_its_way() -> None:
    code = """
import gc, sys, vqa.cli
before = gc.get_threshold()
assert vqa.cli.main([]) == 0 and gc.get_threshold() == before
vqa.cli.main = lambda: 5 if gc.get_threshold() > before else 1
sys.exit(vqa.cli.program())
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 5
