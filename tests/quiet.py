"""An app that renews cookies quietly, and browsers that go there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_paseto import (
    Claims,
    PasetoManager,
    create_access_token,
    create_token_pair,
    get_subject,
    paseto_required,
    refresh_token_required,
    rotate_token_pair,
    set_token_cookies,
)
from flask_paseto.state import states_of
from flask_paseto.stores import Session, Store
from flask_paseto.testing import Clock, use_clock

from .browser import ACCESS, CSRF, HEADER, REFRESH, attributes, cookie_of
from .conftest import SECRET_KEY
from .stores import Unreliable

WITHIN = 300
LIFE = 900

SETTINGS: dict[str, Any] = {
    "PASETO_SECRET_KEY": SECRET_KEY,
    "PASETO_TOKEN_LOCATIONS": ("headers", "cookies"),
    "PASETO_ACCESS_TOKEN_EXPIRES": LIFE,
    "PASETO_COOKIE_REFRESH_WITHIN": WITHIN,
}


@dataclass(slots=True)
class Quiet:
    """An app that renews cookies, its store and its clock.

    Attributes:
        during: What the view `/me` does, before it answers with what that gives.
    """

    app: Flask
    manager: PasetoManager
    store: Store
    clock: Clock
    during: Callable[[], Any] = field(default=lambda: None)

    def log_in(self, **options: Any) -> Browser:
        """Return a browser that has logged in."""
        browser = Browser(self, self.app.test_client())
        assert browser.client.post("/login", json=options).status_code == 200
        return browser

    def read(self, token: str) -> Claims:
        """Return the claims of a token, also of one that is over."""
        return states_of(self.app)["default"].codec.open(token, now=self.clock())


@dataclass(frozen=True, slots=True)
class Browser:
    """What holds the cookies of one login."""

    site: Quiet
    client: FlaskClient

    def get(self, path: str = "/me", **options: Any) -> TestResponse:
        """Return the answer of a view, the guarded one that tells who is there."""
        return self.client.get(path, **options)

    def post(self, path: str, csrf: str | None = None) -> TestResponse:
        """Return the answer to what a script of the page sends."""
        value = csrf or cookie_of(self.client, CSRF)
        return self.client.post(path, headers={HEADER: value})

    def access(self) -> Claims:
        """Return the claims of the access token that it holds."""
        return self.site.read(cookie_of(self.client, ACCESS))

    def refresh(self) -> Claims:
        """Return the claims of the refresh token that it holds."""
        return self.site.read(cookie_of(self.client, REFRESH))

    def row(self) -> Session:
        """Return the row of its session."""
        row = self.site.store.session(self.access().session_id or "")
        assert row is not None
        return row

    def copy(self) -> Browser:
        """Return another one with the same cookies: a second tab, or a thief."""
        other = self.site.app.test_client()
        for name in (ACCESS, REFRESH, CSRF):
            other.set_cookie(name, cookie_of(self.client, name))
        return Browser(self.site, other)


def cookies_in(response: TestResponse) -> dict[str, dict[str, str | None]]:
    """Return the attributes of the cookies that an answer sets, by name."""
    headers = response.headers.getlist("Set-Cookie")
    found = {name: rest for name, _, rest in map(attributes, headers)}
    assert len(found) == len(headers)
    return found


def assert_renewed(response: TestResponse, status: int = 200) -> None:
    """Assert that an answer brings the next pair, and that nobody keeps it."""
    assert response.status_code == status
    assert {ACCESS, REFRESH} <= set(cookies_in(response)) <= {ACCESS, REFRESH, CSRF}
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["Vary"] == "Cookie"


def assert_left_alone(response: TestResponse, status: int = 200) -> None:
    """Assert that an answer is as if nothing were ever renewed."""
    assert response.status_code == status, response.text
    assert cookies_in(response) == {}
    assert "Cache-Control" not in response.headers


def assert_next(browser: Browser, before: Session) -> None:
    """Assert that the pair which a browser holds follows on a row, and is alive."""
    row = browser.row()
    assert row.issued is not None
    assert before.issued is not None
    assert row.previous_jti == before.issued.jti
    assert row.issued.jti == browser.refresh().jti
    assert row.issued.access_jti == browser.access().jti
    assert row.revoked_at is None


def add_quiet_routes(site: Quiet) -> None:
    """Give an app a login with cookies, a rotation, and guarded views."""
    app = site.app

    @app.post("/login")
    def login() -> Response:
        options = dict(request.get_json())
        persistent = options.pop("persistent", None)
        pair = create_token_pair(options.pop("name", "alice"), fresh=True, **options)
        response = jsonify(pair.to_dict())
        set_token_cookies(response, pair, persistent=persistent)
        return response

    @app.post("/rotate")
    @refresh_token_required
    def rotate() -> Response:
        response = jsonify(done=True)
        set_token_cookies(response, rotate_token_pair())
        return response

    @app.post("/refresh")
    @refresh_token_required
    def refresh() -> dict[str, str]:
        return {"access_token": create_access_token(get_subject())}

    @app.route("/me", methods=["GET", "POST"])
    @paseto_required
    def me() -> Any:
        answer = site.during()
        return {"user": get_subject()} if answer is None else answer

    @app.get("/fresh")
    @paseto_required(fresh=True)
    def fresh() -> Any:
        return {"user": get_subject()}

    @app.get("/recent")
    @paseto_required(max_age=1200)
    def recent() -> Any:
        return {"user": get_subject()}

    @app.get("/anyone")
    @paseto_required(optional=True)
    def anyone() -> Any:
        return {"user": get_subject()}

    @app.get("/bound")
    @paseto_required(implicit_assertion="tenant")
    def bound() -> Any:
        return {"user": get_subject()}


@contextmanager
def open_quiet(store: Store | None = None, **config: Any) -> Iterator[Quiet]:
    """Give an app that renews cookies; settings by their full names."""
    clock = Clock()
    clock.time = clock.time.replace(microsecond=0)
    app, manager = Flask("tests"), PasetoManager()
    store = store or Unreliable(clock=clock)
    app.config.update(SETTINGS, TESTING=True, PASETO_STORE=store)
    app.config.update(config)
    manager.init_app(app)
    site = Quiet(app, manager, store, clock)
    add_quiet_routes(site)
    with use_clock(app, clock):
        yield site
