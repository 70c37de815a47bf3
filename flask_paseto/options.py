"""Arguments and settings brought to one form, or refused with their name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

_TYPE_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")  # RFC 9110 5.6.2, no "_"

# Names that other libraries have, where a guess by spelling finds nothing or what is
# wrong: `fresh` for `refresh` would open a refresh to access tokens.
_MEANT = {
    "refresh": "write @refresh_token_required",
    "refresh_token": "write @refresh_token_required",
    "verify_type": "say type=, with all that are allowed",
    "skip_revocation_check": "say check_revoked=False",
    "additional_claims": "say user_claims=",
    "additional_headers": "say footer=",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how it is read, and what the reference says of it."""

    name: str
    read: Callable[[Any, str], Any]
    default: Any
    says: str


def refuse_unknown(
    given: Mapping[str, object], known: frozenset[str], who: str
) -> None:
    """Refuse options of other names.

    Raises:
        TypeError: It names them.
    """
    unknown = sorted(given.keys() - known)
    if unknown:
        close = get_close_matches(unknown[0], known, n=1)
        guess = f"did you mean {close[0]}?" if close else None
        hint = _MEANT.get(unknown[0], guess)
        told = f"{who} has no option {', '.join(unknown)}"
        raise TypeError(f"{told}; {hint}" if hint else told)


def as_duration(value: timedelta | int, name: str) -> timedelta:
    """Return a duration given as timedelta or whole seconds.

    Raises:
        TypeError: It is neither.
        ValueError: It is shorter than a second, or longer than time goes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except OverflowError:
            raise ValueError(f"{name} is too long") from None
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta or whole seconds")
    if value < timedelta(seconds=1):
        raise ValueError(f"{name} must be at least one second")
    return value


def as_text(value: str, name: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def as_scheme(value: str, name: str) -> str:
    """Return the scheme of a header, or "" for a header that holds the bare token."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str")
    if value and not _HEADER_NAME.fullmatch(value):
        raise ValueError(f"{name} must be one word such as Bearer, or empty")
    return value


def as_utc(moment: datetime, name: str) -> datetime:
    """Return a datetime with an offset as UTC.

    Raises:
        TypeError: It is no datetime.
        ValueError: It has no offset, or is outside of time in UTC.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} must be a datetime")
    if moment.utcoffset() is None:
        raise ValueError(f"{name} must have an offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} is out of range") from None


def as_flag(value: bool, name: str) -> bool:
    """Return a bool, and nothing that merely looks true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False")
    return value


def as_bytes(value: bytes | str, name: str) -> bytes:
    """Return an implicit assertion as bytes, a text as UTF-8."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name} must be bytes or str")
    try:
        return value.encode()
    except UnicodeError:
        raise ValueError(f"{name} is no Unicode text") from None


def as_names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Return one text or several as a tuple of non-empty texts."""
    if isinstance(value, str):
        value = (value,)
    try:
        names = tuple(value)
    except TypeError:
        raise TypeError(f"{name} must be a str or a collection of str") from None
    if not all(isinstance(item, str) for item in names):
        raise TypeError(f"{name} must be a str or a collection of str")
    if not names or not all(names):
        raise ValueError(f"{name} must not be empty")
    return names


def as_scopes(value: str | Iterable[str], name: str = "scopes") -> frozenset[str]:
    """Return scopes given as a collection, or as one text with spaces between."""
    if isinstance(value, str):
        value = filter(None, value.split(" "))
    try:
        scopes: list[Any] = list(value)
    except TypeError:
        raise TypeError(f"{name} must be a str or a collection of str") from None
    for scope in scopes:
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            raise ValueError(
                f"{name}: a scope is printable ASCII without spaces, quotes and "
                "backslashes (RFC 6749 section 3.3)"
            )
    return frozenset(scopes)


def as_type(value: str, name: str = "type") -> str:
    """Return the name of a token type: 1 to 64 letters, digits and ``_ . : -``."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str")
    if not _TYPE_NAME.fullmatch(value):
        raise ValueError(f"{name} must be 1 to 64 letters, digits or any of _ . : -")
    return value


def header_key(name: str, argument: str = "header_name") -> str:
    """Return where WSGI keeps the header of that name (PEP 3333).

    A name with ``_`` is refused: WSGI cannot tell it from ``-``.
    """
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a str")
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{argument} must be the name of a header")
    return "HTTP_" + name.upper().replace("-", "_")
