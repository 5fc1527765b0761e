"""What the documents say can be followed: links lead somewhere, commands and settings exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.cli import main
from vqa.commands.prepare import BESIDE, SOURCES
from vqa.config import load_experiment
from vqa.errors import VQAError

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TOLD = [one for one in DOCUMENTS if one.name != "CHANGELOG.md"]
"""Those that tell what is; the other tells what was."""
TO_COME = "vqa/model/fusion/gated.py"
"""The reader is told to make it."""
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?<![\w./-])((?:configs|scripts|docker|tests|docs|vqa)/[\w./-]*\w)")
ENDS = {";", "|", "&&", "||", "&"}


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def leads(link: str, text: str, place: Path) -> bool:
    """Whether a link of a document in `place` leads to a file, and to a heading of it."""
    name, _, anchor = link.partition("#")
    if name.startswith(("http://", "https://")):
        return True
    if name and not (place / name).exists():
        return False
    return not anchor or anchor in anchors((place / name).read_text("utf-8") if name else text)


def broken(text: str, place: Path) -> list[str]:
    """The links of a document in `place` that lead nowhere."""
    return [link for link in LINK.findall(FENCE.sub("", text)) if not leads(link, text, place)]


def in_blocks(text: str) -> list[str]:
    """The lines of a document's blocks of commands, each with its continuations."""
    blocks = [block for language, block in FENCE.findall(text) if language == "bash"]
    return [line for one in blocks for line in one.replace("\\\n", " ").splitlines()]


def in_prose(text: str) -> list[str]:
    """What a document has in backquotes."""
    return [one.replace("\n", " ") for one in INLINE.findall(FENCE.sub("", text))]


def commands(lines: list[str]) -> Iterator[list[str]]:
    """The words of every `vqa …` in these lines, without `vqa`."""
    for line in lines:
        if not re.search(r"\bvqa [a-z]", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = [*lexer, ";"]
        while words:
            end = next(at for at, word in enumerate(words) if word in ENDS)
            command, words = words[:end], words[end + 1 :]
            if "vqa" in command[:-1]:
                yield command[command.index("vqa") + 1 :]


def options(words: list[str], capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The options of a command, as its help tells them."""
    own = words[:2] if words[0] == "token" or {*words[1:2]} & {*SOURCES, *BESIDE} else words[:1]
    with pytest.raises(SystemExit):
        main([*own, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda one: one.name)
def test_links_lead_somewhere(file: Path) -> None:
    assert broken(file.read_text("utf-8"), file.parent) == []


def test_a_link_to_nowhere_is_found() -> None:
    text = "# One `two`, three\n[a](#one-two-three) [b](#four) [c](missing.md) [d](README.md#install) [e](README.md#no)"
    assert broken(text, ROOT) == ["#four", "missing.md", "README.md#no"]


@pytest.mark.parametrize("file", TOLD, ids=lambda one: one.name)
def test_files_of_the_project_that_are_named_exist(file: Path) -> None:
    named = {*FILE.findall(file.read_text("utf-8"))} - {TO_COME}
    assert [one for one in sorted(named) if not (ROOT / one).exists()] == []


@pytest.mark.parametrize("file", TOLD, ids=lambda one: one.name)
def test_options_exist(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = file.read_text("utf-8")
    for words in commands(in_blocks(text) + in_prose(text)):
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options(words, capsys), f"vqa {shlex.join(words)}"


@pytest.mark.parametrize("file", TOLD, ids=lambda one: one.name)
def test_commands_of_blocks_are_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in commands(in_blocks(file.read_text("utf-8"))):
        monkeypatch.setattr(f"vqa.commands.{words[0]}.run", Mock(return_value=0))
        assert main(words) == 0, f"vqa {shlex.join(words)}"


@pytest.mark.parametrize("file", TOLD, ids=lambda one: one.name)
def test_settings_of_experiments_exist(file: Path) -> None:
    text = file.read_text("utf-8")
    for words in commands(in_blocks(text) + in_prose(text)):
        changes = [word for word in words[1:] if re.match(r"[a-z]+\.[a-z_.]+=", word)]
        if words[0] in ("train", "submit") and changes:
            load_experiment(ROOT / "configs/experiments/scenes.yaml", changes)


def test_a_command_that_does_not_exist_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    block = "```bash\nssh box -- vqa train CONFIG \\\n    --runs R data.stores=S; vqa jobs # vqa no\n```"
    said = f"{block}\n`vqa show --no`"
    first, second, third = commands(in_blocks(said) + in_prose(said))
    assert first == ["train", "CONFIG", "--runs", "R", "data.stores=S"]
    assert (second, third) == (["jobs"], ["show", "--no"])
    assert "--run" in options(first, capsys)
    assert "--runs" not in options(first, capsys)
    with pytest.raises(SystemExit):
        main(first)
    with pytest.raises(VQAError, match="did you mean"):
        load_experiment(ROOT / "configs/experiments/scenes.yaml", first[-1:])
