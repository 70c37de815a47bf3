"""Connections to a file of SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from ...errors import ConfigurationError
from .calls import Caller
from .engine import make_engine

_OPTIONS = (
    # A revocation that returned success is on the disk, not just in the memory of
    # the system, where NORMAL leaves it until the next checkpoint: a loss of power
    # would let the token in again.
    "PRAGMA synchronous = FULL",
)


class FilePool:
    """The connections of one process to a file, which must be there.

    Args:
        path: The file.
        timeout: How long a statement may wait for a lock, in seconds.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self.engine: Engine = make_engine("sqlite+pysqlite://", self._connect)
        event.listen(self.engine, "connect", self._note)
        event.listen(self.engine, "checkout", self._verify)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self.engine.dispose()

    def may_be_inherited(self) -> bool:
        """Say whether no connection is open.

        SQLite notes in the memory of the process which locks it holds. A child
        inherits the notes without the locks, for all its connections to the file: it
        would wait for ever, or not wait where it must.
        """
        pool = cast(QueuePool, self.engine.pool)
        return not pool.checkedin() and not pool.checkedout()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{Path(self._path).as_uri()}?mode=rw",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for option in _OPTIONS:
                connection.execute(option)
        except sqlite3.Error:
            connection.close()  # the pool never gets it
            raise
        return connection

    def _note(self, _: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._identity()

    def _verify(self, _: Any, entry: ConnectionPoolEntry, __: Any) -> None:
        """Refuse a connection to a file that was removed or replaced meanwhile."""
        if entry.info["file"] != self._identity():
            raise InvalidatePoolError

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


_callers: WeakSet[Caller] = WeakSet()


def close_before_fork(caller: Caller) -> None:
    """Have no connection of a store open while this process forks."""
    _callers.add(caller)


def _pause() -> None:
    for caller in tuple(_callers):
        caller.pause()


def _resume() -> None:
    for caller in tuple(_callers):
        caller.resume()


_at_fork: Callable[..., None] = getattr(os, "register_at_fork", lambda **_: None)
_at_fork(before=_pause, after_in_parent=_resume)  # Windows has no fork


def make_file(path: str) -> None:
    """Make an empty file, which is an empty database, unless it is there.

    Raises:
        ConfigurationError: It cannot be made.
    """
    try:
        Path(path).touch()
    except OSError:
        raise ConfigurationError(
            "PASETO_STORE does not work: the file cannot be made; make its directory, "
            "and let this user write there"
        ) from None
