"""The marker of each bucket: it is gone when the server lost its data."""

from __future__ import annotations

from secrets import token_hex

from . import revocations
from .calls import Caller
from .rows import pack, prefix


def read_markers(caller: Caller) -> set[str]:
    """Return the markers that there are; an empty one where there is none."""
    return _mark(caller, "")


def is_one(found: set[str]) -> bool:
    """Say whether all buckets have a marker, and the same."""
    return len(found) == 1 and "" not in found


def mark_anew(caller: Caller, found: set[str]) -> None:
    """Mark all buckets with a new incarnation.

    It is later than all that are there, and a marker never goes back: of two who do
    this at once, one wins everywhere.
    """
    latest = max(int(one[:8] or "0", 16) for one in found)
    _mark(caller, f"{latest + 1:08x}{token_hex(8)}")


def _mark(caller: Caller, incarnation: str) -> set[str]:
    replies = caller.each(
        lambda pool, buckets: pool.run(
            revocations.MARK,
            [],
            [pack(incarnation), *(pack(prefix(bucket)) for bucket in buckets)],
            wait=True,
        )
    )
    return {marker.decode("ascii") for reply in replies for marker in reply}
