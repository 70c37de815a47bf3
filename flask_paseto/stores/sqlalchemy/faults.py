"""What a failure of a database means: not now, or never with this set-up."""

from __future__ import annotations

import logging
import re

from sqlalchemy.exc import SQLAlchemyError

from ...errors import StoreFault, StoreUnavailable
from .schema import INIT

_log = logging.getLogger("flask_paseto")

_TABLELESS = f"its tables are not there, or not those of this release: {INIT}"
_REFUSED = (
    "the server takes no such user, password or database: correct them in the URL"
)
_FILELESS = f"there is no such file, or it cannot be opened: {INIT}, or correct the URL"
_REJECTED = (
    "the database takes a statement of ours for wrong ({}): its own log says why, and "
    "on its tables may be a constraint, a trigger or a policy that is not from "
    "'flask paseto store init'"
)

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

# What is wrong with what was asked, so it fails again: an outage passes. As an outage
# it would let tokens in where `PASETO_STORE_OUTAGE` is "allow".
_WRONG_TO_POSTGRESQL = frozenset(
    {"0A", "21", "22", "23", "2B", "2F", "38", "39", "3F", "42", "44"}
)
# ERROR, CONSTRAINT, MISMATCH, MISUSE, RANGE.
_WRONG_TO_SQLITE = frozenset({1, 19, 20, 21, 25})

# After these the connection may fail for ever, and a new one do well: it was opened
# while the file, or the server, was read-only, or the file is another by now.
# READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB; read_only_sql_transaction.
_SPOILING_SQLITE = frozenset({8, 10, 11, 14, 26})
_SPOILING_POSTGRESQL = frozenset({"25006"})


def refusal(error: SQLAlchemyError, *, proven: bool) -> StoreFault | StoreUnavailable:
    """Return what to raise for a failure, after it was logged.

    Args:
        error: What was raised; nothing of its text is repeated.
        proven: Whether a call succeeded before: what worked is an outage now.
    """
    fault = find_fault(error)
    if fault is not None and not proven:
        return StoreFault(fault)
    if fault is None and _is_wrong(error):
        return StoreFault(_REJECTED.format(_reason(error)))
    _log.warning("the store is unavailable: %s", fault or _reason(error))
    return StoreUnavailable()


def spoils_connection(error: SQLAlchemyError) -> bool:
    """Say whether to ask on another connection from now on."""
    number, state = _codes(error)
    return number in _SPOILING_SQLITE or state in _SPOILING_POSTGRESQL


def find_fault(error: SQLAlchemyError) -> str | None:
    """Return what is wrong with the set-up, None if nothing need be."""
    cause = getattr(error, "orig", None)
    number, state = _codes(error)
    if number is not None:
        if str(cause).startswith(("no such table", "no such column")):
            return _TABLELESS
        return _OF_SQLITE.get(number)
    if state is None:
        return _REFUSED if _REFUSAL.search(str(cause)) else None
    return _OF_POSTGRESQL.get(state, _OF_POSTGRESQL.get(state[:2]))


def _is_wrong(error: SQLAlchemyError) -> bool:
    """Say whether the database takes what was asked for wrong."""
    number, state = _codes(error)
    return number in _WRONG_TO_SQLITE or (state or "")[:2] in _WRONG_TO_POSTGRESQL


def _codes(error: SQLAlchemyError) -> tuple[int | None, str | None]:
    """Return the primary code of SQLite and the SQLSTATE, whichever there is."""
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlite_errorcode", None)
    number = code & 0xFF if isinstance(code, int) else None
    return number, getattr(cause, "sqlstate", None)


def _reason(error: SQLAlchemyError) -> str:
    """Return the reason for the log: names and codes, none of what was asked."""
    cause = getattr(error, "orig", None) or error
    for name in ("sqlstate", "sqlite_errorname"):
        code = getattr(cause, name, None)
        if code:
            return f"{type(cause).__name__} {code}"
    return type(cause).__name__
