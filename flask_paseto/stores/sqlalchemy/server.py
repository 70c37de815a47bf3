"""Connections to a server of PostgreSQL, each wait on which has an end.

A server that is stopped, or a network that swallows packets, answers nothing: no
time-out of the server helps, and `connect_timeout` is 2 s at least. So a connection
looks at the deadline of the call while it waits, and a new one is opened in a thread.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Engine, event
from sqlalchemy.exc import InvalidatePoolError

from ..values import OVERLAP
from .deadline import remaining, within
from .engine import make_engine

_T = TypeVar("_T")

# How often a connection that waits looks at the deadline, in seconds.
_TICK = 0.02
# How long opening one may go on after the call that wanted it gave up, in seconds:
# the next call may have it.
_OPENING = 10


class BoundConnection(psycopg.Connection[Any]):
    """A connection that is cut when the time of the call is over.

    What it asked may happen all the same: a call may be repeated.
    """

    def wait(
        self, gen: PQGen[_T], interval: float = _TICK, timeout: float | None = None
    ) -> _T:
        """Drive `gen` to its end, or close the connection at the deadline."""
        try:
            return super().wait(_bound(gen), min(interval, _TICK))
        except _Late:
            self.close()
            raise psycopg.OperationalError("no answer in time") from None


class _Late(Exception):
    pass


def _bound(gen: PQGen[_T]) -> PQGen[_T]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            wanted = gen.send(ready)
            if not remaining():
                raise _Late
    except StopIteration as end:
        result: _T = end.value
        return result


class ServerPool:
    """The connections of one process to a server.

    Args:
        url: The server.
        timeout: How long a statement may take, in seconds.
    """

    def __init__(self, url: URL, timeout: float) -> None:
        self._options = _connect_options(url, timeout)
        self._late: deque[Future[BoundConnection]] = deque()
        self.engine: Engine = make_engine(url, self._connect)
        event.listen(self.engine, "checkout", _verify)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self.engine.dispose()
        while self._late:
            self._late.pop().add_done_callback(_discard)

    def may_be_inherited(self) -> bool:
        """Say yes: a child leaves the sockets that it inherits alone."""
        return True

    def _connect(self) -> BoundConnection:
        opening = self._go_on() or self._open()
        try:
            return opening.result(remaining())
        except TimeoutError:
            self._late.append(opening)
            raise psycopg.OperationalError("no connection in time") from None

    def _go_on(self) -> Future[BoundConnection] | None:
        """Return what is being opened, or was, for a call that gave up."""
        with suppress(IndexError):
            while True:
                opening = self._late.popleft()
                if not opening.done() or opening.exception() is None:
                    return opening
        return None

    def _open(self) -> Future[BoundConnection]:
        opening: Future[BoundConnection] = Future()

        def work() -> None:
            with within(_OPENING):
                try:
                    opening.set_result(BoundConnection.connect(**self._options))
                except Exception as error:
                    opening.set_exception(error)

        try:
            Thread(target=work, daemon=True, name="paseto-connect").start()
        except RuntimeError:  # the system has none left for this process
            raise psycopg.OperationalError("no thread to connect in") from None
        return opening


def _connect_options(url: URL, timeout: float) -> dict[str, Any]:
    """Return what a connection is opened with."""
    _, options = url.get_dialect()().create_connect_args(url)
    # The server should not go on with what nobody waits for, nor let a commit come
    # so late that no pull looks back for it.
    limit = max(1, min(int(timeout * 1000), OVERLAP // 2000))
    ours = (
        f"-c statement_timeout={limit} -c idle_in_transaction_session_timeout=60s "
        "-c default_transaction_isolation=read\\ committed"
    )
    return {
        "fallback_application_name": "flask-paseto",
        "connect_timeout": 2,
        "keepalives_idle": 30,
        **options,
        "options": f"{ours} {options.get('options', '')}".strip(),
        # A replica is behind: it would let in what was revoked.
        "target_session_attrs": "read-write",
    }


def _verify(connection: BoundConnection, _: Any, __: Any) -> None:
    """Refuse a connection that the server closed, without asking it anything.

    What is read first may be its good-bye, and the end comes second.
    """
    try:
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.Error:
        raise InvalidatePoolError from None


def _discard(opening: Future[BoundConnection]) -> None:
    if opening.exception() is None:
        opening.result().close()
