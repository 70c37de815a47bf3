"""Several servers: what moves is found again, and what replicas lack is no success."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from flask_paseto import ConfigurationError, StoreUnavailable
from flask_paseto.stores import Store, TokenRef, Verdict, new_id, open_store
from flask_paseto.stores.redis.changes import PART, Pull, after_part
from flask_paseto.stores.redis.connections import Mixed
from flask_paseto.stores.redis.nodes import BUCKETS

from .stores import (
    DAY,
    GRACE,
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
from .valkey import (
    Server,
    cluster_is_whole,
    free_port,
    give_slots,
    has_replica,
    sentinel,
    server,
    until,
)

pytestmark = pytest.mark.outage

TIMEOUT = timedelta(seconds=1)


def opened(url: str) -> Store:
    return open_store(url, clock=no_clock, timeout=TIMEOUT)


@pytest.fixture
def nodes() -> Iterator[list[Server]]:
    """Return two masters of a cluster, each with half of the slots."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                server(port=free_port(), cluster_enabled="yes", bind="127.0.0.1")
            )
            for _ in range(2)
        ]
        with nodes[0].admin as admin, nodes[1].admin as other:
            admin.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
            give_slots(nodes[1], (8192, 16383))
            until(lambda: cluster_is_whole(admin), "a whole cluster")
            until(lambda: cluster_is_whole(other), "a whole cluster")
        yield nodes


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """Return a master on TCP and its replica."""
    with (
        server(
            port=free_port(), bind="127.0.0.1", repl_diskless_sync_delay=0
        ) as master,
        server(port=free_port(), bind="127.0.0.1") as replica,
    ):
        with replica.admin as admin:
            admin.replicaof("127.0.0.1", str(master.port))
        with master.admin as admin:
            until(lambda: has_replica(admin), "a replica")
        yield master, replica


def subject_of(node: int) -> str:
    """Return a subject whose bucket one of the two nodes has."""
    while True:
        subject = new_subject()
        if key_slot(new_id(subject)[:2].encode()) // 8192 == node:
            return subject


def move_slot(subject: str, source: Server, target: Server) -> None:
    """Move the slot of a subject with all its keys from one node to the other."""
    slot = key_slot(new_id(subject)[:2].encode())
    with source.admin as old, target.admin as new:
        old_id = old.execute_command("CLUSTER", "MYID").decode()
        new_id_ = new.execute_command("CLUSTER", "MYID").decode()
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id_)
        keys = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        old.execute_command(
            "MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *keys
        )
        new.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id_)
        old.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id_)


@pytest.mark.requirement("REV-2")
def test_a_bucket_that_moves_is_asked_for_where_it_is_now(nodes: list[Server]) -> None:
    store = opened(nodes[0].url)
    store.create()
    subject = subject_of(0)
    session, revoked = login(store, subject), login(store, subject)
    store.revoke_session(revoked.session_id, reason="logout")
    cursor = store.changes(None, horizon=DAY)

    move_slot(subject, nodes[0], nodes[1])

    assert store.check_token(ref(session)) is Verdict.LIVE
    assert store.check_token(ref(revoked)) is Verdict.REVOKED
    won = store.consume(
        session.session_id, first(session).jti, step(subject), grace=GRACE
    )
    assert won.verdict is Verdict.WON
    snapshot = Snapshot(store)
    snapshot.cursor = cursor.cursor
    snapshot.pull()
    assert revoked.session_id in snapshot.sessions
    assert store.check() == ()


@pytest.mark.requirement("REV-2")
def test_a_bucket_that_is_moving_answers_nothing_rather_than_half(
    nodes: list[Server],
) -> None:
    store = opened(nodes[0].url)
    store.create()
    subject = subject_of(0)
    session = login(store, subject)
    slot = key_slot(new_id(subject)[:2].encode())
    with nodes[0].admin as old, nodes[1].admin as new:
        ids = [one.execute_command("CLUSTER", "MYID").decode() for one in (old, new)]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        key = f"fp:{{{session.session_id[:2]}}}:s:{session.session_id}"
        old.execute_command(
            "MIGRATE", "127.0.0.1", nodes[1].port, "", 0, 10_000, "KEYS", key
        )

        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                store.check_token(ref(session))
            with pytest.raises(StoreUnavailable):
                store.revoke_subject(subject, reason="all", cut_off=0, until=None)


@pytest.mark.requirement("REV-1")
def test_a_pull_ends_at_the_time_of_its_earliest_part() -> None:
    """What was revoked in a bucket after its part was told is told the next time."""
    pull, name = Pull(), b"0" * 24
    for bucket, now in zip(BUCKETS, (200, 100, 300), strict=False):
        pull = after_part(pull, [bucket], [now, [name], 1, b"", []])

    assert pull.now == 100


def test_parts_of_two_incarnations_are_no_pull() -> None:
    """Half of the servers were marked anew: what the others hold may be older."""
    for names in ([b"0" * 24, b"1" * 24], []):
        with pytest.raises(Mixed):
            after_part(Pull(), list(BUCKETS[:1]), [100, names, 1, b"", []])


def test_changes_of_all_servers_are_told_in_parts(nodes: list[Server]) -> None:
    store = opened(nodes[0].url)
    store.create()
    revoked = set()
    for subject in (subject_of(0), subject_of(1)):
        session = login(store, subject)
        store.revoke_session(session.session_id, reason="logout")
        revoked.add(session.session_id)
        for _ in range(PART + 50):
            jti = new_id(subject)
            store.revoke_token(jti, reason="lost", until=None)
            revoked.add(jti)
    parts, cursor = 0, None
    told: set[str] = set()
    while True:
        part = store.changes(cursor, horizon=DAY)
        assert part.reload is (parts == 0)
        told |= {entry.id for entry in (*part.tokens, *part.sessions)}
        parts, cursor = parts + 1, part.cursor
        if not part.more:
            break

    assert told == revoked
    assert 4 <= parts <= 8
    assert store.changes(part.cursor, horizon=DAY).reload is False


def test_those_that_end_together_are_told_together(nodes: list[Server]) -> None:
    """They have one time: a part that ended among them could lose the rest."""
    store = opened(nodes[0].url)
    store.create()
    subject = subject_of(0)
    sessions = {login(store, subject).session_id for _ in range(PART + 300)}
    lone = new_id(subject)
    store.revoke_token(lone, reason="lost", until=None)
    store.revoke_subject(subject, reason="all", cut_off=0, until=None)
    snapshot = Snapshot(store)

    snapshot.pull()

    assert set(snapshot.sessions) == sessions
    assert lone in snapshot.tokens
    assert snapshot.reloads == 1


def test_a_pull_starts_over_when_the_store_is_marked_anew(nodes: list[Server]) -> None:
    store = opened(nodes[0].url)
    store.create()
    for _ in range(PART + 1):
        store.revoke_token(new_id(subject_of(0)), reason="lost", until=None)
    part = store.changes(None, horizon=DAY)
    assert part.more is True
    with nodes[1].admin as admin:
        admin.flushall()
    store.create()
    store.revoke_token(last := new_id(new_subject()), reason="lost", until=None)

    again = store.changes(part.cursor, horizon=DAY)

    assert again.reload is True
    snapshot = Snapshot(store)
    snapshot.pull()
    assert last in snapshot.tokens


def test_an_id_of_another_bucket_is_looked_for_there(nodes: list[Server]) -> None:
    """The app may take the id of a token from elsewhere: it is on another server."""
    store = opened(nodes[0].url)
    store.create()
    session = login(store, subject_of(0))
    jti = new_id(subject_of(1))
    assert store.check_token(ref(session, jti)) is Verdict.LIVE
    alone = TokenRef(jti=jti, subject=session.subject, issued_at=1)
    assert store.check_token(alone) is Verdict.LIVE

    store.revoke_token(jti, reason="lost", until=None)

    assert store.check_token(ref(session, jti)) is Verdict.REVOKED
    assert store.check_token(alone) is Verdict.REVOKED
    answer = store.check_refresh(ref(session, jti), grace=GRACE)
    assert answer.verdict is Verdict.REVOKED
    assert answer.session == store.session(session.session_id)


def test_a_sid_that_is_not_from_its_subject_is_refused(nodes: list[Server]) -> None:
    """Its row would be where no list of the subject's sessions is."""
    store = opened(nodes[0].url)
    store.create()
    for session_id in ("mine", new_id(subject_of(1))):
        with pytest.raises(ValueError, match=r"new_id\(subject\)"):
            store.open_session(unopened(subject_of(0), session_id=session_id))
        assert store.session(session_id) is None


@pytest.mark.requirement("REV-2")
def test_a_cluster_that_lost_a_master_answers_for_the_others(
    nodes: list[Server],
) -> None:
    """The other node answers for its buckets until the cluster itself gives up."""
    for node in nodes:
        with node.admin as admin:
            admin.config_set("cluster-require-full-coverage", "no")
    store = opened(nodes[1].url)
    store.create()
    here, there = login(store, subject_of(0)), login(store, subject_of(1))

    nodes[1].kill()

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.check_token(ref(there))
        assert store.check_token(ref(here)) is Verdict.LIVE
        with pytest.raises(StoreUnavailable):
            store.changes(None, horizon=DAY)
    nodes[1].start()
    until(lambda: is_live(store, ref(there)), "the return of a master")


@pytest.mark.requirement("REV-2")
def test_a_cluster_that_is_gone_and_comes_back_is_found_again(
    nodes: list[Server],
) -> None:
    store = opened(nodes[0].url)
    store.create()
    session = login(store, subject_of(1))

    for node in nodes:
        node.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.check_token(ref(session))
    for node in nodes:
        node.start()

    until(lambda: is_live(store, ref(session)), "the return of the cluster")


def is_live(store: Store, token: TokenRef) -> bool:
    try:
        return store.check_token(token) is Verdict.LIVE
    except StoreUnavailable:
        return False


@pytest.mark.requirement("REV-2")
def test_one_of_a_cluster_that_answers_is_enough(nodes: list[Server]) -> None:
    """Two are asked in vain; of which it is a part it learns from the third."""
    gone = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    hosts = ",".join([*gone, f"127.0.0.1:{nodes[0].port}"])
    opened(nodes[0].url).create()
    store = opened(f"redis+cluster://{hosts}?replicas=0")
    for number in range(2):
        assert store.check_token(single(subject_of(number), 0)) is Verdict.LIVE
    store.close()


@pytest.mark.requirement("REV-2")
def test_slots_that_nobody_has_are_an_outage() -> None:
    with server(port=free_port(), cluster_enabled="yes", bind="127.0.0.1") as node:
        store = opened(node.url)
        with pytest.raises(StoreUnavailable):
            store.check_token(single(new_subject(), 0))
        with pytest.raises(StoreUnavailable):
            store.create()
        give_slots(node, (0, 16383))
        store.create()
        assert store.check_token(single(new_subject(), 0)) is Verdict.LIVE
        store.close()


def test_one_of_a_cluster_whose_url_says_that_it_is_alone_is_named(
    nodes: list[Server],
) -> None:
    alone = opened(f"redis://127.0.0.1:{nodes[0].port}")
    with pytest.raises(ConfigurationError, match=r"^PASETO_STORE .*'\+cluster'"):
        alone.check_token(single(subject_of(1), 0))


@pytest.mark.requirement("REV-2")
def test_a_cluster_that_is_not_there_is_an_outage() -> None:
    store = opened(f"redis+cluster://127.0.0.1:{free_port()}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.check_token(single(new_subject(), 0))


# Replicas


@pytest.mark.requirement("REV-2")
def test_what_a_replica_has_not_got_is_no_success(pair: tuple[Server, Server]) -> None:
    master, replica = pair
    store = opened(f"{master.url}?replicas=1")
    store.create()
    session = login(store, new_subject())
    jti = new_id(session.subject)

    sid, refresh = session.session_id, first(session).jti
    asks: list[Callable[[], object]] = [
        lambda: store.revoke_session(sid, reason="logout"),
        lambda: store.revoke_token(jti, reason="lost", until=None),
        lambda: store.revoke_token(jti, reason="lost", until=1),
        lambda: store.check_refresh(ref(session, refresh), grace=GRACE),
        lambda: store.consume(sid, refresh, step(session.subject), grace=GRACE),
        lambda: store.attach(sid, step(session.subject)),
        lambda: store.open_session(session),
    ]

    with replica.stopped():
        for ask in asks * 2:  # nor when it is repeated, and nothing is left to write
            with pytest.raises(StoreUnavailable):
                ask()
            store.close()  # a new connection has written nothing yet
        assert store.check_token(ref(session)) is Verdict.REVOKED

    assert store.revoke_session(session.session_id, reason="logout") is False
    assert store.revoke_token(jti, reason="lost", until=None) is False


@pytest.mark.requirement("REV-2")
def test_a_rotation_that_a_replica_has_not_got_is_none_until_it_has(
    pair: tuple[Server, Server],
) -> None:
    master, replica = pair
    store = opened(f"{master.url}?replicas=1")
    store.create()
    session = login(store, new_subject())
    successor = step(session.subject)
    ask = (session.session_id, first(session).jti)

    with replica.stopped():
        for proposed in (successor, step(session.subject)):
            with pytest.raises(StoreUnavailable):
                store.consume(*ask, proposed, grace=GRACE)
            store.close()
        with pytest.raises(StoreUnavailable):
            store.check_refresh(ref(session, ask[1]), grace=GRACE)
        store.close()
        stale = (ask[0], new_id(session.subject), step(session.subject))
        with pytest.raises(StoreUnavailable):
            store.consume(*stale, grace=GRACE, punish=False)
        store.close()

    answer = store.consume(*ask, step(session.subject), grace=GRACE)
    assert answer.verdict is Verdict.RETRY
    assert answer.session is not None
    assert answer.session.issued == successor


@pytest.mark.requirement("REV-2")
def test_the_sentinels_name_the_master_and_its_successor(
    pair: tuple[Server, Server],
) -> None:
    master, replica = pair
    with sentinel(master) as watching:
        dead = free_port()
        store = opened(
            f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{watching.port}/main"
        )
        with watching.admin as admin:
            until(lambda: knows_replica(admin), "the sentinel's knowledge")
        store.create()
        session = login(store, new_subject())
        store.revoke_session(
            gone := login(store, new_subject()).session_id, reason="logout"
        )
        assert store.check() == ()
        with master.admin as admin:  # doubted, and it is the master all the same
            admin.config_set("min-replicas-to-write", "9")
            with pytest.raises(StoreUnavailable):
                store.check_token(ref(session))
            admin.config_set("min-replicas-to-write", "0")
        assert store.check_token(ref(session)) is Verdict.LIVE

        master.kill()
        with pytest.raises(StoreUnavailable):
            store.check_token(ref(session))
        until(lambda: is_live(store, ref(session)), "the failover")

        row = store.session(gone)
        assert row is not None
        assert row.revoked_at is not None
        with pytest.raises(StoreUnavailable):  # there is no replica left
            store.revoke_session(session.session_id, reason="logout")
        store.close()
        with replica.admin as admin:
            admin.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable):
            store.check_token(ref(session))


def knows_replica(admin: Redis) -> bool:
    found: Any = admin.execute_command("SENTINEL", "REPLICAS", "main")
    return bool(found)


def test_a_sentinel_that_does_not_know_the_master_is_an_outage(
    pair: tuple[Server, Server],
) -> None:
    with sentinel(pair[0]) as watching:
        store = opened(f"redis+sentinel://127.0.0.1:{watching.port}/other")
        with pytest.raises(StoreUnavailable):
            store.check_token(single(new_subject(), 0))


@pytest.mark.requirement("REV-2")
def test_revocations_outlive_masters_that_are_lost_under_load() -> None:
    """The drill of the benchmarks in its short form: two masters are killed."""
    script = Path(__file__).parents[1] / "benchmarks" / "cluster_drill.py"
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(script), "--quick", "--threads=4", "--pause=0.01"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "revocations that returned" in done.stdout
