"""Keys are read strictly, told apart by their ids, and held by one ring."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from flask_paseto.keys import KeyRing, RingKey, generate_key, public_half
from flask_paseto.keys.material import (
    derive_local_key,
    read_local_key,
    read_private_key,
    read_public_key,
)
from flask_paseto.keys.paserk import decode_paserk, parse_paserk

Read = Callable[[Any], RingKey]

read_secret: Read = partial(read_local_key, version=4, manager="default")
READERS: dict[str, Read] = {
    "local": read_secret,
    "secret": read_private_key,
    "public": read_public_key,
}
PASSPHRASE = "correct horse battery staple zebra"
RAW = hashlib.sha256(b"thirty-two bytes without any order").digest()
LENGTHS = {
    "k4.local": 32,
    "k3.local": 32,
    "k4.secret": 64,
    "k3.secret": 48,
    "k4.public": 32,
    "k3.public": 49,
}


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def new(version: int, kind: str) -> str:
    """Return a new key as PASERK."""
    key = generate_key(version, "local" if kind == "local" else "public")
    text: str = (public_half(key) if kind == "public" else key).to_paserk()
    return text


def private_pem(key: Any, password: bytes | None = None) -> str:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    return pem.decode()


def public_pem(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def id_of(paserk: str) -> str:
    """Return the id of a local key."""
    key_id: str = parse_paserk(paserk, "local").to_paserk_id()
    return key_id


ED25519 = Ed25519PrivateKey.generate()
P384 = ec.generate_private_key(ec.SECP384R1())
OTHER_ALGORITHMS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p-256": ec.generate_private_key(ec.SECP256R1()),
    "p-521": ec.generate_private_key(ec.SECP521R1()),
    "ed448": ed448.Ed448PrivateKey.generate(),
    "x25519": x25519.X25519PrivateKey.generate(),
}


# PASERK


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", LENGTHS)
def test_a_paserk_is_read_and_written_again(name: str) -> None:
    version, kind = int(name[1]), name[3:]
    text = new(version, kind)

    entry = READERS[kind](text)
    key = parse_paserk(text, kind)

    assert key.to_paserk() == text
    assert len(decode_paserk(text)) == LENGTHS[name]
    assert entry.header == f"v{version}.{'local' if kind == 'local' else 'public'}"
    assert entry.purpose == entry.header[3:]
    assert entry.private is (kind != "public")


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("wanted", ["local", "secret", "public"])
def test_a_paserk_of_another_type_is_refused(name: str, wanted: str) -> None:
    kind = name[3:]
    if kind == wanted:
        return
    text = new(int(name[1]), kind)

    for read in (READERS[wanted], partial(parse_paserk, kind=wanted)):
        with pytest.raises(ValueError, match=rf"^is a {name} PASERK where .*{wanted}"):
            read(text)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("by", [-1, 1, -LENGTHS["k4.local"] + 1, 32])
def test_a_paserk_of_another_length_is_refused(name: str, by: int) -> None:
    kind = name[3:]
    raw = decode_paserk(new(int(name[1]), kind))
    changed = raw[:by] if by < 0 else raw + bytes(range(by))
    if len(changed) == len(raw):
        return

    with pytest.raises(ValueError, match=r"damaged .*: wrong length"):
        READERS[kind](f"{name}.{encode(changed)}")


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize(
    "damage",
    [
        "{}=",
        "{}==",
        "{} ",
        " {}",
        "{}\n",
        "{}.",
        "{}é",
        "{}*",
        "k4.{}",
        "{}A",
        "{}AA",
        "{}AAA",
    ],
    ids=repr,
)
def test_a_damaged_paserk_is_refused_and_never_derived(name: str, damage: str) -> None:
    kind = name[3:]
    text = damage.format(new(int(name[1]), kind))

    for read in (READERS[kind], partial(parse_paserk, kind=kind)):
        with pytest.raises(ValueError, match=r"PASERK|white space"):
            read(text)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", LENGTHS)
def test_every_other_spelling_of_a_paserk_is_refused(name: str) -> None:
    """Lower or upper case, plain base64, unused bits that are set."""
    kind = name[3:]
    raw = bytes([*decode_paserk(new(int(name[1]), kind))])
    text = f"{name}.{encode(raw)}"
    bits = {0: "", 1: "AEIMQUYcgkosw048", 2: "AQgw"}[-len(raw) % 3]
    others = [
        text.upper(),
        text.replace("k", "K", 1),
        text.replace(f".{kind}.", ".", 1),
    ]
    if bits:
        assert text[-1] in bits
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        step = len(alphabet) // len(bits)
        at = alphabet.index(text[-1])
        others += [text[:-1] + alphabet[at + n] for n in range(1, step)]

    for other in others:
        with pytest.raises(ValueError, match="PASERK"):
            READERS[kind](other)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("kind", ["local", "secret", "public"])
def test_plain_base64_in_a_paserk_is_refused(kind: str) -> None:
    raw = b"\xfb\xff\xbf" * 10 + b"\xfb\xff"

    assert "-" in encode(raw)
    with pytest.raises(ValueError, match="PASERK"):
        READERS[kind](f"k4.{kind}.{b64encode(raw).rstrip(b'=').decode()}")


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "k4",
        "k4.",
        "k4.local",
        "k4.local.",
        "k4.public.",
        "k4.secret.",
        "k4..AAAA",
        "k4.local.A",
        "k1.local." + encode(RAW),
        "k2.local." + encode(RAW),
        "k5.local." + encode(RAW),
        "k4.lid." + encode(RAW + b"x"),
        "k4.pid." + encode(RAW + b"x"),
        "k4.sid." + encode(RAW + b"x"),
        "k4.seal." + encode(RAW * 3),
        "k4.local-pw." + encode(RAW * 3),
        "k4.local-wrap.pie." + encode(RAW * 3),
        "k4.secret-wrap.pie." + encode(RAW * 3),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_key_of_versions_3_and_4_is_refused(text: str) -> None:
    for kind, read in READERS.items():
        with pytest.raises(ValueError, match=r"PASERK|is shorter|is wrapped"):
            read(text)
        with pytest.raises(ValueError, match=r"PASERK|is wrapped"):
            parse_paserk(text, kind)


@pytest.mark.requirement("KEY-2")
def test_mismatched_halves_of_a_private_key_are_refused() -> None:
    """With another public half, signing gives away the seed."""
    one, two = (decode_paserk(new(4, "secret")) for _ in range(2))

    assert read_private_key("k4.secret." + encode(one))
    for halves in (one[:32] + two[32:], one[:32] + bytes(32), one[32:] + one[:32]):
        with pytest.raises(ValueError, match="halves do not match"):
            read_private_key("k4.secret." + encode(halves))


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    "scalar",
    [
        bytes(48),
        b"\xff" * 48,
        # The order of P-384: the first number that is no private key.
        bytes.fromhex(
            "ffffffffffffffffffffffffffffffffffffffffffffffff"
            "c7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        ),
    ],
    ids=["zero", "too-large", "order"],
)
def test_a_p384_private_key_out_of_range_is_refused(scalar: bytes) -> None:
    with pytest.raises(ValueError, match="damaged") as refused:
        read_private_key("k3.secret." + encode(scalar))
    assert refused.value.__cause__ is None


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    "point",
    [
        b"\x02" + b"\xff" * 48,
        b"\x00" * 49,
        b"\x04" + bytes(48),
        b"\x05" + bytes(48),
        # x = 1 has no y on the curve.
        b"\x02" + (1).to_bytes(48, "big"),
    ],
    ids=["too-large", "infinity", "uncompressed", "no-form", "off-curve"],
)
def test_a_p384_public_key_that_is_no_point_is_refused(point: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_public_key("k3.public." + encode(point))


P = 2**255 - 19
SMALL_ORDER = [
    0,
    1,
    P - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
]


def public_keys(y: int) -> Iterator[str]:
    """Give both points of this y as PASERK and as PEM."""
    for sign in (0, 1 << 255):
        raw = (y | sign).to_bytes(32, "little")
        yield "k4.public." + encode(raw)
        der = bytes.fromhex("302a300506032b6570032100") + raw
        body = b64encode(der).decode()
        yield f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("y", SMALL_ORDER, ids=["4", "1", "2", "8", "8-other"])
def test_an_ed25519_point_of_small_order_is_refused(y: int) -> None:
    for text in public_keys(y):
        with pytest.raises(ValueError, match="no key pair has"):
            read_public_key(text)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1], ids=str)
def test_an_ed25519_point_that_is_not_canonical_is_refused(y: int) -> None:
    for text in public_keys(y):
        with pytest.raises(ValueError, match="no key pair has"):
            read_public_key(text)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("y", [2, 7, 8], ids=str)
def test_an_ed25519_point_off_the_curve_is_refused(y: int) -> None:
    for text in public_keys(y):
        with pytest.raises(ValueError, match="is not a point of Ed25519"):
            read_public_key(text)


@pytest.mark.requirement("KEY-2")
@given(st.binary(max_size=32).map(lambda data: hashlib.sha256(data).digest()))
def test_the_public_key_of_every_seed_is_accepted(seed: bytes) -> None:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()

    assert read_public_key("k4.public." + encode(public)).header == "v4.public"


# PEM


@pytest.mark.parametrize(
    ("key", "header"), [(ED25519, "v4.public"), (P384, "v3.public")], ids=["4", "3"]
)
def test_a_pem_is_read(key: Any, header: str) -> None:
    private = read_private_key(private_pem(key))
    public = read_public_key(public_pem(key))

    assert private.header == public.header == header
    assert private.key_id == public.key_id
    assert (private.private, public.private) == (True, False)
    token = private.seal(b"payload", b"footer", b"").split(".")
    assert token[:2] == header.split(".")
    for text in (public_pem(key).encode(), public_pem(key).replace("\n", "\r\n")):
        assert read_public_key(text).key_id == public.key_id
    assert read_private_key(private_pem(key).encode()).key_id == public.key_id


def test_the_older_form_of_a_p384_pem_is_read() -> None:
    pem = P384.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )

    assert b"BEGIN EC PRIVATE KEY" in pem
    assert read_private_key(pem.decode()).header == "v3.public"


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("name", OTHER_ALGORITHMS)
def test_a_pem_of_another_algorithm_is_refused(name: str) -> None:
    key = OTHER_ALGORITHMS[name]

    with pytest.raises(ValueError, match="another algorithm"):
        read_private_key(private_pem(key))
    with pytest.raises(ValueError, match="another algorithm"):
        read_public_key(public_pem(key))


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("key", [ED25519, P384], ids=["ed25519", "p-384"])
def test_an_encrypted_pem_is_refused(key: Any) -> None:
    pem = private_pem(key, b"password")

    with pytest.raises(ValueError, match="needs a password"):
        read_private_key(pem)
    with pytest.raises(ValueError, match="not a PEM of a public key"):
        read_public_key(pem)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("key", [ED25519, P384], ids=["ed25519", "p-384"])
def test_a_pem_of_the_other_half_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="not a PEM of a private key"):
        read_private_key(public_pem(key))
    with pytest.raises(ValueError, match="not a PEM of a public key"):
        read_public_key(private_pem(key))


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    "damage",
    [
        lambda pem: pem[:60],
        lambda pem: pem.replace("M", "é"),
        lambda pem: pem.replace("M", "*"),
        lambda pem: "-----BEGIN",
        lambda pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        lambda pem: pem.replace("PUBLIC", "PRIVATE"),
    ],
    ids=range(6),
)
def test_a_damaged_pem_is_refused(damage: Callable[[str], str]) -> None:
    pem = damage(public_pem(ED25519))

    with pytest.raises(ValueError, match=r"is not (one PEM|a PEM of a public)"):
        read_public_key(pem)
    with pytest.raises(ValueError, match=r"is not (one PEM|a PEM of a private)"):
        read_private_key(pem)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    "more",
    ["k4.public.AAAA\n", public_pem(P384), "text\n"],
    ids=["paserk", "second-pem", "text"],
)
def test_a_pem_with_something_after_it_is_refused(more: str) -> None:
    """Whoever put a second key there would wait for it in vain."""
    with pytest.raises(ValueError, match="PEM"):
        read_public_key(public_pem(ED25519) + more)
    with pytest.raises(ValueError, match="PEM"):
        read_private_key(private_pem(ED25519) + more)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("value", [None, 5, ["k4"], {}, bytearray(b"k4"), object()])
def test_a_key_that_is_no_text_is_refused(value: Any) -> None:
    for read in READERS.values():
        with pytest.raises(ValueError, match="must be"):
            read(value)


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize("value", [b"\xff\xfe", RAW], ids=["bytes", "32-bytes"])
def test_raw_bytes_are_no_public_or_private_key(value: bytes) -> None:
    for read in (read_private_key, read_public_key):
        with pytest.raises(ValueError, match="PASERK"):
            read(value)


# Local keys


@pytest.mark.requirement("KEY-1")
def test_thirty_two_bytes_are_a_key_and_no_other_number_is() -> None:
    assert read_secret(RAW).key_id == id_of("k4.local." + encode(RAW))
    three = read_local_key(RAW, version=3, manager="default")
    assert three.key_id == id_of("k3.local." + encode(RAW))
    for raw in (RAW[:31], RAW + b"x", b"", RAW * 2, RAW[:16]):
        with pytest.raises(ValueError, match="exactly 32"):
            read_secret(raw)


@pytest.mark.requirement("KEY-1")
def test_the_version_of_a_paserk_is_its_own() -> None:
    assert read_secret("k3.local." + encode(RAW)).header == "v3.local"
    four = read_local_key("k4.local." + encode(RAW), version=3, manager="default")
    assert four.header == "v4.local"


@pytest.mark.requirement("KEY-1")
def test_a_text_is_derived_with_a_label() -> None:
    """The label holds version, purpose and manager, so no two uses share a key.

    The key is that of RFC 5869, computed here by hand.
    """
    extracted = hmac.digest(bytes(32), PASSPHRASE.encode(), "sha256")
    ids = set()
    for version, manager in (
        (4, "default"),
        (3, "default"),
        (4, "admin"),
        (3, "admin"),
    ):
        info = f"flask_paseto v{version}.local {manager}\x01".encode()
        expected = f"k{version}.local." + encode(hmac.digest(extracted, info, "sha256"))
        for read in (read_local_key, derive_local_key):
            found = read(PASSPHRASE, version=version, manager=manager)
            assert found.key_id == id_of(expected)
        ids.add(decode_paserk(expected))

    assert len(ids) == 4
    raw = derive_local_key(PASSPHRASE.encode(), version=4, manager="default")
    assert raw.key_id == read_secret(PASSPHRASE).key_id


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "text",
    [
        "yHnkB3wLq8ZsTf0aXv5RjP2cMu7Dg1Ei",
        PASSPHRASE,
        "é" * 2 + "nkB3wLq8ZsTf0aXv5RjP2cMu7Dg1Ei",
        "9f86d081884c7d659a2feaa0c55ad015",
        "devious squirrels of the changeling",
        "kiosk 4 local trains to the seaside",
        "Zq7{[(<\"'`%$)>]}xW2#pL9&kV4!tR6*mN8",
        "密钥是一个很长的文本其中没有任何规律可循所以它可以被接受为钥匙吧朋友们好",
    ],
    ids=range(8),
)
def test_a_text_of_32_characters_and_some_variety_is_taken(text: str) -> None:
    assert len(text) >= 32
    assert read_secret(text).header == "v4.local"


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "text",
    [
        "a",
        "secret",
        "correct horse battery staple",
        "abcdefghijklmnopqrstuvwxyz01234",
        "äbcdëfghïjklmnöpqrstüvwxyz",
        "密钥是一个很长的秘密文本",
        "🔑🔒🗝🔓🛡🧿🪬🎯",
    ],
)
def test_a_text_of_fewer_than_32_characters_is_refused(text: str) -> None:
    """Characters, not bytes."""
    with pytest.raises(ValueError, match="shorter than 32"):
        read_secret(text)


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "text",
    [
        "abcdefghijklmnopqrstuvwxyz012345",
        "a" * 40,
        "abcdefg" * 5 + "a",
        "abcdefgh" * 4,
        "0123456789" * 4,
        "ab" * 30,
        "dev-" * 8 + "dev",
        "0" * 64,
        "correct horse staple" * 2,
        "changeme" * 5,
    ],
)
def test_a_text_of_low_variety_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too little variety"):
        read_secret(text)


@pytest.mark.requirement("KEY-1")
def test_raw_keys_and_paserks_of_low_variety_are_refused() -> None:
    counting = bytes(range(40, 72))
    for raw in (bytes(32), b"x" * 32, bytes(range(7)) * 4 + bytes(4), RAW[:16] * 2):
        for text in (raw.hex(), b64encode(raw).decode()):
            with pytest.raises(ValueError, match=r"too little variety|is a key in DER"):
                read_secret(text)
    for raw in (bytes(32), RAW[:16] * 2, counting, counting[::-1]):
        for value in (raw, "k4.local." + encode(raw), "k3.local." + encode(raw)):
            with pytest.raises(
                ValueError, match=r"too little variety|is a published key"
            ):
                read_secret(value)


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "text",
    [
        "please-change-me-in-production-1234",
        "CHANGE_ME_CHANGE_ME_BEFORE_YOU_DEPLOY",
        "this is my super secret key 12345678",
        "this-is-a-secret-key-for-my-app-1234",
        "my_secret_key_that_is_long_enough_99",
        "replace me with something random 123",
        "do-not-use-this-value-in-production!",
        "your-secret-goes-here-abcdefghijklmn",
        "insecure-development-value-000000001",
        "Top Secret! Top Secret! Really, really",
        "keep-it-secret, keep-it-safe, says he",
        "an example key, an example key 123456",
        "password1234567890password0987654321",
        # What jwt.io and Flask's own documentation print.
        "a-string-secret-at-least-256-bits-long",
        "your-256-bit-secret-your-256-bit-key",
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    ],
)
def test_a_sample_is_refused(text: str) -> None:
    assert len(text) >= 32
    with pytest.raises(ValueError, match="sample"):
        read_secret(text)


@pytest.mark.requirement("KEY-1")
@given(st.binary(min_size=16, max_size=64))
def test_what_random_generators_print_is_taken(data: bytes) -> None:
    raw = hashlib.shake_256(data).digest(24 + len(data) // 2)

    for text in (raw.hex(), encode(raw), b64encode(raw).decode()):
        assert read_secret(text).header == "v4.local"
    assert read_secret(raw[:24] + bytes(raw[:8][::-1])).header == "v4.local"


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("raw", [b"x" * 32, bytes(range(40, 72)), RAW[:16] * 2])
def test_a_private_key_of_low_variety_is_refused(raw: bytes) -> None:
    public = Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()

    with pytest.raises(ValueError, match="too little variety"):
        read_private_key("k4.secret." + encode(raw + public))
    with pytest.raises(ValueError, match="too little variety"):
        read_private_key("k3.secret." + encode(b"x" * 48))


@pytest.mark.requirement("KEY-1")
def test_a_passphrase_that_only_sounds_like_a_pem_is_taken() -> None:
    assert read_secret("a friend of my monkey likes purple jazz")


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "space", [" ", "\n", "\r\n", "\t", "\x0b", "\xa0", "\u2003"], ids=repr
)
def test_white_space_around_a_text_is_refused(space: str) -> None:
    key = "k4.local." + encode(RAW)

    for text in (PASSPHRASE, key):
        for around in (space + text, text + space, space + text + space):
            with pytest.raises(ValueError, match=r"white space|PASERK"):
                read_secret(around)
    with pytest.raises(ValueError, match="white space"):
        derive_local_key(" " + PASSPHRASE, version=4, manager="default")


SSH = "AAAAC3NzaC1lZDI1NTE5AAAAIGkqNsPdHIcJxRSRWQ1pJ7D1g0vUBvj2v6HXYxkLFhXc"
CERTIFICATE = "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ"


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "text",
    {
        "public-paserk": "k4.public." + encode(RAW),
        "secret-paserk": "k4.secret." + encode(RAW * 2),
        "key-id": "k4.lid." + encode(RAW + b"x"),
        "paserk-cut": "k4.local." + encode(RAW)[:-3],
        "paserk-upper": "K4.LOCAL." + encode(RAW),
        "paserk-dashes": "k4.local-" + encode(RAW),
        "paserk-of-version-5": "k5.local." + encode(RAW),
        "paserk-in-quotes": f"'k4.local.{encode(RAW)}'",
        "paserk-in-double-quotes": f'"k4.local.{encode(RAW)}"',
        "paserk-after-bom": "\ufeffk4.local." + encode(RAW),
        "paserk-after-name": "KEY=k4.local." + encode(RAW),
        "public-paserk-after-name": "key: k4.public." + encode(RAW),
        "token": "v4.local." + encode(RAW),
        "public-pem": public_pem(ED25519).strip(),
        "private-pem": private_pem(P384).strip(),
        "pem-end": "-----END PUBLIC KEY----- abcdefghijklmn",
        "pem-after-comment": "# mine\n" + public_pem(ED25519).strip(),
        "pem-after-bom": "\ufeff" + public_pem(ED25519).strip(),
        "pem-escaped": public_pem(ED25519).strip().replace("\n", "\\n"),
        "pem-body-ed25519": public_pem(ED25519).splitlines()[1],
        "pem-body-p384": "".join(public_pem(P384).splitlines()[1:-1]),
        "pem-body-rsa": "".join(public_pem(OTHER_ALGORITHMS["rsa"]).splitlines()[1:-1]),
        "pem-body-private": private_pem(ED25519).splitlines()[1],
        "certificate": "-----BEGIN CERTIFICATE-----\\n" + CERTIFICATE,
        "certificate-body": CERTIFICATE,
        "ssh": "ssh-ed25519 " + SSH,
        "ssh-ecdsa": "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAI",
        "ssh-body": SSH,
        "hidden-character": "yHnkB3wLq8ZsTf0a\u200bXv5RjP2cMu7Dg1Ei",
        "control-character": "yHnkB3wLq8ZsTf0a\x00Xv5RjP2cMu7Dg1Ei",
        "line-break": "yHnkB3wLq8ZsTf0a\nXv5RjP2cMu7Dg1Ei",
        "text-in-quotes": "'yHnkB3wLq8ZsTf0aXv5RjP2cMu7Dg1Ei'",
        "path": "/run/credentials/of/the/app/paseto.key",
        "url": "vault://kv/data/production/app#paseto-key",
        "placeholder": "${VAULT_KEY_OF_THE_PRODUCTION_SERVER}",
        "placeholder-template": "{{ vault.key_of_the_production_app }}",
        "placeholder-angle": "<thirty-two characters or more of it>",
        "paserk-in-base64": b64encode(b"k4.public." + encode(RAW).encode()).decode(),
        "paserk-in-hex": (b"k4.public." + encode(RAW).encode()).hex(),
        "json-object": '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS"}',
        "json-list": "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]",
        "json-text": '"abcdefghijklmnopqrstuvwxyz0123456789"',
    }.items(),
    ids=lambda item: item[0],
)
def test_what_looks_like_another_thing_is_never_taken_for_a_text(
    text: tuple[str, str],
) -> None:
    """A public key that were taken for a secret would let everybody in."""
    with pytest.raises(ValueError, match=r"^(is|has|holds) "):
        read_secret(text[1])


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("name", ["k4.local", "k3.local", "k4.secret", "k3.secret"])
def test_the_keys_of_the_paserk_vectors_are_refused(
    vectors: Callable[[str], list[dict[str, Any]]], name: str
) -> None:
    """Everybody has the keys of the official vectors, so everybody could log in."""
    tests = vectors(f"PASERK/{name}.json")
    found = [test["paserk"] for test in tests if not test["expect-fail"]]

    assert len(found) == 3
    for text in found:
        with pytest.raises(ValueError, match=r"published key|too little variety"):
            READERS[name[3:]](text)
        if name.endswith("secret"):
            public = public_half(parse_paserk(text, "secret")).to_paserk()
            with pytest.raises(ValueError, match="published key"):
                read_public_key(public)


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("version", ["3", "4"])
def test_the_keys_of_the_token_vectors_are_refused(
    vectors: Callable[[str], list[dict[str, Any]]], version: str
) -> None:
    tests = {test["name"][2:]: test for test in vectors(f"v{version}.json")}
    local, signed = tests["E-1"], tests["S-1"]
    given = [
        ("local", f"k{version}.local." + encode(bytes.fromhex(local["key"]))),
        ("secret", f"k{version}.secret." + encode(bytes.fromhex(signed["secret-key"]))),
        ("public", f"k{version}.public." + encode(bytes.fromhex(signed["public-key"]))),
        ("secret", signed["secret-key-pem"]),
        ("public", signed["public-key-pem"]),
    ]

    for kind, text in given:
        with pytest.raises(ValueError, match=r"is a published key|too little variety"):
            READERS[kind](text)
    raw = bytes.fromhex(local["key"])
    with pytest.raises(ValueError, match=r"is a published key|too little variety"):
        read_local_key(raw, version=int(version), manager="default")


def test_a_derivation_of_what_is_no_text_is_refused() -> None:
    for value in (None, 5, ["a"], bytearray(RAW)):
        with pytest.raises(ValueError, match="must be a text or bytes"):
            derive_local_key(value, version=4, manager="default")
    assert derive_local_key(RAW, version=4, manager="default")


# The ring


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("purpose", ["local", "public"])
def test_a_generated_key_is_new_and_seals_what_it_opens(
    version: int, purpose: Any
) -> None:
    keys = [RingKey.of(generate_key(version, purpose)) for _ in range(3)]

    assert len({key.key_id for key in keys}) == 3
    for key in keys:
        assert key.header == f"v{version}.{purpose}"
        assert key.purpose == purpose
        assert key.private
        kind = {"local": "lid", "public": "pid"}[purpose]
        assert key.key_id.startswith(f"k{version}.{kind}.")
        assert json.loads(key.footer) == key.footer_claims == {"kid": key.key_id}


def test_a_generated_key_is_version_4_local_unless_asked_otherwise() -> None:
    assert RingKey.of(generate_key()).header == "v4.local"


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("version", [3, 4])
def test_both_halves_of_a_pair_have_one_id(version: int) -> None:
    private = generate_key(version, "public")
    public = public_half(private)

    assert public.to_paserk().startswith(f"k{version}.public.")
    assert RingKey.of(private).key_id == RingKey.of(public).key_id
    assert RingKey.of(private).key_id == private.to_peer_paserk_id()
    assert not RingKey.of(public).private


@pytest.mark.requirement("KEY-5")
@pytest.mark.parametrize("version", [3, 4])
def test_a_public_key_cannot_seal(version: int) -> None:
    public = RingKey.of(public_half(generate_key(version, "public")))

    with pytest.raises(Exception, match="sign"):
        public.seal(b"{}", b"", b"")


def test_a_ring_knows_every_key_by_id_by_footer_and_by_header() -> None:
    issuing = RingKey.of(generate_key())
    former = [RingKey.of(generate_key()) for _ in range(2)]
    other = RingKey.of(public_half(generate_key(3, "public")))

    ring = KeyRing.of([issuing], [*former, other])

    keys = [issuing, *former, other]
    assert ring.issuing == {"local": issuing}
    assert ring.purpose == "local"
    assert dict(ring.by_id) == {key.key_id: key for key in keys}
    assert list(ring.by_footer.values()) == keys
    assert ring.by_header == {
        "v4.local": (issuing, *former),
        "v3.public": (other,),
    }


def test_the_purpose_of_a_ring_is_inferred_from_one_issuing_key_only() -> None:
    local, pair = (RingKey.of(generate_key(4, kind)) for kind in ("local", "public"))

    assert KeyRing.of([pair]).purpose == "public"
    assert KeyRing.of([local, pair]).purpose is None
    assert KeyRing.of([local, pair], purpose="public").purpose == "public"
    assert KeyRing.of(accepted=[local]).purpose is None
    assert KeyRing.of().by_id == {}


def test_a_key_that_issues_and_is_accepted_stands_in_the_ring_once() -> None:
    pair = generate_key(4, "public")
    private, public = RingKey.of(pair), RingKey.of(public_half(pair))

    ring = KeyRing.of([private], [public])

    assert len(ring.by_id) == len(ring.by_footer) == 1
    assert len(ring.by_header["v4.public"]) == 1
    assert ring.issuing["public"] is private


def test_a_ring_and_its_keys_cannot_be_changed() -> None:
    key = RingKey.of(generate_key())
    ring = KeyRing.of([key])

    for mapping in (ring.issuing, ring.by_id, ring.by_footer, ring.by_header):
        with pytest.raises(TypeError):
            mapping["x"] = key  # type: ignore[index]
    with pytest.raises(TypeError):
        key.footer_claims["kid"] = "x"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        key.header = "v3.local"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        ring.purpose = None  # type: ignore[misc]


# Secrets stay secret


def fragments(secret: str | bytes) -> list[str]:
    """Return what of a secret might show: pieces as text, hex, base64 and repr."""
    raw = secret.encode() if isinstance(secret, str) else secret
    forms = [raw.hex(), b64encode(raw).decode(), encode(raw), repr(raw)[2:-1]]
    if isinstance(secret, str):
        forms.append(secret.rpartition(".")[2])
    return [form[at : at + 8] for form in forms for at in range(0, len(form) - 8, 4)]


def assert_hidden(shown: str, *secrets: str | bytes) -> None:
    for secret in secrets:
        assert fragments(secret)
        assert not [piece for piece in fragments(secret) if piece in shown]


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("purpose", ["local", "public"])
def test_a_key_and_its_ring_show_no_secret(version: int, purpose: Any) -> None:
    key = generate_key(version, purpose)
    paserk = key.to_paserk()
    entry = RingKey.of(key)
    ring = KeyRing.of([entry])
    shown = "".join(
        f"{value!r} {value} {[value]} {vars_of(value)}" for value in (entry, ring)
    )

    assert entry.key_id in shown
    secret = (
        decode_paserk(paserk)[:32] if purpose == "public" else decode_paserk(paserk)
    )
    assert_hidden(shown, secret)


def vars_of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize(
    "copying",
    [
        pickle.dumps,
        partial(pickle.dumps, protocol=0),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["pickle", "pickle-0", "copy", "deepcopy"],
)
def test_a_key_and_its_ring_are_not_pickled(copying: Callable[[Any], Any]) -> None:
    for purpose in ("local", "public"):
        key = RingKey.of(generate_key(4, purpose))
        with pytest.raises(TypeError, match="cannot be pickled"):
            copying(key)
    if copying is not copy.copy:
        with pytest.raises(TypeError):
            copying(KeyRing.of([key]))


BAD_SECRETS: list[tuple[Read, Any]] = [
    (read_secret, "q7Zx9Lm2"),
    (read_secret, "q7Zx9Lm2" * 5),
    (read_secret, " q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js\n"),
    (read_secret, "q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh-changeme"),
    (read_secret, "q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5\ud800Gh0Js"),
    (read_secret, b"q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0J"),
    (read_secret, b"q7Zx9Lm2" * 4),
    (read_secret, "k4.local.q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"),
    (read_secret, "k4.local.q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Jsq7Zx9Lm2Kp="),
    (read_secret, "k4.secret.q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"),
    (read_secret, '{"k":"q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"}'),
    (read_private_key, "k4.secret.q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"),
    (read_private_key, "k4.secret." + "q7Zx9Lm2" * 10 + "q7Zx9w"),
    (read_private_key, "q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"),
    (read_private_key, "k4.local." + "q7Zx9Lm2" * 5 + "q7Y"),
    (
        read_private_key,
        "-----BEGIN PRIVATE KEY-----\nq7Zx9Lm2Kp4Rt6Vw8Yb1\n-----END PRIVATE KEY-----",
    ),
    (read_private_key, private_pem(OTHER_ALGORITHMS["p-256"])),
    (read_private_key, private_pem(ED25519, b"password")),
    (read_private_key, private_pem(ED25519)[:80]),
    (read_public_key, "k4.secret.q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js"),
    (read_public_key, private_pem(ED25519)),
]


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize(("read", "secret"), BAD_SECRETS, ids=range(len(BAD_SECRETS)))
def test_a_refused_key_is_in_no_message_and_no_traceback(
    read: Read, secret: str | bytes
) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read(secret)

    fault = refused.value
    assert type(fault) is ValueError
    shown = str(fault) + repr(fault) + "".join(traceback.format_exception(fault))
    text = secret if isinstance(secret, str) else secret.decode()
    pieces = ["q7Zx", "Lm2K", "Yb1N", "\\ud800", "\ud800"]
    body = "".join(line for line in text.splitlines() if "-----" not in line)
    pieces += [body[at : at + 8] for at in range(12, len(body) - 8, 8)]
    assert not [piece for piece in pieces if piece in shown]
