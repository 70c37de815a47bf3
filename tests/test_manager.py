"""What an app registers: once, with its settings read then, and its routes checked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_paseto import (
    ConfigurationError,
    MissingToken,
    PasetoError,
    PasetoManager,
    create_access_token,
    paseto_required,
    public,
)
from flask_paseto.state import states_of

from .conftest import SECRET_KEY, MakeApp
from .refusals import assert_refused, bearer


def new_app() -> Flask:
    app = Flask("tests")
    app.testing = True
    app.config["PASETO_SECRET_KEY"] = SECRET_KEY
    return app


@pytest.mark.parametrize("late", [False, True], ids=["with-app", "init-app"])
def test_a_manager_is_made_with_the_app_or_before(late: bool) -> None:
    app = new_app()
    if late:
        PasetoManager().init_app(app)
    else:
        PasetoManager(app)
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    assert list(states_of(app)) == ["default"]
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    assert app.test_client().get("/view", headers=headers).text == "x"
    assert_refused(app.test_client().get("/view"), MissingToken)


@pytest.mark.parametrize("same", [True, False], ids=["same", "another"])
def test_an_app_takes_one_manager(same: bool) -> None:
    app = new_app()
    paseto = PasetoManager(app)
    before, hooks = states_of(app)["default"], len(app.after_request_funcs[None])
    other = paseto if same else PasetoManager()
    with pytest.raises(ConfigurationError, match="has a PasetoManager already"):
        other.init_app(app)
    assert states_of(app)["default"] is before
    assert len(app.after_request_funcs[None]) == hooks


@pytest.mark.requirement("LIFE-2")
def test_all_faults_of_the_settings_are_in_one_message() -> None:
    app = new_app()
    app.config.update(
        PASETO_SECRET_KEY="secret",
        PASETO_ACCESS_TOKEN_EXPIRES=0,
        PASETO_LEEWAY="x",
        PASETO_TOKEN_LOCATIONS=["header"],
    )
    with pytest.raises(ConfigurationError) as caught:
        PasetoManager(app)
    for name in ("SECRET_KEY", "ACCESS_TOKEN_EXPIRES", "LEEWAY", "TOKEN_LOCATIONS"):
        assert f"PASETO_{name}" in str(caught.value)
    # Nothing was registered, so the app can be set up again.
    assert None not in app.after_request_funcs
    app.config.update(new_app().config)
    for name in ("ACCESS_TOKEN_EXPIRES", "LEEWAY", "TOKEN_LOCATIONS"):
        del app.config[f"PASETO_{name}"]
    PasetoManager(app)
    assert "default" in states_of(app)


def test_a_changed_setting_is_an_error_while_testing(
    client: FlaskClient, app: Flask
) -> None:
    app.config["PASETO_LEEWAY"] = 20
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"PASETO_LEEWAY changed after.*"):
            client.get("/protected")
    del app.config["PASETO_LEEWAY"]
    app.config["PASETO_NEW"] = 1
    app.config["UNRELATED"] = 1
    with pytest.raises(ConfigurationError, match=r"PASETO_NEW .*override_settings"):
        client.get("/protected")
    del app.config["PASETO_NEW"]
    assert_refused(client.get("/protected"), MissingToken)


@pytest.mark.parametrize("mode", ["TESTING", "DEBUG"])
def test_a_setting_changed_in_place_is_seen(make_app: MakeApp, mode: str) -> None:
    config: dict[str, Any] = {"TESTING": False, mode: True}
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers"], **config)
    app.config["PASETO_TOKEN_LOCATIONS"].append("query")
    with (
        app.app_context(),
        pytest.raises(ConfigurationError, match="PASETO_TOKEN_LOCATIONS"),
    ):
        create_access_token("alice")


def test_a_changed_setting_does_nothing_in_production(make_app: MakeApp) -> None:
    app = make_app(TESTING=False)
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    app.config["PASETO_TOKEN_LOCATIONS"] = ["query"]
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    assert app.test_client().get("/view", headers=headers).text == "x"


def test_a_handler_that_is_there_is_not_displaced() -> None:
    app = new_app()
    app.register_error_handler(PasetoError, lambda fault: ("mine", 401))
    PasetoManager(app)
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    response = app.test_client().get("/view")
    assert response.text == "mine"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="tests"'


@pytest.mark.parametrize(
    "setting", ["TRAP_HTTP_EXCEPTIONS", "TRAP_BAD_REQUEST_ERRORS", "DEBUG"]
)
def test_traps_and_debug_change_no_answer(make_app: MakeApp, setting: str) -> None:
    app = make_app(**{setting: True})
    app.add_url_rule("/view", "view", paseto_required(lambda: "x"))
    client = app.test_client()
    assert_refused(client.get("/view"), MissingToken)
    assert client.get("/view", headers=bearer("a b")).status_code == 400


def test_routes_are_looked_at_once() -> None:
    app = new_app()
    app.before_request(lambda: None)
    PasetoManager(app)
    app.add_url_rule("/view", "view", public(lambda: "x"))
    assert len(app.before_request_funcs[None]) == 2
    for _ in range(2):
        assert app.test_client().get("/view").text == "x"
    assert len(app.before_request_funcs[None]) == 1


def test_the_old_package_of_nearly_this_name_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PasetoManager(new_app())
    info = tmp_path / "flask_paseto-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: flask-paseto\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(UserWarning, match="flask-paseto is installed too") as caught:
        PasetoManager().init_app(new_app())
    assert len(caught) == 1


def test_the_extension_adds_no_route_and_no_command() -> None:
    bare, app = Flask("tests"), new_app()
    PasetoManager(app)
    assert set(app.view_functions) == set(bare.view_functions)
    assert set(app.cli.commands) == set(bare.cli.commands)


@pytest.mark.requirement("KEY-6")
def test_no_repr_shows_a_key() -> None:
    app = new_app()
    paseto = PasetoManager(app)
    told = f"{paseto!r} {app.extensions!r} {states_of(app)['default']!r}"
    assert SECRET_KEY not in told
    assert SECRET_KEY[9:] not in told


@pytest.mark.parametrize("given", ["app", 5, []], ids=repr)
def test_what_is_no_app_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="Flask app"):
        PasetoManager(given)
    with pytest.raises(TypeError, match="Flask app"):
        PasetoManager().protect(given)


@pytest.mark.parametrize(
    "name",
    [
        "user_lookup_loader",
        "subject_loader",
        "additional_claims_loader",
        "claims_verification_loader",
        "token_in_denylist_loader",
        "implicit_assertion_loader",
    ],
)
@pytest.mark.parametrize("given", [None, 5, True], ids=repr)
def test_a_loader_is_a_function(name: str, given: Any) -> None:
    """None would take an earlier callback away, and with it what it checks."""
    with pytest.raises(TypeError, match="loader must be a function"):
        getattr(PasetoManager(), name)(given)
