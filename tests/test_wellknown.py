"""The key set at its well-known address, and an app that verifies by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from flask_paseto import (
    InvalidClaims,
    InvalidToken,
    KeysUnavailable,
    PasetoManager,
    create_access_token,
)
from flask_paseto.keys import generate_key, public_half
from flask_paseto.keys.entries import KeyState
from flask_paseto.wellknown import KEYSET_PATH, keyset_blueprint

from .conftest import MakeApp, add_routes
from .refusals import assert_refused, bearer
from .rings import NOON, document_of, entry_of, put

ISSUER = "https://auth.example"
FAR = NOON + timedelta(days=36500)


def signing_entry(state: KeyState = KeyState.ISSUING, **fields: Any) -> Any:
    return entry_of(state, paserk=generate_key(4, "public").to_paserk(), **fields)


def issuer_of(path: Path, make_app: MakeApp, **settings: Any) -> Flask:
    app = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_KEYRING=path,
        PASETO_ISSUER=ISSUER,
        **settings,
    )
    app.register_blueprint(keyset_blueprint())
    return app


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring.json"


@pytest.mark.requirement("KEY-6")
def test_the_own_public_keys_are_served_and_nothing_else(
    make_app: MakeApp, path: Path
) -> None:
    foreign = public_half(generate_key(4, "public")).to_paserk()
    listed = public_half(generate_key(4, "public")).to_paserk()
    issuing, announced = signing_entry(), signing_entry(KeyState.ANNOUNCED)
    former = signing_entry(KeyState.ACCEPTED, not_after=FAR)
    document = document_of(
        issuing,
        announced,
        former,
        signing_entry(KeyState.ACCEPTED, not_after=NOON - timedelta(days=10000)),
        entry_of(KeyState.ACCEPTED),
        entry_of(KeyState.ACCEPTED, paserk=foreign),
    )
    put(path, document)
    app = issuer_of(path, make_app, PASETO_PUBLIC_KEYS=[listed])

    response = app.test_client().get(KEYSET_PATH)

    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.cache_control.public
    assert response.cache_control.max_age == 300
    found = response.get_json()
    assert found["issuer"] == ISSUER
    assert {key["kid"] for key in found["keys"]} == {
        issuing.id,
        announced.id,
        former.id,
    }
    by_id = {key["kid"]: key for key in found["keys"]}
    assert by_id[former.id]["not_after"] == FAR.isoformat().replace("+00:00", "Z")
    assert set(by_id[issuing.id]) == {"kid", "key"}
    assert all(key["key"].startswith("k4.public.") for key in found["keys"])
    assert "secret" not in response.text
    assert "local" not in response.text


def test_an_answer_that_is_known_is_not_sent_again(
    make_app: MakeApp, path: Path
) -> None:
    put(path, document_of(signing_entry()))
    client = issuer_of(path, make_app).test_client()
    etag = client.get(KEYSET_PATH).headers["ETag"]
    again = client.get(KEYSET_PATH, headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.data == b""
    assert again.cache_control.max_age == 300
    assert client.get(KEYSET_PATH, headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.head(KEYSET_PATH).status_code == 200
    assert client.post(KEYSET_PATH).status_code == 405


def test_it_is_open_where_everything_is_guarded(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    pair = generate_key(3, "public")
    app = make_app(paseto, PASETO_SECRET_KEY=..., PASETO_PRIVATE_KEY=pair.to_paserk())
    paseto.protect(app)
    app.register_blueprint(keyset_blueprint("keys"))
    found = app.test_client().get(KEYSET_PATH).get_json()
    assert found == {
        "keys": [
            {
                "kid": pair.to_peer_paserk_id() or public_half(pair).to_paserk_id(),
                "key": public_half(pair).to_paserk(),
            }
        ]
    }


def test_an_app_without_public_keys_has_an_empty_set(make_app: MakeApp) -> None:
    app = make_app()
    app.register_blueprint(keyset_blueprint())
    assert app.test_client().get(KEYSET_PATH).get_json() == {"keys": []}


# Two apps, one without any secret


@pytest.fixture
def served(make_app: MakeApp, path: Path) -> Iterator[tuple[Flask, BaseWSGIServer]]:
    put(path, document_of(signing_entry(), signing_entry(KeyState.ANNOUNCED)))
    app = issuer_of(path, make_app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield app, server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.requirement("KEY-5", "CLM-2")
def test_an_app_verifies_by_the_address_alone(
    make_app: MakeApp, served: tuple[Flask, BaseWSGIServer]
) -> None:
    issuer, server = served
    url = f"http://127.0.0.1:{server.port}{KEYSET_PATH}"
    verifier = make_app(PASETO_SECRET_KEY=..., PASETO_KEYSET_URL={ISSUER: url})
    add_routes(verifier)
    client = verifier.test_client()
    with issuer.app_context():
        good = create_access_token("alice")
        lies = create_access_token("alice", issuer="https://other.example")

    for _ in range(2):
        response = client.get("/protected", headers=bearer(good))
        assert response.json == {"user": "alice"}
    assert_refused(client.get("/protected", headers=bearer(lies)), InvalidClaims)
    stranger = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_PRIVATE_KEY=generate_key(4, "public").to_paserk(),
        PASETO_ISSUER=ISSUER,
    )
    with stranger.app_context():
        forged = create_access_token("alice")
    assert_refused(client.get("/protected", headers=bearer(forged)), InvalidToken)


def test_while_the_address_does_not_answer_nobody_is_let_in_nor_turned_away(
    make_app: MakeApp,
) -> None:
    verifier = make_app(
        PASETO_SECRET_KEY=..., PASETO_KEYSET_URL={ISSUER: "http://127.0.0.1:9/keys"}
    )
    add_routes(verifier)
    signer = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_PRIVATE_KEY=generate_key(4, "public").to_paserk(),
        PASETO_ISSUER=ISSUER,
    )
    with signer.app_context():
        token = create_access_token("alice")
    response = verifier.test_client().get("/protected", headers=bearer(token))
    assert_refused(response, KeysUnavailable)
    assert response.headers["Retry-After"] == "30"
    local = make_app()
    with local.app_context():
        token = create_access_token("alice")
    response = verifier.test_client().get("/protected", headers=bearer(token))
    assert_refused(response, InvalidToken)
    assert json.loads(response.data)["error"] == "token_invalid"


def test_a_key_that_is_tied_to_another_issuer_is_not_served(
    make_app: MakeApp, path: Path
) -> None:
    """Readers tie all that is served to the issuer whose address it is."""
    issuing = signing_entry(issuer=ISSUER)
    other = signing_entry(KeyState.ANNOUNCED, issuer="https://other.example")
    put(path, document_of(issuing, other))
    served = issuer_of(path, make_app).test_client().get(KEYSET_PATH).get_json()
    assert [each["kid"] for each in served["keys"]] == [issuing.id]
