"""The key ring file: who may read it, how it is written, how it is watched."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flask_paseto.keys import generate_key
from flask_paseto.keys.entries import (
    KeyState,
    RingDocument,
    parse_document,
    write_document,
)
from flask_paseto.keys.file import (
    MAX_SIZE,
    FileKeys,
    OlderFile,
    locked,
    read_document,
    read_for_restore,
    write_file,
)
from flask_paseto.keys.paserk import wrap_key
from flask_paseto.keys.rotation import announce, promote

from .rings import NOON, Ticks, document_of, entry_of, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def test_what_was_written_is_read_and_nobody_else_may(path: Path) -> None:
    document = document_of(entry_of())

    put(path, document)

    assert read_document(path) == document
    assert path.stat().st_mode & 0o777 == 0o600
    lock = path.with_name("keyring.json.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in path.parent.iterdir()} == {path.name, lock.name}


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o777])
def test_a_file_that_others_may_open_is_refused(path: Path, mode: int) -> None:
    put(path, document_of(entry_of()))
    path.chmod(mode)
    with pytest.raises(ValueError, match=f"mode {mode:04o}.*chmod 600"):
        read_document(path)


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize(("flags", "good"), [(0, False), (os.ST_RDONLY, True)])
def test_the_group_may_read_a_read_only_mount(
    path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, good: bool
) -> None:
    document = document_of(entry_of())
    put(path, document)
    path.chmod(0o640)
    found = list(os.statvfs(path))
    found[8] = flags
    monkeypatch.setattr(os, "fstatvfs", lambda fd: os.statvfs_result(found))

    if good:
        assert read_document(path) == document
        path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        read_document(path)


def test_a_file_of_somebody_else_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, document_of(entry_of()))
    real = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] = 54321
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", of_another)
    with pytest.raises(ValueError, match="another user"):
        read_document(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b" " * (MAX_SIZE + 1), "larger than"),
        (b'{"flask_paseto": "keyring"', "no JSON"),
    ],
)
def test_a_corrupt_file_is_refused(path: Path, content: bytes, says: str) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_document(path)


def test_what_is_no_file_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_document(path)
    path.mkdir(0o700)
    with pytest.raises(ValueError, match="cannot be read"):
        read_document(path)
    with pytest.raises(ValueError, match="is not a file"):
        read_document(Path(os.devnull))


def test_a_ring_that_cannot_be_written_says_so(path: Path) -> None:
    missing = path.parent / "missing" / "keyring.json"
    with pytest.raises(ValueError, match="cannot be changed: No such file"):
        put(missing, document_of(entry_of()))
    path.mkdir()
    with pytest.raises(ValueError, match="cannot be written"):
        put(path, document_of(entry_of()))


def test_a_system_without_locks_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fcntl", None)
    with pytest.raises(ValueError, match="no flock"):
        put(path, document_of(entry_of()))


def test_a_system_without_owners_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, document_of(entry_of()))
    monkeypatch.delattr(os, "geteuid")
    with pytest.raises(ValueError, match="no owners of files"):
        read_document(path)


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "ring.json"
    put(real, document_of(entry_of()))
    path.symlink_to(real)

    document = document_of(entry_of(), version=2)
    put(path, document)

    assert path.is_symlink()
    assert read_document(path) == read_document(real) == document
    # One lock, whichever way a writer came, and one mark of the version.
    assert [each.name for each in path.parent.iterdir() if "lock" in each.name] == []
    assert real.with_name("ring.json.lock").exists()


def test_what_a_killed_writer_left_is_swept_away(path: Path) -> None:
    left = path.with_name("keyring.json.new")
    left.write_text("half of a")
    left.chmod(0o644)
    put(path, document_of(entry_of()))
    assert not left.exists()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.requirement("KEY-8")
def test_a_ring_is_on_the_disk_before_it_takes_its_place_and_its_name_is_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without power at any moment, the old file is there or the whole new one."""
    document, done = document_of(entry_of()), list[str]()
    lock, new = path.with_name("keyring.json.lock"), path.with_name("keyring.json.new")
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        real_sync(descriptor)
        found = os.fstat(descriptor)
        (name,) = (
            each.name
            for each in (new, lock, path.parent)
            if each.exists() and os.path.samestat(found, each.stat())
        )
        done.append(name)
        if name == new.name:
            assert parse_document(new.read_bytes()) == document

    def replace_(source: Path, target: Path) -> None:
        real_replace(source, target)
        done.append("replace")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace_)
    put(path, document)

    assert done == [new.name, "replace", path.parent.name, lock.name]


@pytest.mark.requirement("KEY-6")
def test_what_is_made_is_never_open_to_others_nor_taken_from_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mode is put right afterwards, and no file or link of somebody is written."""
    made: dict[str, tuple[int, int]] = {}
    real = os.open

    def open_(name: Path, flags: int, mode: int = 0o777, **options: Any) -> int:
        if flags & os.O_CREAT:
            made.setdefault(Path(name).name, (flags & os.O_EXCL, mode))
        return real(name, flags, mode, **options)

    victim = path.with_name("victim")
    victim.write_text("as it was")
    path.with_name("keyring.json.new").symlink_to(victim)
    monkeypatch.setattr(os, "open", open_)
    put(path, document_of(entry_of()))

    assert made == {
        "keyring.json.lock": (0, 0o600),
        "keyring.json.new": (os.O_EXCL, 0o600),
    }
    assert victim.read_text() == "as it was"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_file_to_whom_it_belongs(path: Path) -> None:
    put(path, document_of(entry_of()))
    os.chown(path.parent, 12345, 12345)
    os.chown(path, 12345, 12345)
    put(path, document_of(entry_of(), version=2))
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)
    assert path.with_name("keyring.json.lock").stat().st_uid == 12345


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_lock_to_the_app_also_where_it_writes_nothing(
    path: Path,
) -> None:
    """Else the app could not lock its ring, nor read the mark of the version."""
    os.chown(path.parent, 12345, 12345)
    with locked(path):
        assert path.with_name("keyring.json.lock").stat().st_uid == 12345


@pytest.mark.requirement("KEY-6")
def test_a_link_in_place_of_the_lock_is_not_followed(path: Path) -> None:
    """Root would write to a file of its own, and give it away."""
    put(path, document_of(entry_of()))
    lock, victim = path.with_name("keyring.json.lock"), path.with_name("victim")
    victim.write_text("as it was")
    lock.unlink()
    lock.symlink_to(victim)
    before = path.read_text()

    with pytest.raises(ValueError, match="cannot be changed"):
        put(path, document_of(entry_of(), version=2))

    assert victim.read_text() == "as it was"
    assert path.read_text() == before


def test_others_leave_it_as_it_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "fchown", lambda *args: given.append(args))
    put(path, document_of(entry_of()))
    assert given == []


def test_an_older_file_is_refused_until_it_is_restored(path: Path) -> None:
    old, new = document_of(entry_of(), version=3), document_of(entry_of(), version=9)
    put(path, old)
    before = path.read_text()
    put(path, new)

    path.write_text(before)

    with pytest.raises(OlderFile, match=r"version 3, older than version 9.*restore"):
        read_document(path)
    assert read_for_restore(path) == (old, 9)


def test_on_another_machine_nothing_is_known_of_newer_versions(path: Path) -> None:
    document = document_of(entry_of(), version=3)
    put(path, document)
    lock = path.with_name("keyring.json.lock")
    for content in ("", "not a number", None):
        if content is None:
            lock.unlink()
        else:
            lock.write_text(content)
        assert read_document(path) == document


def test_writers_take_turns(path: Path) -> None:
    put(path, document_of(entry_of()))

    def add() -> None:
        for _ in range(10):
            with locked(path):
                document = read_document(path)
                write_file(path, announce(document, entry_of(KeyState.ANNOUNCED)))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_document(path).entries) == 41
    assert read_document(path).version == 41


# Watching


def changed(path: Path) -> RingDocument:
    """Announce and promote a key, and return what is in the file then."""
    document = announce(read_document(path), entry_of(KeyState.ANNOUNCED))
    new = document.entries[-1].id
    from flask_paseto.keys.rotation import Pace

    document = promote(document, new, now=NOON, pace=Pace(), force=True)
    put(path, document)
    return document


def test_a_change_is_seen_within_a_second_and_the_file_is_left_alone_till_then(
    path: Path, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, document_of(entry_of()))
    keys = FileKeys(path, ticks=ticks)
    first = keys.current()
    document = changed(path)

    looks: list[Any] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: looks.append(a) or real(*a, **k))
    ticks.advance(0.999)
    for _ in range(100):
        assert keys.current() is first
    assert looks == []
    ticks.advance(0.001)
    second = keys.current()
    for _ in range(100):
        assert keys.current() is second

    assert document.issuing is not None
    assert second.issuing["local"].key_id == document.issuing.id
    assert first.issuing["local"].key_id in second.by_id
    assert keys.find("k4.pid.unknown") is None


def test_a_file_that_did_not_change_is_not_read_again(path: Path, ticks: Ticks) -> None:
    put(path, document_of(entry_of()))
    keys = FileKeys(path, ticks=ticks)
    ring = keys.current()
    ticks.advance(5000)
    assert keys.current() is ring


def test_a_change_in_place_is_seen_whatever_its_times_say(
    path: Path, ticks: Ticks
) -> None:
    """As copies do that keep the time of what they copy."""
    put(path, document_of(entry_of()))
    keys, before = FileKeys(path, ticks=ticks), path.stat()
    new = document_of(entry_of())
    path.write_text(write_document(new) + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )

    ticks.advance(1)

    assert keys.current().issuing["local"].key_id == new.entries[0].id


def make_world_readable(path: Path) -> None:
    path.chmod(0o644)


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def empty(path: Path) -> None:
    path.write_text("")


def put_back(path: Path) -> None:
    path.with_name("keyring.json.lock").unlink()  # as on a machine of its own
    old = replace(entry_of(), state=KeyState.ISSUING)
    path.write_text(write_document(document_of(old, version=1)))


def sign(path: Path) -> None:
    entry = entry_of(paserk=generate_key(4, "public").to_paserk())
    path.write_text(write_document(document_of(entry, version=8)))


def wrap(path: Path) -> None:
    key = generate_key()
    entry = replace(entry_of(paserk=key.to_paserk()), key=wrap_key(key, "another"))
    path.write_text(write_document(document_of(entry, version=8)))


def tie(path: Path) -> None:
    entry = entry_of(issuer="https://other.example")
    path.write_text(write_document(document_of(entry, version=8)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (make_world_readable, "chmod 600"),
        (cut, "no JSON"),
        (empty, "no JSON"),
        (Path.unlink, "No such file"),
        (put_back, "older than version 5"),
        (wrap, "another password"),
        (tie, "another issuer"),
        (sign, "PASETO_PURPOSE"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_goes_bad_keeps_the_last_good_ring(
    path: Path,
    ticks: Ticks,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    says: str,
) -> None:
    put(path, document_of(entry_of(), version=5))
    keys = FileKeys(path, password="the password", purpose="local", ticks=ticks)
    ring = keys.current()

    spoil(path)
    for _ in range(5):
        ticks.advance(1)
        assert keys.current() is ring

    (record,) = caplog.records  # once, not each second
    assert record.levelno == logging.ERROR
    assert says in record.getMessage()
    assert "PASETO_KEYRING" in record.getMessage()
    assert "k4.local." not in record.getMessage()
    path.with_name("keyring.json.lock").unlink(missing_ok=True)
    good = document_of(entry_of(), version=9)
    put(path, good)
    ticks.advance(1)
    assert keys.current().issuing["local"].key_id == good.entries[0].id


def test_a_ring_to_begin_with_must_be_good(path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        FileKeys(path)
    put(path, document_of(entry_of(issuer="https://a.example")))
    with pytest.raises(ValueError, match="PASETO_ISSUER"):
        FileKeys(path)
    FileKeys(path, issuer="https://a.example")


def test_a_change_that_comes_during_a_slow_look_is_seen_within_a_second_too(
    path: Path, ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, document_of(entry_of()))
    keys = FileKeys(path, ticks=ticks)
    changed(path)
    later: list[RingDocument] = []

    def change_again(record: logging.LogRecord) -> bool:
        if not later:  # the look at the first change is about to end
            later.append(changed(path))
            ticks.advance(0.9)
        return True

    caplog.set_level(logging.INFO, "flask_paseto")
    caplog.handler.addFilter(change_again)
    ticks.advance(1)
    keys.current()
    ticks.advance(0.1)

    expected = later[0].issuing
    assert expected is not None
    assert keys.current().issuing["local"].key_id == expected.id


def test_one_thread_reads_and_the_others_wait_for_the_new_ring(
    path: Path, ticks: Ticks
) -> None:
    """A worker that idled must not serve one request more with an old ring."""
    put(path, document_of(entry_of()))
    keys = FileKeys(path, ticks=ticks)
    document = changed(path)
    ticks.advance(3600)
    found: list[str] = []
    start = threading.Barrier(8)

    def look() -> None:
        start.wait()
        found.append(keys.current().issuing["local"].key_id)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert document.issuing is not None
    assert set(found) == {document.issuing.id}


def test_who_waited_while_another_looked_does_not_look_again(
    path: Path, ticks: Ticks
) -> None:
    put(path, document_of(entry_of()))
    keys = FileKeys(path, ticks=ticks)
    ring = keys.current()
    changed(path)
    ticks.advance(1)
    with keys._lock:
        thread = threading.Thread(target=keys.current)
        thread.start()
        threading.Event().wait(0.2)  # it is at the lock
        keys._next = ticks() + 1  # as another thread leaves it
    thread.join()
    assert keys._ring is ring


@pytest.mark.requirement("KEY-6")
def test_a_source_cannot_be_copied_and_shows_no_key(path: Path) -> None:
    entry = entry_of()
    put(path, document_of(entry))
    keys = FileKeys(path, password="the password")
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            take(keys)
    secret = json.loads(path.read_text())["keys"][0]["key"]
    for shown in (
        repr(keys),
        repr(keys.current()),
        repr(entry),
        str(document_of(entry)),
    ):
        assert secret not in shown
        assert secret.removeprefix("k4.local.") not in shown
        assert "the password" not in shown
