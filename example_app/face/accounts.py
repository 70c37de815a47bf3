"""Sign up, sign in, sign out; the account, and the password asked for once more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from flask_paseto import (
    ExpiredToken,
    Identity,
    InvalidToken,
    MissingToken,
    PasetoError,
    create_access_token,
    create_token_pair,
    current_user,
    get_claims,
    get_session_id,
    paseto_required,
    refresh_token_required,
    revoke_session,
    rotate_token_pair,
    safe_next,
    set_access_cookies,
    set_token_cookies,
    unset_cookies,
    verify_paseto_in_request,
)

from ..fields import EMAIL, NAME, NEW_PASSWORD, PASSWORD, read_fields
from ..models import User, add_user, find_user, is_administrator
from ..views import LoginFailed
from .drawing import draw_token
from .words import ENDED, SAID

FRESH = timedelta(minutes=5)
COOKIES = ("cookies",)
KEYS = "keys"  # the scope of who may change the keys

_MUST_BE = {
    "name": "A name is 1 to 64 small letters, digits and _ . -",
    "email": "This is no e-mail address, such as alice@example.org.",
    "password": "A password has 8 to 128 characters.",
}


class OtherSite(PasetoError, Forbidden):
    """Another site sent a form of ours: it wants to sign people in as somebody else."""

    error_code = "other_site"
    default_message = "Another site sent this."


def add_to(pages: Blueprint) -> None:
    """Give the blueprint these views."""
    for path, view, method in (
        ("/", account, "GET"),
        ("/sign-in", sign_in, "GET"),
        ("/sign-in", let_in, "POST"),
        ("/sign-up", sign_up, "GET"),
        ("/sign-up", register, "POST"),
        ("/sign-out", sign_out, "POST"),
        ("/renew", renew, "POST"),
        ("/step-up", step_up, "POST"),
    ):
        pages.add_url_rule(path, view_func=view, methods=[method])


def sign_in() -> ResponseReturnValue:
    """Show the form; a browser that is known may go on without it."""
    reason = None
    here = back = None
    try:
        here = _who(type="access")
        back = None if here else _who(type="refresh")
    except PasetoError as refusal:
        if refusal.status_code >= 500:
            raise
        reason = ENDED.get(refusal.error_code)
        # The access token may have ended, and the session not.
        back = _who_may_renew() if refusal.error_code == "token_expired" else None
    page = _sign_in_page(
        notice=reason if back is None else None,
        said=SAID.get(request.args.get("said", "")),
        here=here and here.user,
        back=back and back.user,
    )
    response = current_app.make_response(page)
    if reason is not None and back is None:
        unset_cookies(response)  # they are of no use any more
    return response


def _who(*, optional: bool = True, **need: Any) -> Identity | None:
    return verify_paseto_in_request(optional=optional, locations=COOKIES, **need)


def _who_may_renew() -> Identity | None:
    try:
        return _who(type="refresh")
    except PasetoError:
        return None


def _sign_in_page(**shown: Any) -> str:
    return render_template("sign_in.html", next=_way_back(), **shown)


def _way_back() -> str:
    """Return where to go after the sign-in; the query and the form may be anybody's."""
    return safe_next(request.values.get("next"), url_for("pages.account"))


def let_in() -> AnyResponse:
    """Sign in whoever knows the password."""
    _refuse_other_sites()
    name, password = (request.form.get(field, "") for field in ("name", "password"))
    known = NAME.accepts(name) and PASSWORD.accepts(password)
    user = find_user(name, password) if known else None
    if user is None:
        raise LoginFailed
    return _signed_in(user, remember="remember" in request.form)


def sign_in_again(refusal: LoginFailed) -> ResponseReturnValue:
    """Show the form once more, with what was wrong."""
    name = request.form.get("name", "")
    return _sign_in_page(error=refusal.message, name=name), refusal.status_code


def _refuse_other_sites() -> None:
    """Refuse a form that another site sent: there is no token yet that would tell.

    Raises:
        OtherSite: The browser says so: with Fetch Metadata, which goes over https and
            to this machine alone, or with the origin.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        here = request.host_url.rstrip("/")
        site = "none" if request.headers.get("Origin", here) == here else "cross-site"
    if site not in ("same-origin", "none"):
        raise OtherSite


def _signed_in(user: User, *, remember: bool) -> AnyResponse:
    """Return the way on, with the cookies of a new session."""
    pair = create_token_pair(
        user.id,
        fresh=FRESH,
        client=True,
        address=True,
        scopes=_scopes_of(user),
        user_claims={"remember": remember},
    )
    response = redirect(_way_back(), 303)
    set_token_cookies(response, pair, persistent=remember)
    return response


def _scopes_of(user: User) -> list[str] | None:
    return [KEYS] if is_administrator(user) else None


def sign_up() -> str:
    """Show the form."""
    return render_template("sign_up.html", faults={}, given={})


def register() -> ResponseReturnValue:
    """Register somebody, and sign them in."""
    _refuse_other_sites()
    fields = (NAME, EMAIL, NEW_PASSWORD)
    given = {field.name: request.form.get(field.name, "") for field in fields}
    faults = {
        field.name: _MUST_BE[field.name]
        for field in fields
        if not field.accepts(given[field.name])
    }
    if not faults:
        user = add_user(given["name"], given["email"], given["password"])
        if user is not None:
            return _signed_in(user, remember=False)
        faults = {"name": "Somebody has that name already. Take another."}
    return render_template("sign_up.html", faults=faults, given=given), 422


def sign_out() -> AnyResponse:
    """End the session of this browser, also when its access token has ended."""
    try:
        _who(type="refresh", optional=False, check_revoked=False)
    except (ExpiredToken, InvalidToken, MissingToken):
        _who(type="access", optional=False, check_revoked=False)
    session_id = get_session_id()
    if session_id is not None:
        revoke_session(session_id, reason="logout")
    response = redirect(url_for("pages.sign_in", said="signed-out"), 303)
    unset_cookies(response)
    return response


@refresh_token_required(locations=COOKIES)
def renew() -> AnyResponse:
    """Give this browser the next tokens of its session."""
    pair = rotate_token_pair(user_claims={"remember": _is_remembered()})
    response: AnyResponse = Response(status=204)
    if "next" in request.form:  # a form, not a script
        response = redirect(_way_back(), 303)
    set_token_cookies(response, pair, persistent=_is_remembered())
    return response


@paseto_required(locations=COOKIES)
def step_up() -> AnyResponse:
    """Give this browser a fresh token of its session, for the password."""
    (password,) = read_fields(PASSWORD)
    user = find_user(current_user.name, password)
    if user is None:
        raise LoginFailed("That is not your password.")
    token = create_access_token(
        user.id,
        fresh=FRESH,
        scopes=_scopes_of(user),
        user_claims={"remember": _is_remembered()},
    )
    response = Response(status=204)
    set_access_cookies(response, token, persistent=_is_remembered())
    return response


def _is_remembered() -> bool:
    claims = get_claims()
    return claims is not None and claims.get("remember") is True


@paseto_required(locations=COOKIES)
def account() -> str:
    """Show the account, and the token that opened this page."""
    said = SAID.get(request.args.get("said", ""))
    return render_template("account.html", said=said, token=draw_token())
