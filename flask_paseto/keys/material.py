"""From the value of a setting to a key, with everything doubtful refused."""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyseto import Key, KeyInterface

from .paserk import decode_paserk, parse_paserk, parse_pem
from .ring import RingKey

SHORTEST_TEXT = 32
_FEWEST_DIFFERENT = 8

# Texts of tutorials; compared without case, spaces and punctuation.
_SAMPLE_WORDS = (
    "changeme",
    "changethis",
    "donotuse",
    "examplekey",
    "insecure",
    "keepitsecret",
    "mysecret",
    "password",
    "placeholder",
    "replaceme",
    "replacethis",
    "secretkey",
    "supersecret",
    "topsecret",
    "verysecret",
    "yourkey",
    "yoursecret",
)

# The keys of the official test vectors, which everybody has.
_PUBLISHED_IDS = frozenset(
    {
        "k3.lid.5GB-DfqfPOIMr0-y4IV8323vrjMt3mZMh_R3J3raH38l",
        "k3.pid.PxgWOvlp7nrlGmCZID5SvI6qON4tryxERukDQ1HtL8Ru",
        "k4.lid.iVtYQDjr5gEijCSjJC3fQaJm7nCeQSeaty0Jixy8dbsk",
        "k4.pid.yh4-bJYjOYAG6CWy0zsfPmpKylxS7uAWrxqVmBN2KAiJ",
    }
)

_OTHER_THINGS = (
    (re.compile(r"-----BEGIN|-----END"), "is a PEM"),
    (re.compile(r"k\d+\.", re.IGNORECASE), "is a damaged or unknown PASERK"),
    (re.compile(r"v\d+\.(local|public)\.", re.IGNORECASE), "is a token"),
    (re.compile(r"\s*[{\[\"]"), "is JSON"),
    (re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ ", re.IGNORECASE), "is an SSH key"),
)

# SEQUENCE { INTEGER version or modulus | SEQUENCE { OID, lengths short or long.
_DER_KEY = re.compile(
    rb"\x30([\x00-\x7f]|\x81.|\x82..)(\x02\x01[\x00\x01]|\x02[\x81\x82]|\x30.\x06)",
    re.DOTALL,
)

# Encodings of points of small order on Curve25519, sign bit cleared; a signature
# under one of them can hold for any message.
_SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def read_local_key(value: Any, *, version: int, manager: str) -> RingKey:
    """Return the key of a secret: PASERK, 32 bytes, or a text that is derived.

    Args:
        version: The version of a key that is not a PASERK, which tells its own.
        manager: The name of the manager, part of what a text is derived with.

    Raises:
        ValueError: It is none of these, or one that can be guessed.
    """
    if isinstance(value, bytes):
        if len(value) != 32:
            raise ValueError("as bytes must be exactly 32 of them")
        return _checked(Key.new(version, "local", value), value)
    if not isinstance(value, str):
        raise ValueError("must be a PASERK, a text, or 32 bytes")
    if re.match(r"k[34]\.(local|secret|public)\.", value):
        key = parse_paserk(value, "local")
        return _checked(key, decode_paserk(value))
    _refuse_other_things(value)
    return derive_local_key(value, version=version, manager=manager)


def derive_local_key(value: Any, *, version: int, manager: str) -> RingKey:
    """Return the key derived from a secret text (HKDF-SHA256, RFC 5869).

    Raises:
        ValueError: It is shorter than 32, or can be guessed.
    """
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise ValueError("must be a text or bytes")
    _refuse_guessable(value)
    label = f"flask_paseto v{version}.local {manager}"
    derived = HKDF(SHA256(), 32, salt=None, info=label.encode()).derive(value)
    return RingKey.of(Key.new(version, "local", derived))


def read_private_key(value: Any) -> RingKey:
    """Return the key that signs, from a `k4.secret` or `k3.secret` PASERK or a PEM.

    Raises:
        ValueError: It is neither, or a key that everybody has.
    """
    return _checked(_read_asymmetric(value, "secret"))


def read_public_key(value: Any) -> RingKey:
    """Return the key that verifies, from a `k4.public` or `k3.public` PASERK or a PEM.

    Raises:
        ValueError: It is neither, a key that everybody has, or no point to trust.
    """
    key = _read_asymmetric(value, "public")
    if key.version == 4:
        _check_point(decode_paserk(key.to_paserk()))
    return _checked(key)


def _read_asymmetric(value: Any, kind: str) -> KeyInterface:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        raise ValueError(f"must be a k4.{kind} PASERK or a PEM, as text")
    if value.startswith("-----BEGIN"):
        return parse_pem(value, kind)
    return parse_paserk(value, kind)


def _checked(key: KeyInterface, secret: bytes | None = None) -> RingKey:
    if secret is not None:
        _refuse_guessable(secret)
    entry = RingKey.of(key)
    if entry.key_id in _PUBLISHED_IDS:
        raise ValueError("is the published key of a test vector")
    return entry


def _refuse_other_things(text: str) -> None:
    if text != text.strip():
        raise ValueError("has white space around it")
    for pattern, what in _OTHER_THINGS:
        if pattern.match(text):
            raise ValueError(f"{what}, not a secret text")
    if _is_der(text):
        raise ValueError("is a key in DER, not a secret text")


def _is_der(text: str) -> bool:
    """Tell whether it is the beginning of a key in base64 of DER, whole or cut."""
    try:
        raw = a2b_base64(text[:16].translate({45: 43, 95: 47}))
    except ValueError:
        return False
    return _DER_KEY.match(raw) is not None


def _refuse_guessable(secret: bytes) -> None:
    if len(secret) < SHORTEST_TEXT:
        raise ValueError(f"is shorter than {SHORTEST_TEXT} characters")
    if secret != secret.strip() and secret.isascii():
        raise ValueError("has white space around it")
    if len(set(secret)) < _FEWEST_DIFFERENT or _repeats(secret):
        raise ValueError("has too little variety to be random")
    letters = re.sub(rb"[^a-z]", b"", secret.lower()).decode()
    if secret.isascii() and any(word in letters for word in _SAMPLE_WORDS):
        raise ValueError("is a sample, not a secret")


def _repeats(secret: bytes) -> bool:
    """Tell whether it is one piece, at most half as long, again and again."""
    return any(
        secret[period:] == secret[:-period] for period in range(1, len(secret) // 2 + 1)
    )


def _check_point(raw: bytes) -> None:
    """Refuse an Ed25519 key of small order, not canonical, or not on the curve."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or y.to_bytes(32, "little") in _SMALL_ORDER:
        raise ValueError("is an Ed25519 key that no key pair has")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(square, (_P - 1) // 2, _P) != 1:
        raise ValueError("is not a point of Ed25519")
