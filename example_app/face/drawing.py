"""A token as a picture: its parts, its claims, and the time that is left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request

from flask_paseto import Claims, get_claims, list_sessions

RECENT = timedelta(minutes=5)  # the age of a login that may delete the account
_SHOWN = 28  # characters of the sealed part, of some hundred

_MEANINGS = {
    "sub": "who it speaks for",
    "type": "what it is good for",
    "jti": "the id of this one token",
    "sid": "the session that it belongs to",
    "iat": "when it was issued",
    "exp": "when it ends",
    "auth_time": "when the password was asked for last",
    "fresh": "until when it counts as fresh",
    "scope": "what else it may do",
    "csrf": "what a form must bring along; it stays on the server and in your page",
    "remember": "whether the cookies outlive the browser's window",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A time that runs out."""

    name: str
    starts: datetime
    ends: datetime
    now: datetime
    over: str

    @property
    def left(self) -> int:
        """Return the seconds that are left."""
        return max(0, int((self.ends - self.now).total_seconds()))

    @property
    def span(self) -> int:
        """Return the seconds that there were."""
        return max(1, int((self.ends - self.starts).total_seconds()))


@dataclass(frozen=True, slots=True)
class Row:
    """A claim: its name, its value and what it means."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that the page shows of the token that opened it."""

    header: str
    sealed: str
    hidden: int
    footer: str
    key_id: str
    claims: tuple[Row, ...]
    bars: tuple[Bar, ...]
    now: datetime


def draw_token() -> Drawing:
    """Return the token of this request, drawn for the person whose token it is."""
    claims = get_claims()
    if claims is None:
        raise RuntimeError("the page is for people who are signed in")
    now = datetime.now(UTC)
    _, _, sealed, *_ = (*_raw_token().split("."), "", "", "")
    return Drawing(
        header=f"v{claims.key_id[1]}.{_purpose(claims.key_id)}",
        sealed=sealed[:_SHOWN],
        hidden=max(0, len(sealed) - _SHOWN),
        footer=_as_text(claims.footer),
        key_id=claims.key_id,
        claims=tuple(_rows(claims)),
        bars=tuple(_bars(claims, now)),
        now=now,
    )


def _raw_token() -> str:
    names = ("__Host-access_token", "access_token")
    return next((request.cookies[n] for n in names if n in request.cookies), "")


def _purpose(key_id: str) -> str:
    return "local" if key_id.split(".")[1] == "lid" else "public"


def _rows(claims: Claims) -> Iterator[Row]:
    for name in claims:
        value = "not shown" if name == "csrf" else _as_text(claims[name])
        yield Row(name, value, _MEANINGS.get(name, "a claim of the app"))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, default=str)


def _bars(claims: Claims, now: datetime) -> Iterator[Bar]:
    issued = claims.issued_at
    ends = claims.expires_at or issued
    yield Bar("Access token", issued, ends, now, "It has ended: refresh it.")
    fresh = claims.fresh
    fresh_until = fresh if isinstance(fresh, datetime) else ends if fresh else issued
    yield Bar(
        "Fresh", issued, fresh_until, now, "Not fresh: the password is asked for."
    )
    login = claims.auth_time or issued
    yield Bar(
        "Recent sign-in", login, login + RECENT, now, "The sign-in is not recent."
    )
    for session in list_sessions(claims.subject):
        if session.current:
            yield Bar(
                "Session",
                session.last_used_at,
                session.expires_at,
                now,
                "The session has ended.",
            )
