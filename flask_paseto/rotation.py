"""The next pair of tokens of a session, for its refresh token."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Unpack

from .claims import ACCESS, REFRESH, Claims
from .errors import InvalidClaims, RefreshTokenRequired, StoreUnavailable
from .identity import RequestRecord, current_record, verified_claims
from .login import Draft, Login
from .options import refuse_unknown
from .revocation import refusal_of
from .rows import Stamp, answer_of, issued_of, membership_of, stamp_of
from .signals import refresh_retried
from .state import State, current_state
from .stores import Answer, Issued, Session, Store, Verdict, micros, new_id
from .token_options import StepOptions
from .tokens import TokenPair, hand_out_pair


def rotate_token_pair(
    *,
    refresh_expires_in: timedelta | int | None = None,
    **options: Unpack[StepOptions],
) -> TokenPair:
    """Return the next access and refresh token of the session of this request.

    Call it in a view under :func:`refresh_token_required`. The refresh token of the
    request is used up by it. If it comes again within `PASETO_ROTATION_GRACE` it gets
    the same successor, with the times, scopes and audience of the first time; if it
    comes later, the session ends. The access token is not fresh, and the time of
    login stays what it was.

    Args:
        refresh_expires_in: The lifetime of the refresh token; `expires_in` is that
            of the access token.

    Raises:
        RefreshTokenReused: The refresh token was used before; its session is ended.
        RevokedToken, ExpiredToken: Its session was revoked meanwhile, or has ended.
        StoreUnavailable: It cannot be told; the client may try again.
        ConfigurationError: It needs `PASETO_STORE`.
        RuntimeError: No guard let this request pass, or it was rotated already.
        TypeError, ValueError: An argument is unknown or wrong; scopes and audience
            may only be fewer.
    """
    refuse_unknown(options, StepOptions.__optional_keys__, "rotate_token_pair")
    state = current_state()
    store = state.need_store("rotate_token_pair")
    record, claims = _refresh_token()
    answer = answer_of(claims, record, state, store)
    if answer is None or answer.session is None:
        raise InvalidClaims("A refresh token without a session cannot be rotated.")
    if answer.verdict is Verdict.WON:
        raise RuntimeError("rotate_token_pair was called for this request already")
    step = _Step(answer.session, options, refresh_expires_in)
    # Sealed before the swap: what cannot be sealed must not use the token up.
    access, refresh = step.propose()
    successor = issued_of(refresh.stamp, access.stamp)
    answer = _consume(store, claims, successor, state)
    issued = None if answer.session is None else answer.session.issued
    if answer.verdict not in (Verdict.WON, Verdict.RETRY) or issued is None:
        raise refusal_of(answer.verdict, claims, state)
    if issued.jti == successor.jti:
        record.answer = Answer(Verdict.WON, answer.session)
    else:
        access, refresh = step.repeat(issued)
        refresh_retried.send(state.app)
    return hand_out_pair(step.login, access, refresh)


def _refresh_token() -> tuple[RequestRecord, Claims]:
    """Return the record of the request and the refresh token that its guard let in."""
    record = current_record()
    if record is None or not record.passed:
        raise RuntimeError(
            "no guard has run for this request: rotate_token_pair belongs in a view "
            "under @refresh_token_required"
        )
    claims = verified_claims()
    if claims.token_type != REFRESH:
        raise RefreshTokenRequired
    return record, claims


def _consume(store: Store, claims: Claims, successor: Issued, state: State) -> Answer:
    ask = partial(
        store.consume,
        claims["sid"],
        claims.jti,
        successor,
        grace=micros(state.config.rotation_grace),
    )
    try:
        return ask()
    except StoreUnavailable:
        # Its answer may be lost: the same proposal is no reuse, also without a grace.
        return ask()


class _Step:
    """The tokens of one step of a session: as proposed, or as they were stored."""

    def __init__(
        self,
        row: Session,
        options: StepOptions,
        refresh_expires_in: timedelta | int | None,
    ) -> None:
        self.login = Login(row.subject, is_text=True)
        self._auth_time = self.login.auth_time(REFRESH, False, {})
        self._session = membership_of(row)
        self._options: dict[str, StepOptions] = {
            ACCESS: options,
            REFRESH: {**options, "expires_in": refresh_expires_in},
        }

    def propose(self) -> tuple[Draft, Draft]:
        """Return new tokens."""
        return self._draft(self._stamp(ACCESS), self._stamp(REFRESH))

    def repeat(self, issued: Issued) -> tuple[Draft, Draft]:
        """Return the tokens of a step that is stored."""
        jti = issued.access_jti or new_id(self.login.subject)
        return self._draft(
            stamp_of(jti, issued.access_expires_at, self._auth_time, issued),
            stamp_of(issued.jti, issued.expires_at, self._auth_time, issued),
        )

    def _stamp(self, kind: str) -> Stamp:
        return self.login.stamp(
            kind,
            self._options[kind],
            self._session,
            is_login=False,
            auth_time=self._auth_time,
        )

    def _draft(self, access: Stamp, refresh: Stamp) -> tuple[Draft, Draft]:
        draft, session, options = self.login.draft, self._session, self._options
        return (
            draft(ACCESS, options[ACCESS], False, access, session),
            draft(REFRESH, options[REFRESH], False, refresh, session),
        )
