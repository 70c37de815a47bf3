"""Whether a token was revoked: the store, in one round trip, and the app's callback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .claims import ACCESS, REFRESH, Claims, CurrentClaims
from .errors import (
    ExpiredToken,
    PasetoError,
    RefreshTokenReused,
    RevokedToken,
    StoreUnavailable,
)
from .signals import refresh_reused, session_revoked, store_bypassed
from .state import State
from .stores import REUSED, Answer, Session, Store, TokenRef, Verdict, micros

_log = logging.getLogger("flask_paseto")

PASSES = frozenset({Verdict.LIVE, Verdict.CURRENT, Verdict.PREVIOUS})


def check_revoked(claims: CurrentClaims, state: State) -> Answer | None:
    """Refuse a token that is revoked; give what the store said of a refresh token.

    Raises:
        RevokedToken: It is, or its session or its subject.
        RefreshTokenReused: It was used before; its session is ended by this.
        ExpiredToken: Its session has ended.
        StoreUnavailable: It cannot be told.
    """
    answer, snapshot = None, state.snapshot
    if snapshot is not None and snapshot.is_live(claims, snapshot.due):
        pass  # as with nearly every request
    elif (store := state.config.store) is not None:
        if claims.wire["type"] == REFRESH:
            answer = check_refresh(claims, state, store)
        elif _is_checked(claims, state):
            _check_token(claims, state, store)
    if state.callbacks.token_in_denylist is not None:
        _ask_loader(state.callbacks.token_in_denylist, claims, state)
    return answer


def check_refresh(claims: Claims, state: State, store: Store) -> Answer:
    """Say what a refresh token is to its session, or refuse it.

    Raises:
        PasetoError: As `check_revoked`.
    """
    grace = micros(state.config.rotation_grace)
    answer = store.check_refresh(refer(claims), grace=grace)
    if answer.verdict not in PASSES:
        raise refusal_of(answer.verdict, claims, state)
    return answer


def find_current(claims: CurrentClaims, state: State, store: Store) -> Session | None:
    """Return the row whose refresh token this is now; whatever is found, none is ended.

    Raises:
        PasetoError: The app refuses it, or it cannot be told.
    """
    row = None if claims.session_id is None else store.session(claims.session_id)
    if row is None or row.issued is None or row.issued.jti != claims.jti:
        return None
    if store.check_token(refer(claims)) is not Verdict.LIVE:
        return None
    if state.callbacks.token_in_denylist is not None:
        _ask_loader(state.callbacks.token_in_denylist, claims, state)
    return row


def refusal_of(verdict: Verdict, claims: Claims, state: State) -> PasetoError:
    """Return the refusal of a token of which the store said that, and tell of it."""
    if verdict is Verdict.REUSED:
        _log.warning("a refresh token came again after it was used: session revoked")
        note_session(claims.session_id, state)
        refresh_reused.send(state.app)
        session_revoked.send(state.app, reason=REUSED, count=1)
        return RefreshTokenReused()
    if verdict is Verdict.EXPIRED:
        return ExpiredToken("The session has ended.")
    return RevokedToken()


def note_session(session_id: str | None, state: State) -> None:
    """Let this worker know at once that it ended a session."""
    if state.snapshot is not None and session_id is not None:
        state.snapshot.note_session(session_id, state.clock())


def refer(claims: Claims) -> TokenRef:
    """Return what a store is told of a token."""
    return TokenRef(
        jti=claims.jti,
        subject=claims.subject,
        issued_at=micros(claims.issued_at),
        session_id=claims.session_id,
    )


def _is_checked(claims: Claims, state: State) -> bool:
    types = state.config.revocation_checks
    return types is None or claims.token_type in types


def _check_token(claims: Claims, state: State, store: Store) -> None:
    try:
        verdict = _ask_store(claims, state, store)
    except StoreUnavailable:
        if state.config.store_outage != "allow" or claims.token_type != ACCESS:
            raise
        if state.snapshot is not None and state.snapshot.refuses(claims):
            raise RevokedToken from None  # what was revoked stays so
        _log.warning("the store does not answer: an access token passed unchecked")
        store_bypassed.send(state.app)
        return
    if verdict is not Verdict.LIVE:
        raise refusal_of(verdict, claims, state)


def _ask_store(claims: Claims, state: State, store: Store) -> Verdict:
    if state.snapshot is not None:
        try:
            verdict = state.snapshot.check(claims, state.clock)
        except StoreUnavailable:
            # A refusal costs no more time. To let a token in unchecked, it is not
            # enough that what is new cannot be told.
            if state.config.store_outage != "allow" or claims.token_type != ACCESS:
                raise
        else:
            if verdict is not None:
                return verdict
    return store.check_token(refer(claims))


def _ask_loader(loader: Callable[[Claims], Any], claims: Claims, state: State) -> None:
    if not _is_checked(claims, state):
        return
    revoked = state.call(loader, claims)
    if not isinstance(revoked, bool):
        _log.error("token_in_denylist_loader must give True or False: token refused")
    if revoked is not False:
        raise RevokedToken
