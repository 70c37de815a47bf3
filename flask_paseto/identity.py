"""Who is there: bound to the request being served, and to nothing that outlives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import ref

from flask import Flask, Request, current_app, has_request_context, request
from werkzeug.local import LocalProxy

from .claims import Claims, Need, Place
from .errors import MissingToken
from .stores import Answer

_ATTRIBUTE = "_flask_paseto"


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified token: its claims, where it was found, and the user.

    Attributes:
        user: What `user_lookup_loader` gave; None without one.
    """

    claims: Claims
    place: Place
    user: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the answer to a refused request must carry, whoever writes it."""

    status_code: int
    challenge: str | None
    bare_challenge: str
    retry_after: int | None


class RequestRecord:
    """What the extension knows of one request; the one thing of ours on it."""

    __slots__ = (
        "ahead",
        "answer",
        "chained",
        "csrf_values",
        "from_cookies",
        "from_query",
        "identity",
        "issued",
        "negotiated",
        "passed",
        "refusal",
        "refused",
        "sessions",
    )

    passed: bool
    """Whether a guard let the request pass."""
    ahead: Need | None
    """The need that `protect` has just met for the view's own guard, once."""
    identity: Identity | None
    answer: Answer | None
    """What the store said of the identity's refresh token, None of any other."""
    refusal: Refusal | None
    refused: ref[Exception] | None
    """The exception behind the refusal; held weakly, it holds the whole request."""
    from_cookies: bool
    from_query: bool
    negotiated: bool
    """Whether the form of a refusal hangs on what the client takes."""
    issued: bool
    sessions: dict[str, str]
    """The session ids made in this request, by subject."""
    chained: set[str]
    """Those of them that have a refresh token."""
    csrf_values: dict[str, str]
    """The CSRF values made in this request, by subject, the last one last."""

    def __init__(self) -> None:
        self.ahead = self.identity = self.refusal = self.refused = None
        self.answer = None
        self.passed = self.from_query = self.from_cookies = False
        self.issued = self.negotiated = False
        self.sessions = {}
        self.chained = set()
        self.csrf_values = {}


Records = dict[Flask, RequestRecord]


def record_of(served: Request, app: Flask) -> RequestRecord:
    """Return the record of this request under this app, new if there is none."""
    # On the request object itself: a WSGI environment is copied into sub-requests, and
    # flask.g outlives a request when an app context was pushed before it. By app,
    # because another app's context may be pushed inside the request of this one.
    records: Records = served.__dict__.setdefault(_ATTRIBUTE, {})
    record = records.get(app)
    if record is None:
        record = records[app] = RequestRecord()
    return record


def find_record(served: Request, app: Flask) -> RequestRecord | None:
    """Return the record of this request under this app, None if there is none."""
    records: Records | None = served.__dict__.get(_ATTRIBUTE)
    return None if records is None else records.get(app)


def current_record() -> RequestRecord | None:
    """Return the record of the request being served, None outside of one."""
    if not has_request_context():
        return None
    return record_of(served_request(), served_app())


def served_request() -> Request:
    """Return the request behind Flask's proxy."""
    return cast(Request, request._get_current_object())  # type: ignore[attr-defined]


def served_app() -> Flask:
    """Return the app behind Flask's proxy."""
    return cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]


def get_identity() -> Identity | None:
    """Return the identity of this request, None after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    record = find_record(served_request(), served_app())
    if record is None or not record.passed:
        raise RuntimeError(
            "no guard has run for this request: put @paseto_required under the route "
            "and above what asks who is there, or call verify_paseto_in_request()"
        )
    return record.identity


def get_claims() -> Claims | None:
    """Return the claims of this request's token, None after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    identity = get_identity()
    return None if identity is None else identity.claims


def verified_claims() -> Claims:
    """Return the claims of this request's token, in a view that asks for one.

    Raises:
        MissingToken: It passed anonymously.
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    if claims is None:
        raise MissingToken
    return claims


def get_subject() -> str | None:
    """Return who the token speaks for, None after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    return None if claims is None else claims.subject


def get_jti() -> str | None:
    """Return the id of this request's token, None after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    return None if claims is None else claims.jti


def get_session_id() -> str | None:
    """Return the session of this request's token, None where it has none.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    return None if claims is None else claims.session_id


def get_token_payload() -> dict[str, Any] | None:
    """Return all claims by their wire names: a copy, yours to change.

    None after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    return None if claims is None else cast(dict[str, Any], _thaw(claims.wire))


def get_token_footer() -> dict[str, Any] | str | None:
    """Return the authenticated footer: a copy of the mapping, or a text.

    None where the token has none, and after an anonymous pass.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    claims = get_claims()
    footer = None if claims is None else claims.footer
    return footer if footer is None or isinstance(footer, str) else dict(footer)


def get_current_user() -> Any:
    """Return the user that `user_lookup_loader` found.

    None after an anonymous pass, and where there is no such loader.

    Raises:
        RuntimeError: No guard let this request pass.
    """
    identity = get_identity()
    return None if identity is None else identity.user


current_user: Any = LocalProxy(get_current_user)
"""The user of this request; a proxy for :func:`get_current_user`."""


def template_user() -> dict[str, Any]:
    """Return `current_user` for templates: None where there is no one to show."""
    if not has_request_context():
        return {"current_user": None}
    record = find_record(served_request(), served_app())
    identity = None if record is None else record.identity
    return {"current_user": None if identity is None else identity.user}


def _thaw(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _thaw(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value
