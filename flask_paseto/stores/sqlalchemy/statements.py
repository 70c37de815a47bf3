"""The statements that both databases understand, each one round trip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    Table,
    and_,
    bindparam,
    case,
    delete,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.sql.dml import ReturningInsert

from ..values import MARGIN
from .rows import ISSUED
from .schema import Name, cut_offs, sessions, tokens

Insert = Callable[[Table], PostgresqlInsert | SqliteInsert]


def name(key: str) -> BindParameter[str]:
    """Return a parameter that is a text, to be given by `params`."""
    return bindparam(f"p_{key}", type_=Name())


def micros(key: str) -> BindParameter[int]:
    """Return a parameter that is a number, to be given by `params`."""
    return bindparam(f"p_{key}", type_=BigInteger())


def params(values: dict[str, Any]) -> dict[str, Any]:
    """Return values by the names of their parameters: never those of columns."""
    return {f"p_{key}": value for key, value in values.items()}


def columns(*keys: str, prefix: str = "") -> dict[str, BindParameter[Any]]:
    """Return parameters for columns of a session, by column."""
    return {
        key: bindparam(f"p_{prefix}{key}", type_=sessions.c[key].type) for key in keys
    }


class Statements:
    """What a store asks, with the clock and the upsert of its database.

    Args:
        now: The time, evaluated once in each statement that selects `clock`.
        insert: The database's own insert.
    """

    clock: CTE
    live: ColumnElement[bool]
    token: ColumnElement[bool]
    open_session: Executable
    attach: Executable
    check_session: Executable
    check_single: Executable
    session: Executable
    list_sessions: Executable
    revoke_session: Executable
    revoke_token: Executable
    cut_off: ReturningInsert[Any]
    purge: tuple[tuple[Executable, Executable], ...]

    def __init__(self, now: ColumnElement[int], insert: Insert) -> None:
        self.now = now
        self.insert = insert
        self.clock = select(now.label("now")).cte("clock")
        self.live = and_(
            sessions.c.revoked_at.is_(None),
            sessions.c.idle_expires_at > now,
            sessions.c.expires_at > now,
        )
        self.token = and_(
            tokens.c.jti == name("token"),
            or_(tokens.c.until.is_(None), tokens.c.until > self.clock.c.now),
        )
        self._opening()
        self._looking_up()
        self._revoking()
        self._purging()

    def _opening(self) -> None:
        now = self.clock.c.now
        row: dict[str, Any] = {
            "sid": name("sid"),
            "subject": name("subject"),
            "opened_at": now,
            "used_at": now,
            "idle_expires_at": now + micros("idle"),
            "expires_at": now + micros("lifetime"),
            "auth_time": micros("auth_time"),
            "client": name("client"),
            "address": name("address"),
            "reason": name("reason"),
            **columns(*ISSUED),
        }
        self.open_session = (
            self.insert(sessions)
            .from_select(list(row), select(*row.values()).where(true()))
            .on_conflict_do_nothing(index_elements=["sid"])
            .returning(sessions.c.sid)
        )
        unissued = or_(sessions.c.jti.is_(None), sessions.c.jti == name("jti"))
        self.attach = (
            update(sessions)
            .where(sessions.c.sid == name("sid"), self.live, unissued)
            .values(columns(*ISSUED))
            .returning(sessions.c.sid)
        )

    def _looking_up(self) -> None:
        clock = self.clock
        session = and_(
            sessions.c.sid == name("sid"), sessions.c.subject == name("subject")
        )
        self.check_session = select(
            clock.c.now,
            tokens.c.jti.label("revoked_jti"),
            sessions.c.sid,
            sessions.c.revoked_at,
            sessions.c.idle_expires_at,
            sessions.c.expires_at,
        ).select_from(clock.outerjoin(tokens, self.token).outerjoin(sessions, session))
        cut = and_(
            cut_offs.c.subject == name("subject"),
            cut_offs.c.cut_off >= micros("issued_at"),
            or_(cut_offs.c.until.is_(None), cut_offs.c.until > clock.c.now),
        )
        self.check_single = select(tokens.c.jti, cut_offs.c.subject).select_from(
            clock.outerjoin(tokens, self.token).outerjoin(cut_offs, cut)
        )
        self.session = select(sessions).where(sessions.c.sid == name("sid"))
        self.list_sessions = (
            select(sessions)
            .where(sessions.c.subject == name("subject"), self.live)
            .order_by(sessions.c.opened_at.desc())
        )

    def _revoking(self) -> None:
        self.revoke_session = (
            update(sessions)
            .where(sessions.c.sid == name("sid"), self.live)
            .values(revoked_at=self.now, reason=name("reason"))
            .returning(sessions.c.sid)
        )
        self.revoke_token = self._upsert_token()
        self.cut_off = self._upsert_cut_off()

    def _upsert_token(self) -> Any:
        """Revoke a token, or put its end off; `call` comes back to who revoked it."""
        row: dict[str, Any] = {
            "jti": name("jti"),
            "at": self.clock.c.now,
            "until": micros("until"),
            "call": micros("call"),
            "reason": name("reason"),
        }
        ahead = or_(micros("until").is_(None), micros("until") > self.clock.c.now)
        insert = self.insert(tokens).from_select(
            list(row), select(*row.values()).where(ahead)
        )
        before, new = tokens.c, insert.excluded
        ended = and_(before.until.is_not(None), before.until <= new.at)
        longer = and_(
            before.until.is_not(None),
            or_(new.until.is_(None), new.until > before.until),
        )
        return insert.on_conflict_do_update(
            index_elements=["jti"],
            set_={
                "at": new.at,
                "until": new.until,
                "call": case((ended, new.call), else_=before.call),
                "reason": case((ended, new.reason), else_=before.reason),
            },
            where=or_(ended, longer),
        ).returning(tokens.c.call)

    def _upsert_cut_off(self) -> Any:
        now = self.clock.c.now
        row: dict[str, Any] = {
            "subject": name("subject"),
            "cut_off": case(
                (micros("cut_off") > now, micros("cut_off")),
                else_=now,
            ),
            "at": now,
            "until": micros("until"),
            "reason": name("reason"),
        }
        insert = self.insert(cut_offs).from_select(
            list(row), select(*row.values()).where(true())
        )
        before, new = cut_offs.c, insert.excluded
        endless = or_(before.until.is_(None), new.until.is_(None))
        return insert.on_conflict_do_update(
            index_elements=["subject"],
            set_={
                "cut_off": _later(before.cut_off, new.cut_off),
                "at": new.at,
                "until": case((endless, None), else_=_later(before.until, new.until)),
                "reason": new.reason,
            },
        ).returning(cut_offs.c.subject, cut_offs.c.at)

    def _purging(self) -> None:
        end = case(
            (sessions.c.revoked_at.is_not(None), sessions.c.expires_at),
            (
                sessions.c.idle_expires_at < sessions.c.expires_at,
                sessions.c.idle_expires_at,
            ),
            else_=sessions.c.expires_at,
        )
        ended = (
            (sessions, sessions.c.sid, end + MARGIN),
            (tokens, tokens.c.jti, tokens.c.until),
            (cut_offs, cut_offs.c.subject, cut_offs.c.until),
        )
        # For each table: where a part of it ends, and what removes that part.
        self.purge = tuple(
            (
                select(key)
                .where(key > name("after"))
                .order_by(key)
                .offset(micros("part"))
                .limit(1),
                delete(table).where(
                    key > name("after"),
                    or_(name("last").is_(None), key <= name("last")),
                    until <= self.now,
                ),
            )
            for table, key, until in ended
        )


def _later(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one > other, one), else_=other)
