"""A store is opened by its URL, ids carry their bucket, memory is one process's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flask_paseto.errors import ConfigurationError
from flask_paseto.stores import (
    MARGIN,
    MemoryStore,
    NewSession,
    Store,
    Verdict,
    id_bucket,
    keep_until,
    micros,
    moment,
    new_id,
    open_store,
    subject_bucket,
)
from flask_paseto.testing import Clock

from .stores import DAY, SECOND, first, login, new_subject, ref, single, step

TIMEOUT = timedelta(milliseconds=250)

REDIS = [
    f"{scheme}{way}" for scheme in ("redis", "rediss", "valkey", "valkeys")
    for way in ("", "+cluster", "+sentinel")
]  # fmt: skip
SQL = ["sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"]


def utc_now() -> datetime:
    return datetime.now(UTC)


# Opening


def test_memory_is_opened_anew_each_time() -> None:
    one, two = (
        open_store("memory://", clock=utc_now),
        open_store("memory://", clock=utc_now),
    )

    assert type(one) is MemoryStore
    session = login(one, new_subject())
    assert two.check_token(ref(session)) is Verdict.MISSING


def test_memory_reads_the_clock_it_is_given() -> None:
    clock = Clock(datetime(2030, 1, 1, tzinfo=UTC))
    store = open_store("memory://", clock=clock)

    session = login(store, new_subject())

    row = store.session(session.session_id)
    assert row is not None
    assert moment(row.opened_at) == clock.time


@pytest.mark.parametrize(
    ("name", "url"),
    [
        *(("redis", f"{scheme}://u:s3cret@localhost/0") for scheme in REDIS),
        *(("sqlalchemy", f"{scheme}://u:s3cret@localhost/db") for scheme in SQL),
        ("redis", "REDIS://localhost"),
        ("sqlalchemy", "sqlite:///"),
    ],
)
def test_a_scheme_opens_its_store(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    module = ModuleType(name)
    opened: list[tuple[str, timedelta]] = []
    store = MemoryStore(clock=utc_now)

    def opener(url: str, *, timeout: timedelta) -> Store:
        opened.append((url, timeout))
        return store

    setattr(module, f"open_{name}", opener)
    monkeypatch.setitem(sys.modules, f"flask_paseto.stores.{name}", module)

    assert open_store(url, clock=utc_now, timeout=TIMEOUT) is store
    assert opened == [(url, TIMEOUT)]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("redis", "rediss+cluster://u:s3cret@localhost"),
        ("sqlalchemy", "postgresql+psycopg://u:s3cret@localhost/db"),
    ],
    ids=["redis", "sqlalchemy"],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setitem(sys.modules, f"flask_paseto.stores.{name}", None)

    with pytest.raises(ConfigurationError) as refused:
        open_store(url, clock=utc_now)

    message = str(refused.value)
    assert message.startswith("PASETO_STORE ")
    assert f"pip install 'flask-paseto-auth[{name}]'" in message
    assert "s3cret" not in message
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:",
        "memory:///",
        "memory://s3cret",
        "mysql://u:s3cret@localhost",
        "postgres://u:s3cret@localhost",
        "redis:s3cret",
        "redis+tls://u:s3cret@localhost",
        "redis+://localhost",
        "redisss://localhost",
        "+redis://localhost",
        " redis://localhost",
        "http://s3cret",
        "s3cret",
        "sqlite",
        "é://s3cret",
    ],
)
def test_an_unknown_store_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_store(url, clock=utc_now)

    message = str(refused.value)
    assert message.startswith("PASETO_STORE ")
    assert "'redis://" in message
    assert "s3cret" not in message


def test_an_object_with_the_methods_is_taken_as_it_is() -> None:
    store = MemoryStore(clock=utc_now)

    assert open_store(store, clock=utc_now) is store


@pytest.mark.parametrize("store", [None, 5, b"memory://", object(), Path("x")])
def test_an_object_without_the_methods_is_refused(store: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^PASETO_STORE .*check_token"):
        open_store(store, clock=utc_now)


def test_the_methods_that_an_object_lacks_are_named() -> None:
    class Half(MemoryStore):
        consume: Any = None
        purge: Any = "later"

    with pytest.raises(
        ConfigurationError, match=r"^PASETO_STORE is an object without consume, purge:"
    ):
        open_store(Half(clock=utc_now), clock=utc_now)


# Ids and times


def test_an_id_carries_the_bucket_of_its_subject() -> None:
    for subject in ("alice", "", "Zoë", "\ud800", new_subject()):
        ids = {new_id(subject) for _ in range(50)}

        assert len(ids) == 50
        assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
        assert {id_bucket(one) for one in ids} == {subject_bucket(subject)}


def test_a_bucket_stays_what_it_is() -> None:
    """It is in the keys of stores and in tokens that are out: never change it."""
    assert subject_bucket("alice") == "2b"  # SHA-256 begins with 2bd806c9
    assert id_bucket("17" + "0" * 30) == "17"


@pytest.mark.parametrize(
    "foreign",
    ["", "17", "17" + "0" * 31, "17" + "0" * 29 + "\n", "AB" + "0" * 30, "é" * 32],
)
def test_an_id_that_is_not_ours_has_the_bucket_of_its_hash(foreign: str) -> None:
    assert id_bucket(foreign) == subject_bucket(foreign)
    assert re.fullmatch("[0-9a-f]{2}", id_bucket(foreign))


def test_buckets_are_used_evenly() -> None:
    buckets = {subject_bucket(f"user-{number}") for number in range(10_000)}

    assert len(buckets) == 256


def test_times_are_exact_to_the_microsecond() -> None:
    east = timezone(timedelta(hours=2))
    for text in ("1970-01-01", "2026-11-25T13:00:00.000001", "9999-12-31T23:59:59.9"):
        time = datetime.fromisoformat(text).replace(tzinfo=east)
        assert moment(micros(time)) == time
    assert micros(datetime(1970, 1, 1, 2, tzinfo=east)) == 0
    assert micros(timedelta(milliseconds=250)) == 250_000


def test_a_token_is_remembered_for_twice_the_leeway() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)

    assert keep_until(end, timedelta(seconds=10)) == micros(end) + 20 * SECOND
    assert keep_until(None, timedelta(seconds=10)) is None


# Memory


def test_memory_forgets_what_has_ended_and_nothing_else() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    subject, now = new_subject(), micros(clock.time)
    short = login(store, subject, idle=SECOND)
    long = login(store, subject)
    ended = login(store, subject, idle=SECOND)
    store.revoke_session(ended.session_id, reason="logout")
    alone = login(store, new_subject(), lifetime=SECOND)
    jtis = [new_id(subject) for _ in range(4)]
    for jti, until in zip(jtis, (SECOND, SECOND, DAY, None), strict=True):
        end = None if until is None else now + until
        store.revoke_token(jti, reason="lost", until=end)
    store.revoke_token(jtis[1], reason="lost", until=now + DAY)
    store.revoke_subject(alone.subject, reason="x", cut_off=0, until=now + SECOND)
    clock.advance(2 + MARGIN / SECOND)

    assert store.purge() == 4

    kept = [store.session(one.session_id) for one in (short, long, ended, alone)]
    assert [row is not None for row in kept] == [False, True, True, False]
    tokens = [store.check_token(single(subject, 0, jti)) for jti in jtis]
    assert tokens == [Verdict.LIVE, *[Verdict.REVOKED] * 3]


def test_memory_removes_a_bounded_number_at_each_call() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    until = micros(clock.time) + SECOND
    for _ in range(500):
        store.revoke_token(new_id("alice"), reason="lost", until=until)
    late = single("alice", 0)
    store.revoke_token(late.jti, reason="lost", until=until)
    store.revoke_subject("bob", reason="all", cut_off=0, until=until + 1)
    clock.advance(2)

    assert store.check_token(late) is Verdict.LIVE  # ended, though still there
    assert store.check_token(single("bob", 0)) is Verdict.LIVE
    assert store.consume_token(late.jti, until=until) is False
    told = store.changes(None, horizon=DAY)
    assert (told.tokens, told.cut_offs) == ((), ())
    removed = store.purge()
    assert 0 < removed < 502
    assert store.purge() == 0


def test_memory_uses_a_token_again_only_after_its_end() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    until = micros(clock.time) + SECOND
    for _ in range(300):  # more than one call removes
        store.revoke_token(new_id("alice"), reason="lost", until=until)
    store.consume_token("last", until=until)
    clock.advance(1)

    later = micros(clock.time) + DAY
    assert store.consume_token("last", until=later) is True
    store.purge()
    assert store.consume_token("last", until=later) is False
    clock.advance(timedelta(days=1))
    assert store.purge() == 1
    assert store.consume_token("last", until=later) is False


def test_a_clock_that_is_set_back_makes_no_grace() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    session = login(store, new_subject())
    jti, proposed = first(session).jti, [step(session.subject) for _ in range(2)]
    store.consume(session.session_id, jti, proposed[0], grace=0)
    clock.advance(-5)

    answer = store.consume(session.session_id, jti, proposed[1], grace=0)

    assert answer.verdict is Verdict.REUSED


def test_memory_warns_once_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(clock=utc_now)
    pid = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.session("")
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    with pytest.warns(RuntimeWarning, match="PASETO_STORE is 'memory://' in several"):
        store.session("")
    store.session("")


FORK = """
import os, threading, warnings
from datetime import UTC, datetime
from flask_paseto.stores import MemoryStore

store, stop = MemoryStore(clock=lambda: datetime.now(UTC)), threading.Event()

def work():
    while not stop.is_set():
        store.revoke_token("a", reason="", until=None)

threading.Thread(target=work, daemon=True).start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            store.session("")
            store.session("")
        os._exit(0 if [w.category for w in caught] == [RuntimeWarning] else 9)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
"""


def test_a_child_that_is_forked_is_warned_and_never_waits_for_a_thread() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORK], capture_output=True, timeout=120, check=False
    )

    assert done.stderr == b"" or b"DeprecationWarning" in done.stderr
    assert done.returncode == 0


def test_memory_is_safe_in_threads() -> None:
    store, subject = MemoryStore(clock=utc_now), new_subject()
    opened: list[NewSession] = []

    def work() -> None:
        for _ in range(50):
            session = login(store, subject)
            opened.append(session)
            store.list_sessions(subject)
            store.changes(None, horizon=DAY)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(opened) == 400
    assert len(store.list_sessions(subject)) == 400
