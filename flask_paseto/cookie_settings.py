"""The settings of cookies and of the protection against forged requests."""

from __future__ import annotations

import re
from typing import Any, Final

from .options import Setting, as_duration, as_flag, as_names, as_text, header_key

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 6265 section 4.1.1
_PATH = re.compile(r"/[\x21-\x3a\x3c-\x7e]*")
_LABEL = "[0-9A-Za-z-]{1,63}"  # RFC 1035 section 2.3.4
_DOMAIN = re.compile(rf"\.?{_LABEL}(?:\.{_LABEL})*")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_ORIGIN = re.compile(r"https?://(?:[0-9a-z.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")

SAMESITE: Final = ("Lax", "Strict", "None")


def _as_cookie_name(value: str, name: str) -> str:
    if not _NAME.fullmatch(as_text(value, name)):
        raise ValueError(f"{name} must be the name of a cookie: no spaces, no ; , =")
    return value


def _as_path(value: str, name: str) -> str:
    if not _PATH.fullmatch(as_text(value, name)):
        raise ValueError(f"{name} must be a path as the browser sees it, from / on")
    return value


def _as_domain(value: str, name: str) -> str:
    if not _DOMAIN.fullmatch(as_text(value, name)):
        raise ValueError(f"{name} must be a domain such as example.com, in ASCII")
    return value


def _as_samesite(value: str, name: str) -> str:
    if value not in SAMESITE:
        raise ValueError(f"{name} must be 'Lax', 'Strict' or 'None'")
    return value


def _as_header_name(value: str, name: str) -> str:
    header_key(value, name)
    return value


def _as_methods(value: Any, name: str) -> frozenset[str]:
    """Return methods; none at all is an answer, too."""
    if isinstance(value, list | tuple | set | frozenset) and not value:
        return frozenset()
    methods = as_names(value, name)
    if not all(map(_METHOD.fullmatch, methods)):
        raise ValueError(f"{name} must be methods in capitals, such as GET")
    return frozenset(methods)


def _as_origins(value: Any, name: str) -> frozenset[str]:
    origins = as_names(value, name)
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError(
            f"{name} must be origins such as https://app.example.com, as browsers "
            "write them: small letters, no path, no slash at the end"
        )
    return frozenset(origins)


_PREFIX: Final = (
    "begins with `__Host-`, or with `__Secure-` where it has a domain or a path, or "
    "with neither where `PASETO_COOKIE_SECURE` is False."
)

COOKIE_SETTINGS: Final = (
    Setting(
        "COOKIE_ACCESS_NAME",
        _as_cookie_name,
        None,
        "The cookie of the access token. Default: `access_token`, which " + _PREFIX,
    ),
    Setting(
        "COOKIE_REFRESH_NAME",
        _as_cookie_name,
        None,
        "The cookie of the refresh token. Default: `refresh_token`, which " + _PREFIX,
    ),
    Setting(
        "COOKIE_PATH",
        _as_path,
        "/",
        "The path of the cookies, as the browser sees it. Other than `/`, it keeps "
        "apps on one host apart by convenience only, not by security.",
    ),
    Setting(
        "COOKIE_REFRESH_PATH",
        _as_path,
        None,
        "The path of the cookie of the refresh token, where only one view takes it. "
        "Default: `PASETO_COOKIE_PATH`.",
    ),
    Setting(
        "COOKIE_DOMAIN",
        _as_domain,
        None,
        "The domain of the cookies: they then go to its subdomains too, and each of "
        "these can write them. Without it they go to this host alone.",
    ),
    Setting(
        "COOKIE_SECURE",
        as_flag,
        True,
        "Send the cookies over https only. False is for development over plain http.",
    ),
    Setting(
        "COOKIE_SAMESITE",
        _as_samesite,
        "Lax",
        "When the cookies go along with a request that another site made: `'Strict'` "
        "never, `'Lax'` with links to a page, `'None'` always.",
    ),
    Setting(
        "COOKIE_PARTITIONED",
        as_flag,
        False,
        "Keep the cookies apart for each site that embeds this one (CHIPS).",
    ),
    Setting(
        "COOKIE_PERSISTENT",
        as_flag,
        False,
        "Let the cookies live as long as their tokens. Without it they go when the "
        "browser is closed. `persistent=` says it for one login.",
    ),
    Setting(
        "COOKIE_REFRESH_WITHIN",
        as_duration,
        None,
        "How long before the end of an access cookie an answer renews it, and the "
        "refresh cookie with it. Less than half of `PASETO_ACCESS_TOKEN_EXPIRES` and "
        "more than `PASETO_ROTATION_GRACE`. Default: it is never renewed by itself.",
    ),
    Setting(
        "CSRF_PROTECT",
        as_flag,
        True,
        "Ask for the CSRF value where the token came in a cookie, and refuse what "
        "another site sent.",
    ),
    Setting(
        "CSRF_SAFE_METHODS",
        _as_methods,
        ("GET", "HEAD", "OPTIONS", "TRACE"),
        "The methods that are not asked for it: those that change nothing.",
    ),
    Setting(
        "CSRF_HEADER_NAME",
        _as_header_name,
        "X-CSRF-Token",
        "The header that repeats the CSRF value.",
    ),
    Setting(
        "CSRF_FIELD_NAME",
        as_text,
        "csrf_token",
        "The field of a form that repeats it, where the header is not there.",
    ),
    Setting(
        "CSRF_CHECK_FORM",
        as_flag,
        True,
        "Look at the form, too. False: the header alone counts, and no body is read "
        "for it.",
    ),
    Setting(
        "CSRF_IN_COOKIES",
        as_flag,
        True,
        "Put the CSRF value in a cookie that scripts can read. Without it, hand it to "
        "the page with `csrf_token()`.",
    ),
    Setting(
        "CSRF_COOKIE_NAME",
        _as_cookie_name,
        None,
        "The cookie of the CSRF value. Default: `csrf_token`, which " + _PREFIX,
    ),
    Setting(
        "CSRF_TRUSTED_ORIGINS",
        _as_origins,
        (),
        "The origins of other sites whose pages may send requests that change "
        "something, such as `https://app.example.com`. They need the CSRF value all "
        "the same.",
    ),
)
