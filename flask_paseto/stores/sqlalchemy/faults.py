"""What a failure of a database means: not now, or never with this set-up."""

from __future__ import annotations

import logging
import re

from sqlalchemy.exc import SQLAlchemyError

from ...errors import ConfigurationError, StoreUnavailable
from .schema import INIT

_log = logging.getLogger("flask_paseto")

_TABLELESS = f"its tables are not there, or not those of this release: {INIT}"
_REFUSED = (
    "the server takes no such user, password or database: correct them in the URL"
)
_FILELESS = f"there is no such file, or it cannot be opened: {INIT}, or correct the URL"

# By SQLSTATE, whole or its class.
_OF_POSTGRESQL = {
    "42P01": _TABLELESS,
    "42703": _TABLELESS,
    "42501": "the user lacks a permission on its tables: see the docs for those needed",
    "28": _REFUSED,
    "3D": _REFUSED,
}
# While it connects, libpq has no SQLSTATE, just a text. A server that speaks another
# language makes an outage of it, which refuses as well.
_REFUSAL = re.compile(
    r"FATAL: +(?:password authentication failed|no pg_hba\.conf entry"
    r"|(?:role|database) .* does not exist)|no password supplied"
)
# By the primary code of SQLite.
_OF_SQLITE = {
    14: _FILELESS,
    26: "the file is no SQLite database: correct the URL",
}


def refusal(
    error: SQLAlchemyError, *, proven: bool
) -> ConfigurationError | StoreUnavailable:
    """Return what to raise for a failure, after it was logged.

    Args:
        error: What was raised; nothing of its text is repeated.
        proven: Whether a call succeeded before: what worked is an outage now.
    """
    fault = find_fault(error)
    if fault is not None and not proven:
        return ConfigurationError(f"PASETO_STORE does not work: {fault}")
    _log.warning("the store is unavailable: %s", fault or _reason(error))
    return StoreUnavailable()


def find_fault(error: SQLAlchemyError) -> str | None:
    """Return what is wrong with the set-up, None if nothing need be."""
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int):
        if str(cause).startswith(("no such table", "no such column")):
            return _TABLELESS
        return _OF_SQLITE.get(code & 0xFF)
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return _REFUSED if _REFUSAL.search(str(cause)) else None
    return _OF_POSTGRESQL.get(state, _OF_POSTGRESQL.get(state[:2]))


def _reason(error: SQLAlchemyError) -> str:
    """Return the reason for the log: names and codes, none of what was asked."""
    cause = getattr(error, "orig", None) or error
    for name in ("sqlstate", "sqlite_errorname"):
        code = getattr(cause, name, None)
        if code:
            return f"{type(cause).__name__} {code}"
    return type(cause).__name__
