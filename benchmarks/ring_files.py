"""Ring files and a key set for the benchmark of the guard."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

import flask_paseto
from flask_paseto.keys import generate_key
from flask_paseto.keys.entries import KeyState, RingDocument, RingEntry, read_paserk
from flask_paseto.keys.file import locked, write_file
from flask_paseto.wellknown import KEYSET_PATH, keyset_blueprint

ISSUER = "https://issuer.example"
PATIENCE = 10  # seconds for the first answer of the key set


def write_ring(path: Path, keys: int) -> str:
    """Write a ring file of so many v4.local keys; return its path."""
    states = [KeyState.ISSUING] + [KeyState.ACCEPTED] * (keys - 1)
    document = RingDocument(1, tuple(new_entry(state) for state in states))
    with locked(path):
        write_file(path, document)
    return str(path)


def new_entry(state: KeyState) -> RingEntry:
    paserk = generate_key().to_paserk()
    key_id = read_paserk(paserk, None).key_id
    return RingEntry(id=key_id, key=paserk, state=state, added=datetime.now(UTC))


@contextmanager
def served_keyset(private_pem: str) -> Iterator[str]:
    """Serve the key set of an issuer on the loopback; gives its address."""
    app = Flask("issuer")
    app.config.update(
        PASETO_PRIVATE_KEY=private_pem, PASETO_ISSUER=ISSUER, PASETO_KEYSET_MAX_AGE=3600
    )
    flask_paseto.PasetoManager(app)
    app.register_blueprint(keyset_blueprint())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{KEYSET_PATH}"
    finally:
        server.shutdown()


def wait_for_keys(app: Flask, keys: int) -> None:
    """Return when so many keys are accepted, those of the key set among them."""
    until = time.monotonic() + PATIENCE
    while len(app.extensions["paseto"]["default"].codec.ring.by_id) != keys:
        if time.monotonic() > until:
            raise RuntimeError("the key set did not arrive")
        time.sleep(0.01)
