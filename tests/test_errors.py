"""Every refusal: its status, code, body and challenge, whatever is said in it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    ServiceUnavailable,
    Unauthorized,
)

import flask_paseto
from flask_paseto import (
    AccessTokenRequired,
    ClaimsRejected,
    ConfigurationError,
    CsrfError,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidClaims,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    PasetoError,
    PasetoManager,
    ReauthenticationRequired,
    RefreshTokenRequired,
    RefreshTokenReused,
    RevokedToken,
    StoreUnavailable,
    TokenNotYetValid,
    UserNotFound,
    WrongTokenType,
    create_access_token,
    errors,
    paseto_required,
)

from .conftest import MakeApp
from .refusals import assert_refused, bearer

STEP_UP = "insufficient_user_authentication"
TABLE: list[tuple[type[PasetoError], int, type[HTTPException], str, str | None]] = [
    (MissingToken, 401, Unauthorized, "token_missing", None),
    (InvalidRequest, 400, BadRequest, "invalid_request", "invalid_request"),
    (InvalidToken, 401, Unauthorized, "token_invalid", "invalid_token"),
    (ExpiredToken, 401, Unauthorized, "token_expired", "invalid_token"),
    (TokenNotYetValid, 401, Unauthorized, "token_not_yet_valid", "invalid_token"),
    (InvalidClaims, 401, Unauthorized, "claims_invalid", "invalid_token"),
    (WrongTokenType, 401, Unauthorized, "wrong_token_type", "invalid_token"),
    (AccessTokenRequired, 401, Unauthorized, "access_token_required", "invalid_token"),
    (
        RefreshTokenRequired,
        401,
        Unauthorized,
        "refresh_token_required",
        "invalid_token",
    ),
    (RevokedToken, 401, Unauthorized, "token_revoked", "invalid_token"),
    (RefreshTokenReused, 401, Unauthorized, "token_reused", "invalid_token"),
    (FreshTokenRequired, 401, Unauthorized, "fresh_token_required", STEP_UP),
    (ReauthenticationRequired, 401, Unauthorized, "reauthentication_required", STEP_UP),
    (UserNotFound, 401, Unauthorized, "user_not_found", "invalid_token"),
    (CsrfError, 403, Forbidden, "csrf_failed", None),
    (InsufficientScope, 403, Forbidden, "insufficient_scope", "insufficient_scope"),
    (ClaimsRejected, 403, Forbidden, "claims_rejected", None),
    (KeysUnavailable, 503, ServiceUnavailable, "keys_unavailable", None),
    (StoreUnavailable, 503, ServiceUnavailable, "store_unavailable", None),
]
refusals = pytest.mark.parametrize(
    "refusal", [row[0] for row in TABLE], ids=lambda refusal: refusal.__name__
)

# RFC 6750 section 3: what may stand in error and error_description, without quotes.
QUOTED = r'"[\x20-\x21\x23-\x5b\x5d-\x7e]*"'
CHALLENGE = re.compile(rf"Bearer \w+={QUOTED}(?:, \w+={QUOTED})*")


@pytest.mark.parametrize(
    ("refusal", "status", "base", "code", "challenge"),
    TABLE,
    ids=[row[0].__name__ for row in TABLE],
)
def test_a_refusal_is_as_documented(
    refusal: type[PasetoError],
    status: int,
    base: type[HTTPException],
    code: str,
    challenge: str | None,
) -> None:
    assert issubclass(refusal, PasetoError)
    assert issubclass(refusal, base)
    assert refusal.error_code == code
    assert refusal.challenge_error == challenge
    fault = refusal()
    assert fault.status_code == fault.code == status
    assert fault.message == fault.description
    assert fault.message.endswith(".")
    assert fault.data == {"error": code, "message": fault.message}
    response = fault.get_response()
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert json.loads(response.get_data()) == fault.data


def test_every_refusal_is_in_the_table_and_in_the_tree() -> None:
    def below(kind: type[PasetoError]) -> set[type[PasetoError]]:
        direct = {c for c in kind.__subclasses__() if c.__module__ == errors.__name__}
        return direct.union(*map(below, direct)) if direct else direct

    found = below(PasetoError)
    assert found == {row[0] for row in TABLE}
    lines = re.findall(r"── (\w+) +(\d{3})  (\w+)", errors.__doc__ or "")
    assert sorted(lines) == sorted((r.__name__, str(s), c) for r, s, _, c, _ in TABLE)
    for refusal in found:
        assert getattr(flask_paseto, refusal.__name__) is refusal


@pytest.mark.requirement("ANS-1")
@refusals
@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "open"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_refusal_of_the_view_itself_is_answered_with_its_challenge(
    make_app: MakeApp, refusal: type[PasetoError], guarded: bool, is_async: bool
) -> None:
    app = make_app()

    async def async_view() -> None:
        raise refusal

    def sync_view() -> None:
        raise refusal

    view: Any = async_view if is_async else sync_view
    app.add_url_rule("/view", "view", paseto_required(view) if guarded else view)
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    response = app.test_client().get("/view", headers=headers)
    assert_refused(response, refusal)
    retry_after = {StoreUnavailable: "1", KeysUnavailable: "30"}.get(refusal)
    assert response.headers.get("Retry-After") == retry_after


@pytest.mark.requirement("ANS-1")
def test_a_challenge_names_no_error_when_no_token_came(make_app: MakeApp) -> None:
    app = make_app()
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    response = app.test_client().get("/view")
    assert_refused(response, MissingToken)
    assert response.headers.getlist("WWW-Authenticate") == ['Bearer realm="tests"']


@pytest.mark.requirement("ANS-1")
def test_the_realm_is_the_name_of_the_app_or_a_setting(make_app: MakeApp) -> None:
    app = make_app(PASETO_REALM="My API")
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    assert_refused(app.test_client().get("/view"), MissingToken, realm="My API")


@pytest.mark.requirement("ANS-1")
@pytest.mark.parametrize(
    "realm", ['a"b\\c', "line\r\nSet-Cookie: a=b", "naïve \U0001f600", "\x00\x7f", '",']
)
def test_hostile_text_in_the_realm_stays_inside_its_quotes(
    make_app: MakeApp, realm: str
) -> None:
    app = make_app(PASETO_REALM=realm)
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    response = app.test_client().get("/view")
    (challenge,) = response.headers.getlist("WWW-Authenticate")
    assert CHALLENGE.fullmatch(challenge)
    assert "Set-Cookie" not in response.headers
    assert_refused(response, MissingToken, re.sub(r"[^ !#-\[\]-~]", "?", realm))


@pytest.mark.requirement("ANS-1")
@refusals
@given(message=st.text(min_size=1, max_size=40), realm=st.text(max_size=20))
def test_hostile_text_in_a_message_stays_inside_its_quotes(
    refusal: type[PasetoError], message: str, realm: str
) -> None:
    fault = refusal(message)
    assert fault.message == message
    challenge = fault.challenge(realm)
    if challenge is None:
        assert fault.status_code != 401
        assert refusal.challenge_error is None
    else:
        assert CHALLENGE.fullmatch(challenge)
    assert json.loads(fault.get_response().get_data())["message"] == message


@pytest.mark.requirement("ANS-1")
def test_a_hostile_message_reaches_the_client_as_text(make_app: MakeApp) -> None:
    app, message = make_app(), 'no", error="none\r\nX-Evil: 1 \U0001f600'

    def view() -> str:
        raise UserNotFound(message)

    app.add_url_rule("/view", "view", view)
    response = app.test_client().get("/view")
    params = assert_refused(response, UserNotFound)
    assert response.json == {"error": "user_not_found", "message": message}
    assert params["error_description"] == "no?, error=?none??X-Evil: 1 ?"
    assert "X-Evil" not in response.headers


@pytest.mark.requirement("STEP-1")
@pytest.mark.parametrize(
    ("given_age", "seconds"),
    [(timedelta(minutes=5), "300"), (timedelta(seconds=1.5), "1"), (300, "300")],
    ids=str,
)
def test_a_view_can_ask_for_a_younger_login(
    make_app: MakeApp, given_age: Any, seconds: str
) -> None:
    app = make_app()

    def view() -> str:
        raise ReauthenticationRequired(max_age=given_age)

    app.add_url_rule("/view", "view", view)
    params = assert_refused(app.test_client().get("/view"), ReauthenticationRequired)
    assert params["max_age"] == seconds


def test_a_login_too_old_may_name_no_age() -> None:
    assert "max_age" not in (ReauthenticationRequired().challenge("x") or "")


@pytest.mark.parametrize(
    ("scopes", "text"),
    [(("b", "a"), "a b"), (["a"], "a"), ("a b", "a b"), ("read", "read")],
    ids=str,
)
def test_a_view_can_ask_for_scopes(scopes: Any, text: str) -> None:
    challenge = InsufficientScope(scopes=scopes).challenge("x") or ""
    assert challenge.endswith(f'scope="{text}"')
    assert "scope=" not in (InsufficientScope().challenge("x") or "")


@refusals
def test_a_refusal_can_be_raised_again_in_another_request(
    make_app: MakeApp, refusal: type[PasetoError]
) -> None:
    app = make_app()
    app.secret_key = "x" * 32
    fault = refusal()
    seen: list[str] = []

    @app.get("/view/<name>")
    def view(name: str) -> str:
        from flask import session

        session["name"] = name
        raise fault

    @app.errorhandler(PasetoError)
    def mine(refused: PasetoError) -> tuple[dict[str, str], int]:
        return dict(refused.data), refused.status_code

    for name in ("alice", "bob"):
        client = app.test_client()
        assert_refused(client.get(f"/view/{name}"), refusal)
        with client.session_transaction() as session:
            seen.append(session["name"])
    assert seen == ["alice", "bob"]


def test_a_refusal_raised_in_two_requests_shares_no_answer(make_app: MakeApp) -> None:
    app, fault = make_app(), MissingToken()

    @app.get("/view/<name>")
    def view(name: str) -> str:
        from flask import after_this_request

        @after_this_request
        def mark(response: Any) -> Any:
            response.headers.add("X-Name", name)
            return response

        raise fault

    for name in ("alice", "bob"):
        response = app.test_client().get(f"/view/{name}")
        assert_refused(response, MissingToken)
        assert response.headers.getlist("X-Name") == [name]


def test_a_fault_of_the_set_up_is_no_refusal() -> None:
    assert issubclass(ConfigurationError, RuntimeError)
    assert not issubclass(ConfigurationError, PasetoError)
    assert not issubclass(ConfigurationError, HTTPException)


def test_a_refusal_of_your_own_is_answered_like_ours(make_app: MakeApp) -> None:
    class Blocked(PasetoError, Forbidden):
        error_code = "blocked"
        description = "The account is blocked."

    app = make_app()

    def view() -> str:
        raise Blocked

    app.add_url_rule("/view", "view", view)
    assert_refused(app.test_client().get("/view"), Blocked)


def test_a_refusal_of_your_own_needs_a_status() -> None:
    with pytest.raises(TypeError, match="Odd needs a status"):
        type("Odd", (PasetoError,), {})


def test_the_base_of_all_refusals_is_not_raised_itself() -> None:
    with pytest.raises(TypeError, match="raise a subclass of it"):
        PasetoError("no")


# One answer before the seal, and nothing of the inside in any


@pytest.mark.requirement("ANS-2")
@pytest.mark.requirement("KEY-3")
@pytest.mark.requirement("TOK-2")
def test_before_the_seal_there_is_one_answer_for_all_reasons(
    make_app: MakeApp,
) -> None:
    app = make_app()
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    other = Flask("other")
    other.config["PASETO_SECRET_KEY"] = "f5J2uC8Qx1mZ7pWk3yRb9nTe6sVh4dLg0aXj"
    PasetoManager(other)
    with app.app_context():
        good = create_access_token("alice")
    with other.app_context():
        foreign = create_access_token("alice")
    version, purpose, body, footer = good.split(".")
    flipped = "A" if body[40] != "A" else "B"
    reasons = {
        "length": good + "A" * 9000,
        "form": "x",
        "parts": "..",
        "alphabet": good.replace(body[:1], "+", 1),
        "padding": good + "=",
        "version": f"v2.{purpose}.{body}.{footer}",
        "header": f"v4.public.{body}.{footer}",
        "key": foreign,
        "no-kid": f"{version}.{purpose}.{body}",
        "null-footer": f"{version}.{purpose}.{body}.bnVsbA",
        "deep-footer": f"{version}.{purpose}.{body}.eyJhIjp7fX0",
        "short": f"{version}.{purpose}.AAAA.{footer}",
        "seal": f"{version}.{purpose}.{body[:40]}{flipped}{body[41:]}.{footer}",
        "not-ascii": "v4.local.\xe9",
    }
    client = app.test_client()
    answers: dict[str, tuple[Any, ...]] = {}
    for reason, token in reasons.items():
        value = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        response = client.get("/view", environ_overrides=value)
        assert_refused(response, InvalidToken)
        answers[reason] = (response.data, sorted(response.headers))
        challenge = response.headers["WWW-Authenticate"]
        answers[reason] += (challenge,)
    assert len(set(map(repr, answers.values()))) == 1
    assert client.get("/view", headers=bearer(good)).status_code == 200


@pytest.mark.requirement("ANS-4")
@pytest.mark.requirement("KEY-6")
@refusals
def test_an_answer_tells_nothing_of_the_inside(
    make_app: MakeApp, refusal: type[PasetoError]
) -> None:
    app = make_app(TESTING=False)

    def view() -> str:
        try:
            raise ValueError("s3cret-claim k4.local.AAAA /srv/app.py")
        except ValueError:
            raise refusal from None

    app.add_url_rule("/view", "view", paseto_required(view))
    with app.app_context():
        token = create_access_token("alice-the-subject")
    response = app.test_client().get("/view", headers=bearer(token))
    assert_refused(response, refusal)
    text = (response.text + str(response.headers)).lower()
    for word in ("s3cret", "traceback", "pyseto", "k4.", ".py", "alice", token.lower()):
        assert word not in text


@pytest.mark.requirement("ANS-4")
def test_an_exception_carries_nothing_of_the_token(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice-the-subject", user_claims={"a": "s3cret"})
        head, _, footer = token.rpartition(".")
        for bad in (head[:-4] + "AAAA." + footer, token[:-1], token + "A", "s3cret"):
            with pytest.raises(InvalidToken) as caught:
                flask_paseto.decode_token(bad)
            fault = caught.value
            assert fault.__cause__ is None
            assert fault.__suppress_context__ or fault.__context__ is None
            told = f"{fault!r} {fault} {vars(fault)} {fault.args}"
            for word in ("s3cret", "alice", bad):
                assert word not in told


@pytest.mark.requirement("ANS-1")
@pytest.mark.parametrize("handled", [True, False], ids=["handler", "default"])
def test_a_refusal_of_a_hook_has_its_challenge_whoever_answers(
    make_app: MakeApp, handled: bool
) -> None:
    app = make_app()
    app.add_url_rule("/", "index", lambda: "x")

    @app.before_request
    def refuse() -> None:
        raise InsufficientScope(scopes="admin")

    if handled:
        app.register_error_handler(PasetoError, lambda refusal: ("mine", 403))
    response = app.test_client().get("/")
    assert response.status_code == 403
    (challenge,) = response.headers.getlist("WWW-Authenticate")
    assert challenge.endswith('scope="admin"')
    assert (response.text == "mine") is handled


def test_a_subclass_of_yours_answers_as_it_likes(make_app: MakeApp) -> None:
    class Locked(PasetoError, Unauthorized):
        error_code = "locked"
        default_message = "Come back later."

        def get_response(self, environ: Any = None, scope: Any = None) -> Any:
            response = super().get_response(environ, scope)
            response.headers["X-Locked"] = "yes"
            return response

    def refuse() -> None:
        raise Locked

    app = make_app()
    app.add_url_rule("/", "index", refuse)
    response = app.test_client().get("/")
    assert_refused(response, Locked)
    assert response.headers["X-Locked"] == "yes"


@pytest.mark.requirement("ANS-4")
def test_the_log_tells_the_developer_why_and_no_content(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with app.app_context():
        token = create_access_token("alice", user_claims={"x": "s3cret"})
    other = token[:-20] + "A" * 20
    broken = token[:60] + ("A" if token[60] != "A" else "B") + token[61:]
    caplog.set_level("DEBUG", "flask_paseto")
    client = app.test_client()
    for sent, reason in (
        (other, None),
        (broken, "the seal does not hold"),
        ("v4.local.AAAA", "no accepted key"),
    ):
        caplog.clear()
        assert_refused(client.get("/protected", headers=bearer(sent)), InvalidToken)
        assert "refused: token_invalid" in caplog.messages
        assert reason is None or any(reason in line for line in caplog.messages)
        assert not any(part in caplog.text for part in sent.split(".")[2:])
        assert "s3cret" not in caplog.text
