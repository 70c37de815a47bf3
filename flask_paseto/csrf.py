"""Refuse what another site made a browser send."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from flask import Request

from .body import read_form
from .claims import OpenedClaims, Place
from .cookie_policy import CsrfPolicy
from .errors import CsrfError

CLAIM: Final = "csrf"

# What a page of another site can make a browser send; a header it cannot.
_FORGEABLE: Final = frozenset({Place.COOKIES, Place.JSON, Place.FORM, Place.QUERY})
_FORMS: Final = frozenset(
    {"application/x-www-form-urlencoded", "multipart/form-data"},
)


def is_forgeable(request: Request, place: Place, policy: CsrfPolicy) -> bool:
    """Tell whether another site could have sent this token, and change something."""
    return place in _FORGEABLE and request.method not in policy.safe_methods


def check_site(request: Request, policy: CsrfPolicy) -> None:
    """Refuse a request of which the browser says that another site made it.

    Old browsers and programs say nothing (Fetch Metadata); then the value decides.

    Raises:
        CsrfError: It came from a site that is not trusted.
    """
    site = request.environ.get("HTTP_SEC_FETCH_SITE", "")
    if "cross-site" not in site.lower():
        return
    if request.environ.get("HTTP_ORIGIN") not in policy.trusted_origins:
        raise CsrfError


def check_value(request: Request, claims: OpenedClaims, *, policy: CsrfPolicy) -> None:
    """Refuse a request that does not repeat the value sealed in its cookie token.

    A planted cookie is of no use: what counts is in the token.

    Raises:
        CsrfError: The value is missing or another one.
        InvalidRequest: The form in which it may be breaks off.
    """
    sealed, given = claims.get(CLAIM), _given(request, policy)
    if not given or not isinstance(sealed, str):
        raise CsrfError(policy.expected)
    if not compare_digest(_as_bytes(given), _as_bytes(sealed)):
        raise CsrfError(policy.expected)


def _given(request: Request, policy: CsrfPolicy) -> str | None:
    value: str | None = request.environ.get(policy.header)
    if value or policy.field is None or request.mimetype not in _FORMS:
        return value
    values = read_form(request).getlist(policy.field)
    return values[0] if len(values) == 1 else None


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
