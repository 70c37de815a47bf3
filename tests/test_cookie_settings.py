"""The settings of cookies and CSRF: what each takes, and what contradicts itself."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from flask_paseto import ConfigurationError, PasetoManager
from flask_paseto.config import Config, read_config
from flask_paseto.cookie_settings import COOKIE_SETTINGS

from .browser import attributes
from .conftest import SECRET_KEY


def read(**settings: Any) -> Config:
    """Return the settings, given without their prefix; those of Flask with it."""
    named = {
        name if name in ("SESSION_COOKIE_NAME", "DEBUG") else f"PASETO_{name}": value
        for name, value in settings.items()
    }
    base = {"PASETO_SECRET_KEY": SECRET_KEY, "PASETO_TOKEN_LOCATIONS": "cookies"}
    return read_config({**base, **named}, "x")[0]


def faults_of(**settings: Any) -> list[str]:
    """Return what is wrong with settings, line by line."""
    with pytest.raises(ConfigurationError) as refused:
        read(**settings)
    return [line.removeprefix("- ") for line in str(refused.value).splitlines()[1:]]


def names_of(config: Config) -> list[str]:
    cookies = config.cookies
    return [cookies.access.name, cookies.refresh.name, cookies.csrf.name]


NO = [
    *[
        (name, value)
        for name in ("COOKIE_ACCESS_NAME", "COOKIE_REFRESH_NAME", "CSRF_COOKIE_NAME")
        for value in ("", "two words", "a=b", "a;b", "a,b", "é", "a\n", '"a"', 5)
    ],
    *[
        (name, value)
        for name in ("COOKIE_PATH", "COOKIE_REFRESH_PATH")
        for value in ("", "app", "/a b", "/a;b", "/é", "/a\n", 5)
    ],
    *[
        ("COOKIE_DOMAIN", value)
        for value in (
            "",
            "a" * 64 + ".example",
            "https://a.b",
            "a.b:80",
            "a b",
            "a.b/c",
            "a..b",
            "é.com",
            "a.b;",
            5,
        )
    ],
    *[
        ("COOKIE_SAMESITE", value)
        for value in ("", "lax", "none", "Lax;", None, True, ["Lax"])
    ],
    *[
        (name, value)
        for name in (
            "COOKIE_SECURE",
            "COOKIE_PARTITIONED",
            "COOKIE_PERSISTENT",
            "CSRF_PROTECT",
            "CSRF_CHECK_FORM",
            "CSRF_IN_COOKIES",
        )
        for value in (0, 1, None, "False", "")
    ],
    *[
        ("CSRF_SAFE_METHODS", value)
        for value in ("", "get", ["GET", "post"], [""], None, 5, "GET,HEAD", [5])
    ],
    *[
        ("CSRF_HEADER_NAME", value)
        for value in ("", "X_CSRF", "two words", "é", None, 5)
    ],
    *[("CSRF_FIELD_NAME", value) for value in ("", None, 5, ["a"])],
    *[
        ("CSRF_TRUSTED_ORIGINS", value)
        for value in (
            "",
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://*.example.com",
            "https://user@example.com",
            "ftp://example.com",
            "https://",
            ["https://a.b", "x"],
            "https://a.b https://c.d",
            None,
            5,
        )
    ],
]


@pytest.mark.requirement("CK-1")
@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(("name", "given"), NO, ids=lambda value: repr(value)[:30])
def test_a_wrong_setting_of_cookies_is_refused_by_its_name(
    name: str, given: Any
) -> None:
    (fault,) = faults_of(**{name: given})
    assert fault.startswith(f"PASETO_{name}")


YES: list[dict[str, Any]] = [
    {"COOKIE_DOMAIN": "example.com"},
    {"COOKIE_DOMAIN": ".example.com"},
    {"COOKIE_DOMAIN": "localhost"},
    {"COOKIE_DOMAIN": "a" * 63 + ".example"},
    {"COOKIE_DOMAIN": "xn--bcher-kva.example"},
    {"COOKIE_PATH": "/app/v1"},
    {"COOKIE_SAMESITE": "Strict"},
    {"COOKIE_SAMESITE": "None"},
    {"COOKIE_PARTITIONED": True},
    {"CSRF_SAFE_METHODS": ()},
    {"CSRF_SAFE_METHODS": "GET"},
    {"CSRF_SAFE_METHODS": ["GET", "M-SEARCH"]},
    {"CSRF_TRUSTED_ORIGINS": "https://app.example.com"},
    {"CSRF_TRUSTED_ORIGINS": ["http://localhost:5173", "http://[::1]:8080"]},
    {"CSRF_PROTECT": False},
    {"COOKIE_ACCESS_NAME": "__Host-Http-access"},
    {"CSRF_HEADER_NAME": "X-Csrf"},
]


@pytest.mark.parametrize("settings", YES, ids=lambda value: str(value)[:50])
def test_settings_of_cookies_that_make_sense_are_taken(
    settings: dict[str, Any],
) -> None:
    assert read(**settings).takes_cookies


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["__Host-access_token", "__Host-refresh_token", "__Host-csrf_token"]),
        (
            {"COOKIE_REFRESH_PATH": "/refresh"},
            ["__Host-access_token", "__Secure-refresh_token", "__Host-csrf_token"],
        ),
        (
            {"COOKIE_PATH": "/app", "COOKIE_REFRESH_PATH": "/"},
            ["__Secure-access_token", "__Host-refresh_token", "__Secure-csrf_token"],
        ),
        (
            {"COOKIE_DOMAIN": "example.com"},
            ["__Secure-access_token", "__Secure-refresh_token", "__Secure-csrf_token"],
        ),
        (
            {"COOKIE_SECURE": False, "DEBUG": True},
            ["access_token", "refresh_token", "csrf_token"],
        ),
        (
            {"COOKIE_ACCESS_NAME": "a", "CSRF_COOKIE_NAME": "c"},
            ["a", "__Host-refresh_token", "c"],
        ),
    ],
    ids=["default", "refresh-path", "path", "domain", "plain", "given"],
)
def test_a_name_has_the_strongest_prefix_that_the_attributes_allow(
    settings: dict[str, Any], names: list[str]
) -> None:
    assert names_of(read(**settings)) == names


@pytest.mark.requirement("CK-1")
@pytest.mark.parametrize(
    ("settings", "start"),
    [
        (
            {"COOKIE_SECURE": False, "COOKIE_SAMESITE": "None"},
            "PASETO_COOKIE_SAMESITE='None' needs PASETO_COOKIE_SECURE",
        ),
        (
            {"COOKIE_SECURE": False, "COOKIE_PARTITIONED": True},
            "PASETO_COOKIE_PARTITIONED=True needs PASETO_COOKIE_SECURE",
        ),
        (
            {"COOKIE_SECURE": False, "COOKIE_ACCESS_NAME": "__Host-a"},
            "PASETO_COOKIE_ACCESS_NAME: a name with this prefix needs PASETO_COOKIE_S",
        ),
        (
            {"COOKIE_SECURE": False, "CSRF_COOKIE_NAME": "__secure-a"},
            "PASETO_CSRF_COOKIE_NAME: a name with this prefix needs PASETO_COOKIE_SEC",
        ),
        (
            {"COOKIE_SECURE": False, "COOKIE_REFRESH_NAME": "__Http-a"},
            "PASETO_COOKIE_REFRESH_NAME: a name with this prefix needs PASETO_COOKIE_",
        ),
        (
            {"COOKIE_DOMAIN": "a.b", "COOKIE_REFRESH_NAME": "__Host-a"},
            "PASETO_COOKIE_REFRESH_NAME: a name with __Host- takes no PASETO_COOKIE_D",
        ),
        (
            {"COOKIE_REFRESH_PATH": "/r", "COOKIE_REFRESH_NAME": "__HOST-a"},
            "PASETO_COOKIE_REFRESH_NAME: a name with __Host- needs the path /",
        ),
        (
            {"COOKIE_PATH": "/r", "CSRF_COOKIE_NAME": "__Host-a"},
            "PASETO_CSRF_COOKIE_NAME: a name with __Host- needs the path /",
        ),
        (
            {"CSRF_COOKIE_NAME": "__Http-a"},
            "PASETO_CSRF_COOKIE_NAME: scripts must read this cookie",
        ),
        (
            {"CSRF_COOKIE_NAME": "__Host-Http-a"},
            "PASETO_CSRF_COOKIE_NAME: scripts must read this cookie",
        ),
        (
            {"COOKIE_SAMESITE": "None", "CSRF_PROTECT": False},
            "PASETO_COOKIE_SAMESITE='None' sends the cookies from every site",
        ),
        (
            {"CSRF_HEADER_NAME": "authorization"},
            "PASETO_CSRF_HEADER_NAME and PASETO_HEADER_NAME must not be the same",
        ),
        (
            {"COOKIE_REFRESH_NAME": "a", "COOKIE_ACCESS_NAME": "a"},
            "PASETO_COOKIE_REFRESH_NAME is the same as PASETO_COOKIE_ACCESS_NAME",
        ),
        (
            {"CSRF_COOKIE_NAME": "__Host-refresh_token"},
            "PASETO_CSRF_COOKIE_NAME is the same as PASETO_COOKIE_REFRESH_NAME",
        ),
        (
            {"COOKIE_ACCESS_NAME": "session", "SESSION_COOKIE_NAME": "session"},
            "PASETO_COOKIE_ACCESS_NAME is the same as SESSION_COOKIE_NAME",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_contradiction_stops_the_start(settings: dict[str, Any], start: str) -> None:
    (fault,) = faults_of(**settings)
    assert fault.startswith(start)
    # Who mends one thing and starts again must not meet the next.
    listed = faults_of(REALM=5, LEEWAY=-1, **settings)
    assert len(listed) == 3
    assert fault in listed


@pytest.mark.requirement("LIFE-2")
def test_all_faults_of_cookies_are_in_one_message() -> None:
    faults = faults_of(
        COOKIE_SECURE=False,
        COOKIE_SAMESITE="None",
        COOKIE_PARTITIONED=True,
        COOKIE_DOMAIN="https://x",
        COOKIE_ACCESS_NAME="__Host-x",
        CSRF_PROTECT=False,
        CSRF_COOKIE_NAME="",
        CSRF_HEADER_NAME="",
        SECRET_KEY="short",
    )
    assert len(faults) == 8


@pytest.mark.parametrize("name", [setting.name for setting in COOKIE_SETTINGS])
def test_a_setting_that_cannot_be_read_breaks_no_other_check(name: str) -> None:
    (fault,) = faults_of(**{name: object()})
    assert fault.startswith(f"PASETO_{name}")


def start(**settings: Any) -> None:
    app = Flask("tests")
    base = {"PASETO_SECRET_KEY": SECRET_KEY, "PASETO_TOKEN_LOCATIONS": "cookies"}
    app.config.update({**base, **settings})
    PasetoManager().init_app(app)


@pytest.mark.requirement("CK-1")
def test_cookies_over_plain_http_are_warned_about_outside_of_development() -> None:
    with pytest.warns(UserWarning, match="PASETO_COOKIE_SECURE is False") as warned:
        start(PASETO_COOKIE_SECURE=False)
    assert [each.filename for each in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(PASETO_COOKIE_SECURE=False, DEBUG=True)
        start(PASETO_COOKIE_SECURE=False, TESTING=True)
        start(PASETO_COOKIE_SECURE=False, PASETO_TOKEN_LOCATIONS="headers")
        start()


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("risky", ["json", "form", "query", "json, query"])
def test_body_and_query_places_beside_cookies_are_warned_about(risky: str) -> None:
    places = ["headers", "cookies", *risky.split(", ")]
    with pytest.warns(UserWarning, match=f"names cookies and {risky}: ") as warned:
        start(PASETO_TOKEN_LOCATIONS=places)
    assert [each.filename for each in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(PASETO_TOKEN_LOCATIONS=["headers", "json", "form", "query"])
        start(PASETO_TOKEN_LOCATIONS=["headers", "cookies"])


def names(kind: str) -> st.SearchStrategy[str | None]:
    """Choose a name, often the default: most others contradict something."""
    given = [f"{prefix}{kind}" for prefix in ("", "__Secure-", "__Host-", "__HTTP-")]
    return st.sampled_from([None, None, None, None, *given, f"__Host-Http-{kind}"])


CHOICES = {
    "COOKIE_ACCESS_NAME": names("a"),
    "COOKIE_REFRESH_NAME": names("r"),
    "CSRF_COOKIE_NAME": names("c"),
    "COOKIE_PATH": st.sampled_from(["/", "/app"]),
    "COOKIE_REFRESH_PATH": st.sampled_from([None, "/", "/refresh"]),
    "COOKIE_DOMAIN": st.sampled_from([None, "example.com"]),
    "COOKIE_SECURE": st.sampled_from([True, True, True, False]),
    "COOKIE_SAMESITE": st.sampled_from(["Lax", "Strict", "None"]),
    "COOKIE_PARTITIONED": st.booleans(),
    "CSRF_PROTECT": st.booleans(),
}


def is_kept(header: str) -> bool:
    """Tell whether a browser keeps a cookie (RFC 6265bis sections 4.1.3 and 5.7)."""
    name, _, found = attributes(header)
    name, secure = name.lower(), "Secure" in found
    prefixed = name.startswith(("__host-", "__secure-", "__http-"))
    alone = name.startswith("__host-")
    hidden = name.startswith(("__http-", "__host-http-"))
    return (
        (secure or not (prefixed or "Partitioned" in found))
        and (secure or found["SameSite"] != "None")
        and (not alone or (found["Path"] == "/" and "Domain" not in found))
        and (not hidden or "HttpOnly" in found)
    )


@pytest.mark.requirement("CK-1")
@given(chosen=st.fixed_dictionaries(CHOICES))
@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
def test_whatever_starts_sets_cookies_that_browsers_keep(
    chosen: dict[str, Any],
) -> None:
    try:
        cookies = read(**chosen, DEBUG=True).cookies
    except ConfigurationError:
        reject()
    found = set()
    for cookie in (cookies.access, cookies.refresh, cookies.csrf):
        response = Response()
        cookie.write(response, "x")
        header = response.headers["Set-Cookie"]
        assert is_kept(header)
        assert ("HttpOnly" in header) == (cookie is not cookies.csrf)
        found.add(cookie.name)
    assert len(found) == 3


QUIET: dict[str, Any] = {"COOKIE_REFRESH_WITHIN": 300, "STORE": "memory://"}
LESS_THAN_HALF = (
    "PASETO_COOKIE_REFRESH_WITHIN must be less than half of "
    "PASETO_ACCESS_TOKEN_EXPIRES, which is 0:15:00"
)
MORE_THAN_GRACE = (
    "PASETO_COOKIE_REFRESH_WITHIN must be more than PASETO_ROTATION_GRACE, which is "
    "0:00:10"
)
AT_THE_ROOT = (
    "PASETO_COOKIE_REFRESH_WITHIN needs the refresh cookie with every request: take "
    "PASETO_COOKIE_REFRESH_PATH and PASETO_COOKIE_PATH out"
)


@pytest.mark.parametrize("within", [11, 449, timedelta(seconds=10, microseconds=1)])
def test_cookies_are_renewed_so_long_before_their_end(within: Any) -> None:
    found = read(**QUIET | {"COOKIE_REFRESH_WITHIN": within}).cookies.refresh_within

    assert found == (within if isinstance(within, timedelta) else timedelta(0, within))


@pytest.mark.parametrize("store", [{}, {"STORE": "memory://"}])
@pytest.mark.parametrize("off", [{}, {"COOKIE_REFRESH_WITHIN": None}])
def test_cookies_are_not_renewed_unless_it_is_asked_for(
    store: dict[str, Any], off: dict[str, Any]
) -> None:
    config = read(**store, **off, COOKIE_REFRESH_PATH="/refresh")

    assert config.cookies.refresh_within is None


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"COOKIE_REFRESH_WITHIN": 450}, LESS_THAN_HALF),
        ({"COOKIE_REFRESH_WITHIN": timedelta(days=2)}, LESS_THAN_HALF),
        ({"COOKIE_REFRESH_WITHIN": 10}, MORE_THAN_GRACE),
        ({"COOKIE_REFRESH_WITHIN": 1}, MORE_THAN_GRACE),
        ({"COOKIE_REFRESH_PATH": "/refresh"}, AT_THE_ROOT),
        ({"COOKIE_PATH": "/app"}, AT_THE_ROOT),
        (
            {"TOKEN_LOCATIONS": "headers"},
            "PASETO_COOKIE_REFRESH_WITHIN needs 'cookies' in PASETO_TOKEN_LOCATIONS",
        ),
        (
            {"COOKIE_REFRESH_WITHIN": 0},
            "PASETO_COOKIE_REFRESH_WITHIN must be at least one second",
        ),
        (
            {"COOKIE_REFRESH_WITHIN": "300"},
            "PASETO_COOKIE_REFRESH_WITHIN must be a timedelta or whole seconds",
        ),
        (
            {"COOKIE_REFRESH_WITHIN": True},
            "PASETO_COOKIE_REFRESH_WITHIN must be a timedelta or whole seconds",
        ),
    ],
)
def test_what_keeps_cookies_from_being_renewed_stops_the_start(
    settings: dict[str, Any], fault: str
) -> None:
    assert faults_of(**QUIET | settings) == [fault]


@pytest.mark.requirement("LIFE-2")
def test_renewing_cookies_needs_a_store() -> None:
    assert faults_of(COOKIE_REFRESH_WITHIN=300) == [
        "PASETO_COOKIE_REFRESH_WITHIN needs PASETO_STORE: set that, or take this out"
    ]


@pytest.mark.requirement("LIFE-2")
def test_all_that_keeps_cookies_from_being_renewed_is_told_at_once() -> None:
    found = faults_of(
        COOKIE_REFRESH_WITHIN=10,
        ACCESS_TOKEN_EXPIRES=20,
        TOKEN_LOCATIONS="headers",
        COOKIE_REFRESH_PATH="/refresh",
        LEEWAY=301,
    )

    assert len(found) == 6
    for part in ("LEEWAY", "PASETO_STORE", "TOKEN_LOCATIONS", "PATH", "half", "GRACE"):
        assert len([fault for fault in found if part in fault]) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"ACCESS_TOKEN_EXPIRES": "x"},
        {"ROTATION_GRACE": "x"},
        {"TOKEN_LOCATIONS": "x"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_read_hides_nothing_of_this(
    other: dict[str, Any],
) -> None:
    assert len(faults_of(**QUIET | other)) == 1
    assert len(faults_of(**QUIET | other | {"COOKIE_PATH": "/app"})) == 2
