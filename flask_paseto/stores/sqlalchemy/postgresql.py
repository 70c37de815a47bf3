"""`postgresql+psycopg://`: each call is one statement, and the server decides.

What a rotation decides is a statement of several parts and no function on the server,
so that the tables are all that a release has to bring up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from .. import rules
from ..values import Answer, Issued, Session, TokenRef, Verdict
from . import schema, swap
from .calls import Caller
from .rows import read_session, write_issued
from .statements import Statements
from .store import UPKEEP, SqlStore

_T = TypeVar("_T")

# Two that make the tables at once would trip over each other.
_LOCK = text("SELECT pg_advisory_xact_lock(5714270138912345678)")
_PATIENCE = text(f"SET LOCAL statement_timeout = '{UPKEEP}s'")
_SETTINGS = text(
    "SELECT name FROM pg_settings "
    "WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off' ORDER BY name"
)
_FORGETS = (
    "{} is off, so a crash may take back what was revoked just before: set it to on"
)


class PostgresqlStore(SqlStore):
    """Sessions and revocations on PostgreSQL.

    Args:
        caller: Gives the connections.
    """

    def __init__(self, caller: Caller) -> None:
        statements = Statements(swap.NOW, insert)
        super().__init__(caller, statements)
        self._consume = swap.build_consume()
        self._check_refresh = swap.build_check_refresh()
        self._revoke_subject = swap.build_revoke_subject(statements)

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        return self._caller.run(work)

    def _time(self) -> dict[str, int]:
        return {}

    def check_refresh(self, token: TokenRef, *, grace: int) -> Answer:
        """Say what a refresh token is to its session; one that is reused ends it."""
        found = token.session_id and self._swap(
            self._check_refresh,
            sid=token.session_id,
            subject=token.subject,
            jti=token.jti,
            proposed=None,
            grace=grace,
            otherwise=Verdict.REUSED.value,
        )
        if not found:
            verdict = self.check_token(token)
            damaged = token.session_id is not None and verdict is Verdict.LIVE
            return Answer(Verdict.MISSING if damaged else verdict)
        row, before, verdict = found
        if verdict is Verdict.CURRENT:
            return Answer(verdict, rules.touched(before, row.now))
        return _answer(verdict, before, row.now)

    def consume(
        self,
        session_id: str,
        jti: str,
        successor: Issued,
        *,
        grace: int,
        punish: bool = True,
    ) -> Answer:
        """Swap the current refresh token for its successor."""
        if successor.jti == jti:
            raise ValueError("successor must not be the token itself")
        new = {f"new_{key}": value for key, value in write_issued(successor).items()}
        found = self._swap(
            self._consume,
            sid=session_id,
            jti=jti,
            proposed=successor.jti,
            grace=grace,
            otherwise=(Verdict.REUSED if punish else Verdict.STALE).value,
            **new,
        )
        if not found:
            return Answer(Verdict.MISSING)
        row, before, verdict = found
        if verdict is Verdict.CURRENT:
            return Answer(Verdict.WON, rules.rotated(before, successor, row.now))
        if verdict is Verdict.PREVIOUS:
            return Answer(Verdict.RETRY, before)
        return _answer(verdict, before, row.now)

    def _swap(
        self, statement: Select[Any], **values: Any
    ) -> tuple[Row[Any], Session, Verdict] | None:
        """Return the row before, and the verdict that changed it or did not.

        None if there is no such row, or just a damaged one.
        """

        def work(connection: Connection) -> tuple[Row[Any], Session, Verdict] | None:
            found = self._ask(connection, statement, **values)
            if not found:
                return None
            row, verdict = found[0], Verdict(found[0].verdict)
            if row.changed != (verdict in {Verdict.CURRENT, Verdict.REUSED}):
                raise SQLAlchemyError("the row was not changed as it was judged")
            before = read_session(row)
            return None if before is None else (row, before, verdict)

        return self._write(work)

    def revoke_subject(
        self,
        subject: str,
        *,
        reason: str,
        cut_off: int,
        until: int | None,
        except_session: str | None = None,
    ) -> int:
        """End all sessions of a subject, or all but one; give how many."""
        found = self._write(
            lambda on: self._ask(
                on,
                self._revoke_subject,
                subject=subject,
                reason=reason,
                cut_off=cut_off,
                until=until,
                except_session=except_session,
            )
        )
        count: int = found[0][0]
        return count

    def create(self) -> None:
        """Make the tables, or bring them up to date."""

        def work(connection: Connection) -> None:
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                connection.execute(_PATIENCE)
                connection.execute(_LOCK)
                schema.make_tables(connection)

        self._caller.run(work, seconds=UPKEEP, unchecked=True)

    def _find_faults(self, connection: Connection) -> tuple[str, ...]:
        return tuple(_FORGETS.format(row.name) for row in connection.execute(_SETTINGS))


def _answer(verdict: Verdict, before: Session, now: int) -> Answer:
    after = rules.revoked(before, now) if verdict is Verdict.REUSED else before
    return Answer(verdict, after)
