"""Measure how long a revocation takes to reach every worker.

Gunicorn serves an app from four workers on a real store, with and without a copy of
what is revoked in each worker. A session is ended in one of them, each in turn, while
its token is tried in all four every few milliseconds, over a connection to each. Its
reach is the time from the return of `revoke_session` to the answer of the last worker
that refuses for the first time; so a pause and an answer over HTTP are part of it.

The exit code is 1 when a token passed that was sent after `revoke_session` had
returned, or with a copy after the interval, or when a worker took it again.

    python benchmarks/reach.py                    # SQLite and Valkey, 200 revocations
    python benchmarks/reach.py --store postgresql --revocations 50
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any

from drill_server import WORKERS, served
from outage_drill import create
from store_app import settings_of
from store_servers import opened

TIMEOUT = 30  # seconds for one answer
PAUSE = 0.005  # seconds between two requests to a worker
AGAIN = 3  # how often a worker that refused is tried again


@dataclass(frozen=True, slots=True)
class Try:
    """One request with the token; times by the clock that all processes share."""

    sent: float
    received: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one revocation.

    Attributes:
        seconds: Until the last worker had refused.
        late: How often the token passed though it was sent when it must not pass.
        again: How often a worker let it in that had refused it.
        others: How many answers were neither 200 nor that it is revoked.
    """

    seconds: float
    late: int
    again: int
    others: int


class Worker:
    """A connection that is kept alive, so it is one worker that answers."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self.pid = ""

    def ask(
        self, method: str, path: str, token: str = "", body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        found = json.loads(response.read())
        pid = response.getheader("X-Worker", "")
        if self.pid and pid != self.pid:
            raise RuntimeError("another worker answered on this connection")
        self.pid = pid
        return response.status, found

    def log_in(self) -> str:
        status, found = self.ask("POST", "/login", body={"name": "user"})
        if status != 200:
            raise RuntimeError(f"a login was answered by {status}")
        return str(found["access_token"])

    def revoke(self, token: str) -> float:
        """End the session of a token, and return when that had returned."""
        status, found = self.ask("POST", "/revoke", token)
        if status != 200:
            raise RuntimeError(f"a revocation was answered by {status}")
        return float(found["at"])

    def watch(
        self, token: str, ready: Barrier, deadline: float
    ) -> tuple[list[Try], int]:
        """Try a token until it was refused a few times; count other answers."""
        tries: list[Try] = []
        others = refused = 0
        while refused < AGAIN and time.monotonic() < deadline:
            sent = time.monotonic()
            status, found = self.ask("GET", "/guarded", token)
            passed = status == 200
            if not passed and found.get("error") != "token_revoked":
                others += 1
            tries.append(Try(sent, time.monotonic(), passed))
            refused += not passed
            if len(tries) == 1:
                ready.wait(TIMEOUT)
            time.sleep(PAUSE)
        return tries, others

    def close(self) -> None:
        self._connection.close()


@contextmanager
def workers_of(port: int) -> Iterator[list[Worker]]:
    """Give one connection to each worker."""
    found: dict[str, Worker] = {}
    spare: list[Worker] = []
    for _ in range(400):
        worker = Worker(port)
        worker.log_in()
        if worker.pid in found:
            spare.append(worker)
        found.setdefault(worker.pid, worker)
        if len(found) == WORKERS:
            break
    for each in spare:
        each.close()
    if len(found) != WORKERS:
        raise RuntimeError("not every worker answers")
    try:
        yield list(found.values())
    finally:
        for each in found.values():
            each.close()


def measure(
    pool: ThreadPoolExecutor,
    watchers: list[Worker],
    revoker: Worker,
    interval: float,
) -> Reached:
    """Revoke one session, and watch all workers refuse it."""
    token = revoker.log_in()
    ready = Barrier(WORKERS + 1)
    deadline = time.monotonic() + interval + TIMEOUT
    watching = [pool.submit(each.watch, token, ready, deadline) for each in watchers]
    ready.wait(TIMEOUT)
    # At any point of the age of the copies.
    time.sleep(random.uniform(0, interval / 2))  # noqa: S311
    at = revoker.revoke(token)
    found = [each.result() for each in watching]
    firsts, late, again = [], 0, 0
    for tries, _ in found:
        refusals = [each for each in tries if not each.passed]
        if not refusals:
            raise RuntimeError("a worker never refused the token")
        firsts.append(refusals[0].received)
        late += sum(each.passed and each.sent > at + interval for each in tries)
        again += sum(each.passed and each.sent > refusals[0].sent for each in tries)
    return Reached(max(firsts) - at, late, again, sum(others for _, others in found))


def reach(store: str, interval: float, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures for one store, with a copy or without."""
    ours = {"MILLISECONDS_STORE_TIMEOUT": "5000"}
    if interval:
        ours["MILLISECONDS_REVOCATION_SYNC_INTERVAL"] = str(int(interval * 1000))
    with opened(store) as backend, TemporaryDirectory() as folder:
        create(backend)
        environment, log = settings_of(backend.url, **ours), Path(folder, "log")
        with (
            served(environment, log, app="store_app:create_app()") as port,
            workers_of(port) as watchers,
            workers_of(port) as revokers,
            ThreadPoolExecutor(WORKERS) as pool,
        ):
            found = [
                measure(pool, watchers, revokers[number % WORKERS], interval)
                for number in range(options.revocations)
            ]
    return {
        "store": store,
        "interval": interval,
        "revocations": len(found),
        **milliseconds([each.seconds for each in found]),
        "must be 0": {
            "passed too late": sum(each.late for each in found),
            "passed after a refusal": sum(each.again for each in found),
            "other answers": sum(each.others for each in found),
        },
    }


def milliseconds(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = {"p50": cuts[49], "p99": cuts[98], "max": max(seconds)}
    return {f"{name} ms": round(value * 1000, 1) for name, value in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--store", action="append", choices=["valkey", "postgresql", "sqlite"])
    add("--interval", type=float, default=2.0, help="of the copy, in seconds (2)")
    add("--revocations", type=int, default=200, help="in each case (200)")
    add("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    reports = []
    for store in options.store or ["sqlite", "valkey"]:
        for interval in (0.0, options.interval):
            reports.append(reach(store, interval, options))
            if not options.json:
                print(json.dumps(reports[-1]), flush=True)
    if options.json:
        print(json.dumps(reports, indent=2))
    return int(any(any(each["must be 0"].values()) for each in reports))


if __name__ == "__main__":
    sys.exit(main())
