"""What the page on proxies says: TLS that ends before the app, prefixes, hosts."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client
from werkzeug.wrappers import Response

from flask_paseto import InvalidToken, PasetoManager
from flask_paseto.keys import generate_key

from .browser import ACCESS, HEADER, add_cookie_routes, attributes
from .conftest import MakeApp
from .refusals import assert_refused

FORWARDED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "www.example.com",
    "X-Forwarded-Prefix": "/app",
}
HTML = {"Accept": "text/html"}


def build(make_app: MakeApp, **settings: Any) -> Flask:
    paseto = PasetoManager()
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS="cookies", **settings)
    add_cookie_routes(app)
    app.add_url_rule("/login", "page", lambda: "log in", methods=["GET"])
    paseto.redirect_unauthorized(app, "page")
    return app


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize("fixed", [False, True], ids=["bare", "proxy-fix"])
def test_the_cookies_are_secure_whatever_reaches_the_app(
    make_app: MakeApp, fixed: bool
) -> None:
    """TLS mostly ends at the proxy, so the scheme that the app sees tells nothing."""
    app = build(make_app)
    if fixed:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1
        )
    response = app.test_client().post(
        "/login", data={"name": "alice"}, headers=FORWARDED
    )
    for header in response.headers.getlist("Set-Cookie"):
        _, _, found = attributes(header)
        assert "Secure" in found
        assert found["Path"] == "/"
        assert "Domain" not in found


@pytest.mark.parametrize("fixed", [False, True], ids=["bare", "proxy-fix"])
def test_behind_a_proxy_the_login_page_is_found_by_its_prefix(
    make_app: MakeApp, fixed: bool
) -> None:
    app = build(make_app)
    where = "/login?next=/view"
    if fixed:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1
        )
        where = "/app/login?next=/app/view"
    response = app.test_client().get("/view", headers={**HTML, **FORWARDED})
    assert (response.status_code, response.headers["Location"]) == (303, where)


def mount(**apps: Flask) -> Client:
    mounted = {f"/{name}": app.wsgi_app for name, app in apps.items()}
    return Client(DispatcherMiddleware(Response("", 404), mounted))


def log_in(client: Client, prefix: str) -> None:
    response = client.post(f"/{prefix}/login", data={"name": prefix})
    assert response.status_code == 200


@pytest.mark.requirement("CK-1")
def test_an_app_under_a_prefix_needs_nothing(make_app: MakeApp) -> None:
    client = mount(one=build(make_app))
    log_in(client, "one")
    assert client.get("/one/view").json == {"user": "one", "place": "cookies"}
    value = client.get_cookie("__Host-csrf_token")
    assert value is not None
    headers = {HEADER: value.value}
    assert client.post("/one/view", headers=headers).status_code == 200


def test_apps_of_one_host_need_names_of_their_own(make_app: MakeApp) -> None:
    keys = [generate_key().to_paserk() for _ in range(2)]
    plain = {
        name: build(make_app, PASETO_SECRET_KEY=key)
        for name, key in zip(("one", "two"), keys, strict=True)
    }
    client = mount(**plain)
    log_in(client, "one")
    log_in(client, "two")
    assert_refused(client.get("/one/view"), InvalidToken)
    named = {
        name: build(
            make_app,
            PASETO_SECRET_KEY=key,
            PASETO_COOKIE_ACCESS_NAME=f"__Host-{name}_access",
            PASETO_COOKIE_REFRESH_NAME=f"__Host-{name}_refresh",
            PASETO_CSRF_COOKIE_NAME=f"__Host-{name}_csrf",
        )
        for name, key in zip(("one", "two"), keys, strict=True)
    }
    client = mount(**named)
    log_in(client, "one")
    log_in(client, "two")
    for name in ("one", "two"):
        answer = {"user": name, "place": "cookies"}
        assert client.get(f"/{name}/view").json == answer
    assert client.get_cookie(ACCESS) is None


@pytest.mark.requirement("CK-1")
def test_a_refresh_cookie_with_a_path_needs_the_prefix_in_it(make_app: MakeApp) -> None:
    for path, status in (("/one/refresh", 200), ("/refresh", 401)):
        client = mount(one=build(make_app, PASETO_COOKIE_REFRESH_PATH=path))
        log_in(client, "one")
        cookie = client.get_cookie("__Secure-refresh_token", path=path)
        assert cookie is not None
        value = client.get_cookie("__Host-csrf_token")
        assert value is not None
        response = client.post("/one/refresh", headers={HEADER: value.value})
        assert response.status_code == status
