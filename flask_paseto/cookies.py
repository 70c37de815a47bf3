"""Put tokens into cookies and take them out again, always with the same attributes."""

from __future__ import annotations

from typing import Any, Final

from flask import has_request_context
from werkzeug.wrappers import Response

from .claims import ACCESS, REFRESH, Claims
from .cookie_policy import Cookie, CookiePolicy
from .csrf import CLAIM
from .errors import ConfigurationError, PasetoError
from .identity import current_record, served_request
from .locations import cookie_values
from .options import as_bytes, as_flag
from .persistence import note_persistence, persistence_of
from .state import State, current_state
from .tokens import TokenPair

_FOR_EVER: Final = 400 * 24 * 60 * 60  # the most that browsers keep (RFC 6265bis)
_CSRF_LENGTH: Final = 32


def set_access_cookies(
    response: Response,
    token: str,
    *,
    persistent: bool | None = None,
    implicit_assertion: bytes | str | None = None,
) -> None:
    """Set the cookie of an access token in an answer, and that of its CSRF value.

    Args:
        persistent: True: it lives as long as the token; False: until the browser is
            closed. Without it, `PASETO_COOKIE_PERSISTENT` says; but where cookies are
            renewed (`PASETO_COOKIE_REFRESH_WITHIN`), a view that takes a refresh
            token of a session goes on with what was said for its refresh cookie.
        implicit_assertion: What the token was bound to, where that was given when it
            was issued.

    Raises:
        ValueError: The token is no access token of this app, or too large.
        ConfigurationError: Cookies are no place for tokens.
    """
    _set(
        ACCESS,
        response,
        token,
        persistent=persistent,
        implicit_assertion=implicit_assertion,
    )


def set_refresh_cookies(
    response: Response,
    token: str,
    *,
    persistent: bool | None = None,
    implicit_assertion: bytes | str | None = None,
) -> None:
    """Set the cookie of a refresh token in an answer, and that of its CSRF value.

    The arguments are those of :func:`set_access_cookies`.

    Raises:
        ValueError: The token is no refresh token of this app, or too large.
        ConfigurationError: Cookies are no place for tokens.
    """
    _set(
        REFRESH,
        response,
        token,
        persistent=persistent,
        implicit_assertion=implicit_assertion,
    )


def set_token_cookies(
    response: Response,
    pair: TokenPair,
    *,
    persistent: bool | None = None,
    implicit_assertion: bytes | str | None = None,
) -> None:
    """Set the cookies of a pair in an answer, and that of its CSRF value.

    The arguments are those of :func:`set_access_cookies`.

    Raises:
        ValueError: The tokens are not those of this app, or too large.
        ConfigurationError: Cookies are no place for tokens.
    """
    if not isinstance(pair, TokenPair):
        raise TypeError("pair must be what create_token_pair gives")
    tokens = ((ACCESS, pair.access_token), (REFRESH, pair.refresh_token))
    for token_type, token in tokens:
        _set(
            token_type,
            response,
            token,
            persistent=persistent,
            implicit_assertion=implicit_assertion,
        )


def unset_cookies(response: Response) -> None:
    """Clear all three cookies in an answer: the log-out of a browser.

    The tokens in them stay valid until they expire or are revoked.

    Raises:
        ConfigurationError: Cookies are no place for tokens.
    """
    policy = _policy(response, current_state())
    for cookie in (policy.access, policy.refresh, policy.csrf):
        cookie.clear(response)


def unset_access_cookies(response: Response) -> None:
    """Clear the cookie of the access token; what refreshes it stays.

    Raises:
        ConfigurationError: Cookies are no place for tokens.
    """
    _policy(response, current_state()).access.clear(response)


def unset_refresh_cookies(response: Response) -> None:
    """Clear the cookie of the refresh token; what it has given out stays.

    Raises:
        ConfigurationError: Cookies are no place for tokens.
    """
    _policy(response, current_state()).refresh.clear(response)


def csrf_token(
    token: str | None = None, *, implicit_assertion: bytes | str | None = None
) -> str:
    """Return the CSRF value that a form or a script of this page must send back.

    It is that of the token given; else of the verified token of the request; else of
    a login in this request; else what the CSRF cookie holds. Empty where there is no
    one to protect. Templates have it by this name.

    Raises:
        ValueError: The token is not one of this app.
        ConfigurationError: Cookies are no place for tokens.
    """
    state = current_state()
    _check_place(state)
    if token is not None:
        return _sealed(_open(token, state, implicit_assertion))
    record = current_record()
    if record is None:
        return ""
    if record.identity is not None:
        return _sealed(record.identity.claims)
    if record.csrf_values:
        return next(reversed(record.csrf_values.values()))
    record.from_cookies = True
    values = cookie_values(served_request(), state.config.cookies.csrf.name)
    return values[0] if len(values) == 1 and _is_ours(values[0]) else ""


def _set(
    token_type: str,
    response: Response,
    token: str,
    *,
    persistent: bool | None,
    implicit_assertion: bytes | str | None,
) -> None:
    state = current_state()
    _policy(response, state)
    claims = _open(token, state, implicit_assertion)
    if claims.token_type != token_type:
        raise ValueError(f"token must be of the type {token_type!r}")
    if state.config.csrf is not None and not _sealed(claims):
        raise ValueError(
            "the token has no CSRF value, so it was not issued by this app or not "
            "since PASETO_TOKEN_LOCATIONS names cookies"
        )
    if persistent is None:
        persistent = _persistence(claims, state)
    else:
        _remember(claims, as_flag(persistent, "persistent"), state)
    write_cookies(response, token, claims, persistent, state)


def _persistence(claims: Claims, state: State) -> bool:
    """Return what was said at the login, where the request has its row."""
    default, record = state.config.cookies.persistent, current_record()
    answer = None if record is None else record.answer
    row = None if answer is None else answer.session
    if row is None or row.session_id != claims.session_id:
        return default
    return persistence_of(row, default)


def _remember(claims: Claims, persistent: bool, state: State) -> None:
    """Note what was said at the login, where cookies are renewed without a word."""
    policy, store = state.config.cookies, state.store
    if policy.refresh_within is None or store is None or claims.token_type != REFRESH:
        return
    note_persistence(claims, persistent, store)


def write_cookies(
    response: Response, token: str, claims: Claims, persistent: bool, state: State
) -> None:
    """Set the cookie of a token that was looked at, and that of its CSRF value."""
    policy = state.config.cookies
    max_age = _lifetime(claims, state) if persistent else None
    cookie = policy.access if claims.token_type == ACCESS else policy.refresh
    cookie.write(response, token, max_age)
    if state.config.csrf is not None and state.config.csrf.in_cookies:
        _set_csrf(response, _sealed(claims), max_age, state)


def _set_csrf(
    response: Response, value: str, max_age: int | None, state: State
) -> None:
    """Set the cookie that every token of the login needs, so it outlives them all."""
    cookie = state.config.cookies.csrf
    if max_age is not None:
        longest = int(state.config.max_token_lifetime.total_seconds())
        cookie.write(response, value, max(max_age, longest))
    elif not _is_there(cookie, value, response):
        cookie.write(response, value)


def _is_there(cookie: Cookie, value: str, response: Response) -> bool:
    """Tell whether the browser has it already, perhaps for longer than its window."""
    if not has_request_context() or cookie.is_written(response):
        return False
    return cookie_values(served_request(), cookie.name) == [value]


def _open(token: str, state: State, assertion: bytes | str | None) -> Claims:
    if assertion is None:
        bound = state.assertion()
    else:
        bound = as_bytes(assertion, "implicit_assertion")
    if not isinstance(token, str):
        raise TypeError("token must be a str")
    codec = state.codec  # it may be that the keys cannot be told now
    try:
        return codec.open(token, bound, state.clock())
    except PasetoError:
        pass  # a slip in the app is no refusal of its client
    raise ValueError("token must be one of this app, with its implicit_assertion")


def _lifetime(claims: Claims, state: State) -> int:
    """Return the seconds that a token has left."""
    if claims.expires_at is None:
        return _FOR_EVER
    return max(0, int((claims.expires_at - state.clock()).total_seconds()))


def _sealed(claims: Claims) -> str:
    value: Any = claims.get(CLAIM)
    return value if isinstance(value, str) else ""


def _is_ours(value: str) -> bool:
    """Tell whether it looks like a value of ours: anybody may have written a cookie."""
    return len(value) == _CSRF_LENGTH and not value.strip("0123456789abcdef")


def _policy(response: Response, state: State) -> CookiePolicy:
    if not isinstance(response, Response):
        raise TypeError("response must be a response: flask.make_response makes one")
    _check_place(state)
    return state.config.cookies


def _check_place(state: State) -> None:
    if not state.config.takes_cookies:
        raise ConfigurationError(
            "cookies are no place for tokens: name 'cookies' in PASETO_TOKEN_LOCATIONS"
        )
