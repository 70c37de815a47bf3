"""Measure a store in a database: bytes for each entry, the time of each call.

Run with the extra `postgresql`, and with the URL of an empty database, whose tables
this fills and leaves behind::

    python benchmarks/sql_store.py sqlite:///measured.db
    python benchmarks/sql_store.py postgresql+psycopg://user@host/measured
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

from sqlalchemy import create_engine, text

from flask_paseto.stores import (
    Issued,
    NewSession,
    Store,
    TokenRef,
    Verdict,
    new_id,
    open_store,
)

ENTRIES = 5_000
SECOND = 1_000_000
DAY = 86_400 * SECOND


def new_step(subject: str) -> Issued:
    """Return a step with what most apps have: two ids, two scopes."""
    return Issued(
        jti=new_id(subject),
        issued_at=1_800_000_000 * SECOND,
        expires_at=1_802_592_000 * SECOND,
        access_jti=new_id(subject),
        access_expires_at=1_800_000_900 * SECOND,
        scopes=("read", "write"),
    )


def new_session(subject: str) -> NewSession:
    """Return a session of a browser."""
    return NewSession(
        session_id=new_id(subject),
        subject=subject,
        idle=30 * DAY,
        lifetime=90 * DAY,
        issued=new_step(subject),
        auth_time=1_800_000_000 * SECOND,
        client="Firefox on Linux",
        address="203.0.113.7",
    )


def size(url: str) -> int:
    """Return the bytes of the tables and their indexes."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM"))
        if engine.dialect.name == "sqlite":
            asked = "SELECT page_count * page_size FROM "
            asked += "pragma_page_count, pragma_page_size"
        else:
            asked = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            asked += "WHERE relname IN ('paseto_sessions', 'paseto_tokens')"
        found = int(connection.scalar(text(asked)))
    engine.dispose()
    return found


def time_call(name: str, call: Callable[[], object], rounds: int) -> None:
    """Print the median and the 99th percentile of a call."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        times.append((perf_counter() - start) * 1e6)
    times.sort()
    p50, p99 = times[rounds // 2], times[rounds * 99 // 100]
    print(f"{name:26} p50 {p50:6.0f} µs   p99 {p99:6.0f} µs")


def measure_size(store: Store, url: str) -> None:
    """Print the bytes of a session and of a revoked token."""
    empty = size(url)
    for number in range(ENTRIES):
        store.open_session(new_session(f"user-{number}"))
    opened = size(url)
    for number in range(ENTRIES):
        jti = new_id(f"user-{number}")
        store.revoke_token(jti, reason="logout", until=1_802_592_000 * SECOND)
    print(f"bytes a session            {(opened - empty) / ENTRIES:.0f}")
    print(f"bytes a revoked token      {(size(url) - opened) / ENTRIES:.0f}")


def measure_time(store: Store) -> None:
    """Print what the calls cost that requests make."""
    session, current = new_session("alice"), [""]
    store.open_session(session)
    token = TokenRef(
        jti=new_id("alice"),
        subject="alice",
        issued_at=0,
        session_id=session.session_id,
    )
    single = TokenRef(jti=new_id("alice"), subject="alice", issued_at=0)
    assert session.issued is not None
    current[0] = session.issued.jti

    def rotate() -> None:
        new = new_step("alice")
        answer = store.consume(session.session_id, current[0], new, grace=0)
        assert answer.verdict is Verdict.WON
        current[0] = new.jti

    time_call("check_token, of a session", lambda: store.check_token(token), 5_000)
    time_call("check_token, without one", lambda: store.check_token(single), 5_000)
    time_call("consume", rotate, 500)


def main(url: str) -> None:
    """Measure the store of a URL."""
    store = open_store(
        url, clock=lambda: datetime.now(UTC), timeout=timedelta(seconds=20)
    )
    store.create()
    measure_size(store, url)
    measure_time(store)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
