"""Rotation: one compare-and-swap on the row, retries within the grace, theft caught."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_paseto import (
    ConfigurationError,
    ExpiredToken,
    InvalidClaims,
    MissingToken,
    PasetoManager,
    RefreshTokenRequired,
    RefreshTokenReused,
    RevokedToken,
    StoreUnavailable,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    decode_token,
    get_claims,
    paseto_required,
    refresh_token_required,
    rotate_token_pair,
)
from flask_paseto.signals import (
    refresh_retried,
    refresh_reused,
    session_revoked,
    token_issued,
)
from flask_paseto.stores import micros
from flask_paseto.testing import override_settings

from .conftest import MakeApp
from .refusals import assert_refused, bearer
from .sessions import Site, end, open_site
from .test_signals import listening

ISSUES = [
    *("access", "fresh", "given", "none", "refresh", "ticket"),
    *("other", "pair", "login"),
]
NO_GRACE: dict[str, Any] = {"PASETO_ROTATION_GRACE": 0}


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def strict() -> Iterator[Site]:
    with open_site(**NO_GRACE) as site:
        yield site


# What a rotation gives


def test_a_rotation_gives_the_next_pair_of_the_session(site: Site) -> None:
    before = site.log_in(scopes="read write")
    site.clock.advance(60)

    after = site.rotate(before)

    old, new = site.read(before, "refresh"), site.read(after, "refresh")
    access = site.read(after)
    assert new.session_id == access.session_id == old.session_id
    assert len({old.jti, new.jti, access.jti, site.read(before).jti}) == 4
    assert new.subject == access.subject == "alice"
    assert new.scopes == access.scopes == {"read", "write"}
    assert access.fresh is False
    assert new.issued_at == access.issued_at == site.clock().replace(microsecond=0)
    assert new.auth_time == access.auth_time == old.auth_time
    assert after["token_type"] == "Bearer"
    assert after["expires_in"] == 15 * 60
    assert after["refresh_expires_in"] == 30 * 24 * 3600
    assert site.get(after).status_code == site.get(before).status_code == 200


def test_the_row_holds_what_was_handed_out(site: Site) -> None:
    pair = site.rotate(site.log_in(scopes="b a"))

    row = site.row(pair)

    refresh, access = site.read(pair, "refresh"), site.read(pair)
    assert row.issued is not None
    assert (row.issued.jti, row.issued.access_jti) == (refresh.jti, access.jti)
    assert refresh.expires_at is not None
    assert access.expires_at is not None
    assert row.issued.expires_at == micros(refresh.expires_at)
    assert row.issued.access_expires_at == micros(access.expires_at)
    assert row.issued.issued_at == micros(access.issued_at)
    assert row.issued.scopes == ("a", "b")


def test_a_rotation_is_two_round_trips_and_a_login_one(site: Site) -> None:
    pair = site.log_in()
    assert site.store.calls == ["open_session"]
    site.store.calls.clear()

    site.rotate(pair)

    assert site.store.calls == ["check_refresh", "consume"]


def test_the_options_of_a_token_hold_for_the_next_pair(site: Site) -> None:
    pair = site.rotate(
        site.log_in(), expires_in=60, refresh_expires_in=120, user_claims={"a": 1}
    )

    assert (pair["expires_in"], pair["refresh_expires_in"]) == (60, 120)
    assert site.read(pair)["a"] == site.read(pair, "refresh")["a"] == 1


def test_the_answer_is_not_stored_and_both_tokens_are_told(site: Site) -> None:
    pair = site.log_in()
    with listening(token_issued, site.app) as sent:
        response = site.try_rotate(pair)
    assert response.headers["Cache-Control"] == "no-store"
    kinds = [keywords["token_type"] for _, keywords in sent]
    assert kinds == ["access", "refresh"]


def test_the_subject_is_not_put_through_the_loader_again() -> None:
    manager = PasetoManager()
    manager.subject_loader(lambda user: f"user-{user['id']}")
    with open_site(manager) as site:
        pair = site.rotate(site.log_in(name={"id": 7}))
        assert site.read(pair).subject == "user-7"


# ROT-1


@pytest.mark.requirement("ROT-1")
def test_of_simultaneous_refreshes_one_commits_its_successor(site: Site) -> None:
    pair = site.log_in()
    start = threading.Barrier(16, timeout=60)

    def rotate(_: int) -> dict[str, Any]:
        client = site.app.test_client()
        start.wait()
        found = client.post("/rotate", headers=bearer(pair["refresh_token"]))
        assert found.status_code == 200
        assert found.json is not None
        return dict(found.json)

    with ThreadPoolExecutor(16) as pool:
        pairs = list(pool.map(rotate, range(16)))

    assert len({site.read(each, "refresh").jti for each in pairs}) == 1
    assert len({site.read(each).jti for each in pairs}) == 1
    assert site.rotate(pairs[0])


@pytest.mark.requirement("ROT-1")
def test_without_a_grace_one_of_them_is_answered_and_the_session_dies(
    strict: Site,
) -> None:
    pair = strict.log_in()
    start = threading.Barrier(16, timeout=60)

    def rotate(_: int) -> int:
        client = strict.app.test_client()
        start.wait()
        return client.post("/rotate", headers=bearer(pair["refresh_token"])).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(rotate, range(16)))

    # The winner may be overtaken between its guard and its swap: then it is none.
    assert statuses.count(200) <= 1
    assert set(statuses) <= {200, 401}
    assert strict.row(pair).reason == "reused"
    assert_refused(strict.get(pair), RevokedToken)


# ROT-2


@pytest.mark.requirement("ROT-2")
def test_a_token_that_comes_again_after_the_grace_ends_the_session(
    site: Site,
) -> None:
    stolen = site.log_in()
    pair = site.rotate(stolen)
    site.clock.advance(10)

    with (
        listening(refresh_reused, site.app) as reused,
        listening(session_revoked, site.app) as revoked,
    ):
        assert_refused(site.try_rotate(stolen), RefreshTokenReused)

    assert reused == [(site.app, {})]
    assert revoked == [(site.app, {"reason": "reused", "count": 1})]
    for each in (stolen, pair):
        assert_refused(site.get(each), RevokedToken)
        assert_refused(site.try_rotate(each), RevokedToken)
    assert len(reused) == 1


@pytest.mark.requirement("ROT-2")
def test_a_retry_within_the_grace_gets_the_same_successor(site: Site) -> None:
    pair = site.log_in(scopes="read")
    first = site.rotate(pair)
    site.clock.advance(9.9)

    with listening(refresh_retried, site.app) as retried:
        second = site.rotate(pair, expires_in=5, user_claims={"n": 2})

    assert retried == [(site.app, {})]
    for kind in ("access", "refresh"):
        one, two = site.read(first, kind), site.read(second, kind)
        assert dict(two) == {**dict(one), "n": 2}
    assert second["expires_in"] == first["expires_in"]
    third = site.rotate(second)
    assert_refused(site.try_rotate(pair), RefreshTokenReused)  # its successor was used
    assert_refused(site.get(third), RevokedToken)


@pytest.mark.requirement("ROT-2")
def test_a_retry_may_narrow_nothing_and_widen_nothing(site: Site) -> None:
    pair = site.log_in(scopes="read write")
    site.rotate(pair, scopes="read")

    again = site.rotate(pair, scopes="read write")

    assert site.read(again).scopes == site.read(again, "refresh").scopes == {"read"}


@pytest.mark.requirement("ROT-2")
def test_without_a_grace_the_second_time_is_reuse(strict: Site) -> None:
    pair = strict.log_in()
    after = strict.rotate(pair)
    assert_refused(strict.try_rotate(pair), RefreshTokenReused)
    assert_refused(strict.get(after), RevokedToken)


@pytest.mark.requirement("ROT-2")
def test_a_guard_alone_finds_reuse(site: Site) -> None:
    pair = site.log_in()
    after = site.rotate(pair)
    site.clock.advance(10)
    assert_refused(site.get(pair, "/refreshable"), RefreshTokenReused)
    assert_refused(site.get(after), RevokedToken)


# ROT-3


@pytest.mark.requirement("ROT-3")
def test_a_loser_that_revokes_between_the_swap_and_the_answer_leaves_no_one_alive(
    strict: Site,
) -> None:
    pair = strict.log_in()
    losers: list[int] = []

    def lose(sender: Any, **keywords: Any) -> None:
        if not losers:  # after the winner's consume, before its tokens go out
            losers.append(0)
            losers[0] = strict.try_rotate(pair).status_code

    with token_issued.connected_to(lose, sender=strict.app):
        won = strict.rotate(pair)

    assert losers == [401]
    assert_refused(strict.get(won), RevokedToken)
    assert_refused(strict.try_rotate(won), RevokedToken)


@pytest.mark.requirement("ROT-3")
@pytest.mark.parametrize("grace", [0, 10])
def test_a_revocation_between_the_guard_and_the_swap_refuses(grace: int) -> None:
    with open_site(PASETO_ROTATION_GRACE=grace) as site:
        pair = site.log_in()
        site.store.before["consume"] = lambda: end(site, pair)

        assert_refused(site.try_rotate(pair), RevokedToken)

        row = site.row(pair)
        assert row.reason == "logout"
        assert row.previous_jti is None


@pytest.mark.requirement("ROT-3")
def test_a_rotation_between_the_guard_and_the_swap_is_reuse_without_a_grace(
    strict: Site,
) -> None:
    pair = strict.log_in()
    other: list[Any] = []
    strict.store.before["consume"] = lambda: other.append(strict.rotate(pair))

    with listening(refresh_reused, strict.app) as reused:
        assert_refused(strict.try_rotate(pair), RefreshTokenReused)

    assert len(reused) == 1
    assert_refused(strict.get(other[0]), RevokedToken)


@pytest.mark.requirement("ROT-3")
@pytest.mark.parametrize("grace", [0, 10])
def test_a_lost_answer_of_the_store_is_no_theft(grace: int) -> None:
    with open_site(PASETO_ROTATION_GRACE=grace) as site:
        pair = site.log_in()
        site.store.lost.add("consume")

        with (
            listening(refresh_reused, site.app) as reused,
            listening(refresh_retried, site.app) as retried,
        ):
            after = site.rotate(pair)

        assert reused == retried == []
        assert site.row(pair).issued is not None
        assert site.get(after).status_code == 200
        assert site.rotate(after)


@pytest.mark.requirement("ROT-3")
def test_a_lost_answer_of_the_app_and_its_repetition_is_no_theft(site: Site) -> None:
    pair = site.log_in()
    site.rotate(pair)  # the client never sees this
    after = site.rotate(pair)
    assert site.rotate(after)


# ROT-4


@pytest.mark.requirement("ROT-4")
def test_scopes_only_get_fewer(site: Site) -> None:
    pair = site.rotate(site.log_in(scopes="a b"), scopes="a")
    assert site.read(pair).scopes == site.read(pair, "refresh").scopes == {"a"}
    for wider in ("a b", "b", "c"):
        with pytest.raises(ValueError, match=r"^scopes must be among"):
            site.try_rotate(pair, scopes=wider)
    assert site.rotate(pair)  # nothing of that used it up
    bare = site.log_in()
    with pytest.raises(ValueError, match=r"^scopes must be among"):
        site.try_rotate(bare, scopes="a")
    assert "scope" not in site.read(site.rotate(bare)).wire


@pytest.mark.requirement("ROT-4")
@pytest.mark.parametrize("path", ["/rotate", "/refresh"])
def test_the_audience_never_widens(path: str) -> None:
    settings = {
        "PASETO_AUDIENCE": ["a", "b"],
        "PASETO_ACCEPTED_AUDIENCES": ["a", "b", "c"],
    }
    with open_site(**settings) as site:
        pair = site.log_in(audience=["a"])
        response = site.client.post(path, headers=bearer(pair["refresh_token"]))
        assert response.json is not None
        assert site.read(response.json).audience == ("a",)


@pytest.mark.requirement("ROT-4")
def test_an_audience_that_is_asked_for_is_one_of_the_refresh_token() -> None:
    with open_site(PASETO_ACCEPTED_AUDIENCES=["a", "b", "c"]) as site:
        pair = site.log_in(audience=["a", "b"])
        with pytest.raises(ValueError, match=r"^audience must be among"):
            site.try_rotate(pair, audience=["b", "c"])
        assert site.read(site.rotate(pair, audience="b")).audience == ("b",)


@pytest.mark.requirement("ROT-4")
def test_a_session_that_is_not_refreshed_ends(site: Site) -> None:
    with override_settings(site.app, PASETO_SESSION_IDLE=3600):
        pair = site.log_in()
        site.clock.advance(3599)
        pair = site.rotate(pair)
        site.clock.advance(3600)
        assert_refused(site.try_rotate(pair), ExpiredToken)
        assert_refused(site.get(pair, "/refreshable"), ExpiredToken)


@pytest.mark.requirement("ROT-4")
def test_a_refresh_without_rotation_counts_as_use(site: Site) -> None:
    with override_settings(site.app, PASETO_SESSION_IDLE=3600):
        pair = site.log_in()
        for _ in range(3):
            site.clock.advance(3000)
            assert site.refresh(pair).status_code == 200


@pytest.mark.requirement("ROT-4")
def test_a_session_ends_in_any_case_and_no_token_outlasts_it(site: Site) -> None:
    with override_settings(site.app, PASETO_SESSION_LIFETIME=3600):
        pair = site.log_in()
        end_of_it = site.read(pair, "refresh").expires_at
        assert end_of_it == site.clock().replace(microsecond=0) + timedelta(hours=1)
        site.clock.advance(3000)
        pair = site.rotate(pair)
        assert site.read(pair, "refresh").expires_at == end_of_it
        assert site.read(pair).expires_at == end_of_it
        assert pair["expires_in"] == pair["refresh_expires_in"] == 600
        alone = site.refresh(pair)
        assert alone.json is not None
        assert site.read(alone.json).expires_at == end_of_it
        site.clock.advance(601)  # within the leeway of the token
        assert_refused(site.try_rotate(pair), ExpiredToken)
        assert_refused(site.get(pair), ExpiredToken)


@pytest.mark.requirement("ROT-4")
def test_nothing_is_issued_in_the_last_moment_of_a_session(site: Site) -> None:
    with override_settings(site.app, PASETO_SESSION_LIFETIME=3600):
        pair = site.log_in()
        site.clock.advance(3599.99)
        assert_refused(site.try_rotate(pair), ExpiredToken)
        assert_refused(site.refresh(pair), ExpiredToken)
        assert site.row(pair).previous_jti is None


# ROT-5


@pytest.mark.requirement("ROT-5")
def test_a_used_token_within_the_grace_passes_but_issues_nothing_else(
    site: Site,
) -> None:
    @site.app.post("/issue/<what>")
    @refresh_token_required
    def issue(what: str) -> dict[str, Any]:
        claims = get_claims()
        assert claims is not None
        sid = claims.session_id
        issued: Any = {
            "access": lambda: create_access_token("alice"),
            "fresh": lambda: create_access_token("alice", fresh=True),
            "given": lambda: create_access_token("alice", session_id=sid),
            "none": lambda: create_access_token("alice", session_id=False),
            "refresh": lambda: create_refresh_token("alice"),
            "ticket": lambda: create_token("alice", "ticket"),
            "other": lambda: create_access_token("bob"),
            "pair": lambda: create_token_pair("alice"),
            "login": lambda: create_token_pair("alice", fresh=True).to_dict(),
        }[what]()
        return {"issued": issued}

    pair = site.log_in()
    site.rotate(pair)
    headers = bearer(pair["refresh_token"])
    assert site.get(pair, "/refreshable").status_code == 200
    assert_refused(site.refresh(pair), RevokedToken)
    for what in [
        "access",
        "fresh",
        "given",
        "none",
        "refresh",
        "ticket",
        "other",
        "pair",
        "login",
    ]:
        assert_refused(
            site.client.post(f"/issue/{what}", headers=headers), RevokedToken
        )
    assert len(site.store.list_sessions("alice")) == 1
    assert site.rotate(pair)


@pytest.mark.requirement("ROT-5")
def test_a_used_token_after_the_grace_issues_nothing(site: Site) -> None:
    pair = site.log_in()
    site.rotate(pair)
    site.clock.advance(11)
    assert_refused(site.refresh(pair), RefreshTokenReused)


@pytest.mark.requirement("ROT-5")
def test_without_rotation_one_token_refreshes_again_and_again(site: Site) -> None:
    pair = site.log_in()
    for _ in range(3):
        site.clock.advance(3600)
        answer = site.refresh(pair)
        assert answer.status_code == 200
        assert answer.json is not None
        assert site.get(answer.json).status_code == 200
        assert site.read(answer.json).session_id == site.row(pair).session_id


@pytest.mark.requirement("ROT-5")
@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
def test_a_guard_that_does_not_look_leaves_it_to_the_issuing(
    site: Site, used: bool
) -> None:
    @site.app.post("/unchecked")
    @refresh_token_required(check_revoked=False)
    def unchecked() -> dict[str, str]:
        return {"access_token": create_access_token("alice")}

    @site.app.post("/unchecked-other")
    @refresh_token_required(check_revoked=False)
    def unchecked_other() -> dict[str, str]:
        return {"refresh_token": create_refresh_token("alice", session_id=False)}

    @site.app.post("/unchecked-rotation")
    @refresh_token_required(check_revoked=False)
    def unchecked_rotation() -> dict[str, Any]:
        return rotate_token_pair().to_dict()

    pair = site.log_in()
    headers = bearer(pair["refresh_token"])
    if not used:
        assert site.client.post("/unchecked", headers=headers).status_code == 200
        path = "/unchecked-rotation"
        assert site.client.post(path, headers=headers).status_code == 200
        return
    site.rotate(pair)
    for path in ("/unchecked", "/unchecked-other"):
        assert_refused(site.client.post(path, headers=headers), RevokedToken)
    site.clock.advance(10)
    path = "/unchecked-rotation"
    assert_refused(site.client.post(path, headers=headers), RefreshTokenReused)


@pytest.mark.requirement("ROT-5")
def test_decode_token_takes_no_token_that_was_used(site: Site) -> None:
    pair = site.log_in()
    assert site.read(pair, "refresh", check_revoked=True)
    site.rotate(pair)
    with pytest.raises(RevokedToken) as caught:
        site.read(pair, "refresh", check_revoked=True)
    assert type(caught.value) is RevokedToken
    site.clock.advance(10)
    with pytest.raises(RefreshTokenReused):
        site.read(pair, "refresh", check_revoked=True)


# Where it cannot be


@pytest.mark.requirement("REV-5")
def test_without_a_store_it_names_the_setting(make_app: MakeApp) -> None:
    with (
        make_app().app_context(),
        pytest.raises(ConfigurationError, match=r"^rotate_token_pair .*PASETO_STORE"),
    ):
        rotate_token_pair()


def test_it_needs_a_guard(site: Site) -> None:
    message = "no guard has run"
    with site.app.app_context(), pytest.raises(RuntimeError, match=message):
        rotate_token_pair()
    with site.app.test_request_context(), pytest.raises(RuntimeError, match=message):
        rotate_token_pair()


def test_another_token_is_refused(site: Site) -> None:
    @site.app.post("/any")
    @paseto_required(type=("access", "refresh"), optional=True)
    def rotate_any() -> dict[str, Any]:
        return rotate_token_pair().to_dict()

    pair = site.log_in()
    assert_refused(site.client.post("/any"), MissingToken)
    headers = bearer(pair["access_token"])
    assert_refused(site.client.post("/any", headers=headers), RefreshTokenRequired)
    headers = bearer(pair["refresh_token"])
    assert site.client.post("/any", headers=headers).status_code == 200


def test_a_refresh_token_without_a_session_cannot_rotate(site: Site) -> None:
    pair = site.log_in(session_id=False)
    assert site.refresh(pair).status_code == 200
    assert_refused(site.try_rotate(pair), InvalidClaims)


def test_twice_in_one_request_is_a_mistake(strict: Site) -> None:
    @strict.app.post("/twice")
    @refresh_token_required
    def twice() -> dict[str, Any]:
        pair = rotate_token_pair()
        with pytest.raises(RuntimeError, match="already"):
            rotate_token_pair()
        access = create_access_token("alice")  # one more of the same session
        return {**pair.to_dict(), "more": access}

    pair = strict.log_in()
    headers = bearer(pair["refresh_token"])
    answer = strict.client.post("/twice", headers=headers).json
    assert answer is not None
    assert strict.get(answer).status_code == 200
    assert strict.get({"access_token": answer["more"]}).status_code == 200


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"fresh": True}, TypeError),
        ({"session_id": "x"}, TypeError),
        ({"auth_time": None}, TypeError),
        ({"expires_in": 0}, ValueError),
        ({"refresh_expires_in": 0}, ValueError),
        ({"user_claims": {"sub": "bob"}}, ValueError),
        ({"user_claims": {"a": "x" * 9000}}, ValueError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_option_does_not_use_the_token_up(
    strict: Site, options: dict[str, Any], error: type[Exception]
) -> None:
    pair = strict.log_in()
    with pytest.raises(error):
        strict.try_rotate(pair, **options)
    assert strict.rotate(pair)


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("method", ["check_refresh", "consume"])
def test_a_store_that_is_out_is_a_503_and_uses_nothing_up(
    strict: Site, method: str
) -> None:
    pair = strict.log_in()
    strict.store.out.add(method)
    response = strict.try_rotate(pair)
    assert_refused(response, StoreUnavailable)
    assert response.headers["Retry-After"] == "1"
    strict.store.out.clear()
    assert strict.rotate(pair)


def test_two_apps_on_one_store_share_sessions(site: Site) -> None:
    with open_site(store=site.store, clock=site.clock) as other:
        pair = site.log_in()
        after = other.rotate(pair)
        assert site.get(after).status_code == 200
        assert isinstance(other.app, Flask)
        with other.app.app_context():
            assert decode_token(after["access_token"]).subject == "alice"
