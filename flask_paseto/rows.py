"""The rows of sessions in the store, as the tokens of a request open and join them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from .claims import REFRESH, Claims
from .errors import ConfigurationError, ExpiredToken, RevokedToken, StoreUnavailable
from .identity import RequestRecord
from .revocation import check_refresh
from .state import State
from .stores import Answer, Issued, NewSession, Session, Store, Verdict, micros, moment
from .stores.rules import standing


class Membership(NamedTuple):
    """The session of a new token.

    Attributes:
        session_id: Its `sid`, None for a token without a session.
        opens: Whether its row is opened with this token.
        ends_at: When it ends at the latest, None where that is not known: without
            a store.
        idle_ends_at: When it ends unless it is refreshed.
    """

    session_id: str | None = None
    opens: bool = False
    ends_at: datetime | None = None
    idle_ends_at: datetime | None = None


class Stamp(NamedTuple):
    """What is peculiar to one token, and the same when it is made again.

    Attributes:
        auth_time: When the person logged in, None where that is not known.
        scopes: None where it has none.
    """

    jti: str
    issued_at: datetime
    expires_at: datetime | None
    auth_time: datetime | None
    scopes: tuple[str, ...] | None
    audience: tuple[str, ...]

    def lifetime(self) -> timedelta | None:
        """Return how long the token lasts, None: without end."""
        return None if self.expires_at is None else self.expires_at - self.issued_at


def issued_of(
    refresh: Stamp, access: Stamp | None = None, *, before: Issued | None = None
) -> Issued:
    """Return what a store keeps of a refresh token, and the access token beside it.

    Args:
        before: The step before it, of which the data goes over.
    """
    return Issued(
        jti=refresh.jti,
        issued_at=micros(refresh.issued_at),
        expires_at=_micros(refresh.expires_at),
        access_jti=None if access is None else access.jti,
        access_expires_at=None if access is None else _micros(access.expires_at),
        scopes=refresh.scopes,
        audience=refresh.audience,
        data="" if before is None else before.data,
    )


def _micros(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def stamp_of(
    jti: str, expires_at: int | None, auth_time: datetime | None, issued: Issued
) -> Stamp:
    """Return the stamp of a token of a step that is stored."""
    return Stamp(
        jti=jti,
        issued_at=moment(issued.issued_at),
        expires_at=None if expires_at is None else moment(expires_at),
        auth_time=auth_time,
        scopes=issued.scopes,
        audience=issued.audience,
    )


def new_membership(state: State, session_id: str, now: datetime) -> Membership:
    """Return the membership in a session that is opened now."""
    config = state.config
    return Membership(
        session_id=session_id,
        opens=True,
        ends_at=now + config.session_lifetime,
        idle_ends_at=now + min(config.session_idle, config.session_lifetime),
    )


def membership_of(row: Session) -> Membership:
    """Return the membership in a session that is there."""
    return Membership(
        session_id=row.session_id,
        ends_at=moment(row.expires_at),
        idle_ends_at=moment(row.ends_at),
    )


def find_row(
    session_id: str, subject: str, state: State, store: Store, now: datetime
) -> Session:
    """Return the row of a session that lives, for a token that is to join it.

    Raises:
        ValueError: It is of another subject.
        RevokedToken, ExpiredToken: It does not live.
    """
    row = store.session(session_id)
    if row is not None and row.subject != subject:
        raise ValueError("session_id names a session of another subject")
    verdict = standing(row, micros(now))
    if row is None or verdict is Verdict.REVOKED:
        raise RevokedToken
    if verdict is Verdict.EXPIRED:
        raise ExpiredToken("The session has ended.")
    return row


def answer_of(
    claims: Claims, record: RequestRecord, state: State, store: Store
) -> Answer | None:
    """Return what the store says of the request's refresh token, None of another.

    The guard has asked, unless it was told not to.

    Raises:
        PasetoError: It is refused, as a guard would.
    """
    if claims.token_type == REFRESH and record.answer is None:
        record.answer = check_refresh(claims, state, store)
    return record.answer


def row_of_claims(
    claims: Claims,
    answer: Answer | None,
    state: State,
    store: Store,
    now: datetime,
) -> Session | None:
    """Return the row behind the verified token of the request, None: no session.

    Args:
        answer: What the store says of it, if it is a refresh token.

    Raises:
        RevokedToken, ExpiredToken: The session does not live.
    """
    if answer is not None:
        return answer.session
    if claims.session_id is None:
        return None
    return find_row(claims.session_id, claims.subject, state, store, now)


def open_row(session: NewSession, record: RequestRecord | None, store: Store) -> None:
    """Open a session, and note it on the request.

    Raises:
        StoreUnavailable: It cannot be told whether it is open.
    """
    if not store.open_session(session):
        # Its id cannot be taken: this is a driver that repeated its own call.
        raise StoreUnavailable
    if record is not None:
        record.sessions.setdefault(session.subject, session.session_id)
        if session.issued is not None:
            record.chained.add(session.session_id)


def join_row(
    session_id: str,
    subject: str,
    refresh: Stamp,
    record: RequestRecord | None,
    state: State,
    store: Store,
    now: datetime,
) -> None:
    """Give a session its first refresh token.

    Raises:
        RevokedToken, ExpiredToken: It does not live any more.
        ConfigurationError: It has one already.
    """
    if not store.attach(session_id, issued_of(refresh)):
        find_row(session_id, subject, state, store, now)
        raise ConfigurationError(
            "this session has a refresh token, and a second one would be a second "
            "chain: to change it for the next, call rotate_token_pair under "
            "@refresh_token_required; after a new login, create_token_pair(..., "
            "fresh=True) opens another session"
        )
    if record is not None:
        record.chained.add(session_id)
