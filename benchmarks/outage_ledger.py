"""What the answers of the outage drill must be, and how they compare with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from outage_load import ACCESS, LIVE, REVOKED, REVOKING, Book, Note
from store_servers import Outage


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds in a mode.

    Attributes:
        interval: How old the copy of a worker may be, in seconds; 0 without one.
        recovery: How long after its return the store may still seem to be out.
        noise: Which part of all requests may find it out though it is there: where
            others take the processors, a call may last longer than its time-out.
    """

    mode: str
    interval: float
    recovery: float
    noise: float = 0.0


def judged(book: Book, outages: list[Outage], rules: Rules) -> dict[str, Any]:
    """Return the figures: those for information, and those that must be 0."""
    counts: Counter[str] = Counter()
    for note in book.notes:
        counts.update(wrong(note, outages, rules))
    outside = counts[OUTSIDE]
    if outside <= rules.noise * len(book.notes):
        counts[OUTSIDE] = 0
    statuses = Counter(note.status for note in book.notes)
    ends = [*(each.began for each in outages[1:]), math.inf]
    noticed = {each: refused_in(book.notes, each) for each in outages}
    return {
        "requests": len(book.notes),
        "good tokens accepted": total(book.notes, LIVE, 200),
        "tokens of a revoked session refused": total(book.notes, REVOKED, 401),
        "log-outs": total(book.notes, REVOKING, 200),
        "answers of 503": statuses[503],
        "of these when the store was there": outside,
        "access tokens that passed unchecked": unchecked(book.notes, outages),
        "503 in each outage": {each.kind: noticed[each] for each in outages},
        "seconds from return to the last 503 sent": {
            each.kind: round(recovery(book.notes, each, until), 3)
            for each, until in zip(outages, ends, strict=True)
        },
        "slowest 503 in seconds": {
            each.kind: round(slowest_503(book.notes, each), 2) for each in outages
        },
        "must be 0": {
            **{name: counts[name] for name in NAMES},
            "clients that broke": len(book.broke),
            "outages that nobody noticed": sum(not n for n in noticed.values()),
            "revoked sessions that nobody tried": int(not book.loot),
        },
    }


LET_IN = "revoked tokens let in"
UNCHECKED = "let in while the store could not be asked"
LOST = "good tokens refused"
OUTSIDE = "503 when the store was there"
NOT_PASSED = "access tokens not passed in spite of 'allow'"
ODD_503 = "503 without its form"
ODD_REFUSAL = "revoked tokens refused otherwise"
INTERNAL = "answers of 500"
OTHER_5XX = "other 5xx"
BROKEN = "connections that broke"
NAMES = (
    LET_IN,
    UNCHECKED,
    LOST,
    OUTSIDE,
    NOT_PASSED,
    ODD_503,
    ODD_REFUSAL,
    INTERNAL,
    OTHER_5XX,
    BROKEN,
)


def wrong(note: Note, outages: list[Outage], rules: Rules) -> Iterable[str]:
    """Name what is wrong with an answer."""
    if note.status == 0:
        return [BROKEN]
    if note.status == 503:
        return wrong_503(note, outages, rules)
    if note.status >= 500:
        return [INTERNAL if note.status == 500 else OTHER_5XX]
    if note.role == REVOKED and note.status != 200:
        due = note.status == 401 and note.error == "token_revoked"
        return [] if due else [ODD_REFUSAL]
    if note.status == 200:
        return wrong_pass(note, outages, rules)
    # One who logs out again, since the first answer was lost, is refused.
    if note.role == REVOKING and note.error == "token_revoked":
        return []
    return [LOST]


def wrong_503(note: Note, outages: list[Outage], rules: Rules) -> Iterable[str]:
    if note.error != "store_unavailable" or note.retry_after != "1":
        yield ODD_503
    if not any(overlaps(note, each, rules.recovery) for each in outages):
        yield OUTSIDE
    if rules.mode == "allow" and note.token == ACCESS:
        yield NOT_PASSED


def wrong_pass(note: Note, outages: list[Outage], rules: Rules) -> Iterable[str]:
    allowed = rules.mode == "allow" and note.token == ACCESS
    out = any(overlaps(note, each, rules.recovery) for each in outages)
    # From the moment a revocation had returned, or all copies must have it.
    due = note.revoked + stale(note, rules)
    if note.role == REVOKED and note.sent >= due and not (allowed and out):
        yield LET_IN
    if not allowed and any(is_sealed(note, each, rules) for each in outages):
        yield UNCHECKED


def is_sealed(note: Note, outage: Outage, rules: Rules) -> bool:
    """Say whether the store cannot have been asked for this request."""
    start, end = outage.sealed
    return note.sent >= start + stale(note, rules) and note.received <= end


def stale(note: Note, rules: Rules) -> float:
    """Return how long what a worker knows may be the answer, in seconds."""
    return rules.interval if note.token == ACCESS else 0.0


def overlaps(note: Note, outage: Outage, recovery: float) -> bool:
    return note.received >= outage.began and note.sent <= outage.back + recovery


def refused_in(notes: list[Note], outage: Outage) -> int:
    return sum(note.status == 503 and overlaps(note, outage, 0.0) for note in notes)


def recovery(notes: list[Note], outage: Outage, until: float) -> float:
    """Return how long after its return a request was sent that was still refused."""
    late = [
        note.sent - outage.back
        for note in notes
        if note.status == 503 and outage.back < note.sent and note.received < until
    ]
    return max(late, default=0.0)


def unchecked(notes: list[Note], outages: list[Outage]) -> int:
    plain = Rules(mode="refuse", interval=0.0, recovery=0.0)
    return sum(
        note.status == 200
        and note.token == ACCESS
        and any(is_sealed(note, each, plain) for each in outages)
        for note in notes
    )


def total(notes: list[Note], role: str, status: int) -> int:
    return sum(note.role == role and note.status == status for note in notes)


def slowest_503(notes: list[Note], outage: Outage) -> float:
    taken = (
        note.received - note.sent
        for note in notes
        if note.status == 503 and overlaps(note, outage, 0.0)
    )
    return max(taken, default=0.0)
