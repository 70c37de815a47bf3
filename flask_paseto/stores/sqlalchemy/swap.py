"""The swap of a session's row on PostgreSQL, in one statement.

::

    WITH old     AS (SELECT the row ... FOR UPDATE),      waits for those before us
         seen    AS (SELECT old.*, the time from now on),
         judged  AS (SELECT seen.*, the verdict),
         used    AS (UPDATE ... WHERE verdict = 'current'),
         ended   AS (UPDATE ... WHERE verdict = 'reused')
    SELECT judged.*, whether one of the two changed the row

At READ COMMITTED a row that was locked is read as it is by then, so the verdict and
the change see the same row, and nobody comes between. Reading it and changing it in
two statements would be one more round trip with the lock held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)

from ..values import REUSED, Verdict
from .rows import ISSUED
from .schema import sessions, tokens
from .statements import Statements, columns, micros, name

# The server's clock when it is asked: the transaction's time is from before the wait
# for a lock, when the one who held it had not rotated yet.
NOW: ColumnElement[int] = literal_column(
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", BigInteger
)


def build_consume() -> Select[Any]:
    """Return the statement that swaps a refresh token for its successor."""

    def use(judged: CTE) -> dict[str, Any]:
        return {
            "previous_jti": judged.c.jti,
            "rotated_at": judged.c.now,
            **columns(*ISSUED, prefix="new_"),
        }

    return _swap(sessions.c.sid == name("sid"), revoked=false(), use=use)


def build_check_refresh() -> Select[Any]:
    """Return the statement that says what a refresh token is to its session."""
    revoked = exists().where(
        tokens.c.jti == name("jti"),
        or_(tokens.c.until.is_(None), tokens.c.until > NOW),
    )
    found = and_(sessions.c.sid == name("sid"), sessions.c.subject == name("subject"))
    return _swap(found, revoked=revoked, use=lambda _: {})


def build_revoke_subject(statements: Statements) -> Select[Any]:
    """Return the statement that sets a cut-off and ends the sessions of a subject.

    The cut-off comes first: of two that do this at once, one waits there, and not
    with some of the sessions locked that the other wants.
    """
    cut = statements.cut_off.cte("cut")
    ended = (
        update(sessions)
        .where(
            sessions.c.subject == cut.c.subject,
            sessions.c.sid.is_distinct_from(name("except_session")),
            statements.live,
        )
        .values(revoked_at=cut.c.at, reason=name("reason"))
        .returning(sessions.c.sid)
        .cte("ended")
    )
    return select(func.count()).select_from(ended)


def _swap(
    found: ColumnElement[bool],
    *,
    revoked: ColumnElement[bool],
    use: Callable[[CTE], dict[str, Any]],
) -> Select[Any]:
    old = select(sessions).where(found).with_for_update().cte("old")
    seen = select(old, NOW.label("now")).cte("seen")
    judged = select(seen, _judge(seen, revoked).label("verdict")).cte("judged")
    row, now = judged.c, judged.c.now
    touched = {
        "used_at": now,
        "idle_expires_at": now + (row.idle_expires_at - row.used_at),
    }
    used = _change(judged, Verdict.CURRENT, {**touched, **use(judged)}, "used")
    ended = _change(
        judged, Verdict.REUSED, {"revoked_at": now, "reason": REUSED}, "ended"
    )
    changed = func.coalesce(used.c.sid, ended.c.sid).is_not(None)
    return select(judged, changed.label("changed")).select_from(
        judged.outerjoin(used, used.c.sid == row.sid).outerjoin(
            ended, ended.c.sid == row.sid
        )
    )


def _judge(row: CTE, revoked: ColumnElement[bool]) -> ColumnElement[str]:
    """Return the verdict on a row, as `rules.standing` and `rules.place` have it.

    The parameter `otherwise` is what reuse is called: STALE then ends nothing.
    """
    now = row.c.now
    ended = or_(row.c.idle_expires_at <= now, row.c.expires_at <= now)
    in_time = func.greatest(now - row.c.rotated_at, 0) < micros("grace")
    previous = and_(
        row.c.previous_jti == name("jti"), or_(in_time, row.c.jti == name("proposed"))
    )
    return case(
        (or_(revoked, row.c.revoked_at.is_not(None)), Verdict.REVOKED.value),
        (ended, Verdict.EXPIRED.value),
        (row.c.jti.is_(None), name("otherwise")),
        (row.c.jti == name("jti"), Verdict.CURRENT.value),
        (previous, Verdict.PREVIOUS.value),
        else_=name("otherwise"),
    )


def _change(judged: CTE, verdict: Verdict, values: dict[str, Any], title: str) -> CTE:
    return (
        update(sessions)
        .where(sessions.c.sid == judged.c.sid, judged.c.verdict == verdict.value)
        .values(values)
        .returning(sessions.c.sid)
        .cte(title)
    )
