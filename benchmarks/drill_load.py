"""The load of the rotation drill, and the ledger that judges every answer.

All times are seconds by the clock on the wall, which client and server share.
"""

from __future__ import annotations

import json
import math
import random
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from threading import Event, Lock, Thread
from typing import Any

TIMEOUT = 30  # seconds for one answer
RECONNECT = 200  # requests over one connection, so that the workers take turns
ACCESS, REFRESH = (
    4,
    6,
)  # lifetimes in seconds; nothing lives longer than a refresh token


@dataclass(frozen=True, slots=True)
class KeyLife:
    """From when on a token of a key must pass, may be refused, must be refused.

    Attributes:
        doubtful_from: The date of the key. What it issued must have ended before.
        leaked_from: When it began to be retired at once, whatever it issued.
    """

    accepted_from: float
    doubtful_from: float = math.inf
    leaked_from: float = math.inf
    refused_from: float = math.inf


@dataclass(frozen=True, slots=True)
class Held:
    """A token and what its holder knows of it; it ends later than that, if at all."""

    text: str
    key_id: str
    issued: float
    expires: float
    stolen: bool = False

    @classmethod
    def of(cls, text: str, *, issued: float, lifetime: float) -> Held:
        footer = text.rpartition(".")[2]
        padded = footer + "=" * (-len(footer) % 4)
        key_id = json.loads(urlsafe_b64decode(padded))["kid"]
        # `iat` is in whole seconds, so up to one of them is missing at the end.
        return cls(text, key_id, issued, issued + lifetime - 1)


@dataclass(frozen=True, slots=True)
class Answer:
    sent: float
    received: float
    status: int
    body: dict[str, Any]
    challenge: str


class Ledger:
    """What is promised of each key, and how the answers compare with it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.lives: dict[str, KeyLife] = {}
        self.loot: list[Held] = []
        self.counts: Counter[str] = Counter()
        self.by_key: Counter[tuple[str, str]] = Counter()
        self.workers: set[str] = set()

    def count(self, *names: str) -> None:
        with self._lock:
            self.counts.update(names)

    def change_life(self, key_id: str, **times: float) -> None:
        self.lives[key_id] = replace(self.lives[key_id], **times)

    def judge(self, held: Held, answer: Answer) -> bool:
        """Count an answer to a token; tell whether it was accepted."""
        life = self.lives[held.key_id]
        end = min(held.expires, life.leaked_from)
        if held.stolen:  # it outlives the key, so the date of the key ends it
            end = min(end, life.doubtful_from)
        must_pass = answer.sent >= life.accepted_from and answer.received < end
        must_fail = answer.sent >= life.refused_from
        accepted = answer.status == 200
        due = "must pass" if must_pass else "must fail" if must_fail else "either"
        self.count(f"{due}: {'accepted' if accepted else 'refused'}")
        if not accepted:
            self._check_refusal(answer)
        if held.stolen and (must_pass or must_fail):
            with self._lock:
                self.by_key[held.key_id, due] += 1
        return accepted

    def _check_refusal(self, answer: Answer) -> None:
        error = answer.body.get("error")
        if (
            answer.status != 401
            or error not in ("token_invalid", "token_expired")
            or 'error="invalid_token"' not in answer.challenge
        ):
            self.count("unexpected answers")

    def judge_issued(self, held: Held) -> None:
        """Count a token that was issued; no retired key may have done it."""
        with self._lock:
            self.by_key[held.key_id, "issued"] += 1
        if held.issued >= self.lives[held.key_id].refused_from:
            self.count("issued by a retired key")


class Client:
    """A connection that is kept alive, its answers noted."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._asked = 0

    def ask(
        self, method: str, path: str, *, token: str = "", body: Any = None
    ) -> Answer:
        self._asked += 1
        if self._asked % RECONNECT == 0:
            self._connection.close()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = time.time()
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, HTTPException):
            self._connection.close()
            self._ledger.count("broken connections")
            raise
        self._note(response.status, response.getheader("X-Worker", ""))
        kind = response.getheader("Content-Type", "")
        found = json.loads(raw) if kind == "application/json" else {}
        challenge = response.getheader("WWW-Authenticate", "")
        return Answer(sent, time.time(), response.status, found, challenge)

    def _note(self, status: int, worker: str) -> None:
        if worker:
            self._ledger.workers.add(worker)
        names = ["requests"]
        if status >= 500:
            names.append("answers 5xx")
        elif status not in (200, 401):
            names.append("unexpected answers")
        self._ledger.count(*names)

    def close(self) -> None:
        self._connection.close()


class User:
    """Logs in, uses its token, refreshes it, and now and then logs in again.

    Args:
        part: When a token is renewed, as a part of its life.
    """

    def __init__(self, name: str, part: float, client: Client, ledger: Ledger) -> None:
        self._name, self._client, self._ledger = name, client, ledger
        self._part = part
        self._access: Held | None = None
        self._refresh: Held | None = None

    def step(self) -> None:
        """Make one request, the one that is due."""
        if self._refresh is None or self._is_old(self._refresh):
            self._log_in()
        elif self._access is None or self._is_old(self._access):
            self._renew(self._refresh)
        else:
            self._use(self._access)

    def _is_old(self, held: Held) -> bool:
        return time.time() > held.issued + self._part * (held.expires - held.issued)

    def _log_in(self) -> None:
        answer = self._client.ask("POST", "/login", body={"name": self._name})
        if answer.status != 200:
            self._ledger.count("logins refused")
            return
        self._access = self._take(answer, "access_token", ACCESS)
        self._refresh = self._take(answer, "refresh_token", REFRESH)

    def _renew(self, refresh: Held) -> None:
        answer = self._client.ask("POST", "/refresh", token=refresh.text)
        if self._ledger.judge(refresh, answer):
            self._access = self._take(answer, "access_token", ACCESS)
        else:
            self._refresh = None

    def _use(self, access: Held) -> None:
        answer = self._client.ask("GET", "/guarded", token=access.text)
        if not self._ledger.judge(access, answer):
            self._access = None
        elif answer.body != {"user": self._name}:
            self._ledger.count("answers for somebody else")

    def _take(self, answer: Answer, name: str, lifetime: float) -> Held:
        held = Held.of(answer.body[name], issued=answer.sent, lifetime=lifetime)
        self._ledger.judge_issued(held)
        return held


class Thief:
    """Tries a token of every key there ever was, each made with the key itself."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self._client, self._ledger = client, ledger

    def step(self) -> None:
        """Try one of the tokens."""
        held = random.choice(self._ledger.loot)  # noqa: S311
        answer = self._client.ask("GET", "/guarded", token=held.text)
        self._ledger.judge(held, answer)


def start_load(
    port: int, ledger: Ledger, stop: Event, *, users: int, thieves: int, pause: float
) -> list[Thread]:
    """Return the threads that ask until `stop` is set, `pause` seconds in between."""

    def keep_on(make: Callable[[Client, Ledger], User | Thief]) -> None:
        client = Client(port, ledger)
        who = make(client, ledger)
        while not stop.wait(pause * random.uniform(0.5, 1.5)):  # noqa: S311
            try:
                who.step()
            except (OSError, HTTPException):
                continue  # counted
            except Exception:
                ledger.count("clients that broke")
                raise
        client.close()

    makes: list[Callable[[Client, Ledger], User | Thief]] = [
        # Every other uses its tokens to the end.
        partial(User, f"user {number}", 1.0 if number % 2 else 0.5)
        for number in range(users)
    ]
    makes += [Thief] * thieves
    threads = [Thread(target=keep_on, args=(make,), daemon=True) for make in makes]
    for thread in threads:
        thread.start()
    return threads
