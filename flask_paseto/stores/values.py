"""The values that move between the session layer and a store, and its ids.

Times and durations are whole microseconds, moments since 1970 in UTC: Lua and SQL
compare integers exactly, and no driver's idea of a time zone comes in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from re import compile as pattern
from secrets import token_hex

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OUR_ID = pattern(r"[0-9a-f]{32}")

# How long after its end a row is kept: twice the longest leeway.
MARGIN = 600_000_000
# How far `changes` reaches back before its cursor: a transaction that commits late,
# and servers whose clocks differ, stay within it.
OVERLAP = 5_000_000
# Reasons that a store itself gives.
REUSED = "reused"
USED = "used"


def micros(time: datetime | timedelta) -> int:
    """Return a moment with an offset, or a duration, as whole microseconds."""
    span = time - _EPOCH if isinstance(time, datetime) else time
    return span // _MICROSECOND


def moment(time: int) -> datetime:
    """Return the moment of these microseconds, in UTC."""
    return _EPOCH + time * _MICROSECOND


def keep_until(expires_at: datetime | None, leeway: timedelta) -> int | None:
    """Return until when a store must remember a token that ends then.

    That is `exp` and twice the leeway: once because the token is accepted so much
    longer, once because the clocks of app and store may differ so much. None, for
    a token that never ends, is for ever.
    """
    return None if expires_at is None else micros(expires_at) + 2 * micros(leeway)


def subject_bucket(subject: str) -> str:
    """Return the bucket of a subject, two hex digits.

    All keys of one subject are in one of 256 buckets, so that on a cluster one
    script sees them all.
    """
    return sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:2]


def id_bucket(identifier: str) -> str:
    """Return the bucket of a `sid` or `jti`: its first two digits if it is ours.

    The bucket of an id that somebody else made comes from a hash of it, so it may be
    another than that of the subject.
    """
    if _OUR_ID.fullmatch(identifier):
        return identifier[:2]
    return subject_bucket(identifier)


def new_id(subject: str) -> str:
    """Return a new `sid` or `jti`: 32 hex digits, the first two the bucket."""
    return subject_bucket(subject) + token_hex(15)


class Verdict(StrEnum):
    """What a store says of a token.

    LIVE, CURRENT, PREVIOUS, WON and RETRY let it pass, each for its question; all
    others refuse. Ask for the one that you need with ``is``.
    """

    LIVE = "live"
    """Neither the token nor its session nor its subject is revoked."""
    CURRENT = "current"
    """The refresh token that may be used now."""
    PREVIOUS = "previous"
    """The refresh token before, within the grace; it is for a retry alone."""
    WON = "won"
    """The refresh token was consumed by this call."""
    RETRY = "retry"
    """It was consumed before; make again the successor that is stored."""
    REUSED = "reused"
    """It was consumed long ago or never issued; its session is revoked by this call."""
    STALE = "stale"
    """It is not the one that may be used, and this call was told to end nothing."""
    REVOKED = "revoked"
    """The token, its session or its subject was revoked before."""
    MISSING = "missing"
    """There is no such session for this subject, or its row is damaged.

    A store that lost data refuses.
    """
    EXPIRED = "expired"
    """The session was idle for too long, or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRef:
    """What a store is told of a verified token.

    Attributes:
        jti: Its id.
        subject: Whose it is.
        issued_at: Its `iat`; it counts for a token without a session.
        session_id: Its `sid`, None for a token without a session.
    """

    jti: str
    subject: str
    issued_at: int
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What it takes to make the tokens of one step of a session again.

    Attributes:
        jti: The id of the refresh token.
        issued_at: `iat` of both tokens.
        expires_at: `exp` of the refresh token, None if it never ends.
        access_jti: The id of the access token beside it, None where there is none.
        access_expires_at: Its `exp`.
        scopes: The scopes, None where the tokens have none.
        audience: The audience, empty where the tokens have none.
        data: Anything else, as a text that the store keeps as it is.
    """

    jti: str
    issued_at: int
    expires_at: int | None
    access_jti: str | None = None
    access_expires_at: int | None = None
    scopes: tuple[str, ...] | None = None
    audience: tuple[str, ...] = ()
    data: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to open; the store sets its times by its own clock.

    Attributes:
        session_id: Its `sid`, from `new_id(subject)`.
        subject: Whose it is.
        idle: How long it lives without a refresh.
        lifetime: How long it lives at most.
        issued: Its first refresh token, None while it has none.
        auth_time: When the person logged in, None if that is not known.
        client: What the person calls the device, as the app told it.
        address: Where it is, as the app told it.
    """

    session_id: str
    subject: str
    idle: int
    lifetime: int
    issued: Issued | None = None
    auth_time: int | None = None
    client: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(NewSession):
    """The row of a session: the one truth about its tokens.

    Attributes:
        opened_at: When it was opened.
        used_at: When it was last refreshed.
        idle_expires_at: When it ends if nobody refreshes it.
        expires_at: When it ends at the latest.
        previous_jti: The refresh token that was consumed last.
        rotated_at: When that was.
        revoked_at: When it was revoked, None while it is not.
        reason: Why.
    """

    opened_at: int
    used_at: int
    idle_expires_at: int
    expires_at: int
    previous_jti: str | None = None
    rotated_at: int | None = None
    revoked_at: int | None = None
    reason: str = ""

    @property
    def ends_at(self) -> int:
        """Return when it ends as things stand."""
        return min(self.idle_expires_at, self.expires_at)

    @property
    def kept_until(self) -> int:
        """Return when its row may go; a revoked one stays while its tokens could live.

        After that it is missing, which refuses just the same.
        """
        end = self.ends_at if self.revoked_at is None else self.expires_at
        return end + MARGIN


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, and the row as it is after it, None where there is none."""

    verdict: Verdict
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """One `jti` or `sid` that is revoked.

    Attributes:
        id: The `jti` or `sid`.
        at: When it was revoked, or its `until` put off.
        until: When it may be forgotten, None for never.
        reason: Why.
    """

    id: str
    at: int
    until: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """A subject whose tokens without a session are refused up to a moment.

    Attributes:
        subject: Whose tokens.
        cut_off: A token with an `iat` at or before it is refused.
        at: When it was set last.
        until: When it may be forgotten, None for never.
        reason: Why, the last time.
    """

    subject: str
    cut_off: int
    at: int
    until: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A part of what was revoked, for a snapshot.

    Attributes:
        cursor: What to ask with next time; it says nothing to anyone but the store.
        reload: Forget all that you have before you take this in: it is the first
            part of everything, because there was no cursor or the store lost data.
        more: There is more at once: the snapshot is complete when this is False.
        tokens: By `jti`, one-use tokens that were used too.
        sessions: By `sid`.
        cut_offs: By subject.
    """

    cursor: str
    reload: bool
    more: bool
    tokens: tuple[Revoked, ...] = ()
    sessions: tuple[Revoked, ...] = ()
    cut_offs: tuple[CutOff, ...] = ()
