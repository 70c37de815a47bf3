"""Rows that no store wrote as they are: they refuse, and the log tells of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from .values import Session, Verdict, moment

_log = logging.getLogger("flask_paseto")


def intact(read: Callable[[], Session]) -> Session | None:
    """Return the session that `read` makes of a row, None if the row is damaged.

    What is damaged counts as missing: of a half that can be read nobody knows
    whether the other half would have refused.
    """
    try:
        row = read()
        _refuse_others(row)
    # What stands there may be anything: a text for a time, JSON without an end.
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        note_damage()
        return None
    return row


def note_damage() -> Verdict:
    """Tell of a damaged row, whose it is stays unsaid; give what it counts as."""
    _log.error(
        "a row in the store is damaged: it refuses like one that is missing, and a "
        "new login opens another"
    )
    return Verdict.MISSING


def texts(found: Any) -> tuple[str, ...]:
    """Return a list of texts from JSON.

    Raises:
        ValueError: It is something else.
    """
    read = json.loads(found) if isinstance(found, str | bytes) else found
    if not isinstance(read, list) or not all(isinstance(each, str) for each in read):
        raise ValueError("no list of texts")
    return tuple(read)


def _refuse_others(row: Session) -> None:
    """Refuse a row with something in a field that does not belong there.

    Raises:
        ValueError, OverflowError: There is.
    """
    words: list[Any] = [row.session_id, row.subject, row.client, row.address]
    words += [row.reason, row.previous_jti or ""]
    times: list[Any] = [row.opened_at, row.used_at, row.idle_expires_at, row.expires_at]
    times += [row.auth_time or 0, row.rotated_at or 0, row.revoked_at or 0]
    if (step := row.issued) is not None:
        words += [step.jti, step.access_jti or "", step.data]
        times += [step.issued_at, step.expires_at or 0, step.access_expires_at or 0]
    if not all(isinstance(each, str) for each in words):
        raise ValueError("no text")
    if not all(type(each) is int for each in times):
        raise ValueError("no time")
    for each in times:
        moment(each)  # a date that there is
