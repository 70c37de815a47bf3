"""The official vectors, through our own codec and our own parsing of keys."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_paseto import InvalidClaims, InvalidToken
from flask_paseto.codec import Codec
from flask_paseto.keys import KeyRing, RingKey
from flask_paseto.keys.paserk import parse_paserk, parse_pem, public_half

Vectors = Callable[[str], list[dict[str, Any]]]
Vector = dict[str, Any]

# What the payloads of all vectors say, whole.
EXPIRES = datetime(2022, 1, 1, tzinfo=UTC)

TOKENS = [
    *(f"{v}-E-{n}" for v in (3, 4) for n in range(1, 10)),
    *(f"{v}-S-{n}" for v in (3, 4) for n in range(1, 4)),
]
FAILURES = [f"{v}-F-{n}" for v in (3, 4) for n in range(1, 6)]
PASERKS = [f"k{v}.{kind}" for v in (3, 4) for kind in ("local", "secret", "public")]
IDS = [f"k{v}.{kind}" for v in (3, 4) for kind in ("lid", "pid")]


def paserk(version: str, kind: str, raw: str) -> str:
    """Return the PASERK of a key in hexadecimal."""
    data = urlsafe_b64encode(bytes.fromhex(raw)).rstrip(b"=").decode()
    return f"k{version}.{kind}.{data}"


def keys_of(vector: Vector) -> list[RingKey]:
    """Return the keys a vector brings, by the version in its name."""
    version, keys = vector["name"][0], []
    if "key" in vector:
        keys.append(parse_paserk(paserk(version, "local", vector["key"]), "local"))
    if "public-key" in vector:
        public = paserk(version, "public", vector["public-key"])
        keys.append(parse_paserk(public, "public"))
    return [RingKey.of(key) for key in keys]


def ring_of(vector: Vector) -> KeyRing:
    """Return a ring of the vector's keys; a `kid` in its footer leads to them."""
    keys = keys_of(vector)
    try:
        kid = json.loads(vector["footer"])["kid"]
    except ValueError:
        return KeyRing.of(accepted=keys)
    return KeyRing.of(accepted=[replace(key, key_id=kid) for key in keys])


def codec_of(vector: Vector) -> Codec:
    return Codec(ring_of(vector), accept_missing_kid=True)


def assertion_of(vector: Vector) -> bytes:
    assertion: str = vector["implicit-assertion"]
    return assertion.encode()


def named(tests: Iterable[Vector], name: str) -> Vector:
    (found,) = [test for test in tests if test["name"] == name]
    return found


@pytest.mark.requirement("TOK-1")
def test_no_vector_of_version_3_and_4_is_left_out(vectors: Vectors) -> None:
    names = {test["name"] for v in "34" for test in vectors(f"v{v}.json")}

    assert names == {*TOKENS, *FAILURES}


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("name", TOKENS)
def test_vector_opens_with_the_payload_and_footer_it_names(
    vectors: Vectors, name: str
) -> None:
    vector = named(vectors(f"v{name[0]}.json"), name)

    found = codec_of(vector).unseal(vector["token"], assertion_of(vector))

    assert vector["expect-fail"] is False
    assert found.payload == vector["payload"].encode()
    assert datetime.fromisoformat(json.loads(found.payload)["exp"]) == EXPIRES
    if not vector["footer"]:
        assert found.footer is None
    elif vector["footer"].startswith("{"):
        assert found.footer == json.loads(vector["footer"])
    else:
        assert found.footer == vector["footer"]


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("name", TOKENS)
def test_vector_is_refused_with_another_implicit_assertion(
    vectors: Vectors, name: str
) -> None:
    vector = named(vectors(f"v{name[0]}.json"), name)

    with pytest.raises(InvalidToken):
        codec_of(vector).unseal(vector["token"], b"another")


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("name", FAILURES)
def test_failing_vector_is_refused(vectors: Vectors, name: str) -> None:
    vector = named(vectors(f"v{name[0]}.json"), name)

    with pytest.raises(InvalidToken):
        codec_of(vector).unseal(vector["token"], assertion_of(vector))

    assert vector["expect-fail"] is True


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("version", ["3", "4"])
def test_vectors_of_bad_base64_fail_for_nothing_but_that(
    vectors: Vectors, version: str
) -> None:
    """F-4 has an unused bit set, F-5 padding: mended, both open."""
    tests = vectors(f"v{version}.json")
    bits, padding = (named(tests, f"{version}-F-{n}") for n in (4, 5))
    intact = named(tests, f"{version}-E-1")["token"]

    assert bits["token"][:-1] == intact[:-1]
    assert codec_of(bits).unseal(intact).payload
    body, _, footer = padding["token"].rpartition(".")
    assert codec_of(padding).unseal(f"{body.rstrip('=')}.{footer}").payload


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("name", [f"{v}-F-{n}" for v in (3, 4) for n in (1, 2, 3)])
def test_vectors_of_another_header_fail_for_nothing_but_that(
    vectors: Vectors, name: str
) -> None:
    """F-1 to F-3 bring a key of another purpose or version than their token's."""
    vector = named(vectors(f"v{name[0]}.json"), name)
    header = ".".join(vector["token"].split(".")[:2])

    assert header not in {key.header for key in keys_of(vector)}


@pytest.mark.requirement("TOK-1")
@pytest.mark.parametrize("version", ["1", "2"])
def test_every_token_of_version_1_and_2_is_refused(
    vectors: Vectors, version: str
) -> None:
    """Also by rings that hold all keys of versions 3 and 4, those of the vectors."""
    keys = [key for v in "34" for t in vectors(f"v{v}.json") for key in keys_of(t)]
    codec = Codec(KeyRing.of(accepted=keys), accept_missing_kid=True)
    tests = vectors(f"v{version}.json")

    assert len(tests) > 10
    for vector in tests:
        with pytest.raises(InvalidToken):
            codec.unseal(vector["token"])


@pytest.mark.requirement("TOK-1")
def test_an_opened_vector_lacks_the_claims_of_ours(vectors: Vectors) -> None:
    """`open` gets past the seal, and misses `sub`, `iat`, `jti` and `type`."""
    vector = named(vectors("v4.json"), "4-E-5")

    with pytest.raises(InvalidClaims):
        codec_of(vector).open(vector["token"])


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", PASERKS)
def test_paserk_vectors_are_read_and_written_again(vectors: Vectors, kind: str) -> None:
    yes = [test for test in vectors(f"PASERK/{kind}.json") if not test["expect-fail"]]

    assert yes
    for test in yes:
        key = parse_paserk(test["paserk"], kind.partition(".")[2])
        assert key.to_paserk() == test["paserk"]
        assert paserk(kind[1], kind[3:], test["key"]) == test["paserk"]


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", PASERKS)
def test_failing_paserk_vectors_are_refused(vectors: Vectors, kind: str) -> None:
    noes = [test for test in vectors(f"PASERK/{kind}.json") if test["expect-fail"]]

    assert noes
    for test in noes:
        text = test["paserk"] or paserk(kind[1], kind[3:], test["key"])
        if text.startswith(f"k{7 - int(kind[1])}."):
            # Of the other version: it is a key, but never one of this version.
            assert parse_paserk(text, kind[3:]).version != int(kind[1])
            continue
        with pytest.raises(ValueError, match="damaged"):
            parse_paserk(text, kind[3:])


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", IDS)
def test_key_ids_are_those_of_the_vectors(vectors: Vectors, kind: str) -> None:
    version, holder = kind[1], {"lid": "local", "pid": "public"}[kind[3:]]
    yes = [test for test in vectors(f"PASERK/{kind}.json") if not test["expect-fail"]]

    assert yes
    for test in yes:
        key = parse_paserk(paserk(version, holder, test["key"]), holder)
        assert RingKey.of(key).key_id == test["paserk"]


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", IDS)
def test_failing_key_id_vectors_are_no_keys(vectors: Vectors, kind: str) -> None:
    version, holder = kind[1], {"lid": "local", "pid": "public"}[kind[3:]]
    noes = [test for test in vectors(f"PASERK/{kind}.json") if test["expect-fail"]]

    assert noes
    for test in noes:
        with pytest.raises(ValueError, match="damaged"):
            parse_paserk(paserk(version, holder, test["key"]), holder)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", ["3-S-1", "4-S-1"])
def test_pems_of_the_vectors_hold_the_keys_of_the_vectors(
    vectors: Vectors, name: str
) -> None:
    vector = named(vectors(f"v{name[0]}.json"), name)

    private = parse_pem(vector["secret-key-pem"], "secret")
    public = parse_pem(vector["public-key-pem"], "public")

    expected = paserk(name[0], "secret", vector["secret-key"])
    assert private.to_paserk() == expected
    assert public.to_paserk() == paserk(name[0], "public", vector["public-key"])
    assert public_half(private).to_paserk() == public.to_paserk()


@pytest.mark.requirement("KEY-4")
@pytest.mark.parametrize(
    "name",
    [
        *(f"k{v}.{kind}-pw" for v in (3, 4) for kind in ("local", "secret")),
        *(f"k{v}.{kind}-wrap.pie" for v in (3, 4) for kind in ("local", "secret")),
        "k3.seal",
        "k4.seal",
    ],
)
def test_wrapped_and_sealed_paserks_are_never_taken_as_keys(
    vectors: Vectors, name: str
) -> None:
    for test in vectors(f"PASERK/{name}.json"):
        for kind in ("local", "secret", "public"):
            with pytest.raises(ValueError, match=r"^is not a k4\."):
                parse_paserk(test["paserk"], kind)
