"""Where to send people who are not let in, and where they go afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Flask, Request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.routing import BuildError
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from .errors import ConfigurationError, PasetoError
from .identity import RequestRecord

_ATTRIBUTE: Final = "_paseto_login_page"  # on an app or a blueprint
_LONGEST: Final = 2048  # characters: it goes into a header


@dataclass(frozen=True, slots=True)
class LoginPage:
    """The page for people who are not let in.

    Attributes:
        next_key: The parameter that holds the way back; None: none does.
    """

    endpoint: str
    next_key: str | None


def set_login_page(scaffold: Flask | Blueprint, page: LoginPage) -> None:
    """Let refusals under an app or a blueprint lead to a page."""
    setattr(scaffold, _ATTRIBUTE, page)


def missing_login_pages(app: Flask) -> list[str]:
    """Return the endpoints of pages that the app does not have."""
    pages = (_page_of(owner) for owner in (*app.blueprints.values(), app))
    found = {page.endpoint for page in pages if page is not None}
    return sorted(found - app.view_functions.keys())


def redirect_refused(
    request: Request, refusal: PasetoError, app: Flask, record: RequestRecord
) -> Response | None:
    """Return the way to the login page, None where the refusal is to be told.

    It is for who takes HTML rather than JSON, and may log in to get what was refused.
    """
    owners = [*map(app.blueprints.get, request.blueprints), app]
    page = next(filter(None, map(_page_of, owners)), None)
    if page is None or refusal.status_code != 401:
        return None
    if isinstance(request.routing_exception, BadRequest):
        return None  # the Host is none, or not trusted: Flask builds no address
    where = _address_of(page)
    if request.endpoint == page.endpoint or where == request.root_path + request.path:
        return None  # there already: a form that did not log in, or a guarded page
    record.negotiated = True
    accepted = request.accept_mimetypes
    if not accepted["text/html"] > accepted["application/json"]:
        return None
    back = _way_back(request, record)
    if page.next_key is not None and back is not None:
        values: dict[str, Any] = {page.next_key: back}
        where = _address_of(page, **values)
    return redirect(where, 303)


def _address_of(page: LoginPage, **values: Any) -> str:
    """Return the address of a login page.

    Raises:
        ConfigurationError: It needs values that nobody gives.
    """
    try:
        return url_for(page.endpoint, **values)
    except BuildError as fault:
        raise ConfigurationError(
            f"redirect_unauthorized leads to {page.endpoint}, whose address cannot be "
            "built: name a view without parameters, or give them with app.url_defaults"
        ) from fault


def safe_next(target: str | None, default: str = "/") -> str:
    """Return where to go after a login: the target if it is a path here.

    Anything that could lead to another site is answered with the default: a scheme,
    ``//``, a backslash, a control character.

    Args:
        target: What the request says, as ``request.args.get("next")``.
        default: Where to go otherwise.
    """
    return target if target is not None and _is_path(target) else default


def _is_path(target: Any) -> bool:
    return (
        isinstance(target, str)
        and len(target) <= _LONGEST
        and target.startswith("/")
        and not target.startswith("//")
        and "\\" not in target
        and target.isprintable()
    )


def _way_back(request: Request, record: RequestRecord) -> str | None:
    """Return the path that was asked for, None where there is no way to ask again."""
    if request.method not in ("GET", "HEAD"):
        return None
    path = quote(request.root_path + request.path, safe="/!$&'()*+,:;=@~")
    if request.query_string and not record.from_query:  # it may hold the token
        query = quote(request.query_string, safe="/!$&'()*+,:;=@~?%")
        path = f"{path}?{query}"
    return path if _is_path(path) else None


def _page_of(owner: object) -> LoginPage | None:
    return getattr(owner, _ATTRIBUTE, None)
