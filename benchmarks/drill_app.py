"""The app of the rotation drill: a login without a password, refresh, a guarded view.

Its settings come from the environment, as `DRILL_PASETO_KEYRING` and so on.
"""

from __future__ import annotations

import os

from flask import Flask, Response, request

from flask_paseto import (
    PasetoManager,
    create_access_token,
    create_refresh_token,
    get_subject,
    paseto_required,
    refresh_token_required,
)


def create_app() -> Flask:
    app = Flask("drill")
    app.config.from_prefixed_env("DRILL")
    PasetoManager(app)
    app.add_url_rule("/login", view_func=login, methods=["POST"])
    app.add_url_rule("/refresh", view_func=refresh, methods=["POST"])
    app.add_url_rule("/guarded", view_func=guarded)
    app.after_request(name_worker)
    return app


def login() -> dict[str, str]:
    name = request.get_json()["name"]
    return {
        "access_token": create_access_token(name, fresh=True),
        "refresh_token": create_refresh_token(name),
    }


@refresh_token_required
def refresh() -> dict[str, str]:
    return {"access_token": create_access_token(get_subject())}


@paseto_required
def guarded() -> dict[str, str | None]:
    return {"user": get_subject()}


def name_worker(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    return response
