"""The operator of the rotation drill: the real commands, and what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from drill_load import Held, KeyLife, Ledger
from drill_server import HERE, settings_of
from flask import Flask

import flask_paseto
from flask_paseto.keys.file import read_document

ARRIVES = 1.0  # seconds until every worker has seen a change
NOT_YET = 75  # the exit code of a step that must wait


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


class Operator:
    """Runs the commands, and tells the ledger what they promise."""

    def __init__(self, ring: Path, kind: str, ledger: Ledger) -> None:
        self._ring, self._kind, self._ledger = ring, kind, ledger
        self._environment = settings_of(ring)
        # Public keys settle for as long as others may keep a key set; here nobody does.
        self._pace = ["--settle", "2"] if kind == "public" else []
        self.commands = self.too_early = 0

    def run(self, *args: str) -> dict[str, Any]:
        """Return what a command answers, taken again when it was too early."""
        self.commands += 1
        command = [sys.executable, "-m", "flask", "--app", "drill_app:create_app"]
        done = subprocess.run(  # noqa: S603
            [*command, "paseto", "keys", *args, *self._pace, "--json"],
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
        self._ledger.change_life(second, leaked_from=time.time())
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
