"""The one walk from a request to an identity, cheap steps before dear ones."""

from __future__ import annotations

import logging
from typing import Any, Unpack
from weakref import ref

from flask import Request

from .claims import (
    ClaimOptions,
    Claims,
    CurrentClaims,
    Need,
    Place,
    VerifiedClaims,
    build_need,
)
from .errors import (
    ClaimsRejected,
    MissingToken,
    PasetoError,
    RevokedToken,
    UserNotFound,
    bare_challenge,
)
from .identity import Identity, Refusal, RequestRecord, current_record, record_of
from .locations import find_token, read_argument
from .options import refuse_unknown
from .signals import authenticated, refused
from .state import State, current_state

_log = logging.getLogger("flask_paseto")


def authenticate(request: Request, need: Need, state: State) -> Identity | None:
    """Return who is there, and bind it to the request.

    None: no token came, and the need is optional.

    Raises:
        PasetoError: The request is refused; what its answer must carry is noted.
    """
    record = record_of(request, state.app)
    try:
        identity = _identify(request, need, state, record)
    except PasetoError as refusal:
        note_refusal(record, refusal, state)
        raise
    record.identity = identity
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
) -> Identity | None:
    places = need.locations or state.config.token_locations
    if Place.QUERY in places and request.query_string:
        record.from_query = True  # before the look: it may refuse what is there
    found = find_token(request, need, state.config)
    if found is None:
        if need.optional:
            return None
        raise MissingToken
    claims = verify(found.token, need, state)
    return Identity(claims, found.place, _load_user(claims, state))


def verify(token: str, need: Need, state: State) -> VerifiedClaims:
    """Return the claims of a token that meets a need in every respect.

    Raises:
        PasetoError: It does not; the order of the checks is fixed, and nothing but
            the seal is looked at before the seal held.
    """
    assertion = need.implicit_assertion
    if assertion is None:
        assertion = state.assertion()
    now = state.clock()
    opened = state.codec.open(token, assertion, now)
    claims = state.policy.check(opened, need, now)
    if need.check_revoked:
        _check_revoked(claims, state)
    need.check_strength(claims, now)
    return _check_custom(claims, state)


def _check_revoked(claims: CurrentClaims, state: State) -> None:
    loader = state.callbacks.token_in_denylist
    if loader is None:
        return
    types = state.config.revocation_checks
    if types is not None and claims.token_type not in types:
        return
    revoked = state.call(loader, claims)
    if not isinstance(revoked, bool):
        _log.error("token_in_denylist_loader must give True or False: token refused")
    if revoked is not False:
        raise RevokedToken


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


def decode_token(token: str, **options: Unpack[ClaimOptions]) -> Claims:
    """Return the claims of a token after full verification, anywhere in the app.

    Without ``type=`` an access token is asked for.
    The user is not looked up, and nothing is bound to the request.

    Raises:
        PasetoError: The token is refused, as a guard would.
        TypeError, ValueError: An option is unknown or wrong.
    """
    refuse_unknown(options, ClaimOptions.__optional_keys__, "decode_token")
    need, state = build_need(**options), current_state()
    try:
        found = read_argument(token)
        if not found:
            raise MissingToken
        return verify(found, need, state)
    except PasetoError as refusal:
        record = current_record()
        if record is not None:
            note_refusal(record, refusal, state)
        raise
