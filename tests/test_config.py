"""The settings are read once; every fault is listed in one message."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_paseto import ConfigurationError, PasetoManager
from flask_paseto.claims import Place
from flask_paseto.config import SETTINGS, Config, read_config
from flask_paseto.cookie_policy import Cookie, CookiePolicy
from flask_paseto.keys import KEY_SETTINGS, generate_key, public_half

KEY = generate_key().to_paserk()
PRIVATE = generate_key(4, "public").to_paserk()
PUBLIC = public_half(generate_key(4, "public")).to_paserk()  # of another pair
RAW = hashlib.sha256(b"thirty-two bytes without any order").digest()
TEXT = "correct horse battery staple zebra"


def read(**settings: Any) -> Config:
    """Return the settings, given without their prefix, beside a good key."""
    named = {f"PASETO_{name}": value for name, value in settings.items()}
    return read_config({"PASETO_SECRET_KEY": KEY, **named}, "the app")[0]


def faults_of(**settings: Any) -> list[str]:
    """Return what is wrong with settings, line by line."""
    with pytest.raises(ConfigurationError) as refused:
        read(**settings)
    first, *listed = str(refused.value).splitlines()
    assert first == "flask_paseto cannot start:"
    assert listed
    assert all(line.startswith("- PASETO_") for line in listed)
    return [line.removeprefix("- ") for line in listed]


def cookie(name: str, *, httponly: bool = True) -> Cookie:
    """Return a cookie as the defaults have it."""
    return Cookie(
        name=name,
        path="/",
        domain=None,
        secure=True,
        httponly=httponly,
        samesite="Lax",
        partitioned=False,
    )


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert read() == Config(
        store=None,
        store_timeout=timedelta(milliseconds=250),
        store_outage="refuse",
        revocation_sync_interval=timedelta(0),
        rotation_grace=timedelta(seconds=10),
        session_idle=timedelta(days=30),
        session_lifetime=timedelta(days=90),
        access_token_expires=timedelta(minutes=15),
        refresh_token_expires=timedelta(days=30),
        other_token_expires=timedelta(hours=1),
        max_token_lifetime=timedelta(days=90),
        allow_non_expiring=False,
        issuer=None,
        audience=(),
        accepted_issuers=frozenset(),
        accepted_audiences=frozenset(),
        leeway=timedelta(seconds=10),
        token_locations=(Place.HEADERS,),
        header="HTTP_AUTHORIZATION",
        header_type="Bearer",
        json_key="access_token",
        refresh_json_key="refresh_token",
        form_key="access_token",
        refresh_form_key="refresh_token",
        query_key="access_token",
        revocation_checks=None,
        verified_cache_size=0,
        max_token_length=8192,
        accept_missing_kid=False,
        realm="the app",
        keyring=None,
        keyset_max_age=timedelta(minutes=5),
        key_loader_ttl=timedelta(minutes=5),
        key_timeout=timedelta(seconds=3),
        cookies=CookiePolicy(
            access=cookie("__Host-access_token"),
            refresh=cookie("__Host-refresh_token"),
            csrf=cookie("__Host-csrf_token", httponly=False),
            persistent=False,
            refresh_within=None,
        ),
        csrf=None,
    )


def label(value: object) -> str:
    # The order of a set is another in each process.
    return "set" if isinstance(value, frozenset) else str(value)[:24]


# Setting, what is given, attribute, what is made of it.
YES: list[tuple[str, Any, str, Any]] = [
    ("ACCESS_TOKEN_EXPIRES", 60, "access_token_expires", timedelta(minutes=1)),
    ("REFRESH_TOKEN_EXPIRES", timedelta(days=90), "", timedelta(days=90)),
    ("OTHER_TOKEN_EXPIRES", 1, "", timedelta(seconds=1)),
    ("MAX_TOKEN_LIFETIME", timedelta(days=30), "", timedelta(days=30)),
    ("ALLOW_NON_EXPIRING", True, "", True),
    ("ACCEPT_MISSING_KID", True, "", True),
    ("ISSUER", "me", "", "me"),
    ("ISSUER", "me", "accepted_issuers", frozenset({"me"})),
    ("ISSUER", None, "issuer", None),
    ("AUDIENCE", "api", "", ("api",)),
    ("AUDIENCE", ["b", "a"], "", ("b", "a")),
    ("AUDIENCE", ["b", "a"], "accepted_audiences", frozenset({"a", "b"})),
    ("AUDIENCE", (), "", ()),
    ("ACCEPTED_ISSUERS", ["a", "b"], "", frozenset({"a", "b"})),
    ("ACCEPTED_ISSUERS", None, "", frozenset()),
    ("ACCEPTED_AUDIENCES", "a", "", frozenset({"a"})),
    ("LEEWAY", 0, "", timedelta(0)),
    ("LEEWAY", timedelta(0), "", timedelta(0)),
    ("LEEWAY", 300, "", timedelta(minutes=5)),
    ("LEEWAY", timedelta(seconds=1), "", timedelta(seconds=1)),
    ("TOKEN_LOCATIONS", "json", "", (Place.JSON,)),
    ("TOKEN_LOCATIONS", ["query", "headers"], "", (Place.QUERY, Place.HEADERS)),
    ("HEADER_NAME", "X-Token", "header", "HTTP_X_TOKEN"),
    ("HEADER_TYPE", "", "", ""),
    ("HEADER_TYPE", "Token", "", "Token"),
    ("JSON_KEY", "t", "", "t"),
    ("REFRESH_JSON_KEY", "t", "", "t"),
    ("FORM_KEY", "t", "", "t"),
    ("REFRESH_FORM_KEY", "t", "", "t"),
    ("QUERY_KEY", "t", "", "t"),
    ("REVOCATION_CHECKS", "all", "", None),
    ("REVOCATION_CHECKS", ["access", "x"], "", frozenset({"access", "x"})),
    ("REVOCATION_CHECKS", ["refresh"], "", frozenset({"refresh"})),
    ("VERIFIED_CACHE_SIZE", 0, "", 0),
    ("VERIFIED_CACHE_SIZE", 1000, "", 1000),
    ("MAX_TOKEN_LENGTH", 256, "", 256),
    ("REALM", "here", "", "here"),
    ("REALM", None, "", "the app"),
]


@pytest.mark.parametrize(("name", "given", "attribute", "expected"), YES, ids=label)
def test_a_setting_is_brought_to_its_form(
    name: str, given: Any, attribute: str, expected: Any
) -> None:
    assert getattr(read(**{name: given}), attribute or name.lower()) == expected


NO: list[tuple[str, Any]] = [
    *[
        (name, value)
        for name in (
            "ACCESS_TOKEN_EXPIRES",
            "REFRESH_TOKEN_EXPIRES",
            "OTHER_TOKEN_EXPIRES",
            "MAX_TOKEN_LIFETIME",
        )
        for value in (
            0,
            -1,
            timedelta(0),
            timedelta(days=-1),
            10**20,
            None,
            False,
            True,
            "15m",
            1.5,
        )
    ],
    *[
        (name, value)
        for name in ("ALLOW_NON_EXPIRING", "ACCEPT_MISSING_KID")
        for value in (1, 0, "true", "False", None)
    ],
    *[
        (name, value)
        for name in (
            "ISSUER",
            "JSON_KEY",
            "REFRESH_JSON_KEY",
            "FORM_KEY",
            "REFRESH_FORM_KEY",
            "QUERY_KEY",
            "REALM",
        )
        for value in ("", 5, b"text", ["a"])
    ],
    *[
        (name, value)
        for name in ("AUDIENCE", "ACCEPTED_ISSUERS", "ACCEPTED_AUDIENCES")
        for value in ("", [], [""], ["a", 1], 5, b"api")
    ],
    ("LEEWAY", -1),
    ("LEEWAY", timedelta(microseconds=-1)),
    ("LEEWAY", 301),
    ("LEEWAY", timedelta(minutes=5, microseconds=1)),
    ("LEEWAY", False),
    ("LEEWAY", None),
    ("LEEWAY", "10s"),
    ("TOKEN_LOCATIONS", ()),
    ("TOKEN_LOCATIONS", []),
    ("TOKEN_LOCATIONS", "header"),
    ("TOKEN_LOCATIONS", "cookie"),
    ("TOKEN_LOCATIONS", ["headers", "headers"]),
    ("TOKEN_LOCATIONS", "argument"),
    ("TOKEN_LOCATIONS", None),
    ("HEADER_NAME", ""),
    ("HEADER_NAME", "X_Token"),
    ("HEADER_NAME", None),
    ("HEADER_TYPE", "two words"),
    ("HEADER_TYPE", None),
    ("REVOCATION_CHECKS", []),
    ("REVOCATION_CHECKS", "refresh"),
    ("REVOCATION_CHECKS", "none"),
    ("REVOCATION_CHECKS", "ALL"),
    ("REVOCATION_CHECKS", ["all"]),
    ("REVOCATION_CHECKS", ["access", "None"]),
    ("REVOCATION_CHECKS", "two words"),
    ("REVOCATION_CHECKS", None),
    ("VERIFIED_CACHE_SIZE", -1),
    ("VERIFIED_CACHE_SIZE", True),
    ("VERIFIED_CACHE_SIZE", 1.0),
    ("VERIFIED_CACHE_SIZE", None),
    ("MAX_TOKEN_LENGTH", 255),
    ("MAX_TOKEN_LENGTH", 0),
    ("MAX_TOKEN_LENGTH", "8192"),
    ("MAX_TOKEN_LENGTH", None),
    ("VERSION", 2),
    ("VERSION", 1),
    ("VERSION", "4"),
    ("VERSION", True),
    ("VERSION", None),
    ("VERSION", 4.0),
    ("PURPOSE", "secret"),
    ("PURPOSE", ""),
    ("PURPOSE", []),
    ("PURPOSE", 4),
]


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(("name", "given"), NO, ids=lambda value: repr(value)[:30])
def test_a_wrong_setting_is_refused_by_its_name(name: str, given: Any) -> None:
    (fault,) = faults_of(**{name: given})

    assert fault.startswith(f"PASETO_{name}")


@pytest.mark.parametrize("name", ["ACCESS", "REFRESH", "OTHER"])
def test_a_lifetime_over_the_longest_is_refused(name: str) -> None:
    setting, longest = f"{name}_TOKEN_EXPIRES", timedelta(days=90)

    assert read(**{setting: longest})
    (fault,) = faults_of(**{setting: longest + timedelta(microseconds=1)})
    longer = f"PASETO_{setting} is longer than PASETO_MAX_TOKEN_LIFETIME"
    assert fault == f"{longer}, which is 90 days, 0:00:00"
    (fault,) = faults_of(MAX_TOKEN_LIFETIME=timedelta(days=29))
    assert fault.startswith("PASETO_REFRESH_TOKEN_EXPIRES is longer")


def test_what_is_accepted_takes_the_place_of_what_is_issued() -> None:
    config = read(
        ISSUER="me",
        ACCEPTED_ISSUERS=["you"],
        AUDIENCE="mine",
        ACCEPTED_AUDIENCES=["yours"],
    )

    assert (config.issuer, config.audience) == ("me", ("mine",))
    assert config.accepted_issuers == {"you"}
    assert config.accepted_audiences == {"yours"}


@pytest.mark.parametrize("version", [3, 4])
def test_the_version_is_that_of_derived_and_raw_keys(version: int) -> None:
    for secret in (TEXT, RAW):
        settings = {"PASETO_SECRET_KEY": secret, "PASETO_VERSION": version}
        ring = read_config(settings, "x")[1].current()
        assert ring.issuing["local"].header == f"v{version}.local"
    ring = read_config({"SECRET_KEY": TEXT, "PASETO_VERSION": version}, "x")[
        1
    ].current()
    assert ring.issuing["local"].header == f"v{version}.local"


@pytest.mark.parametrize("purpose", ["local", "public"])
def test_the_purpose_chooses_the_key_that_issues(purpose: str) -> None:
    settings = {
        "PASETO_SECRET_KEY": KEY,
        "PASETO_PRIVATE_KEY": generate_key(4, "public").to_paserk(),
        "PASETO_PURPOSE": purpose,
    }

    assert read_config(settings, "x")[1].current().purpose == purpose


@pytest.mark.requirement("LIFE-2")
def test_every_fault_is_in_one_message() -> None:
    faults = faults_of(
        SECRET_KEY="short",
        PUBLIC_KEYS="k4.public.x",
        VERSION=2,
        PURPOSE="both",
        LEEWAY=-1,
        REALM="",
        STORE="memory",
        ALLOW_NON_EXPIRING="yes",
    )

    assert sorted(fault.split()[0] for fault in faults) == [
        "PASETO_ALLOW_NON_EXPIRING",
        "PASETO_LEEWAY",
        "PASETO_PUBLIC_KEYS",
        "PASETO_PURPOSE",
        "PASETO_REALM",
        "PASETO_SECRET_KEY",
        "PASETO_STORE",
        "PASETO_VERSION",
    ]


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(
    "contradiction",
    [
        {"ACCESS_TOKEN_EXPIRES": timedelta(days=91)},
        {"PRIVATE_KEY": PRIVATE, "PUBLIC_KEY": PUBLIC, "PURPOSE": "local"},
        {"PURPOSE": "public"},
        {"PRIVATE_KEY": PRIVATE},
    ],
    ids=["lifetime", "pair", "purpose", "two-keys"],
)
def test_a_fault_hides_no_contradiction_between_others(
    contradiction: dict[str, Any],
) -> None:
    """Who mends one thing and starts again must not meet the next."""
    assert len(faults_of(**contradiction)) == 1
    assert len(faults_of(REALM=5, **contradiction)) == 2


@pytest.mark.requirement("LIFE-2")
def test_the_faults_appear_when_the_app_is_set_up() -> None:
    app = Flask("tests")
    app.config.update(PASETO_SECRET_KEY="short", PASETO_LEEWAY=301)

    with pytest.raises(ConfigurationError, match=r"(?s)LEEWAY.*SECRET_KEY"):
        PasetoManager(app)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PASETO_SECRETKEY", "PASETO_SECRET_KEY"),
        ("PASETO_SECRET_KEYS", "PASETO_SECRET_KEY"),
        ("PASETO_LEEWAYS", "PASETO_LEEWAY"),
        ("PASETO_ACCESS_TOKEN_EXPIRE", "PASETO_ACCESS_TOKEN_EXPIRES"),
        ("PASETO_PUBLIC_KEYS_FIL", "PASETO_PUBLIC_KEYS_FILE"),
    ],
)
def test_an_unknown_setting_is_warned_about_with_what_was_meant(
    name: str, meant: str
) -> None:
    app = Flask("tests")
    app.config.update({"PASETO_SECRET_KEY": KEY, name: 1})
    message = f"{name} is not a setting of flask_paseto; did you mean {meant}\\?"

    with pytest.warns(UserWarning, match=message) as warned:
        PasetoManager().init_app(app)

    assert len(warned) == 1
    assert warned[0].filename == __file__


def test_an_unknown_setting_like_no_other_is_warned_about() -> None:
    with pytest.warns(UserWarning, match="PASETO_XYZZY is not a setting") as warned:
        read(XYZZY=1)

    assert "did you mean" not in str(warned[0].message)


def test_other_settings_and_known_ones_are_not_warned_about() -> None:
    settings = {
        "SECRET_KEY": TEXT,
        "PASET_LEEWAY": 1,
        "paseto_leeway": 1,
        "DEBUG": True,
    }

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_config({"PASETO_SECRET_KEY": KEY, **settings}, "x")
        for setting in SETTINGS:
            given = {setting.name: setting.default} if setting.default else {}
            read(**{"STORE": "memory://", **given})


@pytest.mark.requirement("KEY-6")
def test_the_settings_and_their_faults_show_no_secret() -> None:
    secret = "q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5Gh0Js2Qa"
    config, keys = read_config({"PASETO_SECRET_KEY": secret}, "x")
    shown = f"{config!r} {config} {keys.current()!r} {keys.current()}"
    for bad in (secret[:20], secret * 2, secret + "\n", "k4.local." + secret):
        for name in KEY_SETTINGS:
            with pytest.raises(ConfigurationError) as refused:
                read_config({f"PASETO_{name}": bad, "PASETO_LEEWAY": secret}, "x")
            fault = refused.value
            assert fault.__cause__ is None
            assert fault.__context__ is None
            shown += str(fault) + repr(fault)
    with pytest.warns(UserWarning, match="XYZZY") as warned:
        read(XYZZY=secret)
    shown += str(warned[0].message)

    assert not [at for at in range(30) if secret[at : at + 4] in shown]


def test_a_config_cannot_be_changed_and_holds_no_key() -> None:
    config = read()

    with pytest.raises(FrozenInstanceError):
        config.realm = "x"  # type: ignore[misc]
    assert not [field.name for field in fields(config) if "secret" in field.name]


def test_the_settings_of_an_app_are_not_touched() -> None:
    settings = {"PASETO_SECRET_KEY": KEY, "PASETO_AUDIENCE": ["b", "a"]}
    before = dict(settings)

    read_config(settings, "x")

    assert settings == before


def test_every_setting_says_what_it_is() -> None:
    names = [setting.name for setting in SETTINGS]

    assert len(set(names)) == len(names)
    for setting in SETTINGS:
        assert setting.says.endswith(".")
        assert setting.name == setting.name.upper()


@pytest.mark.parametrize(
    "slip",
    ["acess", "acces", "Access", "refesh", "REFRESH", "access_token", "refresh-tokens"],
)
def test_a_slip_in_the_types_to_check_is_not_taken_for_a_type(slip: str) -> None:
    """It would switch revocation off in silence."""
    (fault,) = faults_of(REVOCATION_CHECKS=[slip])
    assert fault.startswith(f"PASETO_REVOCATION_CHECKS: {slip!r} is close to ")
    assert read(REVOCATION_CHECKS=["ticket"]).revocation_checks == {"ticket"}


def test_a_negative_leeway_is_told_its_range() -> None:
    (fault,) = faults_of(LEEWAY=-1)
    assert fault == "PASETO_LEEWAY must be from 0 to 5 minutes"
