"""The official vectors, through our own codec and our own parsing of keys."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_paseto import InvalidClaims, InvalidToken
from flask_paseto.codec import Codec
from flask_paseto.keys import KeyRing, RingKey
from flask_paseto.keys.entries import read_paserk
from flask_paseto.keys.paserk import (
    decode_paserk,
    generate_key,
    parse_paserk,
    parse_pem,
    public_half,
    unwrap_paserk,
    wrap_key,
)

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
SECRET_IDS = ["k3.sid", "k4.sid"]
WRAPPED = [f"k{v}.{kind}-pw" for v in (3, 4) for kind in ("local", "secret")]


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


def good(tests: Iterable[Vector]) -> list[Vector]:
    """Return the vectors that must work, at least one."""
    found = [test for test in tests if not test["expect-fail"]]
    assert found
    return found


def failing(tests: Iterable[Vector]) -> list[Vector]:
    """Return the vectors that must not work, at least one."""
    found = [test for test in tests if test["expect-fail"]]
    assert found
    return found


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", PASERKS)
def test_paserk_vectors_are_read_and_written_again(vectors: Vectors, kind: str) -> None:
    for test in good(vectors(f"PASERK/{kind}.json")):
        key = parse_paserk(test["paserk"], kind[3:], int(kind[1]))
        assert key.to_paserk() == test["paserk"]
        assert decode_paserk(test["paserk"]).hex() == test["key"]
        assert paserk(kind[1], kind[3:], test["key"]) == test["paserk"]


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", PASERKS)
def test_failing_paserk_vectors_are_refused(vectors: Vectors, kind: str) -> None:
    """What is of the other version is refused where this version is asked for."""
    for test in failing(vectors(f"PASERK/{kind}.json")):
        text = test["paserk"] or paserk(kind[1], kind[3:], test["key"])
        other = text.startswith(f"k{7 - int(kind[1])}.")
        message = f"where {kind} goes" if other else "is a damaged"
        with pytest.raises(ValueError, match=message):
            parse_paserk(text, kind[3:], int(kind[1]))


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", PASERKS)
def test_a_paserk_is_refused_where_the_other_version_is_asked_for(
    vectors: Vectors, kind: str
) -> None:
    other = 7 - int(kind[1])
    for test in good(vectors(f"PASERK/{kind}.json")):
        with pytest.raises(ValueError, match=f"where k{other}.{kind[3:]} goes"):
            parse_paserk(test["paserk"], kind[3:], other)


@pytest.mark.requirement("KEY-1", "KEY-2")
@pytest.mark.parametrize("kind", [*PASERKS, *WRAPPED])
def test_no_key_of_the_vectors_is_taken_into_a_ring(
    vectors: Vectors, kind: str
) -> None:
    """Everybody has them; some of the public ones are no point of the curve either.

    Of the wrapped ones, which all hold one key, the cheapest is enough.
    """
    tests = good(vectors(f"PASERK/{kind}.json"))
    for test in tests[:1] if kind in WRAPPED else tests:
        with pytest.raises(ValueError, match=r"published key|Ed25519") as caught:
            read_paserk(test["paserk"], test.get("password"))
        assert "published" in str(caught.value) or kind == "k4.public"


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", IDS)
def test_key_ids_are_those_of_the_vectors(vectors: Vectors, kind: str) -> None:
    version, holder = kind[1], {"lid": "local", "pid": "public"}[kind[3:]]

    for test in good(vectors(f"PASERK/{kind}.json")):
        key = parse_paserk(paserk(version, holder, test["key"]), holder)
        assert RingKey.of(key).key_id == test["paserk"]


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", SECRET_IDS)
def test_ids_of_secret_keys_are_those_of_the_vectors_and_never_travel(
    vectors: Vectors, kind: str
) -> None:
    for test in good(vectors(f"PASERK/{kind}.json")):
        key = parse_paserk(paserk(kind[1], "secret", test["key"]), "secret")
        assert key.to_paserk_id() == test["paserk"]
        assert RingKey.of(key).key_id == public_half(key).to_paserk_id()
        assert RingKey.of(key).key_id.startswith(f"k{kind[1]}.pid.")


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("kind", [*IDS, *SECRET_IDS])
def test_failing_key_id_vectors_are_no_keys(vectors: Vectors, kind: str) -> None:
    holder = {"lid": "local", "pid": "public", "sid": "secret"}[kind[3:]]

    for test in failing(vectors(f"PASERK/{kind}.json")):
        with pytest.raises(ValueError, match="damaged"):
            parse_paserk(paserk(kind[1], holder, test["key"]), holder)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", ["k3.secret", "k4.secret"])
def test_public_halves_are_those_of_the_vectors(vectors: Vectors, kind: str) -> None:
    """Version 4 brings it raw; version 3 as a PEM, in hexadecimal.

    The scalar 0 of k3.secret-1 has no public half, and its PEM is not one.
    """
    tests = good(vectors(f"PASERK/{kind}.json"))
    for test in tests[1:] if kind == "k3.secret" else tests:
        half = public_half(parse_paserk(test["paserk"], "secret"))
        given = test["public-key"]
        if kind == "k3.secret":
            pem = bytes.fromhex(given).decode()
            assert parse_pem(pem, "public").to_paserk() == half.to_paserk()
        else:
            assert half.to_paserk() == paserk("4", "public", given)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_vectors_open_with_their_password(vectors: Vectors, kind: str) -> None:
    """The password is the text as it stands there.

    Most look like hexadecimal, but what it stands for opens none of them, while the
    digits themselves open all.
    """
    version, holder = int(kind[1]), kind[3:].removesuffix("-pw")

    for test in good(vectors(f"PASERK/{kind}.json")):
        key = unwrap_paserk(test["paserk"], test["password"], version)
        assert key.to_paserk() == paserk(kind[1], holder, test["unwrapped"])


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", WRAPPED)
def test_failing_wrapped_vectors_are_refused(vectors: Vectors, kind: str) -> None:
    """Another password, another tag, another version."""
    for test in failing(vectors(f"PASERK/{kind}.json")):
        with pytest.raises(ValueError, match=r"^is (damaged|a damaged|not a password)"):
            unwrap_paserk(test["paserk"], test["password"], int(kind[1]))


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("purpose", ["local", "public"])
@pytest.mark.parametrize("version", [3, 4])
def test_a_key_that_was_wrapped_is_unwrapped_again(version: int, purpose: str) -> None:
    key = generate_key(version, "local" if purpose == "local" else "public")
    holder = "local" if purpose == "local" else "secret"

    wrapped = wrap_key(key, "an open secret")

    assert wrapped.startswith(f"k{version}.{holder}-pw.")
    for password in ("an open secret", b"an open secret"):
        again = unwrap_paserk(wrapped, password, version)
        assert again.to_paserk() == key.to_paserk()
    ours, read = RingKey.of(key), read_paserk(wrapped, "an open secret")
    assert (read.key_id, read.header) == (ours.key_id, ours.header)
    body = urlsafe_b64decode(ours.seal(b"{}", b"", b"a").split(".")[2] + "==")
    assert read.open(body, b"", b"a") == b"{}"


def test_wrapping_makes_a_guess_at_the_password_dear() -> None:
    """At least as dear as OWASP asks for; where it stands: PASERK, `pbkw`."""
    pbkdf2 = decode_paserk(wrap_key(generate_key(3), "an open secret"))
    argon2 = decode_paserk(wrap_key(generate_key(4), "an open secret"))

    assert int.from_bytes(pbkdf2[32:36], "big") >= 210_000
    assert int.from_bytes(argon2[16:24], "big") >= 64 * 2**20
    assert int.from_bytes(argon2[24:28], "big") >= 2


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("purpose", ["local", "public"])
@pytest.mark.parametrize("version", [3, 4])
def test_a_wrapped_key_is_refused_when_anything_about_it_is_another(
    version: int, purpose: str
) -> None:
    key = generate_key(version, "local" if purpose == "local" else "public")
    wrapped = wrap_key(key, "an open secret")
    head, _, data = wrapped.rpartition(".")
    raw = bytearray(decode_paserk(wrapped))
    raw[-1] ^= 1  # of the tag
    tag = f"{head}.{urlsafe_b64encode(raw).rstrip(b'=').decode()}"
    other = f"k{7 - version}.{head[3:]}.{data}"
    kind = "secret" if purpose == "local" else "local"

    for text, password, expected in [
        (wrapped, "an open secret ", version),
        (wrapped, "", version),
        (wrapped, "an open secret", 7 - version),
        (tag, "an open secret", version),
        (other, "an open secret", 0),
        (f"k{version}.{kind}-pw.{data}", "an open secret", version),
        (wrapped[:-4], "an open secret", version),
        (wrapped + "AAAA", "an open secret", version),
        (f" {wrapped}", "an open secret", version),
        (key.to_paserk(), "an open secret", version),
    ]:
        with pytest.raises(ValueError, match=r"^is ") as caught:
            unwrap_paserk(text, password, expected)
        assert data not in str(caught.value)


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
        *WRAPPED,
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
            with pytest.raises(ValueError, match=r"^is (not a k4\.|wrapped)"):
                parse_paserk(test["paserk"], kind)
