"""Fixtures on which all other tests stand: an app, its client, a clock, vectors."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from werkzeug.security import generate_password_hash

from example_app import models
from flask_paseto import (
    PasetoManager,
    create_access_token,
    create_refresh_token,
    get_subject,
    paseto_required,
    refresh_token_required,
)
from flask_paseto.stores import Store
from flask_paseto.testing import Clock, use_clock

from .stores import STORES, Tried

# Keys made for these tests alone.
SECRET_KEY = "k4.local.Bvj2v6HXYxkLFhXcRFNQPsDHIcJxRSRWQ1pJ7D1g0vU"

settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("default")

MakeApp = Callable[..., Flask]
Vectors = Callable[[str], list[dict[str, Any]]]


def add_routes(app: Flask) -> None:
    """Give an app the freshness flow of the documentation."""

    @app.post("/login")
    def login() -> dict[str, str]:
        name = request.get_json()["name"]
        return {
            "access_token": create_access_token(name, fresh=True),
            "refresh_token": create_refresh_token(name),
        }

    @app.post("/refresh")
    @refresh_token_required
    def refresh() -> dict[str, str]:
        return {"access_token": create_access_token(get_subject(), fresh=False)}

    @app.post("/fresh-login")
    def fresh_login() -> dict[str, str]:
        name = request.get_json()["name"]
        return {"access_token": create_access_token(name, fresh=True)}

    @app.get("/protected")
    @paseto_required
    def protected() -> dict[str, str | None]:
        return {"user": get_subject()}

    @app.get("/protected-fresh")
    @paseto_required(fresh=True)
    def protected_fresh() -> dict[str, str | None]:
        return {"user": get_subject()}

    @app.get("/recent")
    @paseto_required(max_age=300)
    def recent() -> dict[str, str | None]:
        return {"user": get_subject()}

    @app.get("/optional")
    @paseto_required(optional=True)
    def optional() -> dict[str, str | None]:
        return {"user": get_subject()}


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """Let the example app hash passwords in no time: 0.1 s each is minutes here."""
    hash_password = partial(generate_password_hash, method="pbkdf2:sha256:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "generate_password_hash", hash_password)
        patch.setattr(models, "_NOBODY", hash_password("nobody"))
        yield


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Wait for what is fetched in the background: it would log into the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("flask_paseto: "):
            thread.join(20)


@pytest.fixture
def make_app() -> MakeApp:
    """Return what makes an app with a manager; settings by their full names."""

    def make(manager: PasetoManager | None = None, **config: Any) -> Flask:
        app = Flask("tests")
        app.config.update(TESTING=True, PASETO_SECRET_KEY=SECRET_KEY)
        app.config.update(config)
        for name in [name for name, value in config.items() if value is ...]:
            del app.config[name]
        (manager or PasetoManager()).init_app(app)
        return app

    return make


@pytest.fixture
def paseto() -> PasetoManager:
    """Return the manager of `app`."""
    return PasetoManager()


@pytest.fixture
def app(make_app: MakeApp, paseto: PasetoManager) -> Flask:
    """Return an app with the routes of the documentation."""
    app = make_app(paseto)
    add_routes(app)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of `app`."""
    return app.test_client()


@pytest.fixture
def clock(app: Flask) -> Iterator[Clock]:
    """Return the clock of `app`, standing still."""
    with use_clock(app) as clock:
        yield clock


@pytest.fixture
def issue(app: Flask) -> Callable[..., str]:
    """Return what issues an access token outside of any request."""

    def issue(subject: Any = "alice", **options: Any) -> str:
        with app.app_context():
            return create_access_token(subject, **options)

    return issue


@pytest.fixture(params=list(STORES))
def tried(request: pytest.FixtureRequest) -> Iterator[Tried]:
    """Return a store of each kind that must pass the contract, and its clock."""
    with STORES[request.param]() as tried:
        yield tried


@pytest.fixture
def store(tried: Tried) -> Store:
    """Return a store of each kind that must pass the contract."""
    return tried.store


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """Return what reads a file of the official test vectors, by its name."""
    beside = Path(__file__).parents[2] / "shared" / "vectors"
    root = Path(os.environ.get("PASETO_VECTORS") or beside)
    if not root.is_dir():
        message = "the official test vectors are not there: set PASETO_VECTORS"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    def read(name: str) -> list[dict[str, Any]]:
        tests: list[dict[str, Any]] = json.loads((root / name).read_text())["tests"]
        return tests

    return read
