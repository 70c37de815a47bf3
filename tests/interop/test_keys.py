"""Key ids and wrapped keys, compared with the npm package `paseto`.

It computes the ids of version 3, and those of version 4 with BLAKE2b of
`@noble/hashes`, since it leaves that to whoever composes it. It wraps keys of
version 3 with a password; for version 4 the official vectors stand.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from flask_paseto import create_access_token
from flask_paseto.keys import Purpose, RingKey
from flask_paseto.keys.entries import read_paserk
from flask_paseto.keys.paserk import (
    generate_key,
    parse_paserk,
    public_half,
    unwrap_paserk,
    wrap_key,
)

from ..conftest import MakeApp, Vectors
from .peers import Node, NpmPeer, Refused

HOLDERS = {"lid": "local", "pid": "public", "sid": "secret"}
PASSWORD = "correct horse bättery staple"


def ask(node: Node, do: str, **given: Any) -> str:
    answer: str = node.ask(peer="paseto", do=do, **given)
    return answer


@pytest.mark.requirement("INTEROP-2")
@pytest.mark.parametrize("version", ["3", "4"])
@pytest.mark.parametrize("kind", HOLDERS)
def test_the_implementation_gives_the_ids_of_the_official_vectors(
    node: Node, vectors: Vectors, version: str, kind: str
) -> None:
    tests = vectors(f"PASERK/k{version}.{kind}.json")
    for test in [test for test in tests if not test["expect-fail"]]:
        raw = urlsafe_b64encode(bytes.fromhex(test["key"])).rstrip(b"=").decode()
        key = f"k{version}.{HOLDERS[kind]}.{raw}"
        assert ask(node, "id", key=key) == test["paserk"]


@pytest.mark.requirement("INTEROP-2")
@pytest.mark.parametrize("version", [3, 4])
def test_key_ids_are_the_same_on_both_sides(node: Node, version: int) -> None:
    local, private = generate_key(version), generate_key(version, "public")
    public = public_half(private)

    for key in (local, private, public):
        assert key.to_paserk_id() == ask(node, "id", key=key.to_paserk())
    assert RingKey.of(local).key_id == ask(node, "id", key=local.to_paserk())
    pid = ask(node, "id", key=public.to_paserk())
    assert RingKey.of(private).key_id == RingKey.of(public).key_id == pid


@pytest.mark.requirement("INTEROP-2")
@pytest.mark.parametrize("kind", ["v3.local", "v3.public", "v4.local", "v4.public"])
def test_the_id_in_our_footer_is_what_they_compute(
    node: Node, make_app: MakeApp, kind: str
) -> None:
    purpose: Purpose = "local" if kind.endswith("local") else "public"
    key = generate_key(int(kind[1]), purpose)
    setting = "PASETO_SECRET_KEY" if purpose == "local" else "PASETO_PRIVATE_KEY"
    app = make_app(**{"PASETO_SECRET_KEY": ..., setting: key.to_paserk()})
    with app.app_context():
        token = create_access_token("alice")

    footer = json.loads(footer_of(token))

    half = key if purpose == "local" else public_half(key)
    assert footer == {"kid": ask(node, "id", key=half.to_paserk())}


def footer_of(token: str) -> bytes:
    part = token.split(".")[3]
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.requirement("INTEROP-2")
@pytest.mark.parametrize("purpose", ["local", "public"])
def test_they_unwrap_our_key_with_its_password_alone(
    node: Node, purpose: Purpose
) -> None:
    key = generate_key(3, purpose)
    wrapped = wrap_key(key, PASSWORD)

    assert ask(node, "unwrap", key=wrapped, password=PASSWORD) == key.to_paserk()
    with pytest.raises(Refused):
        ask(node, "unwrap", key=wrapped, password="another")


@pytest.mark.requirement("INTEROP-2")
@pytest.mark.parametrize("kind", ["v3.local", "v3.public"])
def test_we_unwrap_their_key_with_its_password_alone(node: Node, kind: str) -> None:
    key = NpmPeer(node, "paseto").generate(kind).issuing
    wrapped = ask(node, "wrap", key=key, password=PASSWORD)

    assert unwrap_paserk(wrapped, PASSWORD, 3).to_paserk() == key
    read = read_paserk(wrapped, PASSWORD)
    assert read.key_id == RingKey.of(parse_paserk(key, key.split(".")[1])).key_id
    with pytest.raises(ValueError, match="another password"):
        unwrap_paserk(wrapped, "another", 3)
