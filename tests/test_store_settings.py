"""The settings of the store and of sessions: read once, every fault in one message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flask_paseto.config import Config
from flask_paseto.state import states_of
from flask_paseto.stores import MemoryStore

from .conftest import MakeApp
from .test_config import faults_of, read


def with_store(**settings: Any) -> Config:
    return read(STORE="memory://", **settings)


def test_without_a_store_there_is_none() -> None:
    config = read()
    assert config.store is None
    assert config.session_idle == timedelta(days=30)


def test_what_they_are_unless_set() -> None:
    config = with_store()
    assert type(config.store) is MemoryStore
    assert config.store_timeout == timedelta(milliseconds=250)
    assert config.store_outage == "refuse"
    assert config.revocation_sync_interval == timedelta(0)
    assert config.rotation_grace == timedelta(seconds=10)
    assert config.session_idle == config.refresh_token_expires
    assert config.session_lifetime == timedelta(days=90)


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({"REFRESH_TOKEN_EXPIRES": 7200}, 7200),
        ({"SESSION_LIFETIME": 3600}, 3600),
        ({"SESSION_IDLE": 900}, 900),
        ({"ACCESS_TOKEN_EXPIRES": 60, "REFRESH_TOKEN_EXPIRES": 30}, 60),
        ({"SESSION_IDLE": timedelta(days=400)}, 400 * 86400),
    ],
    ids=str,
)
def test_a_session_idles_as_long_as_a_refresh_token_lasts(
    settings: dict[str, Any], idle: int
) -> None:
    assert with_store(**settings).session_idle == timedelta(seconds=idle)


def test_a_store_of_ones_own_is_taken_as_it_is() -> None:
    store = MemoryStore(clock=lambda: datetime.now(UTC))
    assert read(STORE=store).store is store


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("STORE_TIMEOUT", timedelta(milliseconds=10), 0.01),
        ("STORE_TIMEOUT", 30, 30),
        ("STORE_OUTAGE", "allow", None),
        ("REVOCATION_SYNC_INTERVAL", 0, 0),
        ("REVOCATION_SYNC_INTERVAL", timedelta(0), 0),
        ("REVOCATION_SYNC_INTERVAL", timedelta(milliseconds=100), 0.1),
        ("REVOCATION_SYNC_INTERVAL", 300, 300),
        ("ROTATION_GRACE", 0, 0),
        ("ROTATION_GRACE", timedelta(milliseconds=1), 0.001),
        ("ROTATION_GRACE", 60, 60),
    ],
    ids=str,
)
def test_what_they_may_be(name: str, value: Any, read_as: float | None) -> None:
    found = getattr(with_store(**{name: value}), name.lower())
    expected = value if read_as is None else timedelta(seconds=read_as)
    assert found == expected


NO = [
    *[("STORE", value) for value in ("", "memory", "mysql://x", 5, None, [], {})],
    *[
        (name, value)
        for name in ("STORE_TIMEOUT", "REVOCATION_SYNC_INTERVAL", "ROTATION_GRACE")
        for value in (None, "1", 0.5, True, False, -1, timedelta(seconds=-1), 10**20)
    ],
    ("STORE_TIMEOUT", 0),
    ("STORE_TIMEOUT", timedelta(milliseconds=9)),
    ("STORE_TIMEOUT", 31),
    ("REVOCATION_SYNC_INTERVAL", timedelta(milliseconds=99)),
    ("REVOCATION_SYNC_INTERVAL", 301),
    ("ROTATION_GRACE", 61),
    ("ROTATION_GRACE", timedelta(seconds=60, microseconds=1)),
    *[("STORE_OUTAGE", value) for value in (None, "", "ALLOW", "deny", True, [])],
    *[
        (name, value)
        for name in ("SESSION_IDLE", "SESSION_LIFETIME")
        for value in (0, -1, "1", True, 1.5)
    ],
    ("SESSION_LIFETIME", None),
    ("SESSION_IDLE", 899),
    ("SESSION_LIFETIME", 899),
]


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(("name", "given"), NO, ids=lambda value: repr(value)[:30])
def test_a_wrong_one_is_refused_by_its_name(name: str, given: Any) -> None:
    (fault,) = faults_of(**{"STORE": "memory://", name: given})
    assert fault.startswith(f"PASETO_{name} ")


@pytest.mark.requirement("LIFE-2")
def test_all_faults_are_in_one_message() -> None:
    faults = faults_of(
        STORE="mysql://u:s3cret@x", STORE_OUTAGE="", ROTATION_GRACE=61, REALM=""
    )
    assert sorted(fault.split()[0] for fault in faults) == [
        "PASETO_REALM",
        "PASETO_ROTATION_GRACE",
        "PASETO_STORE",
        "PASETO_STORE_OUTAGE",
    ]
    assert "s3cret" not in "".join(faults)


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE_TIMEOUT", 1),
        ("STORE_OUTAGE", "refuse"),
        ("REVOCATION_SYNC_INTERVAL", 0),
        ("ROTATION_GRACE", 0),
        ("SESSION_IDLE", 3600),
        ("SESSION_LIFETIME", 3600),
    ],
)
def test_one_that_means_nothing_without_a_store_is_refused(
    name: str, value: Any
) -> None:
    (fault,) = faults_of(**{name: value})
    assert fault.startswith(f"PASETO_{name} needs PASETO_STORE")


@pytest.mark.requirement("KEY-6")
def test_no_repr_shows_the_store() -> None:
    assert "memory" not in repr(with_store()).lower()


def test_a_setting_that_is_a_store_is_not_copied(make_app: MakeApp) -> None:
    store = MemoryStore(clock=lambda: datetime.now(UTC))
    app = make_app(PASETO_STORE=store)
    state = states_of(app)["default"]
    assert state.store is store
    assert state.seen["PASETO_STORE"] is store


def test_there_is_a_snapshot_only_where_it_is_asked_for(make_app: MakeApp) -> None:
    def snapshot(**settings: Any) -> object:
        return states_of(make_app(**settings))["default"].snapshot

    assert snapshot() is None
    assert snapshot(PASETO_STORE="memory://") is None
    sync = {"PASETO_REVOCATION_SYNC_INTERVAL": 1}
    assert snapshot(PASETO_STORE="memory://", **sync) is not None
