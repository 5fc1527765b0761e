"""Tokens: made once, kept as hashes, worthless at once when revoked."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.errors import InputError, JobError, VQAError
from vqa.jobs.home import Home
from vqa.server import tokens
from vqa.server.tokens import Tokens, ensure_owner


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path / "home").make()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_only_a_hash_is_kept_and_nobody_else_may_read_it(home: Home) -> None:
    text = tokens.add(home, "ann", "submit")
    file = home.path / "tokens.json"
    assert text not in file.read_text()
    assert mode(file) == 0o600
    found = Tokens(home).find(text)
    assert found is not None
    assert (found.name, found.scope) == ("ann", "submit")
    for other in ("", text[:-1], text + "x", text.upper(), found.sha256, "é\udcff"):
        assert Tokens(home).find(other) is None


def test_the_owner_gets_one_and_keeps_it(home: Home) -> None:
    file = ensure_owner(home)
    text = file.read_text().strip()
    assert mode(file) == 0o600
    found = Tokens(home).find(text)
    assert found is not None
    assert found.scope == "admin"
    file.chmod(0o644)
    assert ensure_owner(home).read_text().strip() == text
    assert mode(file) == 0o600


def test_a_full_disk_leaves_the_tokens_as_they_are(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tokens.add(home, "ann", "submit")
    before = sorted(home.path.iterdir())
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left") as caught:
        tokens.add(home, "ben", "read")
    assert caught.value.filename == str(home.path / "tokens.json")
    assert sorted(home.path.iterdir()) == before
    assert Tokens(home).find(text) is not None


def test_nobody_else_may_ever_read_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, modes = tmp_path / "token", list[int]()
    file.touch(mode=0o644)
    monkeypatch.setattr(os, "fsync", lambda opened: modes.append(os.fstat(opened).st_mode & 0o777))
    tokens.write_private(file, "secret")
    assert (modes[0], mode(file), file.read_text()) == (0o600, 0o600, "secret")


def test_an_owner_whose_token_was_revoked_gets_another(home: Home) -> None:
    text = ensure_owner(home).read_text().strip()
    (first,) = tokens.list(home)
    tokens.revoke(home, first.name)
    again = ensure_owner(home).read_text().strip()
    assert again != text
    assert Tokens(home).find(text) is None
    assert Tokens(home).find(again) is not None


def test_revoking_counts_at_once(home: Home) -> None:
    text, known = tokens.add(home, "ann", "read"), Tokens(home)
    assert known.find(text)
    assert tokens.revoke(home, "ann").revoked
    assert known.find(text) is None
    with pytest.raises(JobError, match="no valid token 'ann'"):
        tokens.revoke(home, "ann")
    assert tokens.add(home, "ann", "admin") != text
    assert known.find(text) is None


def test_names_and_scopes(home: Home) -> None:
    tokens.add(home, "ann", "read")
    with pytest.raises(JobError, match="there is a token 'ann'"):
        tokens.add(home, "ann", "admin")
    for name in ("", "../x", "a b", "a\n", "-x", "x" * 121):
        with pytest.raises(JobError, match="is no name"):
            tokens.add(home, name, "read")
    with pytest.raises(JobError, match="no scope 'root'"):
        tokens.add(home, "ben", "root")  # type: ignore[arg-type]
    read, submit, admin = (tokens.add(home, name, scope) for name, scope in SCOPES)
    known = Tokens(home)
    assert [known.find(t).may("submit") for t in (read, submit, admin)] == [False, True, True]  # type: ignore[union-attr]
    assert [known.find(t).may("admin") for t in (read, submit, admin)] == [False, False, True]  # type: ignore[union-attr]


SCOPES: tuple[tuple[str, tokens.Scope], ...] = (("r", "read"), ("s", "submit"), ("a", "admin"))


def test_writers_wait_for_one_another(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda k: tokens.add(home, f"user{k}", "read"), range(24)))
    known = Tokens(home)
    assert all(known.find(text) for text in texts)
    assert len(tokens.list(home)) == 24


def test_a_first_token_makes_its_home_and_the_one_of_a_name_is_revoked(tmp_path: Path) -> None:
    home = Home(tmp_path / "fresh")
    for name in ("ann", "ben"):
        tokens.add(home, name, "read")
    assert tokens.revoke(home, "ann").name == "ann"
    assert [(one.name, one.revoked is None) for one in tokens.list(home)] == [
        ("ann", False),
        ("ben", True),
    ]


def test_a_damaged_file_lets_nobody_in(home: Home) -> None:
    text, known = tokens.add(home, "ann", "admin"), Tokens(home)
    token, file = known.find(text), home.path / "tokens.json"
    assert token is not None
    assert known.holds(token)
    file.write_text(json.dumps([{"name": "ann"}]))
    with pytest.raises(VQAError, match="the tokens cannot be read") as caught:
        Tokens(home).find(text)
    assert not isinstance(caught.value, InputError)  # whoever asks is not to blame
    assert not known.holds(token)  # so what it let in comes to an end, too
