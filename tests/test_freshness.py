"""Freshness and step-up: how old a login is, and that no refresh renews it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_paseto import (
    Claims,
    ExpiredToken,
    FreshTokenRequired,
    InvalidClaims,
    InvalidToken,
    PasetoManager,
    ReauthenticationRequired,
    RevokedToken,
    TokenNotYetValid,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    decode_token,
    get_subject,
    paseto_required,
    refresh_token_required,
)
from flask_paseto.state import states_of
from flask_paseto.testing import Clock, use_clock

from .conftest import MakeApp
from .refusals import assert_refused, bearer

Issue = Callable[..., str]


def log_in(client: FlaskClient, path: str = "/login") -> dict[str, str]:
    response = client.post(path, json={"name": "alice"})
    assert response.status_code == 200
    assert response.json is not None
    return dict(response.json)


def refresh(client: FlaskClient, token: str) -> str:
    response = client.post("/refresh", headers=bearer(token))
    assert response.status_code == 200
    assert response.json is not None
    return str(response.json["access_token"])


def read(app: Flask, token: str, **options: Any) -> Claims:
    with app.app_context():
        return decode_token(token, **options)


def seal(app: Flask, clock: Clock, **claims: Any) -> str:
    """Return a token with claims that `create_access_token` would not make."""
    now = clock().replace(microsecond=0)
    payload = {
        "sub": "alice",
        "type": "access",
        "jti": "1",
        "iat": rfc3339(now),
        "exp": rfc3339(now + timedelta(hours=1)),
    }
    return states_of(app)["default"].codec.seal({**payload, **claims})


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def clock(app: Flask) -> Any:
    """Return the clock of `app`, standing still at a whole second."""
    with use_clock(app, Clock(datetime.now(UTC).replace(microsecond=0))) as clock:
        yield clock


# The flow of the documentation


@pytest.mark.requirement("STEP-2")
def test_the_freshness_flow(app: Flask, client: FlaskClient, clock: Clock) -> None:
    tokens = log_in(client)
    fresh = bearer(tokens["access_token"])
    assert client.get("/protected", headers=fresh).json == {"user": "alice"}
    assert client.get("/protected-fresh", headers=fresh).json == {"user": "alice"}
    assert client.get("/recent", headers=fresh).json == {"user": "alice"}

    stale = bearer(refresh(client, tokens["refresh_token"]))
    assert client.get("/protected", headers=stale).json == {"user": "alice"}
    refused = client.get("/protected-fresh", headers=stale)
    assert_refused(refused, FreshTokenRequired)
    # The login is as young as it was.
    assert client.get("/recent", headers=stale).json == {"user": "alice"}

    clock.advance(301)
    stale = bearer(refresh(client, tokens["refresh_token"]))
    refused = client.get("/recent", headers=stale)
    assert_refused(refused, ReauthenticationRequired)

    again = bearer(log_in(client, "/fresh-login")["access_token"])
    assert client.get("/protected-fresh", headers=again).json == {"user": "alice"}
    assert client.get("/recent", headers=again).json == {"user": "alice"}


@pytest.mark.requirement("STEP-1")
@pytest.mark.parametrize(
    ("path", "refusal", "max_age"),
    [
        ("/protected-fresh", FreshTokenRequired, None),
        ("/recent", ReauthenticationRequired, "300"),
    ],
)
def test_step_up_is_a_401_with_the_challenge_of_rfc_9470(
    client: FlaskClient, issue: Issue, path: str, refusal: Any, max_age: str | None
) -> None:
    challenge = assert_refused(client.get(path, headers=bearer(issue())), refusal)
    assert challenge["error"] == "insufficient_user_authentication"
    assert challenge.get("max_age") == max_age


@pytest.mark.requirement("STEP-1")
@pytest.mark.parametrize("path", ["/protected-fresh", "/recent"])
def test_step_up_is_asked_for_only_after_the_token_verified(
    app: Flask, client: FlaskClient, clock: Clock, path: str
) -> None:
    stale = seal(app, clock)
    other = Flask("other")
    other.config["PASETO_SECRET_KEY"] = "f5J2uC8Qx1mZ7pWk3yRb9nTe6sVh4dLg0aXj"
    PasetoManager(other)
    with other.app_context():
        forged = create_access_token("alice")
    for token, refusal in [
        (stale[:-1] + ("A" if stale[-1] != "A" else "B"), InvalidToken),
        (forged, InvalidToken),
        (seal(app, clock, aud="elsewhere"), InvalidClaims),
        (seal(app, clock, exp=rfc3339(clock() - timedelta(hours=1))), ExpiredToken),
        (
            seal(app, clock, nbf=rfc3339(clock() + timedelta(minutes=9))),
            TokenNotYetValid,
        ),
    ]:
        assert_refused(client.get(path, headers=bearer(token)), refusal)


@pytest.mark.requirement("STEP-3")
@pytest.mark.parametrize("path", ["/protected-fresh", "/recent"])
def test_a_revoked_token_is_revoked_and_not_asked_for_the_password(
    client: FlaskClient, paseto: PasetoManager, issue: Issue, path: str
) -> None:
    paseto.token_in_denylist_loader(lambda claims: True)
    assert_refused(client.get(path, headers=bearer(issue())), RevokedToken)


# fresh=


@pytest.mark.parametrize("fresh", [False, True])
def test_fresh_is_what_was_said_at_issue(
    app: Flask, client: FlaskClient, issue: Issue, fresh: bool
) -> None:
    token = issue(fresh=fresh)
    assert read(app, token).fresh is fresh
    response = client.get("/protected-fresh", headers=bearer(token))
    if fresh:
        assert response.status_code == 200
    else:
        assert_refused(response, FreshTokenRequired)


def test_a_token_is_not_fresh_unless_it_is_said(app: Flask, issue: Issue) -> None:
    claims = read(app, issue())
    assert claims.fresh is False
    assert claims.auth_time is None


@pytest.mark.requirement("STEP-2")
def test_a_token_without_the_claim_is_not_fresh(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    refused = client.get("/protected-fresh", headers=bearer(seal(app, clock)))
    assert_refused(refused, FreshTokenRequired)


@pytest.mark.requirement("STEP-2")
@pytest.mark.parametrize("given", [timedelta(minutes=5), 300], ids=["delta", "int"])
def test_freshness_for_a_while_ends_without_leeway(
    app: Flask, client: FlaskClient, clock: Clock, issue: Issue, given: Any
) -> None:
    token = issue(fresh=given)
    assert read(app, token).fresh == clock() + timedelta(minutes=5)
    assert read(app, token).auth_time == clock()
    clock.advance(299.999)
    assert client.get("/protected-fresh", headers=bearer(token)).status_code == 200
    clock.advance(0.001)
    refused = client.get("/protected-fresh", headers=bearer(token))
    assert_refused(refused, FreshTokenRequired)
    assert client.get("/protected", headers=bearer(token)).status_code == 200


def test_freshness_ends_no_later_than_the_token(app: Flask, issue: Issue) -> None:
    claims = read(app, issue(fresh=timedelta(days=1), expires_in=60))
    assert claims.fresh == claims.expires_at


@pytest.mark.parametrize(
    ("fresh", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (timedelta(0), ValueError),
        (10**30, ValueError),
        (timedelta.max, ValueError),
        (1.5, TypeError),
        (None, TypeError),
        ("yes", TypeError),
    ],
    ids=str,
)
@pytest.mark.parametrize("create", [create_access_token, create_token_pair])
def test_a_wrong_fresh_is_an_error(
    app: Flask, create: Callable[..., Any], fresh: Any, error: type[Exception]
) -> None:
    with app.app_context(), pytest.raises(error, match="fresh"):
        create("alice", fresh=fresh)


# max_age=


@pytest.mark.requirement("STEP-2")
@pytest.mark.parametrize("given", [timedelta(minutes=5), 300], ids=["delta", "int"])
def test_max_age_has_no_leeway(make_app: MakeApp, given: Any) -> None:
    app = make_app(PASETO_LEEWAY=300)
    app.add_url_rule("/recent", "recent", paseto_required(max_age=given)(lambda: "x"))
    client = app.test_client()
    start = datetime.now(UTC).replace(microsecond=0)
    with use_clock(app, Clock(start)) as clock:
        with app.app_context():
            token = create_access_token("alice", fresh=True)
        clock.advance(300)
        assert client.get("/recent", headers=bearer(token)).status_code == 200
        clock.advance(timedelta(microseconds=1))
        refused = client.get("/recent", headers=bearer(token))
        challenge = assert_refused(refused, ReauthenticationRequired)
        assert challenge["max_age"] == "300"


@pytest.mark.requirement("STEP-2")
def test_a_token_without_a_login_time_is_challenged(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    for token in (seal(app, clock), seal(app, clock, fresh=True)):
        refused = client.get("/recent", headers=bearer(token))
        assert_refused(refused, ReauthenticationRequired)
        assert client.get("/protected", headers=bearer(token)).status_code == 200


@pytest.mark.requirement("STEP-2")
@pytest.mark.parametrize("path", ["/protected", "/recent"])
def test_a_login_in_the_future_or_after_the_token_is_refused(
    app: Flask, client: FlaskClient, clock: Clock, path: str
) -> None:
    now = clock()

    def answer(login: timedelta, issued: timedelta = timedelta()) -> Any:
        token = seal(
            app, clock, auth_time=rfc3339(now + login), iat=rfc3339(now + issued)
        )
        return client.get(path, headers=bearer(token))

    second = timedelta(seconds=1)
    assert answer(timedelta()).status_code == 200
    # Within the leeway of 10 seconds, and not after the token itself.
    assert answer(5 * second, 5 * second).status_code == 200
    assert_refused(answer(timedelta(microseconds=1)), InvalidClaims)
    assert_refused(answer(-second, -2 * second), InvalidClaims)
    assert_refused(answer(11 * second, 11 * second), TokenNotYetValid)
    assert_refused(answer(11 * second, 10 * second), InvalidClaims)


@pytest.mark.requirement("STEP-2")
def test_ill_typed_freshness_is_a_refusal(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    codec = states_of(app)["default"].codec
    key = codec.ring.issuing["local"]
    ill_typed: list[dict[str, Any]] = [
        {"fresh": "yes"},
        {"fresh": 1},
        {"fresh": None},
        {"fresh": []},
        {"auth_time": True},
        {"auth_time": 0},
        {"auth_time": "2024-01-01"},
        {"auth_time": None},
    ]
    for claims in ill_typed:
        payload = {
            "sub": "alice",
            "type": "access",
            "jti": "1",
            "iat": rfc3339(clock()),
            "exp": rfc3339(clock() + timedelta(hours=1)),
            **claims,
        }
        token = key.seal(json.dumps(payload).encode(), key.footer, b"")
        for path in ("/protected", "/protected-fresh", "/recent"):
            assert_refused(client.get(path, headers=bearer(token)), InvalidClaims)


# auth_time through refreshes


@pytest.mark.requirement("STEP-2")
def test_a_refresh_copies_the_login_time_unchanged(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    tokens, login = log_in(client), clock()
    for _ in range(3):
        clock.advance(timedelta(days=1))
        claims = read(app, refresh(client, tokens["refresh_token"]))
        assert claims.auth_time == login
        assert claims.issued_at == clock()
        assert claims.fresh is False
        first = read(app, tokens["refresh_token"], type="refresh")
        assert claims.session_id == first.session_id


@pytest.mark.requirement("STEP-2")
@pytest.mark.parametrize("create", ["refresh", "pair"])
def test_a_refresh_token_made_inside_a_guarded_view_is_as_old_as_its_login(
    make_app: MakeApp, create: str
) -> None:
    app = make_app()

    @app.post("/rotate")
    @refresh_token_required
    def rotate() -> str:
        if create == "refresh":
            return create_refresh_token(get_subject())
        return create_token_pair(get_subject()).refresh_token

    @app.post("/extend")
    @paseto_required
    def extend() -> str:
        if create == "refresh":
            return create_refresh_token(get_subject())
        return create_token_pair(get_subject()).refresh_token

    client = app.test_client()
    start = Clock(datetime.now(UTC).replace(microsecond=0))
    with use_clock(app, start) as clock, app.app_context():
        login, token = clock(), create_refresh_token("alice")
        access = create_access_token("alice", auth_time=login, expires_in=86400 * 9)
        for _ in range(3):
            clock.advance(timedelta(days=1))
            token = client.post("/rotate", headers=bearer(token)).text
            assert decode_token(token, type="refresh").auth_time == login
            given = client.post("/extend", headers=bearer(access)).text
            assert decode_token(given, type="refresh").auth_time == login


@pytest.mark.requirement("STEP-2")
def test_a_stale_token_without_a_login_time_never_gets_one(make_app: MakeApp) -> None:
    app = make_app()

    @app.post("/extend")
    @paseto_required
    def extend() -> str:
        return create_refresh_token(get_subject())

    with app.app_context():
        stale = create_access_token("alice")
        given = app.test_client().post("/extend", headers=bearer(stale)).text
        assert decode_token(given, type="refresh").auth_time is None


@pytest.mark.requirement("STEP-2")
def test_a_login_time_of_a_clock_ahead_is_taken_over_as_now(
    app: Flask, client: FlaskClient, clock: Clock
) -> None:
    clock.advance(5)
    tokens = log_in(client)
    clock.advance(-5)
    claims = read(app, refresh(client, tokens["refresh_token"]))
    assert claims.auth_time == clock() == claims.issued_at


@pytest.mark.requirement("STEP-2")
@pytest.mark.parametrize(
    "login", ["0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z"], ids=["east", "utc"]
)
def test_a_login_at_the_beginning_of_time_never_overflows(
    app: Flask, client: FlaskClient, clock: Clock, login: str
) -> None:
    token = seal(app, clock, type="refresh", auth_time=login)
    claims = read(app, refresh(client, token))
    assert claims.auth_time is not None
    assert claims.auth_time.year <= 2
    stale = bearer(seal(app, clock, auth_time=login))
    assert_refused(client.get("/recent", headers=stale), ReauthenticationRequired)


def test_a_login_inside_a_guarded_view_is_a_login(
    make_app: MakeApp,
) -> None:
    app = make_app()

    @app.post("/confirm-password")
    @paseto_required
    def confirm() -> str:
        return create_access_token(get_subject(), fresh=True)

    with use_clock(app) as clock, app.app_context():
        stale = create_access_token("alice")
        clock.advance(60)
        given = app.test_client().post("/confirm-password", headers=bearer(stale)).text
        claims = decode_token(given)
        assert claims.auth_time == clock().replace(microsecond=0)
        assert claims.fresh is True


@pytest.mark.requirement("STEP-2")
def test_a_refresh_token_handed_to_a_fresh_guard_is_not_fresh(
    make_app: MakeApp,
) -> None:
    app = make_app()
    guard = paseto_required(type=("access", "refresh"), fresh=True)
    app.add_url_rule("/view", "view", guard(lambda: "x"))
    with app.app_context():
        token = create_refresh_token("alice")
    refused = app.test_client().get("/view", headers=bearer(token))
    assert_refused(refused, FreshTokenRequired)
