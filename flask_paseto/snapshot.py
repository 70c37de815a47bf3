"""A worker's copy of what is revoked, so that a guarded request asks nobody."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from math import inf
from threading import Lock
from weakref import WeakSet

from .claims import REFRESH, Claims
from .errors import StoreUnavailable
from .keys.source import Ticks, monotonic
from .stores import Changes, Store, Verdict, micros

# Entries that have ended are looked for when so many more have come.
_SWEEP_AFTER = 1024
# How long after the store was asked a request may still issue a token of a session,
# which may have been revoked meanwhile.
_LATE = timedelta(minutes=1)


class Entries:
    """What is revoked, each with its end in microseconds, None for never."""

    __slots__ = ("cut_offs", "sessions", "swept", "tokens")

    def __init__(self) -> None:
        self.tokens: dict[str, int | None] = {}
        self.sessions: dict[str, int] = {}
        self.cut_offs: dict[str, tuple[int, int | None]] = {}
        self.swept: int = 0

    def __len__(self) -> int:
        return len(self.tokens) + len(self.sessions) + len(self.cut_offs)

    def take(self, part: Changes, horizon: int) -> None:
        """Take in a part of what the store told."""
        for token in part.tokens:
            self.tokens[token.id] = token.until
        for session in part.sessions:
            # Its row stays longer, but after the horizon its tokens have ended.
            self.sessions[session.id] = session.at + horizon
        for entry in part.cut_offs:
            self.cut_offs[entry.subject] = (entry.cut_off, entry.until)

    def sweep(self, now: int) -> None:
        """Forget what has ended, when there is about twice what there was.

        The tables are replaced: a request may be looking into the old ones.
        """
        if len(self) <= 2 * self.swept + _SWEEP_AFTER:
            return
        self.tokens = {k: v for k, v in self.tokens.items() if v is None or v > now}
        self.sessions = {k: v for k, v in self.sessions.items() if v > now}
        self.cut_offs = {
            k: v for k, v in self.cut_offs.items() if v[1] is None or v[1] > now
        }
        self.swept = len(self)


class Snapshot:
    """What is revoked, as of a moment that is no longer ago than the interval.

    No thread keeps it up to date: whoever finds it older than half the interval
    brings it in, one at a time, while the others read on. Older than the interval,
    or while it is not complete, it does not answer, and the store is asked. Nor does it
    answer for refresh tokens.

    Args:
        interval: The oldest that it may be.
        longest: The longest lifetime of a token of a session that it answers for.
        leeway: What clocks may differ.
        budget: How long one request may bring in parts, before it goes on.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_cursor",
        "_entries",
        "_good",
        "_horizon",
        "_interval",
        "_longest",
        "_pulling",
        "_retry_at",
        "_round",
        "_staged",
        "_store",
        "_ticks",
        "_wanted",
        "_writing",
        "due",
    )

    due: float
    """How old it may be before somebody must bring in what is new, in seconds."""

    def __init__(
        self,
        store: Store,
        *,
        interval: timedelta,
        longest: timedelta,
        leeway: timedelta,
        budget: timedelta,
        ticks: Ticks = monotonic,
    ) -> None:
        self._store = store
        self._interval = interval.total_seconds()
        self.due = self._interval / 2
        self._longest = longest
        self._horizon = micros(longest + 2 * leeway + _LATE)
        self._budget = budget.total_seconds()
        self._ticks = ticks
        self._forget()
        _SNAPSHOTS.add(self)

    def _forget(self) -> None:
        """Be as new; also in a forked child, whatever a thread was doing here."""
        self._pulling, self._writing = Lock(), Lock()
        self._entries = Entries()
        self._staged: Entries | None = None  # a reload that is not complete
        self._cursor: str | None = None
        # When the last sync began that was completed, -inf: none that counts was.
        self._good = self._retry_at = -inf
        self._round = (-inf, 0)  # when one began that is not complete, -inf: none
        self._wanted = 0

    def is_live(self, claims: Claims, oldest: float | None) -> bool | None:
        """Say whether a token is live; False: it is revoked, None: ask the store.

        Nearly every guarded request comes through here, so it makes no detours.

        Args:
            oldest: How old this may be, in seconds; None: however old it is.
        """
        if oldest is not None:
            # Before the look: a sync in between makes what was seen no younger.
            ticks = self._ticks
            if ticks() - self._good >= oldest:
                return None
        entries, wire = self._entries, claims.wire
        if wire["type"] == REFRESH:
            return None  # whether it was used, the store alone knows
        if wire["jti"] in entries.tokens:
            return False
        if "sid" not in wire:
            found = entries.cut_offs.get(wire["sub"])
            return found is None or micros(claims.issued_at) > found[0]
        if wire["sid"] in entries.sessions:
            return False
        ends = claims.expires_at
        if ends is None or ends - claims.issued_at > self._longest:
            return None  # its session may have ended before the horizon
        return True

    def check(self, claims: Claims, clock: Callable[[], datetime]) -> Verdict | None:
        """Say LIVE or REVOKED, or None where the store must be asked.

        Raises:
            StoreUnavailable: It is too old, and the store does not answer.
        """
        ticks = self._ticks()
        if ticks - self._good >= self.due and not self._renew(ticks, clock):
            return None
        live = self.is_live(claims, None)
        if live is None:
            return None
        return Verdict.LIVE if live else Verdict.REVOKED

    def refuses(self, claims: Claims) -> bool:
        """Say whether a token is known to be revoked, however old this may be."""
        return self.is_live(claims, None) is False

    def _renew(self, ticks: float, clock: Callable[[], datetime]) -> bool:
        """Bring in what is new if it is time to, and say whether that is new enough."""
        failed = ticks >= self._retry_at and not self.sync(clock)
        # As of when this request came: how long it waited makes nothing younger.
        if ticks - self._good < self._interval:
            return True
        if failed:
            raise StoreUnavailable
        return False

    def __len__(self) -> int:
        return len(self._entries)

    def sync(self, clock: Callable[[], datetime]) -> bool:
        """Bring in what is new, unless another thread does; False: the store is out."""
        pulling = self._pulling
        if not pulling.acquire(blocking=False):
            return True
        try:
            self._pull(clock)
        except StoreUnavailable:
            self._retry_at = self._ticks() + self._interval / 8
            return False
        finally:
            pulling.release()
        return True

    def _pull(self, clock: Callable[[], datetime]) -> None:
        began = self._ticks()
        if self._round[0] == -inf:
            self._round = (began, self._wanted)
        while True:
            part = self._store.changes(self._cursor, horizon=self._horizon)
            with self._writing:
                self._take(part, micros(clock()))
            if not part.more or self._ticks() - began > self._budget:
                return

    def _take(self, part: Changes, now: int) -> None:
        if part.reload:
            self._staged = Entries()
        entries = self._entries if self._staged is None else self._staged
        entries.take(part, self._horizon)
        entries.sweep(now)
        self._cursor = part.cursor
        if not part.more:
            self._entries, self._staged = entries, None
            (began, wanted), self._round = self._round, (-inf, 0)
            self._good = began if wanted == self._wanted else -inf

    def note_token(self, jti: str, until: int | None) -> None:
        """Take in at once that this worker revoked or used up a token."""
        with self._writing:
            for entries in (self._entries, self._staged):
                if entries is not None:
                    entries.tokens[jti] = until

    def note_session(self, session_id: str, now: datetime) -> None:
        """Take in at once that this worker ended a session."""
        with self._writing:
            for entries in (self._entries, self._staged):
                if entries is not None:
                    entries.sessions[session_id] = micros(now) + self._horizon

    def expire(self) -> None:
        """Answer no more before a sync that begins now or later is complete."""
        with self._writing:
            self._wanted += 1
            self._good = -inf


_SNAPSHOTS: WeakSet[Snapshot] = WeakSet()


def _forget_all() -> None:
    for snapshot in _SNAPSHOTS:
        snapshot._forget()


_at_fork: Callable[..., None] = getattr(os, "register_at_fork", lambda **_: None)
_at_fork(after_in_child=_forget_all)
