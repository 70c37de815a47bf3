"""Find the token in a request; one place after the other, and never two."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Request

from .body import read_data, read_form
from .claims import Need, Place
from .config import Config
from .errors import InvalidRequest, InvalidToken


@dataclass(frozen=True, slots=True)
class Found:
    """A token as it came, and where."""

    token: str = field(repr=False)
    place: Place


def find_token(request: Request, need: Need, config: Config) -> Found | None:
    """Return the token of a request from the first place that holds one.

    Raises:
        InvalidRequest: A place holds two, or one that is not a text.
    """
    if need.token is not None:
        token = read_argument(need.token() if callable(need.token) else need.token)
        return Found(token, Place.ARGUMENT) if token else None
    for place in need.locations or config.token_locations:
        token = _FINDERS[place](request, need, config)
        if token:
            return Found(token, place)
    return None


def read_argument(token: object) -> str | None:
    """Return a token that the app hands over; it may come from a client's JSON.

    Raises:
        InvalidToken: It is neither a text nor None.
    """
    if token is None or isinstance(token, str):
        return token
    raise InvalidToken


def _in_header(request: Request, need: Need, config: Config) -> str | None:
    value = request.environ.get(need.header or config.header)
    if not value:
        return None
    scheme = config.header_type if need.header_type is None else need.header_type
    if len(value) > config.max_token_length + len(scheme) + 1:
        # Nothing walks over what is too long to be a token.
        if value[: len(scheme)].lower() == scheme.lower():
            raise InvalidToken
        return None
    if not scheme:
        return _only(value.strip(" \t").split(","))
    found, _, token = value.partition(" ")
    if found.lower() == scheme.lower() and "," not in token:
        token = token.strip(" \t")
        if not token or " " in token:
            raise InvalidRequest
        return str(token)
    # A server joins repeated headers with commas (RFC 9110 section 5.3).
    schemes = [part.split(None, 1)[:1] for part in value.split(",")]
    if [scheme.lower()] in [[word.lower() for word in words] for words in schemes]:
        raise InvalidRequest
    return None


def _in_cookie(request: Request, need: Need, config: Config) -> str | None:
    cookie = config.cookies.refresh if need.is_refresh else config.cookies.access
    return _only(cookie_values(request, cookie.name))


def cookie_values(request: Request, name: str) -> list[str]:
    """Return the values of a cookie, by its name to the letter and as they came.

    A prefix such as ``__Host-`` means something only where the name is read as the
    browser wrote it, without spaces of any alphabet taken off; and a value has no
    second spelling in quotes.
    """
    header = request.environ.get("HTTP_COOKIE", "")
    if name not in header:
        return []
    pairs = (part.strip(" \t").partition("=") for part in header.split(";"))
    return [value for found, _, value in pairs if found == name]


def _in_json(request: Request, need: Need, config: Config) -> str | None:
    if not request.is_json:
        return None
    default = config.refresh_json_key if need.is_refresh else config.json_key
    key = need.json_key or default
    data = read_data(request)
    try:
        body = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None  # no JSON, so no token in it
    if not isinstance(body, _Pairs):
        return None
    return _only([value for name, value in body if name == key])


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it stands, with a repeated name visible."""


def _in_form(request: Request, need: Need, config: Config) -> str | None:
    default = config.refresh_form_key if need.is_refresh else config.form_key
    return _only(read_form(request).getlist(need.form_key or default))


def _in_query(request: Request, need: Need, config: Config) -> str | None:
    try:
        values = request.args.getlist(need.query_key or config.query_key)
    except UnicodeError:
        raise InvalidRequest from None
    return _only(values)


def _only(values: list[Any]) -> str | None:
    """Return the one token of a place; empty ones were not sent (RFC 6749 3.2)."""
    if len(values) > 1:
        raise InvalidRequest
    if not values or values[0] is None:
        return None
    if not isinstance(values[0], str):
        raise InvalidRequest
    return values[0]


_FINDERS: dict[Place, Callable[[Request, Need, Config], str | None]] = {
    Place.HEADERS: _in_header,
    Place.COOKIES: _in_cookie,
    Place.JSON: _in_json,
    Place.FORM: _in_form,
    Place.QUERY: _in_query,
}
