"""A store in a database: its URL, its tables, its upkeep, and a file of SQLite."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Pool, event

from flask_paseto.errors import ConfigurationError, StoreFault, StoreUnavailable
from flask_paseto.stores import MARGIN, Store, Verdict, new_id, open_store
from flask_paseto.stores.sqlalchemy import changes, file, schema
from flask_paseto.stores.sqlalchemy import store as sql_store

from . import postgresql
from .stores import (
    DAY,
    MINUTE,
    SECOND,
    Snapshot,
    first,
    login,
    new_subject,
    no_clock,
    ref,
    single,
    step,
    unopened,
)

INIT = "flask paseto store init"
DRIVER = "flask_paseto.stores.sqlalchemy.server"


def opened(url: str, seconds: float = 20) -> Any:
    return open_store(url, clock=no_clock, timeout=timedelta(seconds=seconds))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file that is not there, with a space in its name."""
    return tmp_path / "the sessions?.db"


@pytest.fixture
def url(path: Path) -> str:
    """Return the URL of a store in a file that is not there."""
    return f"sqlite:///{path}".replace("?", "%3F")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a store in a new database of each kind, without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'sessions.db'}"
        return
    server, name = postgresql.shared(), f"test_{new_id('')}"
    server.ask(f"CREATE DATABASE {name}")
    yield server.url(database=name)
    server.ask(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh(database: str) -> Iterator[Any]:
    """Return a store in a new database of each kind."""
    store = opened(database)
    store.create()
    yield store
    store.close()


def change(url: str, statement: str) -> None:
    """Run a statement on the database of a store, beside it."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute(statement)
            file.commit()
    else:
        postgresql.shared().ask(statement, database=url.rpartition("/")[2])


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:s3cret?mode=memory&uri=true",
        "sqlite:///s3cret.db?timeout=5",
        "sqlite://u:s3cret@localhost/db",
        "sqlite+aiosqlite:///s3cret.db",
        "postgresql+psycopg2://u:s3cret@localhost/db",
        "postgresql+asyncpg://u:s3cret@localhost/db",
        "postgresql+psycopg://u:s3cret@localhost:port/db",
        "postgresql+psycopg://u:s3cret@localhost/db?target_session_attrs=any",
        "postgresql+psycopg://u:s3cret@a/db?target_session_attrs=prefer-standby",
    ],
)
def test_a_url_of_no_use_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        opened(url)

    assert str(refused.value).startswith("PASETO_STORE ")
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_memory_of_sqlite_is_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"workers do not share .*memory://"):
        opened("sqlite:///:memory:")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "POSTGRESQL"])
def test_postgresql_has_one_driver(scheme: str) -> None:
    attrs = "target_session_attrs=primary"
    opened(f"{scheme}://u:s3cret@localhost/db?{attrs}").close()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, DRIVER, raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(
        ConfigurationError, match=r"pip install 'flask-paseto-auth\[postgresql\]'"
    ) as refused:
        opened("postgresql+psycopg://u:s3cret@localhost/db")

    assert "s3cret" not in str(refused.value)


def test_neither_opening_a_store_nor_asking_it_makes_a_file(
    path: Path, url: str
) -> None:
    store = opened(url)
    assert not path.exists()
    with pytest.raises(ConfigurationError, match=f"no such file.*{INIT}"):
        store.session("")
    store.close()

    assert not path.exists()


def test_a_relative_file_is_where_the_store_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened("sqlite:///sessions.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.create()
    store.close()

    assert (tmp_path / "sessions.db").exists()


# The tables


def test_a_store_without_tables_says_what_to_run(database: str) -> None:
    store = opened(database)

    for call in (
        lambda: store.check_token(single("alice", 0)),
        lambda: store.revoke_token("x", reason="x", until=None),
        lambda: store.changes(None, horizon=DAY),
        store.purge,
    ):
        with pytest.raises(ConfigurationError, match=f"PASETO_STORE .*{INIT}"):
            call()
    (fault,) = store.check()
    assert INIT in fault
    store.create()
    assert store.check() == ()
    assert store.check_token(single("alice", 0)) is Verdict.LIVE
    store.close()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE paseto_schema SET version = 0", f"older release: run '{INIT}"),
        ("UPDATE paseto_schema SET version = 99", "newer release: upgrade flask-"),
        ("DELETE FROM paseto_schema", f"not there: run '{INIT}"),
    ],
    ids=["older", "newer", "unfinished"],
)
def test_tables_of_another_release_are_refused(
    fresh: Store, database: str, statement: str, words: str
) -> None:
    change(database, statement)
    other = opened(database)

    (fault,) = other.check()
    with pytest.raises(ConfigurationError) as refused:
        other.check_token(single("alice", 0))

    assert words in fault
    assert words in str(refused.value)
    assert "PASETO_STORE" in str(refused.value)
    other.close()


def test_tables_are_brought_up_to_date(
    fresh: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = login(fresh, new_subject())
    later = schema.VERSION + 2
    steps: dict[int, tuple[str, ...]] = {
        schema.VERSION: (
            "ALTER TABLE paseto_tokens ADD COLUMN one INTEGER",
            "ALTER TABLE paseto_tokens ADD COLUMN two INTEGER",
        ),
        schema.VERSION + 1: ("UPDATE paseto_tokens SET one = two",),
    }
    monkeypatch.setattr(schema, "VERSION", later)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    other = opened(database)
    (fault,) = other.check()
    assert INIT in fault

    other.create()
    other.create()

    assert other.check() == ()
    assert other.check_token(ref(session)) is Verdict.LIVE
    change(database, "UPDATE paseto_tokens SET one = two")
    other.close()


def test_many_that_make_the_tables_at_once_do_no_harm(database: str) -> None:
    stores = [opened(database) for _ in range(6)]
    threads = [threading.Thread(target=store.create) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    cursors = {store.changes(None, horizon=DAY).cursor for store in stores}
    assert len({cursor.partition(":")[0] for cursor in cursors}) == 1
    for store in stores:
        store.close()


def test_what_worked_and_lost_its_tables_is_an_outage(
    fresh: Store, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    login(fresh, new_subject())
    change(database, "DROP TABLE paseto_tokens")

    with pytest.raises(StoreUnavailable):
        fresh.check_token(single("alice", 0))

    assert INIT in caplog.text
    assert "alice" not in caplog.text


def test_a_statement_that_is_wrong_is_no_outage(
    fresh: Store, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be one for ever, and where that is allowed let tokens in."""
    fresh.revoke_token("s3cret", reason="", until=None)
    change(database, "DELETE FROM paseto_tokens")
    change(database, "ALTER TABLE paseto_tokens ADD COLUMN x INT CHECK (at IS NULL)")

    with pytest.raises(StoreFault, match=r"^PASETO_STORE .*takes a statement") as fault:
        fresh.revoke_token("s3cret", reason="", until=None)

    assert "s3cret" not in str(fault.value) + caplog.text
    assert fault.value.__cause__ is None
    assert fault.value.__context__ is None


def test_a_store_without_its_incarnation_is_an_outage(
    fresh: Store, database: str
) -> None:
    cursor = fresh.changes(None, horizon=DAY).cursor
    change(database, "DELETE FROM paseto_schema")

    with pytest.raises(StoreUnavailable):
        fresh.changes(cursor, horizon=DAY)


# What is kept


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\\", "\\0000", "a\\d800\n'\"%s:x"])
def test_any_text_is_kept_as_it_is(fresh: Store, text: str) -> None:
    subject = f"{text}-{new_subject()}"
    issued = step(subject, jti=f"{text}-1", scopes=(text,), audience=(text,), data=text)
    session = login(fresh, subject, issued=issued, client=text, address=text)
    fresh.revoke_token(f"{text}-2", reason=text, until=None)
    fresh.revoke_subject(
        subject,
        reason=text,
        cut_off=0,
        until=None,
        except_session=session.session_id,
    )

    row = fresh.session(session.session_id)
    snapshot = Snapshot(fresh)
    snapshot.pull()

    assert fresh.list_sessions(subject) == (row,)
    assert row is not None
    assert (row.issued, row.client, row.address) == (issued, text, text)
    assert snapshot.tokens[f"{text}-2"].reason == text
    assert snapshot.cut_offs[subject].reason == text
    assert fresh.check_token(single(subject, 0)) is Verdict.REVOKED
    assert fresh.check_token(single("x", 0, f"{text}-2")) is Verdict.REVOKED
    assert fresh.check_token(single("x", 0, f"{text}-3")) is Verdict.LIVE


def test_everything_is_told_in_parts_while_more_comes(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PART", 3)
    store = opened(database)
    store.create()
    subjects = [f"sub:{number}" for number in range(4)]
    sessions = [login(store, subject).session_id for subject in subjects]
    for subject in subjects:
        store.revoke_subject(subject, reason="all", cut_off=0, until=None)
    for number in range(8):
        store.revoke_token(f"{number}", reason="lost", until=None)
    part = store.changes(None, horizon=DAY)
    told = [entry.id for entry in part.tokens + part.sessions]
    parts = [part]
    store.revoke_token("8", reason="lost", until=None)
    for _ in range(50):
        if not part.more:
            break
        part = store.changes(part.cursor, horizon=DAY)
        parts.append(part)
        told += [entry.id for entry in part.tokens + part.sessions]

    cut = [entry.subject for part in parts for entry in part.cut_offs]
    assert len(parts) == 6
    assert [part.reload for part in parts] == [True] + [False] * 5
    # From when the first began: what came meanwhile may be in none of them.
    assert len({part.cursor.split(":")[1] for part in parts}) == 1
    assert sorted(told) == sorted([*sessions, *map(str, range(9))])
    assert sorted(cut) == subjects
    store.close()


def test_a_pull_that_is_under_way_starts_over_in_another_incarnation(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PART", 2)
    store = opened(database)
    store.create()
    for number in range(3):
        store.revoke_token(f"{number}", reason="lost", until=None)
    part = store.changes(None, horizon=DAY)
    assert part.more
    change(database, "UPDATE paseto_schema SET incarnation = '0000000000000000'")

    part = store.changes(part.cursor, horizon=DAY)

    assert part.reload
    assert part.cursor.startswith("0" * 16)
    store.close()


def test_purging_removes_what_has_ended_in_parts(
    fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "PART", 3)
    subject, past = new_subject(), -MARGIN - SECOND
    for _ in range(7):
        login(fresh, subject, lifetime=past)
    login(fresh, subject, idle=past)
    revoked = login(fresh, subject)
    live = login(fresh, subject)
    fresh.revoke_session(revoked.session_id, reason="logout")
    soon = time.time_ns() // 1000 + SECOND
    for number in range(5):
        fresh.revoke_token(f"{number}", reason="lost", until=soon)
    fresh.revoke_token("kept", reason="lost", until=None)
    for until in (soon, None):
        fresh.revoke_subject(f"{until}", reason="all", cut_off=0, until=until)
    time.sleep(1.5)

    assert fresh.purge() == 8 + 5 + 1

    assert fresh.purge() == 0
    assert fresh.check_token(ref(live)) is Verdict.LIVE
    assert fresh.check_token(ref(revoked)) is Verdict.REVOKED
    assert fresh.check_token(single("x", 0, "kept")) is Verdict.REVOKED
    assert fresh.check_token(single("None", 0)) is Verdict.REVOKED


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize(
    "ends",
    [(-DAY, DAY), (-DAY, -MARGIN + MINUTE)],
    ids=["it was idle", "the leeway"],
)
def test_a_revoked_session_is_told_until_none_of_its_tokens_can_pass(
    database: str, fresh: Any, ends: tuple[int, int]
) -> None:
    """To its absolute end, and for the leeway after it."""
    session = login(fresh, new_subject())
    fresh.revoke_session(session.session_id, reason="logout")
    now = time.time_ns() // 1000
    set_ends(database, *(now + end for end in ends))

    assert fresh.purge() == 0
    worker = Snapshot(fresh)
    worker.pull()
    assert set(worker.sessions) == {session.session_id}

    set_ends(database, now - DAY, now - MARGIN)
    assert fresh.purge() == 1


def set_ends(url: str, idle: int, absolute: int) -> None:
    for column, end in (("idle_expires_at", idle), ("expires_at", absolute)):
        change(url, f"UPDATE paseto_sessions SET {column} = {end}")  # noqa: S608


def test_a_token_that_has_ended_may_be_revoked_anew(fresh: Store) -> None:
    now = time.time_ns() // 1000
    assert fresh.revoke_token("x", reason="lost", until=now + SECOND) is True
    time.sleep(1.5)

    assert fresh.revoke_token("x", reason="again", until=now + DAY) is True
    assert fresh.revoke_token("x", reason="third", until=now + DAY) is False

    snapshot = Snapshot(fresh)
    snapshot.pull()
    assert snapshot.tokens["x"].reason == "again"


@pytest.mark.requirement("ROT-2")
def test_a_clock_that_is_set_back_makes_no_grace(database: str, fresh: Any) -> None:
    session = login(fresh, new_subject())
    sid, jti = session.session_id, first(session).jti
    fresh.consume(sid, jti, step(session.subject), grace=0)
    change(database, "UPDATE paseto_sessions SET rotated_at = rotated_at + 60000000")

    answer = fresh.consume(sid, jti, step(session.subject), grace=0)

    assert answer.verdict is Verdict.REUSED


def test_a_revoked_refresh_token_of_no_session_is_said_to_be_revoked(
    fresh: Store,
) -> None:
    session = unopened(new_subject())
    token = ref(session, first(session).jti)
    fresh.revoke_token(token.jti, reason="lost", until=None)

    answer = fresh.check_refresh(token, grace=0)

    assert (answer.verdict, answer.session) == (Verdict.REVOKED, None)


def test_the_log_of_the_engine_shows_no_row_and_no_parameter(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    store = opened(database)
    store.create()
    session = login(store, "alice-secret")

    assert store.session(session.session_id) is not None
    store.close()

    assert "alice-secret" not in caplog.text
    assert session.session_id not in caplog.text


def test_the_log_of_the_engine_never_shows_a_parameter(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own logger tells of statements, for whoever wants them, and of no more."""
    caplog.set_level(logging.INFO, "sqlalchemy.engine.Engine.paseto")
    store = opened(database)
    store.create()
    session = login(store, "alice-secret")
    store.close()

    assert "INSERT INTO paseto_sessions" in caplog.text
    assert "alice-secret" not in caplog.text
    assert session.session_id not in caplog.text


# Beside others


def test_a_rollback_of_the_app_takes_no_revocation_back(database: str) -> None:
    app = Flask("tests")
    beside = database.replace("sessions.db", "app.db")
    app.config["SQLALCHEMY_DATABASE_URI"] = beside
    db = SQLAlchemy(app)

    class Item(db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)

    store = opened(database, 5)
    store.create()
    session = login(store, new_subject())
    with app.app_context():
        db.create_all()
        db.session.add(Item(id=1))
        db.session.flush()
        assert store.revoke_session(session.session_id, reason="logout") is True
        db.session.rollback()
        assert db.session.get(Item, 1) is None
        db.session.rollback()
        assert not set(db.metadata.tables) & set(schema.metadata.tables)
        db.engine.dispose()

    assert store.check_token(ref(session)) is Verdict.REVOKED
    store.close()


RACE = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from flask_paseto.stores import Issued, open_store

url, sid, jti, grace, start, number = sys.argv[1:]
store = open_store(url, clock=None, timeout=timedelta(seconds=60))
store.session(sid)

def work(thread):
    barrier.wait()
    time.sleep(max(0, float(start) - time.time()))
    new = Issued(jti=f"{number}-{thread}", issued_at=0, expires_at=None)
    used = store.consume_token(f"once-{jti}", until=None)
    answer = store.consume(sid, jti, new, grace=int(grace))
    return f"{answer.verdict} {new.jti} {answer.session.issued.jti} {used}"

barrier = threading.Barrier(16)
with ThreadPoolExecutor(16) as pool:
    print("\\n".join(pool.map(work, range(16))))
store.close()
"""


@pytest.mark.drill
@pytest.mark.requirement("ROT-1")
@pytest.mark.parametrize("grace", [0, 60 * SECOND], ids=["no grace", "grace"])
def test_processes_that_consume_one_token_commit_one_successor(
    fresh: Store, database: str, grace: int
) -> None:
    session = login(fresh, new_subject())
    jti, start = first(session).jti, time.time() + 3
    asked = [database, session.session_id, jti, str(grace), str(start)]
    racers = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", RACE, *asked, str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    lines = [
        line.split() for racer in racers for line in racer.communicate()[0].split("\n")
    ]
    answers = [line for line in lines if line]

    row = fresh.session(session.session_id)
    assert row is not None
    assert row.issued is not None
    assert len(answers) == 64
    assert [used for *_, used in answers].count("True") == 1
    won = [proposed for verdict, proposed, *_ in answers if verdict == "won"]
    assert won == [row.issued.jti]
    assert {stored for _, _, stored, _ in answers} == set(won)
    losers = sorted({verdict for verdict, *_ in answers} - {"won"})
    assert losers == (["retry"] if grace else ["reused", "revoked"])
    assert fresh.check_token(ref(session)) is (
        Verdict.LIVE if grace else Verdict.REVOKED
    )


FORK = """
import os, sys, threading
from datetime import timedelta
from flask_paseto.stores import TokenRef, open_store

store = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=20))
token = TokenRef(jti="x", subject="alice", issued_at=0)
stop = threading.Event()

def work():
    while not stop.is_set():
        store.revoke_token("y", reason="", until=None)

threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(10):
    store.check_token(token)
    pid = os.fork()
    if pid == 0:
        ok = store.check_token(token) == "live"
        ok = ok and store.revoke_token(f"child-{number}", reason="", until=None)
        store.close()
        os._exit(0 if ok else 9)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.check_token(token) == "live"
stop.set()
for thread in threads:
    thread.join()
told = {entry.id for entry in store.changes(None, horizon=0).tokens}
assert told == {"y", *(f"child-{number}" for number in range(10))}, told
store.close()
"""


def test_a_store_is_safe_after_a_fork(fresh: Store, database: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, database],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


INHERITED = """
import os, sys
from datetime import timedelta
from flask_paseto.errors import ConfigurationError
from flask_paseto.stores import open_store

store = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=0.25))
unused = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=0.25))
store.session("")
permits = store._caller.process.permits
permits.acquire()  # as a call does that is stuck on a disk
pid = os.fork()
if pid == 0:
    unused.session("")
    try:
        store.session("")
    except ConfigurationError as refused:
        os._exit(0 if "forked" in str(refused) else 8)
    os._exit(9)
assert os.waitpid(pid, 0)[1] == 0
permits.release()
store.session("")
pid = os.fork()
if pid == 0:
    store.session("")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_file_that_is_in_use_during_a_fork_is_refused_in_the_child(url: str) -> None:
    """The child would have the locks of its parent in mind, and not have them."""
    opened(url).create()

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", INHERITED, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_another_process_has_connections_of_its_own(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, parent = os.getpid(), fresh._caller.process
    login(fresh, "alice")
    file._pause()  # as a fork does
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    assert len(fresh.list_sessions("alice")) == 1

    assert fresh._caller.process is not parent
    fresh.close()
    monkeypatch.setattr(os, "getpid", lambda: pid)
    file._resume()
    file._resume()
    assert fresh._caller.process is parent
    assert len(fresh.list_sessions("alice")) == 1


def test_a_fork_waits_for_the_calls_under_way_and_closes_the_file(url: str) -> None:
    unused, store = opened(url), opened(url, 0.1)
    opened(url).create()
    store.session("")
    process = store._caller.process
    assert process.pool.may_be_inherited() is False
    process.permits.acquire()
    file._pause()
    assert process.pool.may_be_inherited() is False
    process.permits.release()
    file._pause()
    assert process.pool.may_be_inherited() is True
    with pytest.raises(StoreUnavailable):
        store.session("")
    file._resume()
    assert store.session("") is None
    unused.close()
    store.close()


def test_a_child_refuses_a_file_that_is_open_in_its_parent(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pid = opened(url), os.getpid()
    store.create()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    with pytest.raises(ConfigurationError, match=r"PASETO_STORE .* forked"):
        store.session("")

    monkeypatch.setattr(os, "getpid", lambda: pid)
    store.close()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert store.session("") is None
    store.close()


def test_threads_that_are_more_than_connections_wait_their_turn(fresh: Store) -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert fresh.check_token(single("alice", 0)) is Verdict.LIVE
                assert fresh.revoke_token(new_id(""), reason="", until=None)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []


# SQLite: outage


@pytest.fixture
def hasty(url: str) -> Iterator[Any]:
    """Return a store in a file, with the time-out of the defaults."""
    opened(url).create()
    store = opened(url, 0.25)
    store.session("")
    yield store
    store.close()


def assert_unavailable(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Assert that a call ends in time and as an outage, without a driver's words."""
    caplog.clear()
    start = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        call()
    assert time.monotonic() - start < 2
    assert (refused.value.code, refused.value.error_code) == (503, "store_unavailable")
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert "the store is unavailable: " in caplog.text


@pytest.mark.requirement("REV-2")
def test_a_locked_file_is_an_outage_for_writers_alone(
    hasty: Store, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = login(hasty, new_subject())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert_unavailable(
            lambda: hasty.revoke_session(session.session_id, reason="x"), caplog
        )
        assert "SQLITE_BUSY" in caplog.text
        assert hasty.check_token(ref(session)) is Verdict.LIVE

        other.execute("ROLLBACK")
    assert hasty.revoke_session(session.session_id, reason="x") is True


@pytest.mark.requirement("ROT-1")
def test_who_waited_for_a_file_reads_what_was_written_meanwhile(
    url: str, path: Path
) -> None:
    """A transaction that begins with a look would be refused at its first change."""
    patient = opened(url)
    patient.create()
    session = login(patient, new_subject())
    sid, jti = session.session_id, first(session).jti
    writing = patient._caller.process.writing
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE paseto_sessions SET client = ''")
        waiting = pool.submit(
            patient.consume, sid, jti, step(session.subject), grace=10 * SECOND
        )
        postgresql.until(writing.locked, "the wait for the lock")
        time.sleep(0.2)
        other.execute("COMMIT")
        answer = waiting.result(60)

    assert answer.verdict is Verdict.WON
    assert answer.session.client == ""
    patient.close()


def test_a_thread_that_writes_for_long_is_an_outage_for_others(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    patient = opened(url)
    patient.create()
    process = patient._caller.process
    hasty = opened(url, 0.25)
    hasty.session("")
    with hasty._caller.process.writing:
        assert_unavailable(lambda: login(hasty, "alice"), caplog)
    assert process.admitted is False
    login(hasty, "alice")
    hasty.close()
    patient.close()


def test_more_threads_than_connections_are_an_outage_in_the_end(
    hasty: Any, caplog: pytest.LogCaptureFixture
) -> None:
    permits = hasty._caller.process.permits
    held = 0
    while permits.acquire(blocking=False):
        held += 1

    assert_unavailable(lambda: hasty.session(""), caplog)

    permits.release(held)
    assert hasty.session("") is None


def test_a_full_disk_is_an_outage_for_writers_alone(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    opened(url).create()
    store = opened(url, 0.25)
    event.listen(Pool, "connect", fill)
    try:
        session = unopened("alice")
        for _ in range(200):
            try:
                login(store, "alice", data="x" * 2000)
            except (StoreUnavailable, TypeError):
                break
        big = step("alice", data="x" * 50_000)
        assert_unavailable(lambda: login(store, "alice", issued=big), caplog)
        assert "SQLITE_FULL" in caplog.text
        assert store.check_token(ref(session)) is Verdict.MISSING
    finally:
        event.remove(Pool, "connect", fill)
    store.close()
    assert login(store, "alice", issued=big)
    store.close()


READ_ONLY = """
import os, sys
from datetime import timedelta
from flask_paseto import StoreUnavailable
from flask_paseto.stores import open_store

store = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=20))
store.session("")  # all is imported
store.close()
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
for _ in range(3):
    print(store.session(""))
    try:
        print(store.revoke_token("x", reason="", until=None))
    except StoreUnavailable:
        print("unavailable")
    sys.stdout.flush()
    sys.stdin.readline()
store.close()
"""


def test_a_file_that_is_read_only_is_an_outage_until_it_is_not() -> None:
    """To a worker that opened it so, too: its connections could never write."""
    # Not in `tmp_path`, where nobody but its owner may look.
    with TemporaryDirectory(prefix="fp-") as directory:
        folder = Path(directory)
        url = f"sqlite:///{folder / 'sessions.db'}"
        writer = opened(url)
        writer.create()
        writer.revoke_token("y", reason="", until=None)  # its log is there, too
        allow(folder, 0o555, 0o444)
        with subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", READ_ONLY, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            found = [reader.stdout.readline().strip() for _ in range(2)]
            reader.stdin.write("\n")
            reader.stdin.flush()
            found += [reader.stdout.readline().strip() for _ in range(2)]
            allow(folder, 0o777, 0o666)
            rest, _ = reader.communicate("\n\n", timeout=60)
        writer.close()

    assert found == ["None", "unavailable", "None", "unavailable"]
    assert rest.split() == ["None", "True"]
    assert reader.returncode == 0


def allow(folder: Path, mode: int, mode_inside: int) -> None:
    folder.chmod(mode)
    for inside in folder.iterdir():
        inside.chmod(mode_inside)


def test_a_file_that_was_removed_or_replaced_is_not_used_any_more(
    hasty: Store, path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = login(hasty, new_subject())
    path.unlink()

    assert_unavailable(lambda: hasty.check_token(ref(session)), caplog)

    for rest in path.parent.iterdir():
        rest.unlink()
    opened(url).create()
    assert hasty.check_token(ref(session)) is Verdict.MISSING


def test_a_file_that_is_no_database_is_a_fault(path: Path, url: str) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at " * 100)

    with pytest.raises(ConfigurationError, match="no SQLite database"):
        opened(url).session("")


def test_a_file_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path / 'nowhere' / 'sessions.db'}")

    with pytest.raises(ConfigurationError, match="make its directory"):
        store.create()
    with pytest.raises(ConfigurationError, match=INIT):
        store.session("")


def test_a_file_without_a_write_ahead_log_is_told(path: Path, url: str) -> None:
    store = opened(url)
    store.create()
    store.close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE")

    (fault,) = store.check()

    assert "write-ahead log" in fault
    store.create()
    assert store.check() == ()
    store.close()


def test_a_file_that_takes_no_write_ahead_log_is_a_fault(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network's file system, where processes share no memory."""
    connect = sqlite3.connect

    def connect_without_memory(name: str, **options: Any) -> sqlite3.Connection:
        return connect(f"{name}&vfs=unix-dotfile", **options)

    monkeypatch.setattr(sqlite3, "connect", connect_without_memory)
    store = opened(url)

    with pytest.raises(ConfigurationError, match=r"PASETO_STORE .* local disk"):
        store.create()
    store.close()


def test_a_commit_is_on_the_disk_when_it_returns(hasty: Any) -> None:
    """FULL, 2: with NORMAL a loss of power would take a revocation back."""
    with hasty._caller.process.pool.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_revocation_survives_the_death_of_its_process(path: Path, url: str) -> None:
    opened(url).create()
    script = (
        "import os, sys; from datetime import timedelta; "
        "from flask_paseto.stores import open_store; "
        "store = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=20)); "
        "store.revoke_token('x', reason='', until=None); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, url], check=False)  # noqa: S603
    assert done.returncode == -9

    store = opened(url)
    assert store.check_token(single("alice", 0, "x")) is Verdict.REVOKED
    store.close()
