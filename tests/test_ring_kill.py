"""Commands that are killed: the ring is the old one or the new one, never broken."""

from __future__ import annotations

import shutil
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from flask import Flask

from flask_paseto import create_access_token, decode_token
from flask_paseto.keys.entries import KeyState, RingDocument
from flask_paseto.keys.file import read_document

from .conftest import MakeApp
from .killers import Killer, started_killer
from .rings import document_of, entry_of, put

pytestmark = pytest.mark.drill

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
ISSUING = entry_of(added=NOW - 5 * HOUR)
ANNOUNCED = entry_of(KeyState.ANNOUNCED, added=NOW - HOUR)
LAST = entry_of(
    KeyState.ACCEPTED,
    added=NOW - 9 * HOUR,
    issued_until=NOW - 5 * HOUR,
    not_after=NOW + 9 * HOUR,
)
ENDED = entry_of(KeyState.ACCEPTED, added=NOW - 9 * HOUR, not_after=NOW - HOUR)

BEFORE = {
    "nothing": None,
    "one key": document_of(ISSUING, version=7),
    "all": document_of(ENDED, LAST, ISSUING, ANNOUNCED, version=7),
}
COMMANDS = {
    "rotate, the first": ("nothing", ("rotate",)),
    "rotate, announcing": ("one key", ("rotate",)),
    "rotate, promoting and pruning": ("all", ("rotate", "--settle", "0")),
    "announce": ("all", ("announce",)),
    "promote": ("all", ("promote", "--settle", "0")),
    "retire": ("all", ("retire", LAST.id, "--now")),
    "prune": ("all", ("prune",)),
}
WRITING = {"open", "flock", "write", "fsync", "replace", "pwrite", "close"}


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    folder = tmp_path / "keys"
    folder.mkdir()
    with started_killer(folder / "ring.json") as killer:
        yield killer


def lay_down(path: Path, document: RingDocument | None) -> bytes | None:
    """Put a ring where it was not yet touched; return its bytes, None without one."""
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    if document is None:
        return None
    put(path, document)
    return path.read_bytes()


Shape = list[tuple[str, KeyState, bool, bool]]


def shape_of(document: RingDocument, before: RingDocument | None) -> Shape:
    """Return what a step leads to, the same for every new key and every moment."""
    known = () if before is None else [each.id for each in before.entries]
    return [
        (
            each.id if each.id in known else "new",
            each.state,
            each.not_after is None,
            each.issued_until is None,
        )
        for each in document.entries
    ]


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring file that is checked after every kill."""

    path: Path
    make_app: MakeApp

    def assert_works(self, killer: Killer) -> RingDocument:
        """Assert that an app starts with it and that a next step can be taken."""
        document = read_document(self.path)
        assert stat.S_IMODE(self.path.stat().st_mode) == 0o600
        app: Flask = self.make_app(PASETO_SECRET_KEY=..., PASETO_KEYRING=str(self.path))
        with app.app_context():
            assert decode_token(create_access_token("alice")).subject == "alice"
        self.assert_rotates(killer, document.version)
        return document

    def assert_rotates(self, killer: Killer, version: int) -> None:
        """Assert that a next step leads to a higher version, and sweeps up."""
        after = killer.run("rotate", "--settle", "0")
        assert after.code == 0, after.output
        assert read_document(self.path).version > version
        names = {each.name for each in self.path.parent.iterdir()}
        assert names == {self.path.name, self.path.name + ".lock"}


@pytest.fixture
def ring(killer: Killer, make_app: MakeApp) -> Ring:
    return Ring(killer.ring, make_app)


@pytest.mark.requirement("KEY-8")
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_step_the_ring_is_the_old_one_or_the_new_one(
    killer: Killer, ring: Ring, name: str
) -> None:
    start, args = BEFORE[COMMANDS[name][0]], COMMANDS[name][1]
    lay_down(ring.path, start)
    steps = killer.steps(*args)
    assert set(steps) >= WRITING
    wanted = read_document(ring.path)

    written = []
    for number in range(1, len(steps) + 1):
        before = lay_down(ring.path, start)
        killed = killer.run(*args, step=number)
        assert killed.code == -signal.SIGKILL, killed.output
        if (ring.path.read_bytes() if ring.path.exists() else None) == before:
            written.append(False)
            if before is None:
                ring.assert_rotates(killer, 0)
                continue
            assert ring.assert_works(killer) == start
        else:
            written.append(True)
            found = ring.assert_works(killer)
            assert found.version == wanted.version
            assert shape_of(found, start) == shape_of(wanted, start)

    # One step makes the difference: all that come before it do not count.
    assert written == sorted(written)
    assert set(written) == {False, True}
    assert steps[written.index(True) - 1] == "replace"


@pytest.mark.requirement("KEY-8")
@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kill", ["at size", "never"])
def test_a_write_that_breaks_off_leaves_the_old_ring(
    killer: Killer, ring: Ring, part: float, kill: str
) -> None:
    start = BEFORE["all"]
    before = lay_down(ring.path, start)
    assert before is not None

    run = killer.run("announce", size=int(len(before) * part), kill=kill)

    if kill == "never":  # a disk that is full
        assert run.code == 1
        assert "cannot be written: File too large" in run.output
    else:
        assert run.code == -signal.SIGXFSZ
        torn = ring.path.with_name(ring.path.name + ".new")
        assert torn.stat().st_size == int(len(before) * part)
    assert ring.path.read_bytes() == before
    assert ring.assert_works(killer) == start


@pytest.mark.requirement("KEY-8")
def test_killed_at_random_times_no_change_is_lost_and_none_is_half_done(
    killer: Killer, ring: Ring
) -> None:
    lay_down(ring.path, BEFORE["one key"])
    usual = min(killer.run("rotate", "--settle", "0").seconds for _ in range(3))
    times = Random(5)  # noqa: S311
    codes = set()
    for number in range(40):
        before, document = ring.path.read_bytes(), read_document(ring.path)
        after = times.uniform(0, 1.5 * usual) if number else 0.0

        run = killer.run("rotate", "--settle", "0", after=after)

        codes.add(run.code)
        if ring.path.read_bytes() == before:
            assert run.code == -signal.SIGKILL
        else:
            assert read_document(ring.path).version > document.version
        ring.assert_works(killer)
    assert codes <= {0, -signal.SIGKILL}
    assert -signal.SIGKILL in codes
