"""The key set of an app: its own public keys, for those who verify its tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from .ring import KeyRing, RingKey


def own_public_keys(ring: KeyRing, now: datetime, issuer: str | None) -> list[RingKey]:
    """Return the keys of a ring that sign, or did, and whose tokens are accepted.

    A key that is only accepted belongs to somebody else, who publishes it. One that
    is tied to another issuer stays out: readers tie all of them to this one.
    """
    return [
        key
        for key in ring.by_id.values()
        if key.private
        and key.public is not None
        and key.issuer in (None, issuer)
        and not key.has_ended(now)
    ]


def build_keyset(keys: Iterable[RingKey], issuer: str | None) -> dict[str, Any]:
    """Return the key set as it goes over the wire, no secret in it."""
    found: dict[str, Any] = {"keys": [_entry(key) for key in keys]}
    return found if issuer is None else {"issuer": issuer, **found}


def _entry(key: RingKey) -> dict[str, Any]:
    entry: dict[str, Any] = {"kid": key.key_id, "key": key.public}
    if key.not_after is not None:
        end = key.not_after.astimezone(UTC).isoformat()
        entry["not_after"] = end.replace("+00:00", "Z")
    return entry
