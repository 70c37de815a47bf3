"""Callbacks: sync and async, registered when you like; one that fails refuses."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request

from flask_paseto import (
    Claims,
    ClaimsRejected,
    InvalidToken,
    MissingToken,
    PasetoManager,
    RevokedToken,
    StoreUnavailable,
    UserNotFound,
    create_access_token,
    create_refresh_token,
    create_token,
    decode_token,
    get_current_user,
    paseto_required,
    refresh_token_required,
    verify_paseto_in_request,
)

from .conftest import MakeApp
from .refusals import assert_refused, bearer

Register = Callable[[PasetoManager, Callable[..., Any]], Any]

LOADERS: dict[str, Register] = {
    "user_lookup": lambda paseto, f: paseto.user_lookup_loader(f),
    "subject": lambda paseto, f: paseto.subject_loader(f),
    "additional_claims": lambda paseto, f: paseto.additional_claims_loader(f),
    "claims_verification": lambda paseto, f: paseto.claims_verification_loader(f),
    "token_in_denylist": lambda paseto, f: paseto.token_in_denylist_loader(f),
    "implicit_assertion": lambda paseto, f: paseto.implicit_assertion_loader(f),
}
#: What each is asked when: to issue, in a guard, or both.
ISSUING = ("subject", "additional_claims", "implicit_assertion")
GUARDING = (
    "user_lookup",
    "claims_verification",
    "token_in_denylist",
    "implicit_assertion",
)
is_async = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
late = pytest.mark.parametrize("late", [False, True], ids=["before", "after"])


def as_callback(work: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
    if not is_async:
        return work

    async def run(*args: Any) -> Any:
        await asyncio.sleep(0)
        return work(*args)

    return run


def set_up(
    make_app: MakeApp,
    name: str = "",
    work: Callable[..., Any] | None = None,
    late: bool = False,
    is_async: bool = False,
    **config: Any,
) -> Flask:
    """Return an app with one guarded view and one callback."""
    paseto = PasetoManager()
    callback = None if work is None else as_callback(work, is_async)
    if callback is not None and not late:
        assert LOADERS[name](paseto, callback) is callback
    app = make_app(paseto, **config)
    if callback is not None and late:
        assert LOADERS[name](paseto, callback) is callback
    app.extensions["ran"] = []

    @app.get("/view")
    @paseto_required(type=("access", "refresh", "ticket"), optional=True)
    def view() -> dict[str, Any]:
        app.extensions["ran"].append(1)
        return {"user": get_current_user()}

    return app


def issue(app: Flask, subject: Any = "alice", **options: Any) -> str:
    with app.app_context():
        return create_access_token(subject, **options)


# What each gets and gives


@is_async
@late
def test_the_user_is_looked_up_by_the_claims(
    make_app: MakeApp, late: bool, is_async: bool
) -> None:
    def find(claims: Claims) -> Any:
        assert isinstance(claims, Claims)
        return claims.subject.upper() if claims.subject != "gone" else None

    app = set_up(make_app, "user_lookup", find, late, is_async)
    client = app.test_client()
    found = client.get("/view", headers=bearer(issue(app)))
    assert found.json == {"user": "ALICE"}
    gone = client.get("/view", headers=bearer(issue(app, "gone")))
    assert_refused(gone, UserNotFound)
    assert app.extensions["ran"] == [1]
    with app.app_context():
        refresh = create_refresh_token("gone")
    assert_refused(client.get("/view", headers=bearer(refresh)), UserNotFound)
    assert client.get("/view").json == {"user": None}


@pytest.mark.parametrize("user", [False, 0, "", []], ids=repr)
def test_a_user_that_looks_false_is_a_user(make_app: MakeApp, user: Any) -> None:
    app = set_up(make_app, "user_lookup", lambda claims: user)
    response = app.test_client().get("/view", headers=bearer(issue(app)))
    assert response.json == {"user": user}


def test_without_a_loader_there_is_no_user(make_app: MakeApp) -> None:
    app = set_up(make_app)
    response = app.test_client().get("/view", headers=bearer(issue(app)))
    assert response.json == {"user": None}


@is_async
@late
def test_a_loader_makes_a_text_of_a_subject(
    make_app: MakeApp, late: bool, is_async: bool
) -> None:
    app = set_up(make_app, "subject", lambda user: f"u{user['id']}", late, is_async)
    with app.app_context():
        for create in (create_access_token, create_refresh_token):
            token = create({"id": 7})
            assert decode_token(token, type=("access", "refresh")).subject == "u7"
        ticket = create_token({"id": 7}, "ticket")
        assert decode_token(ticket, type="ticket").subject == "u7"


@is_async
@late
def test_claims_are_added_to_every_token(
    make_app: MakeApp, late: bool, is_async: bool
) -> None:
    shared = {"role": "x", "list": [1]}

    def add(subject: str) -> dict[str, Any]:
        assert subject == "7"
        return shared

    app = set_up(make_app, "additional_claims", add, late, is_async)
    with app.app_context():
        claims = decode_token(create_access_token(7))
        assert (claims["role"], claims["list"]) == ("x", (1,))
        claims = decode_token(create_access_token(7, user_claims={"role": "y"}))
        assert (claims["role"], claims["list"]) == ("y", (1,))
        ticket = create_token(7, "ticket")
        assert decode_token(ticket, type="ticket")["role"] == "x"
    assert shared == {"role": "x", "list": [1]}


def test_a_loader_may_add_nothing(make_app: MakeApp) -> None:
    app = set_up(make_app, "additional_claims", lambda subject: None)
    with app.app_context():
        assert decode_token(issue(app)).subject == "alice"


@is_async
@late
def test_a_loader_can_reject_claims(
    make_app: MakeApp, late: bool, is_async: bool
) -> None:
    app = set_up(
        make_app, "claims_verification", lambda c: c.subject != "eve", late, is_async
    )
    client = app.test_client()
    assert client.get("/view", headers=bearer(issue(app))).status_code == 200
    refused = client.get("/view", headers=bearer(issue(app, "eve")))
    assert_refused(refused, ClaimsRejected)
    assert app.extensions["ran"] == [1]


@is_async
@late
def test_a_loader_knows_revoked_tokens(
    make_app: MakeApp, late: bool, is_async: bool
) -> None:
    app = set_up(
        make_app, "token_in_denylist", lambda c: c.subject == "eve", late, is_async
    )
    client = app.test_client()
    assert client.get("/view", headers=bearer(issue(app))).status_code == 200
    refused = client.get("/view", headers=bearer(issue(app, "eve")))
    assert_refused(refused, RevokedToken)
    assert app.extensions["ran"] == [1]


@pytest.mark.parametrize(
    ("checks", "asked"),
    [
        ("all", {"access", "refresh", "ticket"}),
        (["refresh"], {"refresh"}),
        (("ticket",), {"ticket"}),
        (["access", "ticket"], {"access", "ticket"}),
    ],
    ids=["all", "refresh", "ticket", "two"],
)
def test_only_the_chosen_types_are_asked_about(
    make_app: MakeApp, checks: Any, asked: set[str]
) -> None:
    app = set_up(
        make_app,
        "token_in_denylist",
        lambda claims: True,
        PASETO_REVOCATION_CHECKS=checks,
    )
    client = app.test_client()
    with app.app_context():
        tokens = {
            "access": create_access_token("alice"),
            "refresh": create_refresh_token("alice"),
            "ticket": create_token("alice", "ticket"),
        }
    for kind, token in tokens.items():
        response = client.get("/view", headers=bearer(token))
        if kind in asked:
            assert_refused(response, RevokedToken)
        else:
            assert response.status_code == 200


@pytest.mark.requirement("KEY-5")
@is_async
@late
@pytest.mark.parametrize("cache", [0, 8], ids=["uncached", "cached"])
def test_tokens_are_bound_to_what_the_loader_gives(
    make_app: MakeApp, late: bool, is_async: bool, cache: int
) -> None:
    tenant: list[Any] = [b"one"]
    app = set_up(
        make_app,
        "implicit_assertion",
        lambda: tenant[-1],
        late,
        is_async,
        PASETO_VERIFIED_CACHE_SIZE=cache,
    )
    client, tokens = app.test_client(), {}
    values = ["one", "two", None, "\xe9"]
    for value in values:
        tenant.append(value)
        tokens[value] = issue(app)
    for here in values:
        tenant.append(here)
        for there in values:
            response = client.get("/view", headers=bearer(tokens[there]))
            if here == there:
                assert response.status_code == 200
            else:
                assert_refused(response, InvalidToken)
    tenant.append(b"one")
    assert client.get("/view", headers=bearer(tokens["one"])).status_code == 200
    tenant.append(b"")
    assert client.get("/view", headers=bearer(tokens[None])).status_code == 200


def test_an_assertion_of_the_call_takes_the_place_of_the_loader_s(
    make_app: MakeApp,
) -> None:
    app = set_up(make_app, "implicit_assertion", lambda: "loader")
    with app.app_context():
        mine = create_access_token("alice", implicit_assertion="call")
        assert decode_token(mine, implicit_assertion="call").subject == "alice"
        with pytest.raises(InvalidToken):
            decode_token(mine)
        none = create_access_token("alice", implicit_assertion=b"")
        with pytest.raises(InvalidToken):
            decode_token(none)


def test_the_assertion_may_come_from_the_request(make_app: MakeApp) -> None:
    app = set_up(
        make_app, "implicit_assertion", lambda: request.headers.get("X-Tenant")
    )
    client = app.test_client()
    with app.test_request_context(headers={"X-Tenant": "one"}):
        headers = bearer(create_access_token("alice"))
    for tenant, status in [("one", 200), ("two", 401), ("\xff", 401), ("", 401)]:
        response = client.get("/view", headers={**headers, "X-Tenant": tenant})
        assert response.status_code == status


def test_an_assertion_that_is_no_unicode_text_opens_nothing(
    make_app: MakeApp,
) -> None:
    app = set_up(make_app, "implicit_assertion", lambda: request.get_json()["tenant"])
    with app.test_request_context(json={"tenant": "one"}):
        token = create_access_token("alice")
    client = app.test_client()
    response = client.get("/view", json={"tenant": "one"}, headers=bearer(token))
    assert response.status_code == 200
    response = client.get("/view", json={"tenant": "\ud800"}, headers=bearer(token))
    assert_refused(response, InvalidToken)


# When each is asked


def test_callbacks_are_asked_in_their_order(make_app: MakeApp) -> None:
    paseto, asked = PasetoManager(), list[str]()
    answers: dict[str, Any] = {
        "user_lookup": 1,
        "claims_verification": True,
        "token_in_denylist": False,
        "implicit_assertion": None,
    }
    for name in GUARDING:

        def callback(*args: Any, name: str = name) -> Any:
            asked.append(name)
            return answers[name]

        LOADERS[name](paseto, callback)
    app = make_app(paseto)
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    client, token = app.test_client(), issue(app)
    asked.clear()
    assert client.get("/view", headers=bearer(token)).status_code == 200
    assert asked == [
        "implicit_assertion",
        "token_in_denylist",
        "claims_verification",
        "user_lookup",
    ]
    asked.clear()
    assert_refused(client.get("/view"), MissingToken)
    assert asked == []
    assert_refused(client.get("/view", headers=bearer(token[:-1])), InvalidToken)
    # A forged token never reaches what costs.
    assert set(asked) <= {"implicit_assertion"}


def test_the_last_one_registered_counts(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    app = make_app(paseto)
    app.add_url_rule("/view", "view", paseto_required(lambda: str(get_current_user())))
    headers, client = bearer(issue(app)), app.test_client()
    for name in ("one", "two"):
        paseto.user_lookup_loader(lambda claims, name=name: name)
        assert client.get("/view", headers=headers).text == name


# When one fails


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("claims_verification", ClaimsRejected), ("token_in_denylist", RevokedToken)],
)
@pytest.mark.parametrize("result", [None, 0, 1, "", "no", [], object], ids=repr)
@is_async
def test_what_is_no_bool_refuses_and_is_logged(
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    name: str,
    refusal: Any,
    result: Any,
    is_async: bool,
) -> None:
    app = set_up(make_app, name, lambda claims: result, is_async=is_async)
    with caplog.at_level(logging.ERROR, logger="flask_paseto"):
        response = app.test_client().get("/view", headers=bearer(issue(app)))
    assert_refused(response, refusal)
    assert app.extensions["ran"] == []
    (record,) = caplog.records
    assert record.name == "flask_paseto"
    assert f"{name}_loader must give True or False" in record.getMessage()
    assert "alice" not in caplog.text


@pytest.mark.parametrize(
    ("name", "result", "word"),
    [
        ("subject", 7, "subject_loader must give a str"),
        ("subject", None, "subject_loader must give a str"),
        ("subject", b"x", "subject_loader must give a str"),
        ("additional_claims", [], "additional_claims_loader must"),
        ("additional_claims", "x", "additional_claims_loader must"),
        ("additional_claims", 0, "additional_claims_loader must"),
        ("implicit_assertion", 5, "implicit_assertion_loader must give"),
        ("implicit_assertion", [], "implicit_assertion_loader must give"),
        ("implicit_assertion", False, "implicit_assertion_loader must give"),
    ],
)
@is_async
def test_a_result_of_another_type_issues_nothing(
    make_app: MakeApp, name: str, result: Any, word: str, is_async: bool
) -> None:
    app = set_up(make_app, name, lambda *args: result, is_async=is_async)
    with pytest.raises(TypeError, match=word):
        issue(app)


def test_an_empty_text_from_the_subject_loader_is_an_error(make_app: MakeApp) -> None:
    app = set_up(make_app, "subject", lambda subject: "")
    with pytest.raises(ValueError, match="subject must not be empty"):
        issue(app)


@pytest.mark.requirement("ISS-1")
@pytest.mark.parametrize("claim", ["sub", "exp", "fresh", "csrf"])
def test_a_loader_cannot_add_a_claim_of_ours(make_app: MakeApp, claim: str) -> None:
    app = set_up(make_app, "additional_claims", lambda subject: {claim: 1})
    with pytest.raises(ValueError, match=f"additional_claims_loader: {claim} cannot"):
        issue(app)


def test_an_assertion_of_another_type_lets_nobody_in(make_app: MakeApp) -> None:
    result: list[Any] = [None]
    app = set_up(make_app, "implicit_assertion", lambda: result[-1])
    token = issue(app)
    result.append(5)
    with pytest.raises(TypeError, match="implicit_assertion_loader"):
        app.test_client().get("/view", headers=bearer(token))
    assert app.extensions["ran"] == []


class BugError(Exception):
    """A fault in the app's own code."""


@pytest.mark.parametrize("name", GUARDING)
@is_async
@pytest.mark.parametrize("testing", [True, False], ids=["testing", "production"])
def test_a_bug_in_a_callback_is_no_401_and_no_pass(
    make_app: MakeApp, name: str, is_async: bool, testing: bool
) -> None:
    broken: list[bool] = []
    answers = {
        "user_lookup": 1,
        "claims_verification": True,
        "token_in_denylist": False,
        "implicit_assertion": None,
    }

    def work(*args: Any) -> Any:
        if broken:
            raise BugError
        return answers[name]

    app = set_up(make_app, name, work, is_async=is_async, TESTING=testing)
    headers, client = bearer(issue(app)), app.test_client()
    assert client.get("/view", headers=headers).status_code == 200
    broken.append(True)
    app.extensions["ran"].clear()
    if testing:
        with pytest.raises(BugError):
            client.get("/view", headers=headers)
    else:
        response = client.get("/view", headers=headers)
        assert response.status_code == 500
        assert "WWW-Authenticate" not in response.headers
    assert app.extensions["ran"] == []


@pytest.mark.parametrize("name", ISSUING)
@is_async
def test_a_bug_in_a_callback_issues_nothing(
    make_app: MakeApp, name: str, is_async: bool
) -> None:
    def work(*args: Any) -> None:
        raise BugError

    app = set_up(make_app, name, work, is_async=is_async)
    with pytest.raises(BugError):
        issue(app)


@pytest.mark.parametrize("name", GUARDING)
@is_async
def test_a_store_that_is_away_is_a_503_to_come_back_to(
    make_app: MakeApp, name: str, is_async: bool
) -> None:
    away: list[bool] = []
    answers = {
        "user_lookup": 1,
        "claims_verification": True,
        "token_in_denylist": False,
    }

    def work(*args: Any) -> Any:
        if away:
            raise StoreUnavailable
        return answers.get(name)

    app = set_up(make_app, name, work, is_async=is_async)
    headers, client = bearer(issue(app)), app.test_client()
    away.append(True)
    response = client.get("/view", headers=headers)
    assert_refused(response, StoreUnavailable)
    assert response.headers["Retry-After"] == "1"
    assert app.extensions["ran"] == []
    away.clear()
    assert client.get("/view", headers=headers).status_code == 200


# Async callbacks and loops


@pytest.mark.parametrize("name", GUARDING)
def test_async_callbacks_work_under_the_guard_of_an_async_view(
    make_app: MakeApp, name: str
) -> None:
    answers = {
        "user_lookup": 1,
        "claims_verification": True,
        "token_in_denylist": False,
    }
    app = set_up(make_app, name, lambda *args: answers.get(name), is_async=True)

    @app.get("/async")
    @paseto_required
    async def slow() -> str:
        await asyncio.sleep(0)
        return "x"

    @app.get("/refresh")
    @refresh_token_required
    async def refresh() -> str:
        return "x"

    client = app.test_client()
    assert client.get("/async", headers=bearer(issue(app))).text == "x"
    assert client.get("/refresh", headers=bearer(issue(app))).status_code == 401


@pytest.mark.parametrize("name", GUARDING)
@pytest.mark.parametrize("call", ["decode", "verify"])
def test_an_async_callback_inside_a_running_loop_says_so(
    make_app: MakeApp, name: str, call: str
) -> None:
    answers = {
        "user_lookup": 1,
        "claims_verification": True,
        "token_in_denylist": False,
    }
    app = set_up(make_app, name, lambda *args: answers.get(name), is_async=True)
    token = issue(app)

    async def work() -> Any:
        if call == "decode":
            return decode_token(token)
        return verify_paseto_in_request()

    with app.test_request_context(headers=bearer(token)):
        if (name, call) == ("user_lookup", "decode"):
            assert asyncio.run(work()).subject == "alice"
        else:
            with pytest.raises(RuntimeError, match="run is async and cannot"):
                asyncio.run(work())


@pytest.mark.parametrize("name", ISSUING)
def test_an_async_callback_cannot_issue_inside_a_running_loop(
    make_app: MakeApp, name: str
) -> None:
    app = set_up(make_app, name, lambda *args: None, is_async=True)

    @app.get("/issue")
    async def slow() -> str:
        return create_access_token("alice")

    with pytest.raises(RuntimeError, match="is async and cannot run inside an async"):
        app.test_client().get("/issue")


def test_an_awaitable_that_is_no_coroutine_is_refused_inside_a_loop(
    make_app: MakeApp,
) -> None:
    class Later:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return "later"

        def __call__(self, subject: Any) -> Any:
            return self

    app = set_up(make_app, "subject", Later())
    with app.app_context():
        assert decode_token(create_access_token("x")).subject == "later"

        async def work() -> str:
            return create_access_token("x")

        with pytest.raises(RuntimeError, match="a callback is async"):
            asyncio.run(work())


def test_sync_callbacks_work_inside_a_running_loop(make_app: MakeApp) -> None:
    app = set_up(make_app, "additional_claims", lambda subject: {"a": 1})

    async def work() -> str:
        return create_access_token("alice")

    with app.app_context():
        assert decode_token(asyncio.run(work()))["a"] == 1


def test_an_async_callback_without_its_extra_says_what_to_install(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = set_up(make_app, "user_lookup", lambda claims: 1, is_async=True)
    token = issue(app)
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)  # as if not installed
    with pytest.raises(RuntimeError, match=r"is async.*pip install flask\[async\]"):
        app.test_client().get("/view", headers=bearer(token))


def test_an_awaitable_without_the_extra_says_so_too(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later:
        def __await__(self) -> Any:
            yield

    app = set_up(make_app, "user_lookup", lambda claims: Later())
    token = issue(app)
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)
    with pytest.raises(RuntimeError, match=r"pip install flask\[async\]"):
        app.test_client().get("/view", headers=bearer(token))
