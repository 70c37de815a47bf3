"""Sessions: opened by a login, joined by its other tokens, listed and named."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_paseto import (
    NEVER,
    ConfigurationError,
    ExpiredToken,
    PasetoManager,
    RevokedToken,
    StoreUnavailable,
    create_access_token,
    create_refresh_token,
    create_token,
    create_token_pair,
    decode_token,
    get_subject,
    list_sessions,
    paseto_required,
    refresh_token_required,
    revoke_session,
)
from flask_paseto.login import Login
from flask_paseto.stores import MemoryStore, id_bucket, micros, moment, subject_bucket
from flask_paseto.testing import Clock, override_settings, use_clock

from .conftest import MakeApp, add_routes
from .refusals import assert_refused, bearer
from .sessions import Pair, Site, end, open_site


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def flow() -> Iterator[Site]:
    """Return an app with the flow of the documentation, on a store."""
    with open_site() as site:
        app = Flask("tests")
        app.config.update(site.app.config)
        PasetoManager(app)
        add_routes(app)
        yield Site(app, app.test_client(), site.store, site.clock)


def answer(response: Any) -> Pair:
    assert response.status_code == 200, response.text
    return dict(response.json)


# Opening


def test_a_pair_opens_a_session_with_both_of_its_tokens(site: Site) -> None:
    pair = site.log_in(scopes="b a", client="Zoë's phone", address="2001:db8::1")

    row, access, refresh = site.row(pair), site.read(pair), site.read(pair, "refresh")

    assert (row.subject, row.client) == ("alice", "Zoë's phone")
    assert row.address == "2001:db8::1"
    assert row.session_id == access.session_id == refresh.session_id
    assert row.issued is not None
    assert (row.issued.jti, row.issued.access_jti) == (refresh.jti, access.jti)
    assert row.issued.scopes == ("a", "b")
    assert access.auth_time is not None
    assert row.auth_time == micros(access.auth_time)
    assert row.opened_at == micros(site.clock())
    assert row.idle == 30 * 24 * 3600 * 10**6
    assert row.lifetime == 90 * 24 * 3600 * 10**6


def test_a_login_by_a_token_of_your_own_type_opens_a_session(site: Site) -> None:
    """A link in a mail has no session that could go on."""

    @site.app.post("/by-mail")
    @paseto_required(type="mail")
    def by_mail() -> Pair:
        return {
            "access_token": create_access_token("alice"),
            "refresh_token": create_refresh_token("alice"),
        }

    with site.app.app_context():
        mail = create_token("alice", "mail")
    pair = answer(site.client.post("/by-mail", headers=bearer(mail)))

    row, access, refresh = site.row(pair), site.read(pair), site.read(pair, "refresh")
    assert row.session_id == access.session_id == refresh.session_id
    assert row.issued is not None
    assert row.issued.jti == refresh.jti


def test_ids_lead_to_the_bucket_of_the_subject(site: Site) -> None:
    pair = site.log_in(name="zoë")
    bucket = subject_bucket("zoë")
    for claims in (site.read(pair), site.read(pair, "refresh")):
        assert claims.session_id is not None
        assert id_bucket(claims.jti) == id_bucket(claims.session_id) == bucket
        assert len(claims.jti) == 32


def test_each_login_is_a_session_of_its_own(site: Site) -> None:
    rows = {site.row(site.log_in()).session_id for _ in range(3)}
    assert len(rows) == len(site.store.list_sessions("alice")) == 3


def test_the_flow_of_the_documentation_is_one_session(flow: Site) -> None:
    pair = answer(flow.client.post("/login", json={"name": "alice"}))
    assert flow.store.calls == ["open_session", "attach"]
    assert len(flow.store.list_sessions("alice")) == 1
    refresh = bearer(pair["refresh_token"])
    again = answer(flow.client.post("/refresh", headers=refresh))
    assert flow.row(again).session_id == flow.row(pair).session_id
    access = bearer(again["access_token"])
    assert flow.client.get("/protected", headers=access).status_code == 200
    end(flow, pair)
    assert_refused(flow.client.post("/refresh", headers=refresh), RevokedToken)
    assert_refused(flow.client.get("/protected", headers=access), RevokedToken)


def test_the_order_of_the_tokens_does_not_matter(site: Site) -> None:
    @site.app.post("/other-way")
    def other_way() -> Pair:
        return {
            "refresh_token": create_refresh_token("alice"),
            "access_token": create_access_token("alice"),
        }

    pair = answer(site.client.post("/other-way"))
    assert site.read(pair).session_id == site.read(pair, "refresh").session_id
    assert site.store.calls == ["open_session"]
    assert site.rotate(pair)


def test_each_refresh_token_of_one_request_has_a_session_of_its_own(
    site: Site,
) -> None:
    @site.app.post("/two")
    def two() -> Pair:
        tokens = [create_refresh_token("alice"), create_refresh_token("alice")]
        pair = create_token_pair("alice")
        more = create_access_token("alice")
        return {"tokens": [*tokens, pair.refresh_token], "access_token": more}

    found = answer(site.client.post("/two"))
    assert len(site.store.list_sessions("alice")) == 3
    sids = [
        site.read({"refresh_token": token}, "refresh").session_id
        for token in found["tokens"]
    ]
    assert len(set(sids)) == 3
    assert site.read(found).session_id == sids[0]
    for token in found["tokens"]:
        assert site.rotate({"refresh_token": token})


def test_outside_of_a_request_each_call_opens_a_session(site: Site) -> None:
    with site.app.app_context():
        one, two = create_access_token("alice"), create_refresh_token("alice")
        three = create_token_pair("alice")
    for token, kind in (
        (one, "access"),
        (two, "refresh"),
        (three.access_token, "access"),
    ):
        site.read({f"{kind}_token": token}, kind, check_revoked=True)
    assert len(site.store.list_sessions("alice")) == 3


def test_tokens_of_other_types_open_none(site: Site) -> None:
    with site.app.app_context():
        ticket = create_token("alice", "ticket")
        claims = decode_token(ticket, type="ticket")
    assert claims.session_id is None
    assert site.store.list_sessions("alice") == ()


def test_a_token_without_a_session_is_asked_for_with_false(site: Site) -> None:
    pair = site.log_in(session_id=False)
    assert site.store.calls == []
    assert site.read(pair).session_id is None
    assert site.get(pair).status_code == 200
    assert site.refresh(pair).status_code == 200
    assert site.read(answer(site.refresh(pair))).session_id is None
    assert site.store.list_sessions("alice") == ()


def test_tokens_without_a_session_tell_microseconds(site: Site) -> None:
    pair = site.log_in(session_id=False)
    assert site.read(pair).issued_at == site.clock()
    inside = site.read(site.log_in()).issued_at
    assert inside == site.clock().replace(microsecond=0)


def test_nothing_is_opened_for_a_token_that_cannot_be_sealed(site: Site) -> None:
    with site.app.app_context():
        for create in (create_access_token, create_refresh_token, create_token_pair):
            with pytest.raises(ValueError, match="MAX_TOKEN_LENGTH"):
                create("alice", user_claims={"a": "x" * 9000})
    assert site.store.calls == []


def test_nothing_is_handed_out_that_the_store_does_not_know(site: Site) -> None:
    site.store.out.add("open_session")
    assert_refused(site.client.post("/login", json={}), StoreUnavailable)


def test_a_driver_that_repeats_its_call_opens_nothing_twice(site: Site) -> None:
    real = site.store.open_session

    class Repeating(MemoryStore):
        def open_session(self, session: Any) -> bool:
            return real(session) and real(session)

    with open_site(store=Repeating(clock=site.clock), clock=site.clock) as other:
        assert_refused(other.client.post("/login", json={}), StoreUnavailable)


def test_no_token_of_a_session_is_without_end(site: Site) -> None:
    with (
        override_settings(
            site.app, PASETO_ALLOW_NON_EXPIRING=True, PASETO_SESSION_LIFETIME=7200
        ),
        site.app.app_context(),
    ):
        end_of_it = site.clock().replace(microsecond=0) + timedelta(hours=2)
        claims = decode_token(create_access_token("alice", expires_in=NEVER))
        assert claims.expires_at == end_of_it
        pair = create_token_pair("alice", expires_in=NEVER)
        assert (pair.expires_in, pair.refresh_expires_in) == (7200, 7200)
        free = create_access_token("alice", expires_in=NEVER, session_id=False)
        assert decode_token(free).expires_at is None


# Joining


def test_a_login_in_a_guarded_view_opens_another_session(site: Site) -> None:
    @site.app.post("/again")
    @paseto_required
    def again() -> Pair:
        return create_token_pair("alice", fresh=True).to_dict()

    one = site.log_in()
    two = answer(site.client.post("/again", headers=bearer(one["access_token"])))
    assert site.row(two).session_id != site.row(one).session_id
    assert site.rotate(one)
    assert site.rotate(two)


def test_a_second_refresh_token_of_a_session_is_a_mistake(site: Site) -> None:
    @site.app.post("/refresh-token")
    @paseto_required(type=("access", "refresh"))
    def make() -> Pair:
        return {"refresh_token": create_refresh_token("alice")}

    @site.app.post("/pair")
    @paseto_required(type=("access", "refresh"))
    def make_pair() -> Pair:
        return create_token_pair("alice").to_dict()

    pair = site.log_in()
    for path in ("/refresh-token", "/pair"):
        for kind in ("access_token", "refresh_token"):
            with pytest.raises(ConfigurationError, match="rotate_token_pair"):
                site.client.post(path, headers=bearer(pair[kind]))
    assert len(site.store.list_sessions("alice")) == 1
    assert site.rotate(pair)


def test_a_session_without_a_refresh_token_gets_its_first(site: Site) -> None:
    @site.app.post("/refresh-token")
    @paseto_required
    def make() -> Pair:
        return {"refresh_token": create_refresh_token("alice")}

    with site.app.app_context():
        access = create_access_token("alice")
    found = answer(site.client.post("/refresh-token", headers=bearer(access)))
    assert (
        site.read(found, "refresh").session_id
        == site.read({"access_token": access}).session_id
    )
    assert site.rotate(found)


def test_a_session_that_is_revoked_meanwhile_gets_no_token(site: Site) -> None:
    @site.app.post("/more/<what>")
    @paseto_required
    def more(what: str) -> Pair:
        create = {"access": create_access_token, "refresh": create_refresh_token}
        return {f"{what}_token": create[what]("alice")}

    with site.app.app_context():
        access = create_access_token("alice")
    pair = {"access_token": access}
    site.store.before["session"] = lambda: end(site, pair)
    headers = bearer(access)
    assert_refused(site.client.post("/more/access", headers=headers), RevokedToken)
    with site.app.app_context():
        pair["access_token"] = access = create_access_token("alice")
    site.store.before["attach"] = lambda: end(site, pair)
    refused = site.client.post("/more/refresh", headers=bearer(access))
    assert_refused(refused, RevokedToken)


def test_a_session_that_is_given_must_live_and_be_the_subjects(site: Site) -> None:
    pair = site.log_in()
    sid = site.row(pair).session_id
    with site.app.app_context():
        claims = decode_token(create_access_token("alice", session_id=sid))
        assert claims.session_id == sid
        assert (
            decode_token(
                create_token("alice", "ticket", session_id=sid), type="ticket"
            ).session_id
            == sid
        )
        with pytest.raises(ValueError, match=r"session_id .* another subject"):
            create_access_token("bob", session_id=sid)
        for gone in ("f" * 32, "x"):
            with pytest.raises(RevokedToken):
                create_access_token("alice", session_id=gone)
        with pytest.raises(ConfigurationError, match="second"):
            create_refresh_token("alice", session_id=sid)
        site.clock.advance(timedelta(days=30, seconds=1))
        for create in (create_access_token, create_refresh_token):
            with pytest.raises(ExpiredToken):
                create("alice", session_id=sid)
        other = site.row(site.log_in()).session_id
        revoke_session(other)
        with pytest.raises(RevokedToken):
            create_access_token("alice", session_id=other)


def test_an_access_token_made_from_another_does_not_outlast_an_idle_session(
    site: Site,
) -> None:
    @site.app.post("/more")
    @paseto_required
    def more() -> Pair:
        return {"access_token": create_access_token("alice", expires_in=7200)}

    with override_settings(site.app, PASETO_SESSION_IDLE=3600):
        pair = site.log_in(expires_in=3600)
        site.clock.advance(1800)
        found = answer(site.client.post("/more", headers=bearer(pair["access_token"])))
        idle_end = moment(site.row(pair).idle_expires_at).replace(microsecond=0)
        assert site.read(found).expires_at == idle_end


def test_what_is_made_from_a_token_without_a_session_has_none(site: Site) -> None:
    @site.app.post("/more")
    @paseto_required
    def more() -> Pair:
        return create_token_pair("alice", fresh=False).to_dict()

    pair = site.log_in(session_id=False)
    found = answer(site.client.post("/more", headers=bearer(pair["access_token"])))
    assert site.read(found).session_id is None
    assert site.read(found, "refresh").session_id is None
    assert site.store.list_sessions("alice") == ()


def test_a_token_without_a_session_may_join_one_outside_of_a_request(
    site: Site,
) -> None:
    with site.app.app_context():
        access = create_access_token("alice")
        sid = site.read({"access_token": access}).session_id
        refresh = create_refresh_token("alice", session_id=sid)
    pair = {"access_token": access, "refresh_token": refresh}
    assert site.read(site.rotate(pair)).session_id == sid


def test_impersonation_opens_a_session_of_the_other(site: Site) -> None:
    @site.app.post("/as/<name>")
    @paseto_required
    def act_as(name: str) -> Pair:
        return {"access_token": create_access_token(name)}

    pair = site.log_in(name="admin")
    headers = bearer(pair["access_token"])
    found = answer(site.client.post("/as/alice", headers=headers))
    row = site.row(found)
    assert (row.subject, row.auth_time) == ("alice", None)
    assert row.session_id != site.row(pair).session_id


# Who and where


def test_client_and_address_are_taken_from_the_request_by_choice(site: Site) -> None:
    headers = {"User-Agent": "Browser\t9 " + "x" * 300}
    chosen = {"client": True, "address": True}
    pair = answer(site.client.post("/login", json=chosen, headers=headers))
    assert site.row(pair).client == ("Browser9 " + "x" * 300)[:200]
    assert site.row(pair).address == "127.0.0.1"
    pair = answer(site.client.post("/login", json={}, headers=headers))
    assert (site.row(pair).client, site.row(pair).address) == ("", "")


def test_what_a_client_calls_itself_may_be_anything(site: Site) -> None:
    row = site.row(site.log_in(client="a\x00\n\ud800\u202eb", address=""))
    assert (row.client, row.address) == ("ab", "")
    chosen = {"client": True, "address": True}
    no_agent = site.client.post(
        "/login", json=chosen, headers={"User-Agent": ""},
        environ_overrides={"REMOTE_ADDR": None},
    )  # fmt: skip
    row = site.row(answer(no_agent))
    assert (row.client, row.address) == ("", "")


@pytest.mark.parametrize("name", ["client", "address"])
def test_client_and_address_are_checked(
    site: Site, make_app: MakeApp, name: str
) -> None:
    with site.app.app_context():
        with pytest.raises(ValueError, match="from a request"):
            create_access_token("alice", **{name: True})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=name):
            create_access_token("alice", **{name: 5})  # type: ignore[arg-type]
        assert site.store.calls == []
    with (
        make_app().app_context(),
        pytest.raises(ConfigurationError, match="PASETO_STORE"),
    ):
        create_access_token("alice", **{name: "x"})  # type: ignore[arg-type]


# The list


def test_a_list_shows_the_live_sessions_of_a_subject(site: Site) -> None:
    @site.app.get("/sessions")
    @paseto_required
    def sessions() -> Pair:
        return {"found": [each.to_dict() for each in list_sessions(get_subject())]}

    phone = site.log_in(client="phone", address="192.0.2.1")
    opened = site.clock().replace(microsecond=0)
    site.clock.advance(60)
    laptop = site.log_in(client="laptop")
    end(site, site.log_in(client="gone"))
    site.log_in(name="bob")
    site.clock.advance(60)
    phone = site.rotate(phone)

    found = answer(site.get(phone, "/sessions"))["found"]

    assert [each["client"] for each in found] == ["laptop", "phone"]
    assert [each["current"] for each in found] == [False, True]
    assert found[1] == {
        "session_id": site.row(phone).session_id,
        "client": "phone",
        "address": "192.0.2.1",
        "opened_at": opened.isoformat()[:-6] + "Z",
        "last_used_at": (opened + timedelta(minutes=2)).isoformat()[:-6] + "Z",
        "expires_at": (opened + timedelta(days=30, minutes=2)).isoformat()[:-6] + "Z",
        "current": True,
    }
    assert answer(site.get(laptop, "/sessions"))["found"][0]["current"] is True


def test_a_list_can_be_made_anywhere(site: Site) -> None:
    pair = site.log_in()
    with site.app.app_context():
        (one,) = list_sessions("alice")
        assert list_sessions("bob") == ()
    assert (one.session_id, one.current) == (site.row(pair).session_id, False)
    assert one.opened_at == one.last_used_at == site.clock()


@pytest.mark.requirement("REV-5")
def test_without_a_store_there_is_no_list(make_app: MakeApp) -> None:
    with (
        make_app().app_context(),
        pytest.raises(ConfigurationError, match=r"^list_sessions .*PASETO_STORE"),
    ):
        list_sessions("alice")


# memory://


def test_memory_warns_where_the_server_has_several_processes() -> None:
    with open_site() as site:
        several = {"wsgi.multiprocess": True}
        with pytest.warns(RuntimeWarning, match="PASETO_STORE is 'memory://'"):
            site.client.post("/login", json={}, environ_overrides=several)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            site.log_in()


def test_a_store_that_is_shared_does_not_warn(site: Site) -> None:
    class Shared:
        def __getattr__(self, name: str) -> Any:
            return getattr(site.store, name)

    with open_site(store=Shared(), clock=site.clock) as other:
        several = {"wsgi.multiprocess": True}
        login = other.client.post("/login", json={}, environ_overrides=several)
        assert login.status_code == 200


def test_settings_of_a_test_keep_the_store_and_another_one_is_new(site: Site) -> None:
    pair = site.log_in()
    with override_settings(site.app, PASETO_REALM="other"):
        assert site.get(pair).status_code == 200
    with override_settings(site.app, PASETO_STORE="memory://"):
        assert_refused(site.get(pair), RevokedToken)
    assert site.get(pair).status_code == 200


def test_a_store_in_memory_reads_the_clock_of_the_app(make_app: MakeApp) -> None:
    app = make_app(PASETO_STORE="memory://")
    clock = Clock()
    with use_clock(app, clock), app.app_context():
        clock.advance(timedelta(days=400))
        create_access_token("alice")
        (one,) = list_sessions("alice")
        assert one.opened_at == clock()


def test_a_deleted_row_refuses(site: Site) -> None:
    @site.app.post("/again")
    @refresh_token_required
    def again() -> Pair:
        return {"access_token": create_access_token("alice")}

    pair = site.log_in()
    with open_site(clock=site.clock) as lost:
        assert_refused(lost.get(pair), RevokedToken)
        assert_refused(lost.try_rotate(pair), RevokedToken)
        assert_refused(lost.refresh(pair), RevokedToken)


@pytest.mark.requirement("KEY-6")
def test_no_repr_shows_a_token_that_is_not_handed_out(site: Site) -> None:
    with site.app.app_context():
        login = Login("alice")
        session = login.join("access", {})
        stamp = login.stamp("access", {}, session, is_login=False, auth_time=None)
        draft = login.draft("access", {}, False, stamp, session)
    assert draft.text not in repr(draft)
    assert repr(draft) == "<Draft>"
