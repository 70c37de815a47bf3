"""How far a pull of changes has come, as a cursor, and what one part of it asks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ..values import OVERLAP, Changes, CutOff, Revoked
from .connections import Mixed
from .nodes import BUCKETS
from .rows import pack, prefix, read_change, unpack

# How many entries one script looks at, about: the server does nothing else meanwhile.
PART = 1000

_DONE = re.compile(r"([0-9a-f]{24}):([0-9]{1,18})")
_UNDER_WAY = re.compile(
    r"([0-9a-f]{24}):([0-9]{1,18}):([0-9]{1,18}):([0-9a-f]{64}):([0-9a-f]{2})"
    r":([0-9]{0,18})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How far a pull has come.

    Attributes:
        incarnation: That of the store when it began, empty before that.
        start: What was revoked since then is told.
        now: When it began; of several servers, by the clock that is behind.
        todo: The buckets that are not told yet, a bit for each.
        bucket: The bucket to go on with.
        after: In it, go on after what was revoked then; empty at its beginning.
    """

    incarnation: str = ""
    start: int = 0
    now: int = 10**18 - 1
    todo: int = 2**256 - 1
    bucket: str = BUCKETS[0]
    after: str = ""

    @property
    def cursor(self) -> str:
        """Return what continues the pull, or begins the next one."""
        if not self.todo:
            return f"{self.incarnation}:{self.now}"
        return (
            f"{self.incarnation}:{self.start}:{self.now}:{self.todo:064x}"
            f":{self.bucket}:{self.after}"
        )

    def part_of(self, buckets: list[str]) -> list[str]:
        """Return which of a server's buckets to ask for, in order."""
        others = [
            bucket
            for bucket in buckets
            if bucket != self.bucket and self.todo & _bit(bucket)
        ]
        return [self.bucket, *others]

    def arguments(self, asked: list[str], horizon: int) -> list[bytes]:
        """Return the arguments of the script."""
        prefixes = (prefix(bucket) for bucket in asked)
        words: list[str | int] = [self.start, horizon, PART, self.after, *prefixes]
        return [pack(word) for word in words]


def read_cursor(text: str | None) -> Pull:
    """Return the pull that a cursor continues; from the beginning without one."""
    found = _DONE.fullmatch(text or "")
    if found:
        start = max(0, int(found[2]) - OVERLAP)
        return Pull(incarnation=found[1], start=start)
    found = _UNDER_WAY.fullmatch(text or "")
    if found is None or not int(found[4], 16) & _bit(found[5]):
        return Pull()
    return Pull(
        incarnation=found[1],
        start=int(found[2]),
        now=int(found[3]),
        todo=int(found[4], 16),
        bucket=found[5],
        after=found[6],
    )


def after_part(pull: Pull, asked: list[str], reply: list[Any]) -> Pull:
    """Return the pull after a part of it was told.

    Raises:
        Mixed: The buckets are not of one incarnation.
    """
    now, names, done, last, _ = reply
    if len(names) != 1:
        raise Mixed
    todo = pull.todo
    for bucket in asked[:done]:
        todo &= ~_bit(bucket)
    going_on = bool(last)
    following = (bucket for bucket in BUCKETS if todo & _bit(bucket))
    return replace(
        pull,
        incarnation=unpack(names[0]),
        now=min(pull.now, now),
        todo=todo,
        bucket=asked[done] if going_on else next(following, BUCKETS[0]),
        after=unpack(last) if going_on else "",
    )


def read_changes(pull: Pull, reply: list[Any], *, reload: bool) -> Changes:
    """Return what a part told.

    Args:
        pull: The pull after it.
        reply: What the script gave.
        reload: Whether it is the first part of everything.
    """
    tokens: list[Revoked] = []
    sessions: list[Revoked] = []
    cut_offs: list[CutOff] = []
    for entry in reply[4]:
        change = read_change(entry)
        if isinstance(change, CutOff):
            cut_offs.append(change)
        else:
            (sessions if entry[0].startswith(b"s:") else tokens).append(change)
    return Changes(
        cursor=pull.cursor,
        reload=reload,
        more=bool(pull.todo),
        tokens=tuple(tokens),
        sessions=tuple(sessions),
        cut_offs=tuple(cut_offs),
    )


def _bit(bucket: str) -> int:
    return 1 << int(bucket, 16)
