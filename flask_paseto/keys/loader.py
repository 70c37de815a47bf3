"""Keys from a function of the app: out of a vault, or wherever they are kept."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ..errors import KeysUnavailable
from .refresh import Fetched, FetchFailed, Refreshed
from .ring import KeyRing, RingKey
from .source import Ticks, monotonic

KeyLoader = Callable[[], Any]
ReadKeys = Callable[[Any, KeyRing | None], KeyRing]


class LoadedKeys:
    """The ring that a loader gives, asked for again before it is older than `ttl`.

    Args:
        loader: Gives what `read` takes; may be async.
        read: Makes a ring of it; gives the former one where nothing changed.

    Raises:
        ValueError: The loader gives no keys to begin with.
    """

    def __init__(
        self,
        loader: KeyLoader,
        read: ReadKeys,
        *,
        ttl: timedelta,
        timeout: timedelta,
        max_stale: timedelta,
        ticks: Ticks = monotonic,
    ) -> None:
        self._loader = loader
        self._read = read
        self._ttl = ttl.total_seconds()
        self._kept: Refreshed[KeyRing] = Refreshed(
            self._fetch,
            name="key_loader",
            timeout=timeout,
            max_stale=max_stale,
            ticks=ticks,
        )
        self._kept.renew()
        if self._kept.current() is None:
            raise ValueError(f"key_loader {self._kept.fault}")

    def current(self) -> KeyRing:
        """Return the ring.

        Raises:
            KeysUnavailable: The loader has failed for too long.
        """
        ring = self._kept.current()
        if ring is None:
            raise KeysUnavailable
        return ring

    def find(self, key_id: str) -> RingKey | None:
        """Return None: a key is announced before it issues."""
        return None

    def _fetch(self, former: KeyRing | None) -> Fetched[KeyRing]:
        found = self._loader()
        if inspect.isawaitable(found):
            import asyncio  # here, because importing it takes longer than all of ours

            found = asyncio.run(_awaited(found))
        try:
            return Fetched(self._read(found, former), self._ttl)
        except ValueError as fault:
            raise FetchFailed(f"gives no good keys: {fault}") from None


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
