"""Quiet refresh: an answer renews the cookies of its request before they expire."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from werkzeug.wrappers import Response

from .authenticate import verify
from .claims import ACCESS, REFRESH, Claims, CurrentClaims, Need, Place
from .cookie_policy import move_cookies
from .cookies import write_cookies
from .csrf import CLAIM
from .errors import PasetoError
from .identity import RequestRecord, served_request
from .locations import cookie_values
from .login import Draft
from .persistence import persistence_of
from .revocation import check_revoked, find_current
from .rotation import Step, swap
from .state import State
from .stores import Session, Store, Verdict, micros
from .stores.rules import touched
from .token_options import StepOptions
from .tokens import hand_out_pair

_log = logging.getLogger("flask_paseto")

# The store is asked by `find_current`, which ends nothing.
_REFRESH: Final[Need] = Need(types=frozenset({REFRESH}), check_revoked=False)
_NEVER: Final[datetime] = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Proposal:
    """The next pair of a session, sealed; the store does not know of it yet.

    Attributes:
        refresh: The refresh token that it is for.
        row: The row before it.
        drafts: The access token and the refresh token.
    """

    refresh: Claims
    row: Session
    step: Step
    drafts: tuple[Draft, Draft]


def renew_cookies(response: Response, record: RequestRecord, state: State) -> None:
    """Renew the cookies of a request in its answer, if it is time and they may be.

    Nobody asked for it, so it ends no session and breaks no answer: what is not
    renewed expires, and then there is a view that refreshes, or a login.
    """
    access = _find_due(response, record, state)
    if access is None or state.store is None:
        return
    try:
        proposal = _propose(access, state, state.store)
        if proposal is not None:
            _commit(proposal, response, state, state.store)
    except PasetoError as refusal:
        level = logging.WARNING if refusal.status_code >= 500 else logging.DEBUG
        _log.log(level, "cookies were not renewed: %s", refusal.error_code)
    except Exception:
        # A callback of the app has failed. The view has done its work by now, and an
        # error would make the client do it again.
        _log.exception("cookies were not renewed")


def _find_due(
    response: Response, record: RequestRecord, state: State
) -> CurrentClaims | None:
    """Return the access token that came in a cookie and is close to its end."""
    within, identity = state.config.cookies.refresh_within, record.identity
    if within is None or identity is None or identity.place is not Place.COOKIES:
        return None
    claims = identity.claims
    if claims.token_type != ACCESS or claims.session_id is None:
        return None
    if claims.expires_at is None or not _may_carry(response, record, state):
        return None
    # One that by the app's word lasts less than others has a part of its life, too.
    life = claims.expires_at - claims.issued_at
    left = claims.expires_at - state.clock()
    return CurrentClaims(claims) if left <= min(within, life / 2) else None


def _may_carry(response: Response, record: RequestRecord, state: State) -> bool:
    """Tell whether an answer went well, is short, and says nothing else of cookies."""
    if not 200 <= response.status_code < 400 or record.refusal is not None:
        return False
    if response.is_streamed or response.direct_passthrough:
        return False  # it is under way for long, and would overwrite what came since
    cookies = (state.config.cookies.access, state.config.cookies.refresh)
    is_told = any(cookie.is_written(response) for cookie in cookies)
    return not record.revoked and not is_told


def _propose(access: CurrentClaims, state: State, store: Store) -> Proposal | None:
    """Return the next pair, if the refresh token is there and may be used now."""
    refresh = _find_refresh(state)
    if refresh is None or not _belong_together(access, refresh):
        return None
    row = find_current(refresh, state, store)
    if row is None:
        return None  # another request was first, or the session is over
    check_revoked(access, state)
    step = _build_step(access, refresh, row, state)
    if step is None:
        return None
    drafts = step.propose()
    if not _is_longer(drafts[0], access):
        return None
    return Proposal(refresh=refresh, row=row, step=step, drafts=drafts)


def _commit(proposal: Proposal, response: Response, state: State, store: Store) -> None:
    """Let the store swap the refresh token, and put what it won into the answer."""
    # Before the swap: what no browser keeps must not use the refresh token up.
    prepared = _prepare(proposal, state)
    successor = proposal.step.issued(*proposal.drafts)
    answer = swap(store, proposal.refresh, successor, state, punish=False)
    # A retry of another request is for the refresh view; ours has our successor.
    issued = None if answer.session is None else answer.session.issued
    passes = answer.verdict in (Verdict.WON, Verdict.RETRY)
    if passes and issued is not None and issued.jti == successor.jti:
        move_cookies(prepared, response)
        hand_out_pair(proposal.step.login, *proposal.drafts)


def _find_refresh(state: State) -> CurrentClaims | None:
    """Return the refresh token that came beside the access token, verified.

    Raises:
        PasetoError: It is refused; or the guard of the view has an assertion of its
            own, and what is issued here would not have it.
    """
    cookies, assertion = state.config.cookies, state.assertion()
    mine = cookie_values(served_request(), cookies.access.name)
    beside = cookie_values(served_request(), cookies.refresh.name)
    if len(mine) != 1 or len(beside) != 1:
        return None
    state.codec.open(mine[0], assertion, state.clock())
    return CurrentClaims(verify(beside[0], _REFRESH, state)[0])


def _belong_together(access: Claims, refresh: Claims) -> bool:
    """Tell whether two tokens are of one login, and the refresh token is no younger."""
    if (access.subject, access.session_id) != (refresh.subject, refresh.session_id):
        return False
    if access.get(CLAIM) != refresh.get(CLAIM):
        return False  # pages that are open have the one value or the other
    login, earlier = access.auth_time, refresh.auth_time
    return earlier is None or (login is not None and earlier <= login)


def _build_step(
    access: Claims, refresh: Claims, row: Session, state: State
) -> Step | None:
    """Return the next tokens: as long as those before, the access token no wider."""
    options = _as_long(access, state)
    if not refresh.scopes <= access.scopes:
        options["scopes"] = refresh.scopes & access.scopes
    if not set(refresh.audience) <= set(access.audience):
        options["audience"] = [
            name for name in refresh.audience if name in access.audience
        ]
        if not options["audience"]:
            return None
    return Step(
        touched(row, micros(state.clock())),
        options,
        _as_long(refresh, state),
        verified=refresh,
    )


def _as_long(claims: Claims, state: State) -> StepOptions:
    """Return options for a token that lasts as long, which the app may have chosen."""
    life = (claims.expires_at or _NEVER) - claims.issued_at
    return {"expires_in": min(life, state.config.max_token_lifetime)}


def _is_longer(draft: Draft, access: Claims) -> bool:
    """Tell whether a new access token ends later: at the end of a session none does."""
    ends, before = draft.stamp.expires_at, access.expires_at
    return ends is not None and before is not None and ends > before


def _prepare(proposal: Proposal, state: State) -> Response:
    """Return an answer that sets the cookies of new tokens.

    Raises:
        ValueError: One of them is larger than what browsers keep.
    """
    prepared, assertion = Response(), state.assertion()
    persistent = persistence_of(proposal.row, state.config.cookies.persistent)
    for draft in proposal.drafts:
        claims = state.codec.open(draft.text, assertion, state.clock())
        write_cookies(prepared, draft.text, claims, persistent, state)
    return prepared
