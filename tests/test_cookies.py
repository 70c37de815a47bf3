"""How tokens go into cookies, come back, and are taken out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, jsonify, render_template_string
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_paseto import (
    NEVER,
    AccessTokenRequired,
    ConfigurationError,
    ExpiredToken,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoManager,
    Place,
    RefreshTokenRequired,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    csrf_token,
    decode_token,
    get_subject,
    paseto_required,
    set_access_cookies,
    set_refresh_cookies,
    set_token_cookies,
    unset_access_cookies,
    unset_cookies,
    unset_refresh_cookies,
)
from flask_paseto.state import states_of
from flask_paseto.testing import use_clock

from .browser import (
    ACCESS,
    CSRF,
    REFRESH,
    add_cookie_routes,
    attributes,
    cookie_of,
    csrf_headers,
    log_in,
)
from .conftest import SECRET_KEY, MakeApp
from .refusals import assert_refused, bearer

SAFE: dict[str, str | None] = {"Secure": None, "Path": "/", "SameSite": "Lax"}
HIDDEN: dict[str, str | None] = {"Secure": None, "HttpOnly": None, **SAFE}
LONGEST = 90 * 24 * 60 * 60


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an app that takes tokens from cookies alone."""
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app)
    return app


def written(response: Response) -> dict[str, tuple[str, dict[str, str | None]]]:
    """Return the values and attributes of the cookies that an answer sets."""
    found = {}
    for header in response.headers.getlist("Set-Cookie"):
        name, value, rest = attributes(header)
        assert name not in found
        found[name] = value, rest
    return found


# Setting


@pytest.mark.requirement("CK-1")
def test_the_cookies_are_as_safe_as_cookies_get(app: Flask) -> None:
    response = app.test_client().post("/login", data={"name": "alice"})
    found = written(response)
    assert {name: rest for name, (_, rest) in found.items()} == {
        ACCESS: HIDDEN,
        REFRESH: HIDDEN,
        CSRF: SAFE,
    }
    with app.app_context():
        access = decode_token(found[ACCESS][0])
        refresh = decode_token(found[REFRESH][0], type="refresh")
    assert access.subject == refresh.subject == "alice"
    assert access["csrf"] == refresh["csrf"] == found[CSRF][0]


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize("by", ["setting", "argument"])
def test_a_persistent_cookie_lives_as_long_as_its_token(
    make_app: MakeApp, by: str
) -> None:
    asked = {"PASETO_COOKIE_PERSISTENT": True} if by == "setting" else {}
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", **asked)
    persistent = None if by == "setting" else True
    with app.app_context(), use_clock(app) as clock:
        pair = create_token_pair(
            "alice", expires_in=60, refresh_expires_in=timedelta(days=7)
        )
        clock.advance(10)
        response = Response()
        set_token_cookies(response, pair, persistent=persistent)
    ages = {name: rest["Max-Age"] for name, (_, rest) in written(response).items()}
    # The value of the third is that of the whole login, so it outlives every token.
    week = 7 * 24 * 60 * 60
    # Whole seconds: the tokens begin at the last full one.
    assert 48 < int(ages.pop(ACCESS) or 0) <= 50
    assert week - 12 < int(ages.pop(REFRESH) or 0) <= week - 10
    assert ages == {CSRF: str(LONGEST)}


@pytest.mark.requirement("CK-1")
def test_a_login_can_ask_for_less_than_the_setting(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_COOKIE_PERSISTENT=True)
    with app.app_context():
        response = Response()
        set_token_cookies(response, create_token_pair("alice"), persistent=False)
    assert not [c for c in written(response).values() if "Max-Age" in c[1]]


def test_a_token_without_end_is_kept_as_long_as_browsers_keep(
    make_app: MakeApp,
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_ALLOW_NON_EXPIRING=True)
    with app.app_context():
        response = Response()
        token = create_access_token("alice", expires_in=NEVER)
        set_access_cookies(response, token, persistent=True)
    ages = {rest["Max-Age"] for _, rest in written(response).values()}
    assert ages == {str(400 * 24 * 60 * 60)}


def test_the_cookie_of_an_expired_token_is_none(app: Flask) -> None:
    with app.app_context(), use_clock(app) as clock:
        token = create_access_token("alice")
        clock.advance(timedelta(days=1))
        response = Response()
        set_access_cookies(response, token, persistent=True)
    assert written(response)[ACCESS][1]["Max-Age"] == "0"


@pytest.mark.requirement("CK-1")
def test_settings_go_into_every_cookie_set_and_cleared(make_app: MakeApp) -> None:
    app = make_app(
        PASETO_TOKEN_LOCATIONS="cookies",
        PASETO_COOKIE_DOMAIN="example.com",
        PASETO_COOKIE_PATH="/app",
        PASETO_COOKIE_REFRESH_PATH="/app/refresh",
        PASETO_COOKIE_SAMESITE="None",
        PASETO_COOKIE_PARTITIONED=True,
        PASETO_COOKIE_ACCESS_NAME="__Secure-a",
        PASETO_CSRF_COOKIE_NAME="c",
    )
    shared = {
        "Domain": "example.com",
        "Secure": None,
        "SameSite": "None",
        "Partitioned": None,
    }
    paths = {
        "__Secure-a": "/app",
        "__Secure-refresh_token": "/app/refresh",
        "c": "/app",
    }
    with app.app_context():
        given, cleared = Response(), Response()
        set_token_cookies(given, create_token_pair("alice"))
        unset_cookies(cleared)
    for name, (value, rest) in written(given).items():
        hidden = {} if name == "c" else {"HttpOnly": None}
        assert rest == {**shared, **hidden, "Path": paths.pop(name)}
        assert value
        assert written(cleared)[name] == ("", {**rest, "Max-Age": "0"})
    assert paths == {}


@pytest.mark.requirement("CK-1")
def test_without_secure_the_names_lose_their_prefix(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_COOKIE_SECURE=False)
    add_cookie_routes(app)
    client = log_in(app)
    for name in ("access_token", "refresh_token", "csrf_token"):
        cookie = client.get_cookie(name)
        assert cookie is not None
        assert not cookie.secure
    assert client.get("/view").json == {"user": "alice", "place": "cookies"}
    headers = {"X-CSRF-Token": cookie_of(client, "csrf_token")}
    assert client.post("/view", headers=headers).status_code == 200


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_cookie_that_browsers_would_drop_is_an_error(app: Flask, kind: str) -> None:
    put = {"access": set_access_cookies, "refresh": set_refresh_cookies}[kind]
    make: Any = {"access": create_access_token, "refresh": create_refresh_token}[kind]

    def length(size: int) -> int:
        """Return the length of the cookie of a token with so much in it."""
        response = Response()
        put(response, make("alice", user_claims={"x": "y" * size}))
        return len(response.headers.getlist("Set-Cookie")[0])

    with app.app_context():
        fits = 2000
        spare = 4096 - length(fits)
        fits += spare * 3 // 4 - 4  # base64 makes four characters of three bytes
        assert 4080 < length(fits) <= 4096
        with pytest.raises(ValueError, match="and browsers keep 4096") as caught:
            length(fits + 16)
        assert f"__Host-{kind}_token has 41" in str(caught.value)
        assert "v4.local" not in str(caught.value)


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize("persistent", [False, True])
def test_a_cookie_may_be_as_large_as_browsers_keep(
    app: Flask, persistent: bool
) -> None:
    cookie = states_of(app)["default"].config.cookies.access
    response, max_age = Response(), 900 if persistent else None
    cookie.write(response, "", max_age)
    value = "x" * (4096 - len(response.headers["Set-Cookie"]))

    cookie.write(response, value, max_age)

    assert len(response.headers["Set-Cookie"]) == 4096
    with pytest.raises(ValueError, match="has 4097 bytes and browsers keep 4096"):
        cookie.write(response, value + "x", max_age)
    assert len(response.headers["Set-Cookie"]) == 4096


@pytest.mark.requirement("ANS-3")
@pytest.mark.parametrize(
    "act",
    [
        lambda response, token: set_access_cookies(response, token),
        lambda response, token: unset_cookies(response),
        lambda response, token: unset_access_cookies(response),
        lambda response, token: unset_refresh_cookies(response),
    ],
    ids=["set", "unset", "unset-access", "unset-refresh"],
)
def test_an_answer_that_sets_or_clears_a_cookie_is_not_stored(
    app: Flask, act: Any
) -> None:
    with app.app_context():
        token = create_access_token("alice")
        response = Response(headers={"Cache-Control": "max-age=60"})
        act(response, token)
    assert response.cache_control.no_store


@pytest.mark.requirement("ANS-3")
@pytest.mark.requirement("OPT-1")
@pytest.mark.parametrize("optional", [False, True])
def test_an_answer_that_depends_on_a_cookie_says_so(
    make_app: MakeApp, optional: bool
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers", "cookies"])
    add_cookie_routes(app, optional=optional)
    app.add_url_rule(
        "/plain", "plain", paseto_required(locations="headers")(lambda: "x")
    )
    client = log_in(app)
    for response in (
        client.get("/view"),
        client.post("/view"),
        app.test_client().get("/view"),
    ):
        assert response.headers.getlist("Vary") == ["Cookie"]
    with app.app_context():
        token = create_access_token("alice")
    response = client.get("/plain", headers=bearer(token))
    assert (response.status_code, "Vary" in response.headers) == (200, False)


def test_an_answer_sets_a_cookie_once_and_the_last_word_counts(app: Flask) -> None:
    with app.app_context():
        response = Response()
        others = ["mine", *(f"{name}_of_old" for name in (ACCESS, REFRESH, CSRF))]
        for name in others:
            response.set_cookie(name, "x")
        set_token_cookies(response, create_token_pair("alice"))
        pair = create_token_pair("bob")
        set_token_cookies(response, pair)
        found = written(response)
        assert found[ACCESS][0] == pair.access_token
        assert found[CSRF][0] == csrf_token(pair.refresh_token)
        unset_cookies(response)
        assert {name: value for name, (value, _) in written(response).items()} == {
            **dict.fromkeys(others, "x"),
            ACCESS: "",
            REFRESH: "",
            CSRF: "",
        }


def test_a_log_out_takes_the_cookies_away(app: Flask) -> None:
    client = log_in(app)
    assert client.get("/view").status_code == 200
    client.post("/logout")
    for name in (ACCESS, REFRESH, CSRF):
        assert client.get_cookie(name) is None
    assert_refused(client.get("/view"), MissingToken)


def test_one_cookie_can_be_taken_away(app: Flask) -> None:
    with app.app_context():
        for unset, name in (
            (unset_access_cookies, ACCESS),
            (unset_refresh_cookies, REFRESH),
        ):
            response = Response()
            unset(response)
            assert written(response) == {name: ("", {**HIDDEN, "Max-Age": "0"})}


def test_a_refresh_leaves_a_longer_csrf_cookie_alone(app: Flask) -> None:
    """Otherwise the cookie of a remembered login would go with the browser's window,
    and the refresh cookie, which stays, would be of no use."""
    client = log_in(app)
    response = client.post("/refresh", headers=csrf_headers(client))
    assert list(written(response)) == [ACCESS]
    client.delete_cookie(CSRF)
    headers = {"X-CSRF-Token": decoded(app, cookie_of(client, ACCESS))["csrf"]}
    response = client.post("/refresh", headers=headers)
    assert list(written(response)) == [ACCESS, CSRF]


def test_a_refresh_that_lasts_writes_the_csrf_cookie_anew(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies", PASETO_COOKIE_PERSISTENT=True)
    add_cookie_routes(app)
    client = log_in(app)
    response = client.post("/refresh", headers=csrf_headers(client))
    assert written(response)[CSRF][1]["Max-Age"] == str(LONGEST)


def test_a_csrf_cookie_cleared_before_is_set_again(app: Flask) -> None:
    @app.post("/again")
    @paseto_required
    def again() -> Response:
        response = jsonify()
        unset_cookies(response)
        set_access_cookies(response, create_access_token(get_subject()))
        return response

    client = log_in(app)
    before = cookie_of(client, CSRF)
    response = client.post("/again", headers=csrf_headers(client))
    assert written(response)[CSRF] == (before, SAFE)


def decoded(app: Flask, token: str, **options: Any) -> Any:
    with app.app_context():
        return decode_token(token, **options)


# What is refused when issuing


@pytest.mark.parametrize(
    ("put", "make"),
    [
        (set_access_cookies, create_refresh_token),
        (set_refresh_cookies, create_access_token),
        (set_access_cookies, lambda name: create_token(name, "ticket")),
        (set_refresh_cookies, lambda name: create_token(name, "ticket")),
    ],
    ids=["refresh", "access", "ticket", "ticket-as-refresh"],
)
def test_a_token_of_another_type_is_an_error(app: Flask, put: Any, make: Any) -> None:
    with app.app_context():
        response = Response()
        with pytest.raises(ValueError, match="token must be of the type"):
            put(response, make("alice"))
    assert written(response) == {}


@pytest.mark.parametrize("token", ["", "x", "v4.local.AAAA", "a; b=c", "é", "\r\n"])
def test_what_is_no_token_of_ours_is_an_error_and_no_refusal(
    app: Flask, token: str
) -> None:
    with app.app_context():
        for act in (set_access_cookies, set_refresh_cookies):
            response = Response()
            with pytest.raises(ValueError, match="must be one of this app") as caught:
                act(response, token)
            assert caught.value.__cause__ is caught.value.__context__ is None
            assert written(response) == {}
        with pytest.raises(ValueError, match="must be one of this app"):
            csrf_token(token)


@pytest.mark.parametrize("token", [None, b"x", 5, {"access_token": "x"}])
def test_a_token_is_a_text(app: Flask, token: Any) -> None:
    with app.app_context(), pytest.raises(TypeError, match="token must be a str"):
        set_access_cookies(Response(), token)


@pytest.mark.parametrize("response", [None, {}, "x", ("x", 200)])
def test_a_response_is_a_response(app: Flask, response: Any) -> None:
    with app.app_context():
        for act in (
            lambda: set_access_cookies(response, create_access_token("alice")),
            lambda: unset_cookies(response),
            lambda: unset_access_cookies(response),
        ):
            with pytest.raises(TypeError, match="make_response"):
                act()


def test_a_pair_is_a_pair(app: Flask) -> None:
    with app.app_context():
        pair: Any = create_token_pair("alice").to_dict()
        with pytest.raises(TypeError, match="create_token_pair"):
            set_token_cookies(Response(), pair)


def test_persistent_is_a_bool(app: Flask) -> None:
    with app.app_context():
        token, persistent = create_access_token("alice"), 3600
        with pytest.raises(TypeError, match="persistent must be True or False"):
            set_access_cookies(
                Response(),
                token,
                persistent=persistent,  # type: ignore[arg-type]
            )


def test_a_token_with_an_assertion_needs_it_again(app: Flask) -> None:
    with app.app_context():
        token = create_access_token("alice", implicit_assertion="tenant")
        with pytest.raises(ValueError, match="implicit_assertion"):
            set_access_cookies(Response(), token)
        with pytest.raises(ValueError, match="implicit_assertion"):
            csrf_token(token, implicit_assertion=b"other")
        response = Response()
        set_access_cookies(response, token, implicit_assertion="tenant")
        value = csrf_token(token, implicit_assertion=b"tenant")
    assert written(response)[CSRF][0] == value


def test_the_assertion_of_the_app_is_asked_for(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    paseto.implicit_assertion_loader(lambda: "tenant")
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app)
    assert log_in(app).get("/view").status_code == 200


@pytest.mark.parametrize(
    "act",
    [
        lambda: set_access_cookies(Response(), create_access_token("alice")),
        lambda: set_refresh_cookies(Response(), create_refresh_token("alice")),
        lambda: set_token_cookies(Response(), create_token_pair("alice")),
        lambda: unset_cookies(Response()),
        lambda: unset_access_cookies(Response()),
        lambda: unset_refresh_cookies(Response()),
        lambda: csrf_token(),
    ],
)
def test_where_cookies_are_no_place_the_setting_is_named(
    make_app: MakeApp, act: Any
) -> None:
    app = make_app()
    message = "name 'cookies' in PASETO_TOKEN_LOCATIONS"
    with app.test_request_context(), pytest.raises(ConfigurationError, match=message):
        act()


def test_a_token_of_before_cookies_were_a_place_cannot_be_put_in_one(
    make_app: MakeApp,
) -> None:
    with make_app().app_context():
        token = create_access_token("alice")
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    with app.app_context():
        with pytest.raises(ValueError, match="has no CSRF value"):
            set_access_cookies(Response(), token)
        assert csrf_token(token) == ""


# Reading


def raw(app: Flask, cookie: str, path: str = "/view", **options: Any) -> Any:
    """Send a Cookie header as it is."""
    client = app.test_client(use_cookies=False)
    return client.get(path, environ_overrides={"HTTP_COOKIE": cookie}, **options)


@pytest.fixture
def access(app: Flask) -> str:
    with app.app_context():
        return create_access_token("alice")


@pytest.mark.requirement("LOC-1")
def test_a_cookie_is_a_place(app: Flask, access: str) -> None:
    response = raw(app, f"{ACCESS}={access}")
    assert response.json == {"user": "alice", "place": Place.COOKIES.value}
    response = raw(app, f"a=b;c;{ACCESS}={access} ;=;d=e")
    assert response.json == {"user": "alice", "place": "cookies"}


@pytest.mark.requirement("LOC-1")
@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize(
    "cookie",
    [
        "access_token={}",
        "__host-access_token={}",
        "__Secure-access_token={}",
        "x__Host-access_token={}",
        "__Host-access_tokens={}",
        "__Host-access_token",
        "__Host-access_token=",
        "__Host-access_token =x",
        "\xe2\x80\x80__Host-access_token={}",
        "\xa0__Host-access_token={}",
        "\x85__Host-access_token={}",
        "\x0b__Host-access_token={}",
        "$Version=1, __Host-access_token={}",
        '"__Host-access_token"={}',
        '__Host-access_token"={}',
        "=__Host-access_token={}",
        "a,__Host-access_token={}",
        "__Host-refresh_token={}",
        "",
        ";;;=;=;",
    ],
)
def test_a_cookie_of_any_other_name_is_no_token(
    app: Flask, access: str, cookie: str
) -> None:
    """A prefix binds the browser only where we read what it read."""
    assert_refused(raw(app, cookie.format(access)), MissingToken)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize(
    "cookie",
    [
        "{0}={1}; {0}={1}",
        "{0}={1};{0}=",
        "{0}=; {0}={1}",
        "{0}=x; a=b; {0}=y",
    ],
)
def test_two_values_of_the_cookie_are_a_bad_request(
    app: Flask, access: str, cookie: str
) -> None:
    assert_refused(raw(app, cookie.format(ACCESS, access)), InvalidRequest)


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("value", ['"{}"', "{}x", " {}", "{},{}", "v4.local.\xff", "%"])
def test_any_other_value_is_an_invalid_token(
    app: Flask, access: str, value: str
) -> None:
    response = raw(app, f"{ACCESS}={value.format(access, access)}")
    assert_refused(response, InvalidToken)


@pytest.mark.requirement("BODY-1")
@given(data=st.binary(max_size=200))
@example(data=b"\xff\xfe;\x00")
@settings(max_examples=100)
def test_a_cookie_header_of_any_bytes_is_refused(data: bytes) -> None:
    app = SHARED
    for header in (data, ACCESS.encode() + b"=" + data, data + ACCESS.encode() + b"="):
        response = raw(app, header.decode("latin-1"))
        assert response.status_code in (400, 401)
        assert response.json is not None
        assert response.json["error"] in (
            "token_missing",
            "token_invalid",
            "invalid_request",
        )


def cookie_app() -> Flask:
    app = Flask("tests")
    app.config.update(PASETO_SECRET_KEY=SECRET_KEY, PASETO_TOKEN_LOCATIONS="cookies")
    PasetoManager(app)
    add_cookie_routes(app)
    return app


SHARED = cookie_app()


@pytest.mark.requirement("BODY-1")
def test_five_thousand_cookies_are_read(app: Flask, access: str) -> None:
    many = "; ".join(f"n{n}=\xff{n}" for n in range(5000))
    assert raw(app, f"{many}; {ACCESS}={access}; {many}").status_code == 200
    assert_refused(raw(app, many), MissingToken)
    same = "; ".join([f"{ACCESS}={access}"] * 5000)
    assert_refused(raw(app, same), InvalidRequest)
    assert_refused(raw(app, f"{ACCESS}={'x' * 1_000_000}"), InvalidToken)


@pytest.mark.requirement("LOC-1")
def test_access_and_refresh_tokens_come_in_cookies_of_their_own(app: Flask) -> None:
    client = log_in(app)
    access, refresh = cookie_of(client, ACCESS), cookie_of(client, REFRESH)
    assert_refused(raw(app, f"{ACCESS}={refresh}"), AccessTokenRequired)
    swapped = app.test_client()
    swapped.set_cookie(REFRESH, access)
    headers = csrf_headers(client)
    assert_refused(swapped.post("/refresh", headers=headers), RefreshTokenRequired)
    missing = app.test_client()
    missing.set_cookie(ACCESS, access)
    assert_refused(missing.post("/refresh", headers=headers), MissingToken)
    assert client.post("/refresh", headers=headers).status_code == 200


def test_a_session_cookie_of_an_expired_token_is_told_so(app: Flask) -> None:
    with use_clock(app) as clock:
        client = log_in(app)
        clock.advance(timedelta(minutes=16))
        assert_refused(client.get("/view"), ExpiredToken)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("order", [("headers", "cookies"), ("cookies", "headers")])
def test_the_first_place_that_holds_a_token_is_final_with_cookies(
    make_app: MakeApp, order: tuple[str, ...]
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=order)
    add_cookie_routes(app)
    with app.app_context():
        token = create_access_token("bob")
    client = log_in(app)
    response = client.get("/view", headers=bearer(token))
    first = {"headers": "bob", "cookies": "alice"}[order[0]]
    assert response.json == {"user": first, "place": order[0]}
    bad = {"Authorization": "Bearer x"}
    if order[0] == "headers":
        assert_refused(client.get("/view", headers=bad), InvalidToken)
    else:
        assert client.get("/view", headers=bad).status_code == 200
    assert client.get("/view").json == {"user": "alice", "place": "cookies"}
    response = app.test_client().get("/view", headers=bearer(token))
    assert response.json == {"user": "bob", "place": "headers"}


@pytest.mark.requirement("OPT-1")
def test_an_optional_guard_refuses_a_bad_cookie(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    add_cookie_routes(app, optional=True)
    assert raw(app, "a=b").json == {"user": None, "place": None}
    assert_refused(raw(app, f"{ACCESS}=x"), InvalidToken)


def test_a_guard_that_looks_where_the_app_does_not_is_an_error(
    make_app: MakeApp,
) -> None:
    """Whatever the client sends: it must not be found by the first one without."""
    app = make_app()
    add_cookie_routes(app, locations=["headers", "cookies"])
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    for sent in ({}, headers):
        with pytest.raises(ConfigurationError, match="PASETO_TOKEN_LOCATIONS"):
            app.test_client().get("/view", headers=sent)


# csrf_token


PAGE = "<meta name=csrf content='{{ csrf_token() }}'>"
MACRO = "{% macro field() %}{{ csrf_token() }}{% endmacro %}{{ field() }}"


def serve_page(app: Flask, guard: Any = paseto_required) -> None:
    app.add_url_rule(
        "/page",
        "page",
        guard(lambda: f"{csrf_token()} {render_template_string(MACRO)}"),
    )


def no_guard(view: Any) -> Any:
    return view


@pytest.mark.parametrize("guard", [paseto_required, no_guard], ids=["guarded", "open"])
def test_a_page_has_the_value_of_its_user(app: Flask, guard: Any) -> None:
    serve_page(app, guard)
    client = log_in(app)
    value = cookie_of(client, CSRF)
    response = client.get("/page")
    assert response.text == f"{value} {value}"
    assert response.headers["Vary"] == "Cookie"
    client.delete_cookie(CSRF)
    kept = f"{value} {value}" if guard is paseto_required else " "
    assert client.get("/page").text == kept


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize(
    "planted",
    ["", "x", "<script>", "A" * 32, "f" * 31, "f" * 33, "\xff" * 32, '"' + "f" * 30],
)
def test_a_planted_cookie_does_not_get_into_a_page(app: Flask, planted: str) -> None:
    serve_page(app, no_guard)
    assert raw(app, f"{CSRF}={planted}", "/page").text == " "
    good = f"{CSRF}={'f' * 32}"
    assert raw(app, good, "/page").text == " ".join(["f" * 32] * 2)
    assert raw(app, f"{good}; {good}", "/page").text == " "


def test_the_page_of_a_login_has_the_value_of_the_login(app: Flask) -> None:
    @app.post("/enter")
    def enter() -> str:
        pair = create_token_pair("alice")
        assert csrf_token(pair.access_token) == csrf_token(pair.refresh_token)
        assert csrf_token() == csrf_token(pair.access_token)
        assert csrf_token(create_access_token("bob")) == csrf_token()
        return csrf_token()

    with app.test_request_context():
        assert csrf_token() == ""
    client = log_in(app)
    new = client.post("/enter").text
    assert len(new) == 32
    assert new != cookie_of(client, CSRF)


def test_the_value_of_the_one_who_is_there_goes_before_that_of_another(
    app: Flask,
) -> None:
    @app.get("/other")
    @paseto_required
    def other() -> str:
        assert csrf_token(create_access_token("bob")) != csrf_token()
        return csrf_token()

    client = log_in(app)
    assert client.get("/other").text == cookie_of(client, CSRF)


def test_outside_of_a_request_there_is_no_page_to_protect(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")
    with app.app_context():
        assert csrf_token() == ""


def test_a_csrf_token_of_another_extension_keeps_its_name(make_app: MakeApp) -> None:
    app = Flask("tests")
    app.config.update(PASETO_SECRET_KEY=SECRET_KEY, PASETO_TOKEN_LOCATIONS="cookies")
    app.jinja_env.globals["csrf_token"] = lambda: "theirs"
    PasetoManager(app)
    with app.test_request_context():
        assert render_template_string(PAGE) == "<meta name=csrf content='theirs'>"
    without = make_app()
    assert "csrf_token" not in without.jinja_env.globals
