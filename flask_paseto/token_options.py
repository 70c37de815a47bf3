"""What can be said of a new token, and the words for it brought to one form."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypedDict
from uuid import UUID

from flask import has_request_context

from .identity import served_request
from .keys import Purpose
from .options import as_text
from .state import State
from .stores import MemoryStore, Store


class _Never(Enum):
    NEVER = "never"


NEVER: Final = _Never.NEVER
"""As ``expires_in``: a token without ``exp``; needs ``PASETO_ALLOW_NON_EXPIRING``."""

LABEL_LENGTH: Final = 200  # characters of a client's name or address

RESERVED_CLAIMS: Final = frozenset(
    {"sub", "type", "jti", "sid", "iat", "exp", "nbf", "auth_time", "fresh"}
    | {"iss", "aud", "scope", "csrf"}
)


class StepOptions(TypedDict, total=False):
    """What can be said of any token, also of one that goes on with a session.

    Keys:
        expires_in: The lifetime, a timedelta or seconds, instead of the setting's;
            `NEVER` for none. No token outlasts its session.
        not_before: From when it holds: a datetime with an offset, or how long from
            now.
        scopes: A collection, or one text with spaces between.
        audience: One or several, instead of `PASETO_AUDIENCE`.
        issuer: Instead of `PASETO_ISSUER`.
        user_claims: Claims of yours; names of ours are refused.
        footer: A flat mapping, up to 1 kB, readable by everybody; `kid` is ours.
        implicit_assertion: What the token is bound to without holding it.
        purpose: `local` or `public`, where there are keys for both.
    """

    expires_in: timedelta | int | Literal[_Never.NEVER] | None
    not_before: datetime | timedelta | int | None
    scopes: str | Iterable[str] | None
    audience: str | Iterable[str] | None
    issuer: str | None
    user_claims: Mapping[str, Any] | None
    footer: Mapping[str, Any] | None
    implicit_assertion: bytes | str | None
    purpose: Purpose | None


class TokenOptions(StepOptions, total=False):
    """What can be said of a token when it is issued.

    Keys:
        auth_time: When the user logged in, instead of what the request tells.
        session_id: The session it belongs to; False: none.
        client: What the list of sessions calls the device, for a session that is
            opened with this token; True: what `User-Agent` says.
        address: Where it is, likewise; True: the address that the request came from.
    """

    auth_time: datetime | None
    session_id: str | Literal[False] | None
    client: str | Literal[True] | None
    address: str | Literal[True] | None


def subject_text(subject: Any, state: State) -> str:
    """Return a subject as the text that stands in tokens."""
    loader = state.callbacks.subject
    if loader is not None:
        text = state.call(loader, subject)
        if not isinstance(text, str):
            raise TypeError("subject_loader must give a str")
    elif isinstance(subject, str | int | UUID) and not isinstance(subject, bool):
        text = str(subject)
    else:
        raise TypeError(
            "subject must be a str, int or UUID; for anything else register a "
            "@paseto.subject_loader"
        )
    return as_text(text, "subject")


def read_device(options: TokenOptions, state: State) -> tuple[str, str]:
    """Return the name and the address of the device, as given or asked for."""
    client, address = options.get("client"), options.get("address")
    if client is None and address is None:
        return "", ""
    state.need_store("client and address")
    served = served_request() if has_request_context() else None
    if served is None and (client is True or address is True):
        raise ValueError("client and address: True takes them from a request")
    if client is True and served is not None:
        client = served.headers.get("User-Agent", "")
    if address is True and served is not None:
        address = served.remote_addr
    return _label(client or "", "client"), _label(address or "", "address")


def warn_of_workers(store: Store) -> None:
    """Warn of sessions in one process where the server says that it has several."""
    served = served_request() if has_request_context() else None
    if (
        isinstance(store, MemoryStore)
        and served is not None
        and served.environ.get("wsgi.multiprocess")
    ):
        warnings.warn(
            "PASETO_STORE is 'memory://' and the server has several processes: a "
            "session lives in one of them alone; use a store that they share",
            RuntimeWarning,
            stacklevel=2,
        )


def _label(given: Any, name: str) -> str:
    """Return what can be shown of a text, and not too much of it."""
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a str or True")
    return "".join(filter(str.isprintable, given))[:LABEL_LENGTH]


def check_footer(given: Any) -> None:
    """Refuse what cannot be a footer."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise TypeError("footer must be a dict")
    if "kid" in given:
        raise ValueError("footer: kid is reserved for the id of the key")


def as_purpose(given: Purpose | None) -> Purpose | None:
    """Return a purpose, None for that of the ring."""
    if given not in (None, "local", "public"):
        raise ValueError("purpose must be 'local' or 'public'")
    return given
