"""How far a pull of changes has come, and what one part of it asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    Subquery,
    and_,
    case,
    cast,
    literal,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from ..values import MARGIN, OVERLAP, Changes, CutOff, Revoked
from .schema import Name, cut_offs, schema, sessions, tokens
from .statements import Statements, micros, name

_T = TypeVar("_T")

# How many entries one part has at most.
PART = 2000

# Beyond all times that a store writes.
_NEVER = 2**62

_TOKENS, _SESSIONS, _CUT_OFFS = range(3)
_BEGINNING = _TOKENS - 1
_END = _CUT_OFFS + 1

_DONE = re.compile(r"([0-9a-f]{16}):([0-9]{1,18})")
_UNDER_WAY = re.compile(
    r"([0-9a-f]{16}):([0-9]{1,18}):([0-9]{1,18}):([0-2]):(.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How far a pull has come: entries are told by time, then kind, then id.

    Attributes:
        incarnation: That of the store when it began, empty before that.
        began: When it began, by the store's clock, None before that.
        at: The time of the last entry that was told.
        kind: Its kind.
        id: Its `jti`, `sid` or subject.
    """

    incarnation: str = ""
    began: int | None = None
    at: int = -1
    kind: int = _BEGINNING
    id: str = ""


def read_cursor(cursor: str | None) -> Pull:
    """Return the pull that a cursor goes on with, a new one if it is none of ours."""
    found = _DONE.fullmatch(cursor or "")
    if found:
        # Just before the overlap; all kinds at its first moment are told.
        return Pull(incarnation=found[1], at=int(found[2]) - OVERLAP - 1, kind=_END)
    found = _UNDER_WAY.fullmatch(cursor or "")
    if found is None:
        return Pull()
    return Pull(
        incarnation=found[1],
        began=int(found[2]),
        at=int(found[3]),
        kind=int(found[4]),
        id=found[5],
    )


def build_pull(statements: Statements) -> Select[Any]:
    """Return the statement of one part: the incarnation and the time with each entry.

    Each table is asked for a part of its own, by the index on its times.
    """
    clock, nothing = statements.clock, cast(null(), BigInteger)
    recent = sessions.c.revoked_at > statements.now - micros("horizon")
    arms = (
        _arm(_TOKENS, tokens, tokens.c.jti, tokens.c.at, tokens.c.until, nothing),
        _arm(
            _SESSIONS,
            sessions,
            sessions.c.sid,
            sessions.c.revoked_at,
            # A text in its place, which SQLite takes, is larger than any number: what
            # is damaged is revoked for ever.
            case(
                (sessions.c.expires_at > _NEVER, null()),
                else_=sessions.c.expires_at + MARGIN,
            ),
            nothing,
            recent,
        ),
        _arm(
            _CUT_OFFS,
            cut_offs,
            cut_offs.c.subject,
            cut_offs.c.at,
            cut_offs.c.until,
            cut_offs.c.cut_off,
        ),
    )
    told = union_all(*(select(arm) for arm in arms)).subquery("told")
    lasting = or_(told.c.until.is_(None), told.c.until > clock.c.now)
    return (
        select(schema.c.incarnation, clock.c.now, lasting.label("lasts"), told)
        .select_from(
            schema.join(clock, schema.c.id == 1).outerjoin(told, schema.c.id == 1)
        )
        .order_by(told.c.at, told.c.kind, told.c.id)
        .limit(PART)
    )


def read_part(pull: Pull, rows: Sequence[Row[Any]]) -> Changes:
    """Return what the rows of a part tell, and the cursor that goes on from there."""
    incarnation: str = rows[0].incarnation
    began: int = rows[0].now if pull.began is None else pull.began
    last = rows[-1]
    more = len(rows) == PART
    place = f":{last.at}:{last.kind}:{last.id}" if more else ""
    told = [row for row in rows if row.kind is not None and row.lasts]
    return Changes(
        cursor=f"{incarnation}:{began}{place}",
        reload=pull.at < 0,
        more=more,
        tokens=tuple(_revoked(row) for row in told if row.kind == _TOKENS),
        sessions=tuple(_revoked(row) for row in told if row.kind == _SESSIONS),
        cut_offs=tuple(_cut_off(row) for row in told if row.kind == _CUT_OFFS),
    )


def _arm(
    kind: int,
    table: Any,
    id: ColumnElement[str],
    at: ColumnElement[Any],
    until: ColumnElement[Any],
    cut_off: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> Subquery:
    this = literal(kind, Integer)
    later_id = and_(this == micros("kind"), id > name("id"))
    here = and_(at == micros("at"), or_(this > micros("kind"), later_id))
    return (
        select(
            this.label("kind"),
            type_coerce(id, Name()).label("id"),
            at.label("at"),
            until.label("until"),
            cut_off.label("cut_off"),
            table.c.reason.label("reason"),
        )
        .where(at >= micros("at"), or_(at > micros("at"), here), *conditions)
        .order_by(at, id)
        .limit(PART)
        .subquery()
    )


def _revoked(row: Row[Any]) -> Revoked:
    at, until = _time(row.at, row.now), _time(row.until, None)
    return Revoked(id=row.id, at=at, until=until, reason=row.reason)


def _cut_off(row: Row[Any]) -> CutOff:
    return CutOff(
        subject=row.id,
        cut_off=_time(row.cut_off, row.now),
        at=_time(row.at, row.now),
        until=_time(row.until, None),
        reason=row.reason,
    )


def _time(found: Any, otherwise: _T) -> int | _T:
    """Return a time; SQLite takes any value, and what is damaged refuses on."""
    return found if type(found) is int else otherwise
