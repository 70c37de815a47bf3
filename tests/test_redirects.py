"""People who are not let in go to a login page, and come back; programs are told."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from flask import Blueprint, Flask, abort
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import Unauthorized
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from flask_paseto import (
    CsrfError,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoError,
    PasetoManager,
    StoreUnavailable,
    create_access_token,
    paseto_required,
    safe_next,
    verify_paseto_in_request,
)
from flask_paseto.errors import ConfigurationError
from flask_paseto.signals import refused
from flask_paseto.testing import use_clock

from .browser import ACCESS, add_cookie_routes, log_in
from .conftest import MakeApp
from .refusals import assert_refused, bearer

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HTML = {"Accept": BROWSER}


@pytest.fixture
def paseto() -> PasetoManager:
    """Return the manager of `app`."""
    return PasetoManager()


@pytest.fixture
def app(make_app: MakeApp, paseto: PasetoManager) -> Flask:
    """Return an app with a login page."""
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS=["headers", "cookies"])
    add_cookie_routes(app)
    app.add_url_rule("/login", "page", lambda: "log in", methods=["GET"])
    app.add_url_rule(
        "/fresh", "fresh", paseto_required(fresh=True)(lambda: "x"), methods=["GET"]
    )
    app.add_url_rule("/scoped", "scoped", paseto_required(scopes="a")(lambda: "x"))
    paseto.redirect_unauthorized(app, "page")
    return app


def assert_sent(response: TestResponse, path: str, back: str | None) -> None:
    """Assert that somebody is sent to a page, with this way back."""
    assert response.status_code == 303
    location = urlsplit(response.headers["Location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", path)
    assert parse_qs(location.query) == ({} if back is None else {"next": [back]})
    assert "WWW-Authenticate" not in response.headers
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "text/*",
        "text/html, application/json;q=0.9",
        "text/html, application/json;q=0",
        "TEXT/HTML",
    ],
)
def test_who_takes_html_goes_to_the_login_page(app: Flask, accept: str) -> None:
    response = app.test_client().get("/view", headers={"Accept": accept})
    assert_sent(response, "/login", "/view")
    assert response.headers["Vary"] == "Cookie, Accept"


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "application/*, text/html;q=0.9",
        "text/html, application/json",
        "text/html;q=0.5, application/json",
        "text/plain",
        "text/html;q=0",
        "text/html;q=x",
        ";;,,=",
        "\xff",
        "text",
        "text/html;q=nan",
        "a/b;" * 5000,
    ],
)
def test_programs_are_told(app: Flask, accept: str | None) -> None:
    environ = {} if accept is None else {"HTTP_ACCEPT": accept}
    response = app.test_client().get("/view", environ_overrides=environ)
    assert_refused(response, MissingToken)
    assert response.headers["Vary"] == "Cookie, Accept"


@pytest.mark.parametrize("token", ["expired", "invalid", "fresh"])
def test_every_401_leads_there(app: Flask, token: str) -> None:
    refusal, path = {
        "expired": (ExpiredToken, "/view"),
        "invalid": (InvalidToken, "/view"),
        "fresh": (FreshTokenRequired, "/fresh"),
    }[token]
    with app.app_context():
        sent = bearer("x" if token == "invalid" else create_access_token("alice"))
    with use_clock(app) as clock:
        clock.advance(3600 if token == "expired" else 0)
        client = app.test_client()
        assert_refused(client.get(path, headers=sent), refusal)
        assert_sent(client.get(path, headers={**sent, **HTML}), "/login", path)


def test_other_refusals_are_told_to_people_too(
    app: Flask, paseto: PasetoManager
) -> None:
    client = log_in(app)
    assert_refused(client.get("/scoped", headers=HTML), InsufficientScope)
    assert_refused(client.post("/view", headers=HTML), CsrfError)
    with app.app_context():
        outage = bearer(create_access_token("outage"))

    @paseto.token_in_denylist_loader
    def revoked(claims: Any) -> bool:
        raise StoreUnavailable

    response = client.get("/view", headers={**HTML, **outage})
    assert_refused(response, StoreUnavailable)
    assert "Accept" not in response.headers["Vary"]
    raw = app.test_client(use_cookies=False)
    two = {"HTTP_COOKIE": f"{ACCESS}=x; {ACCESS}=y"}
    response = raw.get("/view", headers=HTML, environ_overrides=two)
    assert_refused(response, InvalidRequest)


def test_other_errors_are_left_alone_by_the_login_page(app: Flask) -> None:
    app.add_url_rule("/plain", "plain", lambda: abort(401))
    client = app.test_client()
    assert client.get("/plain", headers=HTML).status_code == 401
    assert client.get("/nowhere", headers=HTML).status_code == 404
    assert client.get("/login", headers=HTML).text == "log in"


def test_a_redirect_is_a_refusal_for_who_listens(app: Flask) -> None:
    told: list[dict[str, Any]] = []

    def listen(sender: Flask, **what: Any) -> None:
        told.append(what)

    with refused.connected_to(listen, app):
        app.test_client().get("/view", headers=HTML)
    assert told == [{"error_code": "token_missing", "status_code": 401}]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_cannot_be_asked_for_again_is_no_way_back(app: Flask, method: str) -> None:
    response = app.test_client().open("/view", method=method, headers=HTML)
    assert_sent(response, "/login", None)


def test_a_look_at_the_headers_alone_can_be_asked_for_again(app: Flask) -> None:
    response = app.test_client().head("/fresh?a=b", headers=HTML)
    assert_sent(response, "/login", "/fresh?a=b")


def test_the_query_is_on_the_way_back(app: Flask) -> None:
    for query in ("a=1&b=%2F%2Fx", "next=/y", "q=%C3%BC%26"):
        response = app.test_client().get(f"/view?{query}", headers=HTML)
        assert_sent(response, "/login", f"/view?{query}")


@pytest.mark.requirement("QRY-1")
def test_a_token_in_the_query_is_not_on_the_way_back(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS=["query"])
    app.add_url_rule("/login", "page", lambda: "log in")
    app.add_url_rule("/view", "view", paseto_required(fresh=True)(lambda: "x"))
    paseto.redirect_unauthorized(app, "page")
    with app.app_context():
        token = create_access_token("alice")
    query = {"access_token": token, "page": "2"}
    response = app.test_client().get("/view", query_string=query, headers=HTML)
    assert_sent(response, "/login", "/view")
    assert token not in str(response.headers) + response.text


@pytest.mark.parametrize(
    ("raw", "back"),
    [
        ("/a b", "/a%20b"),
        ("/\xc3\xbc", "/%C3%BC"),
        ("//evil.example/x", "/evil.example/x"),
        ("///evil.example", "/evil.example"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/\\\\evil.example", "/%5C%5Cevil.example"),
        ("/\t/evil.example", "/%09/evil.example"),
        ("/a?b", "/a%3Fb"),
        ("/%2F%2Fx", "/%252F%252Fx"),
        ("/\xff", "/%EF%BF%BD"),
        ("/" + "x" * 5000, None),
    ],
)
def test_a_way_back_of_any_bytes_stays_on_this_site(
    make_app: MakeApp, paseto: PasetoManager, raw: str, back: str | None
) -> None:
    app = make_app(paseto)
    app.add_url_rule("/login", "page", lambda: "log in")
    app.add_url_rule("/", "root", paseto_required(lambda path: path))
    app.add_url_rule("/<path:path>", "any", paseto_required(lambda path: path))
    app.url_map.merge_slashes = False
    paseto.redirect_unauthorized(app, "page")
    environ = {"PATH_INFO": raw}
    response = app.test_client().get("/", headers=HTML, environ_overrides=environ)
    assert_sent(response, "/login", back)
    if back is not None:
        assert safe_next(back, "no") == back


def mounted(app: Flask) -> Client:
    """Return a client of the app under a prefix."""
    root = Response("root", 404)
    return Client(DispatcherMiddleware(root, {"/app": app.wsgi_app}))


def test_an_app_under_a_prefix_leads_to_its_own_page(app: Flask) -> None:
    response = mounted(app).get("/app/view?a=b", headers=HTML)
    assert_sent(response, "/app/login", "/app/view?a=b")


# Which page


def nested(make_app: MakeApp, paseto: PasetoManager) -> FlaskClient:
    """Return an app with a page, a blueprint with one, and one inside of that."""
    app = make_app(paseto)
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    other = Blueprint("other", __name__, url_prefix="/other")
    for scaffold in (app, outer, inner, other):
        scaffold.add_url_rule("/view", "view", paseto_required(lambda: "x"))
        scaffold.add_url_rule("/login", "login", paseto_required(lambda: "x"))
    paseto.redirect_unauthorized(outer, "outer.login")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(other)
    return app.test_client()


def test_the_page_of_a_blueprint_is_for_its_views(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    client = nested(make_app, paseto)
    for path in ("/outer/view", "/outer/inner/view"):
        assert_sent(client.get(path, headers=HTML), "/outer/login", path)
    for path in ("/view", "/other/view"):
        response = client.get(path, headers=HTML)
        assert_refused(response, MissingToken)
        assert "Vary" not in response.headers


@pytest.mark.requirement("LIFE-1")
@pytest.mark.parametrize("endpoint", ["plain.view", "outer.more.view", ".view", "a..b"])
def test_an_endpoint_with_dots_needs_no_blueprint_of_that_name(
    make_app: MakeApp, paseto: PasetoManager, endpoint: str
) -> None:
    """Flask takes all but its last part for the names of blueprints."""
    client = nested(make_app, paseto)
    app = client.application
    app.add_url_rule("/dots", endpoint, paseto_required(lambda: "x"))
    where = "/outer/login" if endpoint.startswith("outer") else "/login"
    assert_refused(client.get("/dots"), MissingToken)
    paseto.redirect_unauthorized(app, "login")
    assert_sent(client.get("/dots", headers=HTML), where, "/dots")
    with app.app_context():
        sent = bearer(create_access_token("alice"))
    assert client.get("/dots", headers=sent).text == "x"


def test_the_page_of_a_blueprint_goes_before_that_of_the_app(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    client = nested(make_app, paseto)
    paseto.redirect_unauthorized(client.application, "login", next_key="to")
    response = client.get("/outer/view", headers=HTML)
    assert_sent(response, "/outer/login", "/outer/view")
    response = client.get("/other/view", headers=HTML)
    assert response.headers["Location"] == "/login?to=/other/view"
    paseto.redirect_unauthorized(client.application, "login", next_key=None)
    response = client.get("/other/view", headers=HTML)
    assert response.headers["Location"] == "/login"


def test_a_login_page_that_is_guarded_leads_nowhere(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    client = nested(make_app, paseto)
    client.application.add_url_rule("/enter", "outer.login")  # another address of it
    for path in ("/outer/login", "/enter"):
        assert_refused(client.get(path, headers=HTML), MissingToken)


@pytest.mark.parametrize("prefix", ["", "/app"])
def test_a_form_that_did_not_log_in_is_told_why(
    make_app: MakeApp, paseto: PasetoManager, prefix: str
) -> None:
    """The view that takes it is mostly another one at the address of the page."""

    class LoginFailed(PasetoError, Unauthorized):
        error_code = "login_failed"

    def fail() -> None:
        raise LoginFailed

    app = make_app(paseto)
    app.add_url_rule("/login", "page", lambda: "log in")
    app.add_url_rule("/login", "take", fail, methods=["POST"])
    app.add_url_rule("/other", "other", fail, methods=["POST"])
    paseto.redirect_unauthorized(app, "page")
    client = Client(DispatcherMiddleware(Response("", 404), {prefix: app.wsgi_app}))
    response = client.post(f"{prefix}/login", headers=HTML)
    assert response.json is not None
    assert (response.status_code, response.json["error"]) == (401, "login_failed")
    response = client.post(f"{prefix}/other", headers=HTML)
    assert_sent(response, f"{prefix}/login", None)


def test_under_protect_the_login_page_answers_too(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    app.add_url_rule("/bare", "bare", lambda: "x")
    app.add_url_rule("/login", "page", lambda: "x")
    paseto.protect(app)
    paseto.redirect_unauthorized(app, "page")
    assert_sent(app.test_client().get("/bare", headers=HTML), "/login", "/bare")
    assert_refused(app.test_client().get("/login", headers=HTML), MissingToken)


def test_a_handler_of_yours_answers_programs(app: Flask) -> None:
    app.register_error_handler(PasetoError, lambda fault: ("mine", 401))
    client = app.test_client()
    assert_sent(client.get("/view", headers=HTML), "/login", "/view")
    assert client.get("/view").text == "mine"


@pytest.mark.requirement("LIFE-1")
@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("a..b", None),
        ("x" * 64 + ".example", None),
        ("other.example", ["localhost"]),
    ],
    ids=["empty label", "long label", "not trusted"],
)
def test_a_host_that_is_none_or_not_trusted_is_told_and_not_redirected(
    app: Flask, host: str, trusted: list[str] | None
) -> None:
    """Flask runs the hooks all the same, and builds no address there."""
    app.config["TRUSTED_HOSTS"] = trusted

    @app.before_request
    def guard() -> None:
        verify_paseto_in_request()

    client = app.test_client()
    assert_sent(client.get("/view", headers=HTML), "/login", "/view")
    for headers in (HTML, {}):
        environ = {"HTTP_HOST": host}
        told = client.get("/view", headers=headers, environ_overrides=environ)
        assert_refused(told, MissingToken)


# Set-up faults


@pytest.mark.requirement("LIFE-2")
def test_a_page_whose_address_needs_more_is_named(
    app: Flask, paseto: PasetoManager
) -> None:
    given: dict[str, str] = {}
    app.url_defaults(lambda _, values: values.update(given))
    app.add_url_rule("/<language>/login", "translated", lambda language: language)
    paseto.redirect_unauthorized(app, "translated")
    client = app.test_client()
    for headers in (HTML, {}):
        with pytest.raises(ConfigurationError, match=r"to translated, .*url_defaults"):
            client.get("/view", headers=headers)
    given["language"] = "eo"
    assert_sent(client.get("/view", headers=HTML), "/eo/login", "/view")


@pytest.mark.requirement("LIFE-2")
def test_a_page_that_is_not_there_is_found_at_the_first_request(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    app.add_url_rule("/view", "view", lambda: "x")
    blueprint = Blueprint("b", __name__)
    paseto.redirect_unauthorized(app, "auth.login")
    paseto.redirect_unauthorized(blueprint, "b.login")
    app.register_blueprint(blueprint)
    with pytest.raises(ConfigurationError, match=r"leads to auth\.login, b\.login,"):
        app.test_client().get("/view")


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((None, "login"), {}, TypeError),
        (("app", "login"), {}, TypeError),
        ((Flask("x"), ""), {}, ValueError),
        ((Flask("x"), ".login"), {}, ValueError),
        ((Flask("x"), None), {}, TypeError),
        ((Flask("x"), "login"), {"next_key": ""}, ValueError),
        ((Flask("x"), "login"), {"next_key": "_external"}, ValueError),
        ((Flask("x"), "login"), {"next_key": 5}, TypeError),
    ],
)
def test_wrong_arguments_are_errors_where_they_are_written(
    arguments: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        PasetoManager().redirect_unauthorized(*arguments, **options)


# The way back, when it comes back


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/view",
        "/view?a=b&c=//d",
        "/a//b",
        "/ü",
        "/%2F%2Fevil.example",
        "/a b",
        "/?next=https://evil.example",
        "/@evil.example",
        "/view#part",
        "/" + "x" * 2047,
    ],
)
def test_a_path_of_this_site_is_safe(target: str) -> None:
    assert safe_next(target, "no") == target


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "view",
        "?a=b",
        "#a",
        "..",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/view\\",
        "https://evil.example",
        "https:/evil.example",
        "https:evil.example",
        "HTTPS://evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        " /view",
        " //evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "/\x00",
        "/\x7f",
        "/\x85",
        "/\u2028",
        "/\u202e",
        "/\u200b",
        "/\ud800",
        "/" + "x" * 2048,
        b"/view",
        5,
    ],
)
def test_anything_else_is_answered_with_the_default(target: Any) -> None:
    assert safe_next(target) == "/"
    assert safe_next(target, "/home") == "/home"


@given(target=st.text(alphabet="/\\ .:@?#%a\t\n\u2028hps", max_size=12) | st.text())
@example(target="/\t/evil.example")
@settings(max_examples=300)
def test_whatever_comes_back_stays_on_this_site(target: str) -> None:
    """As a browser reads it: WHATWG URL drops tabs and newlines, and turns \\ round."""
    chosen = safe_next(target)
    seen = "".join(c for c in chosen if c not in "\t\r\n").strip().replace("\\", "/")
    assert urljoin("https://here.example/login", seen).startswith(
        "https://here.example/"
    )
    location = redirect(chosen).headers["Location"]
    assert location.isprintable()
