"""Where the ring of the moment comes from."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic as _monotonic
from typing import Protocol
from weakref import WeakSet

from ..errors import KeysUnavailable
from .ring import KeyRing, RingKey

_log = logging.getLogger("flask_paseto")

Ticks = Callable[[], float]
"""Gives seconds that only go up, for ages; dates are for the clock."""

monotonic: Ticks = _monotonic


class KeySource(Protocol):
    """Gives the ring of the moment."""

    @abstractmethod
    def current(self) -> KeyRing:
        """Return the ring as it is now; the same object until something changed."""

    @abstractmethod
    def find(self, key_id: str) -> RingKey | None:
        """Return the key of an id that is not in the ring, None where there is none.

        Raises:
            KeysUnavailable: It may be one that cannot be fetched now.
        """


class ForeignKeys(Protocol):
    """Gives the keys of another issuer."""

    @abstractmethod
    def current(self) -> Sequence[RingKey]:
        """Return the keys as they are now; the same object until something changed."""

    @abstractmethod
    def freshen(self) -> None:
        """Begin to fetch the keys anew if they grow old, without a wait."""

    @abstractmethod
    def seek(self, key_id: str) -> None:
        """Begin to look for a key, without a wait."""

    @abstractmethod
    def find(self, key_id: str) -> RingKey | None:
        """Return a key that was not there a moment ago, None where there is none."""


class FixedKeys:
    """A ring that stays as it is."""

    __slots__ = ("_ring",)

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def current(self) -> KeyRing:
        """Return the ring."""
        return self._ring

    def find(self, key_id: str) -> RingKey | None:
        """Return None: there are no other keys."""
        return None


class JoinedKeys:
    """Keys of one's own, and behind them those of others."""

    __slots__ = ("_foreign", "_last", "_own")

    def __init__(self, own: KeySource, foreign: Sequence[ForeignKeys]) -> None:
        self._own = own
        self._foreign = foreign
        self._last: tuple[tuple[object, ...], KeyRing] = (), KeyRing.of()

    def current(self) -> KeyRing:
        """Return the joined ring, new when one of its parts is."""
        own = self._own.current()
        if len(self._foreign) > 1:
            for each in self._foreign:
                each.freshen()  # all at once, as in `find`
        sets = [each.current() for each in self._foreign]
        parts, joined = self._last
        if len(parts) != len(sets) + 1 or any(
            new is not old for new, old in zip((own, *sets), parts, strict=True)
        ):
            foreign = [key for keys in sets for key in keys]
            _log_claims(foreign)
            joined = own.extended(foreign)
            # At once: the parts of one thread never stand beside the ring of another.
            self._last = (own, *sets), joined
        return joined

    def find(self, key_id: str) -> RingKey | None:
        """Return a key that one of the others has only now.

        Raises:
            KeysUnavailable: None has it, and one of them could not be asked.
        """
        for each in self._foreign:
            each.seek(key_id)  # all at once: those that hang are waited for together
        unavailable = None
        for each in self._foreign:
            try:
                key = each.find(key_id)
            except KeysUnavailable as fault:
                unavailable = fault
                continue
            if key is not None:
                return key
        if unavailable is not None:
            raise unavailable
        return None


def _log_claims(keys: Sequence[RingKey]) -> None:
    """Log each key that two issuers call theirs: it counts for the first alone."""
    first: dict[str, str | None] = {}
    for key in keys:
        if first.setdefault(key.key_id, key.issuer) != key.issuer:
            _log.error(
                "the key sets of %s and %s both hold %s; it is taken for the first",
                first[key.key_id],
                key.issuer,
                key.key_id,
            )


class ForkSafeLock:
    """A lock that a child process finds open, whoever held it when it was forked."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be open again."""
        self._lock = Lock()


_LOCKS: WeakSet[ForkSafeLock] = WeakSet()


def _renew_locks() -> None:
    for lock in _LOCKS:
        lock.renew()


# Where processes do not fork, nothing is to be done.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_locks)
