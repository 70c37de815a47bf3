"""Where sessions and revocations live: what a store must do, and how one is opened."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Protocol, cast

from ..errors import ConfigurationError
from .memory import MemoryStore
from .values import (
    MARGIN,
    OVERLAP,
    REUSED,
    USED,
    Answer,
    Changes,
    CutOff,
    Issued,
    NewSession,
    Revoked,
    Session,
    TokenRef,
    Verdict,
    id_bucket,
    keep_until,
    micros,
    moment,
    new_id,
    subject_bucket,
)

__all__ = [
    "DEFAULT_TIMEOUT",
    "MARGIN",
    "OVERLAP",
    "REUSED",
    "USED",
    "Answer",
    "Changes",
    "CutOff",
    "Issued",
    "MemoryStore",
    "NewSession",
    "Revoked",
    "Session",
    "Store",
    "TokenRef",
    "Verdict",
    "id_bucket",
    "keep_until",
    "micros",
    "moment",
    "new_id",
    "open_store",
    "subject_bucket",
]

DEFAULT_TIMEOUT = timedelta(milliseconds=250)

_SCHEME = re.compile(r"([a-z]{1,20}(?:\+[a-z0-9_]{1,20})?)://", re.IGNORECASE)
_REDIS = re.compile(r"(?:redis|valkey)s?(?:\+(?:cluster|sentinel))?")
_SQL = re.compile(r"(?:sqlite|postgresql)(?:\+[a-z0-9_]+)?")
_WAYS = (
    "give 'memory://', 'sqlite:///…', 'postgresql+psycopg://…', 'redis://…' or "
    "'valkey://…' (with 's' for TLS, with '+cluster' or '+sentinel'), or an object "
    "with the methods of flask_paseto.stores.Store"
)


class Store(Protocol):
    """What a store must do; each method is one round trip and safe in any thread.

    Times are microseconds (see `values`), and what counts is the store's own clock.
    A store that cannot answer in time raises `StoreUnavailable` and never an
    exception of its driver. A call may be repeated after a lost answer; nothing here
    gives a second yes for that. What is damaged counts as missing, with an error in
    the log; a damaged entry of what is revoked goes on refusing.
    """

    @abstractmethod
    def open_session(self, session: NewSession) -> bool:
        """Open a session; False, and nothing is changed, if its `sid` is taken."""

    @abstractmethod
    def attach(self, session_id: str, issued: Issued) -> bool:
        """Give a live session that has no refresh token its first one.

        True also if that one is its current one already: what stands beside its `jti`
        is then written again. False if it has another, or does not live: a second
        refresh token would be a second chain.
        """

    @abstractmethod
    def check_token(self, token: TokenRef) -> Verdict:
        """Say LIVE, REVOKED, MISSING or EXPIRED for a request that is guarded.

        Each `jti` is looked for among the revoked. A token of a session has its row,
        which must be there, be its subject's, and live; the cut-off does not count
        for it. A token without one is refused if `iat` is at or before the cut-off.
        """

    @abstractmethod
    def check_refresh(self, token: TokenRef, *, grace: int) -> Answer:
        """Say CURRENT, PREVIOUS, REUSED, REVOKED, MISSING or EXPIRED.

        As `check_token`, and then on the same row: CURRENT counts as use of the
        session, REUSED revokes it. A token without a session gets LIVE or REVOKED.
        """

    @abstractmethod
    def consume(
        self,
        session_id: str,
        jti: str,
        successor: Issued,
        *,
        grace: int,
        punish: bool = True,
    ) -> Answer:
        """Swap the current refresh token for its successor; the one way to rotate.

        WON: it was the current one, and the successor is now. RETRY: it was the one
        before, and the successor proposed is the current one (a repetition of this
        call) or `grace` is not over; `session.issued` is what to make again. REVOKED,
        MISSING, EXPIRED: nothing is changed. REUSED: all else; the row is revoked.
        With `punish` off STALE stands for REUSED, and nothing is changed.

        Raises:
            ValueError: The successor is the token itself.
        """

    @abstractmethod
    def consume_token(self, jti: str, *, until: int | None) -> bool:
        """Use up a one-use token; True for the first only.

        False too if it is revoked, or if `until` (see `keep_until`) has passed by
        the store's clock: it could not be remembered.
        """

    @abstractmethod
    def revoke_token(self, jti: str, *, reason: str, until: int | None) -> bool:
        """Refuse a token until `until`, see `keep_until`; False if it was already.

        Of two calls the later `until` counts, and `changes` tells it again. One that
        has passed writes nothing.
        """

    @abstractmethod
    def revoke_session(self, session_id: str, *, reason: str) -> bool:
        """End a session with all its tokens; False if there is none to end."""

    @abstractmethod
    def revoke_subject(
        self,
        subject: str,
        *,
        reason: str,
        cut_off: int,
        until: int | None,
        except_session: str | None = None,
    ) -> int:
        """End all sessions of a subject, or all but one; give how many.

        Tokens without a session are refused up to the cut-off: the latest of the
        caller's time, which is `cut_off`, of the store's, and of the cut-offs before.
        It is kept until `until`, when the last of those tokens has ended.
        """

    @abstractmethod
    def session(self, session_id: str) -> Session | None:
        """Return the row of a session, also of one that is revoked or has ended."""

    @abstractmethod
    def list_sessions(self, subject: str) -> tuple[Session, ...]:
        """Return the live sessions of a subject, the one opened last first."""

    @abstractmethod
    def changes(self, since: str | None, *, horizon: int) -> Changes:
        """Return what was revoked since a cursor, or everything without one.

        It reaches back by `OVERLAP`, so things may be told twice. Sessions that were
        revoked more than `horizon` ago are left out, so a snapshot must not answer
        for a token with a lifetime beyond it. A cursor of another incarnation, or
        one that is not understood, starts over: `reload` is set.
        """

    @abstractmethod
    def purge(self) -> int:
        """Remove what has ended; give how much. Stores that forget alone give 0."""

    @abstractmethod
    def check(self) -> tuple[str, ...]:
        """Say what is wrong with the store and what to run; empty if all is well."""

    @abstractmethod
    def create(self) -> None:
        """Make what the store needs, such as tables; no harm where it is there."""

    @abstractmethod
    def close(self) -> None:
        """Give up the connections; a later call may open them again."""


_METHODS = tuple(name for name in vars(Store) if not name.startswith("_"))


def open_store(
    store: str | Store,
    *,
    clock: Callable[[], datetime],
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> Store:
    """Return the store of a URL, or an object that is one as it is.

    Args:
        store: `PASETO_STORE`.
        clock: Gives the time, with an offset, to `memory://`; a server has its own.
        timeout: How long a call may take before it is `StoreUnavailable`.

    Raises:
        ConfigurationError: There is no such store, or a package for it is missing.
    """
    if not isinstance(store, str):
        return _as_store(store)
    if store == "memory://":
        return MemoryStore(clock=clock)
    found = _SCHEME.match(store)
    scheme = found[1].lower() if found else ""
    if _REDIS.fullmatch(scheme):
        return _open("redis", store, timeout)
    if _SQL.fullmatch(scheme):
        return _open("sqlalchemy", store, timeout)
    # The URL is not repeated: it may hold a password.
    raise ConfigurationError(f"PASETO_STORE is no store that is known: {_WAYS}")


def _open(name: str, url: str, timeout: timedelta) -> Store:
    """Import the module of a store, which needs its extra, and open it."""
    try:
        module = import_module(f"{__name__}.{name}")
        opener = cast(Callable[..., Store], getattr(module, f"open_{name}"))
        return opener(url, timeout=timeout)
    except ImportError:
        raise ConfigurationError(
            "PASETO_STORE is a URL whose store needs a package that is not here: "
            f"pip install 'flask-paseto-auth[{name}]', and the driver that the URL "
            "names"
        ) from None


def _as_store(store: Store) -> Store:
    missing = [name for name in _METHODS if not callable(getattr(store, name, None))]
    if missing:
        raise ConfigurationError(
            f"PASETO_STORE is an object without {', '.join(missing)}: {_WAYS}"
        )
    return store
