"""``python -m example_app``: the app on this machine alone, with an account to try."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from secrets import token_hex, token_urlsafe

from flask import Flask
from werkzeug.serving import make_server

from . import create_app
from .models import add_user, appoint, find_user

HOST = "127.0.0.1"  # never another: the cookies go over plain http


def create_demo() -> Flask:
    """Return the app for plain http on this machine."""
    with warnings.catch_warnings():
        # Nobody listens in between the browser and the same machine.
        warnings.filterwarnings("ignore", message=".*PASETO_COOKIE_SECURE")
        return create_app({"PASETO_COOKIE_SECURE": False})


def ensure_account(app: Flask, path: Path) -> tuple[str, str]:
    """Return name and password of an administrator, made on the first start.

    Args:
        path: Where they are kept, for their owner alone.
    """
    with app.app_context():
        if path.exists():
            name, password = json.loads(path.read_text("utf-8"))
            if find_user(name, password) is not None:
                return name, password
        password = token_urlsafe(9)
        name = "demo"
        # Somebody may have the name: theirs must not become an administrator.
        while (user := add_user(name, f"{name}@example.org", password)) is None:
            name = f"demo-{token_hex(2)}"
        appoint(user)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump([name, password], file)
        return name, password


def main() -> None:
    """Serve until CTRL+C."""
    app = create_demo()
    name, password = ensure_account(app, Path(app.instance_path, "demo.json"))
    try:
        port = int(os.environ.get("PORT", "5000"))
    except ValueError:
        sys.exit("PORT is no number: PORT=5001 make demo")
    try:
        server = make_server(HOST, port, app, threaded=True)
    except (OSError, SystemExit):
        sys.exit(f"Port {port} is taken: PORT=5001 make demo")
    print(f"\n  http://{HOST}:{server.port}\n", flush=True)
    print(f"  Sign in as  {name}\n  Password    {password}", flush=True)
    print("\n  A server for trying things out. CTRL+C ends it.\n", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
