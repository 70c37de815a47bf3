"""Commands at the same time: each takes its step, after the others."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from flask_paseto.cli import paseto
from flask_paseto.keys.entries import KeyState
from flask_paseto.keys.file import locked, read_document

from .conftest import MakeApp
from .killers import environment
from .rings import NOON, document_of, entry_of, put

pytestmark = pytest.mark.drill


def start(path: Path, *args: str) -> subprocess.Popen[str]:
    """Start a command as a shell does."""
    command = [sys.executable, "-m", "flask", "paseto", "keys", *args, "--json"]
    return subprocess.Popen(  # noqa: S603
        [*command, "--keyring", str(path)],
        cwd=path.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.requirement("KEY-8")
def test_of_many_writers_every_key_is_there_and_no_version_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ring.json"
    writers = [start(path, "announce") for _ in range(6)]
    said = [json.loads(each.communicate(timeout=120)[0]) for each in writers]

    assert [each.returncode for each in writers] == [0] * 6
    assert sorted(answer["version"] for answer in said) == [1, 2, 3, 4, 5, 6]
    document = read_document(path)
    assert document.version == 6
    assert {each.id for each in document.entries} == {
        answer["key"]["id"] for answer in said
    }
    states = sorted(each.state for each in document.entries)
    assert states == [KeyState.ANNOUNCED] * 5 + [KeyState.ISSUING]


class Clock:
    """A clock that tells when it was read."""

    def __init__(self) -> None:
        self.time = NOON
        self.was_read = Event()

    def __call__(self) -> datetime:
        self.was_read.set()
        return self.time


@pytest.mark.requirement("KEY-7")
def test_a_key_is_dated_when_it_is_written_and_not_when_its_writer_began_to_wait(
    make_app: MakeApp, tmp_path: Path
) -> None:
    path = tmp_path / "ring.json"
    put(path, document_of(entry_of()))
    app = make_app(PASETO_SECRET_KEY=..., PASETO_KEYRING=str(path))
    clock = Clock()
    states = app.extensions["paseto"]
    states["default"] = replace(states["default"], clock=clock)
    run = app.test_cli_runner().invoke
    with ThreadPoolExecutor(1) as pool:
        with locked(path):
            waiting = pool.submit(run, paseto, ["keys", "announce"])
            clock.was_read.wait(1)
            clock.time += timedelta(minutes=1)
        result = waiting.result(60)

    assert result.exit_code == 0, result.output
    announced = read_document(path).entries[-1]
    assert announced.added == NOON + timedelta(minutes=1)
