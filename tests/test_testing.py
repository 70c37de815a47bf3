"""The parts for the tests of your app: the clock and the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import freezegun
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from flask_paseto import (
    ConfigurationError,
    ExpiredToken,
    InvalidToken,
    MissingToken,
    create_access_token,
    decode_token,
)
from flask_paseto.keys import generate_key
from flask_paseto.state import states_of
from flask_paseto.testing import UNSET, Clock, override_settings, use_clock

from .conftest import MakeApp, add_routes
from .refusals import assert_refused, bearer

MOMENT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


# The clock


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = Clock(MOMENT)
    assert clock() == clock() == MOMENT
    clock.advance(timedelta(minutes=1))
    clock.advance(30)
    clock.advance(0.5)
    clock.advance(-10)
    assert clock() - MOMENT == timedelta(seconds=80.5)
    clock.time = MOMENT
    assert clock() == MOMENT


def test_a_clock_starts_now() -> None:
    before = datetime.now(UTC)
    assert before <= Clock()() <= datetime.now(UTC)


def test_a_clock_needs_an_offset() -> None:
    with pytest.raises(ValueError, match="with an offset"):
        Clock(datetime(2030, 1, 1))


@pytest.mark.requirement("LIFE-4")
def test_everything_reads_the_one_clock(client: FlaskClient, app: Flask) -> None:
    with use_clock(app, Clock(MOMENT)) as clock, app.app_context():
        token = create_access_token("alice", expires_in=60)
        claims = decode_token(token)
        assert claims.issued_at == MOMENT
        assert claims.expires_at == MOMENT + timedelta(seconds=60)
        clock.advance(60 + 9)
        assert client.get("/protected", headers=bearer(token)).status_code == 200
        clock.advance(1)
        assert_refused(client.get("/protected", headers=bearer(token)), ExpiredToken)


@pytest.mark.requirement("LIFE-4")
def test_afterwards_the_old_clock_is_back(app: Flask) -> None:
    before = states_of(app)["default"]
    with use_clock(app, Clock(MOMENT)):
        with use_clock(app) as inner:
            assert states_of(app)["default"].clock is inner
        assert states_of(app)["default"].clock() == MOMENT
        with pytest.raises(ZeroDivisionError), use_clock(app):
            _ = 1 / 0
        assert states_of(app)["default"].clock() == MOMENT
    assert states_of(app)["default"] is before


@pytest.mark.requirement("LIFE-4")
def test_a_clock_with_another_offset_is_as_good(app: Flask) -> None:
    from datetime import timezone

    there = MOMENT.astimezone(timezone(timedelta(hours=-9)))
    with use_clock(app, Clock(there)), app.app_context():
        claims = decode_token(create_access_token("alice"))
    assert claims.issued_at == MOMENT
    assert claims.wire["iat"] == "2030-01-02T03:04:05Z"


@pytest.mark.requirement("LIFE-4")
def test_freezegun_works(app: Flask) -> None:
    with app.app_context():
        with freezegun.freeze_time("2030-01-01"):
            token = create_access_token("alice")
            assert decode_token(token).issued_at == datetime(2030, 1, 1, tzinfo=UTC)
        with freezegun.freeze_time("2030-01-02"), pytest.raises(ExpiredToken):
            decode_token(token)


@pytest.mark.requirement("LIFE-4")
def test_time_machine_works(app: Flask) -> None:
    with app.app_context():
        with time_machine.travel(MOMENT, tick=False):
            token = create_access_token("alice")
            assert decode_token(token).issued_at == MOMENT
        later = MOMENT + timedelta(days=1)
        with time_machine.travel(later), pytest.raises(ExpiredToken):
            decode_token(token)


# The settings


def test_settings_can_be_others_for_a_while(make_app: MakeApp) -> None:
    app = make_app(PASETO_REALM="before")
    add_routes(app)
    client, before = app.test_client(), states_of(app)["default"]
    with app.app_context():
        token = create_access_token("alice")
    with override_settings(app, PASETO_TOKEN_LOCATIONS=["query"], OTHER=1):
        assert_refused(client.get("/protected"), MissingToken, realm="before")
        assert client.get(f"/protected?access_token={token}").status_code == 200
        assert app.config["OTHER"] == 1
    assert states_of(app)["default"] is before
    assert "PASETO_TOKEN_LOCATIONS" not in app.config
    assert "OTHER" not in app.config
    assert client.get("/protected", headers=bearer(token)).status_code == 200


def test_a_setting_can_be_taken_out(make_app: MakeApp) -> None:
    app = make_app(PASETO_REALM="before")
    add_routes(app)
    client = app.test_client()
    with override_settings(app, PASETO_REALM=UNSET, PASETO_NOT_THERE=UNSET):
        assert_refused(client.get("/protected"), MissingToken)
    assert_refused(client.get("/protected"), MissingToken, realm="before")


def test_other_keys_are_other_keys(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        token = create_access_token("alice")
        key = generate_key().to_paserk()
        other = override_settings(app, PASETO_SECRET_KEY=key)
        with other, pytest.raises(InvalidToken):
            decode_token(token)
        assert decode_token(token).subject == "alice"


def test_settings_keep_the_clock_and_the_callbacks(app: Flask, clock: Clock) -> None:
    before = states_of(app)["default"]
    with override_settings(app, PASETO_LEEWAY=0):
        state = states_of(app)["default"]
        assert state.clock is clock
        assert state.callbacks is before.callbacks
        assert state.codec is not before.codec


def test_wrong_settings_are_an_error_and_change_nothing(app: Flask) -> None:
    before, config = states_of(app)["default"], dict(app.config)
    wrong = override_settings(app, PASETO_LEEWAY="x", OTHER=1)
    with pytest.raises(ConfigurationError, match="PASETO_LEEWAY"), wrong:
        raise AssertionError("this does not run")
    assert states_of(app)["default"] is before
    assert dict(app.config) == config
    with pytest.raises(ZeroDivisionError), override_settings(app, PASETO_LEEWAY=1):
        _ = 1 / 0
    assert states_of(app)["default"] is before
    assert dict(app.config) == config


def test_both_need_a_manager() -> None:
    app = Flask("tests")
    with pytest.raises(ConfigurationError, match="no PasetoManager"), use_clock(app):
        raise AssertionError("this does not run")
    settings = override_settings(app, PASETO_LEEWAY=1)
    with pytest.raises(ConfigurationError, match="no PasetoManager"), settings:
        raise AssertionError("this does not run")


def test_a_setting_without_its_prefix_is_refused(app: Flask) -> None:
    wrong = override_settings(app, REALM="x", LEEWAY=5)
    with pytest.raises(ValueError, match=r"^LEEWAY, REALM: "), wrong:
        pass
