"""Calls of a store to its database: answered, or refused as the house refuses."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import Protocol, TypeVar
from weakref import finalize

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError, TimeoutError

from ...errors import ConfigurationError, StoreFault
from . import schema
from .deadline import remaining, within
from .faults import refusal, spoils_connection

_T = TypeVar("_T")

# How many connections a process has at most.
CONNECTIONS = 8

_INHERITED = (
    "PASETO_STORE is a file of SQLite that was open in the process from which this one "
    "was forked, which SQLite does not bear: let each worker load the app by itself "
    "(lazy-apps in uWSGI), or close the store before"
)


class Pool(Protocol):
    """The connections of one process; the engine opens them when it needs them."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Return the engine; its pool never waits, whoever asks has a permit."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections that nobody uses."""

    @abstractmethod
    def may_be_inherited(self) -> bool:
        """Say whether a child that is forked now may open connections of its own."""


@dataclass(slots=True)
class Process:
    """What a store has in one process; a child that is forked gets one of its own.

    Attributes:
        pool: Its connections.
        permits: One for each connection that may be used.
        writing: Held by the one who writes, where one alone can.
        admitted: Whether the tables were found to be those of this release.
        held: How many permits are held back while the process forks.
    """

    pool: Pool
    permits: BoundedSemaphore = field(
        default_factory=lambda: BoundedSemaphore(CONNECTIONS)
    )
    writing: Lock = field(default_factory=Lock)
    admitted: bool = False
    held: int = 0


class Caller:
    """Who calls the database, within the time that a call has.

    Args:
        open_pool: Gives the connections of a process.
        timeout: How long a call may take, in seconds.
    """

    def __init__(self, open_pool: Callable[[], Pool], timeout: float) -> None:
        self._open_pool = open_pool
        self._timeout = timeout
        # Those of the parent stay here and are not touched: closing an inherited
        # connection would end the parent's, or break its locks on a file.
        self._processes: dict[int, Process] = {}
        finalize(self, _close, self._processes)

    @property
    def process(self) -> Process:
        """Return what belongs to this process, made without a lock: forks hold them."""
        pid = os.getpid()
        found = self._processes.get(pid)
        if found is not None:
            return found
        if not all(one.pool.may_be_inherited() for one in self._processes.values()):
            raise ConfigurationError(_INHERITED)
        return self._processes.setdefault(pid, Process(self._open_pool()))

    def run(
        self,
        work: Callable[[Connection], _T],
        *,
        seconds: float | None = None,
        unchecked: bool = False,
    ) -> _T:
        """Return what `work` does with a connection.

        Args:
            work: Gets a connection in which each statement is a transaction.
            seconds: How long it may take, if not as long as any call.
            unchecked: Whether the tables need not be there.

        Raises:
            StoreUnavailable: There was no answer in time, or none at all.
            StoreFault: The set-up is wrong, and never worked, or a statement is.
        """
        process = self.process
        with within(self._timeout if seconds is None else seconds):
            try:
                return _work(process, work, unchecked)
            except SQLAlchemyError as error:
                failed = error
        # Not in the block above: what the driver said would hang on to it.
        raise refusal(failed, proven=process.admitted)

    def pause(self) -> None:
        """Wait until no connection is in use, and close all, before a fork."""
        process = self._processes.get(os.getpid())
        if process is None:
            return
        with within(self._timeout + 1):
            while process.held < CONNECTIONS:
                if not process.permits.acquire(timeout=remaining()):
                    return  # the child finds them open, and refuses
                process.held += 1
        process.pool.close()

    def resume(self) -> None:
        """Let connections be used again, after a fork."""
        process = self._processes.get(os.getpid())
        if process is not None and process.held:
            process.permits.release(process.held)
            process.held = 0

    def close(self) -> None:
        """Close all connections of this process that nobody uses."""
        _close(self._processes)


def _work(process: Process, work: Callable[[Connection], _T], unchecked: bool) -> _T:
    if not process.permits.acquire(timeout=remaining()):
        raise TimeoutError("all connections are in use")
    try:
        with process.pool.engine.connect() as connection, _replaced(connection):
            if not unchecked and not process.admitted:
                _admit(connection)
                process.admitted = True
            return work(connection)
    finally:
        process.permits.release()


@contextmanager
def _replaced(connection: Connection) -> Iterator[None]:
    """Have another connection asked after a failure that this one would repeat."""
    try:
        yield
    except SQLAlchemyError as error:
        if spoils_connection(error):
            connection.invalidate()
        raise


def _admit(connection: Connection) -> None:
    """Look once in each process whether the tables are those of this release."""
    fault = schema.find_fault(schema.find_version(connection))
    if fault is not None:
        raise StoreFault(fault)


def _close(processes: dict[int, Process]) -> None:
    process = processes.get(os.getpid())
    if process is not None:
        process.pool.close()
