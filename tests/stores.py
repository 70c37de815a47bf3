"""The stores that must pass the contract, and what its tests ask of one.

To put another store to the contract, add to `STORES` a function that gives a `Tried`
in a ``with`` statement. Subjects are new in each test, so stores of one server may
share it; a test that looks at everything looks for what it made itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from flask_paseto.errors import StoreUnavailable
from flask_paseto.stores import (
    Changes,
    CutOff,
    Issued,
    MemoryStore,
    NewSession,
    Revoked,
    Store,
    TokenRef,
    micros,
    new_id,
    open_store,
)
from flask_paseto.testing import Clock

from . import postgresql, valkey

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
GRACE = 10 * SECOND


@dataclass(frozen=True, slots=True)
class Tried:
    """A store under test.

    Attributes:
        store: It, after `create()`.
        wait: Lets its clock go on by that many seconds: by moving it, or by sleeping.
        now: Gives its time in microseconds.
    """

    store: Store
    wait: Callable[[float], None]
    now: Callable[[], int]


@contextmanager
def memory() -> Iterator[Tried]:
    clock = Clock()
    store = MemoryStore(clock=clock)
    store.create()
    yield Tried(store, clock.advance, lambda: micros(clock()))
    store.close()


@contextmanager
def sqlite() -> Iterator[Tried]:
    with TemporaryDirectory() as directory:
        yield from _on_server(f"sqlite:///{Path(directory) / 'sessions.db'}")


@contextmanager
def postgres() -> Iterator[Tried]:
    url = os.environ.get("TEST_DATABASE_URL") or postgresql.shared().url()
    yield from _on_server(url)


@contextmanager
def redis() -> Iterator[Tried]:
    url = os.environ.get("TEST_REDIS_URL") or valkey.shared().url
    yield from _on_server(url)


@contextmanager
def redis_cluster() -> Iterator[Tried]:
    yield from _on_server(valkey.shared_cluster().url)


def _on_server(url: str) -> Iterator[Tried]:
    # The machine may be busy: that a call ends in time has tests of its own.
    store = open_store(url, clock=no_clock, timeout=timedelta(seconds=20))
    store.create()
    yield Tried(store, time.sleep, lambda: time.time_ns() // 1000)
    store.close()


def no_clock() -> datetime:
    raise AssertionError("a server has a clock of its own")


STORES: dict[str, Callable[[], AbstractContextManager[Tried]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgresql": postgres,
    "redis": redis,
    "redis cluster": redis_cluster,
}


def new_subject() -> str:
    """Return a subject that no other test has; not all letters are ASCII."""
    return f"zoë-{token_hex(8)}"


def step(subject: str, **fields: Any) -> Issued:
    """Return the tokens of a new step, with a value in each field."""
    defaults: dict[str, Any] = {
        "jti": new_id(subject),
        "issued_at": 1_800_000_000 * SECOND,
        "expires_at": 1_800_086_400 * SECOND,
        "access_jti": new_id(subject),
        "access_expires_at": 1_800_000_900 * SECOND,
        "scopes": ("read", "a:b/c"),
        "audience": ("https://api.example", "b"),
        "data": '{"name": "Zoë \\u0000", "list": [1, null]}',
    }
    return Issued(**{**defaults, **fields})


def login(store: Store, subject: str, **fields: Any) -> NewSession:
    """Open a session with a refresh token, and return it."""
    session = unopened(subject, **fields)
    assert store.open_session(session) is True
    return session


def unopened(subject: str, **fields: Any) -> NewSession:
    """Return a session that is not opened yet."""
    defaults: dict[str, Any] = {
        "session_id": new_id(subject),
        "subject": subject,
        "idle": DAY,
        "lifetime": 90 * DAY,
        "issued": step(subject),
        "auth_time": 1_799_999_999 * SECOND,
        "client": "Zoë's phone",
        "address": "2001:db8::1",
    }
    return NewSession(**{**defaults, **fields})


def first(session: NewSession) -> Issued:
    """Return the first tokens of a session that was opened with some."""
    assert session.issued is not None
    return session.issued


def ref(session: NewSession, jti: str | None = None) -> TokenRef:
    """Return a token of a session, an access token unless its `jti` is given."""
    return TokenRef(
        jti=jti or new_id(session.subject),
        subject=session.subject,
        issued_at=0,
        session_id=session.session_id,
    )


def single(subject: str, issued_at: int, jti: str | None = None) -> TokenRef:
    """Return a token without a session."""
    return TokenRef(jti=jti or new_id(subject), subject=subject, issued_at=issued_at)


class Snapshot:
    """All that a store told of what is revoked, taken in as a worker does."""

    def __init__(self, store: Store, horizon: int = 90 * DAY) -> None:
        self.store = store
        self.horizon = horizon
        self.cursor: str | None = None
        self.reloads = 0
        self._forget()

    def _forget(self) -> None:
        self.tokens: dict[str, Revoked] = {}
        self.sessions: dict[str, Revoked] = {}
        self.cut_offs: dict[str, CutOff] = {}

    def pull(self) -> Changes:
        """Take in what is new, all parts of it; return the last part."""
        for _ in range(10_000):
            part = self.store.changes(self.cursor, horizon=self.horizon)
            self.cursor = part.cursor
            if part.reload:
                self.reloads += 1
                self._forget()
            self.tokens |= {entry.id: entry for entry in part.tokens}
            self.sessions |= {entry.id: entry for entry in part.sessions}
            self.cut_offs |= {entry.subject: entry for entry in part.cut_offs}
            if not part.more:
                return part
        raise AssertionError("changes has no end")


class Unreliable(MemoryStore):
    """A store in memory that counts its calls, and fails where it is told to.

    Attributes:
        calls: The names of the methods that were called, in their order.
        out: What does not answer, and does nothing: names of methods.
        lost: What is done, but the answer is lost, once each.
        before: What to run before a method does its work, once each.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []
        self.out: set[str] = set()
        self.lost: set[str] = set()
        self.before: dict[str, Callable[[], object]] = {}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return _unreliable(self, name, found) if name in METHODS else found


METHODS = frozenset(name for name in vars(Store) if not name.startswith("_"))


def _unreliable(store: Unreliable, name: str, method: Callable[..., Any]) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        store.calls.append(name)
        store.before.pop(name, lambda: None)()
        if name in store.out:
            raise StoreUnavailable
        answer = method(*args, **options)
        if name in store.lost:
            store.lost.remove(name)
            raise StoreUnavailable
        return answer

    return call
