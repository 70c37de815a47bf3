"""A browser in small: an app that logs in with cookies, and what a page would send."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient

from flask_paseto import (
    create_access_token,
    create_token_pair,
    get_identity,
    get_subject,
    paseto_required,
    refresh_token_required,
    set_access_cookies,
    set_token_cookies,
    unset_cookies,
)

ACCESS = "__Host-access_token"
REFRESH = "__Host-refresh_token"
CSRF = "__Host-csrf_token"
HEADER = "X-CSRF-Token"
ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def add_cookie_routes(app: Flask, **options: Any) -> None:
    """Give an app a login with cookies, and a view that tells where the token was."""

    @app.post("/login")
    def login() -> Response:
        response = jsonify(done=True)
        set_token_cookies(response, create_token_pair(request.form["name"], fresh=True))
        return response

    @app.post("/refresh")
    @refresh_token_required
    def refresh() -> Response:
        response = jsonify(done=True)
        set_access_cookies(response, create_access_token(get_subject()))
        return response

    @app.post("/logout")
    def logout() -> Response:
        response = jsonify(done=True)
        unset_cookies(response)
        return response

    @app.route("/view", methods=ANY_METHOD, provide_automatic_options=False)
    @paseto_required(**options)
    def view() -> dict[str, str | None]:
        identity = get_identity()
        if identity is None:
            return {"user": None, "place": None}
        return {"user": identity.claims.subject, "place": identity.place.value}


def log_in(app: Flask, name: str = "alice") -> FlaskClient:
    """Return a client that has logged in and holds the cookies."""
    client = app.test_client()
    assert client.post("/login", data={"name": name}).status_code == 200
    return client


def cookie_of(client: FlaskClient, name: str, path: str = "/") -> str:
    """Return the value of a cookie that the client holds."""
    cookie = client.get_cookie(name, path=path)
    assert cookie is not None
    return cookie.value


def csrf_headers(client: FlaskClient) -> dict[str, str]:
    """Return what a script of the page puts beside the cookies."""
    return {HEADER: cookie_of(client, CSRF)}


def attributes(header: str) -> tuple[str, str, dict[str, str | None]]:
    """Return the name, the value and the attributes of a Set-Cookie header."""
    pair, *rest = header.split("; ")
    name, _, value = pair.partition("=")
    found: dict[str, str | None] = {}
    for each in rest:
        key, has_value, text = each.partition("=")
        assert key not in found
        found[key] = text if has_value else None
    return name, value, found
