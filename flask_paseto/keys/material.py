"""From the value of a setting to a key, with everything doubtful refused."""

from __future__ import annotations

import re
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyseto import Key, KeyInterface

from .paserk import decode_paserk, parse_paserk, parse_pem, refuse_wrapped
from .ring import RingKey
from .secrecy import refuse_guessable, refuse_other_things

# Keys that everybody has: of the official test vectors, and of RFC 8032 and 8037.
_PUBLISHED_IDS = frozenset(
    {
        "k3.lid.5GB-DfqfPOIMr0-y4IV8323vrjMt3mZMh_R3J3raH38l",
        "k3.lid.Gd3T6cJNElhwD4gu9JXlaysLNClYmFTD6GRUnXRotCEr",
        "k3.lid.c2Wpke9KunV6-Tow8dV1wsvVFRkjcTYt_7ZzOtIDRFpM",
        "k3.pid.6mfu-tuOAlvgfyirHYmFVDwVwkSxUB9vWJc2_cG_oCGG",
        "k3.pid.PxgWOvlp7nrlGmCZID5SvI6qON4tryxERukDQ1HtL8Ru",
        "k3.pid.gnwg7IkzZyQF9wJgLLT0OpbdMT7BYmdQoG2u-xXpeeHz",
        "k3.pid.mL4lGxNG7cz128frmpn83_76V9C7LmV2sHAMtJ8vIdwG",
        "k3.pid.ow1oJdp4sgr9okhj6hMIqwCc9cUzlWo1DTKv2DAbxKk_",
        "k3.pid.rEKRyf5jP7vrVRXT_GcDof5b3yRrMWAT1qzfLuWSbp03",
        "k4.lid.-v0wjDR1FVxNT2to41Ay1P4_8X6HIxnybX1nZ1a4FCTm",
        "k4.lid.bqltbNc4JLUAmc9Xtpok-fBuI0dQN5_m3CD9W_nbh559",
        "k4.lid.iVtYQDjr5gEijCSjJC3fQaJm7nCeQSeaty0Jixy8dbsk",
        "k4.pid.-lbghnXGkVc5a-41wFrJQPU6n6G4knLYRJNeltH1VaK-",
        "k4.pid.-nyvbaTz8U6TQz7OZWW-iB3va31iAxIpUgzUcVQVmW9A",
        "k4.pid.935bxbO7t_1a48JzJTePcXWiFmc791-cNw4pot2V59Oo",
        "k4.pid.9ShR3xc8-qVJ_di0tc9nx0IDIqbatdeM2mqLFBJsKRHs",
        "k4.pid.Rr0kZD0oAJaTJFjefVXq3oSACbbxBxoa1T9t32YZF32p",
        "k4.pid.S_XQmeEwHbbvRmiyfXfHYpLGjXGzjTRSDoT1YtTakWFE",
        "k4.pid.mCv5F34c3ALB7hzKEOQUsEBpj3CTArhbJzGyeeCCKWn1",
        "k4.pid.mOr1L6eFhws6_UXZfF9yAsDDhiSKmusHgya3I0Vxd-GW",
        "k4.pid.wD8w4xDqH9GXKzCEqH22G-IynZ8HLu_9Xs_oZDCH2CMa",
        "k4.pid.yh4-bJYjOYAG6CWy0zsfPmpKylxS7uAWrxqVmBN2KAiJ",
    }
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
    refuse_wrapped(value)
    if re.match(r"k[34]\.(local|secret|public)\.", value):
        return _checked(parse_paserk(value, "local"), decode_paserk(value))
    return derive_local_key(value, version=version, manager=manager)


def derive_local_key(value: Any, *, version: int, manager: str) -> RingKey:
    """Return the key derived from a secret text (HKDF-SHA256, RFC 5869).

    Raises:
        ValueError: It is shorter than 32, is something else, or can be guessed.
    """
    return RingKey.of(_derive(value, version, manager))


def _derive(value: Any, version: int, manager: str) -> KeyInterface:
    if isinstance(value, str):
        refuse_other_things(value)
        value = value.encode()
    elif not isinstance(value, bytes):
        raise ValueError("must be a text or bytes")
    elif value.isascii():
        refuse_other_things(value.decode())
    refuse_guessable(value)
    label = f"flask_paseto v{version}.local {manager}"
    derived = HKDF(SHA256(), 32, salt=None, info=label.encode()).derive(value)
    return Key.new(version, "local", derived)


def as_paserk(text: str, *, version: int, manager: str) -> str:
    """Return the PASERK of a key in any form that a setting takes, unchecked.

    Raises:
        ValueError: It is none of them.
    """
    if text.startswith("-----BEGIN"):
        private = "PRIVATE KEY-----" in text.partition("\n")[0]
        return parse_pem(text, "secret" if private else "public").to_paserk()
    if re.match(r"k\d+\.(local|secret|public)", text):
        return text
    return _derive(text, version, manager).to_paserk()


def read_private_key(value: Any) -> RingKey:
    """Return the key that signs, from a `k4.secret` or `k3.secret` PASERK or a PEM.

    Raises:
        ValueError: It is neither, or a key that everybody has or can guess.
    """
    key = _read_asymmetric(value, "secret")
    seed = decode_paserk(key.to_paserk())
    return _checked(key, seed[:32] if key.version == 4 else seed)


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
    entry = RingKey.of(key)
    if entry.key_id in _PUBLISHED_IDS:
        raise ValueError("is a published key, which everybody has")
    if secret is not None:
        refuse_guessable(secret)
    return entry


def _check_point(raw: bytes) -> None:
    """Refuse an Ed25519 key of small order, not canonical, or not on the curve."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or y.to_bytes(32, "little") in _SMALL_ORDER:
        raise ValueError("is an Ed25519 key that no key pair has")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(square, (_P - 1) // 2, _P) != 1:
        raise ValueError("is not a point of Ed25519")
