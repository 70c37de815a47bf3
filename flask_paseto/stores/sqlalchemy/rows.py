"""A session as a row of its table, and back."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row

from ..damage import intact, note_damage, texts
from ..values import Issued, Session, Verdict

ISSUED = (
    "jti",
    "issued_at",
    "issued_expires_at",
    "access_jti",
    "access_expires_at",
    "scopes",
    "audience",
    "data",
)


def write_issued(issued: Issued | None) -> dict[str, Any]:
    """Return the columns of what was issued last, all None if nothing was."""
    if issued is None:
        return dict.fromkeys(ISSUED)
    return {
        "jti": issued.jti,
        "issued_at": issued.issued_at,
        "issued_expires_at": issued.expires_at,
        "access_jti": issued.access_jti,
        "access_expires_at": issued.access_expires_at,
        "scopes": None if issued.scopes is None else json.dumps(issued.scopes),
        "audience": json.dumps(issued.audience) if issued.audience else None,
        "data": issued.data,
    }


def read_session(row: Row[Any]) -> Session | None:
    """Return the session of a row, None for a row that is damaged."""
    return intact(lambda: _read_session(row))


def _read_session(row: Row[Any]) -> Session:
    return Session(
        session_id=row.sid,
        subject=row.subject,
        idle=row.idle_expires_at - row.used_at,
        lifetime=row.expires_at - row.opened_at,
        issued=_read_issued(row),
        auth_time=row.auth_time,
        client=row.client,
        address=row.address,
        opened_at=row.opened_at,
        used_at=row.used_at,
        idle_expires_at=row.idle_expires_at,
        expires_at=row.expires_at,
        previous_jti=row.previous_jti,
        rotated_at=row.rotated_at,
        revoked_at=row.revoked_at,
        reason=row.reason,
    )


def read_standing(row: Row[Any]) -> Verdict:
    """Return what a look-up of a token says: LIVE, or why not."""
    now: int = row.now
    if row.revoked_jti is not None:
        return Verdict.REVOKED
    if row.sid is None:
        return Verdict.MISSING
    if row.revoked_at is not None:
        return Verdict.REVOKED
    ends = row.idle_expires_at, row.expires_at
    if not all(type(end) is int for end in ends):  # SQLite takes any value
        return note_damage()
    return Verdict.EXPIRED if min(ends) <= now else Verdict.LIVE


def _read_issued(row: Row[Any]) -> Issued | None:
    if row.jti is None:
        return None
    return Issued(
        jti=row.jti,
        issued_at=row.issued_at,
        expires_at=row.issued_expires_at,
        access_jti=row.access_jti,
        access_expires_at=row.access_expires_at,
        scopes=None if row.scopes is None else texts(row.scopes),
        audience=texts(row.audience) if row.audience else (),
        data=row.data,
    )
