"""PostgreSQL that is killed, stopped, slow, full, read-only, or not for us."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any

import pytest

from flask_paseto.errors import ConfigurationError, StoreFault, StoreUnavailable
from flask_paseto.stores import Store, Verdict, micros, moment, new_id, open_store
from flask_paseto.stores.sqlalchemy.calls import CONNECTIONS

from .postgresql import PASSWORD, Server, other, shared, until
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
)

pytestmark = pytest.mark.outage

TIMEOUT = 0.75
# Much more than that, since the machine may be busy; much less than what a driver's
# own time-outs make of it.
BOUND = 1.9


def opened(url: str, seconds: float = TIMEOUT) -> Any:
    return open_store(url, clock=no_clock, timeout=timedelta(seconds=seconds))


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server to be maltreated; it runs well again afterwards."""
    server = other()
    with server.fresh() as name:
        server.database = name
        yield server
        server.signal(signal.SIGCONT)
        server.ensure()


@pytest.fixture
def store(server: Server) -> Iterator[Any]:
    """Return a store on it that has worked."""
    url = server.url(database=server.database)
    patient = opened(url, 20)
    patient.create()
    patient.close()
    store = opened(url)
    until(lambda: works(store), "the first call")
    yield store
    store.close()


def works(store: Store) -> bool:
    with suppress(StoreUnavailable):
        return store.session("") is None
    return False


def assert_unavailable(call: Callable[[], Any]) -> None:
    """Assert that a call ends in time, as an outage, without a driver's words."""
    start = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        call()
    assert time.monotonic() - start < BOUND
    assert (refused.value.code, refused.value.error_code) == (503, "store_unavailable")
    assert refused.value.get_response().headers["Retry-After"] == "1"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def recovers(store: Store) -> float:
    """Return how long it took until a store answered again."""
    start = time.monotonic()
    until(lambda: works(store), "the recovery", 20)
    return time.monotonic() - start


CALLS: dict[str, Callable[[Store], Any]] = {
    "check_token": lambda store: store.check_token(single("alice", 0)),
    "check_refresh": lambda store: store.check_refresh(
        ref(login_of("alice")), grace=GRACE
    ),
    "consume": lambda store: store.consume("s", "j", step("alice"), grace=GRACE),
    "consume_token": lambda store: store.consume_token("j", until=None),
    "revoke_session": lambda store: store.revoke_session("s", reason="x"),
    "revoke_subject": lambda store: store.revoke_subject(
        "alice", reason="x", cut_off=0, until=None
    ),
    "open_session": lambda store: store.open_session(login_of("alice")),
    "changes": lambda store: store.changes(None, horizon=DAY),
    "purge": lambda store: store.purge(),
    "check": lambda store: store.check(),
}


def login_of(subject: str) -> Any:
    from .stores import unopened

    return unopened(subject)


OUT_OF_SOMETHING = {
    "08006": "connection_failure",
    "25006": "read_only_sql_transaction",
    "40P01": "deadlock_detected",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "configuration_limit_exceeded",
    "54000": "program_limit_exceeded",
    "55P03": "lock_not_available",
    "57014": "query_canceled",
    "57P01": "admin_shutdown",
    "57P03": "cannot_connect_now",
    "58000": "system_error",
    "58030": "io_error",
    "58P01": "undefined_file",
    "F0000": "config_file_error",
    "XX000": "internal_error",
    "XX001": "data_corrupted",
    "XX002": "index_corrupted",
}
OURS = {
    "0A000": "feature_not_supported",
    "22003": "numeric_value_out_of_range",
    "23514": "check_violation",
    "42601": "syntax_error",
    "42883": "undefined_function",
}


def raise_in(server: Server, state: str) -> None:
    """Have a new token answered with an error of that SQLSTATE."""
    server.ask(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 's3cret' USING ERRCODE = '{state}'; END$$; "
        "CREATE TRIGGER fail BEFORE INSERT ON paseto_tokens "
        "FOR EACH ROW EXECUTE FUNCTION fail()",
        server.database,
    )


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("state", OUT_OF_SOMETHING, ids=OUT_OF_SOMETHING.get)
def test_a_server_that_is_out_of_something_is_an_outage(
    server: Server, store: Any, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    raise_in(server, state)

    assert_unavailable(lambda: store.revoke_token("x", reason="lost", until=None))

    assert state in caplog.text
    assert "s3cret" not in caplog.text
    server.ask("DROP FUNCTION fail CASCADE", server.database)
    assert recovers(store) < BOUND
    assert store.revoke_token("x", reason="lost", until=None) is True


@pytest.mark.parametrize("state", OURS, ids=OURS.get)
def test_a_statement_that_is_wrong_is_no_outage(
    server: Server, store: Any, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be one for ever, and where that is allowed let tokens in."""
    raise_in(server, state)

    with pytest.raises(StoreFault, match=rf"^PASETO_STORE .*{state}") as refused:
        store.revoke_token("x", reason="lost", until=None)

    assert "s3cret" not in str(refused.value) + caplog.text
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.requirement("REV-2")
def test_a_table_that_cannot_grow_is_an_outage_and_the_server_goes_on(
    server: Server, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = login(store, new_subject())
    name, long = server.database, "x" * 1500
    server.ask(
        "INSERT INTO paseto_tokens (at, call, jti, reason) SELECT 0, 0, "
        "gen_random_uuid(), repeat('x', 1500) FROM generate_series(1, 2000)",
        name,
    )
    ((size,),) = server.ask("SELECT pg_relation_size('paseto_tokens')", name)
    assert size > 2**20  # or the files of the log would be what cannot grow
    server.limit_files(size)

    with suppress(StoreUnavailable):
        for number in range(100):  # until the last page is full
            store.revoke_token(f"{number}", reason=long, until=None)
    assert_unavailable(lambda: store.revoke_token("x", reason=long, until=None))
    assert "XX000" in caplog.text
    assert store.check_token(ref(session)) is Verdict.LIVE

    server.limit_files(None)
    assert store.revoke_token("x", reason=long, until=None) is True


@pytest.mark.requirement("REV-2")
def test_a_server_that_ends_of_a_full_disk_is_an_outage_until_it_is_started(
    server: Server, store: Any
) -> None:
    """A log that cannot be written is a panic, and so is the start after it."""
    session = login(store, new_subject())
    server.limit_files(0)

    for _ in range(3):
        assert_unavailable(lambda: store.revoke_token("x", reason="lost", until=None))
    until(lambda: not server.runs(), "the end of the server")
    assert_unavailable(lambda: store.check_token(ref(session)))

    server.start()
    assert recovers(store) < BOUND
    assert store.check_token(ref(session)) is Verdict.LIVE
    assert store.revoke_token("x", reason="lost", until=None) is True


def test_a_connection_that_is_read_only_is_replaced(server: Server, store: Any) -> None:
    """As one to a server that became a replica behind a name that moved on."""
    engine = store._caller.process.pool.engine
    with engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")

    assert_unavailable(lambda: store.revoke_token("x", reason="lost", until=None))

    assert recovers(store) < BOUND
    assert store.revoke_token("x", reason="lost", until=None) is True


def test_a_system_that_has_no_more_threads_is_an_outage(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store.close()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert_unavailable(lambda: store.session(""))

    assert recovers(store) < BOUND


@pytest.mark.requirement("REV-2")
def test_a_stopped_server_is_an_outage_in_time(server: Server, store: Any) -> None:
    server.signal(signal.SIGSTOP)

    for call in CALLS.values():
        assert_unavailable(lambda call=call: call(store))  # type: ignore[misc]
    with ThreadPoolExecutor(24) as pool:
        start = time.monotonic()
        waiting = [pool.submit(works, store) for _ in range(48)]
        assert not any(answer.result() for answer in waiting)
        assert time.monotonic() - start < 2 * BOUND
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("paseto-connect") <= 8

    server.signal(signal.SIGCONT)
    assert recovers(store) < BOUND
    for call in CALLS.values():
        call(store)


def test_a_stopped_server_that_was_never_reached_is_an_outage(
    server: Server,
) -> None:
    store = opened(server.url(database=server.database), TIMEOUT)
    server.signal(signal.SIGSTOP)

    assert_unavailable(lambda: store.session(""))
    assert_unavailable(store.check)
    store.close()

    server.signal(signal.SIGCONT)
    with pytest.raises(ConfigurationError, match="flask paseto store init"):
        until(lambda: works(store), "the recovery", 20)
    store.close()


@pytest.mark.requirement("REV-2")
def test_a_killed_server_is_an_outage_until_it_is_back(
    server: Server, store: Any
) -> None:
    session = login(store, new_subject())
    assert store.revoke_session(session.session_id, reason="logout") is True
    server.kill()

    for _ in range(3):
        assert_unavailable(lambda: store.check_token(ref(session)))

    server.start()
    assert recovers(store) < BOUND
    assert store.check_token(ref(session)) is Verdict.REVOKED


def test_connections_that_the_server_closed_are_not_used_again(
    server: Server, store: Any
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: works(store), range(64)))
    server.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'flask-paseto'"
    )
    until(
        lambda: (
            not server.ask(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'flask-paseto'"
            )
        ),
        "the end of the connections",
    )

    assert works(store)


@pytest.mark.requirement("REV-2")
def test_a_slow_server_is_an_outage_and_does_not_go_on(
    server: Server, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = login(store, new_subject())
    with closing(server.admin(server.database)) as admin:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE paseto_sessions IN ACCESS EXCLUSIVE MODE")

        admin.execute("LOCK TABLE paseto_schema IN ACCESS EXCLUSIVE MODE")

        assert_unavailable(lambda: store.check_token(ref(session)))
        assert_unavailable(lambda: store.revoke_session(session.session_id, reason="x"))
        assert_unavailable(store.check)
        until(
            lambda: (
                not server.ask(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
            ),
            "the end of what nobody waits for",
        )
        admin.execute("ROLLBACK")

    assert session.subject not in caplog.text
    assert recovers(store) < BOUND
    assert store.check_token(ref(session)) is Verdict.LIVE


@pytest.mark.requirement("REV-2")
def test_a_call_that_is_interrupted_leaves_no_answer_behind(
    server: Server, store: Any
) -> None:
    """As when a worker is told to end: its connection goes to nobody else."""
    patient = opened(server.url(database=server.database), 20)
    live, revoked = (login(patient, new_subject()) for _ in range(2))
    patient.revoke_session(revoked.session_id, reason="logout")

    def interrupt(*_: object) -> None:
        raise SystemExit

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with closing(server.admin(server.database)) as admin:
            admin.execute("BEGIN")
            admin.execute("LOCK TABLE paseto_sessions IN ACCESS EXCLUSIVE MODE")
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(SystemExit):
                patient.check_token(ref(live))
            admin.execute("ROLLBACK")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    for _ in range(CONNECTIONS + 1):
        assert patient.check_token(ref(revoked)) is Verdict.REVOKED
        assert patient.check_token(ref(live)) is Verdict.LIVE
    patient.close()


def test_a_server_that_is_read_only_takes_no_writes(server: Server, store: Any) -> None:
    session = login(store, new_subject())
    name = server.database
    server.ask(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store.close()

    assert_unavailable(lambda: store.revoke_session(session.session_id, reason="x"))
    # It may be a replica, which is behind.
    assert_unavailable(lambda: store.check_token(ref(session)))

    server.ask(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert recovers(store) < BOUND
    assert store.revoke_session(session.session_id, reason="x") is True


def test_a_host_that_answers_nothing_is_an_outage_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        port = silent.getsockname()[1]
        store = opened(f"postgresql+psycopg://u:s3cret@127.0.0.1:{port}/db")
        for _ in range(4):
            assert_unavailable(lambda: store.session(""))
        store.close()


def test_a_host_that_is_not_there_is_an_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    caplog.set_level(logging.DEBUG)
    store = opened(f"postgresql+psycopg://u:s3cret@127.0.0.1:{port}/db")

    for _ in range(3):
        assert_unavailable(lambda: store.session(""))

    assert "s3cret" not in caplog.text
    assert "the store is unavailable: OperationalError" in caplog.text


# Who may use it


def quoted(password: str) -> str:
    from urllib.parse import quote

    return f"guarded:{quote(password, safe='')}"


@pytest.mark.parametrize(
    ("user", "database"),
    [("guarded:s3cret", "postgres"), ("guarded", "postgres"), ("postgres", "nowhere")],
    ids=["password", "no password", "database"],
)
def test_what_the_server_refuses_is_a_fault_of_the_url(
    user: str, database: str
) -> None:
    store = opened(shared().url(user, database), 20)

    with pytest.raises(ConfigurationError, match=r"^PASETO_STORE .* correct them"):
        store.check_token(single("alice", 0))
    (fault,) = store.check()

    assert "password or database" in fault
    assert "s3cret" not in fault
    store.close()


def test_a_user_needs_four_rights_on_the_tables(server: Server, store: Any) -> None:
    name = server.database
    guarded = opened(server.url(quoted(PASSWORD), name), 20)
    with pytest.raises(ConfigurationError, match="permission"):
        guarded.check_token(single("alice", 0))

    server.ask(
        "GRANT SELECT ON paseto_schema TO guarded; GRANT SELECT, INSERT, UPDATE, "
        "DELETE ON paseto_sessions, paseto_tokens, paseto_cut_offs TO guarded",
        name,
    )

    session = login(guarded, new_subject())
    assert guarded.consume_token("once", until=None) is True
    assert guarded.purge() == 0
    assert guarded.check() == ()
    assert (
        guarded.revoke_subject(session.subject, reason="x", cut_off=0, until=None) == 1
    )
    server.ask("REVOKE ALL ON paseto_tokens FROM guarded", name)
    assert_unavailable(lambda: guarded.check_token(single("alice", 0)))
    guarded.close()


def test_a_row_that_was_not_changed_as_it_was_judged_is_an_outage(
    server: Server, store: Any
) -> None:
    """A trigger or a policy of the table may swallow the change."""
    session = login(store, new_subject())
    server.ask(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END'; CREATE TRIGGER keep BEFORE UPDATE "
        "ON paseto_sessions FOR EACH ROW EXECUTE FUNCTION keep()",
        server.database,
    )

    assert_unavailable(
        lambda: store.consume(
            session.session_id, first(session).jti, step("x"), grace=GRACE
        )
    )
    assert_unavailable(
        lambda: store.check_refresh(ref(session, first(session).jti), grace=GRACE)
    )


def test_settings_that_forget_a_commit_are_told(server: Server, store: Any) -> None:
    name = server.database
    server.ask(f"ALTER DATABASE {name} SET synchronous_commit = off")
    store.close()

    (fault,) = store.check()

    assert "synchronous_commit is off" in fault


# Its clock and its locks


def test_the_time_is_that_of_the_server_after_a_wait_for_a_lock(
    server: Server, store: Any
) -> None:
    """The time of the transaction would be from before the one who held the lock."""
    patient = opened(server.url(database=server.database), 20)
    session = login(patient, new_subject())
    with closing(server.admin(server.database)) as admin, ThreadPoolExecutor(1) as pool:
        admin.execute("BEGIN")
        admin.execute(
            "SELECT 1 FROM paseto_sessions WHERE sid = %s FOR UPDATE",
            [session.session_id],
        )
        jti, new = first(session).jti, step(session.subject)
        waiting = pool.submit(
            patient.consume, session.session_id, jti, new, grace=GRACE
        )
        until(
            lambda: server.ask(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ),
            "the wait for the lock",
        )
        ((now,),) = server.ask("SELECT clock_timestamp()")
        admin.execute("ROLLBACK")
        answer = waiting.result()

    assert answer.verdict is Verdict.WON
    assert answer.session.rotated_at >= micros(now)
    assert moment(answer.session.rotated_at) - now < timedelta(seconds=60)
    patient.close()


def test_a_consumer_that_waited_sees_what_was_revoked_meanwhile(
    server: Server, store: Any
) -> None:
    patient = opened(server.url(database=server.database), 20)
    for statement, verdict in (
        ("UPDATE paseto_sessions SET revoked_at = 1 WHERE sid = %s", Verdict.REVOKED),
        ("UPDATE paseto_sessions SET jti = 'other' WHERE sid = %s", Verdict.REUSED),
        ("DELETE FROM paseto_sessions WHERE sid = %s", Verdict.MISSING),
    ):
        session = login(patient, new_subject())
        jti, new = first(session).jti, step(session.subject)
        with closing(server.admin(server.database)) as admin:
            admin.execute("BEGIN")
            admin.execute(statement, [session.session_id])
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(
                    patient.consume, session.session_id, jti, new, grace=GRACE
                )
                until(
                    lambda: server.ask(
                        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    ),
                    "the wait for the lock",
                )
                admin.execute("COMMIT")
                assert waiting.result().verdict is verdict
    patient.close()


@pytest.mark.requirement("ROT-1")
def test_who_waited_is_answered_whatever_isolation_is_the_default(
    server: Server, store: Any
) -> None:
    """Above READ COMMITTED the row that was waited for would be an error."""
    change = f"ALTER DATABASE {server.database} {{}} default_transaction_isolation {{}}"
    server.ask(change.format("SET", "= 'serializable'"))
    patient = opened(server.url(database=server.database), 20)
    session = login(patient, new_subject())
    sid, jti = session.session_id, first(session).jti
    with closing(server.admin(server.database)) as admin, ThreadPoolExecutor(1) as pool:
        admin.execute("BEGIN")
        admin.execute("UPDATE paseto_sessions SET client = '' WHERE sid = %s", [sid])
        waiting = pool.submit(
            patient.consume, sid, jti, step(session.subject), grace=GRACE
        )
        until(
            lambda: server.ask(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ),
            "the wait for the lock",
        )
        admin.execute("COMMIT")
        answer = waiting.result()

    assert answer.verdict is Verdict.WON
    assert answer.session.client == ""
    patient.close()
    server.ask(change.format("RESET", ""))


def test_all_who_log_a_subject_out_at_once_are_answered(server: Server) -> None:
    store = opened(server.url(database=server.database), 20)
    store.create()
    for _ in range(5):
        subject = new_subject()
        sessions = [login(store, subject) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            counts = pool.map(
                lambda _: store.revoke_subject(
                    subject,  # noqa: B023 - all of this round end within it
                    reason="all",
                    cut_off=0,
                    until=None,
                ),
                range(8),
            )
            assert sum(counts) == len(sessions)
    store.close()


def test_a_late_connection_that_failed_is_opened_anew(
    server: Server, store: Any
) -> None:
    store.close()
    server.signal(signal.SIGSTOP)
    for _ in range(2):
        assert_unavailable(lambda: store.session(""))
    server.kill()
    for thread in threading.enumerate():
        if thread.name == "paseto-connect":
            thread.join(20)

    server.start()
    assert recovers(store) < BOUND
    server.signal(signal.SIGSTOP)
    store.close()
    assert_unavailable(lambda: store.session(""))
    store.close()
    server.kill()


def test_what_failed_to_open_is_not_handed_to_the_next_call(
    server: Server, store: Any
) -> None:
    patient = opened(server.url(database=server.database), 20)
    failed: Future[Any] = Future()
    failed.set_exception(OSError())
    patient._caller.process.pool._late.append(failed)

    assert works(patient)
    patient.close()


def test_a_late_connection_is_used_by_the_next_call(server: Server) -> None:
    """Otherwise a server that takes longer than a call would never be reached."""
    patient = opened(server.url(database=server.database), 20)
    patient.create()
    patient.close()
    store = opened(server.url(database=server.database), 0.1)
    server.signal(signal.SIGSTOP)
    assert_unavailable(lambda: store.session(""))
    late = [t for t in threading.enumerate() if t.name == "paseto-connect"]
    assert late
    server.signal(signal.SIGCONT)
    for thread in late:
        thread.join(20)

    assert recovers(store) < BOUND
    assert store.check_token(single(new_id(""), 0)) is Verdict.LIVE
    store.close()
