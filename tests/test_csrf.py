"""What another site makes a browser send is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flask_paseto import (
    AccessTokenRequired,
    Claims,
    CsrfError,
    ExpiredToken,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoManager,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    decode_token,
    get_subject,
    paseto_required,
    public,
    set_token_cookies,
    verify_paseto_in_request,
)
from flask_paseto.keys import generate_key, public_half
from flask_paseto.signals import refused
from flask_paseto.state import states_of
from flask_paseto.testing import override_settings, use_clock

from .browser import (
    ACCESS,
    CSRF,
    HEADER,
    REFRESH,
    add_cookie_routes,
    cookie_of,
    csrf_headers,
    log_in,
)
from .conftest import SECRET_KEY, MakeApp
from .refusals import assert_refused, bearer

UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]
SAFE = ["GET", "HEAD", "OPTIONS"]
CROSS = {"Sec-Fetch-Site": "cross-site"}
EXPECTED = (
    "The CSRF value of the cookie __Host-csrf_token must be repeated in the header "
    "X-CSRF-Token or the form field csrf_token."
)
CROSS_SITE = "A page of another site cannot send this request."


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an app that takes tokens from cookies and headers."""
    app = make_app(PASETO_TOKEN_LOCATIONS=["cookies", "headers"])
    add_cookie_routes(app)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client that has logged in."""
    return log_in(app)


def assert_csrf(response: TestResponse, message: str = EXPECTED) -> None:
    assert_refused(response, CsrfError)
    assert response.json == {"error": "csrf_failed", "message": message}


# The value


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("method", UNSAFE)
def test_a_cookie_token_needs_the_value_where_something_is_changed(
    client: FlaskClient, method: str
) -> None:
    assert_csrf(client.open("/view", method=method))
    headers = csrf_headers(client)
    assert client.open("/view", method=method, headers=headers).status_code == 200


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("method", ["PROPFIND", "QUERY", "PURGE", "post", "get"])
def test_a_method_that_is_not_known_to_be_safe_needs_the_value(
    app: Flask, method: str
) -> None:
    app.add_url_rule(
        "/any",
        "any",
        paseto_required(lambda: "x"),
        methods=["PROPFIND", "QUERY", "PURGE", "POST", "GET"],
    )
    response = log_in(app).open("/any", environ_overrides={"REQUEST_METHOD": method})
    if method == "get":  # Werkzeug reads methods in capitals
        assert response.status_code == 200
    else:
        assert_csrf(response)


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("method", SAFE)
def test_a_safe_method_needs_no_value(client: FlaskClient, method: str) -> None:
    for headers in ({}, {HEADER: "wrong"}, CROSS):
        assert client.open("/view", method=method, headers=headers).status_code == 200


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "0",
        "x" * 32,
        "{}0",
        "0{}",
        "{} ",
        "{},{}",
        "\xff" * 32,
        "é",
        "\x00",
        "v" * 100_000,
    ],
)
def test_any_other_value_is_refused(client: FlaskClient, value: str) -> None:
    right = cookie_of(client, CSRF)
    for wrong in {value.replace("{}", right), right.upper(), right[:-1]} - {right}:
        environ = {"HTTP_X_CSRF_TOKEN": wrong}
        assert_csrf(client.post("/view", environ_overrides=environ))


@pytest.mark.requirement("CSRF-1")
@given(data=st.binary(max_size=64), text=st.text(max_size=40))
@settings(max_examples=50)
def test_a_value_of_any_bytes_is_refused(data: bytes, text: str) -> None:
    client = log_in(SHARED)
    environ = {"HTTP_X_CSRF_TOKEN": data.decode("latin-1")}
    assert_csrf(client.post("/view", environ_overrides=environ))
    assert_csrf(client.post("/view", environ_overrides={"HTTP_X_CSRF_TOKEN": text}))
    encoded = text.encode("utf-8", "surrogatepass")
    for body in (b"csrf_token=" + data, b"csrf_token=" + encoded, data):
        response = client.post(
            "/view", data=body, content_type="application/x-www-form-urlencoded"
        )
        assert_csrf(response)


def shared() -> Flask:
    app = Flask("tests")
    app.config.update(PASETO_SECRET_KEY=SECRET_KEY, PASETO_TOKEN_LOCATIONS="cookies")
    PasetoManager(app)
    add_cookie_routes(app)
    return app


SHARED = shared()


@pytest.mark.requirement("CSRF-1")
def test_a_planted_cookie_does_not_help(client: FlaskClient) -> None:
    client.set_cookie(CSRF, "f" * 32)
    assert_csrf(client.post("/view", headers={HEADER: "f" * 32}))
    client.delete_cookie(CSRF)
    assert_csrf(client.post("/view", headers={HEADER: ""}))


@pytest.mark.requirement("CSRF-1")
def test_the_value_of_somebody_else_does_not_help(
    app: Flask, client: FlaskClient
) -> None:
    mallory = log_in(app, "mallory")
    client.set_cookie(CSRF, cookie_of(mallory, CSRF))
    assert_csrf(client.post("/view", headers=csrf_headers(mallory)))


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_may_hold_the_value(client: FlaskClient, content_type: str) -> None:
    value = cookie_of(client, CSRF)
    post = {"content_type": content_type}
    assert client.post("/view", data={"csrf_token": value}, **post).status_code == 200
    for data in ({}, {"csrf_token": ""}, {"csrf_token": [value, value]}, {"x": value}):
        assert_csrf(client.post("/view", data=data, **post))


@pytest.mark.requirement("CSRF-1")
def test_the_header_goes_before_the_form(client: FlaskClient) -> None:
    value = cookie_of(client, CSRF)
    data = {"csrf_token": value}
    assert_csrf(client.post("/view", data=data, headers={HEADER: "x"}))
    wrong = {"csrf_token": "x"}
    assert client.post("/view", data=wrong, headers={HEADER: value}).status_code == 200
    assert client.post("/view", data=data, headers={HEADER: ""}).status_code == 200


@pytest.mark.requirement("CSRF-1")
def test_the_value_stands_nowhere_else(client: FlaskClient) -> None:
    value = cookie_of(client, CSRF)
    assert_csrf(client.post("/view", json={"csrf_token": value}))
    assert_csrf(client.post("/view", query_string={"csrf_token": value}))
    text = {"data": f"csrf_token={value}", "content_type": "text/plain"}
    assert_csrf(client.post("/view", **text))


class Broken:
    """A body that breaks off, or that nobody is to read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, *args: object) -> bytes:
        self.reads += 1
        raise OSError

    readline = readinto = read


FORM = {"CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/x-www-form-urlencoded"}


@pytest.mark.requirement("BODY-1")
@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize(
    ("headers", "environ", "cookie"),
    [
        ({HEADER: "x"}, FORM, True),
        (CROSS, FORM, True),
        ({}, {**FORM, "CONTENT_TYPE": "application/json"}, True),
        ({}, {**FORM, "CONTENT_TYPE": "text/plain"}, True),
        ({}, FORM, False),
    ],
    ids=["header", "cross-site", "json", "text", "forged"],
)
def test_a_body_is_not_read_where_the_value_cannot_be_in_it(
    client: FlaskClient, headers: Any, environ: Any, cookie: bool
) -> None:
    """Nor for a token whose seal does not hold."""
    body = Broken()
    if not cookie:
        client.set_cookie(ACCESS, "v4.local.forged")
    environ = {**environ, "wsgi.input": body}
    response = client.post("/view", headers=headers, environ_overrides=environ)
    assert_refused(response, CsrfError if cookie else InvalidToken)
    assert body.reads == 0


@pytest.mark.requirement("BODY-1")
def test_a_form_that_breaks_off_is_a_bad_request(client: FlaskClient) -> None:
    body = Broken()
    response = client.post("/view", environ_overrides={**FORM, "wsgi.input": body})
    assert_refused(response, InvalidRequest)
    assert body.reads > 0


@pytest.mark.requirement("BODY-1")
def test_a_form_over_the_limit_of_the_app_is_refused(
    app: Flask, client: FlaskClient
) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 5
    assert client.post("/view", data={"csrf_token": "x" * 50}).status_code == 413


@pytest.mark.requirement("CSRF-1")
def test_a_body_read_for_the_value_is_there_for_the_view(app: Flask) -> None:
    app.add_url_rule(
        "/form",
        "form",
        paseto_required(lambda: dict(request.form)),
        methods=["POST"],
    )
    client = log_in(app)
    data = {"csrf_token": cookie_of(client, CSRF), "text": "x"}
    assert client.post("/form", data=data).json == data


# The order


@pytest.mark.requirement("ANS-2")
@pytest.mark.requirement("CSRF-1")
def test_the_value_is_asked_for_after_the_seal_and_before_the_rest(
    app: Flask, client: FlaskClient
) -> None:
    access = cookie_of(client, ACCESS)
    client.set_cookie(ACCESS, access[:-1] + ("A" if access[-1] != "A" else "Q"))
    assert_refused(client.post("/view"), InvalidToken)
    assert_csrf(client.post("/view", headers=CROSS), CROSS_SITE)
    client.set_cookie(ACCESS, cookie_of(client, REFRESH))
    assert_csrf(client.post("/view"))
    response = client.post("/view", headers=csrf_headers(client))
    assert_refused(response, AccessTokenRequired)
    client.set_cookie(ACCESS, access)
    with use_clock(app) as clock:
        clock.advance(timedelta(hours=1))
        assert_csrf(client.post("/view"))
        response = client.post("/view", headers=csrf_headers(client))
        assert_refused(response, ExpiredToken)
    client.delete_cookie(ACCESS)
    assert_refused(client.post("/view", headers=CROSS), MissingToken)


@pytest.mark.requirement("CSRF-1")
def test_a_forged_request_reaches_no_callback(make_app: MakeApp) -> None:
    paseto, asked = PasetoManager(), []

    @paseto.token_in_denylist_loader
    def revoked(claims: Claims) -> bool:
        asked.append("revoked")
        return False

    @paseto.user_lookup_loader
    def user(claims: Claims) -> str:
        asked.append("user")
        return claims.subject

    app = make_app(paseto, PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app)
    client = log_in(app)
    assert_csrf(client.post("/view"))
    assert_csrf(client.post("/view", headers=CROSS), CROSS_SITE)
    assert asked == []
    assert client.post("/view", headers=csrf_headers(client)).status_code == 200
    assert asked == ["revoked", "user"]


def test_a_refusal_is_told_to_who_listens(app: Flask, client: FlaskClient) -> None:
    told: list[dict[str, Any]] = []

    def listen(sender: Flask, **what: Any) -> None:
        told.append(what)

    with refused.connected_to(listen, app):
        client.post("/view")
    assert told == [{"error_code": "csrf_failed", "status_code": 403}]


# Fetch Metadata


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("site", ["cross-site", "Cross-Site", "cross-site, none"])
def test_what_the_browser_says_another_site_made_is_refused(
    client: FlaskClient, method: str, site: str
) -> None:
    headers = {**csrf_headers(client), "Sec-Fetch-Site": site}
    assert_csrf(client.open("/view", method=method, headers=headers), CROSS_SITE)


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", "", "\xff"])
def test_what_our_own_pages_made_passes_with_the_value(
    client: FlaskClient, site: str
) -> None:
    environ = {"HTTP_SEC_FETCH_SITE": site}
    assert_csrf(client.post("/view", environ_overrides=environ))
    response = client.post(
        "/view", headers=csrf_headers(client), environ_overrides=environ
    )
    assert response.status_code == 200


@pytest.mark.requirement("CSRF-1")
def test_a_trusted_origin_needs_the_value_all_the_same(make_app: MakeApp) -> None:
    app = make_app(
        PASETO_TOKEN_LOCATIONS="cookies",
        PASETO_COOKIE_SAMESITE="None",
        PASETO_CSRF_TRUSTED_ORIGINS=["https://app.example.com"],
    )
    add_cookie_routes(app)
    client = log_in(app)
    trusted = {**CROSS, "Origin": "https://app.example.com"}
    assert_csrf(client.post("/view", headers=trusted))
    headers = {**trusted, **csrf_headers(client)}
    assert client.post("/view", headers=headers).status_code == 200
    for origin in (
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
        "",
    ):
        headers["Origin"] = origin
        assert_csrf(client.post("/view", headers=headers), CROSS_SITE)
    del headers["Origin"]
    assert_csrf(client.post("/view", headers=headers), CROSS_SITE)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("place", ["json", "form", "query"])
@pytest.mark.parametrize("by", ["setting", "view"])
def test_a_token_in_a_body_or_query_beside_cookies_is_not_taken_from_another_site(
    make_app: MakeApp, place: str, by: str
) -> None:
    both = ["cookies", place]
    if by == "setting":
        with pytest.warns(UserWarning, match=f"names cookies and {place}: another"):
            app = make_app(PASETO_TOKEN_LOCATIONS=both)
        add_cookie_routes(app)
    else:
        app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
        add_cookie_routes(app, locations=both)
    with app.app_context():
        token = {"access_token": create_access_token("alice")}
    option = {"json": "json", "form": "data", "query": "query_string"}[place]
    client, sent = app.test_client(), {option: token}
    assert client.post("/view", **sent).json == {"user": "alice", "place": place}
    assert_csrf(client.post("/view", headers=CROSS, **sent), CROSS_SITE)
    assert client.get("/view", headers=CROSS, **sent).status_code == 200


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("place", ["json", "form", "query"])
def test_without_cookies_another_site_may_send_its_token(
    make_app: MakeApp, place: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers", place])
    add_cookie_routes(app)
    with app.app_context():
        token = {"access_token": create_access_token("alice")}
    option: Any = {"json": "json", "form": "data", "query": "query_string"}[place]
    response = app.test_client().post("/view", headers=CROSS, **{option: token})
    assert response.status_code == 200


# Which tokens are exempt


@pytest.mark.requirement("CSRF-1")
@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("method", UNSAFE)
def test_a_header_token_is_exempt(app: Flask, method: str) -> None:
    with app.app_context():
        headers = {**bearer(create_access_token("alice")), **CROSS}
    response = app.test_client().open("/view", method=method, headers=headers)
    assert response.json == {"user": "alice", "place": "headers"}


@pytest.mark.requirement("CSRF-1")
@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("order", [("headers", "cookies"), ("cookies", "headers")])
def test_the_place_where_the_token_was_decides_and_no_other(
    make_app: MakeApp, order: tuple[str, ...]
) -> None:
    """A header beside the cookie neither saves a forged request nor asks for more."""
    app = make_app(PASETO_TOKEN_LOCATIONS=order)
    add_cookie_routes(app)
    client = log_in(app)
    with app.app_context():
        token = create_access_token("alice")
    response = client.post("/view", headers=bearer(token))
    if order[0] == "headers":
        assert response.json == {"user": "alice", "place": "headers"}
    else:
        assert_csrf(response)
    for header in ("Basic dXNlcjpwYXNz", "Token x", ""):
        assert_csrf(client.post("/view", headers={"Authorization": header}))


def test_a_token_that_the_app_hands_over_is_exempt(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    with app.app_context():
        token = create_access_token("alice")
    add_cookie_routes(app, token=lambda: token)
    response = app.test_client().post("/view", headers=CROSS)
    assert response.json == {"user": "alice", "place": "argument"}


@pytest.mark.requirement("CSRF-1")
@pytest.mark.requirement("OPT-1")
def test_an_optional_guard_lets_no_forged_request_pass(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app, optional=True)
    assert_csrf(log_in(app).post("/view"))
    nobody = app.test_client().post("/view", headers=CROSS)
    assert nobody.json == {"user": None, "place": None}


@pytest.mark.requirement("CSRF-1")
def test_protect_and_a_call_inside_a_view_check_too(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app)
    public(app.view_functions["login"])
    paseto.protect(app)

    @app.post("/bare")
    def bare() -> str:
        return str(get_subject())

    @app.post("/inside")
    @public
    def inside() -> str:
        identity = verify_paseto_in_request()
        assert identity is not None
        return identity.claims.subject

    client = log_in(app)
    headers = csrf_headers(client)
    for path in ("/bare", "/inside"):
        assert_csrf(client.post(path))
        assert_csrf(client.post(path, headers={**headers, **CROSS}), CROSS_SITE)
        assert client.post(path, headers=headers).text == "alice"


@pytest.mark.requirement("CSRF-1")
def test_a_cookie_token_without_a_value_is_refused(
    make_app: MakeApp, app: Flask
) -> None:
    """One of before cookies were a place, of a type of yours, or of another issuer."""
    with make_app().app_context():
        old = create_access_token("alice")
    app.add_url_rule(
        "/ticket",
        "ticket",
        paseto_required(type="ticket")(lambda: "x"),
        methods=["GET", "POST"],
    )
    client = app.test_client()
    client.set_cookie(ACCESS, old)
    assert client.get("/view").status_code == 200
    for value in ("", "None", "null"):
        assert_csrf(client.post("/view", headers={HEADER: value}))
    with app.app_context():
        ticket = create_token("alice", "ticket")
        assert "csrf" not in decode_token(ticket, type="ticket")
    client.set_cookie(ACCESS, ticket)
    assert client.get("/ticket").status_code == 200
    assert_csrf(client.post("/ticket"))


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("claim", [None, True, 5, "", [], ["x"], {"x": 1}, "é"])
def test_a_sealed_value_of_any_type_is_no_5xx(make_app: MakeApp, claim: Any) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app)
    with app.app_context():
        claims = dict(decode_token(create_access_token("alice")))
        codec = states_of(app)["default"].codec
        token = codec.seal({**claims, "csrf": claim})
    client = app.test_client()
    client.set_cookie(ACCESS, token)
    for given_value in ("", "None", "True", "5", "x", "[]"):
        environ = {"HTTP_X_CSRF_TOKEN": given_value}
        assert_csrf(client.post("/view", environ_overrides=environ))
    if claim == "é":
        environ = {"HTTP_X_CSRF_TOKEN": claim}
        assert client.post("/view", environ_overrides=environ).status_code == 200


# New at each login, the same through its refreshes


def value_of(app: Flask, token: str) -> Any:
    with app.app_context():
        return decode_token(token, type=("access", "refresh")).get("csrf")


@pytest.mark.requirement("CSRF-1")
def test_the_value_is_new_at_each_login(app: Flask) -> None:
    values = set()
    client = app.test_client()
    for _ in range(3):
        client.post("/login", data={"name": "alice"})
        values.add(cookie_of(client, CSRF))
        values.add(value_of(app, cookie_of(client, ACCESS)))
        values.add(value_of(app, cookie_of(client, REFRESH)))
    assert len(values) == 3
    assert all(len(value) == 32 for value in values)


@pytest.mark.requirement("CSRF-1")
def test_the_value_is_the_same_through_refreshes(
    app: Flask, client: FlaskClient
) -> None:
    headers = csrf_headers(client)  # of a page opened before
    for _ in range(3):
        assert client.post("/refresh", headers=headers).status_code == 200
        assert client.post("/view", headers=headers).status_code == 200
    assert value_of(app, cookie_of(client, ACCESS)) == headers[HEADER]


@pytest.mark.requirement("CSRF-1")
def test_a_step_up_in_a_guarded_view_keeps_the_value(app: Flask) -> None:
    """Else the refresh cookie, which stays, would not go with the new value."""
    made: list[str] = []

    @app.post("/fresh-login")
    @paseto_required
    def fresh_login() -> str:
        made.append(create_access_token(get_subject(), fresh=True))
        made.append(create_access_token("bob"))
        return ""

    client = log_in(app)
    client.post("/fresh-login", headers=csrf_headers(client))
    mine, bobs = (value_of(app, token) for token in made)
    assert mine == cookie_of(client, CSRF)
    assert bobs not in (None, mine)


@pytest.mark.requirement("CSRF-1")
def test_the_value_is_new_where_a_guarded_login_opens_a_session(
    make_app: MakeApp,
) -> None:
    """Under `protect` with `optional=True` a login sees the token of the one before."""
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_STORE="memory://")
    add_cookie_routes(app)

    @app.post("/login-again")
    @paseto_required(optional=True)
    def login_again() -> Response:
        response = jsonify(done=True)
        set_token_cookies(response, create_token_pair("alice", fresh=True))
        return response

    client = log_in(app)
    before = csrf_headers(client)
    assert client.post("/login-again", headers=before).status_code == 200
    values = {cookie_of(client, CSRF)}
    values |= {value_of(app, cookie_of(client, name)) for name in (ACCESS, REFRESH)}
    assert len(values) == 1
    assert values != {before[HEADER]}
    assert_refused(client.post("/view", headers=before), CsrfError)
    assert client.post("/view", headers=csrf_headers(client)).status_code == 200


def test_tokens_of_one_login_share_their_value(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    with app.app_context():
        pair = create_token_pair("alice")
        single = create_access_token("alice"), create_access_token("alice")
    assert value_of(app, pair.access_token) == value_of(app, pair.refresh_token)
    assert value_of(app, single[0]) != value_of(app, single[1])
    with app.test_request_context():
        tokens = [create_access_token("alice"), create_refresh_token("alice")]
        other = create_access_token("bob")
    assert value_of(app, tokens[0]) == value_of(app, tokens[1])
    assert value_of(app, other) != value_of(app, tokens[0])


def test_a_token_of_before_gets_a_value_when_it_is_refreshed(
    make_app: MakeApp, app: Flask
) -> None:
    with make_app().app_context():
        headers = bearer(create_refresh_token("alice"))
    response = app.test_client().post("/refresh", headers=headers)
    (cookie,) = [
        header
        for header in response.headers.getlist("Set-Cookie")
        if header.startswith(CSRF)
    ]
    assert len(cookie.partition(";")[0]) == len(CSRF) + 33


def test_without_cookies_there_is_no_value(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        assert "csrf" not in decode_token(create_access_token("alice"))


# The settings


@pytest.mark.requirement("CSRF-1")
def test_the_protection_can_be_switched_off_by_its_word(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_CSRF_PROTECT=False)
    add_cookie_routes(app)
    client = app.test_client()
    response = client.post("/login", data={"name": "alice"})
    names = [c.partition("=")[0] for c in response.headers.getlist("Set-Cookie")]
    assert names == [ACCESS, REFRESH]
    for headers in ({}, CROSS):
        assert client.post("/view", headers=headers).status_code == 200
    with override_settings(app, PASETO_CSRF_PROTECT=True):
        assert_csrf(client.post("/view"))
        # It was sealed all the same, so nobody need log in again.
        headers = {HEADER: value_of(app, cookie_of(client, ACCESS))}
        assert client.post("/view", headers=headers).status_code == 200


@pytest.mark.requirement("CSRF-1")
def test_the_methods_can_be_set(make_app: MakeApp) -> None:
    app = make_app(
        PASETO_TOKEN_LOCATIONS="cookies", PASETO_CSRF_SAFE_METHODS=["HEAD", "PATCH"]
    )
    add_cookie_routes(app)
    client = log_in(app)
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert_csrf(client.open("/view", method=method))
    assert client.patch("/view").status_code == 200
    with override_settings(app, PASETO_CSRF_SAFE_METHODS=()):
        assert_csrf(client.patch("/view"))


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"PASETO_CSRF_HEADER_NAME": "X-Form-Token"},
            "The CSRF value of the cookie __Host-csrf_token must be repeated in the "
            "header X-Form-Token or the form field csrf_token.",
        ),
        (
            {"PASETO_CSRF_FIELD_NAME": "f", "PASETO_CSRF_COOKIE_NAME": "c"},
            "The CSRF value of the cookie c must be repeated in the header "
            "X-CSRF-Token or the form field f.",
        ),
        (
            {"PASETO_CSRF_CHECK_FORM": False},
            "The CSRF value of the cookie __Host-csrf_token must be repeated in the "
            "header X-CSRF-Token.",
        ),
        (
            {"PASETO_CSRF_IN_COOKIES": False},
            "The CSRF value must be repeated in the header X-CSRF-Token or the form "
            "field csrf_token.",
        ),
    ],
    ids=["header", "field", "no-form", "no-cookie"],
)
def test_the_names_can_be_set_and_the_refusal_tells_them(
    make_app: MakeApp, settings: dict[str, Any], message: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", **settings)
    add_cookie_routes(app)
    client = log_in(app)
    value = value_of(app, cookie_of(client, ACCESS))
    header = settings.get("PASETO_CSRF_HEADER_NAME", HEADER)
    field = settings.get("PASETO_CSRF_FIELD_NAME", "csrf_token")
    assert_csrf(client.post("/view"), message)
    assert value not in message
    assert client.post("/view", headers={header: value}).status_code == 200
    response = client.post("/view", data={field: value})
    if "PASETO_CSRF_CHECK_FORM" in settings:
        assert_csrf(response, message)
    else:
        assert response.status_code == 200
    cookie = settings.get("PASETO_CSRF_COOKIE_NAME", CSRF)
    kept = client.get_cookie(cookie)
    assert (kept is None) == ("PASETO_CSRF_IN_COOKIES" in settings)


def test_a_token_of_a_signing_key_is_bound_too(make_app: MakeApp) -> None:
    private = generate_key(4, "public")
    app = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_PRIVATE_KEY=private.to_paserk(),
        PASETO_TOKEN_LOCATIONS="cookies",
    )
    add_cookie_routes(app)
    client = log_in(app)
    assert_csrf(client.post("/view"))
    assert client.post("/view", headers=csrf_headers(client)).status_code == 200
    verifier = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_PUBLIC_KEY=public_half(private).to_paserk(),
        PASETO_TOKEN_LOCATIONS="cookies",
    )
    add_cookie_routes(verifier)
    reader = verifier.test_client()
    reader.set_cookie(ACCESS, cookie_of(client, ACCESS))
    assert_csrf(reader.post("/view"))
    assert reader.post("/view", headers=csrf_headers(client)).status_code == 200
