"""What the stores of both databases have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from secrets import randbelow
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ConfigurationError
from ..values import USED, Changes, Issued, NewSession, Session, TokenRef, Verdict
from . import changes, schema
from .calls import Caller
from .faults import find_fault
from .rows import read_session, read_standing, write_issued
from .statements import Statements, params

_T = TypeVar("_T")
_Work = Callable[[Connection], _T]

# How many rows one statement of a purge looks at.
PART = 1000
# How long making the tables may take, in seconds.
UPKEEP = 60


class SqlStore:
    """Sessions and revocations in the tables of a database.

    Args:
        caller: Gives the connections.
        statements: What is asked.
    """

    def __init__(self, caller: Caller, statements: Statements) -> None:
        self._caller = caller
        self._statements = statements
        self._pull = changes.build_pull(statements)

    @abstractmethod
    def _write(self, work: _Work[_T]) -> _T:
        """Return what `work` does; all that it writes is there then, or nothing."""

    @abstractmethod
    def _time(self) -> dict[str, int]:
        """Return the parameter with the time, if the database has no clock."""

    def _ask(
        self, connection: Connection, statement: Executable, **values: Any
    ) -> list[Row[Any]]:
        found = connection.execute(statement, {**params(values), **self._time()})
        return list(found)

    def _changes_row(self, statement: Executable, **values: Any) -> bool:
        """Run what returns the row that it changed, and say whether there was one."""
        return bool(self._write(lambda on: self._ask(on, statement, **values)))

    def open_session(self, session: NewSession) -> bool:
        """Open a session unless its `sid` is taken."""
        return self._changes_row(
            self._statements.open_session,
            sid=session.session_id,
            subject=session.subject,
            idle=session.idle,
            lifetime=session.lifetime,
            auth_time=session.auth_time,
            client=session.client,
            address=session.address,
            reason="",
            **write_issued(session.issued),
        )

    def attach(self, session_id: str, issued: Issued) -> bool:
        """Give a live session its first refresh token."""
        return self._changes_row(
            self._statements.attach, sid=session_id, **write_issued(issued)
        )

    def check_token(self, token: TokenRef) -> Verdict:
        """Say whether a token, its session or its subject is revoked."""
        return self._caller.run(lambda on: self._standing(on, token))

    def _standing(self, connection: Connection, token: TokenRef) -> Verdict:
        asked = {"token": token.jti, "subject": token.subject}
        if token.session_id is not None:
            statement = self._statements.check_session
            (row,) = self._ask(connection, statement, sid=token.session_id, **asked)
            return read_standing(row)
        statement = self._statements.check_single
        (row,) = self._ask(connection, statement, issued_at=token.issued_at, **asked)
        revoked = row.jti is not None or row.subject is not None
        return Verdict.REVOKED if revoked else Verdict.LIVE

    def consume_token(self, jti: str, *, until: int | None) -> bool:
        """Use up a one-use token; True for the first only."""
        return self.revoke_token(jti, reason=USED, until=until)

    def revoke_token(self, jti: str, *, reason: str, until: int | None) -> bool:
        """Refuse a token until then."""
        call = randbelow(2**63)
        found = self._write(
            lambda on: self._ask(
                on,
                self._statements.revoke_token,
                jti=jti,
                until=until,
                call=call,
                reason=reason,
            )
        )
        return [row.call for row in found] == [call]

    def revoke_session(self, session_id: str, *, reason: str) -> bool:
        """End a session with all its tokens."""
        return self._changes_row(
            self._statements.revoke_session, sid=session_id, reason=reason
        )

    def session(self, session_id: str) -> Session | None:
        """Return the row of a session."""
        found = self._caller.run(
            lambda on: self._ask(on, self._statements.session, sid=session_id)
        )
        return read_session(found[0]) if found else None

    def list_sessions(self, subject: str) -> tuple[Session, ...]:
        """Return the live sessions of a subject, the one opened last first."""
        found = self._caller.run(
            lambda on: self._ask(on, self._statements.list_sessions, subject=subject)
        )
        rows = (read_session(row) for row in found)
        return tuple(row for row in rows if row is not None)

    def changes(self, since: str | None, *, horizon: int) -> Changes:
        """Return what was revoked since a cursor, or everything, in parts."""

        def work(connection: Connection) -> Changes:
            pull = changes.read_cursor(since)
            while True:
                rows = self._ask(
                    connection,
                    self._pull,
                    horizon=horizon,
                    at=pull.at,
                    kind=pull.kind,
                    id=pull.id,
                )
                if not rows:
                    raise SQLAlchemyError("there is no incarnation")
                if pull.at < 0 or rows[0].incarnation == pull.incarnation:
                    return changes.read_part(pull, rows)
                pull = changes.Pull()  # from the beginning

        return self._caller.run(work)

    def purge(self) -> int:
        """Remove what has ended, a part of a table at a time; give how much."""
        removed = 0
        for find_end, remove in self._statements.purge:
            after: str | None = ""
            while after is not None:
                count, after = self._purge(find_end, remove, after)
                removed += count
        return removed

    def _purge(
        self, find_end: Executable, remove: Executable, after: str
    ) -> tuple[int, str | None]:
        def work(connection: Connection) -> tuple[int, str | None]:
            found = self._ask(connection, find_end, after=after, part=PART)
            last = found[0][0] if found else None
            asked = {**params({"after": after, "last": last}), **self._time()}
            return connection.execute(remove, asked).rowcount, last

        return self._write(work)

    def check(self) -> tuple[str, ...]:
        """Say what is wrong with the tables or the settings of the database."""

        def work(connection: Connection) -> tuple[str, ...]:
            try:
                fault = schema.find_fault(schema.find_version(connection))
            except SQLAlchemyError as error:
                fault = find_fault(error)
                if fault is None:
                    raise
            return (fault,) if fault is not None else self._find_faults(connection)

        try:
            return self._caller.run(work, unchecked=True)
        except ConfigurationError as refused:
            return (str(refused),)

    @abstractmethod
    def _find_faults(self, connection: Connection) -> tuple[str, ...]:
        """Return what is wrong with the settings of the database."""

    def close(self) -> None:
        """Give up the connections of this process."""
        self._caller.close()
