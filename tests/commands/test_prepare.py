"""`vqa prepare`: every source by name, the options that all share, and what is printed."""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from vqa.cli import main
from vqa.commands.prepare import SOURCES, configure, run
from vqa.data.store import Store
from vqa.errors import DataError, InputError


def call(*words: object) -> int:
    parser = argparse.ArgumentParser()
    configure(parser)
    return run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def easy(tmp_path) -> Path:
    """A small easy-VQA: four pictures in each split, three questions about each."""
    folder = tmp_path / "easy"
    for split in ("train", "test"):
        (folder / split / "images").mkdir(parents=True)
        rows = [["what colour is it?", "red", k % 4] for k in range(12)]
        (folder / split / "questions.json").write_text(json.dumps(rows))
        for k in range(4):
            Image.new("RGB", (6, 6), (k, 0, 0)).save(folder / split / "images" / f"{k}.png")
    return folder


def spoil(folder: Path) -> None:
    file = folder / "train" / "questions.json"
    rows = json.loads(file.read_text())
    rows[5][0] = ""
    file.write_text(json.dumps(rows))


def test_scenes_are_the_same_for_the_same_seed(tmp_path, capsys):
    words = ("scenes", "--images", 20, "--questions-per-image", 3, "--level", "easy")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert call(*words, "--seed", seed, "--to", tmp_path / name) == 0
    first, again, other = (Store.open(tmp_path / name) for name in "abc")
    assert first.manifest.splits == {"train": 48, "val": 6, "test": 6}
    assert (first.manifest.images, first.manifest.source) == (20, "scenes")
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint in capsys.readouterr().out


def test_sort_of_clevr(tmp_path):
    call("sort-of-clevr", "--train", 3, "--test", 1, "--to", tmp_path / "store")
    assert Store.open(tmp_path / "store").manifest.splits == {"train": 60, "test": 20}


def test_sort_of_clevr_in_codes(tmp_path):
    call("sort-of-clevr", "--train", 3, "--test", 0, "--questions", "codes", "--to", tmp_path / "s")
    asked = Store.open(tmp_path / "s").examples["question"]
    assert {len(question.split()) for question in asked} == {2}


@pytest.mark.parametrize(
    "words",
    [
        ("scenes", "--images", 0),
        ("scenes", "--images", 10, "--questions-per-image", 0),
        ("scenes", "--images", 10, "--level", "esay"),
        ("sort-of-clevr", "--train", -1),
        ("sort-of-clevr", "--train", 0, "--test", 0),
        ("easy-vqa", "/nowhere"),
        ("puzzle-vqa", "/nowhere"),
        ("scenes", "--images", 10, "--split-by-image", "train=0.8"),
        ("scenes", "--images", 10, "--split-by-image", "train"),
        ("scenes", "--images", 10, "--split-by-image", "train=x,test=0.5"),
        ("scenes", "--images", 10, "--split-by-image", "train=1.5,test=-0.5"),
        ("scenes", "--images", 10, "--split-by-image", "train=0.5,train=0.5"),
    ],
)
def test_wrong_options_make_nothing(tmp_path, words):
    with pytest.raises(InputError):
        call(*words, "--to", tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_json_is_all_that_is_printed(easy, tmp_path, capsys):
    spoil(easy)
    assert call("easy-vqa", easy, "--to", tmp_path / "store", "--max-bad", 1, "--json") == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert printed.err == ""
    assert facts["splits"] == {"train": 11, "test": 12}
    assert (facts["questions"], facts["images"], facts["rejected"]) == (23, 8, 1)
    assert facts["first_rejected"][0]["reason"] == "empty question"
    assert facts["rejected_file"] == str(tmp_path / "store" / "rejected.jsonl")
    assert facts["fingerprint"] == Store.open(tmp_path / "store").fingerprint
    assert facts["seconds"] > 0


def test_a_split_without_answers_is_said_to_have_none(tmp_path, capsys):
    one = {"image": "a.png", "question": "what is it?"}
    for name, rows in (("train", [one | {"answer": "red"}]), ("test", [one, one])):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    files = [f"{name}={tmp_path}/{name}.json" for name in ("train", "test")]
    words = ["table", *files, "--text-only", "--to"]
    assert call(*words, tmp_path / "a") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["train 1 questions", "test 2 questions without answers"]
    assert call(*words, tmp_path / "b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["without_answers"] == ["test"]


def test_the_report_lists_what_was_left_out(easy, tmp_path, capsys):
    spoil(easy)
    call("easy-vqa", easy, "--to", tmp_path / "store", "--max-bad", 3)
    out = capsys.readouterr().out
    assert "11 questions" in out
    assert "1 records left out" in out
    assert "train/questions.json, record 5: empty question" in out
    assert main(["inspect", str(tmp_path / "store")]) == 0
    told = "1 records were left out, see rejected.jsonl\n            1  empty question\n"
    assert told in capsys.readouterr().out


def test_a_bad_record_stops_by_default(easy, tmp_path, capsys):
    spoil(easy)
    with pytest.raises(DataError, match=r"^1 of 24 records .*record 5: empty question.*--max-bad"):
        call("easy-vqa", easy, "--to", tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["easy"]
    assert capsys.readouterr().out == ""


def test_every_bad_record_is_listed_on_request(easy, tmp_path, capsys):
    file = easy / "train" / "questions.json"
    file.write_text(json.dumps([["", "red", k % 4] for k in range(12)]))
    words = ("easy-vqa", easy, "--to", tmp_path / "store", "--max-bad", 3)
    with pytest.raises(
        DataError, match=r"\(and 11 more\) — correct them \(--json lists them all\)"
    ):
        call(*words)
    assert capsys.readouterr().out == ""
    with pytest.raises(DataError, match=r"^12 of 24 records"):
        call(*words, "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["error"].startswith("12 of 24 records cannot be used")
    assert [one["reason"] for one in shown["unusable"]] == ["empty question"] * 12
    assert not (tmp_path / "store").exists()


def test_a_split_that_is_drawn_anew_is_not_announced(tmp_path, capsys):
    Image.new("RGB", (6, 6)).save(tmp_path / "a.png")
    Image.new("RGB", (6, 6), "red").save(tmp_path / "b.png")
    rows = [
        {"image": f"{name}.png", "question": "what?", "answer": "red"} for name in ("a", "b") * 2
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    words = ("table", tmp_path / "rows.json", "--to")
    call(*words, tmp_path / "one")
    assert "is taken as split 'train'" in capsys.readouterr().err
    call(*words, tmp_path / "two", "--split-by-image", "train=0.5,test=0.5")
    assert "is taken as split" not in capsys.readouterr().err


def test_overwrite_link_and_text_only(easy, tmp_path):
    words = ("easy-vqa", easy, "--to", tmp_path / "store")
    call(*words)
    with pytest.raises(DataError, match=r"already exists — .*replace this store with --overwrite"):
        call(*words)
    call(*words, "--overwrite", "--link-images")
    image = Store.open(tmp_path / "store").images[0]["image"]
    assert image == {"bytes": None, "path": str(easy / "train/images/0.png")}
    for file in easy.rglob("*.png"):
        file.unlink()
    call(*words, "--overwrite", "--text-only")
    assert Store.open(tmp_path / "store").manifest.text_only


def test_split_by_image_works_with_every_source(easy, tmp_path):
    call("easy-vqa", easy, "--to", tmp_path / "store", "--split-by-image", "a=0.5,b=0.25,c=0.25")
    store = Store.open(tmp_path / "store")
    assert store.manifest.splits.keys() == {"a", "b", "c"}
    assert sorted(store.manifest.splits.values()) == [6, 6, 12]
    seen = [set(store.column("image_id", store.rows(split))) for split in "abc"]
    assert sum(len(images) for images in seen) == len(set.union(*seen)) == 8


@pytest.mark.parametrize(
    ("name", "fix"), [("scnes", "'scenes'"), ("easyvqa", "'easy-vqa'"), ("xyz", "known: scenes,")]
)
def test_an_unknown_source_is_told(name, fix):
    with pytest.raises(InputError, match=f"no source '{name}' — .*{fix}"):
        call(name, "--to", "x")


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_its_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        call(name, "--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for option in ("--to", "--max-bad", "--split-by-image", "--text-only", "--json"):
        assert option in out


@pytest.mark.parametrize("options", [("--max-bad", "-1"), ("--max-bad", "x"), ()])
def test_wrong_words_exit_with_2(options, capsys):
    with pytest.raises(SystemExit) as caught:
        call("scenes", *options)
    assert caught.value.code == 2
    assert "--to" in capsys.readouterr().err


def test_progress_moves_on_a_terminal(easy, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    call("easy-vqa", easy, "--to", tmp_path / "store")
    assert "24 records, 0 unusable" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_a_polite_kill_leaves_nothing(tmp_path):
    code = (
        "import sys; from vqa.cli import main; sys.exit(main(['prepare', 'scenes', "
        "'--images', '1000000', '--to', sys.argv[1]]))"
    )
    folder = tmp_path / "new"
    with subprocess.Popen([sys.executable, "-c", code, folder / "store"]) as process:
        while not list(folder.glob(".store.*/new/rejected.jsonl")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
    assert list(tmp_path.iterdir()) == []


def test_help_imports_nothing_heavy():
    """`vqa prepare --help` and the options of the sources that read files stay fast."""
    code = (
        "import sys, argparse, importlib\n"
        "from vqa.commands.prepare import SOURCES, configure\n"
        "configure(argparse.ArgumentParser())\n"
        "for name, entry in SOURCES.items():\n"
        "    module = importlib.import_module(f'vqa.data.sources.{entry.module}')\n"
        "    module.configure(argparse.ArgumentParser())\n"
        "print([m for m in ('torch', 'datasets', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
