"""`decode_token`: full verification, anywhere, with nothing bound to the request."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_paseto import (
    AccessTokenRequired,
    ClaimsRejected,
    ConfigurationError,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidClaims,
    InvalidToken,
    MissingToken,
    PasetoError,
    PasetoManager,
    RefreshTokenRequired,
    RevokedToken,
    WrongTokenType,
    create_access_token,
    create_refresh_token,
    create_token,
    decode_token,
    get_identity,
    get_subject,
    paseto_required,
)
from flask_paseto.testing import Clock

from .conftest import MakeApp
from .refusals import assert_refused, bearer


def test_it_gives_the_claims_of_a_token(app: Flask) -> None:
    with app.app_context():
        claims = decode_token(create_access_token("alice", user_claims={"a": 1}))
    assert claims.subject == "alice"
    assert claims["a"] == 1


@pytest.mark.requirement("CLM-1")
def test_it_asks_for_an_access_token_unless_told(app: Flask) -> None:
    with app.app_context():
        refresh = create_refresh_token("alice")
        ticket = create_token("alice", "ticket")
        with pytest.raises(AccessTokenRequired):
            decode_token(refresh)
        with pytest.raises(RefreshTokenRequired):
            decode_token(ticket, type="refresh")
        with pytest.raises(WrongTokenType) as caught:
            decode_token(refresh, type="ticket")
        assert type(caught.value) is WrongTokenType
        assert decode_token(ticket, type=("ticket", "refresh")).token_type == "ticket"
        assert decode_token(refresh, type="refresh").token_type == "refresh"


@pytest.mark.parametrize("token", ["", None], ids=repr)
def test_what_is_no_token_is_missing(app: Flask, token: Any) -> None:
    with app.app_context(), pytest.raises(MissingToken):
        decode_token(token)


@pytest.mark.parametrize(
    "token",
    ["x", "v4.local.", "\ud800", "é", "." * 9, 5, b"v4.local.x", []],
    ids=ascii,
)
def test_what_is_not_sealed_is_invalid(app: Flask, token: Any) -> None:
    with app.app_context(), pytest.raises(InvalidToken):
        decode_token(token)


def test_it_takes_the_options_of_a_guard(app: Flask, clock: Clock) -> None:
    with app.app_context():
        token = create_access_token("alice", scopes="read")
        assert decode_token(token, scopes="read").subject == "alice"
        with pytest.raises(InsufficientScope):
            decode_token(token, scopes="write")
        with pytest.raises(FreshTokenRequired):
            decode_token(token, fresh=True)
        with pytest.raises(InvalidClaims):
            decode_token(token, audience="me")
        with pytest.raises(InvalidToken):
            decode_token(token, implicit_assertion="x")
        clock.advance(60 * 15 + 10)
        with pytest.raises(ExpiredToken):
            decode_token(token)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"frsh": True}, TypeError),
        ({"type": ""}, ValueError),
        ({"max_age": 0}, ValueError),
    ],
    ids=str,
)
def test_a_wrong_option_is_an_error(
    app: Flask, options: dict[str, Any], error: type[Exception]
) -> None:
    with app.app_context():
        token = create_access_token("alice")
        with pytest.raises(error, match=next(iter(options))):
            decode_token(token, **options)


def test_it_asks_the_callbacks_but_for_the_user(
    app: Flask, paseto: PasetoManager
) -> None:
    revoked: list[str] = []
    rejected: list[str] = []
    paseto.token_in_denylist_loader(lambda claims: claims.jti in revoked)
    paseto.claims_verification_loader(lambda claims: claims.jti not in rejected)

    @paseto.user_lookup_loader
    def find(claims: Any) -> None:
        raise AssertionError("the user was looked up")

    with app.app_context():
        token = create_access_token("alice")
        claims = decode_token(token)
        rejected.append(claims.jti)
        with pytest.raises(ClaimsRejected):
            decode_token(token)
        revoked.append(claims.jti)
        with pytest.raises(RevokedToken):
            decode_token(token)
        rejected.clear()
        assert decode_token(token, check_revoked=False).jti == claims.jti


def test_nothing_is_bound_to_the_request(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        mine, other = create_access_token("alice"), create_access_token("bob")

    @app.get("/unguarded")
    def unguarded() -> str:
        assert decode_token(mine).subject == "alice"
        with pytest.raises(RuntimeError, match="no guard"):
            get_identity()
        return "ok"

    @app.get("/guarded")
    @paseto_required
    def guarded() -> str:
        assert decode_token(other).subject == "bob"
        return str(get_subject())

    client = app.test_client()
    assert client.get("/unguarded").text == "ok"
    assert client.get("/guarded", headers=bearer(mine)).text == "alice"


def test_a_refusal_that_the_view_lets_out_is_the_answer(make_app: MakeApp) -> None:
    app = make_app()

    @app.errorhandler(PasetoError)
    def mine(refusal: PasetoError) -> tuple[dict[str, str], int]:
        return dict(refusal.data), refusal.status_code

    @app.get("/view/<token>")
    def view(token: str) -> str:
        return decode_token(token).subject

    client = app.test_client()
    with app.app_context():
        token, refresh = create_access_token("alice"), create_refresh_token("alice")
    assert client.get(f"/view/{token}").text == "alice"
    assert_refused(client.get("/view/x"), InvalidToken)
    assert_refused(client.get(f"/view/{refresh}"), AccessTokenRequired)


def test_a_refusal_that_the_view_catches_leaves_no_trace(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/view")
    def view() -> str:
        with pytest.raises(InvalidToken):
            decode_token("x")
        return "caught"

    response = app.test_client().get("/view")
    assert response.text == "caught"
    assert "WWW-Authenticate" not in response.headers


def test_it_needs_a_manager() -> None:
    app = Flask("tests")
    with app.app_context(), pytest.raises(ConfigurationError, match="init_app"):
        decode_token("x")


def test_it_works_in_a_command(app: Flask, client: FlaskClient) -> None:
    @app.cli.command("look")
    def look() -> None:
        print(decode_token(create_access_token("alice")).subject)

    assert app.test_cli_runner().invoke(args=["look"]).output == "alice\n"
