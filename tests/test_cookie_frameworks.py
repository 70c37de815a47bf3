"""Cookies, CSRF and the login page are the same in every framework on Flask."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, make_response
from flask.testing import FlaskClient

from flask_paseto import (
    CsrfError,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoError,
    PasetoManager,
    create_token_pair,
    paseto_required,
    set_token_cookies,
)

from .browser import ACCESS, CSRF, HEADER, cookie_of
from .conftest import SECRET_KEY
from .refusals import assert_refused
from .test_frameworks import FRAMEWORKS, nothing, who

frameworks = pytest.mark.parametrize("framework", FRAMEWORKS)


def build(framework: str) -> tuple[FlaskClient, PasetoManager]:
    """Return a client of an app in which every method needs the CSRF value."""
    app, add = FRAMEWORKS[framework]()
    app.config["PASETO_SECRET_KEY"] = SECRET_KEY
    app.config["PASETO_TOKEN_LOCATIONS"] = ["headers", "cookies"]
    app.config["PASETO_CSRF_SAFE_METHODS"] = ["HEAD"]
    paseto = PasetoManager(app)

    def login() -> Response:
        response = make_response({"done": True})
        set_token_cookies(response, create_token_pair("alice"))
        return response

    add("/who", paseto_required, who)
    add("/login", nothing, login)
    client = app.test_client()
    assert client.get("/login").status_code == 200
    return client, paseto


@frameworks
@pytest.mark.requirement("CK-1")
@pytest.mark.requirement("ANS-3")
def test_a_cookie_token_passes_in_every_framework(framework: str) -> None:
    client, _ = build(framework)
    cookie = client.get_cookie(ACCESS)
    assert cookie is not None
    assert (cookie.secure, cookie.http_only, cookie.same_site) == (True, True, "Lax")
    response = client.get("/who", headers={HEADER: cookie_of(client, CSRF)})
    assert response.json == {"user": "alice"}
    assert response.headers.getlist("Vary") == ["Cookie"]
    assert client.get("/login").headers["Cache-Control"] == "no-store"


CASES: dict[str, tuple[dict[str, Any], type[PasetoError]]] = {
    "value": ({}, CsrfError),
    "site": ({"HTTP_SEC_FETCH_SITE": "cross-site"}, CsrfError),
    "two": ({"HTTP_COOKIE": f"{ACCESS}=a; {ACCESS}=b"}, InvalidRequest),
    "bytes": ({"HTTP_COOKIE": f"{ACCESS}=\xff\xfe"}, InvalidToken),
    "none": ({"HTTP_COOKIE": "a=\xff"}, MissingToken),
}


@frameworks
@pytest.mark.requirement("CSRF-1")
@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("case", CASES)
def test_a_refused_cookie_is_the_same_in_every_framework(
    framework: str, case: str
) -> None:
    environ, refusal = CASES[case]
    answers = []
    for name in ("plain", framework):
        client, _ = build(name)
        cookies = f"{ACCESS}={cookie_of(client, ACCESS)}"
        raw = client.application.test_client(use_cookies=False)
        response = raw.get(
            "/who", environ_overrides={"HTTP_COOKIE": cookies, **environ}
        )
        assert_refused(response, refusal)
        assert response.headers["Vary"] == "Cookie"
        answers.append((response.status, response.json, response.mimetype))
    assert answers[0] == answers[1]


@frameworks
def test_people_go_to_the_login_page_in_every_framework(framework: str) -> None:
    client, paseto = build(framework)
    app = client.application
    paseto.redirect_unauthorized(app, _endpoint_of(app, "/login"))
    client.delete_cookie(ACCESS)
    response = client.get("/who", headers={"Accept": "text/html"})
    assert response.status_code == 303
    assert response.headers["Location"] == "/login?next=/who"
    assert "WWW-Authenticate" not in response.headers
    assert_refused(client.get("/who"), MissingToken)


def _endpoint_of(app: Flask, path: str) -> str:
    return next(rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == path)
