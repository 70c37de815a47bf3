"""The pages of the example app without a browser; with one: tests/browser."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from example_app import create_app
from example_app.__main__ import ensure_account
from example_app.face.accounts import OtherSite
from example_app.face.devices import name_device
from example_app.models import User, add_user, appoint, db, find_user, is_administrator
from example_app.views import LoginFailed
from flask_paseto import (
    ConfigurationError,
    CsrfError,
    FreshTokenRequired,
    InsufficientScope,
    MissingToken,
    PasetoError,
    RefreshTokenReused,
    RevokedToken,
    StoreUnavailable,
    decode_token,
    revoke_session,
)
from flask_paseto.state import states_of
from flask_paseto.stores import MemoryStore
from flask_paseto.testing import Clock, override_settings, use_clock

from .databases import close_databases
from .refusals import assert_refused
from .test_example_app import ROOT, settings_in

PASSWORD = "correct horse"
PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
GUARDED = ["/", "/devices", "/keys", "/thief"]
CHANGING = ["/sign-out", "/renew", "/step-up", "/thief/play", "/keys/step"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """Return an example app over plain http, with alice, and ada who has the keys."""
    settings = {"PASETO_STORE": "memory://", "PASETO_COOKIE_SECURE": False}
    app = create_app(settings_in(tmp_path) | settings)
    with app.app_context():
        for name in ("alice", "ada"):
            user = add_user(name, f"{name}@example.org", PASSWORD)
            assert user is not None
        appoint(user)
    yield app
    with app.app_context():
        close_databases()


@pytest.fixture
def clock(app: Flask) -> Iterator[Clock]:
    """Return the clock of `app`, standing still."""
    with use_clock(app) as clock:
        yield clock


@pytest.fixture
def alice(app: Flask) -> FlaskClient:
    """Return the browser of alice, who is signed in."""
    return sign_in(app, "alice")


@pytest.fixture
def ada(app: Flask) -> FlaskClient:
    """Return the browser of ada, who is signed in."""
    return sign_in(app, "ada")


def sign_in(app: Flask, name: str, **fields: str) -> FlaskClient:
    """Return a browser that has signed in."""
    client = app.test_client()
    form = {"name": name, "password": PASSWORD, **fields}
    assert client.post("/sign-in", data=form, headers=PAGE).status_code == 303
    return client


def value_of(client: FlaskClient, name: str) -> str:
    """Return the value of a cookie."""
    cookie = client.get_cookie(name)
    assert cookie is not None
    return cookie.value


def csrf(client: FlaskClient, headers: dict[str, str] = JSON) -> dict[str, str]:
    """Return the headers with which the script of a page sends something."""
    return {**headers, "X-CSRF-Token": value_of(client, "csrf_token")}


def assert_refusal(answer: TestResponse, refusal: type[PasetoError]) -> None:
    """Assert that an answer to a program is this refusal."""
    assert_refused(answer, refusal, realm="example_app")


def assert_page(answer: TestResponse, status: int, title: str) -> None:
    """Assert that an answer is a page with this title, and hardened."""
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert f"<title>{title}" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.cache_control.no_store
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=", answer.text)


# Who is let in


@pytest.mark.parametrize("path", GUARDED)
def test_people_are_led_to_the_sign_in_and_programs_are_refused(
    app: Flask, path: str
) -> None:
    client = app.test_client()
    led = client.get(path, headers=PAGE)
    assert (led.status_code, led.location) == (303, f"/sign-in?next={path}")
    for headers in (JSON, {"Accept": "*/*"}):
        assert_refusal(client.get(path, headers=headers), MissingToken)


@pytest.mark.parametrize("path", CHANGING)
def test_programs_are_refused_whatever_they_would_change(app: Flask, path: str) -> None:
    client = app.test_client()
    assert_refusal(client.post(path, headers=JSON), MissingToken)


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("path", CHANGING)
def test_whatever_changes_something_needs_the_csrf_value(
    ada: FlaskClient, path: str
) -> None:
    assert_refusal(ada.post(path, headers=JSON), CsrfError)
    told = ada.post(path, headers=PAGE)
    assert_page(told, 403, "This page is out of date")
    assert ada.get("/", headers=PAGE).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
def test_token_in_the_header_opens_no_page(
    app: Flask, ada: FlaskClient, path: str
) -> None:
    token = value_of(ada, "access_token")
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    assert_refusal(app.test_client().get(path, headers=headers), MissingToken)


@pytest.mark.parametrize("path", [*GUARDED, "/sign-in", "/sign-up"])
def test_pages_are_hardened(ada: FlaskClient, path: str) -> None:
    title = {"/": "Account", "/sign-in": "Sign in", "/sign-up": "Sign up"}.get(path)
    title = title or path[1:].capitalize()
    assert_page(ada.get(path, headers=PAGE), 200, title)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"name": "alice"},
        {"name": "alice", "password": "a wrong one"},
        {"name": "bob", "password": PASSWORD},
        {"name": "alice\0", "password": PASSWORD},
        {"name": "alice", "password": "p" * 5000},
    ],
    ids=["empty", "no password", "wrong password", "wrong name", "odd", "long"],
)
def test_who_does_not_know_the_password_is_not_signed_in(
    app: Flask, form: dict[str, str]
) -> None:
    client = app.test_client()
    assert_page(client.post("/sign-in", data=form, headers=PAGE), 401, "Sign in")
    assert_refusal(client.post("/sign-in", data=form, headers=JSON), LoginFailed)
    assert client.get_cookie("access_token") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.test"},
        {"Origin": "http://localhost.evil.test"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-up"])
def test_form_that_another_origin_sent_signs_nobody_in(
    app: Flask, path: str, headers: dict[str, str]
) -> None:
    client = app.test_client()
    form = {"name": "alice", "password": PASSWORD}
    assert_refusal(client.post(path, data=form, headers=JSON | headers), OtherSite)
    told = client.post(path, data=form, headers=PAGE | headers)
    assert_page(told, 403, "That came from another site")
    assert client.get_cookie("access_token") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.test"},
    ],
)
def test_form_of_this_origin_signs_in(app: Flask, headers: dict[str, str]) -> None:
    client = app.test_client()
    form = {"name": "alice", "password": PASSWORD}
    assert client.post("/sign-in", data=form, headers=headers).status_code == 303
    assert client.get_cookie("access_token") is not None


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "/\\evil.test", "\n/", "x", ""]
)
def test_way_back_is_a_path_of_this_app(app: Flask, target: str) -> None:
    form = {"name": "alice", "password": PASSWORD, "next": target}
    answer = app.test_client().post("/sign-in", data=form, headers=PAGE)
    assert answer.location == "/"


# What cannot be read


@pytest.mark.parametrize("path", ["/", "/sign-in", "/sign-up", "/devices", "/nowhere"])
@pytest.mark.parametrize(
    "broken",
    [
        {"QUERY_STRING": "said=\xff&next=\xff"},
        {"HTTP_HOST": "a..b"},
        {"HTTP_HOST": "x" * 64 + ".example"},
    ],
    ids=["query", "empty label", "long label"],
)
def test_request_that_cannot_be_read_is_a_bad_one(
    alice: FlaskClient, path: str, broken: dict[str, str]
) -> None:
    for headers in (PAGE, JSON):
        answer = alice.get(path, headers=headers, environ_overrides=broken)
        assert answer.status_code == 400
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/login", "/register"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", JSON["Accept"]])
def test_body_that_breaks_off_is_a_bad_request(
    app: Flask, path: str, kind: str
) -> None:
    class Broken(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise RuntimeError  # those of gunicorn are no OSError

        readline = readinto = read  # type: ignore[assignment]

    environ = {"wsgi.input": Broken(), "CONTENT_LENGTH": "10", "CONTENT_TYPE": kind}
    client = app.test_client()
    answer = client.post(path, environ_overrides=environ)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"] == "bad_request"


# Sessions


def test_sign_out_ends_the_session(app: Flask, alice: FlaskClient) -> None:
    token = value_of(alice, "access_token")
    form = {"csrf_token": value_of(alice, "csrf_token")}
    answer = alice.post("/sign-out", data=form, headers=PAGE)
    assert answer.location == "/sign-in?said=signed-out"
    assert alice.get_cookie("access_token") is None
    with app.app_context(), pytest.raises(RevokedToken):
        decode_token(token)


def test_sign_out_works_for_a_session_that_has_ended(
    app: Flask, alice: FlaskClient
) -> None:
    other = sign_in(app, "alice")
    assert other.delete("/sessions", headers=csrf(other)).status_code == 204
    assert_refusal(alice.get("/", headers=JSON), RevokedToken)
    form = {"csrf_token": value_of(alice, "csrf_token")}
    answer = alice.post("/sign-out", data=form, headers=PAGE)
    assert answer.location == "/sign-in?said=signed-out"
    assert alice.get_cookie("access_token") is None


@pytest.mark.parametrize("ended", [False, True], ids=["alive", "ended"])
@pytest.mark.parametrize("refresh", ["none", "over", "broken"])
def test_sign_out_takes_the_access_token_where_the_refresh_token_is_of_no_use(
    app: Flask, alice: FlaskClient, refresh: str, ended: bool
) -> None:
    """Also when the session was ended from another device."""
    text, headers = value_of(alice, "refresh_token"), csrf(alice)
    with app.app_context():
        codec, claims = (
            states_of(app)["default"].codec,
            decode_token(text, type="refresh"),
        )
        over = codec.seal({**claims, "exp": claims["iat"]})
        if ended:
            revoke_session(claims.session_id or "")
    alice.delete_cookie("refresh_token")
    if refresh != "none":
        alice.set_cookie("refresh_token", {"over": over, "broken": text[:-1]}[refresh])

    answer = alice.post("/sign-out", headers=headers)

    assert answer.location == "/sign-in?said=signed-out"
    assert alice.get_cookie("access_token") is None
    with app.app_context(), pytest.raises(RevokedToken):
        decode_token(text, type="refresh")


@pytest.mark.parametrize("kept", ["access_token", "refresh_token"])
def test_sign_out_takes_what_the_browser_still_has(
    app: Flask, alice: FlaskClient, kept: str
) -> None:
    token = value_of(alice, kept)
    gone = ({"access_token", "refresh_token"} - {kept}).pop()
    alice.delete_cookie(gone)
    assert_refusal(alice.post("/sign-out", headers=JSON), CsrfError)
    assert alice.post("/sign-out", headers=csrf(alice)).status_code == 303
    assert alice.get_cookie(kept) is None
    with app.app_context(), pytest.raises(RevokedToken):
        decode_token(token, type=("access", "refresh"))


def test_sign_out_after_a_while_lets_nobody_go_on(
    app: Flask, alice: FlaskClient, clock: Clock
) -> None:
    """The page of the sign-in renews by itself what is still open."""
    token = value_of(alice, "refresh_token")
    form = {"csrf_token": value_of(alice, "csrf_token")}
    clock.advance(timedelta(hours=1))
    answer = alice.post("/sign-out", data=form, headers=PAGE)
    assert answer.location == "/sign-in?said=signed-out"
    assert "Go on" not in alice.get("/sign-in", headers=PAGE).text
    with app.app_context(), pytest.raises(RevokedToken):
        decode_token(token, type="refresh")


def test_renewed_token_is_not_fresh_and_the_password_makes_one_that_is(
    alice: FlaskClient,
) -> None:
    email = {"email": "alice@example.net"}
    assert alice.post("/renew", headers=csrf(alice)).status_code == 204
    refused = alice.put("/me/email", json=email, headers=csrf(alice))
    assert_refusal(refused, FreshTokenRequired)
    wrong = alice.post("/step-up", json={"password": "no"}, headers=csrf(alice))
    assert_refusal(wrong, LoginFailed)
    refused = alice.put("/me/email", json=email, headers=csrf(alice))
    assert_refusal(refused, FreshTokenRequired)
    right = alice.post("/step-up", json={"password": PASSWORD}, headers=csrf(alice))
    assert right.status_code == 204
    changed = alice.put("/me/email", json=email, headers=csrf(alice))
    assert changed.get_json() == {"user": "alice", **email}


@pytest.mark.parametrize("remember", [{}, {"remember": "on"}], ids=["window", "stays"])
def test_cookies_go_on_as_was_said_at_the_sign_in(
    app: Flask, remember: dict[str, str]
) -> None:
    ada = sign_in(app, "ada", **remember)
    for path in ("/renew", "/renew", "/step-up", "/renew", "/renew"):
        body = {"password": PASSWORD} if path == "/step-up" else None
        answer = ada.post(path, json=body, headers=csrf(ada))
        assert answer.status_code == 204
        told = answer.headers.getlist("Set-Cookie")
        assert {"Max-Age=" in cookie for cookie in told} == {bool(remember)}
        assert ada.get("/keys", headers=PAGE).status_code == 200


def test_password_of_somebody_else_is_no_step_up(
    app: Flask, alice: FlaskClient
) -> None:
    with app.app_context():
        assert add_user("bob", "bob@example.org", "another password") is not None
    body = {"password": "another password", "name": "bob"}
    answer = alice.post("/step-up", json=body, headers=csrf(alice))
    assert_refusal(answer, LoginFailed)


def test_step_up_ends_with_the_freshness(alice: FlaskClient, clock: Clock) -> None:
    alice.post("/step-up", json={"password": PASSWORD}, headers=csrf(alice))
    clock.advance(timedelta(minutes=5, seconds=1))
    body = {"email": "alice@example.net"}
    assert_refusal(
        alice.put("/me/email", json=body, headers=csrf(alice)), FreshTokenRequired
    )


def test_renewing_with_a_used_token_ends_the_session(app: Flask, clock: Clock) -> None:
    alice = sign_in(app, "alice")
    stolen = value_of(alice, "refresh_token")
    assert alice.post("/renew", headers=csrf(alice)).status_code == 204
    clock.advance(11)
    thief = app.test_client()
    thief.set_cookie("refresh_token", stolen)
    thief.set_cookie("csrf_token", value_of(alice, "csrf_token"))
    assert_refusal(thief.post("/renew", headers=csrf(thief)), RefreshTokenReused)
    assert_refusal(alice.get("/", headers=JSON), RevokedToken)
    told = alice.get("/sign-in", headers=PAGE)
    assert "This session was ended" in told.text
    assert alice.get_cookie("access_token") is None


def test_browser_that_is_known_may_go_on(alice: FlaskClient) -> None:
    alice.delete_cookie("access_token")
    page = alice.get("/sign-in?next=/devices", headers=PAGE)
    assert "Go on as alice" in page.text
    form = {"csrf_token": value_of(alice, "csrf_token"), "next": "/devices"}
    answer = alice.post("/renew", data=form, headers=PAGE)
    assert (answer.status_code, answer.location) == (303, "/devices")
    assert alice.get("/devices", headers=PAGE).status_code == 200


def test_browser_with_two_cookies_of_one_name_is_not_known(app: Flask) -> None:
    headers = {**PAGE, "Cookie": "access_token=a; access_token=b"}
    page = app.test_client().get("/sign-in", headers=headers)
    assert_page(page, 200, "Sign in")
    assert "Go on" not in page.text


@pytest.mark.requirement("REV-2")
def test_nobody_is_let_in_unchecked_while_the_store_is_down(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down(MemoryStore):
        def check_token(self, *_: Any, **__: Any) -> Any:
            raise StoreUnavailable

    store = Down(clock=states_of(app)["default"].clock)
    with override_settings(app, PASETO_STORE=store):
        for path in ("/", "/sign-in"):
            told = alice.get(path, headers=PAGE)
            assert_page(told, 503, "Try again in a moment")
            assert int(told.headers["Retry-After"]) > 0
        assert_refusal(alice.get("/", headers=JSON), StoreUnavailable)
    assert alice.get("/", headers=PAGE).status_code == 200


def test_play_makes_no_login_younger(
    app: Flask, alice: FlaskClient, clock: Clock
) -> None:
    opened: list[Any] = []
    store = states_of(app)["default"].store
    assert isinstance(store, MemoryStore)
    clock.advance(100)
    before = store.open_session

    def open_session(session: Any) -> bool:
        opened.append(session)
        return before(session)

    store.open_session = open_session  # type: ignore[method-assign]
    played = alice.post("/thief/play", headers=csrf(alice)).get_json()
    with app.app_context():
        login = decode_token(value_of(alice, "access_token")).auth_time
    assert login is not None
    assert [each.auth_time for each in opened] == [int(login.timestamp()) * 1_000_000]
    assert played["alive"] is False
    statuses = [scene["status"] for scene in played["scenes"]]
    assert statuses == [0, 200, 200, 200, 401, 401]
    assert "v4." not in json.dumps(played)


def test_play_that_the_store_does_not_answer_is_told(
    app: Flask, alice: FlaskClient
) -> None:
    class Down(MemoryStore):
        def check_refresh(self, *_: Any, **__: Any) -> Any:
            raise StoreUnavailable

    store = Down(clock=states_of(app)["default"].clock)
    with override_settings(app, PASETO_STORE=store):
        browser = sign_in(app, "alice")
        told = browser.post("/thief/play", headers=csrf(browser))
        assert_refusal(told, StoreUnavailable)


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/1 Safari/1 Edg/1", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/1 Safari/1", "Chrome on Android"),
        ("The victim's phone", "The victim's phone"),
        ("<b>", "<b>"),
        ("", "An unknown device"),
    ],
)
def test_device_has_a_name_that_people_know(client: str, name: str) -> None:
    assert name_device(client) == name


def test_what_a_device_says_of_itself_is_text(app: Flask) -> None:
    client = app.test_client()
    headers = {**PAGE, "User-Agent": "<script>alert(1)</script>"}
    form = {"name": "alice", "password": PASSWORD}
    client.post("/sign-in", data=form, headers=headers)
    page = client.get("/devices", headers=PAGE)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


# Keys


@pytest.mark.parametrize("path", ["/keys/step", "/keys/k4.lid.x/end"])
def test_keys_are_for_administrators_alone(alice: FlaskClient, path: str) -> None:
    assert_refusal(alice.get("/keys", headers=JSON), InsufficientScope)
    assert_refusal(alice.post(path, headers=csrf(alice)), InsufficientScope)
    assert_page(alice.get("/keys", headers=PAGE), 403, "Not for this account")


@pytest.mark.parametrize("path", ["/keys/step", "/keys/k4.lid.x/end"])
def test_keys_are_changed_with_a_fresh_token_alone(ada: FlaskClient, path: str) -> None:
    assert ada.post("/renew", headers=csrf(ada)).status_code == 204
    assert_refusal(ada.post(path, headers=csrf(ada)), FreshTokenRequired)


def test_key_that_issues_cannot_be_ended(ada: FlaskClient, tmp_path: Path) -> None:
    ring = tmp_path / "keyring.json"
    before = ring.read_text()
    (key,) = json.loads(before)["keys"]
    for key_id in (key["id"], "k4.lid.x"):
        answer = ada.post(f"/keys/{key_id}/end", headers=csrf(ada, PAGE))
        assert_page(answer, 404, "There is no such page")
    assert ring.read_text() == before


def test_announced_key_waits_until_all_know_it(
    ada: FlaskClient, tmp_path: Path
) -> None:
    answers = [ada.post("/keys/step", headers=csrf(ada, PAGE)) for _ in range(2)]
    said = [answer.location for answer in answers]
    assert said == ["/keys?said=announced", "/keys?said=too-early"]
    document = json.loads((tmp_path / "keyring.json").read_text())
    assert [key["state"] for key in document["keys"]] == ["issuing", "announced"]
    page = ada.get("/keys?said=too-early", headers=PAGE)
    assert "Not every worker may know that key yet." in page.text


def test_page_of_the_keys_holds_no_key(ada: FlaskClient, tmp_path: Path) -> None:
    ada.post("/keys/step", headers=csrf(ada))
    page = ada.get("/keys", headers=PAGE).text
    for key in json.loads((tmp_path / "keyring.json").read_text())["keys"]:
        assert key["id"][:17] in page
        assert key["key"] not in page


def test_ring_goes_on_as_long_as_tokens_do(ada: FlaskClient, tmp_path: Path) -> None:
    ring = tmp_path / "keyring.json"
    ada.post("/keys/step", headers=csrf(ada))
    document = json.loads(ring.read_text())
    document["keys"][1]["added"] = "2026-01-01T00:00:00Z"  # all have seen it
    ring.write_text(json.dumps(document))
    answer = ada.post("/keys/step", headers=csrf(ada))
    assert answer.location == "/keys?said=promoted"
    former = json.loads(ring.read_text())["keys"][0]
    until = datetime.fromisoformat(former["issued_until"])
    assert datetime.fromisoformat(former["not_after"]) - until >= timedelta(days=30)


def test_without_a_ring_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    settings = settings_in(tmp_path) | {
        "PASETO_STORE": "memory://",
        "PASETO_COOKIE_SECURE": False,
        "PASETO_SECRET_KEY": "k4.local.Bvj2v6HXYxkLFhXcRFNQPsDHIcJxRSRWQ1pJ7D1g0vU",
    }
    del settings["PASETO_KEYRING"]
    app = create_app(settings)
    with app.app_context():
        user = add_user("ada", "ada@example.org", PASSWORD)
        assert user is not None
        appoint(user)
    ada = sign_in(app, "ada")
    assert_page(ada.get("/keys", headers=PAGE), 404, "There is no such page")
    with app.app_context():
        close_databases()


def test_appointing_takes_a_user_who_is_there(app: Flask) -> None:
    runner = app.test_cli_runner()
    assert runner.invoke(args=["appoint", "alice"]).exit_code == 0
    with app.app_context():
        user = find_user("alice", PASSWORD)
        assert user is not None
        assert is_administrator(user)
    refused = runner.invoke(args=["appoint", "nobody"])
    assert refused.exit_code == 1
    assert "there is no such user" in refused.output


# The demo


def test_demo_account_is_made_once_and_kept_for_its_owner(
    app: Flask, tmp_path: Path
) -> None:
    path = tmp_path / "demo.json"
    name, password = ensure_account(app, path)
    assert ensure_account(app, path) == (name, password)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with app.app_context():
        user = find_user(name, password)
        assert user is not None
        assert is_administrator(user)


def test_demo_account_that_was_deleted_is_made_anew(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    first = ensure_account(app, path)
    with app.app_context():
        db.session.execute(db.delete(User).filter_by(name=first[0]))
        db.session.commit()
    again = ensure_account(app, path)
    assert again[1] != first[1]
    assert ensure_account(app, path) == again


def test_somebody_who_has_the_name_gets_no_administrator(
    app: Flask, tmp_path: Path
) -> None:
    with app.app_context():
        assert add_user("demo", "demo@example.org", PASSWORD) is not None
    name, _ = ensure_account(app, tmp_path / "demo.json")
    assert name != "demo"
    with app.app_context():
        user = find_user("demo", PASSWORD)
        assert user is not None
        assert not is_administrator(user)


def test_damaged_store_url_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PASETO_STORE"):
        create_app(settings_in(tmp_path) | {"PASETO_STORE": "nowhere://"})


def test_demo_tells_its_address_and_an_account_that_works(tmp_path: Path) -> None:
    code = "from example_app.__main__ import main; main()"
    # A copy, since the instance folder is beside the package.
    folder = tmp_path / "checkout"
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", COPY, str(ROOT / "example_app"), str(folder)], check=True
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PORT": "0", "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = "".join(line for _, line in zip(range(7), process.stdout, strict=False))
        process.kill()  # not CTRL+C, which a process in the background ignores
    assert re.search(r"http://127\.0\.0\.1:[1-9]\d*\n", said), said
    found = re.search(r"Sign in as  (\S+)\n  Password    (\S+)", said)
    assert found, said
    assert "Warning" not in said
    assert json.loads((folder / "instance" / "demo.json").read_text()) == list(
        found.groups()
    )


COPY = (
    "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2] + '/example_app', "
    "ignore=shutil.ignore_patterns('__pycache__'))"
)
