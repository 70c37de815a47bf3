"""The views to mount: log out, log out everywhere, sessions, RFC 7009."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_paseto import (
    AccessTokenRequired,
    ConfigurationError,
    CsrfError,
    ExpiredToken,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    PasetoManager,
    RevokedToken,
    StoreUnavailable,
)
from flask_paseto.endpoints import session_blueprint
from flask_paseto.state import states_of

from .conftest import MakeApp
from .refusals import assert_refused, bearer
from .sessions import Pair, Site, end, open_site


class Mounted(PasetoManager):
    """A manager that mounts the views too."""

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        app.register_blueprint(session_blueprint(), url_prefix="/auth")


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site(Mounted()) as site:
        yield site


def send(
    site: Site, method: str, path: str, pair: Pair | None, kind: str = "access"
) -> Any:
    headers = {} if pair is None else bearer(pair[f"{kind}_token"])
    return site.client.open("/auth" + path, method=method, headers=headers)


def revoke(site: Site, **form: Any) -> Any:
    return site.client.post("/auth/revoke", data=form)


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_log_out_ends_the_session_and_no_other(site: Site, kind: str) -> None:
    pair, other = site.log_in(), site.log_in()
    for _ in range(2):  # also when it is ended already
        answer = send(site, "POST", "/logout", pair, kind)
        assert (answer.status_code, answer.data) == (204, b"")
    assert site.row(pair).reason == "logout"
    assert_refused(site.get(pair), RevokedToken)
    assert_refused(site.try_rotate(pair), RevokedToken)
    assert site.get(other).status_code == 200


def test_log_out_without_a_session_revokes_the_token(site: Site) -> None:
    pair = site.log_in(session_id=False)
    assert send(site, "POST", "/logout", pair).status_code == 204
    assert_refused(site.get(pair), RevokedToken)
    assert site.refresh(pair).status_code == 200


def test_log_out_everywhere_ends_all_sessions(site: Site) -> None:
    pairs = [site.log_in() for _ in range(3)]
    other = site.log_in(name="bob")
    assert send(site, "POST", "/logout-all", pairs[0]).status_code == 204
    for pair in pairs:
        assert_refused(site.get(pair), RevokedToken)
    assert site.get(other).status_code == 200
    assert site.get(site.log_in()).status_code == 200


def test_sessions_are_listed_with_the_current_one(site: Site) -> None:
    phone, laptop = site.log_in(client="phone"), site.log_in(client="laptop")
    found = send(site, "GET", "/sessions", phone).json["sessions"]
    assert {each["client"]: each["current"] for each in found} == {
        "phone": True,
        "laptop": False,
    }
    assert site.get(laptop).status_code == 200


def test_the_subject_is_not_put_through_the_loader_again() -> None:
    manager = Mounted()
    manager.subject_loader(lambda user: f"user-{user['id']}")
    with open_site(manager) as site:
        pair, other = site.log_in(name={"id": 7}), site.log_in(name={"id": 7})
        found = send(site, "GET", "/sessions", pair).json["sessions"]
        assert len(found) == 2
        path = f"/sessions/{site.row(other).session_id}"
        assert send(site, "DELETE", path, pair).status_code == 204
        assert send(site, "DELETE", "/sessions", pair).status_code == 204
        assert send(site, "POST", "/logout-all", pair).status_code == 204
        assert_refused(site.get(pair), RevokedToken)


def test_all_other_sessions_are_ended(site: Site) -> None:
    mine, other = site.log_in(), site.log_in()
    assert send(site, "DELETE", "/sessions", mine).status_code == 204
    assert_refused(site.get(other), RevokedToken)
    assert site.get(mine).status_code == 200


def test_one_session_is_ended_if_it_is_ones_own(site: Site) -> None:
    mine, other, foreign = site.log_in(), site.log_in(), site.log_in(name="bob")
    path = f"/sessions/{site.row(other).session_id}"
    assert send(site, "DELETE", path, mine).status_code == 204
    assert_refused(site.get(other), RevokedToken)
    for sid in (site.row(foreign).session_id, site.row(other).session_id, "x"):
        answer = send(site, "DELETE", f"/sessions/{sid}", mine)
        assert answer.status_code == 404
        assert answer.json["error"] == "not_found"
    assert site.get(foreign).status_code == 200


def test_a_log_out_clears_cookies_and_needs_the_csrf_value() -> None:
    settings: dict[str, Any] = {"PASETO_TOKEN_LOCATIONS": ["cookies", "headers"]}
    with open_site(Mounted(), **settings) as site:
        state = states_of(site.app)["default"]
        names = state.config.cookies
        for path in ("/auth/logout", "/auth/logout-all"):
            pair = site.log_in()
            csrf = site.read(pair)["csrf"]
            client = site.app.test_client()
            client.set_cookie(names.access.name, pair["access_token"], secure=True)

            def post(path: str = path, client: Any = client, **headers: str) -> Any:
                return client.post(path, headers=headers, base_url="https://localhost")

            assert_refused(post(), CsrfError)
            assert site.get(pair).status_code == 200
            done = post(**{"X-CSRF-Token": csrf})
            assert done.status_code == 204
            cleared = done.headers.getlist("Set-Cookie")
            assert len(cleared) == 3
            assert all("Max-Age=0" in each for each in cleared)
            assert_refused(site.get(pair), RevokedToken)


@pytest.mark.parametrize("expired", [False, True], ids=["no access", "an expired one"])
def test_log_out_takes_the_cookie_of_the_refresh_token_alone(expired: bool) -> None:
    """The browser forgets that of the access token long before the session ends."""
    settings: dict[str, Any] = {"PASETO_TOKEN_LOCATIONS": ["headers", "cookies"]}
    with open_site(Mounted(), **settings) as site:
        names = states_of(site.app)["default"].config.cookies
        pair = site.log_in()
        csrf = site.read(pair)["csrf"]
        client = site.app.test_client()
        client.set_cookie(names.refresh.name, pair["refresh_token"], secure=True)
        if expired:
            client.set_cookie(names.access.name, pair["access_token"], secure=True)
        site.clock.advance(3600)

        def post(**headers: str) -> Any:
            url = "https://localhost"
            return client.post("/auth/logout", headers=headers, base_url=url)

        assert_refused(post(), CsrfError)
        assert site.row(pair).revoked_at is None
        done = post(**{"X-CSRF-Token": csrf})
        assert done.status_code == 204
        assert len(done.headers.getlist("Set-Cookie")) == 3
        assert site.row(pair).reason == "logout"
        assert_refused(client.post("/auth/logout"), MissingToken)


def test_log_out_takes_the_refresh_token_where_the_key_of_the_other_has_ended() -> None:
    settings: dict[str, Any] = {"PASETO_TOKEN_LOCATIONS": ["headers", "cookies"]}
    with open_site(Mounted(), **settings) as site:
        names = states_of(site.app)["default"].config.cookies
        pair = site.log_in()
        client = site.app.test_client()
        client.set_cookie(names.access.name, pair["access_token"][:-1], secure=True)
        client.set_cookie(names.refresh.name, pair["refresh_token"], secure=True)

        def post(**headers: str) -> Any:
            url = "https://localhost"
            return client.post("/auth/logout", headers=headers, base_url=url)

        assert_refused(post(), CsrfError)
        assert site.row(pair).revoked_at is None
        done = post(**{"X-CSRF-Token": site.read(pair)["csrf"]})
        assert done.status_code == 204
        assert len(done.headers.getlist("Set-Cookie")) == 3
        assert site.row(pair).reason == "logout"
        client.set_cookie(names.access.name, "x", secure=True)
        assert_refused(post(), InvalidToken)


GUARDED = [
    ("POST", "/logout-all"),
    ("GET", "/sessions"),
    ("DELETE", "/sessions"),
    ("DELETE", "/sessions/x"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_they_take_an_access_token_that_holds(
    site: Site, method: str, path: str
) -> None:
    pair = site.log_in()
    assert_refused(send(site, method, path, None), MissingToken)
    bad = {"access_token": "x"}
    assert_refused(send(site, method, path, bad), InvalidToken)
    refused = send(site, method, path, pair, "refresh")
    assert_refused(refused, AccessTokenRequired)
    end(site, pair)
    assert_refused(send(site, method, path, pair), RevokedToken)


def test_log_out_takes_no_token_that_is_none(site: Site) -> None:
    pair = site.log_in()
    assert_refused(send(site, "POST", "/logout", None), MissingToken)
    refused = send(site, "POST", "/logout", {"access_token": "x"})
    assert_refused(refused, InvalidToken)
    site.clock.advance(3600)
    assert_refused(send(site, "POST", "/logout", pair), ExpiredToken)
    assert site.row(pair).revoked_at is None


# RFC 7009


@pytest.mark.requirement("REV-4")
def test_revoke_takes_a_refresh_token_with_its_session(site: Site) -> None:
    pair = site.log_in()
    for _ in range(2):
        answer = revoke(
            site, token=pair["refresh_token"], token_type_hint="refresh_token"
        )
        assert (answer.status_code, answer.data) == (200, b"")
    assert site.row(pair).reason == "logout"
    assert_refused(site.get(pair), RevokedToken)


@pytest.mark.requirement("REV-4")
def test_revoke_takes_an_access_token_alone(site: Site) -> None:
    pair = site.log_in()
    answer = revoke(site, token=pair["access_token"], token_type_hint="nonsense")
    assert answer.status_code == 200
    assert_refused(site.get(pair), RevokedToken)
    assert site.rotate(pair)


@pytest.mark.requirement("REV-4")
def test_revoke_takes_an_expired_token(site: Site) -> None:
    pair = site.log_in(refresh_expires_in=60)
    site.clock.advance(3600)
    assert revoke(site, token=pair["refresh_token"]).status_code == 200
    assert site.row(pair).revoked_at is not None


@pytest.mark.requirement("REV-4")
@pytest.mark.parametrize("token", ["x", "v4.local.AAAA", "f" * 32, "é\x00", "x" * 9000])
def test_revoke_is_content_with_what_is_no_token_and_writes_nothing(
    site: Site, token: str
) -> None:
    answer = revoke(site, token=token)
    assert (answer.status_code, answer.data) == (200, b"")
    assert site.store.calls == []


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": ["a", "b"]}], ids=str)
def test_revoke_wants_one_token(site: Site, form: dict[str, Any]) -> None:
    assert_refused(revoke(site, **form), InvalidRequest)


@pytest.mark.requirement("REV-2")
def test_what_could_not_be_written_is_a_503(site: Site) -> None:
    pair = site.log_in()
    site.store.out |= {"revoke_session", "revoke_token", "revoke_subject"}
    for answer in (
        revoke(site, token=pair["refresh_token"]),
        revoke(site, token=pair["access_token"]),
        send(site, "POST", "/logout", pair),
        send(site, "POST", "/logout-all", pair),
        send(site, "DELETE", "/sessions", pair),
        send(site, "DELETE", f"/sessions/{site.row(pair).session_id}", pair),
    ):
        assert_refused(answer, StoreUnavailable)
        assert answer.headers["Retry-After"] == "1"


def test_under_protect_only_revoke_is_open() -> None:
    manager = Mounted()
    with open_site(manager) as site:
        manager.protect(site.app)
        assert_refused(send(site, "GET", "/sessions", None), MissingToken)
        assert revoke(site, token="x").status_code == 200


@pytest.mark.requirement("REV-5")
def test_without_a_store_the_setting_is_named(make_app: MakeApp) -> None:
    app = make_app()
    app.register_blueprint(session_blueprint("other"))
    with pytest.raises(ConfigurationError, match="PASETO_STORE"):
        app.test_client().post("/revoke", data={"token": "x"})
