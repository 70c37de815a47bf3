"""The one walk from a request to an identity, cheap steps before dear ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack
from weakref import ref

from flask import Request

from .claims import (
    REFRESH,
    ClaimOptions,
    Claims,
    CurrentClaims,
    Need,
    OpenedClaims,
    Place,
    VerifiedClaims,
    build_need,
)
from .csrf import check_site, check_value, is_forgeable
from .errors import (
    ClaimsRejected,
    ConfigurationError,
    MissingToken,
    PasetoError,
    RevokedToken,
    UserNotFound,
    bare_challenge,
)
from .identity import Identity, Refusal, RequestRecord, current_record, record_of
from .locations import find_token, read_argument
from .options import as_flag, refuse_unknown
from .revocation import check_revoked
from .signals import authenticated, refused
from .state import State, current_state
from .stores import Answer, Verdict, keep_until

CsrfCheck = Callable[[OpenedClaims], None]

_log = logging.getLogger("flask_paseto")


def authenticate(request: Request, need: Need, state: State) -> Identity | None:
    """Return who is there, and bind it to the request.

    None: no token came, and the need is optional.

    Raises:
        PasetoError: The request is refused; what its answer must carry is noted.
    """
    record = record_of(request, state.app)
    try:
        identity, answer = _identify(request, need, state, record)
    except PasetoError as refusal:
        note_refusal(record, refusal, state)
        raise
    record.identity = identity
    record.answer = answer
    record.passed = True
    record.refusal = None  # of an earlier attempt
    if identity is not None and authenticated.receivers:
        authenticated.send(
            state.app,
            place=identity.place.value,
            token_type=identity.claims.token_type,
        )
    return identity


def _identify(
    request: Request, need: Need, state: State, record: RequestRecord
) -> tuple[Identity | None, Answer | None]:
    places = need.locations or state.config.token_locations
    # Before the look, which may refuse what is there.
    if Place.QUERY in places and request.query_string:
        record.from_query = True
    if Place.COOKIES in places:
        record.from_cookies = True
        if not state.config.takes_cookies:
            raise ConfigurationError(
                "a guard looks into cookies, but PASETO_TOKEN_LOCATIONS does not name "
                "them: add 'cookies' there, and give the views that are not to look "
                "there locations="
            )
    found = find_token(request, need, state.config)
    if found is None:
        if need.optional:
            return None, None
        raise MissingToken
    check_csrf = _csrf_check(request, found.place, state)
    claims, answer = verify(found.token, need, state, check_csrf)
    return Identity(claims, found.place, _load_user(claims, state)), answer


def _csrf_check(request: Request, place: Place, state: State) -> CsrfCheck | None:
    """Return what holds the opened token against the request, None: nothing to.

    Raises:
        CsrfError: The browser itself says that another site made the request.
    """
    policy = state.config.csrf
    if policy is None or not is_forgeable(request, place, policy):
        return None
    check_site(request, policy)
    if place is not Place.COOKIES:
        return None
    return partial(check_value, request, policy=policy)


def verify(
    token: str, need: Need, state: State, check_csrf: CsrfCheck | None = None
) -> tuple[VerifiedClaims, Answer | None]:
    """Return the claims of a token that meets a need in every respect.

    Beside them stands what the store said of it, if it is a refresh token.

    Raises:
        PasetoError: It does not; the order of the checks is fixed, and nothing but
            the seal is looked at before the seal held.
    """
    assertion = need.implicit_assertion
    if assertion is None:
        assertion = state.assertion()
    now = state.clock()
    opened = state.codec.open(token, assertion, now)
    if check_csrf is not None:
        check_csrf(opened)
    claims = state.policy.check(opened, need, now)
    answer = check_revoked(claims, state) if need.check_revoked else None
    need.check_strength(claims, now)
    return _check_custom(claims, state), answer


def _check_custom(claims: CurrentClaims, state: State) -> VerifiedClaims:
    loader = state.callbacks.claims_verification
    if loader is not None:
        accepted = state.call(loader, claims)
        if not isinstance(accepted, bool):
            _log.error("claims_verification_loader must give True or False: refused")
        if accepted is not True:
            raise ClaimsRejected
    return VerifiedClaims(claims)


def _load_user(claims: VerifiedClaims, state: State) -> Any:
    loader = state.callbacks.user_lookup
    if loader is None:
        return None
    user = state.call(loader, claims)
    if user is None:
        raise UserNotFound
    return user


def note_refusal(record: RequestRecord, refusal: PasetoError, state: State) -> None:
    """Note what the answer must carry, and tell whoever listens; once a refusal."""
    told = record.refused is not None and record.refused() is refusal
    record.refused = ref(refusal)
    record.refusal = Refusal(
        refusal.status_code,
        refusal.challenge(state.config.realm),
        bare_challenge(state.config.realm),
        refusal.retry_seconds,
    )
    if not told:
        _log.debug("refused: %s", refusal.error_code)
    if refused.receivers and not told:
        refused.send(
            state.app,
            error_code=refusal.error_code,
            status_code=refusal.status_code,
        )


def decode_token(
    token: str, *, consume: bool = False, **options: Unpack[ClaimOptions]
) -> Claims:
    """Return the claims of a token after full verification, anywhere in the app.

    Without ``type=`` an access token is asked for.
    The user is not looked up, and nothing is bound to the request.

    Args:
        consume: Use the token up: it passes this once. For tokens of types of your
            own; a refresh token is used up by `rotate_token_pair`.

    Raises:
        PasetoError: The token is refused, as a guard would; or it was used before.
        TypeError, ValueError: An option is unknown or wrong.
        ConfigurationError: `consume` needs `PASETO_STORE`.
    """
    refuse_unknown(options, ClaimOptions.__optional_keys__, "decode_token")
    need, state = build_need(**options), current_state()
    if as_flag(consume, "consume"):
        state.need_store("consume=True")
        if REFRESH in need.types:
            raise ValueError("consume: a refresh token is used by rotate_token_pair")
    try:
        found = read_argument(token)
        if not found:
            raise MissingToken
        return _decode(found, need, state, consume)
    except PasetoError as refusal:
        record = current_record()
        if record is not None:
            note_refusal(record, refusal, state)
        raise


def _decode(token: str, need: Need, state: State, consume: bool) -> Claims:
    claims, answer = verify(token, need, state)
    if answer is not None and answer.verdict is Verdict.PREVIOUS:
        raise RevokedToken  # nothing can be issued for a retry without a guard
    if consume:
        until = keep_until(claims.expires_at, state.config.leeway)
        if not state.need_store("consume=True").consume_token(claims.jti, until=until):
            raise RevokedToken("The token was used before.")
        if state.snapshot is not None:
            state.snapshot.note_token(claims.jti, until)
    return claims
