"""Between token and claims: one strict way in, one way out.

Of pyseto only the cryptography is used. The form of a token, its footer, payload and
dates are read here, each in its one spelling.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from .claims import Claims, OpenedClaims
from .errors import ConfigurationError, InvalidClaims, InvalidToken, PasetoError
from .keys import KeyRing, RingKey
from .keys.ring import Purpose

MAX_FOOTER = 1024  # bytes
MAX_FOOTER_NAMES = 8
MAX_DEPTH = 16
MAX_DIGITS = 20

Footer = Mapping[str, Any] | str | None

# Everything outside base64url becomes "*", which the decoder then refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/***")
_PADDING = {0: (b"", None), 2: (b"==", b"AQgw"), 3: (b"=", b"AEIMQUYcgkosw048")}

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_REQUIRED = frozenset({"sub", "type", "jti", "iat"})
_TEXTS = ("sub", "type", "jti", "sid", "iss", "scope")


class Unsealed(NamedTuple):
    """What a seal held: authentic, not yet understood."""

    payload: bytes
    footer: Footer
    key_id: str


class VerifiedCache:
    """Claims whose seal was checked, by token and implicit assertion.

    Two generations: when the young one is full, the old one goes.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[tuple[str, bytes], OpenedClaims] = {}
        self._old: dict[tuple[str, bytes], OpenedClaims] = {}

    def get(self, key: tuple[str, bytes]) -> OpenedClaims | None:
        """Return the claims, None when they are not there."""
        claims = self._young.get(key)
        if claims is None:
            claims = self._old.get(key)
            if claims is not None:
                self.put(key, claims)
        return claims

    def put(self, key: tuple[str, bytes], claims: OpenedClaims) -> None:
        """Keep the claims; they are frozen, so nothing leaks between requests."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = claims


@dataclass(frozen=True, slots=True)
class Codec:
    """Opens and seals the tokens of one ring.

    Attributes:
        max_length: The longest token that is looked at, in characters.
        accept_missing_kid: Whether a token without key id is tried with the keys of
            its version and purpose.
        cache: It belongs to the ring: another ring is another, empty cache.
    """

    ring: KeyRing
    max_length: int = 8192
    accept_missing_kid: bool = False
    cache: VerifiedCache | None = field(default=None, repr=False)

    def open(self, token: str, assertion: bytes = b"") -> OpenedClaims:
        """Return the claims of a token whose seal holds; their time is not looked at.

        Raises:
            InvalidToken: Length, form, key or seal is wrong, or the payload is no
                strict JSON object.
            InvalidClaims: A claim is missing or of the wrong type.
        """
        if self.cache is None:
            return read_claims(self.unseal(token, assertion))
        claims = self.cache.get((token, assertion))
        if claims is None:
            claims = read_claims(self.unseal(token, assertion))
            self.cache.put((token, assertion), claims)
        return claims

    def unseal(self, token: str, assertion: bytes = b"") -> Unsealed:
        """Return the payload of a token whose seal holds, as it was sealed.

        Raises:
            InvalidToken: Length, form, key or seal is wrong.
        """
        if len(token) > self.max_length or not token.isascii():
            raise InvalidToken
        parts = token.split(".")
        if len(parts) == 4:
            key = self.ring.by_footer.get(parts[3])
            if key is None:
                return self._unseal_any(parts, _decode_part(parts[3]), assertion)
            if parts[0] + "." + parts[1] != key.header:
                raise InvalidToken
            payload = _open_body(key, _decode_part(parts[2]), key.footer, assertion)
            return Unsealed(payload, key.footer_claims, key.key_id)
        if len(parts) == 3:
            return self._unseal_any(parts, b"", assertion)
        raise InvalidToken

    def _unseal_any(
        self, parts: list[str], raw_footer: bytes, assertion: bytes
    ) -> Unsealed:
        """Unseal a token whose footer holds more, or less, than a key id."""
        footer = parse_footer(raw_footer) if len(parts) == 4 else None
        keys = self._select(parts[0] + "." + parts[1], footer)
        body = _decode_part(parts[2])
        for key in keys[:-1]:
            try:
                payload = _open_body(key, body, raw_footer, assertion)
            except InvalidToken:
                continue
            return Unsealed(payload, footer, key.key_id)
        payload = _open_body(keys[-1], body, raw_footer, assertion)
        return Unsealed(payload, footer, keys[-1].key_id)

    def _select(self, header: str, footer: Footer) -> tuple[RingKey, ...]:
        """Return the keys to try, at least one; with a key id that one alone."""
        keys: tuple[RingKey, ...]
        if isinstance(footer, Mapping) and "kid" in footer:
            key = self.ring.by_id.get(footer["kid"])
            keys = () if key is None or key.header != header else (key,)
        elif self.accept_missing_kid:
            keys = self.ring.by_header.get(header, ())
        else:
            keys = ()
        if not keys:
            raise InvalidToken
        return keys

    def seal(
        self,
        payload: Mapping[str, Any],
        *,
        footer: Mapping[str, Any] | None = None,
        assertion: bytes = b"",
        purpose: Purpose | None = None,
    ) -> str:
        """Return the token of these claims, with the key's id in its footer.

        Raises:
            ConfigurationError: No key issues tokens of this purpose.
            ValueError, TypeError: What is to be sealed would not open again.
        """
        key = self._issuing_key(purpose)
        raw, raw_footer = _encode_json(payload), key.footer
        if footer:
            raw_footer = _encode_json({**footer, **key.footer_claims})
            _check(parse_footer, raw_footer)
        _check(read_claims, Unsealed(raw, None, key.key_id))
        token = key.seal(raw, raw_footer, assertion)
        if len(token) > self.max_length:
            raise ValueError(
                f"the token has {len(token)} characters, PASETO_MAX_TOKEN_LENGTH "
                f"allows {self.max_length}"
            )
        return token

    def _issuing_key(self, purpose: Purpose | None) -> RingKey:
        chosen = purpose or self.ring.purpose
        if chosen is None:
            raise ConfigurationError(
                "this app has only public keys, so it verifies tokens but issues "
                "none; to issue, set PASETO_PRIVATE_KEY"
            )
        try:
            return self.ring.issuing[chosen]
        except KeyError:
            setting = "SECRET_KEY" if chosen == "local" else "PRIVATE_KEY"
            raise ConfigurationError(
                f"no key issues {chosen} tokens; set PASETO_{setting}"
            ) from None


def _open_body(key: RingKey, body: bytes, footer: bytes, assertion: bytes) -> bytes:
    if len(body) <= key.overhead:
        raise InvalidToken
    try:
        return key.open(body, footer, assertion)
    except Exception:
        # Whatever pyseto raises, from None: its message may hold the payload.
        raise InvalidToken from None


def _decode_part(part: str) -> bytes:
    """Decode base64url: its alphabet only, no padding, no bit set that is not used."""
    padding, last = _PADDING.get(len(part) % 4, (b"", b""))
    raw = part.encode()
    if not raw or (last is not None and raw[-1] not in last):
        raise InvalidToken
    try:
        return a2b_base64(raw.translate(_TO_BASE64) + padding, strict_mode=True)
    except Base64Error:
        raise InvalidToken from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _short_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_short_int,
    parse_float=_finite,
    parse_constant=_no_constant,
)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=True
)


def _parse_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object with unique names, in strict UTF-8.

    Raises:
        ValueError, RecursionError: It is not that.
    """
    text = raw.decode().strip(" \t\r\n")
    if not text.startswith("{"):
        raise ValueError("not an object")
    found: dict[str, Any]
    found, end = _JSON.raw_decode(text)
    if end != len(text):
        raise ValueError("more than an object")
    if "\\u" in text:
        _ENCODER.encode(found).encode()  # a lone surrogate is no text
    return found


def _encode_json(value: Mapping[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except RecursionError:
        raise ValueError("too many levels to be a claim or a footer") from None


def _check(read: Callable[[Any], object], sealed: Any) -> None:
    """Refuse to issue what the way in would refuse (ISS-1)."""
    try:
        read(sealed)
    except PasetoError:
        raise ValueError(
            "a claim or the footer would be refused on the way back: names must be "
            "unique, numbers have 20 digits at most, claims 16 levels; a footer is "
            "flat, has 8 names with kid and 1 kB"
        ) from None


def parse_footer(raw: bytes) -> Footer:
    """Return a footer before it is authenticated: a flat mapping, or a text.

    Raises:
        InvalidToken: It is longer than 1 kB, has more than one level, more than
            8 names or one name twice, or is not UTF-8.
    """
    try:
        if len(raw) > MAX_FOOTER:
            raise InvalidToken
        if not raw.startswith(b"{"):
            return raw.decode()
        footer = _parse_object(raw)
    except (ValueError, RecursionError):
        raise InvalidToken from None
    if len(footer) > MAX_FOOTER_NAMES or not isinstance(footer.get("kid", ""), str):
        raise InvalidToken
    if any(isinstance(value, dict | list) for value in footer.values()):
        raise InvalidToken
    return MappingProxyType(footer)


def parse_payload(raw: bytes) -> dict[str, Any]:
    """Return an authentic payload, with all that is nested in it frozen.

    Raises:
        InvalidToken: It is not a JSON object as strict as JSON-1 asks.
    """
    try:
        found = _parse_object(raw)
        if b"[" in raw or raw.find(b"{", 1) > 0:
            return {name: _freeze(value, 1) for name, value in found.items()}
    except (ValueError, RecursionError):
        raise InvalidToken from None
    return found


def _freeze(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return MappingProxyType({k: _freeze(v, depth + 1) for k, v in value.items()})
    if isinstance(value, list):
        return tuple(_freeze(item, depth + 1) for item in value)
    return value


def read_claims(unsealed: Unsealed) -> OpenedClaims:
    """Return authentic content as claims, each of the type it must have.

    Raises:
        InvalidToken: The payload is no strict JSON object.
        InvalidClaims: `sub`, `type`, `jti` or `iat` is missing, or a claim is of
            the wrong type.
    """
    wire = parse_payload(unsealed.payload)
    for name in _TEXTS:
        if name in wire and type(wire[name]) is not str:
            raise InvalidClaims
    if not wire.keys() >= _REQUIRED or not wire["sub"]:
        raise InvalidClaims
    if "aud" in wire and not _is_audience(wire["aud"]):
        raise InvalidClaims
    fresh = wire.get("fresh", False)
    return OpenedClaims(
        Claims(
            MappingProxyType(wire),
            unsealed.footer,
            unsealed.key_id,
            parse_date(wire["iat"]),
            parse_date(wire["exp"]) if "exp" in wire else None,
            parse_date(wire["nbf"]) if "nbf" in wire else None,
            parse_date(wire["auth_time"]) if "auth_time" in wire else None,
            fresh if isinstance(fresh, bool) else parse_date(fresh),
        )
    )


def _is_audience(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def parse_date(value: Any) -> datetime:
    """Return an RFC 3339 date with upper-case ``T``, seconds and an offset.

    Raises:
        InvalidClaims: It is anything else.
    """
    if type(value) is not str:
        raise InvalidClaims
    return _parse_date(value)


@lru_cache(maxsize=4096)  # one token comes again and again, and so do its dates
def _parse_date(text: str) -> datetime:
    if not _DATE.fullmatch(text):
        raise InvalidClaims
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidClaims from None


def format_date(value: datetime) -> str:
    """Return a UTC time as RFC 3339 with ``Z``."""
    return value.isoformat()[:-6] + "Z"
