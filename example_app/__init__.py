"""The freshness flow and sessions as a small API: ``flask --app example_app run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from flask_paseto.endpoints import session_blueprint

from .auth import paseto
from .keyfile import ensure_key_file
from .models import create_tables, db
from .views import views


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """Return the app; its key, users and sessions live in the instance folder.

    Args:
        settings: What differs from the defaults and from `instance/config.py`.
    """
    app = Flask(__name__, instance_relative_config=True)
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///users.db"  # in the instance
    sessions = Path(app.instance_path, "sessions.db")  # a file of its own
    app.config["PASETO_STORE"] = f"sqlite:///{sessions}"
    app.config["PASETO_STORE_TIMEOUT"] = 5  # seconds: the disk of a demo is slow
    app.config.from_pyfile("config.py", silent=True)
    app.config.from_mapping(settings or {})

    if "PASETO_SECRET_KEY" not in app.config:
        key_file = Path(app.instance_path, "paseto.key")
        key_file = Path(app.config.setdefault("PASETO_SECRET_KEY_FILE", key_file))
        ensure_key_file(key_file)

    db.init_app(app)
    paseto.init_app(app)
    app.register_blueprint(views)
    app.register_blueprint(session_blueprint())
    app.register_error_handler(HTTPException, answer_error)
    with app.app_context():
        create_tables()
    paseto.create_store(app)
    return app


def answer_error(error: HTTPException) -> ResponseReturnValue:
    """Answer what the extension does not, a 404 for instance, in its JSON form."""
    name = error.name.lower().replace(" ", "_")
    headers = [pair for pair in error.get_headers() if pair[0] != "Content-Type"]
    return {"error": name, "message": error.description}, error.code or 500, headers
