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
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from drill_load import ACCESS, REFRESH, Held, KeyLife, Ledger, start_load
from flask import Flask

import flask_paseto
from flask_paseto.keys.file import read_document

HERE = Path(__file__).parent
WORKERS = 4
ARRIVES = 1.0  # seconds until every worker has seen a change
NOT_YET = 75  # the exit code of a step that must wait
DEADLINE = 1800  # seconds for one ring


def settings_of(ring: Path) -> dict[str, str]:
    """Return an environment with short lifetimes, so that keys end within the run."""
    ours = {
        "KEYRING": str(ring),
        "ACCESS_TOKEN_EXPIRES": str(ACCESS),
        "REFRESH_TOKEN_EXPIRES": str(REFRESH),
        "OTHER_TOKEN_EXPIRES": str(REFRESH),
        "MAX_TOKEN_LIFETIME": str(REFRESH),
        "LEEWAY": "1",
        "KEYSET_MAX_AGE": "1",
        "KEY_TIMEOUT": "1",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PAS"))}
    return kept | {f"DRILL_PASETO_{name}": value for name, value in ours.items()}


@contextmanager
def served(environment: dict[str, str], log: Path, *, preload: bool) -> Iterator[int]:
    """Run gunicorn; gives its port."""
    options = f"--workers {WORKERS} --worker-class gthread --threads 4 --keep-alive 75"
    command = [sys.executable, "-m", "gunicorn", *options.split()]
    command += ["--bind", "127.0.0.1:0", "--no-control-socket", "drill_app:create_app()"]
    if preload:
        command.append("--preload")
    with log.open("wb") as file, subprocess.Popen(  # noqa: S603
        command, cwd=HERE, env=environment, stdout=file, stderr=file
    ) as process:
        try:
            yield wait_for_port(log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_port(log: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        said = log.read_text()
        port = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)
        if port and said.count("Booting worker") >= WORKERS:
            return int(port[1])
        time.sleep(0.1)
    raise RuntimeError(f"gunicorn did not start: {log.read_text()}")


class Operator:
    """Runs the commands, and tells the ledger what they promise."""

    def __init__(self, ring: Path, kind: str, ledger: Ledger) -> None:
        self._ring, self._kind, self._ledger = ring, kind, ledger
        self._environment = settings_of(ring)
        self.commands = self.too_early = 0

    def run(self, *args: str) -> dict[str, Any]:
        """Return what a command answers, taken again when it was too early."""
        self.commands += 1
        command = [sys.executable, "-m", "flask", "--app", "drill_app:create_app"]
        done = subprocess.run(  # noqa: S603
            [*command, "paseto", "keys", *args, "--json"],
            cwd=HERE,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode not in (0, NOT_YET):
            raise RuntimeError(f"keys {args[0]}: {done.returncode}, {done.stderr}")
        self._note(time.time())
        answer: dict[str, Any] = json.loads(done.stdout)
        if done.returncode == NOT_YET:
            self.too_early += 1
            sleep_until(answer["not_before"])
            return self.run(*args)
        return answer

    def _note(self, ended: float) -> None:
        lives = self._ledger.lives
        for entry in read_document(self._ring).entries:
            if entry.id not in lives:
                lives[entry.id] = KeyLife(ended + ARRIVES)
                self._ledger.loot.append(steal(entry.key, self._kind))
            if entry.not_after is None:
                continue
            life, end = lives[entry.id], entry.not_after.timestamp()
            self._ledger.change_life(
                entry.id,
                doubtful_from=min(life.doubtful_from, end),
                # The first command that gave the date counts, not those after it.
                refused_from=min(life.refused_from, max(end, ended + ARRIVES)),
            )

    def issuing(self) -> str:
        """Return the id of the key that issues."""
        found = read_document(self._ring).issuing
        if found is None:
            raise RuntimeError("no key issues")
        return found.id

    def cycle(self) -> None:
        """Take a key through its life step by step, then the next with `rotate`."""
        first = self.issuing()
        second = self.run("announce", "--purpose", self._kind)["key"]["id"]
        self.run("promote", second)
        ended = self.run("retire", first)["key"]["not_after"]
        sleep_until(ended, and_seconds=1)
        if first not in self.run("prune")["keys"]:
            raise RuntimeError("a key that has ended was not pruned")
        self.run("rotate")
        self.run("rotate")
        self._ledger.change_life(second, doubtful_from=time.time())
        self.run("retire", second, "--now")
        time.sleep(ARRIVES + 1)
        if second not in self.run("prune")["keys"]:
            raise RuntimeError("a key that was retired at once was not pruned")


def steal(key: str, kind: str) -> Held:
    """Return a token that outlives its key, as a thief of the key makes it."""
    app = Flask("thief")
    name = "PASETO_SECRET_KEY" if kind == "local" else "PASETO_PRIVATE_KEY"
    app.config[name] = key
    flask_paseto.PasetoManager(app)
    with app.app_context():
        text = flask_paseto.create_access_token("thief", expires_in=7200)
    held = Held.of(text, issued=time.time(), lifetime=7200)
    return replace(held, stolen=True)


def sleep_until(moment: str, *, and_seconds: float = 0) -> None:
    until = datetime.fromisoformat(moment).timestamp() + and_seconds
    time.sleep(max(0.0, until - time.time()))


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


def first_key(ring: Path, kind: str) -> None:
    command = [sys.executable, "-m", "flask", "paseto", "keys", "rotate"]
    subprocess.run(  # noqa: S603
        [*command, "--keyring", str(ring), "--purpose", kind],
        cwd=ring.parent,
        env=settings_of(ring),
        check=True,
        capture_output=True,
        timeout=120,
    )


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
