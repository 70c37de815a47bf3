"""Tokens of ours opened by other implementations, and theirs by us.

The implementations are those that give the official vectors of versions 3 and 4 their
expected results here: the npm package `paseto`, where WebCrypto has what it takes,
the npm package `paseto-ts` for version 4, and the PyPI package `paseto` for all four
kinds, on libsodium and PyCryptodome. None shares cryptography with ours.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from flask_paseto import (
    AccessTokenRequired,
    ExpiredToken,
    InvalidClaims,
    InvalidToken,
    PasetoError,
    TokenNotYetValid,
    create_access_token,
    decode_token,
)
from flask_paseto.cli import paseto as cli
from flask_paseto.keys.paserk import parse_paserk, parse_pem
from flask_paseto.testing import use_clock

from ..conftest import MakeApp, Vectors, add_routes
from ..refusals import assert_refused, bearer
from .peers import Keys, Peer, Refused

ISSUER, AUDIENCE = "https://issuer.test", "api"
ASSERTION = "tenant ä"
OURS = {
    "name": "Zoë 𝄞",
    "roles": ["a", "b"],
    "nested": {"n": 1, "none": None, "yes": True},
}
COMMON: dict[str, Any] = {"PASETO_ISSUER": ISSUER, "PASETO_AUDIENCE": AUDIENCE}
BEFORE = "2021-12-31T00:00:00Z"  # within the life of all tokens of the vectors


def keygen(kind: str) -> Keys:
    """Return what the command prints."""
    args = ["keygen", "--version", kind[1], "--purpose", kind[3:]]
    lines = CliRunner().invoke(cli, args).stdout.splitlines()
    return Keys(lines[0], lines[-1])


@pytest.fixture(params=["keygen", "theirs"])
def keys(request: pytest.FixtureRequest, peer: Peer, kind: str) -> Keys:
    """Return keys that either side has made."""
    return keygen(kind) if request.param == "keygen" else peer.generate(kind)


@pytest.fixture
def app(make_app: MakeApp, kind: str, keys: Keys) -> Flask:
    """Return an app that issues with these keys."""
    setting = "PASETO_SECRET_KEY" if kind.endswith("local") else "PASETO_PRIVATE_KEY"
    return make_app(**{"PASETO_SECRET_KEY": ..., setting: keys.issuing, **COMMON})


@pytest.fixture
def verifier(make_app: MakeApp, kind: str, keys: Keys, app: Flask) -> Flask:
    """Return an app that verifies: with the public key alone where there is one."""
    if kind.endswith("public"):
        public = {"PASETO_PUBLIC_KEY": keys.verifying}
        app = make_app(PASETO_SECRET_KEY=..., **public, **COMMON)
    add_routes(app)
    return app


def issue(app: Flask, **options: Any) -> str:
    """Return an access token with some of everything in it."""
    with app.app_context():
        return create_access_token(
            "alice",
            fresh=True,
            scopes=["read", "write"],
            user_claims=OURS,
            footer={"tenant": "a", "key": 1},
            **options,
        )


def their_claims(**changes: Any) -> dict[str, Any]:
    """Return what a token for ours needs, with changes; None leaves one out."""
    now = datetime.now(UTC).replace(microsecond=0)
    claims = {
        "sub": "bob",
        "type": "access",
        "jti": "their-1",
        "iat": written(now),
        "exp": written(now + timedelta(minutes=5)),
        "iss": ISSUER,
        "aud": AUDIENCE,
        **OURS,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def encoded(footer: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(footer).encode()).rstrip(b"=").decode()


def sealing(keys: Keys) -> str:
    """Return the issuing key as PASERK; one implementation writes a PEM."""
    if keys.issuing.startswith("-----BEGIN"):
        return parse_pem(keys.issuing, "secret").to_paserk()
    return keys.issuing


def key_id(keys: Keys) -> str:
    kind = keys.verifying.split(".")[1]
    return parse_paserk(keys.verifying, kind).to_paserk_id()


def footer_of(keys: Keys) -> str:
    return json.dumps({"kid": key_id(keys), "of": "theirs"})


def vectors_of(kind: str, vectors: Vectors) -> list[dict[str, Any]]:
    """Return the vectors that bring a key of this kind."""
    name = "key" if kind.endswith("local") else "public-key"
    return [test for test in vectors(f"v{kind[1]}.json") if name in test]


def open_vector(peer: Peer, kind: str, test: dict[str, Any]) -> Any:
    name = "key" if kind.endswith("local") else "public-key"
    raw = urlsafe_b64encode(bytes.fromhex(test[name])).rstrip(b"=").decode()
    key = f"k{kind[1:]}.{raw}"
    return peer.open(test["token"], key, test["implicit-assertion"], now=BEFORE)


@pytest.mark.requirement("INTEROP-1")
def test_the_implementation_opens_the_official_vectors(
    peer: Peer, kind: str, vectors: Vectors
) -> None:
    tests = [test for test in vectors_of(kind, vectors) if not test["expect-fail"]]

    assert len(tests) >= 3
    for test in tests:
        found = open_vector(peer, kind, test)
        assert found.claims == json.loads(test["payload"])
        assert found.footer == test["footer"]


@pytest.mark.requirement("INTEROP-1")
def test_the_implementation_refuses_the_vectors_of_another_header(
    peer: Peer, kind: str, vectors: Vectors
) -> None:
    tests = [
        test
        for test in vectors_of(kind, vectors)
        if test["expect-fail"] and not test["token"].startswith(kind)
    ]

    assert tests
    for test in tests:
        with pytest.raises(Refused):
            open_vector(peer, kind, test)


@pytest.mark.requirement("INTEROP-1")
@pytest.mark.parametrize("assertion", ["", ASSERTION], ids=["bare", "asserted"])
def test_they_open_our_token(
    peer: Peer, kind: str, keys: Keys, app: Flask, verifier: Flask, assertion: str
) -> None:
    token = issue(app, implicit_assertion=assertion)

    found = peer.open(token, keys.verifying, assertion)

    assert token.startswith(f"{kind}.")
    with verifier.app_context():
        ours = decode_token(token, implicit_assertion=assertion)
    assert found.claims == {**found.claims, **OURS}
    for name in ours.keys() - OURS.keys():
        assert found.claims[name] == ours[name]
    assert found.claims.keys() == ours.keys()
    assert found.claims["sub"] == "alice"
    assert found.claims["aud"] == AUDIENCE
    footer = {"tenant": "a", "key": 1, "kid": key_id(keys)}
    assert json.loads(found.footer) == footer == ours.footer


@pytest.mark.requirement("INTEROP-1")
def test_they_refuse_our_token_when_anything_is_another(
    peer: Peer, kind: str, keys: Keys, app: Flask
) -> None:
    token = issue(app, implicit_assertion=ASSERTION)
    head, body, footer = token.rsplit(".", 2)
    changed = body[:-8] + ("A" if body[-8] != "A" else "B") + body[-7:]
    other = encoded({"tenant": "b", "key": 1, "kid": key_id(keys)})
    assert peer.open(token, keys.verifying, ASSERTION).claims["sub"] == "alice"

    for text, key, assertion in [
        (token, keys.verifying, ""),
        (token, keys.verifying, "another"),
        (token, peer.generate(kind).verifying, ASSERTION),
        (f"{head}.{changed}.{footer}", keys.verifying, ASSERTION),
        (f"{head}.{body}.{other}", keys.verifying, ASSERTION),
        (f"{head}.{body}", keys.verifying, ASSERTION),
    ]:
        with pytest.raises(Refused):
            peer.open(text, key, assertion)


@pytest.mark.requirement("INTEROP-1")
def test_they_read_the_dates_of_our_token(
    peer: Peer, kind: str, keys: Keys, app: Flask
) -> None:
    """The PyPI package leaves dates to whoever calls it; `paseto` takes a time."""
    now = datetime.now(UTC)
    soon = issue(app, not_before=now + timedelta(hours=1), expires_in=7200)

    if peer.name == "pypi-paseto":
        claims = peer.open(soon, keys.verifying).claims
        begin, end = (datetime.fromisoformat(claims[name]) for name in ("nbf", "exp"))
        assert end - begin < timedelta(hours=1, seconds=60)
        return
    with pytest.raises(Refused):
        peer.open(soon, keys.verifying)
    if peer.name == "paseto":
        inside, after = (written(now + timedelta(hours=hours)) for hours in (1.5, 3))
        assert peer.open(soon, keys.verifying, now=inside).claims["sub"] == "alice"
        with pytest.raises(Refused):
            peer.open(soon, keys.verifying, now=after)


@pytest.mark.requirement("INTEROP-1")
def test_a_token_of_several_audiences_is_for_verifiers_that_take_a_list(
    peer: Peer, keys: Keys, app: Flask
) -> None:
    """PASETO has `aud` as one text; a list is ours, and that of RFC 7519."""
    token = issue(app, audience=[AUDIENCE, "other"])

    with app.app_context():
        assert decode_token(token).audience == (AUDIENCE, "other")
    if peer.name == "pypi-paseto":
        found = peer.open(token, keys.verifying).claims
        assert found["aud"] == [AUDIENCE, "other"]
        return
    with pytest.raises(Refused):
        peer.open(token, keys.verifying)


@pytest.mark.requirement("INTEROP-1")
@pytest.mark.parametrize("assertion", ["", ASSERTION], ids=["bare", "asserted"])
def test_we_open_their_token(
    peer: Peer, keys: Keys, kind: str, verifier: Flask, assertion: str
) -> None:
    claims, footer = their_claims(), footer_of(keys)

    token = peer.seal(claims, sealing(keys), footer, assertion)

    assert token.startswith(f"{kind}.")
    with verifier.app_context():
        found = decode_token(token, implicit_assertion=assertion)
    assert found.subject == "bob"
    assert found.key_id == key_id(keys)
    assert found.footer == json.loads(footer)
    assert found["name"] == OURS["name"]
    for name in claims.keys() - OURS.keys():
        assert found[name] == claims[name]


@pytest.mark.requirement("INTEROP-1")
def test_a_guarded_view_lets_their_token_in(
    peer: Peer, keys: Keys, verifier: Flask
) -> None:
    token = peer.seal(their_claims(), sealing(keys), footer_of(keys))

    answer = verifier.test_client().get("/protected", headers=bearer(token))

    assert (answer.status_code, answer.json) == (200, {"user": "bob"})


NOES: list[tuple[str, dict[str, Any], type[PasetoError]]] = [
    ("refresh", {"type": "refresh"}, AccessTokenRequired),
    ("no-type", {"type": None}, InvalidClaims),
    ("no-jti", {"jti": None}, InvalidClaims),
    ("no-sub", {"sub": None}, InvalidClaims),
    ("other-aud", {"aud": "other"}, InvalidClaims),
    ("no-aud", {"aud": None}, InvalidClaims),
    ("other-iss", {"iss": "https://other.test"}, InvalidClaims),
    ("not-yet", {"nbf": "2999-01-01T00:00:00Z"}, TokenNotYetValid),
]


@pytest.mark.requirement("INTEROP-1")
@pytest.mark.parametrize(
    ("changes", "refusal"), [no[1:] for no in NOES], ids=[no[0] for no in NOES]
)
def test_a_guarded_view_refuses_their_token_for_what_it_says(
    peer: Peer,
    keys: Keys,
    verifier: Flask,
    changes: dict[str, Any],
    refusal: type[PasetoError],
) -> None:
    token = peer.seal(their_claims(**changes), sealing(keys), footer_of(keys))

    answer = verifier.test_client().get("/protected", headers=bearer(token))

    assert_refused(answer, refusal)


@pytest.mark.requirement("INTEROP-1")
def test_a_guarded_view_refuses_their_token_after_its_end(
    peer: Peer, keys: Keys, verifier: Flask
) -> None:
    token = peer.seal(their_claims(), sealing(keys), footer_of(keys))

    with use_clock(verifier) as clock:
        clock.advance(timedelta(minutes=6))
        answer = verifier.test_client().get("/protected", headers=bearer(token))

    assert_refused(answer, ExpiredToken)


@pytest.mark.requirement("INTEROP-1")
def test_a_guarded_view_refuses_their_token_for_how_it_is_sealed(
    peer: Peer, kind: str, keys: Keys, verifier: Flask
) -> None:
    client, key, footer = verifier.test_client(), sealing(keys), footer_of(keys)
    another = peer.generate(kind)

    for token in (
        peer.seal(their_claims(), key, footer, ASSERTION),
        peer.seal(their_claims(), sealing(another), footer),
        peer.seal(their_claims(), sealing(another), footer_of(another)),
        peer.seal(their_claims(), key, footer_of(another)),
        peer.seal(their_claims(), key, json.dumps({"of": "theirs"})),
        peer.seal(their_claims(), key, ""),
    ):
        answer = client.get("/protected", headers=bearer(token))
        assert_refused(answer, InvalidToken)
