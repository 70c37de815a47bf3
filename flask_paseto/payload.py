"""What stands in a token: JSON, footers, dates and claims, each in one spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from .claims import Claims, OpenedClaims
from .errors import InvalidClaims, InvalidToken

MAX_FOOTER = 1024  # bytes
MAX_FOOTER_NAMES = 8
MAX_DEPTH = 16
MAX_DIGITS = 20

Footer = Mapping[str, Any] | str | None

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


class Unsealed(NamedTuple):
    """What a seal held: authentic, not yet understood.

    Attributes:
        issuer: The only `iss` that the key may speak for, None: any.
    """

    payload: bytes
    footer: Footer
    key_id: str
    issuer: str | None = None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _short_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
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


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Return a mapping as JSON, in UTF-8 and without spaces.

    Raises:
        ValueError, TypeError: JSON has no words for it.
    """
    wrong = (
        "the subject, user_claims or footer: "
        "NaN, a circle, a lone surrogate or too many levels"
    )
    try:
        return _ENCODER.encode(value).encode()
    except TypeError as fault:
        wrong = f"user_claims or footer: {fault}"  # names a type, no value
        kind: type[TypeError | ValueError] = TypeError
    except (ValueError, RecursionError):  # whose repr may show it all
        kind = ValueError
    raise kind(wrong)


def check_names(value: Any) -> None:
    """Refuse names that are no text: JSON would make them one in silence.

    Raises:
        TypeError: There is one, at any level.
    """
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("user_claims and footer: names must be str")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            check_names(item)


def parse_footer(raw: bytes) -> Footer:
    """Return a footer before it is authenticated: a flat mapping, or a text.

    Raises:
        InvalidToken: It is longer than 1 kB, has more than one level, more than
            8 names or one name twice, or is not UTF-8.
    """
    if len(raw) > MAX_FOOTER:
        raise InvalidToken
    with suppress(ValueError, RecursionError):
        if not raw.lstrip(b" \t\r\n").startswith(b"{"):
            return raw.decode()
        footer = _parse_object(raw)
        if _is_footer(footer):
            return MappingProxyType(footer)
    raise InvalidToken


def _is_footer(footer: dict[str, Any]) -> bool:
    return (
        len(footer) <= MAX_FOOTER_NAMES
        and isinstance(footer.get("kid", ""), str)
        and not any(isinstance(value, dict | list) for value in footer.values())
    )


def parse_payload(raw: bytes) -> dict[str, Any]:
    """Return an authentic payload, with all that is nested in it frozen.

    Raises:
        InvalidToken: It is not a JSON object as strict as JSON-1 asks.
    """
    found: dict[str, Any] | None
    try:
        found = _parse_object(raw)
        if b"[" in raw or raw.find(b"{", 1) > 0:
            found = {name: _freeze(value, 1) for name, value in found.items()}
    except (ValueError, RecursionError):
        found = None  # what was raised holds the payload: it must not hang on ours
    if found is None:
        raise InvalidToken
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
            the wrong type; or the key is tied to another issuer.
    """
    wire = parse_payload(unsealed.payload)
    get = wire.get
    names = (get("sub"), get("type"), get("jti"), get("sid", "-"), get("iss", "-"))
    if not all(names) or {*map(type, names), type(get("scope", ""))} != {str}:
        raise InvalidClaims
    if "aud" in wire and not _is_audience(wire["aud"]):
        raise InvalidClaims
    if unsealed.issuer is not None and get("iss") != unsealed.issuer:
        raise InvalidClaims
    fresh = get("fresh", False)
    return OpenedClaims(
        Claims(
            MappingProxyType(wire),
            unsealed.footer,
            unsealed.key_id,
            parse_date(get("iat")),
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
    date = _parse_date(value) if type(value) is str else None
    if date is None:
        raise InvalidClaims
    return date


@lru_cache(maxsize=4096)  # one token comes again and again, and so do its dates
def _parse_date(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    return None


def format_date(value: datetime) -> str:
    """Return a UTC time as RFC 3339 with ``Z``."""
    return value.isoformat()[:-6] + "Z"
