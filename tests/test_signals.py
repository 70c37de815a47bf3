"""Signals: what happened, to whoever listens, and nothing secret in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_paseto import (
    FreshTokenRequired,
    InvalidToken,
    MissingToken,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    decode_token,
    get_subject,
    paseto_required,
    public,
)
from flask_paseto.signals import authenticated, refused, token_issued

from .conftest import MakeApp, add_routes
from .refusals import assert_refused, bearer

Sent = list[tuple[Any, dict[str, Any]]]


@contextmanager
def listening(signal: Any, app: Flask) -> Iterator[Sent]:
    sent: Sent = []

    def note(sender: Any, **keywords: Any) -> None:
        sent.append((sender, keywords))

    with signal.connected_to(note, sender=app):
        yield sent


def test_a_token_that_passes_is_told(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers", "query"])
    add_routes(app)
    client = app.test_client()
    with app.app_context():
        access, refresh = create_access_token("alice"), create_refresh_token("alice")
    with listening(authenticated, app) as sent:
        client.get("/protected", headers=bearer(access))
        client.get(f"/protected?access_token={access}")
        client.post("/refresh", headers=bearer(refresh))
        client.get("/optional")
        client.get("/protected")
    assert sent == [
        (app, {"place": "headers", "token_type": "access"}),
        (app, {"place": "query", "token_type": "access"}),
        (app, {"place": "headers", "token_type": "refresh"}),
    ]


def test_a_receiver_may_ask_who_it_is(app: Flask, client: FlaskClient) -> None:
    seen: list[str | None] = []

    def note(sender: Any, **keywords: Any) -> None:
        seen.append(get_subject())

    with app.app_context():
        token = create_access_token("alice")
    with authenticated.connected_to(note, sender=app):
        client.get("/protected", headers=bearer(token))
    assert seen == ["alice"]


def test_a_refusal_is_told_once(make_app: MakeApp) -> None:
    app = make_app()
    add_routes(app)

    def own() -> str:
        raise FreshTokenRequired

    def decode() -> str:
        return decode_token("x").subject

    app.add_url_rule("/own", "own", paseto_required(own))
    app.add_url_rule("/open", "open", public(own))
    app.add_url_rule("/decode", "decode", public(decode))
    app.add_url_rule("/guarded-decode", "gd", paseto_required(decode))
    client = app.test_client()
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    for path, given, refusal in [
        ("/protected", {}, MissingToken),
        ("/protected", bearer("x"), InvalidToken),
        ("/protected-fresh", headers, FreshTokenRequired),
        ("/own", headers, FreshTokenRequired),
        ("/open", {}, FreshTokenRequired),
        ("/decode", {}, InvalidToken),
        ("/guarded-decode", headers, InvalidToken),
    ]:
        with listening(refused, app) as sent:
            assert_refused(client.get(path, headers=given), refusal)
        told = {"error_code": refusal.error_code, "status_code": refusal.code}
        assert sent == [(app, told)]


def test_a_token_that_is_issued_is_told(app: Flask) -> None:
    with app.app_context(), listening(token_issued, app) as sent:
        create_access_token("alice")
        create_refresh_token("alice")
        create_token("alice", "ticket")
        create_token_pair("alice")
        with pytest.raises(TypeError):
            create_access_token(None)
    kinds = ["access", "refresh", "ticket", "access", "refresh"]
    assert sent == [(app, {"token_type": kind}) for kind in kinds]


def test_the_signals_of_one_app_do_not_reach_another(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()
    with listening(token_issued, two) as sent, one.app_context():
        create_access_token("alice")
    assert sent == []


@pytest.mark.requirement("KEY-6")
def test_no_signal_holds_a_token_or_a_claim(make_app: MakeApp) -> None:
    app = make_app()
    add_routes(app)
    client = app.test_client()
    with (
        listening(authenticated, app) as one,
        listening(refused, app) as two,
        listening(token_issued, app) as three,
        app.app_context(),
    ):
        token = create_access_token("alice", user_claims={"a": "s3cret"})
        client.get("/protected", headers=bearer(token))
        client.get("/protected-fresh", headers=bearer(token))
    assert len(one) == len(two) == len(three) == 1
    told = repr([keywords for _, keywords in one + two + three])
    for word in ("alice", "s3cret", token, token.split(".")[2]):
        assert word not in told
