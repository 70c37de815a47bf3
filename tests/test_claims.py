"""What a token says, what a view asks for, and whether the one meets the other."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

import flask_paseto
from flask_paseto import (
    AccessTokenRequired,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidClaims,
    PasetoError,
    ReauthenticationRequired,
    RefreshTokenRequired,
    TokenNotYetValid,
    WrongTokenType,
    decode_token,
)
from flask_paseto.claims import (
    Claims,
    Need,
    OpenedClaims,
    Place,
    Policy,
    as_places,
    build_need,
    now,
)
from flask_paseto.codec import Codec
from flask_paseto.keys import KeyRing, RingKey, generate_key
from flask_paseto.testing import Clock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
LEEWAY = timedelta(seconds=10)
SECOND = timedelta(seconds=1)
KEY = RingKey.of(generate_key())
CODEC = Codec(KeyRing.of([KEY]))
ANY = Need()


def opened(**claims: Any) -> OpenedClaims:
    """Return the claims of a real token issued at noon; `...` takes a claim out."""
    merged = {
        "sub": "alice",
        "type": "access",
        "jti": "1",
        "iat": NOON,
        "exp": NOON + timedelta(days=1),
        **claims,
    }
    wire = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in merged.items()
        if value is not ...
    }
    return CODEC.open(KEY.seal(json.dumps(wire).encode(), KEY.footer, b""))


def refused_at(now: datetime, claims: OpenedClaims, **options: Any) -> Any:
    """Return the class of what a policy refuses these claims with, None: it passes."""
    try:
        Policy(**options).check(claims, ANY, now)
    except PasetoError as refusal:
        return type(refusal)
    return None


# Time


@pytest.mark.requirement("TIME-1")
@pytest.mark.parametrize(
    "leeway", [timedelta(0), LEEWAY, timedelta(minutes=5)], ids=str
)
@pytest.mark.parametrize(
    "fraction", [0, 1, 500_000, 999_999], ids=lambda value: f"{value}us"
)
def test_exp_is_exact_to_the_fraction_and_leeway_is_given(
    leeway: timedelta, fraction: int
) -> None:
    expires = NOON + timedelta(hours=1, microseconds=fraction)
    claims = opened(exp=expires)

    assert refused_at(expires + leeway - TICK, claims, leeway=leeway) is None
    assert refused_at(expires + leeway, claims, leeway=leeway) is ExpiredToken
    assert refused_at(expires + leeway + TICK, claims, leeway=leeway) is ExpiredToken


@pytest.mark.requirement("TIME-1")
@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize(
    "leeway", [timedelta(0), LEEWAY, timedelta(minutes=5)], ids=str
)
@pytest.mark.parametrize(
    "fraction", [0, 1, 500_000, 999_999], ids=lambda value: f"{value}us"
)
def test_nbf_and_iat_are_exact_to_the_fraction_and_leeway_is_given(
    name: str, leeway: timedelta, fraction: int
) -> None:
    start = NOON + timedelta(hours=1, microseconds=fraction)
    claims = opened(**{name: start})

    assert refused_at(start - leeway, claims, leeway=leeway) is None
    assert refused_at(start - leeway + TICK, claims, leeway=leeway) is None
    assert refused_at(start - leeway - TICK, claims, leeway=leeway) is TokenNotYetValid


@pytest.mark.requirement("TIME-1")
def test_the_default_leeway_is_ten_seconds() -> None:
    assert Policy().leeway == LEEWAY


@pytest.mark.requirement("TIME-1")
def test_an_offset_is_part_of_the_time() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    claims = opened(exp=(NOON + timedelta(hours=1)).astimezone(east))

    assert refused_at(NOON + timedelta(minutes=59), claims) is None
    assert refused_at(NOON + timedelta(minutes=61), claims) is ExpiredToken


@pytest.mark.requirement("TIME-1")
@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({"exp": "9999-12-31T23:59:59.999999Z"}, None),
        ({"exp": "9999-12-31T23:59:59-23:59"}, None),
        ({"exp": "0001-01-01T00:00:00Z"}, ExpiredToken),
        ({"exp": "0001-01-01T00:00:00+23:59"}, ExpiredToken),
        ({"nbf": "9999-12-31T23:59:59-23:59"}, TokenNotYetValid),
        ({"nbf": "0001-01-01T00:00:00+23:59"}, None),
        ({"iat": "9999-12-31T23:59:59-23:59"}, TokenNotYetValid),
        ({"iat": "0001-01-01T00:00:00+23:59"}, None),
        ({"auth_time": "9999-12-31T23:59:59-23:59"}, InvalidClaims),
        ({"auth_time": "0001-01-01T00:00:00+23:59"}, None),
    ],
    ids=str,
)
def test_far_years_never_overflow(
    claims: dict[str, str], refusal: type[PasetoError] | None
) -> None:
    found = opened(**claims)

    for leeway in (timedelta(0), timedelta(minutes=5)):
        assert refused_at(NOON, found, leeway=leeway) is refusal
    old = opened(auth_time="0001-01-01T00:00:00+23:59")
    with pytest.raises(ReauthenticationRequired):
        Need(max_age=timedelta(days=3650)).check_strength(old, NOON)
    for fresh, passes in (
        ("9999-12-31T23:59:59-23:59", 1),
        ("0001-01-01T00:00:00Z", 0),
    ):
        token = opened(fresh=fresh)
        if passes:
            Need(fresh=True).check_strength(token, NOON)
        else:
            with pytest.raises(FreshTokenRequired):
                Need(fresh=True).check_strength(token, NOON)


OFFSETS = st.integers(-1439, 1439).map(lambda n: timezone(timedelta(minutes=n)))
MOMENTS = st.datetimes(timezones=OFFSETS)


@pytest.mark.requirement("LIFE-1")
@given(
    dates=st.fixed_dictionaries(
        {"iat": MOMENTS},
        optional={name: MOMENTS for name in ("exp", "nbf", "auth_time", "fresh")},
    ),
    fresh=st.booleans(),
    max_age=st.none() | st.timedeltas(SECOND, timedelta.max),
)
def test_nothing_but_our_refusals_leaves_the_checks_of_any_time(
    dates: dict[str, datetime], fresh: bool, max_age: timedelta | None
) -> None:
    claims = opened(**dates)
    need = Need(fresh=fresh, max_age=max_age)
    try:
        need.check_strength(
            Policy(allow_non_expiring=True).check(claims, need, NOON), NOON
        )
    except PasetoError:
        return
    assert claims.issued_at <= NOON + LEEWAY
    assert claims.expires_at is None or claims.expires_at > NOON - LEEWAY


@pytest.mark.requirement("CLM-1")
def test_a_token_without_exp_is_refused_unless_allowed() -> None:
    claims = opened(exp=...)

    assert refused_at(NOON, claims) is InvalidClaims
    assert refused_at(NOON, claims, allow_non_expiring=True) is None
    assert refused_at(NOON - timedelta(days=1), claims, allow_non_expiring=True) is (
        TokenNotYetValid
    )
    assert refused_at(NOON + timedelta(days=2), opened(), allow_non_expiring=True) is (
        ExpiredToken
    )


@pytest.mark.requirement("REV-1")
def test_no_token_lasts_longer_than_the_longest_and_the_leeway() -> None:
    """A store keeps what was revoked for so long, and not a moment more."""
    longest = timedelta(days=90)
    for past, refusal in ((0, None), (1, InvalidClaims)):
        claims = opened(exp=NOON + longest + LEEWAY + past * TICK)
        assert refused_at(NOON, claims, longest=longest) is refusal


@pytest.mark.requirement("STEP-2")
def test_a_login_in_the_future_or_after_iat_is_refused() -> None:
    issued = NOON - timedelta(hours=1)

    assert refused_at(NOON, opened(auth_time=NOON)) is None
    assert refused_at(NOON, opened(iat=issued, auth_time=issued)) is None
    assert (
        refused_at(NOON, opened(iat=issued, auth_time=issued + TICK)) is InvalidClaims
    )
    ahead = NOON + LEEWAY
    assert refused_at(NOON, opened(iat=ahead, auth_time=ahead)) is None
    beyond = opened(iat=ahead, auth_time=ahead + TICK)
    assert refused_at(NOON, beyond) is InvalidClaims


# Issuer, audience, type


@pytest.mark.requirement("CLM-2")
@pytest.mark.parametrize(
    ("issuer", "refusal"),
    [
        ("one", None),
        ("two", None),
        ("One", InvalidClaims),
        ("one ", InvalidClaims),
        ("on", InvalidClaims),
        ("one two", InvalidClaims),
        (..., InvalidClaims),
    ],
    ids=repr,
)
def test_the_issuer_is_equal_to_one_that_is_accepted(
    issuer: Any, refusal: type[PasetoError] | None
) -> None:
    found = opened(iss=issuer)

    assert refused_at(NOON, found, issuers=frozenset({"one", "two"})) is refusal
    assert refused_at(NOON, found) is None


@pytest.mark.requirement("CLM-2")
@pytest.mark.parametrize(
    ("audience", "refusal"),
    [
        ("api", None),
        ("web", None),
        (["api"], None),
        (["other", "web"], None),
        ("other", InvalidClaims),
        ("ap", InvalidClaims),
        ("API", InvalidClaims),
        ("", InvalidClaims),
        (["other"], InvalidClaims),
        (["a", "p", "i"], InvalidClaims),
        (["api web"], InvalidClaims),
        (..., InvalidClaims),
    ],
    ids=repr,
)
def test_one_of_the_audiences_is_accepted(
    audience: Any, refusal: type[PasetoError] | None
) -> None:
    found = opened(aud=audience)

    assert refused_at(NOON, found, audiences=frozenset({"api", "web"})) is refusal
    unasked = None if audience is ... else InvalidClaims
    assert refused_at(NOON, found) is unasked


@pytest.mark.requirement("CLM-2")
def test_the_audience_of_a_view_takes_the_place_of_that_of_the_app() -> None:
    policy = Policy(audiences=frozenset({"api"}))
    need = build_need(audience="admin")

    assert policy.check(opened(aud="admin"), need, NOON)
    with pytest.raises(InvalidClaims):
        policy.check(opened(aud="api"), need, NOON)
    with pytest.raises(InvalidClaims):
        policy.check(opened(), need, NOON)
    with pytest.raises(InvalidClaims):
        policy.check(opened(aud="admin"), ANY, NOON)


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ("access", AccessTokenRequired),
        ("refresh", RefreshTokenRequired),
        ("invite", WrongTokenType),
        (("access", "refresh"), WrongTokenType),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "given", ["access", "refresh", "invite", "Access", "access ", "acces", "other"]
)
def test_the_type_is_compared_by_equality(
    asked: Any, refusal: type[PasetoError], given: str
) -> None:
    need = build_need(type=asked)
    claims = opened(type=given)

    if given in ((asked,) if isinstance(asked, str) else asked):
        assert Policy().check(claims, need, NOON).wire is claims.wire
    else:
        with pytest.raises(PasetoError) as refused:
            Policy().check(claims, need, NOON)
        assert type(refused.value) is refusal


def test_only_a_need_of_refresh_alone_is_one_of_refresh() -> None:
    assert build_need(type="refresh").is_refresh
    assert not build_need(type=("refresh", "access")).is_refresh
    assert not Need().is_refresh


def test_time_is_told_before_place_and_place_before_type() -> None:
    policy = Policy(issuers=frozenset({"one"}))
    late = NOON + timedelta(days=2)
    wrong = {"iss": "two", "type": "refresh", "nbf": NOON + timedelta(days=3)}

    with pytest.raises(ExpiredToken):
        policy.check(opened(**wrong), ANY, late)
    with pytest.raises(TokenNotYetValid):
        policy.check(opened(**wrong), ANY, NOON)
    del wrong["nbf"]
    with pytest.raises(InvalidClaims):
        policy.check(opened(**wrong), ANY, NOON)
    with pytest.raises(AccessTokenRequired):
        policy.check(opened(**wrong | {"iss": "one"}), ANY, NOON)


# Strength


@pytest.mark.requirement("STEP-2")
def test_freshness_has_no_leeway() -> None:
    need, until = Need(fresh=True), NOON + timedelta(minutes=5)

    need.check_strength(opened(fresh=True), NOON)
    need.check_strength(opened(fresh=until), until - TICK)
    for claims, moment in (
        (opened(fresh=until), until),
        (opened(fresh=until), until + TICK),
        (opened(fresh=False), NOON),
        (opened(), NOON),
    ):
        with pytest.raises(FreshTokenRequired):
            need.check_strength(claims, moment)
        Need().check_strength(claims, moment)


@pytest.mark.requirement("STEP-2")
def test_max_age_counts_from_the_login_without_leeway() -> None:
    need = Need(max_age=timedelta(minutes=5))
    claims = opened(auth_time=NOON)

    need.check_strength(claims, NOON + timedelta(minutes=5))
    need.check_strength(claims, NOON - SECOND)
    for old, moment in (
        (claims, NOON + timedelta(minutes=5) + TICK),
        (opened(), NOON),
        (opened(fresh=True), NOON),
    ):
        with pytest.raises(ReauthenticationRequired) as refused:
            need.check_strength(old, moment)
        assert refused.value.max_age == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        ("read write", True),
        ("write  read admin", True),
        ("read", False),
        ("reads write", False),
        ("READ write", False),
        ("", False),
        (..., False),
    ],
    ids=repr,
)
def test_all_scopes_that_are_needed_must_be_there(scope: Any, passes: bool) -> None:
    need, claims = build_need(scopes="write read"), opened(scope=scope)

    Need().check_strength(claims, NOON)
    if passes:
        need.check_strength(claims, NOON)
    else:
        with pytest.raises(InsufficientScope) as refused:
            need.check_strength(claims, NOON)
        assert refused.value.scopes == ("read", "write")


# What a guard is told


def test_a_need_without_options_is_an_access_token_from_anywhere() -> None:
    assert build_need() == Need()
    assert Need().types == {"access"}
    assert Need().check_revoked is True
    assert Need().optional is False


def test_every_option_of_a_guard_is_brought_to_its_form() -> None:
    def find() -> str:
        return "token"

    need = build_need(
        fresh=True,
        max_age=300,
        optional=True,
        type=["access", "invite"],
        scopes="read write",
        locations="json",
        token=find,
        header_name="X-Token",
        header_type="",
        json_key="j",
        query_key="q",
        form_key="f",
        audience="api",
        implicit_assertion="tenant",
        check_revoked=False,
    )

    assert need == Need(
        types=frozenset({"access", "invite"}),
        fresh=True,
        max_age=timedelta(seconds=300),
        optional=True,
        scopes=frozenset({"read", "write"}),
        locations=(Place.JSON,),
        token=find,
        header="HTTP_X_TOKEN",
        header_type="",
        json_key="j",
        query_key="q",
        form_key="f",
        audience=frozenset({"api"}),
        implicit_assertion=b"tenant",
        check_revoked=False,
    )


@pytest.mark.parametrize(
    "name",
    [
        "max_age",
        "scopes",
        "locations",
        "header_name",
        "header_type",
        "json_key",
        "query_key",
        "form_key",
        "audience",
        "implicit_assertion",
    ],
)
def test_none_leaves_an_option_out(name: str) -> None:
    assert build_need(**{name: None}) == Need()  # type: ignore[arg-type]


def test_none_as_the_token_is_no_token_and_no_look_at_the_request() -> None:
    token = build_need(token=None).token

    assert callable(token)
    assert token() is None


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"fresh": None}, TypeError),
        ({"fresh": 1}, TypeError),
        ({"fresh": "false"}, TypeError),
        ({"optional": None}, TypeError),
        ({"optional": 0}, TypeError),
        ({"check_revoked": None}, TypeError),
        ({"check_revoked": "no"}, TypeError),
        ({"type": None}, TypeError),
        ({"type": 1}, TypeError),
        ({"type": [1]}, TypeError),
        ({"type": []}, ValueError),
        ({"type": ""}, ValueError),
        ({"type": "two words"}, ValueError),
        ({"max_age": 0}, ValueError),
        ({"max_age": -1}, ValueError),
        ({"max_age": timedelta(0)}, ValueError),
        ({"max_age": True}, TypeError),
        ({"max_age": 1.5}, TypeError),
        ({"max_age": "5m"}, TypeError),
        ({"scopes": ""}, ValueError),
        ({"scopes": []}, ValueError),
        ({"scopes": [1]}, ValueError),
        ({"scopes": ['a"b']}, ValueError),
        ({"scopes": 5}, TypeError),
        ({"locations": []}, ValueError),
        ({"locations": ""}, ValueError),
        ({"locations": "cookie"}, ValueError),
        ({"locations": "argument"}, ValueError),
        ({"locations": ["json", "json"]}, ValueError),
        ({"locations": 5}, TypeError),
        ({"header_name": ""}, ValueError),
        ({"header_name": "X_Token"}, ValueError),
        ({"header_name": b"X-Token"}, TypeError),
        ({"header_type": "two words"}, ValueError),
        ({"header_type": 5}, TypeError),
        ({"json_key": ""}, ValueError),
        ({"query_key": 5}, TypeError),
        ({"form_key": ""}, ValueError),
        ({"audience": []}, ValueError),
        ({"audience": [""]}, ValueError),
        ({"audience": 5}, TypeError),
        ({"implicit_assertion": 5}, TypeError),
    ],
    ids=str,
)
def test_a_wrong_option_of_a_guard_is_refused_by_its_name(
    options: dict[str, Any], refusal: type[Exception]
) -> None:
    (name,) = options

    with pytest.raises(refusal, match=name) as refused:
        build_need(**options)
    assert type(refused.value) is refusal


def test_an_unknown_option_of_a_guard_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match="a guard has no option frsh, maxage"):
        build_need(maxage=1, fresh=True, frsh=1)  # type: ignore[call-arg]


def test_places_keep_their_order() -> None:
    assert as_places(["query", "headers"], "x") == (Place.QUERY, Place.HEADERS)
    assert as_places("form", "x") == (Place.FORM,)
    assert as_places((Place.JSON,), "x") == (Place.JSON,)


# What shows


@pytest.mark.requirement("KEY-6")
def test_claims_and_needs_show_no_value() -> None:
    claims = opened(sub="alice-s3cret", x="alice-s3cret")
    need = build_need(token="alice-s3cret", implicit_assertion="alice-s3cret")
    shown = [f"{value!r} {value} {[value]}" for value in (claims, need)]
    try:
        Policy().check(claims, build_need(type="other"), NOON)
    except WrongTokenType as refusal:
        shown += [
            str(refusal),
            repr(refusal),
            "".join(traceback.format_exception(refusal)),
        ]

    assert len(shown) == 5
    assert not [text for text in shown if "s3cret" in text]


@pytest.mark.parametrize(
    "copying", [copy.deepcopy, pickle.dumps], ids=["copy", "pickle"]
)
def test_claims_are_not_copied_by_accident(copying: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        copying(opened())


def test_claims_are_hashable_and_equal_to_themselves_alone() -> None:
    one, same = opened(), opened()

    assert one == one
    assert one != same
    assert len({one, same}) == 2
    assert isinstance(one, Claims)


# The clock


@pytest.mark.requirement("LIFE-4")
def test_the_clock_gives_the_time_with_an_offset() -> None:
    before = datetime.now(UTC)
    found = now()

    assert before <= found <= datetime.now(UTC)
    assert found.utcoffset() == timedelta(0)


@pytest.mark.requirement("LIFE-4")
def test_issuing_and_verifying_read_the_clock_of_the_app(
    app: Flask, clock: Clock, issue: Callable[..., str]
) -> None:
    clock.time = NOON
    token = issue(expires_in=60)

    with app.app_context():
        assert decode_token(token).issued_at == NOON
        clock.advance(60 + 9)
        assert decode_token(token).expires_at == NOON + timedelta(seconds=60)
        clock.advance(1)
        with pytest.raises(ExpiredToken):
            decode_token(token)
        clock.advance(-71 - 10)
        with pytest.raises(TokenNotYetValid):
            decode_token(token)


@pytest.mark.requirement("LIFE-4")
def test_there_is_one_clock() -> None:
    """Only `claims.now` asks what time it is, and the clock for tests its start.

    Ages are counted on a clock that cannot be set, which has one place too.
    """
    asking = set()
    for path in Path(flask_paseto.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id in ("datetime", "date") and node.attr in CLOCKS:
                    asking.add((path.name, node.attr))
            elif isinstance(node, ast.Import):
                assert "time" not in [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                asking |= {(path.name, alias.name) for alias in node.names}

    assert asking == {
        ("claims.py", "now"),
        ("testing.py", "now"),
        ("source.py", "monotonic"),
        # What a store and its deadlines go by is theirs.
        ("connections.py", "monotonic"),
        ("deadline.py", "monotonic"),
        ("sqlite.py", "time_ns"),
        ("sqlite.py", "sleep"),
    }


CLOCKS = ("now", "utcnow", "today")
