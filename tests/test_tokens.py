"""Issuing: what goes into a token, what is taken over, and what is refused."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from flask_paseto import (
    NEVER,
    Claims,
    ConfigurationError,
    InvalidClaims,
    InvalidToken,
    PasetoManager,
    TokenPair,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    decode_token,
    get_subject,
    verify_paseto_in_request,
)
from flask_paseto.keys import generate_key
from flask_paseto.testing import Clock, use_clock
from flask_paseto.token_options import RESERVED_CLAIMS

from .conftest import MakeApp
from .refusals import bearer

HOUR = timedelta(hours=1)


def create_ticket(subject: Any, **options: Any) -> str:
    return create_token(subject, "ticket", **options)


CREATORS: dict[str, Callable[..., str]] = {
    "access": create_access_token,
    "refresh": create_refresh_token,
    "ticket": create_ticket,
}
creators = pytest.mark.parametrize("kind", CREATORS)


def make(app: Flask, kind: str, subject: Any = "alice", **options: Any) -> Claims:
    """Return the claims of a token just made, each given back by our own verifier."""
    with app.app_context():
        token = CREATORS[kind](subject, **options)
        accepted = {
            name: options[name]
            for name in ("audience", "implicit_assertion")
            if options.get(name)
        }
        return decode_token(token, type=kind, **accepted)


def work_in_view(app: Flask, work: Callable[[], Any], token: str | None) -> Any:
    """Return what a piece of work gives in a request that a guard let pass."""
    with app.test_request_context("/", headers=bearer(token) if token else {}):
        verify_paseto_in_request(type=tuple(CREATORS), optional=True)
        return work()


# What is always there


@pytest.mark.requirement("ISS-1")
@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize(
    ("kind", "lifetime"),
    [
        ("access", timedelta(minutes=15)),
        ("refresh", timedelta(days=30)),
        ("ticket", HOUR),
    ],
)
def test_a_token_has_its_claims_and_always_an_end(
    app: Flask, clock: Clock, kind: str, lifetime: timedelta
) -> None:
    claims = make(app, kind)
    now = clock().replace(microsecond=0)
    assert claims.subject == "alice"
    assert claims.token_type == kind
    assert re.fullmatch("[0-9a-f]{32}", claims.jti)
    assert claims.issued_at == now
    assert claims.expires_at == now + lifetime
    assert claims.not_before is None
    assert claims.issuer is None
    assert claims.audience == ()
    assert claims.scopes == frozenset()
    assert claims.footer == {"kid": claims.key_id}
    assert claims.wire["iat"] == now.isoformat().replace("+00:00", "Z")
    names = {"sub", "type", "jti", "iat", "exp"}
    names |= {
        "access": {"sid", "fresh"},
        "refresh": {"sid", "auth_time"},
        "ticket": set(),
    }[kind]
    assert set(claims.wire) == names


def test_every_token_has_an_id_of_its_own(app: Flask) -> None:
    assert len({make(app, kind).jti for kind in CREATORS for _ in range(5)}) == 15


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("PASETO_ACCESS_TOKEN_EXPIRES", "access"),
        ("PASETO_REFRESH_TOKEN_EXPIRES", "refresh"),
        ("PASETO_OTHER_TOKEN_EXPIRES", "ticket"),
    ],
)
@pytest.mark.parametrize("value", [timedelta(seconds=77), 77], ids=["delta", "int"])
def test_the_lifetime_is_a_setting(
    make_app: MakeApp, setting: str, kind: str, value: Any
) -> None:
    app = make_app(**{setting: value})
    for other in CREATORS:
        claims = make(app, other)
        assert claims.expires_at is not None
        lasts = claims.expires_at - claims.issued_at
        assert (lasts == timedelta(seconds=77)) is (other == kind)


@creators
@pytest.mark.parametrize("value", [timedelta(seconds=5), 5], ids=["delta", "int"])
def test_the_lifetime_can_be_given(app: Flask, kind: str, value: Any) -> None:
    claims = make(app, kind, expires_in=value)
    assert claims.expires_at == claims.issued_at + timedelta(seconds=5)


@pytest.mark.requirement("ISS-1")
@creators
def test_a_token_never_lasts_longer_than_the_maximum(app: Flask, kind: str) -> None:
    assert make(app, kind, expires_in=timedelta(days=90)).expires_at is not None
    with pytest.raises(ValueError, match="PASETO_MAX_TOKEN_LIFETIME"):
        make(app, kind, expires_in=timedelta(days=90, seconds=1))


@pytest.mark.requirement("ISS-1")
@pytest.mark.requirement("CLM-1")
@creators
def test_a_token_without_end_must_be_allowed(make_app: MakeApp, kind: str) -> None:
    with pytest.raises(ValueError, match="PASETO_ALLOW_NON_EXPIRING"):
        make(make_app(), kind, expires_in=NEVER)
    allowed = make_app(PASETO_ALLOW_NON_EXPIRING=True)
    assert make(allowed, kind, expires_in=NEVER).expires_at is None
    with allowed.app_context():
        token = CREATORS[kind]("alice", expires_in=NEVER)
    with make_app().app_context(), pytest.raises(InvalidClaims):
        decode_token(token, type=kind)


def test_a_token_without_end_can_be_fresh_for_a_while(make_app: MakeApp) -> None:
    app = make_app(PASETO_ALLOW_NON_EXPIRING=True)
    claims = make(app, "access", expires_in=NEVER, fresh=60)
    assert claims.fresh == claims.issued_at + timedelta(seconds=60)


# Subjects


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("alice", "alice"),
        (7, "7"),
        (-1, "-1"),
        (
            UUID("12345678123456781234567812345678"),
            "12345678-1234-5678-1234-567812345678",
        ),
        ("å 😀", "å 😀"),
    ],
)
def test_a_subject_is_a_text_a_number_or_a_uuid(
    app: Flask, subject: Any, text: str
) -> None:
    assert make(app, "access", subject).subject == text


@creators
@pytest.mark.parametrize(
    "subject", [None, True, False, 1.5, b"alice", [], {}], ids=repr
)
def test_any_other_subject_needs_a_loader(app: Flask, kind: str, subject: Any) -> None:
    with pytest.raises(TypeError, match="subject_loader"):
        make(app, kind, subject)


@creators
def test_an_empty_subject_is_an_error(app: Flask, kind: str) -> None:
    with pytest.raises(ValueError, match="subject must not be empty"):
        make(app, kind, "")


# Arguments


@creators
def test_times_from_when_a_token_holds(app: Flask, clock: Clock, kind: str) -> None:
    now = clock().replace(microsecond=0)
    start = now + timedelta(seconds=5)
    for given_start in (
        start,
        start.astimezone(timezone(HOUR)),
        timedelta(seconds=5),
        5,
    ):
        claims = make(app, kind, not_before=given_start)
        assert claims.not_before == start
        assert claims.wire["nbf"].endswith("Z")
    past = make(app, kind, not_before=now - timedelta(days=1))
    assert past.not_before == now - timedelta(days=1)


@creators
@pytest.mark.parametrize("expires_in", [5, 60])
def test_a_token_must_hold_before_it_ends(
    app: Flask, kind: str, expires_in: int
) -> None:
    with pytest.raises(ValueError, match="not_before must be before"):
        make(app, kind, not_before=60, expires_in=expires_in)


@creators
def test_scopes_are_one_sorted_text_on_the_wire(app: Flask, kind: str) -> None:
    for scopes in (["b", "a"], ("a", "b"), {"a", "b"}, "b a", iter(["a", "b", "a"])):
        claims = make(app, kind, scopes=scopes)
        assert claims.wire["scope"] == "a b"
        assert claims.scopes == {"a", "b"}
    assert make(app, kind, scopes=[]).wire["scope"] == ""


@pytest.mark.requirement("CLM-2")
@creators
def test_audience_and_issuer_of_the_settings(make_app: MakeApp, kind: str) -> None:
    app = make_app(PASETO_ISSUER="me", PASETO_AUDIENCE="api")
    claims = make(app, kind)
    assert claims.wire["iss"] == "me"
    assert claims.wire["aud"] == "api"
    app = make_app(PASETO_AUDIENCE=["api", "web"])
    assert make(app, kind).wire["aud"] == ("api", "web")


@pytest.mark.requirement("CLM-2")
@creators
def test_audience_and_issuer_can_be_given(make_app: MakeApp, kind: str) -> None:
    app = make_app(
        PASETO_ISSUER="me",
        PASETO_ACCEPTED_ISSUERS=["me", "you"],
        PASETO_AUDIENCE="api",
    )
    claims = make(app, kind, audience="web", issuer="you")
    assert claims.issuer == "you"
    assert claims.wire["aud"] == "web"
    assert make(app, kind, audience=["a", "b"]).audience == ("a", "b")
    with pytest.raises(InvalidClaims):
        make(app, kind, issuer="they")


@creators
def test_claims_of_yours_come_back_as_they_went(app: Flask, kind: str) -> None:
    mine = {"role": "x", "n": 1, "f": 1.5, "none": None, "list": [1, {"a": []}]}
    before = json.dumps(mine)
    claims = make(app, kind, user_claims=mine)
    assert claims["role"] == "x"
    assert claims["list"] == (1, {"a": ()})
    assert claims.get("none", "default") is None
    assert claims.get("other", "default") == "default"
    assert json.dumps(mine) == before


@pytest.mark.requirement("ISS-1")
@creators
@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_a_claim_of_yours_cannot_be_one_of_ours(
    app: Flask, kind: str, name: str
) -> None:
    with pytest.raises(ValueError, match=f"user_claims: {name} cannot"):
        make(app, kind, user_claims={"mine": 1, name: "x"})


def test_the_reserved_names_are_those_of_the_documentation() -> None:
    names = "sub type jti sid iat exp auth_time nbf fresh iss aud scope csrf"
    assert set(names.split()) == RESERVED_CLAIMS


@pytest.mark.requirement("FOOT-1")
@pytest.mark.requirement("ISS-1")
@creators
def test_a_footer_of_yours_goes_with_the_key_id(app: Flask, kind: str) -> None:
    footer = {"v": 1, "service": "api"}
    claims = make(app, kind, footer=footer)
    assert claims.footer == {"v": 1, "service": "api", "kid": claims.key_id}
    assert footer == {"v": 1, "service": "api"}
    with app.app_context():
        token = CREATORS[kind]("alice", footer=footer)
    raw = urlsafe_b64decode(token.rpartition(".")[2] + "==")
    assert json.loads(raw) == claims.footer


@pytest.mark.requirement("FOOT-1")
@creators
@pytest.mark.parametrize(
    ("footer", "error", "word"),
    [
        ({"kid": "x"}, ValueError, "kid is reserved"),
        ({"a": {}}, ValueError, "footer"),
        ({"a": [1]}, ValueError, "footer"),
        ({"a": "x" * 1024}, ValueError, "footer"),
        ({str(n): n for n in range(8)}, ValueError, "footer"),
        ({"a": 10**30}, ValueError, "footer"),
        ("text", TypeError, "footer"),
        ("kid", TypeError, "footer"),
        (b"text", TypeError, "footer"),
        (["a"], TypeError, "footer"),
        ([], TypeError, "footer"),
        ("", TypeError, "footer"),
        (5, TypeError, "footer"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_footer_that_would_not_come_back_is_an_error(
    app: Flask, kind: str, footer: Any, error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        make(app, kind, footer=footer)


@pytest.mark.requirement("KEY-5")
@creators
@pytest.mark.parametrize("given_assertion", ["tenant", b"tenant"], ids=["str", "bytes"])
def test_a_token_bound_to_an_assertion_opens_with_no_other(
    app: Flask, kind: str, given_assertion: Any
) -> None:
    with app.app_context():
        token = CREATORS[kind]("alice", implicit_assertion=given_assertion)
        claims = decode_token(token, type=kind, implicit_assertion=b"tenant")
        assert claims.subject == "alice"
        with pytest.raises(InvalidToken):
            decode_token(token, type=kind)
        with pytest.raises(InvalidToken):
            decode_token(token, type=kind, implicit_assertion="other")


@creators
def test_the_purpose_can_be_chosen_where_there_are_two_keys(
    make_app: MakeApp, kind: str
) -> None:
    app = make_app(
        PASETO_PRIVATE_KEY=generate_key(4, "public").to_paserk(),
        PASETO_PURPOSE="local",
    )
    with app.app_context():
        for purpose, header in [
            (None, "v4.local."),
            ("local", "v4.local."),
            ("public", "v4.public."),
        ]:
            token = CREATORS[kind]("alice", purpose=purpose)
            assert token.startswith(header)
            assert decode_token(token, type=kind).subject == "alice"


@creators
def test_a_purpose_without_a_key_is_a_fault_of_the_set_up(
    app: Flask, kind: str
) -> None:
    with pytest.raises(ConfigurationError, match="PASETO_PRIVATE_KEY"):
        make(app, kind, purpose="public")


@creators
def test_the_login_time_can_be_given(app: Flask, clock: Clock, kind: str) -> None:
    then = clock().replace(microsecond=0) - timedelta(hours=3)
    for moment in (then, then.astimezone(timezone(HOUR)), then + timedelta.resolution):
        claims = make(app, kind, auth_time=moment)
        assert claims.auth_time == then
        assert claims.wire["auth_time"].endswith("Z")


@creators
def test_the_session_can_be_given_or_left_out(app: Flask, kind: str) -> None:
    assert make(app, kind, session_id="s1").session_id == "s1"
    assert "sid" not in make(app, kind, session_id=False).wire


BAD = [
    ({"expires_in": 0}, ValueError, "expires_in"),
    ({"expires_in": -1}, ValueError, "expires_in"),
    ({"expires_in": timedelta(0)}, ValueError, "expires_in"),
    ({"expires_in": timedelta(microseconds=1)}, ValueError, "expires_in"),
    ({"expires_in": 10**30}, ValueError, "expires_in"),
    ({"expires_in": timedelta.max}, ValueError, "expires_in"),
    ({"expires_in": 1.5}, TypeError, "expires_in"),
    ({"expires_in": True}, TypeError, "expires_in"),
    ({"expires_in": "60"}, TypeError, "expires_in"),
    ({"not_before": 0}, ValueError, "not_before"),
    ({"not_before": -5}, ValueError, "not_before"),
    ({"not_before": timedelta.max}, ValueError, "not_before"),
    ({"not_before": datetime(2024, 1, 1)}, ValueError, "not_before"),
    (
        {"not_before": datetime.max.replace(tzinfo=timezone(-HOUR))},
        ValueError,
        "not_before",
    ),
    ({"not_before": "soon"}, TypeError, "not_before"),
    ({"not_before": True}, TypeError, "not_before"),
    ({"scopes": ["a b"]}, ValueError, "scopes"),
    ({"scopes": [""]}, ValueError, "scopes"),
    ({"scopes": ['"']}, ValueError, "scopes"),
    ({"scopes": ["\xe9"]}, ValueError, "scopes"),
    ({"scopes": [5]}, ValueError, "scopes"),
    ({"scopes": 5}, TypeError, "scopes"),
    ({"audience": ""}, ValueError, "audience"),
    ({"audience": []}, ValueError, "audience"),
    ({"audience": ["a", ""]}, ValueError, "audience"),
    ({"audience": ["a", 5]}, TypeError, "audience"),
    ({"audience": 5}, TypeError, "audience"),
    ({"issuer": ""}, ValueError, "issuer"),
    ({"issuer": 5}, TypeError, "issuer"),
    ({"user_claims": []}, TypeError, "user_claims"),
    ({"user_claims": [("a", 1)]}, TypeError, "user_claims"),
    ({"user_claims": "x"}, TypeError, "user_claims"),
    ({"user_claims": {"a": b"x"}}, TypeError, "serializable"),
    ({"user_claims": {"a": float("nan")}}, ValueError, "NaN"),
    ({"user_claims": {"a": 10**21}}, ValueError, "20 digits"),
    ({"user_claims": {"1": 1, 1: 2}}, ValueError, "unique"),
    ({"user_claims": {"a": "x" * 9000}}, ValueError, "PASETO_MAX_TOKEN_LENGTH"),
    ({"user_claims": {"a": "\ud800"}}, ValueError, "claim"),
    ({"implicit_assertion": 5}, TypeError, "implicit_assertion"),
    ({"implicit_assertion": "\ud800"}, ValueError, "implicit_assertion"),
    ({"purpose": "secret"}, ValueError, "purpose"),
    ({"purpose": 5}, ValueError, "purpose"),
    ({"auth_time": datetime(2024, 1, 1)}, (TypeError, ValueError), "auth_time"),
    ({"auth_time": datetime(9000, 1, 1, tzinfo=UTC)}, ValueError, "auth_time"),
    (
        {"auth_time": datetime.min.replace(tzinfo=timezone(HOUR))},
        ValueError,
        "auth_time",
    ),
    ({"auth_time": 5}, TypeError, "auth_time"),
    ({"auth_time": "now"}, TypeError, "auth_time"),
    ({"session_id": ""}, ValueError, "session_id"),
    ({"session_id": True}, TypeError, "session_id"),
    ({"session_id": 5}, TypeError, "session_id"),
    ({"expires": 5}, TypeError, "expires"),
    ({"type": "access"}, TypeError, "type"),
]


@pytest.mark.requirement("ISS-1")
@pytest.mark.parametrize(
    ("options", "error", "word"), BAD, ids=[str(row[0])[:50] for row in BAD]
)
@pytest.mark.parametrize("kind", ["access", "refresh", "pair"])
def test_a_wrong_argument_is_an_error_that_names_it(
    app: Flask, kind: str, options: dict[str, Any], error: Any, word: str
) -> None:
    create: Callable[..., Any] = CREATORS.get(kind, create_token_pair)
    with app.app_context(), pytest.raises(error, match=word):
        create("alice", **options)


@pytest.mark.requirement("ISS-1")
@pytest.mark.parametrize(
    ("options", "error", "word"), BAD[:-1], ids=[str(row[0])[:50] for row in BAD[:-1]]
)
def test_a_wrong_argument_of_a_custom_token_is_an_error_that_names_it(
    app: Flask, options: dict[str, Any], error: Any, word: str
) -> None:
    with app.app_context(), pytest.raises(error, match=word):
        create_token("alice", "ticket", **options)


@pytest.mark.requirement("KEY-6")
@pytest.mark.requirement("ANS-4")
def test_an_error_at_issue_holds_no_claims(app: Flask) -> None:
    secret = "s3cret-value"
    for options in (
        {"user_claims": {"a": secret, "b": "\ud800"}},
        {"user_claims": {"a": secret, "b": 10**30}},
        {"user_claims": {"a": secret * 1000}},
        {"footer": {"a": secret, "b": []}},
    ):
        with app.app_context(), pytest.raises(ValueError) as caught:  # noqa: PT011
            create_access_token("alice", **options)
        fault: BaseException | None = caught.value
        assert secret not in str(fault)
        assert secret not in repr(fault)
        assert fault is not None
        assert fault.__cause__ is None
        assert fault.__suppress_context__ or fault.__context__ is None


@pytest.mark.requirement("JSON-1")
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_has_twenty_digits_at_most(app: Flask, sign: int) -> None:
    number = sign * (10**20 - 1)
    claims = make(app, "access", user_claims={"n": number}, footer={"n": number})
    assert claims["n"] == number
    for options in (
        {"user_claims": {"n": sign * 10**20}},
        {"footer": {"n": sign * 10**20}},
    ):
        with pytest.raises(ValueError, match="20 digits"):
            make(app, "access", **options)


def test_deep_claims_are_an_error(app: Flask) -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    with pytest.raises(ValueError, match="16 levels"):
        make(app, "access", user_claims={"a": deep})
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="levels"):
        make(app, "access", user_claims={"a": deep})
    around: list[Any] = []
    around.append(around)
    with pytest.raises(ValueError, match="circle"):
        make(app, "access", user_claims={"a": around})


# Types of your own


@pytest.mark.parametrize("name", ["ticket", "api-key", "a.b:c_D", "x" * 64])
def test_a_token_can_have_a_type_of_yours(app: Flask, name: str) -> None:
    with app.app_context():
        claims = decode_token(create_token("alice", name), type=name)
    assert claims.token_type == name
    assert claims.session_id is None
    assert claims.auth_time is None
    assert "fresh" not in claims.wire


@pytest.mark.parametrize(
    ("name", "error", "word"),
    [
        ("", ValueError, "type"),
        ("a b", ValueError, "type"),
        ("x" * 65, ValueError, "type"),
        ("é", ValueError, "type"),
        ("a\n", ValueError, "type"),
        (5, TypeError, "type"),
        (None, TypeError, "type"),
        ("access", ValueError, "create_access_token"),
        ("refresh", ValueError, "create_refresh_token"),
    ],
)
def test_a_type_that_is_not_a_name_of_yours_is_an_error(
    app: Flask, name: Any, error: type[Exception], word: str
) -> None:
    with app.app_context(), pytest.raises(error, match=word):
        create_token("alice", name)


@pytest.mark.parametrize("create", [create_refresh_token, create_ticket])
def test_only_an_access_token_can_be_fresh(
    app: Flask, create: Callable[..., str]
) -> None:
    with app.app_context(), pytest.raises(TypeError, match="fresh"):
        create("alice", fresh=True)


# Pairs


def test_a_pair_is_of_one_session_and_one_login(app: Flask, clock: Clock) -> None:
    with app.app_context():
        pair = create_token_pair("alice", fresh=True, scopes="a", user_claims={"x": 1})
        access = decode_token(pair.access_token)
        refresh = decode_token(pair.refresh_token, type="refresh")
    now = clock().replace(microsecond=0)
    assert access.session_id == refresh.session_id is not None
    assert access.auth_time == refresh.auth_time == now
    assert access.scopes == refresh.scopes == {"a"}
    assert access["x"] == refresh["x"] == 1
    assert access.fresh is True
    assert access.jti != refresh.jti
    assert pair.token_type == "Bearer"
    assert pair.expires_in == 900
    assert pair.refresh_expires_in == 30 * 86400
    assert access.expires_at == now + timedelta(seconds=900)
    assert refresh.expires_at == now + timedelta(days=30)


def test_a_pair_is_not_fresh_unless_it_is_said(app: Flask, clock: Clock) -> None:
    with app.app_context():
        pair = create_token_pair("alice")
        access = decode_token(pair.access_token)
    assert access.fresh is False
    assert access.auth_time == clock().replace(microsecond=0)


def test_a_pair_can_be_an_answer(app: Flask) -> None:
    with app.app_context():
        pair = create_token_pair("alice", expires_in=60, refresh_expires_in=HOUR)
    assert pair.to_dict() == {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "Bearer",
        "expires_in": 60,
        "refresh_expires_in": 3600,
    }
    assert app.json.loads(app.json.dumps(pair.to_dict())) == pair.to_dict()
    assert isinstance(pair, TokenPair)


def test_a_pair_without_end_says_so(make_app: MakeApp) -> None:
    app = make_app(PASETO_ALLOW_NON_EXPIRING=True)
    with app.app_context():
        pair = create_token_pair("alice", expires_in=NEVER)
    assert pair.expires_in is None
    assert pair.refresh_expires_in == 30 * 86400


@pytest.mark.requirement("KEY-6")
def test_the_repr_of_a_pair_shows_no_token(app: Flask) -> None:
    with app.app_context():
        pair = create_token_pair("alice")
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)
    assert pair.access_token not in f"{pair} {[pair]}"


@pytest.mark.parametrize("session_id", ["s1", False])
def test_the_session_of_a_pair_can_be_given(app: Flask, session_id: Any) -> None:
    with app.app_context():
        pair = create_token_pair("alice", session_id=session_id)
        for token, kind in [
            (pair.access_token, "access"),
            (pair.refresh_token, "refresh"),
        ]:
            assert decode_token(token, type=kind).session_id == (session_id or None)


@pytest.mark.parametrize("value", [0, "x", timedelta(days=91)])
def test_a_wrong_lifetime_of_the_refresh_token_is_an_error(
    app: Flask, value: Any
) -> None:
    with app.app_context(), pytest.raises((TypeError, ValueError), match="expires_in"):
        create_token_pair("alice", refresh_expires_in=value)


# What goes over from the request


@pytest.mark.requirement("STEP-2")
def test_a_pair_of_a_new_login_has_no_ceiling(app: Flask, clock: Clock) -> None:
    """Logging in again, from a narrow session, may give more; refreshing may not."""
    with app.app_context():
        narrow = create_access_token("alice", scopes="read")

    def again() -> TokenPair:
        return create_token_pair("alice", fresh=True, scopes="read write")

    def widen() -> TokenPair:
        return create_token_pair("alice", scopes="read write")

    pair = work_in_view(app, again, narrow)
    with app.app_context():
        for token, kind in (
            (pair.access_token, "access"),
            (pair.refresh_token, "refresh"),
        ):
            claims = decode_token(token, type=kind)
            assert claims.scopes == {"read", "write"}
            assert claims.auth_time == clock().replace(microsecond=0)
    with pytest.raises(ValueError, match="scopes"):
        work_in_view(app, widen, narrow)


def test_tokens_of_one_login_share_a_new_session(make_app: MakeApp) -> None:
    app = make_app()

    def work() -> tuple[str, ...]:
        pair = create_token_pair("alice")
        return (
            create_access_token("alice"),
            create_refresh_token("alice"),
            create_access_token("bob"),
            pair.access_token,
        )

    def log_in() -> tuple[str | None, ...]:
        mine, refresh, other, pair = work_in_view(app, work, None)
        with app.app_context():
            return (
                decode_token(mine).session_id,
                decode_token(refresh, type="refresh").session_id,
                decode_token(pair).session_id,
                decode_token(other).session_id,
            )

    first, second = log_in(), log_in()
    assert first[0] == first[1] == first[2] != first[3]
    assert None not in first
    assert not set(first) & set(second)


def test_outside_of_a_request_each_call_is_a_session_of_its_own() -> None:
    app = Flask("tests")
    app.config["PASETO_SECRET_KEY"] = generate_key().to_paserk()
    PasetoManager(app)

    def session() -> str | None:
        with app.app_context():
            return decode_token(create_access_token("alice")).session_id

    # A context of its own: a plugin may have pushed a request here.
    assert Context().run(session) != Context().run(session)


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_session_login_and_scopes_go_over_to_the_same_subject(
    make_app: MakeApp, kind: str
) -> None:
    app = make_app()
    with use_clock(app) as clock, app.app_context():
        token = CREATORS[kind]("7", scopes="a b", auth_time=clock() - HOUR)
        earlier = decode_token(token, type=kind)

        def work() -> tuple[str, ...]:
            pair = create_token_pair(get_subject())
            return (
                create_access_token(7),
                pair.access_token,
                create_refresh_token("7"),
                pair.refresh_token,
            )

        given_tokens = work_in_view(app, work, token)
        for number, given_token in enumerate(given_tokens):
            new_kind = "access" if number < 2 else "refresh"
            claims = decode_token(given_token, type=new_kind)
            assert claims.session_id == earlier.session_id
            assert claims.auth_time == earlier.auth_time
            assert claims.scopes == {"a", "b"}
            assert claims.jti != earlier.jti
            assert claims.fresh is False


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_nothing_goes_over_to_another_subject(make_app: MakeApp, kind: str) -> None:
    app = make_app()
    with app.app_context():
        token = CREATORS[kind]("admin", scopes="a", auth_time=datetime.now(UTC) - HOUR)
        earlier = decode_token(token, type=kind)

        def work() -> tuple[str, ...]:
            pair = create_token_pair("alice")
            return (
                create_access_token("alice"),
                pair.access_token,
                create_refresh_token("alice"),
                pair.refresh_token,
            )

        for number, given_token in enumerate(work_in_view(app, work, token)):
            new_kind = "access" if number < 2 else "refresh"
            claims = decode_token(given_token, type=new_kind)
            assert claims.session_id not in (None, earlier.session_id)
            assert claims.auth_time is None
            assert "scope" not in claims.wire


def test_a_login_for_another_subject_is_a_login_if_it_is_said(
    make_app: MakeApp,
) -> None:
    app = make_app()
    with use_clock(app) as clock, app.app_context():
        token = create_access_token("admin")
        given_token = work_in_view(
            app, lambda: create_access_token("alice", fresh=True), token
        )
        claims = decode_token(given_token)
    assert claims.auth_time == clock().replace(microsecond=0)


def test_a_custom_token_takes_nothing_over(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice", scopes="a", fresh=True)
        claims = decode_token(
            work_in_view(app, lambda: create_ticket("alice"), token), type="ticket"
        )
    assert set(claims.wire) == {"sub", "type", "jti", "iat", "exp"}


def test_a_custom_token_gives_neither_session_nor_login(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        ticket = create_ticket("alice")
        claims = decode_token(
            work_in_view(app, lambda: create_refresh_token("alice"), ticket),
            type="refresh",
        )
    assert claims.session_id is not None
    assert claims.auth_time is None


def test_a_token_without_a_session_gives_none(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice", session_id=False)
        claims = decode_token(
            work_in_view(app, lambda: create_access_token("alice"), token)
        )
    assert claims.session_id is None


@creators
def test_scopes_never_widen(make_app: MakeApp, kind: str) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice", scopes="a b")

        def narrow() -> str:
            with pytest.raises(ValueError, match="scopes must be among"):
                CREATORS[kind]("alice", scopes="a c")
            return CREATORS[kind]("alice", scopes="a")

        claims = decode_token(work_in_view(app, narrow, token), type=kind)
        assert claims.scopes == {"a"}
        none = create_access_token("alice", scopes="")

        def empty() -> str:
            with pytest.raises(ValueError, match="scopes must be among"):
                CREATORS[kind]("alice", scopes="a")
            return CREATORS[kind]("alice")

        claims = decode_token(work_in_view(app, empty, none), type=kind)
        assert claims.scopes == set()
        # Another subject has scopes of their own.
        given_token = work_in_view(
            app, lambda: CREATORS[kind]("bob", scopes="z"), token
        )
        assert decode_token(given_token, type=kind).scopes == {"z"}


def test_a_token_without_scopes_gives_none_but_to_a_type_of_yours(
    make_app: MakeApp,
) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice")

        def work() -> str:
            for create in (create_access_token, create_refresh_token):
                with pytest.raises(ValueError, match="scopes must be among"):
                    create("alice", scopes="a")
            with pytest.raises(ValueError, match="scopes must be among"):
                create_token_pair("alice", scopes="a")
            return create_ticket("alice", scopes="a")

        claims = decode_token(work_in_view(app, work, token), type="ticket")
        assert claims.scopes == {"a"}


def test_a_login_has_no_ceiling(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        token = create_access_token("alice", scopes="a")
        given_token = work_in_view(
            app, lambda: create_access_token("alice", fresh=True, scopes="b"), token
        )
        assert decode_token(given_token).scopes == {"b"}


def test_an_anonymous_pass_gives_nothing_over(make_app: MakeApp) -> None:
    app = make_app()
    with use_clock(app) as clock, app.app_context():
        token = work_in_view(app, lambda: create_refresh_token("alice"), None)
        claims = decode_token(token, type="refresh")
    assert claims.auth_time == clock().replace(microsecond=0)


# Answers with tokens


@pytest.mark.requirement("ANS-3")
@pytest.mark.parametrize("path", ["/login", "/fresh-login"])
def test_an_answer_with_a_token_is_not_stored(client: FlaskClient, path: str) -> None:
    response = client.post(path, json={"name": "alice"})
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.requirement("ANS-3")
@pytest.mark.parametrize(
    "create", [*CREATORS.values(), create_token_pair], ids=[*CREATORS, "pair"]
)
def test_an_answer_is_not_stored_whatever_the_view_says(
    make_app: MakeApp, create: Callable[..., Any]
) -> None:
    app = make_app()

    @app.post("/login")
    def login() -> tuple[str, dict[str, str]]:
        create("alice")
        return "", {"Cache-Control": "public, max-age=60"}

    response = app.test_client().post("/login")
    assert response.cache_control.no_store


@pytest.mark.requirement("ANS-3")
def test_an_answer_without_a_token_is_left_alone(
    client: FlaskClient, issue: Callable[..., str]
) -> None:
    response = client.get("/protected", headers=bearer(issue()))
    assert "Cache-Control" not in response.headers


# Whatever we issue passes our own verifier

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.requirement("ISS-1")
@pytest.mark.requirement("JSON-1")
@pytest.mark.requirement("FOOT-1")
@pytest.mark.requirement("TIME-1")
@given(
    kind=st.sampled_from(sorted(CREATORS)),
    subject=TEXT.filter(bool) | st.integers() | st.uuids(),
    lifetime=st.integers(1, 90 * 86400),
    scopes=st.none() | st.lists(st.from_regex(r"[!#-\[\]-~]{1,8}", fullmatch=True)),
    claims=st.dictionaries(
        TEXT.filter(lambda n: n not in RESERVED_CLAIMS), VALUES, max_size=4
    ),
    footer=st.dictionaries(TEXT.filter(lambda n: n != "kid"), SCALARS, max_size=5),
    start=st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1)),
)
def test_whatever_is_issued_passes_our_own_verifier(
    app: Flask,
    kind: str,
    subject: Any,
    lifetime: int,
    scopes: list[str] | None,
    claims: dict[str, Any],
    footer: dict[str, Any],
    start: datetime,
) -> None:
    with use_clock(app, Clock(start.replace(tzinfo=UTC))):
        found = make(
            app,
            kind,
            subject,
            expires_in=lifetime,
            scopes=scopes,
            user_claims=claims,
            footer=footer,
        )
    assert found.subject == str(subject)
    assert found.scopes == frozenset(scopes or ())
    assert found.footer == {**footer, "kid": found.key_id}
    assert found.wire.keys() - RESERVED_CLAIMS == claims.keys()


def test_a_token_of_one_without_scopes_has_no_scope_claim(app: Flask) -> None:
    with app.app_context():
        plain = create_refresh_token("alice")
    token = work_in_view(app, lambda: create_access_token("alice"), plain)
    with app.app_context():
        assert "scope" not in decode_token(token)
