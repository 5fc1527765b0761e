"""Who may use the HTTP interface: tokens by name, of which only a hash is kept."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vqa.errors import JobError, VQAError
from vqa.jobs.home import Home
from vqa.jobs.local_service import account
from vqa.names import LONGEST_NAME, NAME_PATTERN, NAME_RULE
from vqa.outputs import exchanged, naming, sync

Scope = Literal["read", "submit", "admin"]
RANKS: tuple[str, ...] = get_args(Scope)
TOKEN_BYTES = 32
PREFIX = "vqa_"


class Token(BaseModel):
    """A token's entry; the token itself was shown once and is kept nowhere.

    Attributes:
        name: also the user that its jobs carry.
        scope: `read` sees everything, `submit` also queues, cancels and resumes its own jobs, and sends and deletes
            its own stores, `admin` does so with all.
        sha256: of the token.
        created, revoked: Unix times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN, max_length=LONGEST_NAME)
    scope: Scope
    sha256: str
    created: float
    revoked: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether its scope includes another."""
        return RANKS.index(self.scope) >= RANKS.index(scope)

    def may_touch(self, owner: str) -> bool:
        """Whether it may end what somebody has queued, or queue it again: an admin's anybody's, others' their own."""
        return self.may("admin") or (self.may("submit") and self.name == owner)


ENTRIES = TypeAdapter(tuple[Token, ...])


class Tokens:
    """The tokens of a `VQA_HOME` as they are now: a change of the file counts at once.

    Args:
        home: whose tokens.
    """

    def __init__(self, home: Home) -> None:
        self._file = _file(home)
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._entries: tuple[Token, ...] = ()

    def find(self, text: str) -> Token | None:
        """The valid token with this text; None where there is none. Takes as long for any text.

        Raises:
            VQAError: the file is damaged, which no client is to blame for.
        """
        digest, found = digest_of(text), None
        for token in self._now():
            if hmac.compare_digest(token.sha256, digest) and token.revoked is None:
                found = token
        return found

    def holds(self, token: Token) -> bool:
        """Whether a token that was found is valid still; of a damaged file nobody can say so."""
        try:
            now = self._now()
        except (VQAError, OSError):
            return False
        return any(one.sha256 == token.sha256 and one.revoked is None for one in now)

    def _now(self) -> tuple[Token, ...]:
        with self._lock:
            try:
                state = self._file.stat()
            except FileNotFoundError:
                return ()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen != self._seen:
                try:
                    self._entries, self._seen = _read(self._file), seen
                except JobError as error:
                    raise VQAError(error.what, where=error.where, fix=error.fix) from None
            return self._entries


def add(home: Home, name: str, scope: Scope) -> str:
    """Make a token and return its text, which nobody can read again.

    Raises:
        JobError: the name cannot be used, or stands for a valid token.
    """
    text = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    _add(home, name, scope, text)
    return text


def list(home: Home) -> tuple[Token, ...]:
    """Every token, revoked ones too, oldest first."""
    return _read(_file(home))


def revoke(home: Home, name: str) -> Token:
    """Make a token worthless, at once.

    Raises:
        JobError: no valid token has this name.
    """

    def change(entries: tuple[Token, ...]) -> tuple[Token, ...]:
        if not any(_is_valid(token, name) for token in entries):
            raise JobError(f"no valid token {name!r}", fix="see `vqa token list`", kind="not-found")
        now = time.time()
        return tuple(
            token.model_copy(update={"revoked": now}) if _is_valid(token, name) else token
            for token in entries
        )

    return next(token for token in reversed(_change(home, change)) if token.name == name)


def ensure_owner(home: Home) -> Path:
    """The file with the owner's token, made where it is missing or no longer valid."""
    file = home.path / "token"
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or Tokens(home).find(text) is None:
        text = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        write_private(file, text + "\n")
        _add(home, _free_name(home, account()), "admin", text)
    file.chmod(0o600)
    return file


def write_private(path: Path, text: str) -> None:
    """Replace a file that nobody else may read, in one step that survives a power cut."""
    with exchanged(path, private=True) as file:
        file.write(text.encode())
    sync(path.parent)


def _add(home: Home, name: str, scope: Scope, text: str) -> None:
    if scope not in RANKS:
        raise JobError(f"no scope {scope!r}", fix=f"one of {', '.join(RANKS)}")
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME:
        raise JobError(f"{name!r} is no name", fix=f"it {NAME_RULE}")
    token = Token(name=name, scope=scope, sha256=digest_of(text), created=time.time())

    def change(entries: tuple[Token, ...]) -> tuple[Token, ...]:
        if any(_is_valid(other, name) for other in entries):
            raise JobError(
                f"there is a token {name!r}",
                fix="revoke it, or choose another name",
                kind="conflict",
            )
        return (*entries, token)

    _change(home, change)


def _change(
    home: Home, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]
) -> tuple[Token, ...]:
    """Rewrite the tokens; one process at a time."""
    home.make()
    with _only_one(home):
        entries = change(_read(_file(home)))
        text = json.dumps([token.model_dump(mode="json") for token in entries], indent=1)
        write_private(_file(home), text + "\n")
    return entries


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    lock = home.path / "tokens.lock"
    with lock.open("w") as file:
        with naming(lock):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _free_name(home: Home, name: str) -> str:
    """The name, or one with a number where it stands for a valid token."""
    taken = {token.name for token in list(home) if token.revoked is None}
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _is_valid(token: Token, name: str) -> bool:
    return token.name == name and token.revoked is None


def _read(file: Path) -> tuple[Token, ...]:
    try:
        return ENTRIES.validate_json(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise JobError(
            f"the tokens cannot be read ({type(error).__name__})",
            where=str(file),
            fix="mend it, or move it away and start again",
        ) from None


def _file(home: Home) -> Path:
    return home.path / "tokens.json"


def digest_of(text: str) -> str:
    """All that is kept of a token or a code."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
