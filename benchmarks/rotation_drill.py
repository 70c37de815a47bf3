"""Rotate keys under load, and count who was refused or let in wrongly.

Gunicorn serves an app with a ring file from four workers. Clients log in, use their
tokens and refresh them over connections that are kept alive, while the real commands
announce, promote, retire and prune keys. A thief has a copy of every key and tries a
token of each, before and after its end. What is promised, and counted:

- A token that has not expired, of a key that has not ended, is accepted by every
  worker; one of a key that was announced a second ago, too.
- A token of a key that has ended is refused from its date on; after `retire --now`
  from one second after the command returned on.
- No worker is restarted, no answer is a 5xx.

The exit code is 1 when one of that does not hold, or when the drill could not show it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from drill_load import Ledger, start_load
from drill_operator import Operator, first_key
from drill_server import WORKERS, served, settings_of

DEADLINE = 1800  # seconds for one ring


def drill(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what was counted with a ring of one kind."""
    ledger, stop = Ledger(), Event()
    start, cycles = time.monotonic(), 0
    with TemporaryDirectory() as folder:
        ring, log = Path(folder, "ring.json"), Path(folder, "gunicorn.log")
        operator = Operator(ring, kind, ledger)
        # No app starts without its ring, so the first command goes without one.
        first_key(ring, kind)
        operator.run("list")
        with served(settings_of(ring), log, preload=options.preload) as port:
            threads = start_load(
                port,
                ledger,
                stop,
                users=options.users,
                thieves=options.thieves,
                pause=options.pause,
            )
            try:
                while not cycles or ledger.counts["requests"] < options.requests:
                    operator.cycle()
                    cycles += 1
                    if time.monotonic() > start + DEADLINE:
                        raise RuntimeError("too slow")
            finally:
                stop.set()
                for thread in threads:
                    thread.join(60)
        booted = log.read_text().count("Booting worker")
    seconds = time.monotonic() - start
    return {
        "kind": kind,
        "cycles": cycles,
        "commands": operator.commands,
        "of these too early": operator.too_early,
        "seconds": round(seconds),
        **judged(ledger, booted),
    }


def judged(ledger: Ledger, booted: int) -> dict[str, Any]:
    """Return the figures: those for information, and those that must be 0."""
    counts, by_key = ledger.counts, ledger.by_key
    now = time.time()
    ended = [key for key, life in ledger.lives.items() if life.refused_from < now]
    untried = [
        key
        for key in ended
        if not by_key[key, "must pass"] or not by_key[key, "must fail"]
    ]
    issued = [key for key in ledger.lives if by_key[key, "issued"]]
    return {
        "requests": counts["requests"],
        "good tokens accepted": counts["must pass: accepted"],
        "tokens of a retired key refused": counts["must fail: refused"],
        "keys that issued": len(issued),
        "keys that ended": len(ended),
        "workers": len(ledger.workers),
        "must be 0": {
            "good tokens refused": counts["must pass: refused"],
            "tokens of a retired key accepted": counts["must fail: accepted"],
            "tokens issued by a retired key": counts["issued by a retired key"],
            "logins refused": counts["logins refused"],
            "answers 5xx": counts["answers 5xx"],
            "answers that are neither 200 nor 401": counts["unexpected answers"],
            "answers for somebody else": counts["answers for somebody else"],
            "connections that broke": counts["broken connections"],
            "clients that broke": counts["clients that broke"],
            "worker restarts": booted - WORKERS,
            "workers that did not serve": WORKERS - len(ledger.workers),
            "ended keys not tried before and after": len(untried),
            "promoted keys that did not issue": len(ended) + 1 - len(issued),
        },
    }


def print_report(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"  {name}:")
            for inner, count in value.items():
                print(f"    {inner:<45}{count:>9,}")
        else:
            text = value if isinstance(value, str) else f"{value:,.0f}"
            print(f"  {name:<47}{text:>9}")
    print(flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--kind", choices=["local", "public", "both"], default="both", help="of ring"
    )
    parser.add_argument(
        "--requests",
        type=int,
        default=100_000,
        help="how many at least with each ring; always one whole cycle (100000)",
    )
    parser.add_argument("--users", type=int, default=10, help="at a time (10)")
    parser.add_argument("--thieves", type=int, default=2, help="at a time (2)")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds between two of one user (0)"
    )
    parser.add_argument(
        "--preload", action="store_true", help="read the ring before the workers fork"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    kinds = ["local", "public"] if options.kind == "both" else [options.kind]
    reports = []
    for kind in kinds:
        reports.append(drill(kind, options))
        if not options.json:
            print_report(reports[-1])
    if options.json:
        print(json.dumps(reports, indent=2))
    return int(any(any(each["must be 0"].values()) for each in reports))


if __name__ == "__main__":
    sys.exit(main())
