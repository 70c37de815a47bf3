"""Sessions: the end of one or of all, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .claims import REFRESH, Claims
from .identity import current_record
from .locations import read_argument
from .options import as_bytes, as_text, as_type
from .payload import format_date
from .revocation import note_session
from .signals import session_revoked, token_revoked
from .state import State, current_state
from .stores import Session, keep_until, micros, moment
from .token_options import subject_text


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as its user sees it: one login on one device.

    Attributes:
        client: What the device is called, empty if nobody told.
        address: Where it was when the session was opened, likewise.
        opened_at: When that was.
        last_used_at: When it was last refreshed.
        expires_at: When it ends unless it is refreshed before.
        current: Whether it is the session of the request that asks.
    """

    session_id: str
    client: str
    address: str
    opened_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool

    def to_dict(self) -> dict[str, str | bool]:
        """Return it for a JSON answer; times in RFC 3339, whole seconds."""
        found: dict[str, str | bool] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, datetime):
                value = format_date(value.replace(microsecond=0))
            found[name] = value
        return found


def list_sessions(subject: Any) -> tuple[SessionInfo, ...]:
    """Return the live sessions of a subject, the one opened last first.

    Args:
        subject: Anything that `subject_loader` makes a text of.

    Raises:
        ConfigurationError: It needs `PASETO_STORE`.
        StoreUnavailable: The store does not answer.
    """
    state = current_state()
    state.need_store("list_sessions")
    return sessions_of(subject_text(subject, state))


def sessions_of(subject: str) -> tuple[SessionInfo, ...]:
    """Return the live sessions of a subject as it stands in tokens."""
    rows = current_state().need_store("list_sessions").list_sessions(subject)
    record = current_record()
    identity = None if record is None else record.identity
    mine = None if identity is None else identity.claims.session_id
    return tuple(_info(row, row.session_id == mine) for row in rows)


def _info(row: Session, current: bool) -> SessionInfo:
    return SessionInfo(
        session_id=row.session_id,
        client=row.client,
        address=row.address,
        opened_at=moment(row.opened_at),
        last_used_at=moment(row.used_at),
        expires_at=moment(row.ends_at),
        current=current,
    )


def revoke_token(
    token: str | Claims | None = None,
    *,
    jti: str | None = None,
    reason: str = "revoked",
    implicit_assertion: bytes | str | None = None,
) -> bool:
    """Refuse a token from now on; False if there was nothing left to do.

    A refresh token ends its session with it (RFC 7009 section 2.1). A token that has
    expired may be given too; one whose seal does not hold writes nothing.

    Args:
        token: The token itself, or its claims.
        jti: Its id instead, which must come from you and not from a client. It does
            not tell whose refresh token it is: the session goes on, so for that call
            :func:`revoke_session`.
        reason: A word for the list of what was revoked.
        implicit_assertion: What the token is bound to, instead of what
            `implicit_assertion_loader` gives.

    Raises:
        InvalidToken: The seal of the token does not hold.
        ConfigurationError: It needs `PASETO_STORE`.
        StoreUnavailable: It cannot be told whether the token is revoked.
    """
    state = current_state()
    state.need_store("revoke_token")
    _note_revocation()
    reason = as_type(reason, "reason")
    if (token is None) == (jti is None):
        raise TypeError("revoke_token takes a token, claims, or jti=")
    if jti is not None:
        return _revoke_jti(as_text(jti, "jti"), _latest_end(state), reason, state)
    if isinstance(token, Claims):
        return _revoke_claims(token, reason, state)
    assertion = (
        state.assertion()
        if implicit_assertion is None
        else as_bytes(implicit_assertion, "implicit_assertion")
    )
    text = read_argument(token) or ""
    claims = state.codec.open(text, assertion, state.clock())
    return _revoke_claims(claims, reason, state)


def revoke_session(session_id: str, *, reason: str = "revoked") -> bool:
    """End a session with all its tokens; False if it does not live.

    Args:
        reason: A word for the list of what was revoked.

    Raises:
        ConfigurationError: It needs `PASETO_STORE`.
        StoreUnavailable: It cannot be told whether the session is ended.
    """
    state = current_state()
    store = state.need_store("revoke_session")
    _note_revocation()
    _ask_anew(lambda mine: mine.session_id == session_id)
    reason = as_type(reason, "reason")
    ended = store.revoke_session(as_text(session_id, "session_id"), reason=reason)
    note_session(session_id, state)
    if ended:
        session_revoked.send(state.app, reason=reason, count=1)
    return ended


def revoke_subject(
    subject: Any, *, reason: str = "revoked", except_session: str | None = None
) -> int:
    """End all sessions of a subject, or all but one; give how many.

    Tokens without a session that were issued until now are refused as well. A login
    after this works, in the same second too.

    Args:
        subject: Anything that `subject_loader` makes a text of.
        reason: A word for the list of what was revoked.
        except_session: The session that goes on.

    Raises:
        ConfigurationError: It needs `PASETO_STORE`.
        StoreUnavailable: It cannot be told whether they are ended.
    """
    state = current_state()
    state.need_store("revoke_subject")
    return end_sessions(
        subject_text(subject, state), reason=reason, except_session=except_session
    )


def end_sessions(
    subject: str, *, reason: str, except_session: str | None = None
) -> int:
    """End the sessions of a subject as it stands in tokens; give how many."""
    state = current_state()
    _note_revocation()
    _ask_anew(
        lambda mine: mine.subject == subject and mine.session_id != except_session
    )
    reason = as_type(reason, "reason")
    count = state.need_store("revoke_subject").revoke_subject(
        subject,
        reason=reason,
        cut_off=micros(state.clock()),
        until=_latest_end(state),
        except_session=except_session,
    )
    if state.snapshot is not None:
        state.snapshot.expire()  # which sessions these were, only the store knows
    if count:
        session_revoked.send(state.app, reason=reason, count=count)
    return count


def _note_revocation() -> None:
    """Note on the request that something is over, also if the store does not answer."""
    record = current_record()
    if record is not None:
        record.revoked = True


def _ask_anew(is_over: Callable[[Claims], bool]) -> None:
    """Forget what the store said of the request's own token, if its session is over.

    Nothing may be issued from a session that this request has ended.
    """
    record = current_record()
    identity = None if record is None else record.identity
    if record is not None and identity is not None and is_over(identity.claims):
        record.answer = None


def _latest_end(state: State) -> int | None:
    """Return until when a token that was issued till now may be accepted."""
    config = state.config
    if config.allow_non_expiring:
        return None
    return keep_until(state.clock() + config.max_token_lifetime, config.leeway)


def _revoke_claims(claims: Claims, reason: str, state: State) -> bool:
    if claims.token_type == REFRESH and claims.session_id is not None:
        return revoke_session(claims.session_id, reason=reason)
    until = keep_until(claims.expires_at, state.config.leeway)
    return _revoke_jti(claims.jti, until, reason, state)


def _revoke_jti(jti: str, until: int | None, reason: str, state: State) -> bool:
    store = state.need_store("revoke_token")
    revoked = store.revoke_token(jti, reason=reason, until=until)
    if state.snapshot is not None:
        state.snapshot.note_token(jti, until)
    if revoked:
        token_revoked.send(state.app, reason=reason)
    return revoked
