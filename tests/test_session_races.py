"""Rotation at the same moment, through the whole app, on stores that are shared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_paseto import PasetoManager, decode_token, list_sessions
from flask_paseto.state import states_of

from .refusals import bearer
from .sessions import SECRET_KEY, add_session_routes

TOGETHER = 8
ROUNDS = 5


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[list[Flask]]:
    """Give two apps on one store, as two workers are."""
    apps = []
    for _ in range(2):
        app = Flask("tests")
        app.config.update(PASETO_SECRET_KEY=SECRET_KEY, PASETO_STORE=url)
        app.config.update(PASETO_STORE_TIMEOUT=30, **settings)
        manager = PasetoManager(app)
        manager.create_store(app)
        add_session_routes(app)
        apps.append(app)
    yield apps
    for app in apps:
        store = states_of(app)["default"].store
        assert store is not None
        store.close()


def rotate_together(apps: list[Flask], token: str) -> list[dict[str, Any]]:
    """Return what so many refreshes of one token get, those that get something."""
    start = threading.Barrier(TOGETHER, timeout=60)

    def rotate(number: int) -> Any:
        client = apps[number % 2].test_client()
        start.wait()
        return client.post("/rotate", headers=bearer(token))

    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = list(pool.map(rotate, range(TOGETHER)))
    assert {answer.status_code for answer in answers} <= {200, 401}
    return [answer.json for answer in answers if answer.status_code == 200]


@pytest.mark.requirement("ROT-1")
@pytest.mark.parametrize("grace", [10, 0])
def test_workers_commit_one_successor_of_a_token(tmp_path: Path, grace: int) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    with serving(url, PASETO_ROTATION_GRACE=grace) as apps:
        client = apps[0].test_client()
        for number in range(ROUNDS):
            pair = client.post("/login", json={"name": f"user-{number}"}).json
            assert pair is not None
            won = rotate_together(apps, pair["refresh_token"])
            with apps[1].app_context():
                live = len(list_sessions(f"user-{number}"))
                if not grace:
                    assert len(won) <= 1
                    assert live == 0
                    continue
                jtis = {
                    decode_token(each["refresh_token"], type="refresh").jti
                    for each in won
                }
            assert len(won) == TOGETHER
            assert len(jtis) == live == 1
