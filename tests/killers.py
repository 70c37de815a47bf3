"""The real `flask paseto keys`, killed where a test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("ring_killer.py")


@dataclass(frozen=True, slots=True)
class Run:
    """How a command ended.

    Attributes:
        code: Its exit code; below 0, the signal that killed it.
        seconds: How long it took.
    """

    code: int
    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Killer:
    """Runs commands about one ring file."""

    ring: Path
    process: subprocess.Popen[str]

    def run(self, *args: str, **how: Any) -> Run:
        """Run a command; killed before a `step`, `after` seconds, or at a `size`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"args": [*args, "--keyring", str(self.ring)], **how}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return Run(**json.loads(self.process.stdout.readline()))

    def steps(self, *args: str) -> list[str]:
        """Run a command to its end; return the names of its steps."""
        run = self.run(*args, trace=True)
        assert run.code == 0, run.output
        names: list[str] = json.loads(run.output.splitlines()[-1])
        return names


def environment() -> dict[str, str]:
    """Return the environment without the settings of whoever runs the tests."""
    ours = ("FLASK_", "PASETO_", "COV_CORE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path}


@contextmanager
def started_killer(ring: Path) -> Iterator[Killer]:
    """Start the program that runs the commands, and end it."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, str(PROGRAM)],
        cwd=ring.parent.parent,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Killer(ring, process)
        finally:
            process.kill()
