"""What `memory://` keeps: its tables, the lock around them, and what is due to go."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from heapq import heappop, heappush
from secrets import token_hex

from . import rules
from .values import CutOff, Revoked, Session, TokenRef, Verdict, micros

# How many entries that have ended one call removes at most.
_SWEEP = 64

# One for all stores of the process, held while it forks: a child that is forked while
# another thread holds it would wait for ever.
_lock = threading.Lock()
_at_fork: Callable[..., None] = getattr(os, "register_at_fork", lambda **_: None)
_at_fork(  # Windows has no fork
    before=_lock.acquire,
    after_in_parent=_lock.release,
    after_in_child=_lock.release,
)


def lasts(entry: Revoked | CutOff, now: int) -> bool:
    """Say whether an entry has not ended."""
    return entry.until is None or entry.until > now


class Tables:
    """Sessions by `sid`, revoked tokens by `jti`, cut-offs by subject.

    Args:
        clock: Gives the time, with an offset.
    """

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._pid = os.getpid()
        self._incarnation = token_hex(8)
        self._sessions: dict[str, Session] = {}
        self._of_subject: dict[str, set[str]] = {}
        self._tokens: dict[str, Revoked] = {}
        self._cut_offs: dict[str, CutOff] = {}
        self._due: list[tuple[int, str, str]] = []

    @contextmanager
    def _open(self, *, sweep: bool = True) -> Iterator[int]:
        """Hold the lock and give the time."""
        with _lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._warn()
            now = micros(self._clock())
            if sweep:
                self._sweep(now, _SWEEP)
            yield now

    def _warn(self) -> None:
        warnings.warn(
            "PASETO_STORE is 'memory://' in several processes: what one of them "
            "revokes is not revoked in the others; use a store that they share",
            RuntimeWarning,
            stacklevel=5,
        )

    def _put(self, row: Session) -> Session:
        self._sessions[row.session_id] = row
        return row

    def _revoke(self, session_id: str, now: int, reason: str) -> bool:
        row = self._sessions.get(session_id)
        if row is None or rules.standing(row, now) is not Verdict.LIVE:
            return False
        self._put(rules.revoked(row, now, reason))
        return True

    def _token(self, jti: str, now: int) -> Revoked | None:
        entry = self._tokens.get(jti)
        return entry if entry is not None and lasts(entry, now) else None

    def _row(self, token: TokenRef) -> Session | None:
        """Return the row of a token's session, if it is its subject's too."""
        row = self._sessions.get(token.session_id or "")
        return row if row is not None and row.subject == token.subject else None

    def _standing(self, token: TokenRef, now: int) -> Verdict:
        if self._token(token.jti, now) is not None:
            return Verdict.REVOKED
        if token.session_id is not None:
            return rules.standing(self._row(token), now)
        entry = self._cut_offs.get(token.subject)
        if entry is None or not lasts(entry, now) or token.issued_at > entry.cut_off:
            return Verdict.LIVE
        return Verdict.REVOKED

    def _remember(self, kind: str, key: str, until: int | None) -> None:
        """Note when an entry is due to be removed."""
        if until is not None:
            heappush(self._due, (until, kind, key))

    def _sweep(self, now: int, most: int) -> int:
        """Remove entries that have ended, but no more than that many."""
        removed = 0
        while self._due and self._due[0][0] <= now and removed < most:
            _, kind, key = heappop(self._due)
            until = self._until(kind, key)
            if until is None or until > now:
                self._remember(kind, key, until)  # it was prolonged meanwhile
                continue
            self._remove(kind, key)
            removed += 1
        return removed

    def _until(self, kind: str, key: str) -> int | None:
        if kind == "sessions":
            return self._sessions[key].kept_until
        return (self._tokens if kind == "tokens" else self._cut_offs)[key].until

    def _remove(self, kind: str, key: str) -> None:
        if kind == "sessions":
            row = self._sessions.pop(key)
            ids = self._of_subject[row.subject]
            ids.discard(key)
            if not ids:
                del self._of_subject[row.subject]
        else:
            (self._tokens if kind == "tokens" else self._cut_offs).pop(key)
