"""One answer in every framework on Flask, and your handlers win."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask.views import MethodView

from flask_paseto import (
    AccessTokenRequired,
    Claims,
    ClaimsRejected,
    FreshTokenRequired,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoError,
    PasetoManager,
    ReauthenticationRequired,
    RevokedToken,
    StoreUnavailable,
    UserNotFound,
    create_access_token,
    create_refresh_token,
    get_subject,
    paseto_required,
    refresh_token_required,
)
from flask_paseto.errors import StoreFault

from .conftest import SECRET_KEY, MakeApp
from .refusals import assert_refused, bearer

with warnings.catch_warnings():
    # What they warn of when they are imported is theirs.
    warnings.simplefilter("ignore")
    import apiflask
    import flask_restful  # type: ignore[import-untyped]
    import flask_restx  # type: ignore[import-untyped]
    import flask_smorest  # type: ignore[import-untyped]

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]
AddView = Callable[[str, Guard, Callable[[], Any]], None]


def plain() -> tuple[Flask, AddView]:
    app = Flask("tests")

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        app.add_url_rule(path, path, guard(lambda: work()))

    return app, add


def restful() -> tuple[Flask, AddView]:
    app = Flask("tests")
    api = flask_restful.Api(app)

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        class Item(flask_restful.Resource):  # type: ignore[misc]
            method_decorators = (guard,)

            def get(self) -> Any:
                return work()

        api.add_resource(Item, path, endpoint=path)

    return app, add


def restful_late() -> tuple[Flask, AddView]:
    """The extension is there before the manager; its routes come as they do."""
    app = Flask("tests")
    api = flask_restful.Api()

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        class Item(flask_restful.Resource):  # type: ignore[misc]
            @guard
            def get(self) -> Any:
                return work()

        api.add_resource(Item, path, endpoint=path)
        if api.app is None:
            api.app = app
            api.init_app(app)

    return app, add


def restx() -> tuple[Flask, AddView]:
    app = Flask("tests")
    api = flask_restx.Api(app, doc=False)

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        class Item(flask_restx.Resource):  # type: ignore[misc]
            method_decorators = (guard,)

            def get(self) -> Any:
                return work()

        api.add_resource(Item, path, endpoint=path.strip("/"))

    return app, add


def smorest() -> tuple[Flask, AddView]:
    app = Flask("tests")
    app.config.update(API_TITLE="x", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    api = flask_smorest.Api(app)

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        blueprint = flask_smorest.Blueprint(path.strip("/"), __name__)

        @blueprint.route(path)
        class Item(MethodView):
            decorators = [guard]  # noqa: RUF012

            @blueprint.response(200)  # type: ignore[untyped-decorator]
            def get(self) -> Any:
                return work()

        api.register_blueprint(blueprint)

    return app, add


def api_flask() -> tuple[Flask, AddView]:
    app = apiflask.APIFlask("tests")

    def add(path: str, guard: Guard, work: Callable[[], Any]) -> None:
        @app.get(path, endpoint=path.strip("/"))
        @guard
        def view() -> Any:
            return work()

    return app, add


FRAMEWORKS = {
    "plain": plain,
    "restful": restful,
    "restful-late": restful_late,
    "restx": restx,
    "smorest": smorest,
    "apiflask": api_flask,
}
#: Those where the error handlers of the app are asked first.
USUAL = ("plain", "smorest", "apiflask")


def nothing(view: Callable[..., Any]) -> Callable[..., Any]:
    return view


def who() -> dict[str, Any]:
    return {"user": get_subject()}


def build(
    framework: str, before: Callable[[Flask], object] = lambda app: None
) -> tuple[FlaskClient, PasetoManager]:
    """Return a client of an app as it is in production, with nothing configured."""
    app, add = FRAMEWORKS[framework]()
    app.config["PASETO_SECRET_KEY"] = SECRET_KEY
    assert app.debug is app.testing is False
    assert app.config["PROPAGATE_EXCEPTIONS"] is None
    before(app)
    paseto = PasetoManager(app)

    def refuse(refusal: Exception) -> Callable[[], Any]:
        def work() -> Any:
            raise refusal

        return work

    add("/who", paseto_required, who)
    add("/fresh", paseto_required(fresh=True), who)
    add("/recent", paseto_required(max_age=60), who)
    add("/scoped", paseto_required(scopes="b a"), who)
    add("/refresh", refresh_token_required, who)
    for name, guard in (("guarded", paseto_required), ("open", nothing)):
        add(f"/{name}-fresh", guard, refuse(FreshTokenRequired()))
        add(f"/{name}-scope", guard, refuse(InsufficientScope(scopes=["x"])))
        add(f"/{name}-missing", guard, refuse(MissingToken()))
        add(f"/{name}-store", guard, refuse(StoreUnavailable()))
        add(f"/{name}-fault", guard, refuse(StoreFault("it is not there")))
    return app.test_client(), paseto


CASES: dict[str, tuple[str, str | None, type[PasetoError]]] = {
    "missing": ("/who", None, MissingToken),
    "basic": ("/who", "Basic dXNlcjpwYXNz", MissingToken),
    "two": ("/who", "Bearer {access}, Bearer {access}", InvalidRequest),
    "invalid": ("/who", "Bearer x", InvalidToken),
    "type": ("/who", "Bearer {refresh}", AccessTokenRequired),
    "fresh": ("/fresh", "Bearer {access}", FreshTokenRequired),
    "recent": ("/recent", "Bearer {access}", ReauthenticationRequired),
    "scope": ("/scoped", "Bearer {access}", InsufficientScope),
    "revoked": ("/who", "Bearer {revoked}", RevokedToken),
    "rejected": ("/who", "Bearer {rejected}", ClaimsRejected),
    "gone": ("/who", "Bearer {gone}", UserNotFound),
    "outage": ("/who", "Bearer {outage}", StoreUnavailable),
    "view-fresh": ("/guarded-fresh", "Bearer {access}", FreshTokenRequired),
    "view-scope": ("/guarded-scope", "Bearer {access}", InsufficientScope),
    "view-missing": ("/guarded-missing", "Bearer {access}", MissingToken),
    "view-store": ("/guarded-store", "Bearer {access}", StoreUnavailable),
    "view-fault": ("/guarded-fault", "Bearer {access}", StoreUnavailable),
    "open-fresh": ("/open-fresh", None, FreshTokenRequired),
    "open-scope": ("/open-scope", None, InsufficientScope),
    "open-missing": ("/open-missing", None, MissingToken),
    "open-store": ("/open-store", None, StoreUnavailable),
    "open-fault": ("/open-fault", None, StoreUnavailable),
}


def header_of(client: FlaskClient, value: str | None) -> dict[str, str]:
    if value is None:
        return {}
    with client.application.app_context():
        tokens = {
            "access": create_access_token("alice"),
            "refresh": create_refresh_token("alice"),
        }
        for name in ("revoked", "rejected", "gone", "outage"):
            tokens[name] = create_access_token(name)
    return {"Authorization": value.format(**tokens)}


def add_callbacks(paseto: PasetoManager) -> None:
    @paseto.token_in_denylist_loader
    def revoked(claims: Claims) -> bool:
        if claims.subject == "outage":
            raise StoreUnavailable
        return claims.subject == "revoked"

    paseto.claims_verification_loader(lambda claims: claims.subject != "rejected")
    paseto.user_lookup_loader(lambda claims: {"gone": None}.get(claims.subject, 1))


frameworks = pytest.mark.parametrize("framework", FRAMEWORKS)
cases = pytest.mark.parametrize("case", CASES)


@frameworks
def test_a_token_passes(framework: str) -> None:
    client, _ = build(framework)
    headers = header_of(client, "Bearer {access}")
    response = client.get("/who", headers=headers)
    assert response.status_code == 200
    assert response.json == {"user": "alice"}


@pytest.mark.requirement("ANS-1")
@frameworks
@cases
def test_a_refusal_is_the_same_in_every_framework(framework: str, case: str) -> None:
    path, value, refusal = CASES[case]
    answers = []
    for name in ("plain", framework):
        client, paseto = build(name)
        add_callbacks(paseto)
        response = client.get(path, headers=header_of(client, value))
        assert_refused(response, refusal)
        answers.append(
            (
                response.status,
                response.json,
                response.mimetype,
                response.headers.getlist("WWW-Authenticate"),
                response.headers.get("Retry-After"),
            )
        )
    assert answers[0] == answers[1]


@pytest.mark.requirement("ANS-1")
@pytest.mark.parametrize("framework", USUAL)
@cases
@pytest.mark.parametrize("kind", ["base", "subclass", "status"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_handler_of_yours_wins_and_the_challenge_is_there(
    framework: str, case: str, kind: str, order: str
) -> None:
    path, value, refusal = CASES[case]

    def register(app: Flask) -> None:
        key = {"base": PasetoError, "subclass": refusal, "status": refusal.code}[kind]
        app.register_error_handler(key, mine)  # type: ignore[arg-type]

    def mine(fault: PasetoError) -> tuple[dict[str, str], int]:
        return {"detail": fault.message}, fault.status_code

    ignore = (lambda app: None) if order == "after" else register
    client, paseto = build(framework, ignore)
    if order == "after":
        register(client.application)
    add_callbacks(paseto)
    response = client.get(path, headers=header_of(client, value))
    assert response.status_code == refusal.code
    assert response.json == {"detail": refusal().message}
    challenges = response.headers.getlist("WWW-Authenticate")
    other, paseto = build("plain")
    add_callbacks(paseto)
    default = other.get(path, headers=header_of(other, value))
    assert challenges == default.headers.getlist("WWW-Authenticate")
    assert response.headers.get("Retry-After") == default.headers.get("Retry-After")


@pytest.mark.requirement("ANS-1")
@pytest.mark.parametrize("case", ["fresh", "scope", "view-fresh", "outage"])
def test_a_handler_of_a_restx_api_wins_and_the_challenge_is_there(case: str) -> None:
    path, value, refusal = CASES[case]
    app = Flask("tests")
    app.config["PASETO_SECRET_KEY"] = SECRET_KEY
    api = flask_restx.Api(app, doc=False)
    paseto = PasetoManager(app)
    add_callbacks(paseto)

    @api.errorhandler(PasetoError)  # type: ignore[untyped-decorator]
    def mine(fault: PasetoError) -> tuple[dict[str, str], int]:
        # Flask-RESTX takes the body from `data`, where an exception has it.
        fault.data = {"detail": fault.message}
        return fault.data, fault.status_code

    def get(self: Any) -> Any:
        raise FreshTokenRequired

    guards = {
        "/who": paseto_required,
        "/fresh": paseto_required(fresh=True),
        "/scoped": paseto_required(scopes="b a"),
        "/guarded-fresh": paseto_required,
    }
    members = {"get": get, "method_decorators": (guards[path],)}
    api.add_resource(type("Item", (flask_restx.Resource,), members), path)
    client = app.test_client()
    response = client.get(path, headers=header_of(client, value))
    assert response.status_code == refusal.code
    assert response.json is not None
    assert response.json["detail"] == refusal().message
    challenges = response.headers.getlist("WWW-Authenticate")
    assert len(challenges) == (refusal.challenge_error is not None)
    assert response.headers.get("Retry-After") == ("1" if case == "outage" else None)


@pytest.mark.parametrize("framework", USUAL)
@cases
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_handler_for_all_http_exceptions_does_not_win(
    framework: str, case: str, order: str
) -> None:
    from werkzeug.exceptions import HTTPException

    path, value, refusal = CASES[case]

    def register(app: Flask) -> None:
        for kind in (HTTPException, Exception):
            app.register_error_handler(kind, lambda fault: ("mine", 418))

    client, paseto = build(framework, register if order == "before" else nothing)
    if order == "after":
        register(client.application)
    add_callbacks(paseto)
    response = client.get(path, headers=header_of(client, value))
    assert_refused(response, refusal)
    assert client.get("/nowhere").status_code == 418


def test_a_handler_of_a_blueprint_wins(make_app: MakeApp) -> None:
    from flask import Blueprint

    app, blueprint = make_app(), Blueprint("api", __name__)

    @blueprint.errorhandler(PasetoError)
    def mine(fault: PasetoError) -> tuple[str, int]:
        return "mine", fault.status_code

    blueprint.add_url_rule("/view", "view", paseto_required(who))
    app.register_blueprint(blueprint)
    response = app.test_client().get("/view")
    assert (response.text, response.status_code) == ("mine", 401)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="tests"'


@pytest.mark.requirement("ANS-1")
def test_a_challenge_of_yours_stays_alone_or_beside_ours(make_app: MakeApp) -> None:
    app = make_app()
    app.add_url_rule("/view", "view", paseto_required(who))
    given: list[str] = []

    @app.errorhandler(401)
    def mine(fault: PasetoError) -> tuple[str, int, dict[str, str]]:
        return "mine", 401, {"WWW-Authenticate": given[-1]}

    client = app.test_client()
    given.append('Bearer realm="mine"')
    assert client.get("/view").headers.getlist("WWW-Authenticate") == given
    given.append('Basic realm="mine"')
    assert client.get("/view").headers.getlist("WWW-Authenticate") == [
        'Basic realm="mine"',
        'Bearer realm="tests"',
    ]


@pytest.mark.parametrize("answer", [("", 302, {"Location": "/login"}), ("hello", 200)])
def test_a_handler_that_answers_something_else_gets_no_challenge(
    make_app: MakeApp, answer: tuple[Any, ...]
) -> None:
    app = make_app()
    app.add_url_rule("/view", "view", paseto_required(who))
    app.register_error_handler(PasetoError, lambda fault: answer)
    response = app.test_client().get("/view")
    assert response.status_code == answer[1]
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.requirement("ANS-1")
def test_a_handler_that_makes_a_401_of_anything_gets_a_challenge(
    make_app: MakeApp,
) -> None:
    app = make_app()
    for refusal in (
        ClaimsRejected,
        InsufficientScope,
        StoreUnavailable,
        InvalidRequest,
    ):

        def view(refusal: type[PasetoError] = refusal) -> str:
            raise refusal

        app.add_url_rule(f"/{refusal.error_code}", refusal.error_code, view)
    app.register_error_handler(PasetoError, lambda fault: ("mine", 401))
    client = app.test_client()
    for refusal in (
        ClaimsRejected,
        InsufficientScope,
        StoreUnavailable,
        InvalidRequest,
    ):
        response = client.get(f"/{refusal.error_code}")
        assert response.status_code == 401
        (challenge,) = response.headers.getlist("WWW-Authenticate")
        assert challenge.startswith('Bearer realm="tests"')


@frameworks
def test_other_errors_are_left_alone(framework: str) -> None:
    app, add = FRAMEWORKS[framework]()
    app.config["PASETO_SECRET_KEY"] = SECRET_KEY
    PasetoManager(app)

    def broken() -> None:
        raise ValueError("a bug")

    add("/broken", paseto_required, broken)
    client = app.test_client()
    response = client.get("/broken", headers=header_of(client, "Bearer {access}"))
    assert response.status_code == 500
    assert "WWW-Authenticate" not in response.headers


def test_bearer_is_what_the_tests_send() -> None:
    assert bearer("x") == {"Authorization": "Bearer x"}
