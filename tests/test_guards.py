"""Guards on views: how they are written, what they ask for, what runs under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from typing import Any

import pytest
from flask import Blueprint, Flask, g, request
from flask.testing import FlaskClient
from flask.views import MethodView, View

from flask_paseto import (
    AccessTokenRequired,
    Claims,
    ConfigurationError,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidClaims,
    InvalidToken,
    MissingToken,
    PasetoError,
    PasetoManager,
    Place,
    ReauthenticationRequired,
    RefreshTokenRequired,
    RevokedToken,
    WrongTokenType,
    create_access_token,
    create_refresh_token,
    create_token,
    decode_token,
    get_identity,
    get_jti,
    get_subject,
    paseto_required,
    public,
    refresh_token_required,
    verify_paseto_in_request,
)
from flask_paseto.keys import generate_key, public_half
from flask_paseto.testing import Clock, use_clock

from .conftest import SECRET_KEY, MakeApp
from .refusals import assert_refused, bearer

PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}


def tokens_of(app: Flask, subject: str = "alice") -> tuple[str, str, str]:
    """Return an access token, a refresh token and one of a type of ours."""
    with app.app_context():
        return (
            create_access_token(subject),
            create_refresh_token(subject),
            create_token(subject, "ticket"),
        )


def serve(app: Flask, guard: Callable[..., Any], **rule: Any) -> FlaskClient:
    """Return a client of an app with one view under this guard."""

    @app.route("/view", **rule)
    @guard
    def view() -> dict[str, str | None]:
        return {"user": get_subject()}

    return app.test_client()


# How a guard is written


@pytest.mark.parametrize(
    "guard",
    [paseto_required, paseto_required(), paseto_required(optional=False)],
    ids=["bare", "called", "options"],
)
def test_a_guard_takes_access_tokens_only(
    make_app: MakeApp, guard: Callable[..., Any]
) -> None:
    app = make_app()
    client = serve(app, guard)
    access, refresh, ticket = tokens_of(app)
    assert client.get("/view", headers=bearer(access)).json == {"user": "alice"}
    assert_refused(client.get("/view"), MissingToken)
    assert_refused(client.get("/view", headers=bearer(refresh)), AccessTokenRequired)
    assert_refused(client.get("/view", headers=bearer(ticket)), AccessTokenRequired)


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize(
    "guard",
    [
        refresh_token_required,
        refresh_token_required(),
        refresh_token_required(optional=True),
        paseto_required(type="refresh"),
    ],
    ids=["bare", "called", "options", "type"],
)
def test_a_refresh_guard_takes_refresh_tokens_only(
    make_app: MakeApp, guard: Callable[..., Any]
) -> None:
    app = make_app()
    client = serve(app, guard)
    access, refresh, ticket = tokens_of(app)
    assert client.get("/view", headers=bearer(refresh)).json == {"user": "alice"}
    assert_refused(client.get("/view", headers=bearer(access)), RefreshTokenRequired)
    assert_refused(client.get("/view", headers=bearer(ticket)), RefreshTokenRequired)


@pytest.mark.requirement("CLM-1")
def test_accepted_types_are_an_allow_list(make_app: MakeApp) -> None:
    app = make_app()
    client = serve(app, paseto_required(type=("access", "ticket")))
    access, refresh, ticket = tokens_of(app)
    assert client.get("/view", headers=bearer(access)).status_code == 200
    assert client.get("/view", headers=bearer(ticket)).status_code == 200
    assert_refused(client.get("/view", headers=bearer(refresh)), WrongTokenType)


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize("name", ["Ticket", "ticke", "ticket2", "access"])
def test_the_type_is_compared_by_equality(make_app: MakeApp, name: str) -> None:
    app = make_app()
    client = serve(app, paseto_required(type="ticket"))
    with app.app_context():
        if name == "access":
            token = create_access_token("alice")
        else:
            token = create_token("alice", name)
    assert_refused(client.get("/view", headers=bearer(token)), WrongTokenType)


def test_a_guard_keeps_the_name_and_the_text_of_its_view() -> None:
    @paseto_required
    def view() -> str:
        """Say hello."""
        return "hello"

    assert view.__name__ == "view"
    assert view.__doc__ == "Say hello."


def test_a_guard_passes_arguments_and_gives_back_what_the_view_gives(
    make_app: MakeApp,
) -> None:
    app = make_app()

    @app.get("/<int:number>")
    @paseto_required
    def view(number: int, *, extra: str = "x") -> tuple[dict[str, Any], int]:
        return {"number": number, "extra": extra}, 201

    headers = bearer(tokens_of(app)[0])
    response = app.test_client().get("/7", headers=headers)
    assert response.status_code == 201
    assert response.json == {"number": 7, "extra": "x"}


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"frsh": True}, TypeError, "frsh"),
        ({"fresh": 1}, TypeError, "fresh"),
        ({"fresh": None}, TypeError, "fresh"),
        ({"optional": "yes"}, TypeError, "optional"),
        ({"check_revoked": None}, TypeError, "check_revoked"),
        ({"max_age": 0}, ValueError, "max_age"),
        ({"max_age": -1}, ValueError, "max_age"),
        ({"max_age": 1.5}, TypeError, "max_age"),
        ({"max_age": True}, TypeError, "max_age"),
        ({"max_age": 10**30}, ValueError, "max_age"),
        ({"type": ""}, ValueError, "type"),
        ({"type": None}, TypeError, "type"),
        ({"type": ()}, ValueError, "type"),
        ({"type": 5}, TypeError, "type"),
        ({"type": ("access", 5)}, TypeError, "type"),
        ({"type": "an access"}, ValueError, "type"),
        ({"scopes": ""}, ValueError, "scopes"),
        ({"scopes": []}, ValueError, "scopes"),
        ({"scopes": ["a b"]}, ValueError, "scopes"),
        ({"scopes": [5]}, ValueError, "scopes"),
        ({"scopes": 5}, TypeError, "scopes"),
        ({"locations": ()}, ValueError, "locations"),
        ({"locations": "header"}, ValueError, "locations"),
        ({"locations": "argument"}, ValueError, "locations"),
        ({"locations": ("json", "json")}, ValueError, "locations"),
        ({"locations": 5}, TypeError, "locations"),
        ({"header_name": ""}, ValueError, "header_name"),
        ({"header_name": "X_Token"}, ValueError, "header_name"),
        ({"header_name": "a b"}, ValueError, "header_name"),
        ({"header_name": 5}, TypeError, "header_name"),
        ({"header_type": "a b"}, ValueError, "header_type"),
        ({"header_type": 5}, TypeError, "header_type"),
        ({"json_key": ""}, ValueError, "json_key"),
        ({"json_key": 5}, TypeError, "json_key"),
        ({"query_key": ""}, ValueError, "query_key"),
        ({"form_key": 5}, TypeError, "form_key"),
        ({"audience": ()}, ValueError, "audience"),
        ({"audience": [""]}, ValueError, "audience"),
        ({"audience": 5}, TypeError, "audience"),
        ({"implicit_assertion": 5}, TypeError, "implicit_assertion"),
    ],
    ids=str,
)
@pytest.mark.parametrize("guard", [paseto_required, refresh_token_required])
def test_a_wrong_option_is_an_error_where_it_is_written(
    guard: Callable[..., Any],
    options: dict[str, Any],
    error: type[Exception],
    word: str,
) -> None:
    if guard is refresh_token_required and "type" in options:
        word = "refresh_token_required has no option type"
        error = TypeError
    with pytest.raises(error, match=word):
        guard(**options)


def test_an_option_that_is_none_is_as_if_it_was_not_there(make_app: MakeApp) -> None:
    app = make_app()
    guard = paseto_required(
        max_age=None,
        scopes=None,
        locations=None,
        header_name=None,
        header_type=None,
        json_key=None,
        query_key=None,
        form_key=None,
        audience=None,
        implicit_assertion=None,
    )
    client, headers = serve(app, guard), bearer(tokens_of(app)[0])
    assert client.get("/view", headers=headers).json == {"user": "alice"}


@pytest.mark.parametrize("guard", [paseto_required, refresh_token_required])
@pytest.mark.parametrize("wrong", ["access", 5, True], ids=repr)
def test_an_option_without_its_name_is_an_error(
    guard: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(TypeError, match="options are keywords"):
        guard(wrong)


@pytest.mark.parametrize(
    "guard", [paseto_required, paseto_required(fresh=True), refresh_token_required]
)
def test_a_guard_on_a_class_is_an_error(guard: Callable[..., Any]) -> None:
    class Api(MethodView):
        pass

    with pytest.raises(TypeError, match=r"class Api: .*decorators = \["):
        guard(Api)


def test_a_guard_takes_a_view_without_attributes(make_app: MakeApp) -> None:
    class Api:
        __slots__ = ()

        def view(self) -> str:
            return "x"

    app = make_app()
    app.add_url_rule("/view", "view", paseto_required(Api().view))
    app.add_url_rule("/part", "part", paseto_required(partial(lambda x: x, "x")))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    for path in ("/view", "/part"):
        assert client.get(path, headers=headers).text == "x"
        assert_refused(client.get(path), MissingToken)


def test_an_app_without_a_manager_says_so() -> None:
    app = Flask("tests")
    app.testing = True
    client = serve(app, paseto_required)
    with pytest.raises(ConfigurationError, match="init_app"):
        client.get("/view")


# A guard above the route


@pytest.mark.parametrize(
    "guard", [paseto_required, paseto_required(fresh=True), refresh_token_required]
)
def test_a_guard_above_the_route_stops_the_app(
    make_app: MakeApp, guard: Callable[..., Any]
) -> None:
    app = make_app()

    @guard
    @app.get("/open")
    def account() -> str:
        return "x"

    serve(app, paseto_required)
    client = app.test_client()
    for path in ("/open", "/view", "/nowhere"):
        with pytest.raises(ConfigurationError, match="account stands above the route"):
            client.get(path)


def test_a_guard_above_the_route_stops_the_app_in_production_too(
    make_app: MakeApp,
) -> None:
    app = make_app(TESTING=False)

    @paseto_required
    @app.get("/open")
    def account() -> str:
        return "x"

    client = app.test_client()
    for _ in range(2):
        assert client.get("/open").status_code == 500


def test_a_guard_above_the_route_of_a_blueprint_stops_the_app(
    make_app: MakeApp,
) -> None:
    app, blueprint = make_app(), Blueprint("api", __name__)

    @paseto_required
    @blueprint.get("/open")
    def account() -> str:
        return "x"

    app.register_blueprint(blueprint)
    with pytest.raises(ConfigurationError, match=r"api\.account"):
        app.test_client().get("/open")


def test_a_guard_above_another_decorator_above_the_route_stops_the_app(
    make_app: MakeApp,
) -> None:
    app = make_app()

    def logged(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return run

    @paseto_required
    @logged
    @app.get("/open")
    def account() -> str:
        return "x"

    with pytest.raises(ConfigurationError, match="account"):
        app.test_client().get("/open")


def test_decorators_around_a_guard_under_the_route_are_fine(
    make_app: MakeApp,
) -> None:
    app = make_app()

    def logged(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return run

    @app.get("/view")
    @logged
    @paseto_required
    @logged
    def account() -> dict[str, str | None]:
        return {"user": get_subject()}

    client = app.test_client()
    assert_refused(client.get("/view"), MissingToken)
    headers = bearer(tokens_of(app)[0])
    assert client.get("/view", headers=headers).json == {"user": "alice"}


def test_one_view_may_stand_under_two_guards(make_app: MakeApp) -> None:
    app = make_app()

    def view() -> str:
        return "x"

    app.add_url_rule("/a", "a", paseto_required(view))
    app.add_url_rule("/b", "b", paseto_required(fresh=True)(view))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/a", headers=headers).text == "x"
    assert_refused(client.get("/b", headers=headers), FreshTokenRequired)


def test_a_public_view_may_be_guarded_elsewhere(make_app: MakeApp) -> None:
    app = make_app()

    @paseto_required
    @public
    @app.get("/open")
    def account() -> str:
        return "x"

    assert app.test_client().get("/open").text == "x"


def test_the_strictest_of_stacked_guards_counts(make_app: MakeApp) -> None:
    app = make_app()
    client = serve(app, lambda view: paseto_required(paseto_required(fresh=True)(view)))
    access = tokens_of(app)[0]
    assert_refused(client.get("/view", headers=bearer(access)), FreshTokenRequired)
    with app.app_context():
        fresh = create_access_token("alice", fresh=True)
    assert client.get("/view", headers=bearer(fresh)).status_code == 200


# Async views


@pytest.mark.parametrize(
    "guard", [paseto_required, paseto_required(), refresh_token_required]
)
def test_an_async_view_is_guarded(make_app: MakeApp, guard: Callable[..., Any]) -> None:
    app = make_app()

    @app.get("/view")
    @guard
    async def view() -> dict[str, str | None]:
        await asyncio.sleep(0)
        return {"user": get_subject()}

    access, refresh, _ = tokens_of(app)
    token = refresh if guard is refresh_token_required else access
    client = app.test_client()
    assert client.get("/view", headers=bearer(token)).json == {"user": "alice"}
    assert_refused(client.get("/view"), MissingToken)


def test_an_async_view_may_refuse_itself(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/view")
    @paseto_required
    async def view() -> str:
        await asyncio.sleep(0)
        raise InsufficientScope(scopes=["admin"])

    response = app.test_client().get("/view", headers=bearer(tokens_of(app)[0]))
    assert assert_refused(response, InsufficientScope)["scope"] == "admin"


def test_a_guard_works_while_a_loop_runs(client: FlaskClient, issue: Any) -> None:
    async def work() -> Any:
        return client.get("/protected", headers=bearer(issue()))

    assert asyncio.run(work()).json == {"user": "alice"}


# OPTIONS


@pytest.mark.requirement("LOC-2")
@pytest.mark.parametrize("headers", [{}, PREFLIGHT], ids=["plain", "preflight"])
def test_the_automatic_answer_to_options_needs_no_token(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    response = client.options("/protected", headers=headers)
    assert response.status_code == 200
    assert response.allow.as_set() == {"get", "head", "options"}
    assert response.data == b""
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.requirement("LOC-2")
def test_a_preflight_does_not_run_a_view_that_handles_options(
    make_app: MakeApp,
) -> None:
    app, ran = make_app(), []

    @app.route("/own", methods=["POST", "OPTIONS"])
    @paseto_required
    def own() -> str:
        ran.append(request.method)
        return "own"

    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    preflight = client.options("/own", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.allow.as_set() == {"post", "options"}
    assert client.options("/own", headers={**PREFLIGHT, **headers}).text == ""
    assert ran == []
    assert_refused(client.post("/own", headers=PREFLIGHT), MissingToken)


@pytest.mark.requirement("LOC-2")
@pytest.mark.parametrize(
    "half",
    [{}, {"Origin": "https://a.example"}, {"Access-Control-Request-Method": "POST"}],
    ids=["none", "origin", "method"],
)
def test_a_view_that_handles_options_itself_is_guarded(
    make_app: MakeApp, half: dict[str, str]
) -> None:
    app = make_app()
    client = serve(app, paseto_required, methods=["GET", "OPTIONS"])
    assert_refused(client.options("/view", headers=half), MissingToken)
    headers = {**bearer(tokens_of(app)[0]), **half}
    assert client.options("/view", headers=headers).json == {"user": "alice"}


@pytest.mark.requirement("LOC-2")
@pytest.mark.parametrize("headers", [{}, PREFLIGHT], ids=["plain", "preflight"])
def test_options_of_a_class_based_view(
    make_app: MakeApp, headers: dict[str, str]
) -> None:
    class Api(MethodView):
        decorators = [paseto_required]  # noqa: RUF012

        def get(self) -> str:
            return "get"

    app = make_app()
    app.add_url_rule("/api", view_func=Api.as_view("api"))
    response = app.test_client().options("/api", headers=headers)
    assert response.status_code == 200
    assert "get" in response.allow


# Class-based views


def test_a_class_based_view_is_guarded_by_its_decorators(make_app: MakeApp) -> None:
    class Api(MethodView):
        decorators = [paseto_required]  # noqa: RUF012

        def get(self) -> str:
            return f"get {get_subject()}"

        async def post(self) -> str:
            return f"post {get_subject()}"

    class One(View):
        decorators = [paseto_required(fresh=True)]  # noqa: RUF012

        def dispatch_request(self) -> str:
            return "one"

    app = make_app()
    app.add_url_rule("/api", view_func=Api.as_view("api"))
    app.add_url_rule("/one", view_func=One.as_view("one"))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/api", headers=headers).text == "get alice"
    assert client.post("/api", headers=headers).text == "post alice"
    assert_refused(client.get("/api"), MissingToken)
    assert_refused(client.post("/api"), MissingToken)
    assert_refused(client.get("/one", headers=headers), FreshTokenRequired)


def test_a_method_of_a_class_based_view_can_have_its_own_guard(
    make_app: MakeApp,
) -> None:
    class Api(MethodView):
        def get(self) -> str:
            return "open"

        @paseto_required
        def post(self) -> str:
            return f"post {get_subject()}"

        @paseto_required
        async def put(self) -> str:
            return f"put {get_subject()}"

    app = make_app()
    app.add_url_rule("/api", view_func=Api.as_view("api"))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/api").text == "open"
    assert_refused(client.post("/api"), MissingToken)
    assert_refused(client.put("/api"), MissingToken)
    assert client.post("/api", headers=headers).text == "post alice"
    assert client.put("/api", headers=headers).text == "put alice"


# What a view can ask for


def test_a_token_can_be_handed_over(make_app: MakeApp) -> None:
    app = make_app()
    access, refresh, _ = tokens_of(app)

    @app.get("/callable")
    @paseto_required(token=lambda: request.args.get("t"))
    def by_callable() -> dict[str, str | None]:
        identity = get_identity()
        assert identity is not None
        assert identity.place is Place.ARGUMENT
        return {"user": get_subject()}

    client = app.test_client()
    assert client.get("/callable", query_string={"t": access}).json == {"user": "alice"}
    assert_refused(client.get("/callable", headers=bearer(access)), MissingToken)
    assert_refused(client.get("/callable?t="), MissingToken)
    assert_refused(client.get("/callable?t=x"), InvalidToken)
    wrong = client.get("/callable", query_string={"t": refresh})
    assert_refused(wrong, AccessTokenRequired)


@pytest.mark.parametrize("given", [5, ["x"], {}, b"x", True], ids=repr)
def test_a_handed_token_that_is_no_text_is_refused(
    make_app: MakeApp, given: Any
) -> None:
    client = serve(make_app(), paseto_required(token=lambda: given))
    assert_refused(client.get("/view"), InvalidToken)


@pytest.mark.parametrize("given", [5, ["x"], {}, True, "x", "\ud800"], ids=ascii)
def test_a_token_from_a_client_s_json_never_breaks_the_view(
    make_app: MakeApp, given: Any
) -> None:
    app = make_app()

    @app.post("/view")
    def view() -> dict[str, str | None]:
        verify_paseto_in_request(token=request.get_json()["token"])
        return {"user": get_subject()}

    response = app.test_client().post("/view", json={"token": given})
    assert_refused(response, InvalidToken)


def test_a_handed_none_is_no_token_and_no_look_at_the_request(
    make_app: MakeApp,
) -> None:
    app = make_app()
    client = serve(app, paseto_required(token=None))
    headers = bearer(tokens_of(app)[0])
    assert_refused(client.get("/view", headers=headers), MissingToken)


@pytest.mark.requirement("OPT-1")
def test_a_handed_token_may_be_none_where_it_is_optional(make_app: MakeApp) -> None:
    client = serve(make_app(), paseto_required(token=lambda: None, optional=True))
    assert client.get("/view").json == {"user": None}


def test_scopes_are_all_needed(make_app: MakeApp) -> None:
    app = make_app()
    client = serve(app, paseto_required(scopes="write read"))
    for scopes, passes in [
        (None, False),
        ("", False),
        ("read", False),
        ("readwrite", False),
        (["write", "read"], True),
        ("a read b write", True),
    ]:
        with app.app_context():
            token = create_access_token("alice", scopes=scopes)
        response = client.get("/view", headers=bearer(token))
        if passes:
            assert response.status_code == 200
        else:
            challenge = assert_refused(response, InsufficientScope)
            assert challenge["scope"] == "read write"


@pytest.mark.requirement("CLM-2")
def test_a_view_can_ask_for_an_audience_of_its_own(make_app: MakeApp) -> None:
    app = make_app(PASETO_AUDIENCE="api")
    serve(app, paseto_required(audience=["admin", "root"]))
    client = app.test_client()
    with app.app_context():
        for audience, passes in [
            (None, False),
            ("api", False),
            ("admin", True),
            (["x", "root"], True),
        ]:
            token = create_access_token("alice", audience=audience)
            response = client.get("/view", headers=bearer(token))
            if passes:
                assert response.status_code == 200
            else:
                assert_refused(response, InvalidClaims)


@pytest.mark.requirement("KEY-5")
@pytest.mark.parametrize("cache", [0, 16], ids=["uncached", "cached"])
def test_a_view_can_ask_for_an_implicit_assertion(
    make_app: MakeApp, cache: int
) -> None:
    app = make_app(PASETO_VERIFIED_CACHE_SIZE=cache)
    serve(app, paseto_required(implicit_assertion="tenant-1"))
    app.add_url_rule("/plain", "plain", paseto_required(lambda: "x"))
    client = app.test_client()
    with app.app_context():
        mine = create_access_token("alice", implicit_assertion=b"tenant-1")
        other = create_access_token("alice", implicit_assertion="tenant-2")
        plain = create_access_token("alice")
    for _ in range(2):
        assert client.get("/view", headers=bearer(mine)).status_code == 200
        assert client.get("/plain", headers=bearer(plain)).status_code == 200
        for token in (other, plain):
            assert_refused(client.get("/view", headers=bearer(token)), InvalidToken)
        for token in (other, mine):
            assert_refused(client.get("/plain", headers=bearer(token)), InvalidToken)


def test_a_view_can_leave_out_the_look_at_what_was_revoked(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    paseto.token_in_denylist_loader(lambda claims: True)
    serve(app, paseto_required)
    app.add_url_rule("/any", "any", paseto_required(check_revoked=False)(lambda: "x"))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert_refused(client.get("/view", headers=headers), RevokedToken)
    assert client.get("/any", headers=headers).status_code == 200


@pytest.mark.requirement("OPT-1")
def test_an_optional_guard_refuses_what_has_become_bad(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    client = serve(app, paseto_required(optional=True, fresh=True, max_age=60))
    revoked: list[str] = []
    paseto.token_in_denylist_loader(lambda claims: claims.jti in revoked)
    assert client.get("/view").json == {"user": None}
    with use_clock(app) as clock, app.app_context():
        fresh = create_access_token("alice", fresh=True)
        old = create_access_token("alice", fresh=True, expires_in=300)
        _, refresh, _ = tokens_of(app)
        stale = create_access_token("alice")
        assert client.get("/view", headers=bearer(fresh)).json == {"user": "alice"}
        refused = client.get("/view", headers=bearer(refresh))
        assert_refused(refused, AccessTokenRequired)
        refused = client.get("/view", headers=bearer(stale))
        assert_refused(refused, FreshTokenRequired)
        clock.advance(62)
        refused = client.get("/view", headers=bearer(old))
        assert_refused(refused, ReauthenticationRequired)
        clock.advance(300)
        refused = client.get("/view", headers=bearer(old))
        assert_refused(refused, ExpiredToken)
        token = create_access_token("alice", fresh=True)
        revoked.append(decode_token(token).jti)
        assert_refused(client.get("/view", headers=bearer(token)), RevokedToken)


def test_a_request_can_be_verified_inside_a_view(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/view")
    def view() -> dict[str, Any]:
        identity = verify_paseto_in_request(optional="optional" in request.args)
        assert identity is get_identity()
        return {"user": identity and identity.claims.subject}

    client = app.test_client()
    headers = bearer(tokens_of(app)[0])
    assert client.get("/view", headers=headers).json == {"user": "alice"}
    assert client.get("/view?optional").json == {"user": None}
    assert_refused(client.get("/view"), MissingToken)
    assert_refused(client.get("/view?optional", headers=bearer("x")), InvalidToken)


def test_a_view_may_ask_for_more_as_it_goes(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/view")
    @paseto_required
    def view() -> str:
        if request.args.get("amount", "0") > "5":
            verify_paseto_in_request(fresh=True)
        return "x"

    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/view?amount=1", headers=headers).status_code == 200
    refused = client.get("/view?amount=9", headers=headers)
    assert_refused(refused, FreshTokenRequired)


# protect and public


@pytest.fixture
def protected(make_app: MakeApp, paseto: PasetoManager) -> Flask:
    """Return an app that is closed but for what is marked public."""
    app = make_app(paseto)
    paseto.protect(app)

    @app.route("/closed", methods=["GET", "POST"])
    def closed() -> dict[str, str | None]:
        return {"user": get_subject()}

    @app.get("/open")
    @public
    def opened() -> str:
        return "open"

    @app.get("/fresh")
    @paseto_required(fresh=True)
    def fresh() -> str:
        return "fresh"

    @app.get("/maybe")
    @paseto_required(optional=True)
    def maybe() -> dict[str, str | None]:
        return {"user": get_subject()}

    @app.get("/refresh")
    @refresh_token_required
    def refresh() -> str:
        return "refresh"

    @app.route("/own", methods=["GET", "OPTIONS"])
    def own() -> str:
        return "own"

    return app


def test_a_protected_app_is_closed(protected: Flask) -> None:
    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    assert_refused(client.get("/closed"), MissingToken)
    assert_refused(client.post("/closed"), MissingToken)
    assert client.head("/closed").status_code == 401
    assert_refused(client.get("/closed", headers=bearer("x")), InvalidToken)
    assert client.get("/closed", headers=headers).json == {"user": "alice"}


def test_a_public_view_of_a_protected_app_is_open(protected: Flask) -> None:
    client = protected.test_client()
    assert client.get("/open").text == "open"
    assert client.get("/open", headers=bearer("x")).text == "open"


def test_a_public_view_tells_nobody_who_is_there(protected: Flask) -> None:
    protected.add_url_rule("/who", "who", public(lambda: str(get_subject())))
    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    with pytest.raises(RuntimeError, match="no guard has run"):
        client.get("/who", headers=headers)


def test_the_guard_of_a_view_takes_the_place_of_the_app_s(protected: Flask) -> None:
    client = protected.test_client()
    access, refresh, _ = tokens_of(protected)
    refused = client.get("/fresh", headers=bearer(access))
    assert_refused(refused, FreshTokenRequired)
    assert client.get("/maybe").json == {"user": None}
    assert client.get("/maybe", headers=bearer(access)).json == {"user": "alice"}
    assert client.get("/refresh", headers=bearer(refresh)).text == "refresh"
    refused = client.get("/refresh", headers=bearer(access))
    assert_refused(refused, RefreshTokenRequired)


def test_static_files_of_a_protected_app_are_closed_unless_marked(
    make_app: MakeApp, paseto: PasetoManager, tmp_path: Any
) -> None:
    (tmp_path / "a.txt").write_text("a")
    app = make_app(paseto)
    paseto.protect(app)
    app.static_folder = str(tmp_path)
    client = app.test_client()
    assert_refused(client.get("/static/a.txt"), MissingToken)
    public(app.view_functions["static"])
    response = client.get("/static/a.txt")
    assert response.text == "a"
    response.close()


@pytest.mark.requirement("LOC-2")
def test_options_of_a_protected_app(protected: Flask) -> None:
    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    for path in ("/closed", "/own"):
        preflight = client.options(path, headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert preflight.data == b""
    assert client.options("/closed").status_code == 200
    assert_refused(client.options("/own"), MissingToken)
    assert client.options("/own", headers=headers).text == "own"


def test_a_protected_app_answers_404_and_405_as_ever(protected: Flask) -> None:
    client = protected.test_client()
    assert client.get("/nowhere").status_code == 404
    assert client.delete("/closed").status_code == 405


def test_a_protected_app_takes_one_walk_a_request(
    protected: Flask, paseto: PasetoManager
) -> None:
    walks: list[Claims] = []

    @paseto.token_in_denylist_loader
    def note(claims: Claims) -> bool:
        walks.append(claims)
        return False

    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    for path in ("/closed", "/maybe", "/own"):
        walks.clear()
        assert client.get(path, headers=headers).status_code == 200
        assert len(walks) == 1


@pytest.mark.requirement("LOC-2")
def test_a_public_view_handles_its_preflights_itself(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    paseto.protect(app)
    for name, mark in (("open", public), ("closed", lambda view: view)):
        view = mark(lambda: "mine")
        app.add_url_rule(f"/{name}", name, view, methods=["GET", "OPTIONS"])
    client = app.test_client()
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert client.options("/open", headers=preflight).text == "mine"
    assert client.options("/closed", headers=preflight).text == ""
    assert client.options("/open").text == "mine"
    assert_refused(client.options("/closed"), MissingToken)


def test_options_of_protect_are_those_of_a_guard(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app = make_app(paseto)
    with pytest.raises(TypeError, match="frsh"):
        paseto.protect(app, frsh=True)  # type: ignore[call-arg]
    paseto.protect(app, fresh=True, scopes="admin")
    app.add_url_rule("/view", "view", lambda: "x")
    client = app.test_client()
    with app.app_context():
        narrow = create_access_token("alice", fresh=True)
        stale = create_access_token("alice", scopes="admin")
        right = create_access_token("alice", fresh=True, scopes="admin")
    assert_refused(client.get("/view", headers=bearer(narrow)), InsufficientScope)
    assert_refused(client.get("/view", headers=bearer(stale)), FreshTokenRequired)
    assert client.get("/view", headers=bearer(right)).status_code == 200


def test_a_protected_blueprint_leaves_the_rest_open(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app, blueprint = make_app(paseto), Blueprint("api", __name__, url_prefix="/api")
    paseto.protect(blueprint)
    blueprint.add_url_rule("/closed", "closed", lambda: "closed")
    blueprint.add_url_rule("/open", "open", public(lambda: "open"))
    app.register_blueprint(blueprint)
    app.add_url_rule("/", "index", lambda: "index")
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/").text == "index"
    assert client.get("/api/open").text == "open"
    assert_refused(client.get("/api/closed"), MissingToken)
    assert client.get("/api/closed", headers=headers).text == "closed"


def test_the_walk_that_protect_took_counts_for_one_call_of_the_view(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app, revoked = make_app(paseto), []
    paseto.protect(app)
    paseto.token_in_denylist_loader(lambda claims: claims.jti in revoked)

    @app.get("/view")
    @paseto_required
    def view(again: bool = True) -> str:
        if not again:
            return "x"
        if "revoke" in request.args:
            revoked.append(get_jti())
        return view(again=False)

    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/view", headers=headers).text == "x"
    assert_refused(client.get("/view?revoke", headers=headers), RevokedToken)


@pytest.mark.requirement("LIFE-1")
@pytest.mark.parametrize("endpoint", ["plain.view", "api.more.view", ".view"])
def test_an_endpoint_with_dots_is_protected_without_a_blueprint_of_that_name(
    make_app: MakeApp, paseto: PasetoManager, endpoint: str
) -> None:
    """Flask takes all but its last part for the names of blueprints."""
    app, blueprint = make_app(paseto), Blueprint("api", __name__)
    paseto.protect(app, fresh=True)
    paseto.protect(blueprint, optional=True)
    app.register_blueprint(blueprint)
    app.add_url_rule("/dots", endpoint, lambda: str(get_subject()))
    app.add_url_rule("/open", f"{endpoint}.open", public(lambda: "open"))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/open").text == "open"
    if endpoint.startswith("api."):
        assert client.get("/dots").text == "None"
        assert client.get("/dots", headers=headers).text == "alice"
    else:
        assert_refused(client.get("/dots"), MissingToken)
        assert_refused(client.get("/dots", headers=headers), FreshTokenRequired)


def test_the_innermost_rule_wins(make_app: MakeApp, paseto: PasetoManager) -> None:
    app = make_app(paseto)
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    plain = Blueprint("plain", __name__, url_prefix="/plain")
    paseto.protect(app)
    paseto.protect(outer, optional=True)
    paseto.protect(inner, fresh=True)
    for scaffold in (app, outer, inner, plain):
        scaffold.add_url_rule("/view", "view", lambda: str(get_subject()))
    inner.add_url_rule("/own", "own", paseto_required(type="ticket")(lambda: "own"))
    outer.register_blueprint(inner)
    outer.register_blueprint(plain)
    app.register_blueprint(outer)
    client = app.test_client()
    access, _, ticket = tokens_of(app)
    assert_refused(client.get("/view"), MissingToken)
    assert client.get("/outer/view").text == "None"
    assert client.get("/outer/plain/view").text == "None"
    assert client.get("/outer/view", headers=bearer(access)).text == "alice"
    assert_refused(client.get("/outer/inner/view"), MissingToken)
    refused = client.get("/outer/inner/view", headers=bearer(access))
    assert_refused(refused, FreshTokenRequired)
    assert client.get("/outer/inner/own", headers=bearer(ticket)).text == "own"


def test_methods_of_a_class_based_view_in_a_protected_app(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    class Api(MethodView):
        @public
        def get(self) -> str:
            return "get"

        @paseto_required(fresh=True)
        def post(self) -> str:
            return "post"

        def put(self) -> str:
            return "put"

    class Plain(MethodView):
        def put(self) -> str:
            return "put"

    app = make_app(paseto)
    paseto.protect(app)
    app.add_url_rule("/api", view_func=Api.as_view("api"))
    app.add_url_rule("/plain", view_func=Plain.as_view("plain"))
    client, headers = app.test_client(), bearer(tokens_of(app)[0])
    assert client.get("/api").text == "get"
    assert client.head("/api").status_code == 200
    assert_refused(client.put("/api"), MissingToken)
    assert client.put("/api", headers=headers).text == "put"
    assert_refused(client.post("/api", headers=headers), FreshTokenRequired)
    assert client.head("/plain").status_code == 405


def test_a_class_based_view_can_be_public_as_a_whole(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    @public
    class Open(MethodView):
        def get(self) -> str:
            return "open"

    class Closed(Open):
        pass

    app = make_app(paseto)
    paseto.protect(app)
    app.add_url_rule("/open", view_func=Open.as_view("opened"))
    app.add_url_rule("/closed", view_func=Closed.as_view("closed"))
    client = app.test_client()
    assert client.get("/open").text == "open"
    # A mark is not inherited: what is not marked itself is closed.
    assert_refused(client.get("/closed"), MissingToken)


def test_public_cannot_mark_a_bound_method() -> None:
    class Api:
        def view(self) -> str:
            return "x"

    with pytest.raises(TypeError, match="bound method"):
        public(Api().view)


def test_async_views_of_a_protected_app(protected: Flask) -> None:
    @protected.get("/async")
    async def view() -> dict[str, str | None]:
        return {"user": get_subject()}

    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    assert_refused(client.get("/async"), MissingToken)
    assert client.get("/async", headers=headers).json == {"user": "alice"}


def test_a_view_of_a_protected_app_that_refuses_itself_gives_a_challenge(
    protected: Flask,
) -> None:
    @protected.errorhandler(PasetoError)
    def mine(refusal: PasetoError) -> tuple[dict[str, str], int]:
        return {"detail": refusal.message}, refusal.status_code

    @protected.get("/strict")
    def strict() -> str:
        raise FreshTokenRequired

    client, headers = protected.test_client(), bearer(tokens_of(protected)[0])
    response = client.get("/strict", headers=headers)
    assert response.status_code == 401
    assert response.json == {"detail": FreshTokenRequired().message}
    (challenge,) = response.headers.getlist("WWW-Authenticate")
    assert 'error="insufficient_user_authentication"' in challenge


@pytest.mark.requirement("KEY-5")
def test_an_app_with_public_keys_only_guards_and_cannot_issue() -> None:
    private = generate_key(4, "public")
    issuer, verifier = Flask("issuer"), Flask("tests")
    issuer.config["PASETO_PRIVATE_KEY"] = private.to_paserk()
    verifier.config["PASETO_PUBLIC_KEY"] = public_half(private).to_paserk()
    for app in (issuer, verifier):
        app.testing = True
        PasetoManager(app)
    client = serve(verifier, paseto_required)
    token = tokens_of(issuer)[0]
    assert client.get("/view", headers=bearer(token)).json == {"user": "alice"}
    with (
        verifier.app_context(),
        pytest.raises(ConfigurationError, match="PASETO_PRIVATE_KEY"),
    ):
        create_access_token("alice")
    assert SECRET_KEY not in repr(verifier.extensions)


def test_a_token_in_a_guard_comes_from_a_callable() -> None:
    for given in ("v4.local.x", 5):
        with pytest.raises(TypeError, match="token must be a callable"):
            paseto_required(token=given)  # type: ignore[call-overload]


@pytest.mark.parametrize("types", ["refresh", "ticket", ("refresh", "ticket")])
def test_only_access_tokens_can_be_asked_to_be_fresh(types: Any) -> None:
    """No other token says whether it is, so such a guard would never open."""
    with pytest.raises(ValueError, match="max_age"):
        paseto_required(type=types, fresh=True)
    with pytest.raises(ValueError, match="max_age"):
        refresh_token_required(fresh=True)
    assert paseto_required(type=("access", "ticket"), fresh=True)


def test_a_wrong_option_is_told_what_was_meant() -> None:
    with pytest.raises(TypeError, match="no option scope; did you mean scopes"):
        paseto_required(scope="read")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"no option role$"):
        paseto_required(role="admin")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("refresh", "write @refresh_token_required"),
        ("refresh_token", "write @refresh_token_required"),
        ("verify_type", "say type="),
        ("skip_revocation_check", "say check_revoked=False"),
    ],
)
def test_an_option_of_another_library_is_told_what_it_is_here(
    option: str, hint: str
) -> None:
    """`fresh`, which is spelt like `refresh`, would let access tokens refresh."""
    with pytest.raises(TypeError, match=f"no option {option}; {hint}"):
        paseto_required(**{option: True})  # type: ignore[call-overload]


@pytest.mark.requirement("LIFE-3")
def test_each_call_of_a_guard_is_a_walk_of_its_own(make_app: MakeApp) -> None:
    """A guard may stand on what a view calls for each message of a batch."""
    app = make_app()

    @paseto_required(token=lambda: g.token)
    def handle() -> str | None:
        return get_subject()

    @app.post("/batch")
    def batch() -> list[str | None]:
        answers = []
        for g.token in request.get_json():
            try:
                answers.append(handle())
            except PasetoError as refusal:
                answers.append(refusal.error_code)
        return answers

    with app.app_context():
        alice, bob = create_access_token("alice"), create_access_token("bob")
    sent = [alice, "forged", bob, None]
    answer = app.test_client().post("/batch", json=sent)
    assert answer.json == ["alice", "token_invalid", "bob", "token_missing"]


def test_a_guard_called_again_later_looks_at_the_clock_again(
    app: Flask, clock: Clock
) -> None:
    @paseto_required
    def handle() -> str | None:
        return get_subject()

    with app.app_context():
        token = create_access_token("alice")
    with app.test_request_context(headers=bearer(token)):
        assert handle() == "alice"
        clock.advance(86400)
        with pytest.raises(ExpiredToken):
            handle()


def test_what_gives_the_token_is_asked_again_under_protect(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    app, given = make_app(paseto), list[str]()
    paseto.protect(app)

    @app.get("/view")
    @paseto_required(token=lambda: given.pop(0))
    def view() -> str | None:
        return get_subject()

    with app.app_context():
        given += [create_access_token("alice"), create_access_token("bob")]
    assert app.test_client().get("/view").text == "bob"
    with app.app_context():
        given += [create_access_token("alice"), "forged"]
    assert_refused(app.test_client().get("/view"), InvalidToken)


def test_a_guard_above_one_of_two_routes_stops_the_app(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/a")
    @paseto_required
    @app.get("/b", endpoint="b")
    def view() -> str:
        return "x"

    with pytest.raises(ConfigurationError, match=r"guard of b stands above"):
        app.test_client().get("/b")


def test_a_stronger_guard_above_the_route_stops_the_app(make_app: MakeApp) -> None:
    app = make_app()

    @paseto_required(fresh=True)
    @app.get("/view")
    @paseto_required
    def view() -> str:
        return "x"

    with pytest.raises(ConfigurationError, match="guard of view stands above"):
        app.test_client().get("/view")


def test_a_mark_on_the_method_wins_over_one_on_the_class(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    class Resource(MethodView):
        @public
        def get(self) -> str:
            return "open"

        def post(self) -> str:
            return "closed"

    app = make_app(paseto)
    paseto.protect(app)
    app.add_url_rule("/view", view_func=Resource.as_view("view"))
    client = app.test_client()
    assert client.get("/view").text == "open"
    assert_refused(client.post("/view"), MissingToken)


def test_a_success_leaves_no_challenge_of_an_earlier_attempt(
    make_app: MakeApp,
) -> None:
    app = make_app()

    @app.get("/view")
    def view() -> tuple[str, int]:
        with suppress(PasetoError):
            verify_paseto_in_request(token="x")
        verify_paseto_in_request()
        return "mine", 401

    with app.app_context():
        token = create_access_token("alice")
    response = app.test_client().get("/view", headers=bearer(token))
    assert (response.status_code, response.text) == (401, "mine")
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.requirement("KEY-5")
def test_a_guard_under_protect_asks_for_the_assertion_of_its_own_time(
    make_app: MakeApp, paseto: PasetoManager
) -> None:
    """A hook after protect may be what tells the tenant."""
    app = make_app(paseto)
    paseto.implicit_assertion_loader(lambda: g.get("tenant"))
    paseto.protect(app)

    @app.before_request
    def tell_tenant() -> None:
        g.tenant = request.headers["X-Tenant"]

    app.add_url_rule("/view", "view", paseto_required(lambda: "in"))
    with app.app_context():
        unbound = create_access_token("alice")
    headers = {**bearer(unbound), "X-Tenant": "acme"}
    assert_refused(app.test_client().get("/view", headers=headers), InvalidToken)
