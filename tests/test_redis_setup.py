"""The URL of a Redis is read strictly, and a wrong set-up says what to do about it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from flask_paseto import ConfigurationError, StoreUnavailable
from flask_paseto.stores import (
    MARGIN,
    Store,
    Verdict,
    id_bucket,
    open_store,
    subject_bucket,
)
from flask_paseto.stores.redis import RedisStore, open_redis
from flask_paseto.stores.redis.faults import EVICTS, FORGETS, MIXED, REPLICA, refusal
from flask_paseto.stores.redis.rows import Keys
from flask_paseto.stores.redis.url import Target, Way, read_url

from .stores import (
    SECOND,
    first,
    login,
    new_subject,
    no_clock,
    ref,
    single,
    step,
)
from .valkey import Server, free_port, server, shared

TIMEOUT = timedelta(seconds=5)
SECRET = "s3cret"


def opened(url: str, timeout: timedelta = TIMEOUT) -> Store:
    return open_store(url, clock=no_clock, timeout=timeout)


@pytest.fixture
def own() -> Iterator[Server]:
    """Return a server on TCP whose settings a test may spoil."""
    with server(port=free_port(), bind="127.0.0.1") as started:
        yield started


# The URL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", {"addresses": (("h", 6379),), "way": Way.SINGLE, "replicas": 0}),
        ("redis://", {"addresses": (("localhost", 6379),)}),
        ("valkey://h:1/3", {"addresses": (("h", 1),), "db": 3, "tls": False}),
        ("redis://h?db=3", {"db": 3}),
        ("redis://h/3?db=3", {"db": 3}),
        ("redis:///4", {"addresses": (("localhost", 6379),), "db": 4}),
        ("redis:///run/v.sock", {"socket": "/run/v.sock", "addresses": (), "db": 0}),
        ("redis:///run/a%20b?db=2", {"socket": "/run/a b", "db": 2}),
        ("redis://[::1]:7", {"addresses": (("::1", 7),)}),
        ("redis://[::1]", {"addresses": (("::1", 6379),)}),
        ("redis://:p%40s@h", {"password": "p@s", "username": None}),
        ("redis://u:p%23s@h", {"password": "p#s", "username": "u"}),
        ("redis://h?replicas=2", {"replicas": 2}),
        ("redis://h?max_connections=9&client_name=app", {"client_name": "app"}),
        (
            "rediss://h",
            {"tls": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True},
        ),
        (
            "valkeys://h?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
            {"ssl_check_hostname": False, "ssl_ca_certs": "/ca.pem"},
        ),
        (
            "redis+cluster://a:1,b",
            {"way": Way.CLUSTER, "addresses": (("a", 1), ("b", 6379)), "replicas": 1},
        ),
        ("VALKEYS+CLUSTER://a?replicas=0", {"tls": True, "replicas": 0}),
        (
            "redis+sentinel://u:p@a,b:1/m%2Fx/2?sentinel_username=s&sentinel_password=q",
            {
                "way": Way.SENTINEL,
                "addresses": (("a", 26379), ("b", 1)),
                "service": "m/x",
                "db": 2,
                "replicas": 1,
                "sentinel": {"username": "s", "password": "q"},
            },
        ),
    ],
)
def test_a_url_is_read(url: str, expected: dict[str, Any]) -> None:
    target = read_url(url)

    found = {
        "username": None,
        **{name: getattr(target, name) for name in Target.__dataclass_fields__},
        **target.login,
        "sentinel": target.sentinel_login,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/run/v.sock",
        "rediss:///run/v.sock",
        f"redis://h?passwort={SECRET}",
        f"redis://u:pa?{SECRET}=@h",
        f"redis://u:pa#{SECRET}@h",
        f"redis://u:pa/{SECRET}@h",
        f"redis://{SECRET}@h",
        f"redis://u:p@{SECRET}@x@h:port",
        f"redis://[{SECRET}",
        "redis://h?socket_timeout=9",
        "redis://h?retry_on_timeout=yes",
        "redis://h?db=x",
        "redis://h?db=-1",
        "redis://h?db=٣",
        "redis://h/1?db=2",
        "redis://h?replicas=",
        "redis://h?max_connections=0",
        "redis://h?ssl_ca_certs=/ca.pem",
        "rediss://h?ssl_cert_reqs=optional",
        "redis://h?sentinel_password=x",
        "redis://a,b",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis+cluster://a,,b:x",
        "redis+cluster://a/1",
        "redis+cluster://a?db=1",
        "redis+sentinel://a",
        "redis+sentinel://a/m/x",
        "redis+sentinel://a/m/1/2",
    ],
)
def test_a_url_that_is_not_understood_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_redis(url, timeout=TIMEOUT)

    assert str(refused.value).startswith("PASETO_STORE ")
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_no_secret_is_in_the_text_of_a_target() -> None:
    url = f"redis+sentinel://u:{SECRET}@h/m?sentinel_password={SECRET}"
    assert SECRET not in repr(read_url(url))


def test_opening_connects_to_nothing() -> None:
    for scheme in ("redis", "rediss", "redis+cluster"):
        assert type(opened(f"{scheme}://127.0.0.1:1")) is RedisStore
    opened("redis+sentinel://127.0.0.1:1/m").close()


# Set-ups that do not work


def assert_faulty(store: Store, *words: str) -> None:
    """Assert that the first use says what is wrong, and `check` the same."""
    with pytest.raises(ConfigurationError) as refused:
        store.check_token(single(new_subject(), 0))
    message = str(refused.value)
    assert message.startswith("PASETO_STORE ")
    for word in words:
        assert word in message
    assert SECRET not in message
    assert refused.value.__cause__ is refused.value.__context__ is None
    assert store.check() == (message,)


def test_wrong_credentials_are_named_at_the_first_use(own: Server) -> None:
    with own.admin as admin:
        admin.config_set("requirepass", "right")
    for login_ in (f":{SECRET}@", f"nobody:{SECRET}@"):
        assert_faulty(opened(f"redis://{login_}127.0.0.1:{own.port}"), "password")
    assert_faulty(opened(f"redis://127.0.0.1:{own.port}"), "user or password")
    right = opened(f"redis://default:right@127.0.0.1:{own.port}/1")
    right.create()
    assert right.check() == ()
    right.close()


def test_credentials_that_stop_to_work_are_an_outage(own: Server) -> None:
    """The app runs: its guards answer 503, not 500."""
    store = opened(own.url)
    store.create()
    with own.admin as admin:
        admin.config_set("requirepass", "new")
    store.close()

    with pytest.raises(StoreUnavailable):
        store.check_token(single(new_subject(), 0))
    store.close()


def test_a_permission_that_lacks_is_named(own: Server) -> None:
    with own.admin as admin:
        admin.acl_setuser(
            "weak", enabled=True, passwords=["+pw"], categories=["+@all"],
            commands=["-evalsha", "-eval"], keys=["*"],
        )  # fmt: skip
    store = opened(f"redis://weak:pw@127.0.0.1:{own.port}")

    with pytest.raises(ConfigurationError, match=r"^PASETO_STORE .*permission"):
        store.check_token(single(new_subject(), 0))
    store.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_not_used(own: Server, policy: str) -> None:
    """It would throw a revocation away to make room."""
    with own.admin as admin:
        admin.config_set("maxmemory-policy", policy)
        store = opened(own.url)
        assert_faulty(store, "maxmemory-policy", "noeviction")

        admin.config_set("maxmemory-policy", "noeviction")
        store.create()
        assert store.check() == ()
        admin.config_set("maxmemory-policy", policy)
    assert store.check() == (EVICTS,)
    store.close()
    with pytest.raises(StoreUnavailable):
        store.check_token(single(new_subject(), 0))
    store.close()


def test_a_server_that_forgets_in_a_crash_is_reported() -> None:
    with server(appendonly="no") as started:
        store = opened(started.url)
        store.create()
        assert store.check() == (FORGETS,)
        store.close()


def test_a_replica_and_markers_that_differ_are_reported(own: Server) -> None:
    store = opened(own.url)
    store.create()
    with own.admin as admin:
        admin.set("fp:{17}:i", f"{1:024x}")
        assert store.check() == (MIXED,)
        with pytest.raises(StoreUnavailable):
            store.changes(None, horizon=1)
        store.create()
        assert store.check() == ()
        admin.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable):
        store.check()
    store.close()
    assert REPLICA


def test_a_server_alone_is_no_cluster(own: Server) -> None:
    alone = opened(f"redis+cluster://127.0.0.1:{own.port}")
    assert_faulty(alone, "take '+cluster' out")
    alone.close()


def test_a_database_that_is_not_there_is_named(own: Server) -> None:
    assert_faulty(opened(f"{own.url}?db=999"), "database")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("unknown command", "Valkey 7.2"),
        ("Error compiling script", "Redis 7"),
    ],
)
def test_a_server_that_is_too_old_is_named(text: str, word: str) -> None:
    """No such server is here: these are its words."""
    assert word in str(refusal(ResponseError(text), proven=False))
    assert type(refusal(ResponseError(text), proven=True)) is StoreUnavailable


@pytest.mark.parametrize(
    "text", ["BUSY Redis is busy", "MISCONF Errors writing", "NOREPLICAS Not enough"]
)
def test_a_server_that_cannot_serve_now_is_an_outage_at_the_first_use_too(
    text: str,
) -> None:
    assert type(refusal(ResponseError(text), proven=False)) is StoreUnavailable


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://u:{SECRET}@127.0.0.1:{{}}",
        f"valkeys://u:{SECRET}@127.0.0.1:{{}}",
        f"rediss+cluster://u:{SECRET}@127.0.0.1:{{}}",
        f"rediss+sentinel://u:{SECRET}@127.0.0.1:{{}}/m?sentinel_password={SECRET}",
    ],
)
def test_with_an_s_nothing_is_said_in_the_clear(url: str) -> None:
    """Whoever listens gets the greeting of TLS, and no password."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            line, _ = listener.accept()
            line.settimeout(30)
            with line, suppress(OSError):
                heard.extend(line.recv(4096))
                line.sendall(b"-ERR speak plainly\r\n")
                while more := line.recv(4096):
                    heard.extend(more)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        store = opened(url.format(listener.getsockname()[1]))
        with pytest.raises(StoreUnavailable):
            store.check_token(single("alice", 0))
        store.close()
        thread.join(30)

    assert heard.startswith(b"\x16\x03")  # a handshake, of TLS 1
    assert SECRET.encode() not in heard


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:{}",
        "redis+sentinel://127.0.0.1:{}/main",
        "redis+cluster://127.0.0.1:{}",
    ],
)
def test_who_hangs_up_is_not_asked_again_in_the_same_call(url: str) -> None:
    """The driver tries again by default, and waits in between."""
    listener, taken = socket.create_server(("127.0.0.1", 0)), []

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                taken.append(line.getpeername())
                line.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(StoreUnavailable):
        opened(url.format(listener.getsockname()[1])).check_token(single("alice", 0))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(30)

    assert len(taken) == 1


def test_something_that_is_no_redis_is_an_outage() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def answer() -> None:
        for _ in range(2):
            link, _ = listener.accept()
            link.recv(1000)
            link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            link.close()

    thread = threading.Thread(target=answer)
    thread.start()
    for url in (f"redis://127.0.0.1:{port}", f"redis://u:{SECRET}@127.0.0.1:{port}"):
        with pytest.raises(StoreUnavailable) as refused:
            opened(url).check_token(single(new_subject(), 0))
        assert SECRET not in "".join(traceback.format_exception(refused.value))
    thread.join(10)
    listener.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70, "a..b"])
def test_a_host_that_is_not_there_is_an_outage(host: str) -> None:
    with pytest.raises(StoreUnavailable):
        opened(f"redis://{host}").check_token(single(new_subject(), 0))


# Processes

FORK = """
import faulthandler
faulthandler.dump_traceback_later(30, exit=True)
import os, signal, sys, threading, time
from datetime import timedelta
from flask_paseto.stores import TokenRef, Verdict, open_store

store = open_store(sys.argv[1], clock=None, timeout=timedelta(seconds=5))
revoked = TokenRef(jti="revoked", subject="a", issued_at=0)
live = TokenRef(jti="live", subject="a", issued_at=0)
store.revoke_token("revoked", reason="", until=None)
stop = threading.Event()

def work():
    while not stop.is_set():
        assert store.check_token(live) is Verdict.LIVE

threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()

def ask():
    for _ in range(50):
        assert store.check_token(revoked) is Verdict.REVOKED
        assert store.check_token(live) is Verdict.LIVE

children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # who reads an answer of another waits for ever
        try:
            ask()
            os._exit(0)
        finally:
            os._exit(9)
    children.append(pid)
ask()
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
stop.set()
for thread in threads:
    thread.join()
"""


def test_a_store_that_is_used_goes_on_in_children_that_are_forked() -> None:
    """No two processes read from one connection: an answer would be another's."""
    url = shared().url
    opened(url).create()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORK, url], capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


# Sixty seconds, in microseconds: as if the clock had been set back since.
ROTATED_LATER = """
local row = cmsgpack.unpack(redis.call('GET', KEYS[1]))
row[9] = row[9] + 60000000
redis.call('SET', KEYS[1], cmsgpack.pack(row))
"""


@pytest.mark.requirement("ROT-2")
def test_a_clock_that_is_set_back_makes_no_grace(own: Server) -> None:
    store = opened(own.url)
    store.create()
    session = login(store, new_subject())
    sid, jti = session.session_id, first(session).jti
    store.consume(sid, jti, step(session.subject), grace=0)
    before = store.session(sid)
    assert before is not None
    with own.admin as admin:
        admin.eval(ROTATED_LATER, 1, Keys(id_bucket(sid)).session(sid))
    after = store.session(sid)
    assert after is not None
    assert (after.rotated_at or 0) - (before.rotated_at or 0) == 60_000_000

    answer = store.consume(sid, jti, step(session.subject), grace=0)

    assert answer.verdict is Verdict.REUSED
    store.close()


@pytest.mark.requirement("REV-1")
def test_the_list_of_a_subject_lasts_as_long_as_the_longest_of_its_sessions() -> None:
    """Who is not on it goes on when all sessions of the subject are ended."""
    store, subject = opened(shared().url), new_subject()
    store.create()
    longest = login(store, subject)
    login(store, subject, idle=SECOND, lifetime=SECOND)
    row = store.session(longest.session_id)
    with shared().admin as admin:
        ends = admin.pexpiretime(Keys(subject_bucket(subject)).sessions(subject))
    assert row is not None
    assert ends * 1000 >= row.expires_at + MARGIN
    store.close()


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize("revoked", [False, True])
def test_a_row_stays_until_none_of_its_tokens_can_pass(revoked: bool) -> None:
    """For the leeway after its end; a revoked one to its absolute end before that."""
    store = opened(shared().url)
    store.create()
    sid = login(store, new_subject()).session_id
    if revoked:
        store.revoke_session(sid, reason="logout")
    row = store.session(sid)
    with shared().admin as admin:
        ends = admin.pexpiretime(Keys(id_bucket(sid)).session(sid))
    assert row is not None
    assert ends * 1000 >= row.kept_until >= row.ends_at + MARGIN
    store.close()


def test_a_call_that_is_interrupted_leaves_no_answer_behind(own: Server) -> None:
    store = opened(own.url)
    store.create()
    session = login(store, new_subject())
    revoked = login(store, new_subject())
    store.revoke_session(revoked.session_id, reason="logout")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with own.stopped():
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                store.check_token(ref(session))
    finally:
        signal.signal(signal.SIGALRM, before)

    assert store.check_token(ref(revoked)) is Verdict.REVOKED
    store.close()


def test_nothing_else_of_the_package_needs_the_driver() -> None:
    code = "import sys, flask_paseto.stores; assert 'redis' not in sys.modules"
    root = Path(__file__).parents[1]
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=root, env=dict(os.environ), check=True
    )
