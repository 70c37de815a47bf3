"""An app with sessions, and what its tests do with it as a client would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_paseto import (
    Claims,
    PasetoManager,
    create_access_token,
    create_token_pair,
    decode_token,
    get_subject,
    paseto_required,
    refresh_token_required,
    rotate_token_pair,
)
from flask_paseto.state import states_of
from flask_paseto.stores import Session
from flask_paseto.testing import Clock, use_clock

from .refusals import bearer
from .stores import Unreliable

SECRET_KEY = "k4.local.Bvj2v6HXYxkLFhXcRFNQPsDHIcJxRSRWQ1pJ7D1g0vU"

Pair = dict[str, Any]


def add_session_routes(app: Flask) -> None:
    """Give an app a log-in, a refresh with and without rotation, and guarded views."""

    @app.post("/login")
    def login() -> Pair:
        options = dict(request.get_json(silent=True) or {})
        pair = create_token_pair(options.pop("name", "alice"), fresh=True, **options)
        return pair.to_dict()

    @app.post("/rotate")
    @refresh_token_required
    def rotate() -> Pair:
        return rotate_token_pair(**(request.get_json(silent=True) or {})).to_dict()

    @app.post("/refresh")
    @refresh_token_required
    def refresh() -> Pair:
        return {"access_token": create_access_token(get_subject())}

    @app.get("/me")
    @paseto_required
    def me() -> Pair:
        return {"user": get_subject()}

    @app.get("/refreshable")
    @refresh_token_required
    def refreshable() -> Pair:
        return {"user": get_subject()}


@dataclass(frozen=True, slots=True)
class Site:
    """An app with sessions, its client, its store and its clock."""

    app: Flask
    client: FlaskClient
    store: Unreliable
    clock: Clock

    def log_in(self, **options: Any) -> Pair:
        """Return the pair of a new session."""
        return self._pair(self.client.post("/login", json=options))

    def rotate(self, pair: Pair, **options: Any) -> Pair:
        """Return the next pair."""
        return self._pair(self.try_rotate(pair, **options))

    def try_rotate(self, pair: Pair, **options: Any) -> TestResponse:
        """Return the answer to a rotation."""
        headers = bearer(pair["refresh_token"])
        return self.client.post("/rotate", headers=headers, json=options)

    def refresh(self, pair: Pair) -> TestResponse:
        """Return the answer to a refresh without rotation."""
        return self.client.post("/refresh", headers=bearer(pair["refresh_token"]))

    def get(self, pair: Pair, path: str = "/me") -> TestResponse:
        """Return the answer of a guarded view."""
        kind = "refresh_token" if path == "/refreshable" else "access_token"
        return self.client.get(path, headers=bearer(pair[kind]))

    def read(self, pair: Pair, kind: str = "access", **options: Any) -> Claims:
        """Return the claims of a token of a pair, whatever was revoked."""
        options = {"check_revoked": False, "type": kind, **options}
        with self.app.app_context():
            return decode_token(pair[f"{kind}_token"], **options)

    def row(self, pair: Pair) -> Session:
        """Return the row of the session of a pair, also of one that has expired."""
        codec = states_of(self.app)["default"].codec
        session_id = codec.open(pair["access_token"], now=self.clock()).session_id
        assert session_id is not None
        row = self.store.session(session_id)
        assert row is not None
        return row

    def _pair(self, response: TestResponse) -> Pair:
        assert response.status_code == 200, response.text
        assert response.json is not None
        return dict(response.json)


@contextmanager
def open_site(
    manager: PasetoManager | None = None, clock: Clock | None = None, **config: Any
) -> Iterator[Site]:
    """Give an app with sessions; settings by their full names."""
    clock = clock or Clock()
    clock.time = clock.time.replace(microsecond=123_456)
    app = Flask("tests")
    store = config.pop("store", None) or Unreliable(clock=clock)
    app.config.update(TESTING=True, PASETO_SECRET_KEY=SECRET_KEY, PASETO_STORE=store)
    app.config.update(config)
    (manager or PasetoManager()).init_app(app)
    add_session_routes(app)
    with use_clock(app, clock):
        yield Site(app, app.test_client(), store, clock)


def end(site: Site, pair: Pair) -> None:
    """End the session of a pair in the store, without the session layer."""
    site.store.revoke_session(site.row(pair).session_id, reason="logout")
