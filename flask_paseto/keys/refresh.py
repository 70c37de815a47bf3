"""A value that is fetched again before it grows old, by one thread at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Generic, TypeVar

from .source import ForkSafeLock, Ticks

_log = logging.getLogger("flask_paseto")

T = TypeVar("T")

RETRY_INTERVAL = 30.0  # seconds from one attempt to the next that is out of turn
_EARLY = 0.8  # the part of its life after which a value is fetched without a wait
_MOST_THREADS = 3  # of fetches that hang


class FetchFailed(Exception):
    """Say why a fetch failed, in words that may be logged."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """What a fetch gave.

    Attributes:
        max_age: How long it may be used, in seconds.
    """

    value: T
    max_age: float


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """A value with its times.

    Attributes:
        asked: When it was asked for.
        early: When to fetch the next.
        due: When it is old.
        end: When it serves no more; never before it is old.
    """

    value: T
    asked: float
    early: float
    due: float
    end: float


class Refreshed(Generic[T]):
    """Keeps the last value that a fetch gave, and fetches the next in time.

    Towards the end of its life a thread fetches the next value while requests go on
    with this one. Who finds it at its end waits for that thread, `timeout` at most.
    When a fetch fails the value stays, until `max_stale` after it was asked for, or to
    the end of its life if that is later; and nobody waits for the attempts that
    follow, one in half a minute. Nobody waits for the first value either, but who
    calls `renew`.

    Args:
        fetch: Takes the value that is there, gives the next, or raises anything.
        name: What is fetched, for the log.
    """

    def __init__(
        self,
        fetch: Callable[[T | None], Fetched[T]],
        *,
        name: str,
        timeout: timedelta,
        max_stale: timedelta,
        ticks: Ticks,
    ) -> None:
        self._fetch = fetch
        self._name = name
        self._timeout = timeout.total_seconds()
        self._max_stale = max_stale.total_seconds()
        self._ticks = ticks
        self._lock = ForkSafeLock()
        self._threads: list[Thread] = []
        self._process = os.getpid()
        self._kept: _Kept[T] | None = None
        self._started = self._next = float("-inf")
        self._succeeded = float("-inf")
        self._failing = False
        #: Why there is no value, or none newer.
        self.fault: str = f"did not answer within {self._timeout:g} seconds"

    def current(self) -> T | None:
        """Return the value; None when there is none that is young enough."""
        now, kept = self._ticks(), self._kept
        if kept is not None and now < kept.early:
            return kept.value
        self._attempt(now, out_of_turn=False)
        if kept is not None and now >= kept.due and not self._failing:
            self._wait(now)
            now, kept = self._ticks(), self._kept
        if kept is None or now >= kept.end:
            return None
        return kept.value

    def freshen(self) -> None:
        """Begin to fetch, without a wait, where `current` would."""
        now, kept = self._ticks(), self._kept
        if kept is None or now >= kept.early:
            self._attempt(now, out_of_turn=False)

    def begin(self) -> None:
        """Fetch out of turn without a wait, unless there was an attempt just now."""
        self._attempt(self._ticks(), out_of_turn=True)

    def renew(self) -> None:
        """Fetch out of turn and wait for it, unless there was an attempt just now.

        Whoever comes while one is under way waits for the same.
        """
        self.begin()
        self._wait(self._ticks())

    def _is_due(self, now: float, out_of_turn: bool) -> bool:
        due = self._started + RETRY_INTERVAL if out_of_turn else self._next
        # In a child process nobody is at what the parent process began.
        return now >= due or self._process != os.getpid()

    def _attempt(self, now: float, *, out_of_turn: bool) -> None:
        """Let a thread fetch if it is due and no other does."""
        if not self._is_due(now, out_of_turn):
            return
        with self._lock:
            if not self._is_due(now, out_of_turn):
                return  # another caller was here
            # Those of a parent process are dead; one that hangs is given up.
            alive = [each for each in self._threads if each.is_alive()]
            if len(alive) >= _MOST_THREADS:
                return
            name = f"flask_paseto: {self._name}"
            thread = Thread(target=self._run, args=(now,), name=name, daemon=True)
            try:
                thread.start()
                alive.append(thread)
            except RuntimeError:  # the system gives none, or the process is at its end
                self.fault = "cannot be asked: no thread can be started"
                self._tell()
            self._threads = alive
            self._failing = self._succeeded < self._started
            self._process = os.getpid()
            self._next = now + max(RETRY_INTERVAL, self._timeout)
            self._started = now  # last: who sees this finds the thread

    def _wait(self, now: float) -> None:
        """Wait for the fetch under way, as long as it may take."""
        left = self._started + self._timeout - now
        threads = self._threads
        if threads and left > 0:
            threads[-1].join(left)

    def _run(self, asked: float) -> None:
        kept = self._kept
        try:
            found = self._fetch(None if kept is None else kept.value)
        except FetchFailed as fault:
            self.fault = str(fault)
        except Exception as fault:
            # Not its text: what was fetched may stand in it.
            self.fault = f"raised {type(fault).__name__}"
        else:
            early = asked + _EARLY * found.max_age
            with self._lock:
                if self._kept is None or asked >= self._kept.asked:
                    due = asked + found.max_age
                    end = max(due, asked + self._max_stale)
                    self._kept = _Kept(found.value, asked, early, due, end)
                    self._next, self._succeeded = float("-inf"), asked
                    self._failing = False
            return
        self._tell()

    def _tell(self) -> None:
        """Write to the log why nothing came, and whether that is felt."""
        kept = self._kept
        usable = kept is not None and self._ticks() < kept.end
        left = "the last good keys stay" if usable else "there are no good keys"
        _log.error("%s %s; %s", self._name, self.fault, left)
