"""The app of the outage drill and of `reach.py`: a session for each login.

Its settings come from the environment, as `DRILL_PASETO_STORE` and so on; durations
of less than a second as `DRILL_MILLISECONDS_STORE_TIMEOUT`.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from datetime import timedelta

from flask import Flask, Response, request

from flask_paseto import (
    PasetoManager,
    create_token_pair,
    get_session_id,
    get_subject,
    paseto_required,
    refresh_token_required,
    revoke_session,
    rotate_token_pair,
)

SHORT = ("STORE_TIMEOUT", "REVOCATION_SYNC_INTERVAL")
GRACE = 60  # seconds: a client repeats a refresh until the store is back


def settings_of(url: str, **ours: str) -> dict[str, str]:
    """Return an environment for the app on a store, with a new key."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PAS"))}
    return kept | {
        "DRILL_PASETO_SECRET_KEY": f"k4.local.{key}",
        "DRILL_PASETO_STORE": url,
        "DRILL_PASETO_ROTATION_GRACE": str(GRACE),
        **{f"DRILL_{name}": value for name, value in ours.items()},
    }


def create_app() -> Flask:
    app = Flask("drill")
    app.config.from_prefixed_env("DRILL")
    for name in SHORT:
        milliseconds = app.config.get(f"MILLISECONDS_{name}")
        if milliseconds:
            app.config[f"PASETO_{name}"] = timedelta(milliseconds=milliseconds)
    PasetoManager(app)
    app.add_url_rule("/login", view_func=login, methods=["POST"])
    app.add_url_rule("/refresh", view_func=refresh, methods=["POST"])
    app.add_url_rule("/revoke", view_func=revoke, methods=["POST"])
    app.add_url_rule("/guarded", view_func=guarded)
    app.after_request(name_worker)
    return app


def login() -> dict[str, str | int | None]:
    return create_token_pair(request.get_json()["name"], fresh=True).to_dict()


@refresh_token_required
def refresh() -> dict[str, str | int | None]:
    return rotate_token_pair().to_dict()


@paseto_required
def revoke() -> dict[str, float | bool]:
    """End the session of the token, and tell when that had returned."""
    ended = revoke_session(get_session_id() or "")
    # This clock is that of the machine, the same for all processes.
    return {"ended": ended, "at": time.monotonic()}


@paseto_required
def guarded() -> dict[str, str | None]:
    return {"user": get_subject()}


def name_worker(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    return response
