"""Who is there belongs to the request being served, and to nothing that outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import (
    Flask,
    copy_current_request_context,
    render_template_string,
    request,
)
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from flask_paseto import (
    Identity,
    MissingToken,
    PasetoManager,
    Place,
    create_access_token,
    create_refresh_token,
    current_user,
    decode_token,
    get_claims,
    get_current_user,
    get_identity,
    get_jti,
    get_session_id,
    get_subject,
    get_token_footer,
    get_token_payload,
    paseto_required,
    verify_paseto_in_request,
)
from flask_paseto.keys import generate_key

from .conftest import MakeApp, add_routes
from .refusals import assert_refused, bearer

GETTERS: list[Callable[[], Any]] = [
    get_identity,
    get_claims,
    get_subject,
    get_jti,
    get_session_id,
    get_token_payload,
    get_token_footer,
    get_current_user,
]
getters = pytest.mark.parametrize("getter", GETTERS, ids=lambda f: f.__name__)


def token_of(app: Flask, subject: Any = "alice", **options: Any) -> str:
    with app.app_context():
        return create_access_token(subject, **options)


# The getters


def test_each_getter_tells_of_the_token(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    app = make_app(paseto)
    paseto.user_lookup_loader(lambda claims: {"name": claims.subject})
    token = token_of(app, user_claims={"a": [1, {"b": 2}]}, footer={"f": 1})
    with app.test_request_context(headers=bearer(token)):
        identity = verify_paseto_in_request()
        assert isinstance(identity, Identity)
        assert identity is get_identity()
        assert identity.place is Place.HEADERS
        claims = identity.claims
        assert claims is get_claims()
        assert get_subject() == claims.subject == "alice"
        assert get_jti() == claims.jti
        assert get_session_id() == claims.session_id is not None
        assert get_token_footer() == {"f": 1, "kid": claims.key_id}
        payload = get_token_payload()
        assert payload is not None
        assert payload["a"] == [1, {"b": 2}]
        assert set(payload) == set(claims.wire)
        assert get_current_user() == {"name": "alice"}
        assert get_current_user() is identity.user
        assert current_user["name"] == "alice"


@getters
def test_a_getter_in_an_unguarded_view_is_an_error(
    make_app: MakeApp, getter: Callable[[], Any]
) -> None:
    app = make_app()

    @app.get("/view")
    def view() -> str:
        return repr(getter())

    client = app.test_client()
    for headers in ({}, bearer(token_of(app))):
        with pytest.raises(RuntimeError, match="@paseto_required under the route"):
            client.get("/view", headers=headers)


@pytest.mark.requirement("OPT-1")
@getters
def test_a_getter_gives_none_after_an_anonymous_pass(
    make_app: MakeApp, getter: Callable[[], Any]
) -> None:
    app = make_app()
    app.add_url_rule(
        "/view", "view", paseto_required(optional=True)(lambda: repr(getter()))
    )
    client = app.test_client()
    assert client.get("/view").text == "None"
    if getter is not get_current_user:
        assert client.get("/view", headers=bearer(token_of(app))).text != "None"


@getters
def test_a_refused_request_has_nobody(
    make_app: MakeApp, getter: Callable[[], Any]
) -> None:
    app = make_app()
    token = token_of(app)
    with app.test_request_context(headers=bearer(token)):
        with pytest.raises(Exception, match="log in again"):
            verify_paseto_in_request(fresh=True)
        with pytest.raises(RuntimeError, match="no guard"):
            getter()


def test_copies_are_not_shared(make_app: MakeApp) -> None:
    app = make_app()
    token = token_of(app, user_claims={"a": [1, {"b": [2]}]}, footer={"f": 1})
    with app.test_request_context(headers=bearer(token)):
        verify_paseto_in_request()
        first, footer = get_token_payload(), get_token_footer()
        assert first is not None
        assert isinstance(footer, dict)
        first["a"][1]["b"].append("mine")
        first["sub"] = "eve"
        footer["f"] = "mine"
        assert get_subject() == "alice"
        again = get_token_payload()
        assert again is not None
        assert again["a"] == [1, {"b": [2]}]
        assert get_token_footer() == {"f": 1, "kid": footer["kid"]}


@pytest.mark.requirement("LIFE-3")
def test_the_verified_cache_leaks_nothing_between_requests(make_app: MakeApp) -> None:
    app = make_app(PASETO_VERIFIED_CACHE_SIZE=4)
    token = token_of(app, user_claims={"a": [1, {"b": [2]}], "d": {"e": 1}})
    for _ in range(3):
        with app.test_request_context(headers=bearer(token)):
            verify_paseto_in_request()
            claims, payload = get_claims(), get_token_payload()
            assert claims is not None
            assert payload is not None
            assert payload["a"] == [1, {"b": [2]}]
            payload["a"].append("mine")
            payload["d"]["e"] = "mine"
            assert claims["a"] == (1, {"b": (2,)})
            with pytest.raises(TypeError):
                claims["d"]["e"] = "mine"
            with pytest.raises(TypeError):
                claims.wire["sub"] = "eve"  # type: ignore[index]
            with pytest.raises(AttributeError):
                claims.fresh = True  # type: ignore[misc]


@pytest.mark.requirement("KEY-6")
@pytest.mark.requirement("ANS-4")
def test_a_repr_shows_no_claim(make_app: MakeApp) -> None:
    app = make_app()
    token = token_of(app, user_claims={"a": "s3cret"})
    with app.test_request_context(headers=bearer(token)):
        identity = verify_paseto_in_request()
        assert identity is not None
        told = f"{identity!r} {identity.claims!r} {identity.claims}"
        for word in ("alice", "s3cret", token, identity.claims.jti):
            assert word not in told


@pytest.mark.requirement("FOOT-1")
def test_a_text_footer_is_given_as_text(make_app: MakeApp) -> None:
    key = generate_key()
    app = make_app(PASETO_SECRET_KEY=key.to_paserk(), PASETO_ACCEPT_MISSING_KID=True)
    payload = (
        b'{"sub":"alice","type":"access","jti":"1","iat":"2024-01-01T00:00:00Z",'
        b'"exp":"9999-01-01T00:00:00Z"}'
    )
    token = key.encrypt(payload, b"ein Text", b"").decode()
    with app.test_request_context(headers=bearer(token)):
        verify_paseto_in_request()
        assert get_token_footer() == "ein Text"
    bare = key.encrypt(payload, b"", b"").decode()
    with app.test_request_context(headers=bearer(bare)):
        verify_paseto_in_request()
        assert get_token_footer() is None


# Templates


def test_templates_know_the_current_user(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    app = make_app(paseto)
    paseto.user_lookup_loader(lambda claims: claims.subject)
    text = "{{ current_user }}"
    app.add_url_rule("/open", "open", lambda: render_template_string(text))
    guard = paseto_required(optional=True)
    app.add_url_rule("/maybe", "maybe", guard(lambda: render_template_string(text)))
    client, headers = app.test_client(), bearer(token_of(app))
    assert client.get("/maybe", headers=headers).text == "alice"
    assert client.get("/maybe").text == "None"
    assert client.get("/open", headers=headers).text == "None"


def test_templates_outside_of_a_request_know_nobody(make_app: MakeApp) -> None:
    from contextvars import Context

    app = make_app()

    def render() -> str:
        with app.app_context():
            return render_template_string("{{ current_user }}")

    assert Context().run(render) == "None"


@getters
def test_a_getter_outside_of_a_request_is_an_error(
    make_app: MakeApp, getter: Callable[[], Any]
) -> None:
    from contextvars import Context

    app = make_app()

    def call() -> Any:
        with app.app_context():
            return getter()

    with pytest.raises(RuntimeError):
        Context().run(call)


# Nothing outlives its request


@pytest.mark.requirement("LIFE-3")
def test_two_requests_in_one_pushed_app_context(make_app: MakeApp) -> None:
    app = make_app()
    add_routes(app)
    app.add_url_rule("/open", "open", lambda: str(get_subject()))
    client, headers = app.test_client(), bearer(token_of(app))
    with app.app_context():
        assert client.get("/optional", headers=headers).json == {"user": "alice"}
        assert client.get("/optional").json == {"user": None}
        assert client.get("/protected", headers=headers).json == {"user": "alice"}
        with pytest.raises(RuntimeError, match="no guard"):
            client.get("/open")
        assert_refused(client.get("/protected"), MissingToken)


@pytest.mark.requirement("LIFE-3")
@pytest.mark.requirement("STEP-2")
def test_a_login_after_a_request_of_somebody_takes_nothing_over(
    make_app: MakeApp,
) -> None:
    app = make_app()
    add_routes(app)
    client = app.test_client()
    from flask_paseto import decode_token

    old = token_of(app, "alice")
    with app.app_context():
        client.get("/protected", headers=bearer(old))
        response = client.post("/login", json={"name": "alice"})
        assert response.json is not None
        new = decode_token(response.json["access_token"])
        assert new.session_id != decode_token(old).session_id
        assert new.auth_time is not None


@pytest.mark.requirement("LIFE-3")
def test_nested_test_clients(make_app: MakeApp) -> None:
    app = make_app()
    add_routes(app)
    app.add_url_rule("/open", "open", lambda: str(get_subject()))
    alice, bob = bearer(token_of(app, "alice")), bearer(token_of(app, "bob"))
    with app.test_client() as one, app.test_client() as two:
        one.get("/protected", headers=alice)
        assert get_subject() == "alice"
        assert two.get("/protected", headers=bob).json == {"user": "bob"}
        assert get_subject() == "bob"
        assert two.get("/optional").json == {"user": None}
        assert get_subject() is None
        with pytest.raises(RuntimeError, match="no guard"):
            two.get("/open")


@pytest.mark.requirement("LIFE-3")
def test_a_request_inside_a_view_is_a_request_of_its_own(make_app: MakeApp) -> None:
    app = make_app()
    add_routes(app)
    bob = bearer(token_of(app, "bob"))

    @app.get("/outer")
    @paseto_required
    def outer() -> dict[str, Any]:
        inner = app.test_client().get("/protected", headers=bob).json
        anonymous = app.test_client().get("/optional").json
        return {"inner": inner, "anonymous": anonymous, "outer": get_subject()}

    response = app.test_client().get("/outer", headers=bearer(token_of(app)))
    assert response.json == {
        "inner": {"user": "bob"},
        "anonymous": {"user": None},
        "outer": "alice",
    }


@pytest.mark.requirement("LIFE-3")
@pytest.mark.parametrize("way", ["environ", "builder", "dict"])
def test_a_copied_environment_does_not_carry_the_identity(
    make_app: MakeApp, way: str
) -> None:
    app = make_app()

    @app.get("/view")
    @paseto_required
    def view() -> str:
        assert get_subject() == "alice"
        environ = dict(request.environ)
        if way == "builder":
            environ = EnvironBuilder.from_environ(request.environ).get_environ()
        if way == "environ":
            environ = request.environ
        environ.pop("HTTP_AUTHORIZATION")
        with app.request_context(environ):
            for getter in GETTERS:
                with pytest.raises(RuntimeError, match="no guard"):
                    getter()
            assert verify_paseto_in_request(optional=True) is None
            assert get_subject() is None
        return str(get_subject())

    response = app.test_client().get("/view", headers=bearer(token_of(app)))
    assert response.text == "alice"


@pytest.mark.requirement("LIFE-3")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_threads_do_not_see_each_other(make_app: MakeApp, is_async: bool) -> None:
    app, together = make_app(), Barrier(8, timeout=30)

    def sync_view() -> str:
        before = get_subject()
        together.wait()
        assert get_subject() == before
        return str(before)

    async def async_view() -> str:
        before = get_subject()
        together.wait()
        await asyncio.sleep(0.001)
        assert get_subject() == before
        return str(before)

    view: Any = async_view if is_async else sync_view
    app.add_url_rule("/view", "view", paseto_required(view))
    tokens = {f"user{n}": token_of(app, f"user{n}") for n in range(8)}

    def ask(name: str) -> bool:
        client = app.test_client()
        return client.get("/view", headers=bearer(tokens[name])).text == name

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, tokens))
        assert all(pool.map(ask, reversed(tokens)))


@pytest.mark.requirement("LIFE-3")
def test_work_of_a_request_in_another_thread_knows_who_is_there(
    make_app: MakeApp,
) -> None:
    app = make_app()

    @app.get("/view")
    @paseto_required
    def view() -> str:
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(RuntimeError):
                pool.submit(get_subject).result()
            work = copy_current_request_context(lambda: str(get_subject()))
            return pool.submit(work).result()

    response = app.test_client().get("/view", headers=bearer(token_of(app)))
    assert response.text == "alice"


@pytest.mark.requirement("LIFE-3")
def test_async_views_and_their_tasks_know_who_is_there(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/view")
    @paseto_required
    async def view() -> str:
        async def ask() -> str:
            await asyncio.sleep(0)
            return str(get_subject())

        return " ".join(await asyncio.gather(ask(), ask()))

    client = app.test_client()
    for name in ("alice", "bob"):
        response = client.get("/view", headers=bearer(token_of(app, name)))
        assert response.text == f"{name} {name}"


# Two apps


@pytest.mark.requirement("LIFE-3")
def test_two_apps_share_nothing(make_app: MakeApp) -> None:
    one, two = make_app(), make_app(PASETO_SECRET_KEY=generate_key().to_paserk())
    add_routes(one)
    add_routes(two)
    headers = bearer(token_of(one))
    assert one.test_client().get("/protected", headers=headers).status_code == 200
    assert two.test_client().get("/protected", headers=headers).status_code == 401


@pytest.mark.requirement("LIFE-3")
def test_one_manager_serves_two_apps(make_app: MakeApp) -> None:
    paseto = PasetoManager()
    one = make_app(paseto)
    two = make_app(paseto, PASETO_SECRET_KEY=generate_key().to_paserk())
    paseto.user_lookup_loader(lambda claims: claims.subject.upper())
    for app in (one, two):
        app.add_url_rule(
            "/view", "view", paseto_required(lambda: str(get_current_user()))
        )
        response = app.test_client().get("/view", headers=bearer(token_of(app)))
        assert response.text == "ALICE"
    crossed = two.test_client().get("/view", headers=bearer(token_of(one)))
    assert crossed.status_code == 401


@pytest.mark.requirement("LIFE-3")
def test_the_context_of_another_app_inside_a_request(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()

    @one.get("/view")
    @paseto_required
    def view() -> str:
        with two.app_context():
            with pytest.raises(RuntimeError, match="no guard"):
                get_subject()
            token = create_refresh_token("alice")
            from flask_paseto import decode_token

            claims = decode_token(token, type="refresh")
            mine = request.headers["Authorization"].split()[1]
            assert claims.session_id != decode_token(mine).session_id
            assert claims.auth_time is not None
        return str(get_subject())

    headers = bearer(token_of(one))
    assert one.test_client().get("/view", headers=headers).text == "alice"


@pytest.mark.requirement("LIFE-3")
def test_a_request_to_another_app_inside_a_view(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()
    add_routes(two)

    @one.get("/view")
    @paseto_required
    def view() -> dict[str, Any]:
        inner = two.test_client().get("/optional").json
        return {"inner": inner, "outer": get_subject()}

    response = one.test_client().get("/view", headers=bearer(token_of(one)))
    assert response.json == {"inner": {"user": None}, "outer": "alice"}


def test_the_client_fixture_of_the_app_forgets(
    client: FlaskClient, issue: Callable[..., str]
) -> None:
    for name in ("alice", "bob"):
        headers = bearer(issue(name))
        assert client.get("/optional", headers=headers).json == {"user": name}
        assert client.get("/optional").json == {"user": None}


def test_claims_go_by_their_wire_names(app: Flask) -> None:
    with app.app_context():
        token = create_access_token("alice", user_claims={"role": "admin"})
        claims = decode_token(token)
    assert "role" in claims
    assert "roles" not in claims
    assert 0 not in claims
    assert dict(claims)["role"] == claims["role"] == claims.get("role") == "admin"
    assert set(claims) == set(claims.keys()) == set(dict(claims))
    assert len(claims) == len(list(claims))
    with pytest.raises(KeyError):
        claims["roles"]


@pytest.mark.requirement("LIFE-3")
def test_an_anonymous_pass_leaves_nobody_of_an_earlier_one(app: Flask) -> None:
    with app.test_request_context(headers=bearer(token_of(app, "alice"))):
        verify_paseto_in_request()
        assert get_subject() == "alice"
        verify_paseto_in_request(token=None, optional=True)
        assert get_subject() is None
