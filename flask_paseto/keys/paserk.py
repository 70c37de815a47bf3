"""Keys as text: PASERK and PEM, each in its one strict spelling."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from secrets import token_bytes

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pyseto import Key, KeyInterface

from .ring import Purpose, encode_part

_PASERK = re.compile(r"k([34])\.(local|secret|public)\.([A-Za-z0-9_-]+)")
_WRAPPED = re.compile(r"k([34])\.(local|secret)-pw\.([A-Za-z0-9_-]+)")
_PEM = re.compile(
    r"-----BEGIN ([A-Z ]+)-----\s+[A-Za-z0-9+/=\s]+-----END \1-----\s*", re.ASCII
)
_LENGTHS = {
    ("3", "local"): 32,
    ("4", "local"): 32,
    ("3", "secret"): 48,
    ("4", "secret"): 64,
    ("3", "public"): 49,
    ("4", "public"): 32,
}
_WRAPPED_LENGTHS = {
    ("3", "local"): 132,
    ("4", "local"): 120,
    ("3", "secret"): 148,
    ("4", "secret"): 152,
}
_MOST_ITERATIONS = 10_000_000  # of PBKDF2; pyseto bounds Argon2 itself

# What a guess at a password costs. pyseto's own are below what OWASP asks for; these
# are the "interactive" ones of libsodium and PASERK, and OWASP's for PBKDF2.
_ITERATIONS = 210_000  # PBKDF2, version 3
_MEMORY = 64 * 1024  # KiB of Argon2id, version 4
_PASSES = 2


def parse_paserk(text: str, kind: str, version: int = 0) -> KeyInterface:
    """Return the key that a PASERK of this kind holds, version 3 or 4.

    Args:
        kind: `local`, `secret` or `public`.
        version: The one that is expected; 0: either.

    Raises:
        ValueError: It is not exactly that; no part of it is in the message.
    """
    if text != text.strip():
        raise ValueError("has white space around it")
    refuse_wrapped(text)
    match = _PASERK.fullmatch(text)
    if match is None:
        raise ValueError(f"is not a k4.{kind} or k3.{kind} PASERK")
    number, found, data = match.groups()
    wanted = f"k{version or number}.{kind}"
    if f"k{number}.{found}" != wanted:
        raise ValueError(f"is a k{number}.{found} PASERK where {wanted} goes")
    raw = _decode(data)
    if len(raw) != _LENGTHS[number, kind]:
        raise ValueError(f"is a damaged {wanted} PASERK: wrong length")
    _check_halves(number, kind, raw)
    try:
        return Key.from_paserk(text)
    except Exception:
        raise ValueError(f"is a damaged {wanted} PASERK") from None


def is_wrapped(text: str) -> bool:
    """Tell whether a text has the head of a password-wrapped PASERK."""
    return re.match(r"k\d+\.(local|secret)-pw\.", text) is not None


def refuse_wrapped(text: str) -> None:
    """Refuse a password-wrapped PASERK where a plain key goes.

    Raises:
        ValueError: It is one.
    """
    if is_wrapped(text):
        raise ValueError(
            "is wrapped with a password, which only a key ring takes: flask paseto "
            "keys announce --from FILE"
        )


def unwrap_paserk(text: str, password: str | bytes, version: int = 0) -> KeyInterface:
    """Return the key in a `local-pw` or `secret-pw` PASERK, version 3 or 4.

    It costs what whoever wrapped it chose: up to 256 MiB and some seconds.

    Args:
        version: The one that is expected; 0: either.

    Raises:
        ValueError: It is not exactly that, or the password is another.
    """
    match = _WRAPPED.fullmatch(text)
    if match is None or version not in (0, int(match[1])):
        raise ValueError("is not a password-wrapped PASERK of version 4 or 3")
    found, kind, data = match.groups()
    raw = _decode(data)
    if len(raw) != _WRAPPED_LENGTHS[found, kind]:
        raise ValueError(f"is a damaged k{found}.{kind}-pw PASERK: wrong length")
    if found == "3" and int.from_bytes(raw[32:36], "big") > _MOST_ITERATIONS:
        raise ValueError(f"is a k{found}.{kind}-pw PASERK of too many iterations")
    try:
        key = Key.from_paserk(text, password=password)
        plain = key.to_paserk()
    except Exception:
        raise ValueError("is damaged, or wrapped with another password") from None
    return parse_paserk(plain, kind, int(found))


def wrap_key(key: KeyInterface, password: str | bytes) -> str:
    """Return a secret key as a `local-pw` or `secret-pw` PASERK."""
    if key.version == 3:
        return key.to_paserk(password=password, iteration=_ITERATIONS)
    return key.to_paserk(password=password, memory_cost=_MEMORY, time_cost=_PASSES)


def decode_paserk(text: str) -> bytes:
    """Return the bytes in a PASERK that was parsed before."""
    return _decode(text.rpartition(".")[2])


def _decode(data: str) -> bytes:
    """Decode base64url, canonical only: no padding, no bit set that is not used."""
    try:
        raw = a2b_base64(data.translate({45: 43, 95: 47}) + "=" * (-len(data) % 4))
    except Base64Error:
        raise ValueError("is a damaged PASERK: not base64url") from None
    if urlsafe_b64encode(raw).rstrip(b"=") != data.encode():
        raise ValueError("is a damaged PASERK: not canonical base64url")
    return raw


def _check_halves(version: str, kind: str, raw: bytes) -> None:
    """Refuse a k4.secret whose public half belongs to another seed."""
    if (version, kind) != ("4", "secret"):
        return
    public = Ed25519PrivateKey.from_private_bytes(raw[:32]).public_key()
    if public.public_bytes_raw() != raw[32:]:
        raise ValueError("is a damaged k4.secret PASERK: its halves do not match")


def parse_pem(text: str, kind: str) -> KeyInterface:
    """Return the key of a PEM: Ed25519 gives version 4, P-384 version 3.

    Args:
        kind: `secret` or `public`.

    Raises:
        ValueError: It is not that; no part of it is in the message.
    """
    if not _PEM.fullmatch(text):
        raise ValueError("is not one PEM block and nothing else")
    if kind == "public":
        return parse_paserk(_public_paserk(text), "public")
    return parse_paserk(_secret_paserk(text), "secret")


def _secret_paserk(text: str) -> str:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ValueError("is a PEM that needs a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a PEM of a private key") from None
    if isinstance(key, Ed25519PrivateKey):
        raw = key.private_bytes_raw() + key.public_key().public_bytes_raw()
        return "k4.secret." + encode_part(raw)
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP384R1):
        scalar = key.private_numbers().private_value
        return "k3.secret." + encode_part(scalar.to_bytes(48, "big"))
    raise ValueError("is a PEM of another algorithm: Ed25519 or P-384 is needed")


def _public_paserk(text: str) -> str:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a PEM of a public key") from None
    if isinstance(key, Ed25519PublicKey):
        return "k4.public." + encode_part(key.public_bytes_raw())
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP384R1):
        return "k3.public." + encode_part(_point(key))
    raise ValueError("is a PEM of another algorithm: Ed25519 or P-384 is needed")


def _point(key: EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def public_half(key: KeyInterface) -> KeyInterface:
    """Return the public key that belongs to a private one."""
    raw = decode_paserk(key.to_paserk())
    if key.version == 4:
        return Key.from_paserk("k4.public." + encode_part(raw[32:]))
    private = derive_private_key(int.from_bytes(raw, "big"), SECP384R1())
    return Key.from_paserk("k3.public." + encode_part(_point(private.public_key())))


def generate_key(version: int = 4, purpose: Purpose = "local") -> KeyInterface:
    """Return a new key: `local`, or the private one for `public`."""
    if purpose == "local":
        return Key.new(version, "local", token_bytes(32))
    private = (
        Ed25519PrivateKey.generate()
        if version == 4
        else generate_private_key(SECP384R1())
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return parse_pem(pem.decode(), "secret")
