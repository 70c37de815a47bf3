"""The types of the public names; only type checkers read this file."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from flask import Blueprint, Flask, make_response, redirect
from flask.views import MethodView

from flask_paseto import (
    NEVER,
    Claims,
    Identity,
    InsufficientScope,
    PasetoError,
    PasetoManager,
    Place,
    ReauthenticationRequired,
    SessionInfo,
    TokenPair,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    csrf_token,
    decode_token,
    get_claims,
    get_current_user,
    get_identity,
    get_jti,
    get_session_id,
    get_subject,
    get_token_footer,
    get_token_payload,
    list_sessions,
    paseto_required,
    public,
    refresh_token_required,
    revoke_session,
    revoke_subject,
    revoke_token,
    rotate_token_pair,
    safe_next,
    set_access_cookies,
    set_refresh_cookies,
    set_token_cookies,
    unset_access_cookies,
    unset_cookies,
    unset_refresh_cookies,
    verify_paseto_in_request,
)
from flask_paseto.endpoints import session_blueprint

app = Flask(__name__)
paseto = PasetoManager(app)


def view(number: int, *, name: str = "") -> dict[str, int]:
    return {name: number}


async def slow(number: int) -> str:
    return str(number)


# Guards leave the type of a view as it is.

assert_type(paseto_required(view)(1, name="x"), dict[str, int])
assert_type(paseto_required()(view)(1), dict[str, int])
assert_type(paseto_required(fresh=True)(view)(1, name="x"), dict[str, int])
assert_type(refresh_token_required(view)(1), dict[str, int])
assert_type(refresh_token_required()(view)(1), dict[str, int])
assert_type(refresh_token_required(optional=True)(view)(1), dict[str, int])
assert_type(public(view)(1), dict[str, int])


async def wait() -> None:
    assert_type(await paseto_required(slow)(1), str)
    assert_type(await paseto_required()(slow)(1), str)
    assert_type(await paseto_required(max_age=300)(slow)(1), str)
    assert_type(await refresh_token_required(slow)(1), str)
    assert_type(await refresh_token_required()(slow)(1), str)
    assert_type(await public(slow)(1), str)


paseto_required(view)("x")  # type: ignore[arg-type]  # pyright: ignore
paseto_required(view)(1, other="x")  # type: ignore[call-arg]  # pyright: ignore
paseto_required(frsh=True)  # type: ignore[call-overload]  # pyright: ignore
paseto_required(fresh="yes")  # type: ignore[call-overload]  # pyright: ignore
paseto_required("access")  # type: ignore[call-overload]  # pyright: ignore


@app.get("/bare")
@paseto_required
def bare() -> str:
    return ""


@app.get("/called")
@paseto_required()
async def called() -> str:
    return ""


@app.get("/options/<name>")
@paseto_required(
    fresh=True,
    max_age=timedelta(minutes=5),
    optional=False,
    type=("access", "ticket"),
    scopes={"read"},
    locations=["headers", "query"],
    token=lambda: "x",
    header_name="X-Token",
    header_type="",
    json_key="t",
    query_key="t",
    form_key="t",
    audience="api",
    implicit_assertion=b"",
    check_revoked=False,
)
def with_options(name: str) -> dict[str, str]:
    return {"name": name}


@app.get("/refresh")
@refresh_token_required
async def refresh() -> tuple[str, int]:
    return "", 200


class Api(MethodView):
    decorators = [paseto_required, paseto_required(fresh=True)]  # noqa: RUF012

    @paseto_required
    def get(self, number: int) -> str:
        return str(number)

    @public
    async def post(self) -> str:
        return ""


assert_type(Api().get(1), str)

paseto.protect(app, fresh=True)
paseto.protect(Blueprint("api", __name__))


# Getters

assert_type(get_identity(), Identity | None)
assert_type(get_claims(), Claims | None)
assert_type(get_subject(), str | None)
assert_type(get_jti(), str | None)
assert_type(get_session_id(), str | None)
assert_type(get_token_payload(), dict[str, Any] | None)
assert_type(get_token_footer(), dict[str, Any] | str | None)
assert_type(get_current_user(), Any)
assert_type(verify_paseto_in_request(), Identity | None)
assert_type(verify_paseto_in_request(optional=True, type="x"), Identity | None)


def about(identity: Identity, claims: Claims) -> None:
    assert_type(identity.claims, Claims)
    assert_type(identity.place, Place)
    assert_type(claims.subject, str)
    assert_type(claims.session_id, str | None)
    assert_type(claims.expires_at, datetime | None)
    assert_type(claims.issued_at, datetime)
    assert_type(claims.fresh, bool | datetime)
    assert_type(claims.audience, tuple[str, ...])
    assert_type(claims.scopes, frozenset[str])
    assert_type(claims["name"], Any)
    claims.fresh = True  # type: ignore[misc]  # pyright: ignore


# Issuing

assert_type(create_access_token("alice"), str)
assert_type(create_access_token(7, fresh=True), str)
assert_type(create_access_token(UUID(int=1), fresh=timedelta(minutes=5)), str)
assert_type(create_access_token(object(), fresh=300, expires_in=NEVER), str)
assert_type(
    create_refresh_token(
        "alice",
        expires_in=60,
        not_before=timedelta(seconds=5),
        scopes="a b",
        audience=["a"],
        issuer="me",
        user_claims={"a": 1},
        footer={"a": 1},
        implicit_assertion="x",
        purpose="public",
        auth_time=datetime.now(),
        session_id=False,
    ),
    str,
)
assert_type(create_token("alice", "ticket", session_id="x"), str)
assert_type(create_token_pair("alice", fresh=True, refresh_expires_in=60), TokenPair)
assert_type(
    create_token_pair("alice").to_dict(),
    dict[str, str | int | None],
)
assert_type(decode_token("x", type="ticket"), Claims)

create_refresh_token("alice", fresh=True)  # type: ignore[call-arg]  # pyright: ignore
create_access_token("alice", purpose="x")  # type: ignore[arg-type]  # pyright: ignore
create_token("alice")  # type: ignore[call-arg]  # pyright: ignore


# Cookies and the login page: answers of Flask and of Werkzeug alike.

answer = make_response("")
set_access_cookies(answer, create_access_token("alice"), persistent=True)
set_refresh_cookies(redirect("/"), "x", implicit_assertion=b"tenant")
set_token_cookies(answer, create_token_pair("alice"), persistent=None)
set_token_cookies(answer, "x")  # type: ignore[arg-type]  # pyright: ignore
set_access_cookies({}, "x")  # type: ignore[arg-type]  # pyright: ignore
unset_cookies(answer)
unset_access_cookies(answer)
unset_refresh_cookies(redirect("/"))
assert_type(csrf_token(), str)
assert_type(csrf_token("x", implicit_assertion="tenant"), str)
assert_type(safe_next(None), str)
assert_type(safe_next("/x", "/home"), str)
paseto.redirect_unauthorized(app, "login")
paseto.redirect_unauthorized(Blueprint("api", __name__), "login", next_key=None)


# Callbacks keep their type.


@paseto.user_lookup_loader
def find_user(claims: Claims) -> str | None:
    return claims.subject


@paseto.token_in_denylist_loader
async def is_revoked(claims: Claims) -> bool:
    return claims.jti == ""


assert_type(find_user(decode_token("x")), str | None)
waiting: Awaitable[bool] = is_revoked(decode_token("x"))


# Refusals


@app.errorhandler(PasetoError)
def on_refusal(refusal: PasetoError) -> tuple[dict[str, str], int]:
    assert_type(refusal.message, str)
    assert_type(refusal.status_code, int)
    assert_type(refusal.error_code, str)
    return {"detail": refusal.message}, refusal.status_code


ReauthenticationRequired(max_age=timedelta(minutes=5))
InsufficientScope("No.", scopes=["admin"])


# Sessions.

assert_type(rotate_token_pair(), TokenPair)
assert_type(rotate_token_pair(refresh_expires_in=60, scopes="a"), TokenPair)
rotate_token_pair(session_id=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
create_token_pair("alice", client=True, address="192.0.2.1", session_id=False)
create_token_pair("alice", client=False)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(list_sessions("alice"), tuple[SessionInfo, ...])
assert_type(list_sessions(7)[0].expires_at, datetime)
assert_type(list_sessions(7)[0].to_dict(), dict[str, str | bool])
assert_type(revoke_token("token", reason="lost"), bool)
assert_type(revoke_token(decode_token("token")), bool)
assert_type(revoke_token(jti="id"), bool)
assert_type(revoke_session("id"), bool)
assert_type(revoke_subject("alice", except_session=None), int)
assert_type(decode_token("token", type="ticket", consume=True), Claims)
assert_type(session_blueprint(), Blueprint)
assert_type(paseto.create_store(app), None)
