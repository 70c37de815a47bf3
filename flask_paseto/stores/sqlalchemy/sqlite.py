"""`sqlite:///…`: a file, in which one process at a time writes.

Each call that writes is one transaction that begins by taking the lock for writing
(BEGIN IMMEDIATE), so what it read is still so when it writes. The time is that of the
machine: all who open the file are on it, and SQLite itself counts milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import uniform
from sqlite3 import SQLITE_BUSY
from time import sleep, time_ns
from typing import TypeVar

from sqlalchemy import Connection, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError, TimeoutError

from ...errors import ConfigurationError
from .. import rules
from ..values import Answer, Issued, Session, TokenRef, Verdict
from . import schema
from .calls import Caller
from .deadline import remaining
from .file import close_before_fork, make_file
from .rows import ISSUED, read_session, write_issued
from .schema import sessions
from .statements import Statements, columns, micros, name, params
from .store import UPKEEP, SqlStore

_T = TypeVar("_T")

# How long at most to wait before the lock for writing is asked for again, in seconds.
# SQLite itself naps for up to 100 ms: while another process writes all the time, the
# moments between its transactions would all be slept through.
_NAP = 0.004
_CHANGING = (
    "used_at",
    "idle_expires_at",
    "previous_jti",
    "rotated_at",
    "revoked_at",
    "reason",
)
_NO_WAL = (
    "the file has no write-ahead log, so readers and writers wait for each other: "
    "put it on a local disk and run 'flask paseto store init'"
)


class SqliteStore(SqlStore):
    """Sessions and revocations in a file.

    Args:
        caller: Gives the connections.
        path: The file.
    """

    def __init__(self, caller: Caller, path: str) -> None:
        statements = Statements(micros("now"), insert)
        super().__init__(caller, statements)
        self._path = path
        close_before_fork(caller)
        self._save = (
            update(sessions)
            .where(sessions.c.sid == name("sid"))
            .values(columns(*_CHANGING, *ISSUED))
        )
        self._end_all = (
            update(sessions)
            .where(
                sessions.c.subject == name("subject"),
                sessions.c.sid.is_distinct_from(name("except_session")),
                statements.live,
            )
            .values(revoked_at=micros("now"), reason=name("reason"))
            .returning(sessions.c.sid)
        )

    def _time(self) -> dict[str, int]:
        return params({"now": _now()})

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        def locked(connection: Connection) -> _T:
            writing = self._caller.process.writing
            # In a process the lock is handed on; another process has to ask again.
            if not writing.acquire(timeout=remaining()):
                raise TimeoutError("another thread writes")
            try:
                return _in_transaction(connection, work)
            finally:
                writing.release()

        return self._caller.run(locked)

    def check_refresh(self, token: TokenRef, *, grace: int) -> Answer:
        """Say what a refresh token is to its session; one that is reused ends it."""

        def work(connection: Connection) -> Answer:
            standing = self._standing(connection, token)
            row = self._find(connection, token.session_id, token.subject)
            if standing is not Verdict.LIVE:
                return Answer(standing, row)
            if row is None:
                return Answer(Verdict.MISSING)  # damaged
            now = _now()
            verdict = rules.place(row, token.jti, now, grace=grace)
            if verdict is Verdict.CURRENT:
                row = self._put(connection, rules.touched(row, now))
            elif verdict is Verdict.REUSED:
                row = self._put(connection, rules.revoked(row, now))
            return Answer(verdict, row)

        if token.session_id is None:
            return Answer(self.check_token(token))
        return self._write(work)

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

        def work(connection: Connection) -> Answer:
            row, now = self._find(connection, session_id), _now()
            standing = rules.standing(row, now)
            if row is None or standing is not Verdict.LIVE:
                return Answer(standing, row)
            found = rules.place(row, jti, now, grace=grace, proposed=successor.jti)
            if found is Verdict.PREVIOUS:
                return Answer(Verdict.RETRY, row)
            if found is Verdict.CURRENT:
                row = self._put(connection, rules.rotated(row, successor, now))
                return Answer(Verdict.WON, row)
            if not punish:
                return Answer(Verdict.STALE, row)
            return Answer(found, self._put(connection, rules.revoked(row, now)))

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
        asked = {"subject": subject, "reason": reason}

        def work(connection: Connection) -> int:
            statement = self._statements.cut_off
            self._ask(connection, statement, cut_off=cut_off, until=until, **asked)
            ended = self._ask(
                connection, self._end_all, except_session=except_session, **asked
            )
            return len(ended)

        return self._write(work)

    def create(self) -> None:
        """Make the file and its tables, or bring them up to date."""
        make_file(self._path)

        def work(connection: Connection) -> None:
            mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
            if mode != "wal":
                raise ConfigurationError(f"PASETO_STORE does not work: {_NO_WAL}")
            _in_transaction(connection, schema.make_tables)

        self._caller.run(work, seconds=UPKEEP, unchecked=True)

    def _find_faults(self, connection: Connection) -> tuple[str, ...]:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return () if mode == "wal" else (_NO_WAL,)

    def _find(
        self, connection: Connection, session_id: str | None, subject: str | None = None
    ) -> Session | None:
        found = self._ask(connection, self._statements.session, sid=session_id)
        if not found or (subject is not None and found[0].subject != subject):
            return None
        return read_session(found[0])

    def _put(self, connection: Connection, row: Session) -> Session:
        changed = {key: getattr(row, key) for key in _CHANGING}
        values = {**changed, **write_issued(row.issued), "sid": row.session_id}
        connection.execute(self._save, params(values))
        return row


def _now() -> int:
    return time_ns() // 1000


def _in_transaction(connection: Connection, work: Callable[[Connection], _T]) -> _T:
    """Do the work in a transaction; the pool rolls back one that is not committed."""
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    while not _begins(connection):
        sleep(uniform(0, _NAP))  # noqa: S311
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(remaining() * 1000)}")
    result = work(connection)
    connection.exec_driver_sql("COMMIT")
    return result


def _begins(connection: Connection) -> bool:
    """Take the lock for writing, or say that another process has it."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == SQLITE_BUSY
        if not busy or not remaining():
            raise
        return False
    return True
