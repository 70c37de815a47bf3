"""What a store decides on the row of a session, without any store.

The memory store runs these functions; a store whose server decides in a script or a
statement of its own says the same, and the contract suite holds both to it.
"""

from __future__ import annotations

from dataclasses import replace

from .values import REUSED, Issued, NewSession, Session, Verdict


def opened(new: NewSession, now: int) -> Session:
    """Return the row of a session that is opened now."""
    return Session(
        session_id=new.session_id,
        subject=new.subject,
        idle=new.idle,
        lifetime=new.lifetime,
        issued=new.issued,
        auth_time=new.auth_time,
        client=new.client,
        address=new.address,
        opened_at=now,
        used_at=now,
        idle_expires_at=now + new.idle,
        expires_at=now + new.lifetime,
    )


def standing(row: Session | None, now: int) -> Verdict:
    """Say whether a session lives: LIVE, or why not."""
    if row is None:
        return Verdict.MISSING
    if row.revoked_at is not None:
        return Verdict.REVOKED
    return Verdict.EXPIRED if row.ends_at <= now else Verdict.LIVE


def place(
    row: Session, jti: str, now: int, *, grace: int, proposed: str | None = None
) -> Verdict:
    """Say what a refresh token is to a session that lives.

    CURRENT; PREVIOUS if it is the one before and either what is proposed for it has
    been committed already, which is our own repetition of a call whose answer was
    lost, or the grace is not over; otherwise REUSED.
    """
    if row.issued is None:
        return Verdict.REUSED
    if jti == row.issued.jti:
        return Verdict.CURRENT
    if jti != row.previous_jti or row.rotated_at is None:
        return Verdict.REUSED
    # A clock that was set back must not make a grace of what was to have none.
    in_time = max(0, now - row.rotated_at) < grace
    return Verdict.PREVIOUS if in_time or proposed == row.issued.jti else Verdict.REUSED


def touched(row: Session, now: int) -> Session:
    """Return the row after a refresh token of it was used."""
    return replace(row, used_at=now, idle_expires_at=now + row.idle)


def rotated(row: Session, successor: Issued, now: int) -> Session:
    """Return the row after its current refresh token was consumed."""
    previous = None if row.issued is None else row.issued.jti
    after = touched(row, now)
    return replace(after, issued=successor, previous_jti=previous, rotated_at=now)


def revoked(row: Session, now: int, reason: str = REUSED) -> Session:
    """Return the row of a session that lived after it was revoked."""
    return replace(row, revoked_at=now, reason=reason)
