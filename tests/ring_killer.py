"""Run `flask paseto keys` and kill it at a step: a program, which `killers.py` starts.

It reads a line of JSON a run and answers with one. Everything is imported once; a run
is the real command in a process of its own, forked from here, where this is the only
thread. A step is a call to the system, from the opening of the lock on; what comes
before that reads and nothing else.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NoReturn

from flask.cli import main

from flask_paseto.keys.file import locked

LOCKED = inspect.unwrap(locked).__code__
# They change nothing: to be killed before one is to be killed after the step before it.
LOOKS = {"stat", "lstat", "fstat", "fileno", "isatty", "geteuid", "fspath"}
LOOKS |= {"_path_normpath"}
PATIENCE = 60  # seconds, for a command that waits for a lock which nobody lets go


class Steps:
    """Counts calls to the system, and kills the process before one of them."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        self._began = False
        self.names: list[str] = []

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if not self._began:
            self._began = event == "call" and frame.f_code is LOCKED
            return
        if event != "c_call" or not is_system_call(arg):
            return
        self.names.append(arg.__name__)
        if len(self.names) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def is_system_call(function: Any) -> bool:
    """Tell whether a function of C is one of `os`, `fcntl` or a file, and no look."""
    if function.__name__ in LOOKS:
        return False
    of_module = getattr(function, "__module__", None) in ("posix", "fcntl", "_io")
    return of_module or type(function.__self__).__module__ == "_io"


def command(order: dict[str, Any], output: int) -> NoReturn:
    """Be the command, and end with its exit code."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.alarm(PATIENCE)
    if "size" in order:  # the kernel breaks a write off after so many bytes
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["size"],) * 2)
        kills = order["kill"] == "at size"
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kills else signal.SIG_IGN)
    steps = Steps(order.get("step", 0))
    sys.setprofile(steps)
    code = call_flask(order["args"])
    sys.setprofile(None)
    sys.stdout.flush()
    if order.get("trace"):
        print("\n" + json.dumps(steps.names), flush=True)
    os._exit(code)


def call_flask(args: list[str]) -> int:
    """Return the exit code of the command."""
    sys.argv = ["flask", "paseto", "keys", *args]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    raise RuntimeError("flask came back")


def import_all() -> None:
    """Run commands here once, so that the next find imported what they need."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        for command in ("rotate", "prune"):
            call_flask([command, "--keyring", f"{folder}/ring", "--json"])


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Return how a command ended: below 0, by which signal."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            command(order, writing)
        finally:
            os._exit(70)  # it raised, and the text is on its standard error
    os.close(writing)
    if "after" in order:
        time.sleep(order["after"])
        os.kill(child, signal.SIGKILL)
    with open(reading) as file:
        output = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "output": output, "seconds": time.monotonic() - start}


if __name__ == "__main__":
    import_all()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
