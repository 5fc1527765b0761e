"""`vqa compare` on folders, runs and groups: what it finds, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import BASE, QUICK, InstantService, known, make_folder
from vqa.ablation.gather import gather, is_collection
from vqa.ablation.members import find_members
from vqa.ablation.study import make_study
from vqa.commands import compare
from vqa.errors import InputError, RunError
from vqa.jobs.home import Home
from vqa.jobs.views import SubmitRequest


def run(*arguments: Any) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    compare.configure(parser)
    return compare.run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command_on_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {form: tmp_path / f"out.{form}" for form in ("html", "csv", "markdown", "latex")}
    options = [word for form, file in files.items() for word in (f"--{form}", file)]
    assert run(folder, "--resamples", 300, "--baseline", "multiply-none", *options) == 0
    text = capsys.readouterr().out
    assert "multiply-soft beats multiply-none by " in text
    assert all(file.stat().st_size for file in files.values())
    assert run(folder, "--resamples", 300, "--json", "--no-chance") == 0
    shown = json.loads(capsys.readouterr().out)
    assert "chance" not in {one["name"] for one in shown["variants"]}


def test_the_command_on_single_runs_makes_a_page_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, *_ = sorted(folder.iterdir())
    assert run(a, b, "--resamples", 300, "--html", tmp_path / "page.html") == 0
    assert str(b) in capsys.readouterr().out
    assert (
        run("--variant", f"x={a}", "--variant", f"y={b}", "--baseline", "y", "--resamples", 300)
        == 0
    )
    assert "between x and y" in capsys.readouterr().out


@pytest.mark.parametrize("named", [False, True])
def test_pairs_and_a_page_say_a_difference_in_the_same_direction(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    a, b, *_ = sorted(folder.iterdir())
    words = ["--variant", f"b={b}", a] if named else [a, b]
    found = []
    for more in ([], ["--html", tmp_path / "page.html"]):
        assert run(*words, "--resamples", 300, "--json", *more) == 0
        [pair] = json.loads(capsys.readouterr().out)["comparisons"]
        found.append([pair[name] for name in ("a", "b", "difference", "low", "high", "p_value")])
        assert found[-1][:2] == ["b" if named else str(b), str(a)]
    assert found[0] == found[1]


def test_two_folders_keep_their_variants_apart(folder: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", known, seeds=1, baselines=[])
    found = gather([str(folder), str(other)], {}, None)
    study = make_study(found.title, found.members, found.places, QUICK)
    assert f"{other}:concat-none" in {row.name for row in study.rows}
    assert not study.axes


def test_names_that_are_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    with pytest.raises(
        RunError, match="no run, folder or group 'nothing'; no group was submitted yet"
    ):
        run("nothing")
    with pytest.raises(RunError, match="holds no run"):
        run(tmp_path, "--baseline", "x")
    with pytest.raises(InputError, match="at least 100"):
        run("nothing", "--resamples", 3)
    for options in ([], ["--html", tmp_path / "page.html"]):
        with pytest.raises(InputError, match="vqa compare: nothing to compare — give a group"):
            run(*options)
        with pytest.raises(InputError, match="no protocol 'foo' — one of vqa-accuracy"):
            run("nothing", "--protocol", "foo", *options)
    assert not (tmp_path / "home").exists()


def test_a_folder_without_runs_does_not_hide_a_group_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home").make()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo" / "notes").mkdir(parents=True)
    service = InstantService(home, lambda _, __: "failed")
    service.submit(SubmitRequest(experiment=BASE, name="one", group="demo"))
    members = find_members("demo", home)
    assert members is not None
    assert len(members) == 1
    assert is_collection(Path("demo"))
    with pytest.raises(RunError, match="holds no run"):
        gather([str(tmp_path / "demo" / "notes")], {}, home)
