"""The life of keys: announced, issuing, accepted until a date, gone.

Nothing here reads a clock or a file: each step takes a document and gives the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .entries import KeyState, RingDocument, RingEntry

RELOAD_INTERVAL = timedelta(seconds=1)  # how often a reader looks at the file
_SHORTEST_ID = 12  # characters, five of them its own
_SLACK = timedelta(seconds=1)  # for a look that is under way


class TooEarly(Exception):
    """A step must wait until a time.

    Attributes:
        until: That time.
    """

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long steps take to arrive, and tokens to end.

    Attributes:
        lifetime: The longest lifetime of a token, None: without end.
        known: Whether that is the app's own, and not a guess.
        leeway: What is given to `exp`.
        loader_age: How old the keys of a reader may be that has them from a loader.
        keyset_age: The same for one that has them from a key set.
        settle: Instead of what follows from these, None: that.
    """

    lifetime: timedelta | None = timedelta(days=90)
    known: bool = True
    leeway: timedelta = timedelta(seconds=10)
    loader_age: timedelta = timedelta(0)
    keyset_age: timedelta = timedelta(0)
    settle: timedelta | None = None

    def settle_time(self, entry: RingEntry) -> timedelta:
        """Return how long after a change every reader has seen it."""
        if self.settle is not None:
            return self.settle
        published = entry.purpose == "public"
        slowest = max(
            RELOAD_INTERVAL, self.loader_age, self.keyset_age if published else _SLACK
        )
        return slowest + _SLACK


def announce(document: RingDocument, entry: RingEntry) -> RingDocument:
    """Return the document with a new key; the first that can issue does so at once.

    Raises:
        ValueError: The key is there already, or was there and has ended.
    """
    if any(each.id == entry.id for each in document.entries):
        raise ValueError(f"{entry.id} is in the ring already")
    if entry.id in document.pruned:
        raise ValueError(f"{entry.id} was in the ring and has ended: it stays out")
    if not entry.can_issue:
        entry = replace(entry, state=KeyState.ACCEPTED)
    elif document.issuing is None:
        entry = replace(entry, state=KeyState.ISSUING)
    return document.changed([*document.entries, entry])


def promote(
    document: RingDocument, key_id: str, *, now: datetime, pace: Pace, force: bool
) -> RingDocument:
    """Return the document in which this key issues; the former one gets its date.

    Args:
        force: Do not wait until every reader can have seen the key.

    Raises:
        ValueError: It is not a key that was announced.
        TooEarly: Some reader may not know it yet.
    """
    entry = find_entry(document, key_id)
    if entry.state is not KeyState.ANNOUNCED:
        raise ValueError(
            f"{entry.id} is {entry.state}: only an announced key can issue"
        )
    ready = entry.added + pace.settle_time(entry)
    if now < ready and not force:
        raise TooEarly(f"not every reader may know {entry.id} yet", ready)
    lifetime = pace.lifetime if pace.known else None
    promoted = replace(entry, state=KeyState.ISSUING, lifetime=lifetime)

    def step(each: RingEntry) -> RingEntry:
        if each.id == promoted.id:
            return promoted
        if each.state is not KeyState.ISSUING:
            return each
        former = replace(each, state=KeyState.ACCEPTED, issued_until=now)
        return _dated(former, pace)

    return document.changed(map(step, document.entries))


def _dated(entry: RingEntry, pace: Pace) -> RingEntry:
    """Return an entry with the date when all that it issued has ended."""
    if pace.lifetime is None or entry.issued_until is None:
        return entry
    lifetime = max(pace.lifetime, entry.lifetime or timedelta(0))
    # Workers issue with it until they have seen that another key does.
    end = entry.issued_until + pace.settle_time(entry) + lifetime + pace.leeway
    return replace(entry, not_after=end)


def retire(
    document: RingDocument, key_id: str, *, now: datetime, pace: Pace, at_once: bool
) -> RingDocument:
    """Return the document in which a key ends: with its last token, or at once.

    Raises:
        ValueError: It issues, or its tokens never end and it is not to end at once.
    """
    entry = find_entry(document, key_id)
    if entry.state is KeyState.ISSUING:
        raise ValueError(f"{entry.id} issues: promote another key first")
    if entry.not_after is not None and (entry.not_after <= now or not at_once):
        return document
    if at_once or entry.state is KeyState.ANNOUNCED:
        ended = replace(entry, state=KeyState.ACCEPTED, not_after=now)
    else:
        until = entry.issued_until or now  # of another issuer: as if it stopped now
        ended = _dated(replace(entry, issued_until=until), pace)
    if ended.not_after is None:
        raise ValueError(
            f"{entry.id} may have issued tokens that never expire: retire it at once, "
            "or keep it"
        )
    return document.with_entry(ended)


def prune(document: RingDocument, now: datetime) -> RingDocument:
    """Return the document without the keys whose date is over; their ids stay.

    A setting beside the file may hold such a key still, where it has no date.
    """
    kept = [each for each in document.entries if not has_ended(each, now)]
    if len(kept) == len(document.entries):
        return document
    ended = {each.id for each in document.entries if has_ended(each, now)}
    return replace(document.changed(kept), pruned=document.pruned | ended)


def note_lifetime(document: RingDocument, pace: Pace) -> RingDocument:
    """Return the document in which the issuing key has the longest lifetime noted."""
    issuing = document.issuing
    if issuing is None or not pace.known or pace.lifetime is None:
        return document
    if issuing.lifetime is not None and issuing.lifetime >= pace.lifetime:
        return document
    noted = replace(issuing, lifetime=pace.lifetime)
    entries = (noted if each is issuing else each for each in document.entries)
    return replace(document, entries=tuple(entries))


def has_ended(entry: RingEntry, now: datetime) -> bool:
    """Tell whether the date of a key is over."""
    return entry.not_after is not None and now >= entry.not_after


def find_announced(document: RingDocument) -> RingEntry | None:
    """Return the key that will issue next, None where none is announced."""
    found = [each for each in document.entries if each.state is KeyState.ANNOUNCED]
    return min(found, key=lambda each: each.added, default=None)


def find_entry(document: RingDocument, key_id: str) -> RingEntry:
    """Return the key of an id, or of the beginning of one that is long enough.

    Raises:
        ValueError: There is none, or more than one.
    """
    if len(key_id) < _SHORTEST_ID:
        raise ValueError(f"{key_id} is too short to name a key: copy more of its id")
    found = [each for each in document.entries if each.id.startswith(key_id)]
    if len(found) != 1:
        what = "no key" if not found else "more than one key"
        raise ValueError(f"there is {what} in the ring whose id begins with {key_id}")
    return found[0]
