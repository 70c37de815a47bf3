"""Revocation: found by id in one round trip, at its place in the walk, or a 503."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from flask_paseto import (
    NEVER,
    AccessTokenRequired,
    Claims,
    ConfigurationError,
    ExpiredToken,
    FreshTokenRequired,
    InvalidClaims,
    InvalidToken,
    PasetoManager,
    RevokedToken,
    StoreUnavailable,
    WrongTokenType,
    create_access_token,
    create_token,
    decode_token,
    get_session_id,
    paseto_required,
    refresh_token_required,
    revoke_session,
    revoke_subject,
    revoke_token,
)
from flask_paseto.signals import session_revoked, store_bypassed, token_revoked
from flask_paseto.state import states_of
from flask_paseto.stores import micros
from flask_paseto.testing import Clock, override_settings

from .conftest import MakeApp
from .refusals import assert_refused, bearer
from .sessions import Pair, Site, end, open_site
from .stores import Unreliable
from .test_signals import listening


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


def revoke(site: Site, what: Callable[..., Any], *args: Any, **options: Any) -> Any:
    with site.app.app_context():
        return what(*args, **options)


def ticket(site: Site, **options: Any) -> str:
    with site.app.app_context():
        return create_token("alice", "ticket", **options)


def use(site: Site, token: str, **options: Any) -> Claims:
    with site.app.app_context():
        return decode_token(token, type="ticket", consume=True, **options)


# REV-1: what is looked for, and how often


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize("path", ["/me", "/refreshable"])
def test_a_guard_asks_once_for_token_session_and_subject(site: Site, path: str) -> None:
    pair = site.log_in()
    site.store.calls.clear()
    assert site.get(pair, path).status_code == 200
    assert len(site.store.calls) == 1


@pytest.mark.requirement("REV-1")
def test_a_session_that_is_revoked_refuses_all_its_tokens(site: Site) -> None:
    pair, other = site.log_in(), site.log_in()
    with listening(session_revoked, site.app) as sent:
        assert revoke(site, revoke_session, site.row(pair).session_id) is True
    assert sent == [(site.app, {"reason": "revoked", "count": 1})]
    assert_refused(site.get(pair), RevokedToken)
    assert_refused(site.get(pair, "/refreshable"), RevokedToken)
    assert_refused(site.try_rotate(pair), RevokedToken)
    assert site.get(other).status_code == 200


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize("given", ["token", "claims", "jti"])
def test_a_token_that_is_revoked_is_refused_alone(site: Site, given: str) -> None:
    pair = site.log_in()
    claims = site.read(pair)
    what: dict[str, Any] = {
        "token": {"token": pair["access_token"]},
        "claims": {"token": claims},
        "jti": {"jti": claims.jti},
    }[given]
    with listening(token_revoked, site.app) as sent:
        assert revoke(site, revoke_token, reason="lost", **what) is True
    assert sent == [(site.app, {"reason": "lost"})]
    assert_refused(site.get(pair), RevokedToken)
    assert site.get(site.rotate(pair)).status_code == 200


@pytest.mark.requirement("REV-1")
def test_a_session_that_is_missing_refuses(site: Site) -> None:
    pair = site.log_in()
    with open_site(clock=site.clock) as empty:  # a store that lost its data
        assert_refused(empty.get(pair), RevokedToken)
        assert_refused(empty.get(pair, "/refreshable"), RevokedToken)


@pytest.mark.requirement("REV-1")
def test_an_entry_lives_until_the_token_has_ended_and_is_then_gone(site: Site) -> None:
    pair = site.log_in(session_id=False, expires_in=60)
    assert revoke(site, revoke_token, pair["access_token"])
    site.clock.advance(69)
    assert_refused(site.get(pair), RevokedToken)
    site.clock.advance(2)
    assert_refused(site.get(pair), ExpiredToken)
    site.clock.advance(20)
    assert site.store.purge() == 1
    changes = site.store.changes(None, horizon=10**12)
    assert changes.tokens == ()


@pytest.mark.requirement("REV-1")
def test_another_token_of_the_same_claims_is_revoked_with_it(site: Site) -> None:
    """A list of texts would miss it; a v3 signature has two spellings."""
    pair = site.log_in(session_id=False)
    codec = states_of(site.app)["default"].codec
    again = codec.seal(dict(site.read(pair)))
    assert again != pair["access_token"]
    revoke(site, revoke_token, pair["access_token"])
    assert_refused(site.client.get("/me", headers=bearer(again)), RevokedToken)


@pytest.mark.requirement("REV-1")
def test_what_is_not_to_be_checked_is_not(site: Site) -> None:
    with override_settings(site.app, PASETO_REVOCATION_CHECKS=["ticket"]):
        pair = site.log_in()
        end(site, pair)
        site.store.calls.clear()
        assert site.get(pair).status_code == 200
        assert site.store.calls == []
        # Refresh tokens always ask.
        assert_refused(site.get(pair, "/refreshable"), RevokedToken)
        token = ticket(site)
        revoke(site, revoke_token, token)
        with site.app.app_context(), pytest.raises(RevokedToken):
            decode_token(token, type="ticket")
    assert_refused(site.get(pair), RevokedToken)


def test_a_guard_may_be_told_not_to_look(site: Site) -> None:
    site.app.add_url_rule(
        "/unchecked", "unchecked", paseto_required(check_revoked=False)(lambda: "ok")
    )
    pair = site.log_in()
    end(site, pair)
    site.store.calls.clear()
    assert site.get(pair, "/unchecked").text == "ok"
    assert site.store.calls == []


def test_the_callback_is_asked_too_and_after_the_store(site: Site) -> None:
    manager, asked = PasetoManager(), []

    @manager.token_in_denylist_loader
    def is_denied(claims: Claims) -> bool:
        asked.append(list(other.store.calls))
        return "banned" in claims

    with open_site(manager) as other:
        pair, banned = other.log_in(), other.log_in(user_claims={"banned": 1})
        other.store.calls.clear()
        assert other.get(pair).status_code == 200
        assert asked == [["check_token"]]
        assert_refused(other.get(banned), RevokedToken)
        assert_refused(other.try_rotate(banned), RevokedToken)


def test_a_forged_or_expired_token_never_reaches_the_store(site: Site) -> None:
    pair = site.log_in(expires_in=60)
    site.store.calls.clear()
    token = pair["access_token"]
    forged = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    assert_refused(site.get({"access_token": forged}), InvalidToken)
    refused = site.get({"access_token": pair["refresh_token"]})
    assert_refused(refused, AccessTokenRequired)
    site.clock.advance(120)
    assert_refused(site.get(pair), ExpiredToken)
    assert site.store.calls == []


@pytest.mark.requirement("STEP-3")
def test_a_revoked_session_is_told_so_and_not_asked_for_the_password(
    site: Site,
) -> None:
    site.app.add_url_rule("/fresh", "fresh", paseto_required(fresh=True)(lambda: "ok"))
    pair = site.rotate(site.log_in())
    assert_refused(site.get(pair, "/fresh"), FreshTokenRequired)
    end(site, pair)
    assert_refused(site.get(pair, "/fresh"), RevokedToken)


@pytest.mark.requirement("STEP-2")
def test_a_rotation_never_makes_a_login_younger(site: Site) -> None:
    pair = site.log_in()
    login = site.read(pair).auth_time
    for _ in range(3):
        site.clock.advance(3600)
        pair = site.rotate(pair)
    assert site.read(pair).auth_time == site.read(pair, "refresh").auth_time == login


# REV-2: a store that does not answer


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("path", ["/me", "/refreshable"])
def test_nobody_is_let_in_unchecked(site: Site, path: str) -> None:
    pair = site.log_in()
    site.store.out |= {"check_token", "check_refresh"}
    response = site.get(pair, path)
    assert_refused(response, StoreUnavailable)
    assert response.headers["Retry-After"] == "1"
    site.store.out.clear()
    assert site.get(pair, path).status_code == 200


@pytest.mark.requirement("REV-2")
def test_only_access_tokens_pass_and_only_by_the_explicit_word(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(site.app, PASETO_STORE_OUTAGE="allow"):
        pair, single = site.log_in(), ticket(site)
        revoked = site.log_in()
        end(site, revoked)
        assert_refused(site.get(revoked), RevokedToken)
        site.store.out |= {"check_token", "check_refresh", "session"}
        with listening(store_bypassed, site.app) as sent:
            with caplog.at_level(logging.WARNING, "flask_paseto"):
                assert site.get(pair).status_code == 200
            assert_refused(site.get(pair, "/refreshable"), StoreUnavailable)
            assert_refused(site.try_rotate(pair), StoreUnavailable)
            with site.app.app_context(), pytest.raises(StoreUnavailable):
                decode_token(single, type="ticket")
        assert sent == [(site.app, {})]
        assert "passed unchecked" in caplog.text
        assert_refused(site.get({"access_token": "x"}), InvalidToken)


@pytest.mark.requirement("REV-2")
def test_a_revocation_that_was_not_written_is_told(site: Site) -> None:
    pair = site.log_in()
    site.store.out |= {"revoke_session", "revoke_token", "revoke_subject"}
    for what, arg in (
        (revoke_session, site.row(pair).session_id),
        (revoke_token, pair["access_token"]),
        (revoke_token, pair["refresh_token"]),
        (revoke_subject, "alice"),
    ):
        with pytest.raises(StoreUnavailable):
            revoke(site, what, arg)


# REV-3


@pytest.mark.requirement("REV-3")
def test_a_login_in_the_same_moment_as_a_log_out_everywhere_works(site: Site) -> None:
    before = [site.log_in() for _ in range(3)]
    with listening(session_revoked, site.app) as sent:
        assert revoke(site, revoke_subject, "alice", reason="password") == 3
    after, other = site.log_in(), site.log_in(name="bob")
    assert sent == [(site.app, {"reason": "password", "count": 3})]
    for pair in before:
        assert_refused(site.get(pair), RevokedToken)
        assert_refused(site.try_rotate(pair), RevokedToken)
    assert site.get(after).status_code == site.get(other).status_code == 200


@pytest.mark.requirement("REV-3")
def test_so_does_a_token_without_a_session_a_microsecond_later(site: Site) -> None:
    before, old_ticket = site.log_in(session_id=False), ticket(site)
    assert revoke(site, revoke_subject, "alice") == 0
    same = site.log_in(session_id=False)
    site.clock.advance(timedelta(microseconds=1))
    after, new_ticket = site.log_in(session_id=False), ticket(site)
    assert_refused(site.get(before), RevokedToken)
    assert_refused(site.get(same), RevokedToken)
    assert_refused(site.refresh(before), RevokedToken)
    assert site.get(after).status_code == 200
    with pytest.raises(RevokedToken):
        use(site, old_ticket)
    assert use(site, new_ticket).subject == "alice"


@pytest.mark.requirement("REV-3")
def test_tokens_of_an_app_whose_clock_is_ahead_of_the_store_are_out_too() -> None:
    clock = Clock()
    behind = Unreliable(clock=Clock(clock() - timedelta(seconds=5)))
    with open_site(clock=clock, store=behind) as site:
        before, old_ticket = site.log_in(session_id=False), ticket(site)
        revoke(site, revoke_subject, "alice")
        assert_refused(site.get(before), RevokedToken)
        with pytest.raises(RevokedToken):
            use(site, old_ticket)


@pytest.mark.requirement("REV-3")
def test_this_session_may_go_on(site: Site) -> None:
    one, two = site.log_in(), site.log_in()
    sid = site.row(two).session_id
    assert revoke(site, revoke_subject, "alice", except_session=sid) == 1
    assert_refused(site.get(one), RevokedToken)
    assert site.get(two).status_code == 200


@pytest.mark.requirement("REV-3")
@pytest.mark.parametrize("forever", [True, False])
def test_a_cut_off_is_kept_as_long_as_tokens_may_last(
    site: Site, forever: bool
) -> None:
    with override_settings(site.app, PASETO_ALLOW_NON_EXPIRING=forever):
        revoke(site, revoke_subject, "alice")
    (entry,) = site.store.changes(None, horizon=10**12).cut_offs
    longest = micros(timedelta(days=90, seconds=20))
    assert entry.until == (None if forever else micros(site.clock()) + longest)


@pytest.mark.requirement("REV-1")
def test_a_token_that_outlasts_what_was_revoked_is_refused(site: Site) -> None:
    """A store forgets a revocation when nothing may last any longer."""
    with site.app.app_context():
        token = create_access_token(
            "alice", session_id=False, expires_in=timedelta(days=80)
        )
    with override_settings(site.app, PASETO_MAX_TOKEN_LIFETIME=timedelta(days=80)):
        assert site.client.get("/me", headers=bearer(token)).status_code == 200
    with override_settings(site.app, PASETO_MAX_TOKEN_LIFETIME=timedelta(days=40)):
        refused = site.client.get("/me", headers=bearer(token))
        assert_refused(refused, InvalidClaims)


@pytest.mark.requirement("ROT-3")
@pytest.mark.parametrize("end_it", ["session", "subject"])
def test_nothing_is_issued_from_a_session_that_the_request_has_ended(
    site: Site, end_it: str
) -> None:

    @site.app.post("/leave")
    @refresh_token_required
    def leave() -> str:
        if end_it == "session":
            revoke_session(str(get_session_id()))
        else:
            revoke_subject("alice")
        return create_access_token("alice")

    headers = bearer(site.log_in()["refresh_token"])
    assert_refused(site.client.post("/leave", headers=headers), RevokedToken)


def test_a_subject_is_what_the_loader_makes_of_it() -> None:
    manager = PasetoManager()
    manager.subject_loader(lambda user: user if isinstance(user, str) else "alice")
    with open_site(manager) as site:
        pair = site.log_in()
        assert revoke(site, revoke_subject, object()) == 1
        assert_refused(site.get(pair), RevokedToken)


# REV-4


@pytest.mark.requirement("REV-4")
def test_revoking_is_idempotent(site: Site) -> None:
    pair = site.log_in()
    access, refresh = pair["access_token"], pair["refresh_token"]
    sid = site.row(pair).session_id
    assert revoke(site, revoke_token, access) is True
    assert revoke(site, revoke_token, refresh) is True
    with (
        listening(token_revoked, site.app) as one,
        listening(session_revoked, site.app) as two,
    ):
        assert revoke(site, revoke_token, access) is False
        assert revoke(site, revoke_token, refresh) is False
        assert revoke(site, revoke_session, sid) is False
        assert revoke(site, revoke_session, "f" * 32) is False
        assert revoke(site, revoke_subject, "alice") == 0
    assert one == two == []
    assert site.row(pair).reason == "revoked"


@pytest.mark.requirement("REV-4")
@pytest.mark.parametrize("given", ["token", "claims"])
def test_a_refresh_token_takes_its_session_with_it(site: Site, given: str) -> None:
    pair = site.log_in()
    claims = site.read(pair, "refresh")
    what = pair["refresh_token"] if given == "token" else claims
    assert revoke(site, revoke_token, what, reason="logout") is True
    assert site.row(pair).reason == "logout"
    assert_refused(site.get(pair), RevokedToken)


@pytest.mark.requirement("REV-4")
def test_a_refresh_token_without_a_session_is_revoked_itself(site: Site) -> None:
    pair = site.log_in(session_id=False)
    assert revoke(site, revoke_token, pair["refresh_token"]) is True
    assert_refused(site.refresh(pair), RevokedToken)
    assert site.get(pair).status_code == 200


@pytest.mark.requirement("REV-4")
def test_an_expired_token_can_be_logged_out(site: Site) -> None:
    pair = site.log_in(refresh_expires_in=60)
    site.clock.advance(3600)
    assert_refused(site.get(pair), ExpiredToken)
    assert revoke(site, revoke_token, pair["access_token"]) is False  # nothing to do
    assert revoke(site, revoke_token, pair["refresh_token"]) is True
    assert site.row(pair).revoked_at is not None


@pytest.mark.requirement("REV-4")
def test_a_token_that_cannot_be_verified_writes_nothing(site: Site) -> None:
    pair = site.log_in()
    token = pair["refresh_token"]
    forged = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    site.store.calls.clear()
    bads = (forged, "v4.local.x", token + "=", "v2.local.AAAA", "", "f" * 32, 5)
    for bad in bads:
        with pytest.raises(InvalidToken):
            revoke(site, revoke_token, bad)
    with pytest.raises(InvalidToken):
        revoke(site, revoke_token, token, implicit_assertion="other")
    assert site.store.calls == []
    assert site.rotate(pair)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: revoke_token(), TypeError),
        (lambda: revoke_token("x", jti="x"), TypeError),
        (lambda: revoke_token(jti=""), ValueError),
        (lambda: revoke_token(jti=5), TypeError),  # type: ignore[arg-type]
        (lambda: revoke_token("x", reason="two words"), ValueError),
        (lambda: revoke_session(""), ValueError),
        (lambda: revoke_session("x", reason=""), ValueError),
        (lambda: revoke_subject(None), TypeError),
        (lambda: revoke_subject("x", reason="ä"), ValueError),
    ],
)
def test_a_wrong_argument_writes_nothing(
    site: Site, call: Callable[[], Any], error: type[Exception]
) -> None:
    with site.app.app_context(), pytest.raises(error):
        call()
    assert site.store.calls == []


@pytest.mark.requirement("REV-5")
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("revoke_token", lambda: revoke_token("x")),
        ("revoke_session", lambda: revoke_session("x")),
        ("revoke_subject", lambda: revoke_subject("alice")),
        ("consume=True", lambda: decode_token("x", consume=True)),
    ],
)
def test_without_a_store_the_setting_is_named(
    make_app: MakeApp, name: str, call: Callable[[], Any]
) -> None:
    message = rf"^{re.escape(name)} needs a store: set PASETO_STORE"
    with make_app().app_context(), pytest.raises(ConfigurationError, match=message):
        call()


# One-use tokens


@pytest.mark.requirement("REV-1")
def test_a_one_use_token_passes_once(site: Site) -> None:
    token = ticket(site)
    assert use(site, token).subject == "alice"
    with pytest.raises(RevokedToken):
        use(site, token)
    with site.app.app_context(), pytest.raises(RevokedToken):
        decode_token(token, type="ticket")


def test_of_two_that_use_it_at_once_one_passes(site: Site) -> None:
    token = ticket(site)
    site.store.before["consume_token"] = lambda: use(site, token)
    with pytest.raises(RevokedToken, match="used before"):
        use(site, token)


def test_a_refused_token_is_not_used_up(site: Site) -> None:
    token = ticket(site, scopes="read")
    for options in ({"scopes": "write"}, {"max_age": 5}, {"audience": "x"}):
        with pytest.raises(Exception, match=r"40[13]"):
            use(site, token, **options)
    with site.app.app_context(), pytest.raises(WrongTokenType):
        decode_token(token, type="other", consume=True)
    site.store.out.add("consume_token")
    with pytest.raises(StoreUnavailable):
        use(site, token)
    site.store.out.clear()
    assert use(site, token)


def test_an_access_token_may_be_used_up_and_a_refresh_token_not(site: Site) -> None:
    pair = site.log_in()
    with site.app.app_context():
        assert decode_token(pair["access_token"], consume=True)
        for types in ("refresh", ("refresh", "access")):
            with pytest.raises(ValueError, match="rotate_token_pair"):
                decode_token(pair["refresh_token"], type=types, consume=True)
        with pytest.raises(TypeError, match="consume"):
            decode_token(pair["access_token"], consume=1)  # type: ignore[arg-type]
    assert_refused(site.get(pair), RevokedToken)
    assert site.rotate(pair)


def test_a_token_without_end_is_used_once_for_ever(site: Site) -> None:
    with override_settings(site.app, PASETO_ALLOW_NON_EXPIRING=True):
        token = ticket(site, expires_in=NEVER)
        assert use(site, token)
        site.clock.advance(timedelta(days=4000))
        with pytest.raises(RevokedToken):
            use(site, token)


# A refresh token of a session in an app with tokens of another store


def test_a_session_of_another_subject_refuses(site: Site) -> None:
    pair = site.log_in()
    with site.app.app_context():
        sid = site.row(pair).session_id
        codec = states_of(site.app)["default"].codec
        forged = codec.seal({**dict(site.read(pair)), "sub": "bob", "sid": sid})
    assert_refused(site.client.get("/me", headers=bearer(forged)), RevokedToken)


def test_no_signal_or_log_holds_a_token_or_a_claim(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG, "flask_paseto"),
        listening(session_revoked, site.app) as one,
        listening(token_revoked, site.app) as two,
    ):
        pair: Pair = site.log_in(name="s3cret")
        claims = site.read(pair)
        site.rotate(pair)
        site.clock.advance(20)
        site.try_rotate(pair)
        revoke(site, revoke_token, claims)
        revoke(site, revoke_session, claims.session_id)
    told = caplog.text + repr([keywords for _, keywords in one + two])
    for word in ("s3cret", claims.jti, str(claims.session_id), pair["access_token"]):
        assert word not in told
