"""The example app: its views, its first start, and the session of its README."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Barrier
from time import thread_time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from example_app import create_app, models
from example_app.models import User, db
from example_app.ring import ensure_ring
from example_app.views import LoginFailed
from flask_paseto import (
    AccessTokenRequired,
    ConfigurationError,
    FreshTokenRequired,
    MissingToken,
    PasetoError,
    ReauthenticationRequired,
    RefreshTokenRequired,
    RefreshTokenReused,
    RevokedToken,
    UserNotFound,
    create_access_token,
    decode_token,
)
from flask_paseto.keys import generate_key
from flask_paseto.signals import authenticated
from flask_paseto.testing import Clock, use_clock

from .databases import close_databases
from .refusals import assert_refused, bearer

ROOT = Path(__file__).parents[1]
PAIR = {
    *("access_token", "refresh_token", "token_type"),
    *("expires_in", "refresh_expires_in"),
}
ALICE = {"name": "alice", "email": "alice@example.org", "password": "correct horse"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """Return an example app that has just been started for the first time."""
    app = create_app(settings_in(tmp_path))
    yield app
    with app.app_context():
        db.session.remove()
        close_databases()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of `app`."""
    return app.test_client()


@pytest.fixture
def clock(app: Flask) -> Iterator[Clock]:
    """Return the clock of `app`, standing still."""
    with use_clock(app) as clock:
        yield clock


@pytest.fixture
def tokens(client: FlaskClient) -> dict[str, str]:
    """Return what alice got when she registered and logged in."""
    assert client.post("/register", json=ALICE).status_code == 201
    return log_in(client)


@pytest.fixture
def fresh_token(app: Flask) -> str:
    """Return a fresh token of a user who is there, without the work of a login."""
    with app.app_context():
        db.session.add(User(id=1, name="alice", email="", password_hash=""))
        db.session.commit()
        return create_access_token(1, fresh=True)


def settings_in(folder: Path) -> dict[str, Any]:
    """Return the settings that keep what an app writes in a folder."""
    return {
        "TESTING": True,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'users.db'}",
        "PASETO_KEYRING": str(folder / "keyring.json"),
        "PASETO_STORE": f"sqlite:///{folder / 'sessions.db'}",
        "PASETO_STORE_TIMEOUT": 30,
    }


def log_in(client: FlaskClient, path: str = "/login") -> dict[str, str]:
    """Return the tokens of a login with alice's password."""
    answer = client.post(path, json=ALICE)
    assert answer.status_code == 200
    assert answer.cache_control.no_store
    tokens: dict[str, str] = answer.get_json()
    return tokens


def refreshed(client: FlaskClient, tokens: dict[str, str]) -> str:
    """Return an access token that is not fresh."""
    answer = client.post("/refresh", headers=bearer(tokens["refresh_token"]))
    assert answer.status_code == 200
    assert set(answer.get_json()) == PAIR
    token: str = answer.get_json()["access_token"]
    return token


def assert_refusal(answer: TestResponse, refusal: type[PasetoError]) -> dict[str, str]:
    """Assert that an answer is this refusal; return its challenge."""
    return assert_refused(answer, refusal, realm="example_app")


def assert_error(answer: TestResponse, status: int, error: str) -> None:
    """Assert that an answer is an error of the app in the form of ours."""
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert set(answer.get_json()) == {"error", "message"}
    assert answer.get_json()["error"] == error
    assert answer.get_json()["message"]


# The flow


def test_login_gives_a_fresh_and_a_refresh_token(
    app: Flask, tokens: dict[str, str]
) -> None:
    assert set(tokens) == PAIR
    with app.app_context():
        assert decode_token(tokens["access_token"]).fresh is True
        assert decode_token(tokens["refresh_token"], type="refresh").subject == "1"


@pytest.mark.parametrize("path", ["/protected", "/protected-fresh"])
def test_fresh_token_opens_every_view(
    client: FlaskClient, tokens: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers=bearer(tokens["access_token"]))
    assert answer.status_code == 200
    assert answer.get_json() == {"user": "alice", "email": "alice@example.org"}


def test_refreshed_token_opens_what_asks_for_any(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    headers = bearer(refreshed(client, tokens))
    assert client.get("/protected", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/protected-fresh"), ("PUT", "/me/email")]
)
def test_refreshed_token_is_refused_where_a_fresh_one_is_asked_for(
    client: FlaskClient, tokens: dict[str, str], method: str, path: str
) -> None:
    headers = bearer(refreshed(client, tokens))
    answer = client.open(path, method=method, headers=headers, json={"email": "a@b"})
    assert_refusal(answer, FreshTokenRequired)


def test_fresh_login_gives_a_fresh_access_token_only(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    again = log_in(client, "/fresh-login")
    assert list(again) == ["access_token"]
    headers = bearer(again["access_token"])
    assert client.get("/protected-fresh", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "refusal"),
    [
        ("GET", "/protected", "refresh_token", AccessTokenRequired),
        ("GET", "/protected-fresh", "refresh_token", AccessTokenRequired),
        ("PUT", "/me/email", "refresh_token", AccessTokenRequired),
        ("DELETE", "/me", "refresh_token", AccessTokenRequired),
        ("POST", "/refresh", "access_token", RefreshTokenRequired),
    ],
)
def test_token_of_the_other_type_is_refused(
    client: FlaskClient,
    tokens: dict[str, str],
    method: str,
    path: str,
    kind: str,
    refusal: type[PasetoError],
) -> None:
    headers = bearer(tokens[kind])
    assert_refusal(client.open(path, method=method, headers=headers), refusal)
    assert_refusal(client.open(path, method=method), MissingToken)


def test_email_is_changed_with_a_fresh_token(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    headers = bearer(tokens["access_token"])
    changed = {"user": "alice", "email": "alice@example.net"}
    answer = client.put("/me/email", headers=headers, json={"email": changed["email"]})
    assert answer.status_code == 200
    assert answer.get_json() == changed
    assert client.get("/protected", headers=headers).get_json() == changed


def test_email_of_an_account_deleted_meanwhile_is_a_refusal(
    app: Flask, client: FlaskClient, tokens: dict[str, str]
) -> None:
    def delete_user(sender: Flask, **_: Any) -> None:
        with db.engine.begin() as elsewhere:
            elsewhere.execute(delete(User))

    with authenticated.connected_to(delete_user, app):
        answer = client.put(
            "/me/email",
            headers=bearer(tokens["access_token"]),
            json={"email": "alice@example.net"},
        )
    assert_refusal(answer, UserNotFound)


# Deleting the account


def test_account_is_deleted_after_a_recent_login(
    client: FlaskClient, tokens: dict[str, str], clock: Clock
) -> None:
    clock.advance(240)  # the login itself took its time
    access = refreshed(client, tokens)
    answer = client.delete("/me", headers=bearer(access))
    assert answer.status_code == 204
    assert answer.data == b""
    assert_refusal(client.post("/login", json=ALICE), LoginFailed)


def test_account_is_not_deleted_after_an_old_login(
    client: FlaskClient, tokens: dict[str, str], clock: Clock
) -> None:
    clock.advance(302)
    for token in tokens["access_token"], refreshed(client, tokens):
        answer = client.delete("/me", headers=bearer(token))
        challenge = assert_refusal(answer, ReauthenticationRequired)
        assert challenge["max_age"] == "300"
    again = bearer(log_in(client, "/fresh-login")["access_token"])
    assert client.delete("/me", headers=again).status_code == 204


def test_deleted_user_is_out_at_once(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    access, refresh = bearer(tokens["access_token"]), bearer(tokens["refresh_token"])
    assert client.delete("/me", headers=access).status_code == 204
    assert_refusal(client.get("/protected", headers=access), RevokedToken)
    assert_refusal(client.delete("/me", headers=access), RevokedToken)
    assert_refusal(client.post("/refresh", headers=refresh), RevokedToken)


def test_tokens_of_a_deleted_user_never_fit_a_later_one(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    headers = bearer(tokens["access_token"])
    assert client.delete("/me", headers=headers).status_code == 204
    assert client.post("/register", json=ALICE).status_code == 201
    assert_refusal(client.get("/protected", headers=headers), RevokedToken)


# Sessions


def test_refresh_token_is_good_for_one_rotation(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    refresh = bearer(tokens["refresh_token"])
    pair = client.post("/refresh", headers=refresh).get_json()
    again = client.post("/refresh", headers=bearer(pair["refresh_token"])).get_json()
    # Its successor was used, so this is no retry.
    reused = client.post("/refresh", headers=refresh)
    assert_refusal(reused, RefreshTokenReused)
    access = bearer(again["access_token"])
    assert_refusal(client.get("/protected", headers=access), RevokedToken)


def test_log_out_ends_this_session(client: FlaskClient, tokens: dict[str, str]) -> None:
    other = log_in(client)
    access = bearer(tokens["access_token"])
    assert client.post("/logout", headers=access).status_code == 204
    assert_refusal(client.get("/protected", headers=access), RevokedToken)
    access = bearer(other["access_token"])
    assert client.get("/protected", headers=access).status_code == 200


def test_log_out_everywhere_ends_every_session(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    other = bearer(log_in(client)["access_token"])
    access = bearer(tokens["access_token"])
    assert client.post("/logout-all", headers=access).status_code == 204
    for headers in (access, other):
        assert_refusal(client.get("/protected", headers=headers), RevokedToken)


def test_sessions_tell_the_device_and_the_address(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    found = client.get("/sessions", headers=bearer(tokens["access_token"])).get_json()
    (one,) = found["sessions"]
    assert one["client"].startswith("Werkzeug/")
    assert (one["address"], one["current"]) == ("127.0.0.1", True)


def test_fresh_login_with_a_token_goes_on_with_its_session(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    headers = bearer(refreshed(client, tokens))
    answer = client.post("/fresh-login", headers=headers, json=ALICE)
    fresh = bearer(answer.get_json()["access_token"])
    found = client.get("/sessions", headers=fresh).get_json()["sessions"]
    assert [each["current"] for each in found] == [True]


def test_sessions_live_in_any_store_by_one_setting(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path) | {"PASETO_STORE": "memory://"})
    client = app.test_client()
    assert client.post("/register", json=ALICE).status_code == 201
    headers = bearer(log_in(client)["access_token"])
    assert client.get("/sessions", headers=headers).status_code == 200
    assert "sessions.db" not in names_in(tmp_path)
    with app.app_context():
        close_databases()


# Registering and logging in


def test_password_is_kept_as_a_hash(
    monkeypatch: pytest.MonkeyPatch, app: Flask, client: FlaskClient
) -> None:
    monkeypatch.setattr(models, "generate_password_hash", generate_password_hash)
    assert client.post("/register", json=ALICE).status_code == 201
    with app.app_context():
        kept = db.session.scalars(db.select(User)).one().password_hash
    assert kept.startswith("scrypt:")
    assert ALICE["password"] not in kept


def test_name_is_taken_once(client: FlaskClient, tokens: dict[str, str]) -> None:
    again = {**ALICE, "email": "other@example.org"}
    assert_error(client.post("/register", json=again), 409, "conflict")
    shown = client.get("/protected", headers=bearer(tokens["access_token"]))
    assert shown.get_json()["email"] == "alice@example.org"


def test_one_of_many_simultaneous_registrations_gets_the_name(app: Flask) -> None:
    def register(_: int) -> int:
        return app.test_client().post("/register", json=ALICE).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(register, range(4)))
    assert answers == [201, 409, 409, 409]


@pytest.mark.parametrize("path", ["/login", "/fresh-login"])
@pytest.mark.parametrize(
    "wrong", [{"name": "bob"}, {"password": "x"}], ids=["name", "password"]
)
def test_wrong_name_and_wrong_password_are_one_refusal(
    client: FlaskClient, tokens: dict[str, str], path: str, wrong: dict[str, str]
) -> None:
    answer = client.post(path, json=ALICE | wrong)
    assert_refusal(answer, LoginFailed)
    assert answer.get_json()["message"] == "Wrong name or password."


def test_unknown_name_costs_as_much_as_a_known_one(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    def cost(name: str) -> float:
        body = {"name": name, "password": "a wrong one"}
        times = []
        for _ in range(3):
            start = thread_time()
            assert client.post("/login", json=body).status_code == 401
            times.append(thread_time() - start)
        return min(times)

    known, unknown = cost("alice"), cost("bob")
    assert 1 / 3 < unknown / known < 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a" * 65},
        {"name": "Alice"},
        {"name": "alice\n"},
        {"name": None},
        {"name": 1},
        {"email": "alice"},
        {"email": "@example.org"},
        {"email": "alice@example.org\n"},
        {"email": "alice@" + "e" * 190},
        {"email": "\ud800@example.org"},
        {"email": "a\0@example.org"},
        {"email": ["alice@example.org"]},
        {"password": "7 chars"},
        {"password": "p" * 129},
        {"password": "\ud800" * 8},
        {"password": {"$ne": ""}},
        {"password": 12345678},
    ],
    ids=repr,
)
def test_malformed_field_is_refused_by_its_name(
    client: FlaskClient, wrong: dict[str, Any]
) -> None:
    answer = client.post("/register", json=ALICE | wrong)
    assert_error(answer, 400, "bad_request")
    assert answer.get_json()["message"].startswith(f"{next(iter(wrong))} must be ")


def test_everything_wrong_is_told_at_once(client: FlaskClient) -> None:
    message = client.post("/register", json={}).get_json()["message"]
    assert re.findall(r"(\w+) must be", message) == ["name", "email", "password"]


def test_the_longest_that_is_allowed_works(client: FlaskClient) -> None:
    longest = {
        "name": "a" * 64,
        "email": "ä" * 64 + "@" + "e" * 189,
        "password": "\U0001f40e" * 128,
    }
    assert client.post("/register", json=longest).status_code == 201
    assert client.post("/login", json=longest).status_code == 200


WRITING = [
    ("POST", "/register"),
    ("POST", "/login"),
    ("POST", "/fresh-login"),
    ("PUT", "/me/email"),
]


@pytest.mark.parametrize(("method", "path"), WRITING)
@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b"true", 400, "bad_request"),
        (b"NaN", 400, "bad_request"),
        (b'"alice"', 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"\xff\xfe\x00", 400, "bad_request"),
        (b"1" * 5000, 400, "bad_request"),
        (b"[" * 16_000, 400, "bad_request"),
        (b'{"a":' * 3_000, 400, "bad_request"),
        (b" " * 20_000, 413, "request_entity_too_large"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_malformed_body_is_a_client_error(
    client: FlaskClient,
    fresh_token: str,
    method: str,
    path: str,
    body: bytes,
    status: int,
    error: str,
) -> None:
    answer = client.open(
        path,
        method=method,
        data=body,
        content_type="application/json",
        headers=bearer(fresh_token),
    )
    assert_error(answer, status, error)


TEXT = st.text(st.characters())  # halves of surrogate pairs too
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)


@pytest.mark.parametrize(("method", "path"), WRITING)
@hypothesis_settings(max_examples=25)
@given(
    body=st.fixed_dictionaries(
        {}, optional={name: ANYTHING for name in ("name", "email", "password")}
    )
    | ANYTHING
)
def test_no_json_is_a_server_error(
    client: FlaskClient, fresh_token: str, method: str, path: str, body: Any
) -> None:
    answer = client.open(
        path,
        method=method,
        data=json.dumps(body),
        content_type="application/json",
        headers=bearer(fresh_token),
    )
    assert answer.status_code in (200, 201, 400, 401, 409, 413)


def test_every_error_has_the_form_of_ours(client: FlaskClient) -> None:
    assert_error(client.get("/nowhere"), 404, "not_found")
    wrong_method = client.get("/login")
    assert_error(wrong_method, 405, "method_not_allowed")
    assert "POST" in wrong_method.headers["Allow"]
    no_json = client.post("/login", data="name=alice")
    assert_error(no_json, 415, "unsupported_media_type")


def test_server_error_tells_nothing(app: Flask, client: FlaskClient) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context(), db.engine.begin() as connection:
        User.__table__.drop(connection)  # type: ignore[attr-defined]
    answer = client.post("/login", json=ALICE)
    assert_error(answer, 500, "internal_server_error")
    assert b"sql" not in answer.data.lower()


# The first start


def test_key_ring_is_for_its_owner_alone(app: Flask, tmp_path: Path) -> None:
    ring = tmp_path / "keyring.json"
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["keyring.json", "sessions.db", "users.db"]


def names_in(folder: Path) -> list[str]:
    """Return the files in a folder, without those that SQLite puts beside its own."""
    names = [path.name for path in folder.iterdir()]
    return sorted(name for name in names if not name.endswith(("-wal", "-shm")))


def test_key_and_users_outlive_the_app(
    client: FlaskClient, tokens: dict[str, str], tmp_path: Path
) -> None:
    again = create_app(settings_in(tmp_path))
    headers = bearer(tokens["access_token"])
    assert again.test_client().get("/protected", headers=headers).status_code == 200
    with again.app_context():
        close_databases()


def test_key_in_the_settings_needs_no_ring(tmp_path: Path) -> None:
    settings = settings_in(tmp_path) | {"PASETO_SECRET_KEY": generate_key().to_paserk()}
    del settings["PASETO_KEYRING"]
    other = create_app(settings)
    assert names_in(tmp_path) == ["sessions.db", "users.db"]
    with other.app_context():
        close_databases()


def test_key_that_was_there_before_rings_goes_on(tmp_path: Path) -> None:
    key = generate_key().to_paserk()
    (tmp_path / "paseto.key").write_text(f"{key}\n")
    settings = settings_in(tmp_path)
    of_the_key = settings | {"PASETO_SECRET_KEY": key}
    del of_the_key["PASETO_KEYRING"]
    before = create_app(of_the_key)
    with before.app_context():
        token = create_access_token(1)
        close_databases()
    after = create_app(settings)
    with after.app_context():
        assert decode_token(token).subject == "1"
        close_databases()
    assert "keyring.json" in names_in(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), ("k4.local.damaged", "the key in ")],
    ids=["empty", "damaged"],
)
def test_damaged_key_is_not_replaced(tmp_path: Path, text: str, says: str) -> None:
    key = tmp_path / "paseto.key"
    key.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        create_app(settings_in(tmp_path))
    assert key.read_text() == text
    assert names_in(tmp_path) == ["paseto.key"]


def test_damaged_ring_is_not_replaced(tmp_path: Path) -> None:
    ring = tmp_path / "keyring.json"
    ring.touch(0o600)
    with pytest.raises(ConfigurationError, match="JSON"):
        create_app(settings_in(tmp_path))
    assert ring.read_text() == ""


def test_simultaneous_starts_agree_on_one_ring(tmp_path: Path) -> None:
    path, together = tmp_path / "instance" / "keyring.json", Barrier(8)

    def start(_: int) -> str:
        together.wait()
        ensure_ring(path, path.with_name("paseto.key"), {})
        return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        rings = set(pool.map(start, range(8)))
    assert len(rings) == 1
    assert len(json.loads(rings.pop())["keys"]) == 1
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


# As a user runs it


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder that holds the example app and nothing that it has written."""
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "instance")
    shutil.copytree(ROOT / "example_app", folder / "example_app", ignore=ignored)
    return folder


def start(checkout: Path, *command: str) -> subprocess.Popen[str]:
    """Start Python in the folder, with the package of this repository."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    return subprocess.Popen(  # noqa: S603
        [sys.executable, *command],
        cwd=checkout,
        env=env | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def served(checkout: Path) -> Iterator[int]:
    """Run ``flask run`` in the folder, and kill it at the end; gives the port."""
    command = "-m flask --app example_app --no-debug run --port 0"
    with start(checkout, *command.split()) as process:
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    yield int(found[1])
                    return
            pytest.fail(f"the server did not start: {said}")
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: Any = None, token: str = "") -> Any:
    """Return the status and the body of an answer over HTTP."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} | (bearer(token) if token else {})
    try:
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_flask_run_from_nothing_and_again_after_a_kill(checkout: Path) -> None:
    with served(checkout) as port:
        assert ask(port, "POST", "/register", ALICE)[0] == 201
        status, tokens = ask(port, "POST", "/login", ALICE)
        assert status == 200
    instance = checkout / "instance"
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700
    assert stat.S_IMODE((instance / "keyring.json").stat().st_mode) == 0o600
    with served(checkout) as port:
        shown = ask(port, "GET", "/protected", token=tokens["access_token"])
        assert shown == (200, {"user": "alice", "email": "alice@example.org"})
        assert ask(port, "POST", "/login", ALICE)[0] == 200


def test_processes_that_start_together_accept_each_others_tokens(
    checkout: Path,
) -> None:
    code = (
        "from example_app import create_app\n"
        "from flask_paseto import create_access_token\n"
        "with create_app().app_context(): print(create_access_token(1))"
    )
    processes = [start(checkout, "-c", code) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    app = create_app(settings_in(checkout / "instance"))
    with app.app_context():
        assert [decode_token(token).subject for token in said] == ["1", "1", "1"]
        close_databases()


def test_settings_in_the_instance_folder_count(checkout: Path) -> None:
    (checkout / "instance").mkdir()
    (checkout / "instance" / "config.py").write_text('PASETO_REALM = "mine"')
    code = "import example_app; print(example_app.create_app().config['PASETO_REALM'])"
    assert start(checkout, "-c", code).communicate(timeout=60)[0] == "mine\n"


# The session of the README


def session_of(readme: str) -> list[tuple[str, str]]:
    """Return each command of the console blocks with the output below it."""
    session: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", readme, re.M | re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = step.partition("\n")
            session.append((command, output))
    return session


def shape_of(output: str) -> str:
    """Return an output without what differs from one run to the next."""
    output = re.sub(r"v4\.local\.[\w.…-]+", "v4.local.…", output)
    output = re.sub(r"^(Date|Server): .*", r"\1: …", output, flags=re.M)
    return output.strip()


def run_session(commands: list[str]) -> list[str]:
    """Return what each command puts out, run in one shell."""
    bash, curl = shutil.which("bash"), shutil.which("curl")
    if bash is None or curl is None:
        message = "the session of example_app/README.md needs bash and curl"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    mark = "end of the output"
    script = "".join(f"{command}\nprintf '\\n%s\\n' '{mark}'\n" for command in commands)
    done = subprocess.run(  # noqa: S603
        [bash, "--noprofile", "--norc"],
        input=script,
        env=os.environ | {"no_proxy": "*"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout.split(f"\n{mark}\n")[:-1]


def test_readme_session_is_what_happens(checkout: Path) -> None:
    session = session_of((checkout / "example_app" / "README.md").read_text("utf-8"))
    assert len(session) > 15
    with served(checkout) as port:
        commands = [command.replace(":5000", f":{port}") for command, _ in session]
        outputs = run_session(commands)
    happened = [(c, shape_of(o)) for (c, _), o in zip(session, outputs, strict=True)]
    assert happened == [(command, shape_of(output)) for command, output in session]
