"""Take the store away under load, and count who was let in, and what was not a 503.

Gunicorn serves an app from four workers on a real store. Users log in, use their tokens
and rotate them over connections that are kept alive; one logs in and out all the time,
and thieves try the tokens of the sessions that were revoked. Meanwhile the store is
killed and started again, stopped, made slow, full, read-only. What is promised:

- No token of a session whose revocation had returned is accepted, and nobody passes
  while the store cannot be asked.
- No answer is a 500. What cannot be told is a 503 with `Retry-After: 1`, and only while
  the store is out, and within a second of its return. No worker is restarted.
- No session of anybody who was logged in is lost: its tokens work afterwards.

With a copy in each worker (`--mode snapshot`) a revocation counts from the interval on;
with `PASETO_STORE_OUTAGE = "allow"` (`--mode allow`) access tokens pass, and only they.
The exit code is 1 when one of that does not hold, or when an outage was not noticed.

    python benchmarks/outage_drill.py                             # about nine minutes
    python benchmarks/outage_drill.py --store sqlite --quick      # about a minute
    python benchmarks/outage_drill.py --store sqlite --quick --mode allow \\
        --judge-as refuse                                         # this one fails
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from drill_server import WORKERS, served
from outage_ledger import Rules, judged
from outage_load import ACCESS, LIVE, REFRESH, REVOKED, Book, Client, Load
from store_app import settings_of
from store_servers import Backend, Outage, opened

from flask_paseto.stores import open_store

STORES = ("valkey", "postgresql", "sqlite")
MODES = ("refuse", "snapshot", "allow")
NOISE = "the part of all requests that may be 503 all the same, on a busy machine (0)"
PATIENCE = 30.0  # seconds for all users to be served again


def drill(store: str, mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what was counted on one store in one mode."""
    book, started = Book(), time.monotonic()
    rules = Rules(
        mode=options.judge_as or mode,
        interval=options.interval if mode == "snapshot" else 0.0,
        recovery=options.recovery,
        noise=options.noise,
    )
    with opened(store) as backend, TemporaryDirectory() as folder:
        log = Path(folder, "gunicorn.log")
        create(backend)
        environment = settings_of(backend.url, **settings(mode, options))
        with served(environment, log, app="store_app:create_app()") as port:
            load = Load(
                port,
                book,
                users=options.users,
                thieves=options.thieves,
                pause=options.pause,
            )
            try:
                outages, lost = run_outages(backend, load, book, options)
            finally:
                load.stop()
            tried = try_all(port, book, rules)
        booted = log.read_text(errors="replace").count("Booting worker")
    report = judged(book, outages, rules)
    report["must be 0"] |= {
        "users not served again after an outage": lost,
        "worker restarts": booted - WORKERS,
        "workers that did not serve": abs(WORKERS - len(book.workers)),
    }
    seconds = round(time.monotonic() - started)
    return {
        "store": store,
        "mode": mode,
        "seconds": seconds,
        "sessions tried at the end": tried,
        **report,
    }


def create(backend: Backend) -> None:
    store = open_store(
        backend.url, clock=lambda: datetime.now(UTC), timeout=timedelta(seconds=30)
    )
    store.create()
    store.close()


def settings(mode: str, options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of the app in a mode."""
    found = {"MILLISECONDS_STORE_TIMEOUT": str(int(options.timeout * 1000))}
    if mode == "allow":
        found["PASETO_STORE_OUTAGE"] = "allow"
    if mode == "snapshot":
        interval = str(int(options.interval * 1000))
        found["MILLISECONDS_REVOCATION_SYNC_INTERVAL"] = interval
    return found


def run_outages(
    backend: Backend, load: Load, book: Book, options: argparse.Namespace
) -> tuple[list[Outage], int]:
    """Let each fault happen, and count users who are not served after it."""
    outages: list[Outage] = []
    lost = wait_for_all(load, book, since=time.time(), calm=options.calm)
    faults = backend.faults(book.workers)
    unknown = set(options.fault or ()) - set(faults)
    if unknown:
        raise SystemExit(f"the store has these faults: {', '.join(faults)}")
    for name, happen in faults.items():
        if options.fault and name not in options.fault:
            continue
        outages.append(happen(options.seconds))
        lost += wait_for_all(load, book, since=outages[-1].back, calm=options.calm)
    return outages, lost


def wait_for_all(load: Load, book: Book, *, since: float, calm: float) -> int:
    """Wait a while, and until each user was served; count those who were not.

    Each of them has to have used a token, and to have refreshed one, and every worker
    has to have answered.
    """
    wanted = {(name, token) for name in load.names for token in (ACCESS, REFRESH)}
    deadline = time.monotonic() + PATIENCE
    time.sleep(calm)
    while time.monotonic() < deadline:
        served = {
            (note.user, note.token)
            for note in book.notes[:]
            if note.sent > since and note.role == LIVE and note.status == 200
        }
        if wanted <= served and len(book.workers) >= WORKERS:
            return 0
        time.sleep(0.1)
    return len({user for user, _ in wanted - served})


def try_all(port: int, book: Book, rules: Rules) -> int:
    """Try every session that was left alone, and every one that was revoked."""
    time.sleep(rules.interval)
    client = Client(port, book)
    for sessions, role in ((book.kept, LIVE), (book.loot, REVOKED)):
        for user, pair in sessions:
            client.use(user, pair, ACCESS, role)
            client.use(user, pair, REFRESH, role)
    client.close()
    return len(book.kept) + len(book.loot)


def print_report(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"  {name}:")
            for inner, count in value.items():
                print(f"    {inner:<50}{count!s:>9}")
        else:
            print(f"  {name:<52}{value!s:>9}")
    print(flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--store", choices=[*STORES, "all"], default="all")
    add("--mode", choices=[*MODES, "all"], default="all")
    add("--judge-as", choices=MODES, help="the rules of another mode: it would tell")
    add("--fault", action="append", help="only this one; may be repeated")
    add("--quick", action="store_true", help="shorter outages")
    add("--seconds", type=float, help="how long an outage lasts (5, quick 2.5)")
    add("--calm", type=float, help="seconds between two (3, quick 1.2)")
    add("--timeout", type=float, default=1.0, help="of the store, in seconds (1)")
    add("--interval", type=float, default=2.0, help="of the copy, in seconds (2)")
    add("--recovery", type=float, default=1.0, help="seconds to recover in (1)")
    add("--noise", type=float, default=0.0, help=NOISE)
    add("--users", type=int, default=8, help="at a time (8)")
    add("--thieves", type=int, default=2, help="at a time (2)")
    add("--pause", type=float, default=0.02, help="seconds between two requests of one")
    add("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    seconds, calm = (2.5, 1.2) if options.quick else (5.0, 3.0)
    options.seconds = options.seconds or seconds
    options.calm = options.calm or calm
    return options


def main() -> int:
    options = parse_options()
    stores = STORES if options.store == "all" else (options.store,)
    modes = MODES if options.mode == "all" else (options.mode,)
    reports = []
    for store, mode in product(stores, modes):
        reports.append(drill(store, mode, options))
        if not options.json:
            print_report(reports[-1])
    if options.json:
        print(json.dumps(reports, indent=2))
    return int(any(any(each["must be 0"].values()) for each in reports))


if __name__ == "__main__":
    sys.exit(main())
