"""The server of the drills, and the settings of the rotation drill and its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drill_load import ACCESS, REFRESH

HERE = Path(__file__).parent
WORKERS = 4


def settings_of(ring: Path) -> dict[str, str]:
    """Return an environment with short lifetimes, so that keys end within the run."""
    ours = {
        "KEYRING": str(ring),
        "ACCESS_TOKEN_EXPIRES": str(ACCESS),
        "REFRESH_TOKEN_EXPIRES": str(REFRESH),
        "OTHER_TOKEN_EXPIRES": str(REFRESH),
        "MAX_TOKEN_LIFETIME": str(REFRESH),
        "LEEWAY": "1",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PAS"))}
    return kept | {f"DRILL_PASETO_{name}": value for name, value in ours.items()}


@contextmanager
def served(
    environment: dict[str, str],
    log: Path,
    *,
    preload: bool = False,
    app: str = "drill_app:create_app()",
) -> Iterator[int]:
    """Run gunicorn; gives its port."""
    options = f"--workers {WORKERS} --worker-class gthread --threads 4 --keep-alive 75"
    command = [sys.executable, "-m", "gunicorn", *options.split()]
    command += [
        "--bind",
        "127.0.0.1:0",
        "--no-control-socket",
        app,
    ]
    if preload:
        command.append("--preload")
    with (
        log.open("wb") as file,
        subprocess.Popen(  # noqa: S603
            command, cwd=HERE, env=environment, stdout=file, stderr=file
        ) as process,
    ):
        try:
            yield wait_for_port(log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_port(log: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        said = log.read_text()
        port = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)
        if port and said.count("Booting worker") >= WORKERS:
            return int(port[1])
        time.sleep(0.1)
    raise RuntimeError(f"gunicorn did not start: {log.read_text()}")
