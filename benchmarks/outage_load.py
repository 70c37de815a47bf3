"""The load of the outage drill: who asks what, and a note of every answer.

All times are seconds by the clock on the wall, which client and server share.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any, Protocol

TIMEOUT = 30  # seconds for one answer
RECONNECT = 100  # requests over one connection, so that the workers take turns

LIVE, REVOKED, LOGIN, REVOKING = "live", "revoked", "login", "revoking"
ACCESS, REFRESH = "access", "refresh"
PATHS = {ACCESS: ("GET", "/guarded"), REFRESH: ("POST", "/refresh")}


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of a session.

    Attributes:
        revoked: When its revocation had returned, if it has.
    """

    access: str
    refresh: str
    revoked: float = math.inf

    @classmethod
    def of(cls, body: dict[str, Any]) -> Pair:
        return cls(body["access_token"], body["refresh_token"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A request and its answer; status 0 is a connection that broke."""

    user: str
    role: str
    token: str
    revoked: float
    sent: float
    received: float
    status: int
    error: str
    retry_after: str


@dataclass(slots=True)
class Book:
    """What the clients found, and what they leave for others to try."""

    notes: list[Note] = field(default_factory=list)
    workers: set[int] = field(default_factory=set)
    kept: list[tuple[str, Pair]] = field(default_factory=list)
    loot: list[tuple[str, Pair]] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)


class Client:
    """A connection that is kept alive, its answers noted."""

    def __init__(self, port: int, book: Book) -> None:
        self._book = book
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._asked = random.randrange(RECONNECT)  # noqa: S311

    def log_in(self, user: str) -> Pair | None:
        status, body = self._ask(
            "POST", "/login", user=user, role=LOGIN, body={"name": user}
        )
        return Pair.of(body) if status == 200 else None

    def use(
        self, user: str, pair: Pair, token: str, role: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a token where it belongs."""
        method, path = PATHS[token]
        text = pair.access if token == ACCESS else pair.refresh
        return self._ask(
            method,
            path,
            user=user,
            role=role,
            token=token,
            text=text,
            revoked=pair.revoked,
        )

    def revoke(self, user: str, pair: Pair) -> int:
        return self._ask("POST", "/revoke", user=user, role=REVOKING, text=pair.access)[
            0
        ]

    def _ask(
        self,
        method: str,
        path: str,
        *,
        user: str,
        role: str,
        token: str = "",
        text: str = "",
        revoked: float = math.inf,
        body: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        sent = time.time()
        status, found, retry_after = self._exchange(method, path, data, headers)
        self._book.notes.append(
            Note(
                user=user,
                role=role,
                token=token,
                revoked=revoked,
                sent=sent,
                received=time.time(),
                status=status,
                error=found.get("error", ""),
                retry_after=retry_after,
            )
        )
        return status, found

    def _exchange(
        self, method: str, path: str, data: str | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any], str]:
        self._asked += 1
        if self._asked % RECONNECT == 0:
            self._connection.close()
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, HTTPException):
            self._connection.close()
            return 0, {}, ""
        worker = response.getheader("X-Worker", "")
        if worker:
            self._book.workers.add(int(worker))
        kind = response.getheader("Content-Type", "")
        found = json.loads(raw) if kind == "application/json" else {}
        return response.status, found, response.getheader("Retry-After", "")

    def close(self) -> None:
        self._connection.close()


class Actor(Protocol):
    """Who makes one request after the other."""

    def step(self) -> None:
        """Make one request, the one that is due."""


class User:
    """Logs in, uses its token, refreshes it, and now and then logs in elsewhere.

    A refresh that was not answered by a pair is repeated with the same token, as a
    client does that does not know whether its token is used up.
    """

    def __init__(self, client: Client, book: Book, name: str) -> None:
        self._client, self._book, self._name = client, book, name
        self._pair: Pair | None = None
        self._steps = 0
        self._pending = False

    def step(self) -> None:
        """Make one request, the one that is due."""
        self._steps += 1
        if self._pair is not None and self._steps % 60 == 0 and not self._pending:
            self._book.kept.append((self._name, self._pair))
            self._pair = None
        if self._pair is None:
            self._pair = self._client.log_in(self._name)
        elif self._pending or self._steps % 6 == 0:
            self._renew(self._pair)
        else:
            self._client.use(self._name, self._pair, ACCESS, LIVE)

    def _renew(self, pair: Pair) -> None:
        status, body = self._client.use(self._name, pair, REFRESH, LIVE)
        self._pending = status != 200
        if status == 200:
            self._pair = Pair.of(body)
        elif status == 401:  # it is noted as a session that was lost
            self._pair, self._pending = None, False


class Leaver:
    """Logs in and out, again and again, and leaves its tokens to the thieves."""

    def __init__(self, client: Client, book: Book, name: str) -> None:
        self._client, self._book, self._name = client, book, name
        self._pair: Pair | None = None

    def step(self) -> None:
        """Log in, or try to log out."""
        if self._pair is None:
            self._pair = self._client.log_in(self._name)
            return
        status = self._client.revoke(self._name, self._pair)
        # 401: an attempt before, whose answer was lost, did it.
        if status in (200, 401):
            gone = Pair(self._pair.access, self._pair.refresh, time.time())
            self._book.loot.append((self._name, gone))
            self._pair = None


class Thief:
    """Tries the tokens of sessions that were revoked, the last and any other."""

    def __init__(self, client: Client, book: Book) -> None:
        self._client, self._book = client, book
        self._steps = 0

    def step(self) -> None:
        """Try one token."""
        loot, self._steps = self._book.loot, self._steps + 1
        if not loot:
            return
        user, pair = loot[-1] if self._steps % 2 else random.choice(loot)  # noqa: S311
        token = REFRESH if self._steps % 3 == 0 else ACCESS
        self._client.use(user, pair, token, REVOKED)


class Load:
    """Threads that ask until they are told to stop.

    Args:
        pause: How long each waits between two requests, in seconds.
    """

    def __init__(
        self, port: int, book: Book, *, users: int, thieves: int, pause: float
    ) -> None:
        self._port, self._book, self._pause = port, book, pause
        self._stop = Event()
        self.names: Sequence[str] = [f"user {number}" for number in range(users)]
        makes: list[Callable[[Client, Book], Actor]] = [
            *(partial(User, name=name) for name in self.names),
            partial(Leaver, name="leaver"),
            *([Thief] * thieves),
        ]
        self._threads = [
            Thread(target=self._keep_on, args=(make,), daemon=True) for make in makes
        ]
        for thread in self._threads:
            thread.start()

    def _keep_on(self, make: Callable[[Client, Book], Actor]) -> None:
        client = Client(self._port, self._book)
        actor = make(client, self._book)
        try:
            while not self._stop.wait(self._pause * random.uniform(0.5, 1.5)):  # noqa: S311
                actor.step()
        except Exception as error:
            self._book.broke.append(type(error).__name__)
            raise
        finally:
            client.close()

    def stop(self) -> None:
        """Tell all to stop, and wait until they have."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT * 2)
