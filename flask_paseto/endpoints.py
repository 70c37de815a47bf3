"""Views to mount if wanted: log out, log out everywhere, sessions, RFC 7009."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from flask import Blueprint, Response

from .claims import ACCESS, REFRESH, Need, Place
from .cookies import unset_cookies
from .decorators import paseto_required, public, verify_paseto_in_request
from .errors import ExpiredToken, InvalidRequest, InvalidToken, MissingToken
from .identity import served_request, verified_claims
from .locations import find_token
from .sessions import (
    end_sessions,
    revoke_session,
    revoke_token,
    sessions_of,
)
from .state import current_state

LOGOUT: Final = "logout"

_IN_THE_FORM: Final = Need(locations=(Place.FORM,), form_key="token")


def session_blueprint(name: str = "paseto_sessions") -> Blueprint:
    """Return a blueprint with the views of sessions; they need `PASETO_STORE`.

    Register it under a prefix of yours:

    - `POST /logout` ends the session of the token, an access or a refresh token, and
      clears the cookies where they are a place; of two, the access token counts
      unless it has expired or is not valid;
    - `POST /logout-all` ends all sessions of its subject, likewise;
    - `GET /sessions` lists them, `DELETE /sessions` ends all but this one, and
      `DELETE /sessions/<id>` ends one;
    - `POST /revoke` revokes the token in the form field `token` (RFC 7009). It needs
      no other authentication than the token, and is open under `protect` too.
    """
    blueprint = Blueprint(name, __name__)
    for path, method, view in (
        ("/logout", "POST", _log_out),
        ("/logout-all", "POST", _log_out_everywhere),
        ("/sessions", "GET", _show_sessions),
        ("/sessions", "DELETE", _end_others),
        ("/sessions/<session_id>", "DELETE", _end_session),
        ("/revoke", "POST", _revoke),
    ):
        endpoint = view.__name__.removeprefix("_")
        blueprint.add_url_rule(path, endpoint, view, methods=[method])
    return blueprint


def _done(*, logged_out: bool = False) -> Response:
    """Return an answer without a body, which clears the cookies of who is out."""
    response = Response(status=204)
    if logged_out and current_state().config.takes_cookies:
        unset_cookies(response)
    return response


@public  # and guarded in it, by either token
def _log_out() -> Response:
    _find_whom_to_log_out()
    claims = verified_claims()
    if claims.session_id is None:
        revoke_token(claims, reason=LOGOUT)
    else:
        revoke_session(claims.session_id, reason=LOGOUT)
    return _done(logged_out=True)


def _find_whom_to_log_out() -> None:
    """Take the access token, or the refresh token where its cookie is all there is.

    The browser forgets the cookie of an access token when that has expired; and its
    key may have ended, while that of the refresh token has not.
    """
    # A token that is revoked already is logged out: nothing is asked, nothing refused.
    try:
        verify_paseto_in_request(type=(ACCESS, REFRESH), check_revoked=False)
    except (ExpiredToken, InvalidToken, MissingToken) as refusal:
        with suppress(MissingToken):
            verify_paseto_in_request(type=REFRESH, check_revoked=False)
            return
        raise refusal


@paseto_required
def _log_out_everywhere() -> Response:
    end_sessions(verified_claims().subject, reason=LOGOUT)
    return _done(logged_out=True)


@paseto_required
def _show_sessions() -> dict[str, Any]:
    found = sessions_of(verified_claims().subject)
    return {"sessions": [each.to_dict() for each in found]}


@paseto_required
def _end_others() -> Response:
    claims = verified_claims()
    end_sessions(claims.subject, reason=LOGOUT, except_session=claims.session_id)
    return _done()


@paseto_required
def _end_session(session_id: str) -> Any:
    mine = sessions_of(verified_claims().subject)
    if session_id not in {each.session_id for each in mine}:
        return {"error": "not_found", "message": "There is no such session."}, 404
    revoke_session(session_id, reason=LOGOUT)
    return _done()


@public
def _revoke() -> Response:
    found = find_token(served_request(), _IN_THE_FORM, current_state().config)
    if found is None:
        raise InvalidRequest
    with suppress(InvalidToken):  # RFC 7009 section 2.2: the client is done with it
        revoke_token(found.token, reason=LOGOUT)
    return Response(status=200)
