"""Questions as numbers, kept: the same as made anew, and made anew whenever anything differs."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from vqa.data.cache import texts as module
from vqa.data.cache.place import cached, folders, prune, workplace
from vqa.data.cache.texts import kept_table, learnt_texts
from vqa.data.store import Store
from vqa.data.table import QuestionTable, arrays_of, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer


@pytest.fixture
def store(scenes_store: Path, tmp_path: Path) -> Store:
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return Store.open(tmp_path / "store")


def table(store: Store, rows: np.ndarray, max_answers: int = 1000) -> QuestionTable:
    return kept_table(store, rows, *learnt_texts(store, rows, 1, max_answers))


def same(one: QuestionTable, other: QuestionTable) -> bool:
    mine, theirs = arrays_of(one), arrays_of(other)
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and np.array_equal(mine[name], theirs[name])
        for name in mine
    )


def files(store: Store) -> list[Path]:
    return sorted((store.path / "cache").glob("*.safetensors"))


def test_what_is_kept_is_what_was_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = store.rows("train")
    made = table(store, rows)
    choices = chain.from_iterable(store.column("choices", rows))
    tokenizer = QuestionTokenizer.build([*store.column("question", rows), *choices])
    vocabulary = AnswerVocabulary.build(store.column("answers", rows), 1000)
    assert same(made, build_table(store, rows, tokenizer, vocabulary))
    assert made.choices is not None
    monkeypatch.setattr(module, "build_table", pytest.fail)
    monkeypatch.setattr(QuestionTokenizer, "build", pytest.fail)
    assert same(table(store, rows), made)
    kept_tokenizer, kept_vocabulary = learnt_texts(store, rows, 1, 1000)
    assert kept_tokenizer.words == tokenizer.words
    assert kept_vocabulary == vocabulary
    assert kept_tokenizer.to_text() == tokenizer.to_text()


def test_another_split_share_or_vocabulary_has_another_file(store: Store) -> None:
    rows = store.rows("train")
    table(store, rows)
    assert len(files(store)) == 2
    table(store, rows[:-1])
    assert len(files(store)) == 4
    table(store, store.rows("val"))
    assert len(files(store)) == 6
    assert table(store, rows, max_answers=3).answer_id.max() == 2
    assert len(files(store)) == 8
    kept_table(store, rows, *learnt_texts(store, rows, 1, 1000, rules=1))
    assert len(files(store)) == 10


@pytest.mark.parametrize("where", [0.0, 0.5, 0.999, None])
def test_a_damaged_file_is_made_anew_and_says_so(
    store: Store, capsys: pytest.CaptureFixture[str], where: float | None
) -> None:
    rows = store.rows("train")
    made = table(store, rows)
    for file in files(store):
        data = bytearray(file.read_bytes())
        if where is None:
            data = data[: len(data) // 2]
        else:
            data[int(where * len(data))] ^= 0x55
        file.write_bytes(data)
    assert same(table(store, rows), made)
    assert capsys.readouterr().err.count("it is made anew") == 2
    assert same(table(store, rows), made)
    assert capsys.readouterr().err == ""


def test_nothing_fails_where_nothing_can_be_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.path / "cache").write_text("in the way")
    assert len(table(store, store.rows("train"))) == 160
    assert "not kept" in capsys.readouterr().err


def test_two_that_make_the_same_at_once_both_keep_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As processes of two containers may, whose numbers are the same."""
    rows, together, replace = store.rows("train"), threading.Barrier(2, timeout=120), Path.replace

    def replaced(path: Path, target: Path) -> Path:
        together.wait()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(table, (store, store), (rows, rows))
    assert same(one, other)
    assert capsys.readouterr().err == ""
    assert [path.name[:6] for path in (store.path / "cache").iterdir()].count("texts-") == 1
    assert {file.stat().st_mode & 0o777 for file in files(store)} == {0o644}


def test_a_home_that_may_not_be_looked_into_keeps_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    stat = Path.stat

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path.is_relative_to(tmp_path / "home"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert len(table(store, store.rows("train"))) == 160
    assert {one.path.parent for one in cached(store)} == {store.path / "cache"}
    assert len(prune(store)) == 2


@pytest.mark.parametrize("closed", [".", "features-1"])
def test_a_cache_of_somebody_s_that_may_not_be_looked_into_stops_nobody(
    closed: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who makes one with a umask of 077 beside a store of many."""
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    beside, home = folders(store)
    (beside / "features-1").mkdir(parents=True)
    access, iterdir = os.access, Path.iterdir

    def within(path: Path) -> bool:
        return beside / closed in (path, *path.parents)

    def refused(path: Path) -> Iterator[Path]:
        if within(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    monkeypatch.setattr(os, "access", lambda path, how: not within(path) and access(path, how))
    assert workplace(store, "features-1") == home / "features-1"
    assert [one.path.name for one in cached(store)] == (["features-1"] if closed != "." else [])
