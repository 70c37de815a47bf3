"""A Redis that is down, stopped, slow, full, read-only or empty answers no question.

Each is a `StoreUnavailable` within about the time allowed, whatever the driver raised,
and the same store object works again within a second of the server's return.
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from flask_paseto import StoreUnavailable
from flask_paseto.errors import StoreFault
from flask_paseto.stores import NewSession, Store, Verdict, new_id, open_store

from .stores import (
    DAY,
    GRACE,
    first,
    login,
    new_subject,
    no_clock,
    ref,
    single,
    step,
    unopened,
)
from .valkey import Server, far, server, until

pytestmark = pytest.mark.outage

# Most of these servers refuse at once. Where only the limit of time ends a call, it is
# the default one.
TIMEOUT = timedelta(seconds=5)
DEFAULT = timedelta(milliseconds=250)
SOON = 2.0

Call = Callable[[Store, NewSession], Any]
READS: dict[str, Call] = {
    "check_token": lambda store, one: store.check_token(ref(one)),
    "check_token, single": lambda store, one: store.check_token(single(one.subject, 0)),
    "session": lambda store, one: store.session(one.session_id),
    "list_sessions": lambda store, one: store.list_sessions(one.subject),
    "changes": lambda store, one: store.changes(None, horizon=DAY),
}
WRITES: dict[str, Call] = {
    "open_session": lambda store, one: store.open_session(unopened(one.subject)),
    "attach": lambda store, one: store.attach(one.session_id, step(one.subject)),
    "check_refresh": lambda store, one: store.check_refresh(
        ref(one, first(one).jti), grace=GRACE
    ),
    "consume": lambda store, one: store.consume(
        one.session_id, first(one).jti, step(one.subject), grace=GRACE
    ),
    "consume_token": lambda store, one: store.consume_token(
        new_id(one.subject), until=None
    ),
    "revoke_token": lambda store, one: store.revoke_token(
        new_id(one.subject), reason="lost", until=None
    ),
    "revoke_session": lambda store, one: store.revoke_session(
        one.session_id, reason="logout"
    ),
    "revoke_subject": lambda store, one: store.revoke_subject(
        one.subject, reason="all", cut_off=0, until=None
    ),
    "create": lambda store, one: store.create(),
}
CALLS = {**READS, **WRITES}


@dataclass(frozen=True, slots=True)
class Outage:
    """A store whose server a test may harm, and a session in it."""

    server: Server
    store: Store
    session: NewSession


@pytest.fixture
def outage() -> Iterator[Outage]:
    with server() as started:
        yield ready(started)


def ready(started: Server) -> Outage:
    store = open_store(started.url, clock=no_clock, timeout=TIMEOUT)
    store.create()
    return Outage(started, store, login(store, new_subject()))


def hurried(outage: Outage) -> Outage:
    """Return the same with the default time-out, its connection opened."""
    store = open_store(outage.server.url, clock=no_clock, timeout=DEFAULT)
    hurried = replace(outage, store=store)
    until(lambda: is_live(hurried), "an answer in time")
    return hurried


def assert_unavailable(outage: Outage, calls: dict[str, Call] = CALLS) -> None:
    """Assert that each call is refused in time, as the house refuses."""
    for name, call in calls.items():
        started = time.monotonic()
        with pytest.raises(StoreUnavailable) as refused:
            call(outage.store, outage.session)
        assert time.monotonic() - started < SOON, name
        assert refused.value.code == 503
        assert refused.value.error_code == "store_unavailable"
        assert refused.value.get_response().headers["Retry-After"] == "1"
        assert refused.value.__cause__ is refused.value.__context__ is None


def assert_well_again(outage: Outage) -> None:
    """Assert that the same store answers within a second, all calls of it."""
    until(lambda: is_live(outage), "recovery", 1.0)
    for call in CALLS.values():
        until(lambda: answers(call, outage), "an answer in time")  # noqa: B023


def answers(call: Call, outage: Outage) -> bool:
    try:
        call(outage.store, outage.session)
    except StoreUnavailable:  # the machine is busy
        return False
    return True


def is_live(outage: Outage) -> bool:
    return verdict(outage, outage.session) is Verdict.LIVE


def verdict(outage: Outage, session: NewSession) -> Verdict | None:
    try:
        return outage.store.check_token(ref(session))
    except StoreUnavailable:
        return None


@pytest.mark.requirement("REV-2")
def test_a_server_that_is_killed_answers_nothing_and_the_store_recovers(
    outage: Outage,
) -> None:
    outage.server.kill()
    assert_unavailable(outage)
    outage.server.start()

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_server_that_is_stopped_answers_nothing_and_the_store_recovers(
    outage: Outage,
) -> None:
    """It still takes connections, so only a limit of time ends a call."""
    outage = hurried(outage)
    with outage.server.stopped():
        assert_unavailable(outage)

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_server_that_is_slow_answers_nothing_and_the_store_recovers(
    outage: Outage,
) -> None:
    outage = hurried(outage)
    with outage.server.admin as admin:
        sleeper = threading.Thread(
            target=admin.execute_command, args=("DEBUG", "SLEEP", "4")
        )
        sleeper.start()
        time.sleep(0.3)
        assert_unavailable(outage, {"check_token": CALLS["check_token"]})
        assert_unavailable(outage, {"consume": CALLS["consume"]})
        sleeper.join()

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_late_answer_is_never_the_answer_to_another_question(
    outage: Outage,
) -> None:
    """The server answers LIVE after we gave up; the next question is of one revoked."""
    revoked = login(outage.store, new_subject())
    outage.store.revoke_session(revoked.session_id, reason="logout")
    quick = hurried(outage)
    for _ in range(5):
        with outage.server.stopped():
            assert_unavailable(quick, {"check_token": CALLS["check_token"]})
        found = until(lambda: verdict(quick, revoked), "an answer in time")
        assert found is Verdict.REVOKED
        found = until(lambda: verdict(quick, quick.session), "an answer in time")
        assert found is Verdict.LIVE


@pytest.mark.requirement("REV-2")
def test_a_server_that_is_full_takes_no_writing_and_answers_what_it_knows(
    outage: Outage,
) -> None:
    with outage.server.admin as admin:
        admin.config_set("maxmemory", "1mb")
        assert_unavailable(outage, WRITES)
        token = ref(outage.session)
        assert outage.store.check_token(token) is Verdict.LIVE
        assert outage.store.list_sessions(outage.session.subject) != ()
        admin.config_set("maxmemory", "0")

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_server_whose_disk_is_full_answers_nothing_and_the_store_recovers(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """Of its log of writes; MISCONF, with which it refuses every script."""
    with outage.server.admin as admin:
        admin.config_set("appendfsync", "everysec")  # else it ends
        outage.server.limit_files(0)
        until(lambda: refuses_writes(admin), "MISCONF")
        assert_unavailable(outage)
        assert "the store is unavailable" in caplog.text
        outage.server.limit_files(resource.RLIM_INFINITY)
        until(lambda: not refuses_writes(admin), "room on the disk")

    assert_well_again(outage)


def refuses_writes(admin: Redis) -> bool:
    try:
        admin.set("probe", "")
    except ResponseError as error:
        return str(error).startswith("MISCONF")
    return False


@pytest.mark.requirement("REV-2")
def test_a_server_that_ends_of_a_full_disk_is_an_outage_until_it_is_started(
    outage: Outage,
) -> None:
    """With `appendfsync always` it does not say yes to what is not on the disk."""
    outage.server.limit_files(0)
    for _ in range(2):
        assert_unavailable(outage, {"revoke_session": CALLS["revoke_session"]})
    assert_unavailable(outage)

    outage.server.kill()
    outage.server.start()
    assert verdict(outage, outage.session) is Verdict.LIVE


@pytest.mark.requirement("REV-2")
def test_a_server_that_became_a_replica_answers_nothing_even_to_read(
    outage: Outage,
) -> None:
    """It would go on with old data, and never learn of a revocation again."""
    with outage.server.admin as admin:
        admin.replicaof("127.0.0.1", "1")
        assert_unavailable(outage)
        admin.replicaof("NO", "ONE")

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_server_that_wants_more_replicas_answers_nothing(outage: Outage) -> None:
    with outage.server.admin as admin:
        admin.config_set("min-replicas-to-write", "1")
        assert_unavailable(outage)
        admin.config_set("min-replicas-to-write", "0")

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_a_server_that_lost_its_data_answers_nothing_until_it_is_marked_anew(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that was revoked is not there any more: it would pass."""
    token = single(new_subject(), 1)
    outage.store.revoke_token(token.jti, reason="lost", until=None)
    cursor = outage.store.changes(None, horizon=DAY).cursor
    with outage.server.admin as admin:
        admin.flushall()

    with caplog.at_level(logging.WARNING, "flask_paseto"):
        calls = {name: call for name, call in CALLS.items() if name != "create"}
        assert_unavailable(outage, calls)
    assert "flask paseto store init" in caplog.text
    assert any("flask paseto store init" in fault for fault in outage.store.check())

    outage.store.create()
    assert outage.store.check() == ()
    assert outage.store.check_token(ref(outage.session)) is Verdict.MISSING
    assert outage.store.changes(cursor, horizon=DAY).reload is True


@pytest.mark.requirement("REV-2")
def test_a_bucket_that_is_lost_alone_answers_nothing(outage: Outage) -> None:
    """On a cluster, one master may be lost with all that it had."""
    bucket = outage.session.session_id[:2]
    with outage.server.admin as admin:
        admin.delete(f"fp:{{{bucket}}}:i")

    calls = {name: call for name, call in CALLS.items() if name != "create"}
    assert_unavailable(outage, calls)
    other = next(
        subject
        for subject in (new_subject() for _ in range(1000))
        if not new_id(subject).startswith(bucket)
    )
    assert outage.store.check_token(single(other, 0)) is Verdict.LIVE
    outage.store.create()
    assert outage.store.check_token(ref(outage.session)) is Verdict.LIVE
    assert outage.store.check() == ()


def test_data_that_is_not_ours_is_no_outage(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be one for ever, and where that is allowed let the token in."""
    sid = outage.session.session_id
    key = f"fp:{{{sid[:2]}}}:s:{sid}"
    with outage.server.admin as admin:
        admin.delete(key)
        admin.lpush(key, "s3cret")

    unused = open_store(outage.server.url, clock=no_clock, timeout=TIMEOUT)
    for store in (outage.store, unused):
        with pytest.raises(StoreFault, match=r"^PASETO_STORE .*of its own") as refused:
            store.check_token(ref(outage.session))
        assert refused.value.__cause__ is refused.value.__context__ is None
        store.close()

    assert caplog.text == ""


@pytest.mark.requirement("REV-2")
def test_a_script_that_the_server_forgot_is_sent_again(outage: Outage) -> None:
    with outage.server.admin as admin:
        admin.script_flush()

    assert_well_again(outage)


@pytest.mark.requirement("REV-2")
def test_connections_that_the_server_closed_are_opened_again(outage: Outage) -> None:
    for _ in range(3):
        with outage.server.admin as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
        assert outage.store.check_token(ref(outage.session)) is Verdict.LIVE


@pytest.mark.requirement("REV-2")
def test_no_call_fails_of_a_connection_from_before_a_restart(outage: Outage) -> None:
    """It is seen before it is used that the server closed it."""
    together = threading.Barrier(8)

    def ask(_: int) -> Verdict:
        together.wait(60)
        return outage.store.check_token(ref(outage.session))

    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert set(threads.map(ask, range(8))) == {Verdict.LIVE}
            outage.server.kill()
            outage.server.start()


@pytest.mark.requirement("REV-2")
def test_a_server_that_answers_in_time_is_reached_however_close_that_is(
    outage: Outage,
) -> None:
    """What it takes to connect is not taken off the time of the call."""
    with far(outage.server, 1.2) as url:
        store = open_store(url, clock=no_clock, timeout=timedelta(seconds=2))
        hurried = replace(outage, store=store)
        until(lambda: is_live(hurried), "an answer of a server that is far", 60)
        store.close()


def test_a_new_connection_asks_one_question_before_the_first(outage: Outage) -> None:
    outage.store.close()
    with commands_counted(outage.server) as counted:
        assert is_live(outage)
        found = counted()

    assert (found.get("info"), found.get("evalsha")) == (1, 1)
    assert not {"client|setinfo", "hello", "select", "auth"} & found.keys()


@pytest.mark.requirement("REV-2")
def test_more_connections_than_are_allowed_are_refused_in_time(
    outage: Outage,
) -> None:
    url = f"{outage.server.url}?max_connections=1"
    small = open_store(url, clock=no_clock, timeout=timedelta(seconds=5))
    small.check_token(ref(outage.session))
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(small.check_token(ref(outage.session)))
        except StoreUnavailable as refused:
            answers.append(refused)

    with outage.server.stopped():
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 2, "two refusals", 3.0)
    for thread in threads:
        thread.join()

    assert answers.count(Verdict.LIVE) == 1
    small.close()


@contextmanager
def commands_counted(started: Server) -> Iterator[Callable[[], dict[str, int]]]:
    with started.admin as admin:
        admin.config_resetstat()

        def counted() -> dict[str, int]:
            found: Any = admin.info("commandstats")
            return {
                name.removeprefix("cmdstat_"): int(stats["calls"])
                for name, stats in found.items()
            }

        yield counted


@pytest.mark.parametrize("name", [n for n in CALLS if n not in ("create",)])
def test_a_call_is_one_script_and_nothing_else(outage: Outage, name: str) -> None:
    """Of the commands that clients send, since the first call knows the connection."""
    CALLS[name](outage.store, outage.session)
    session = login(outage.store, new_subject())
    with commands_counted(outage.server) as counted:
        CALLS[name](outage.store, session)
        found = counted()

    assert found.get("evalsha") == 1
    sent = {
        "eval",
        "wait",
        "auth",
        "select",
        "hello",
        "client|setinfo",
        "cluster|slots",
    }
    assert not sent & found.keys()
