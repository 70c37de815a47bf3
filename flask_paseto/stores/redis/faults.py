"""What a failure of a server means: not now, or never with this set-up."""

from __future__ import annotations

import logging

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from ...errors import StoreFault, StoreUnavailable
from .connections import Evicts, Mixed, NotAcknowledged, Pool, keeps_all
from .lua import LOST

_log = logging.getLogger("flask_paseto")

EVICTS = (
    "the server may evict what it was told to keep, revocations too: set its "
    "maxmemory-policy to noeviction"
)
MARKERLESS = (
    "the server lost data or is new, there is no marker of the incarnation: run "
    "'flask paseto store init' once you know that what was revoked may be forgotten"
)

MIXED = (
    "the markers of the incarnation differ, 'flask paseto store init' may have been "
    "interrupted: run it again"
)
FORGETS = (
    "appendonly is off, so after a crash the server takes again what was revoked "
    "since its last snapshot: set appendonly to yes"
)
FOREIGN = (
    "what a script of ours found under 'fp:' is not from us: give the app a database, "
    "or a server, of its own"
)
REPLICA = "the server is a replica: name its master in PASETO_STORE"

# Answers of a server that is well and cannot serve now; all others that are errors
# say that it will not serve us at all.
_PASSING = (
    AskError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_PASSING_TEXTS = (
    LOST,
    "BUSY ",
    "MISCONF ",
    "NOREPLICAS ",
    "UNBLOCKED ",
    "Script attempted to access a non local key",  # the slot was moved just then
)


def refusal(error: Exception, *, proven: bool) -> StoreFault | StoreUnavailable:
    """Return what to raise for a failure, after it was logged.

    Args:
        error: What the driver raised.
        proven: Whether a call succeeded before: what worked is an outage now.
    """
    fault = FOREIGN if _is_of_data(error) else None
    if fault is None and not proven:
        fault = _fault(error)
    if fault is not None:
        return StoreFault(fault)
    _log.warning("the store is unavailable: %s", _reason(error))
    return StoreUnavailable()


def find_faults(pool: Pool) -> list[str]:
    """Return what is wrong with the settings of a server."""
    sections = (b"memory", b"persistence", b"replication")
    found = b"".join(pool.ask([(b"INFO", section) for section in sections]))
    faults = {
        EVICTS: not keeps_all(found),
        FORGETS: b"aof_enabled:0" in found,
        REPLICA: b"role:master" not in found,
    }
    return [fault for fault, there in faults.items() if there]


def _is_of_data(error: Exception) -> bool:
    """Say whether a script failed of what it found.

    That is no outage, which passes, and may let tokens in where that is allowed.
    """
    if not isinstance(error, ResponseError):
        return False
    if isinstance(error, (*_PASSING, NoPermissionError)):
        return False
    text = str(error)
    return "on @user_script" in text and not text.startswith(_PASSING_TEXTS)


def _fault(error: Exception) -> str | None:
    """Return what is wrong with the set-up, None if nothing need be."""
    if isinstance(error, Evicts):
        return EVICTS
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "the server wants another user or password: correct them in the URL"
    if isinstance(error, NoPermissionError):
        return "the user lacks a permission: see the list of commands in the docs"
    if isinstance(error, MovedError):
        return "the server is one of a cluster: write '+cluster' in the URL"
    if isinstance(error, ResponseError) and not isinstance(error, _PASSING):
        return _fault_of_answer(str(error))
    return None


def _fault_of_answer(text: str) -> str | None:
    if text.startswith(_PASSING_TEXTS):
        return None
    if "cluster support disabled" in text:
        return "the server is none of a cluster: take '+cluster' out of the URL"
    if "DB index" in text:
        return "the server has no database of that number: correct it in the URL"
    return "the server refuses our scripts: it must be Valkey 7.2 or Redis 7, or later"


def _reason(error: Exception) -> str:
    """Return the reason for the log, without what was asked or answered."""
    if isinstance(error, Evicts):
        return EVICTS
    if isinstance(error, NotAcknowledged):
        return "too few replicas acknowledged what was written"
    if isinstance(error, ResponseError) and str(error).startswith(LOST):
        return MARKERLESS
    if isinstance(error, Mixed):
        return MIXED
    return type(error).__name__
