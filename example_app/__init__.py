"""Accounts, freshness and sessions: an API and its pages, ``python -m example_app``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException

from flask_paseto.endpoints import session_blueprint

from .auth import paseto
from .face import add_pages, error_page, wants_page
from .models import create_tables, db
from .ring import LONGEST_TOKEN, ensure_ring
from .views import views


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """Return the app; its keys, users and sessions live in the instance folder.

    Args:
        settings: What differs from the defaults and from `instance/config.py`.
    """
    app = Flask(__name__, instance_relative_config=True)
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///users.db"  # in the instance
    sessions = Path(app.instance_path, "sessions.db")  # a file of its own
    app.config["PASETO_STORE"] = os.environ.get("PASETO_STORE", f"sqlite:///{sessions}")
    app.config["PASETO_STORE_TIMEOUT"] = 5  # seconds: the disk of a demo is slow
    app.config["PASETO_TOKEN_LOCATIONS"] = ("headers", "cookies")
    app.config["PASETO_MAX_TOKEN_LIFETIME"] = LONGEST_TOKEN
    app.config.from_pyfile("config.py", silent=True)
    app.config.from_mapping(settings or {})

    if not {"PASETO_SECRET_KEY", "PASETO_SECRET_KEY_FILE"} & app.config.keys():
        ring = Path(app.instance_path, "keyring.json")
        ring = Path(app.config.setdefault("PASETO_KEYRING", ring))
        ensure_ring(ring, ring.with_name("paseto.key"), app.config)

    app.before_request(read_request)
    db.init_app(app)
    paseto.init_app(app)
    app.register_blueprint(views)
    app.register_blueprint(session_blueprint())
    add_pages(app)
    app.register_error_handler(HTTPException, answer_error)
    with app.app_context():
        create_tables()
    paseto.create_store(app)
    return app


def read_request() -> None:
    """Read the query and the body, so that no view stumbles over them.

    Each server breaks off a body in errors of its own, and Flask lets out what it
    finds in a query that is no text.

    Raises:
        HTTPException: A 4xx; one of them cannot be read.
    """
    try:
        request.args.keys()
        request.get_data(parse_form_data=True)
    except HTTPException:
        raise
    except Exception:
        raise BadRequest("The request cannot be read.") from None


def answer_error(error: HTTPException) -> ResponseReturnValue:
    """Answer what the extension does not, a 404 for instance: in its JSON form.

    People get a page.
    """
    # A page has links, and Flask builds none where the Host of the request is none.
    if wants_page() and not isinstance(request.routing_exception, BadRequest):
        return error_page(error)
    name = error.name.lower().replace(" ", "_")
    headers = [pair for pair in error.get_headers() if pair[0] != "Content-Type"]
    return {"error": name, "message": error.description}, error.code or 500, headers
