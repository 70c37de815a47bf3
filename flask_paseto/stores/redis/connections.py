"""Connections to servers, each request sent once and answered in time or not at all."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar, cast

from redis.backoff import NoBackoff
from redis.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import NoScriptError, RedisError, ResponseError, TimeoutError
from redis.retry import Retry

from .lua import Script
from .url import Address, Target

Command = tuple[bytes, ...]
_T = TypeVar("_T")


class Evicts(RedisError):
    """The server may throw away what it was told to keep."""


class NotAcknowledged(RedisError):
    """Too few replicas have what was written."""


class Mixed(RedisError):
    """The markers of the buckets are not all the same."""


class Link(Protocol):
    """What of a connection is used here; the driver has no types for it."""

    driver_info: Any
    lib_name: Any
    lib_version: Any

    @abstractmethod
    def on_connect(self) -> None:
        """Log in."""

    @abstractmethod
    def pack_commands(self, commands: Iterable[Command]) -> list[bytes]:
        """Return the bytes of commands."""

    @abstractmethod
    def send_packed_command(self, command: list[bytes]) -> None:
        """Send them."""

    @abstractmethod
    def can_read(self, timeout: float) -> bool:
        """Wait for an answer."""

    @abstractmethod
    def read_response(self) -> Any:
        """Read it."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connection; another use opens it again."""


class OfProcess(Generic[_T]):
    """What each process makes for itself, at its first use.

    A lock that another thread held while the parent forked is never released in the
    child, so nothing that has one is taken over, and no lock guards this: two threads
    may make one each, and one of them is dropped.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: tuple[int, _T] | None = None

    def get(self) -> _T:
        """Return what this process made."""
        made, pid = self._made, os.getpid()
        if made is None or made[0] != pid:
            made = self._made = (pid, self._make())
        return made[1]


def options(target: Target, timeout: float) -> dict[str, Any]:
    """Return the options that no connection may be without.

    The driver repeats what failed, ten times by default: a call would take seconds,
    and what was consumed would be consumed again.
    """
    common: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    return common if target.socket else common | {"socket_keepalive": True}


class Pool:
    """The connections to one server, none before the first call.

    Args:
        target: How to log in, and where, if it is a socket.
        address: Where it is otherwise.
        timeout: How long a call may take, in seconds.
    """

    def __init__(
        self, target: Target, address: Address | None, *, timeout: float
    ) -> None:
        self.address: Address | None = address
        self._timeout = timeout
        self._replicas = target.replicas
        self._options: dict[str, Any] = {
            "max_connections": target.max_connections,
            "redis_connect_func": _greet,
            **options(target, timeout),
            **target.login,
        }
        if address is None:
            self._options["connection_class"] = UnixDomainSocketConnection
            self._options["path"] = target.socket
        else:
            kind = SSLConnection if target.tls else Connection
            self._options["connection_class"] = kind
            self._options["host"], self._options["port"] = address
        self._pool = OfProcess(lambda: ConnectionPool(**self._options))

    def run(
        self, script: Script, keys: list[bytes], args: list[bytes], *, wait: bool
    ) -> Any:
        """Run a script, and wait for the replicas on the same connection.

        Raises:
            RedisError: Or anything else that a driver raises.
        """
        rest = (b"%d" % len(keys), *keys, *args)
        tail = [self._wait()] if wait and self._replicas else []
        try:
            reply, *acks = self.ask([(b"EVALSHA", script.sha.encode(), *rest), *tail])
        except NoScriptError:  # the server is new to it: nothing was run
            reply, *acks = self.ask([(b"EVAL", script.text.encode(), *rest), *tail])
        if acks and acks[0] < self._replicas:
            raise NotAcknowledged
        return reply

    def _wait(self) -> Command:
        # Answered before we give up on it; 0 would be for ever.
        milliseconds = max(1, int(self._timeout * 800))
        return (b"WAIT", b"%d" % self._replicas, b"%d" % milliseconds)

    def ask(self, commands: list[Command]) -> list[Any]:
        """Send commands in one piece, and return what each was answered."""
        pool = self._pool.get()
        link = cast(Link, pool.get_connection())
        # Not from before the connection was open: of a server that answers well in
        # time, but more than once for that, no call would ever get an answer.
        deadline = monotonic() + self._timeout
        try:
            link.send_packed_command(link.pack_commands(commands))
            replies = [_read(link, deadline) for _ in commands]
        except BaseException:
            # An answer that nobody read would be the answer to the next question.
            link.disconnect()
            raise
        finally:
            pool.release(cast(Any, link))
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.get().disconnect(inuse_connections=False)


def _read(link: Link, deadline: float) -> Any:
    if not link.can_read(max(0.0, deadline - monotonic())):
        raise TimeoutError
    try:
        return link.read_response()
    except ResponseError as error:
        return error


def _greet(link: Link) -> None:
    """Log in, and turn away from a server that evicts: it would forget revocations."""
    # The driver would tell the server its name and version (by these names until 7,
    # by that one since), and wait for an answer to each.
    link.driver_info = link.lib_name = link.lib_version = None
    link.on_connect()
    link.send_packed_command(link.pack_commands([(b"INFO", b"memory")]))
    if not keeps_all(link.read_response()):
        raise Evicts


def keeps_all(info: bytes) -> bool:
    """Say whether a server that says this of itself never evicts."""
    return b"maxmemory_policy:noeviction" in info
