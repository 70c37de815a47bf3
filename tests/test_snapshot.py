"""The snapshot: never older than promised, complete, and own writes at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flask_paseto import (
    NEVER,
    Claims,
    RevokedToken,
    StoreUnavailable,
    create_access_token,
    create_token,
    decode_token,
    refresh_token_required,
    revoke_session,
    revoke_subject,
    revoke_token,
)
from flask_paseto.snapshot import Snapshot, _forget_all
from flask_paseto.state import states_of
from flask_paseto.stores import Changes, CutOff, MemoryStore, Revoked, micros
from flask_paseto.testing import Clock, override_settings, use_clock

from .refusals import assert_refused, bearer
from .sessions import Pair, Site, end, open_site

INTERVAL = 10.0
LEEWAY = timedelta(seconds=10)


class Ticker:
    """A monotonic clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


def take_snapshot(site: Site, ticker: Ticker, store: Any = None) -> Snapshot:
    config = states_of(site.app)["default"].config
    return Snapshot(
        store or site.store,
        interval=timedelta(seconds=INTERVAL),
        longest=max(config.access_token_expires, config.other_token_expires),
        leeway=config.leeway,
        budget=config.store_timeout,
        ticks=ticker,
    )


@pytest.fixture
def site(ticker: Ticker) -> Iterator[Site]:
    """Return an app with a snapshot that is 10 seconds old at most."""
    with open_site() as site:
        states = states_of(site.app)
        snapshot = take_snapshot(site, ticker)
        before = states["default"]
        states["default"] = replace(before, snapshot=snapshot)
        yield site
        states["default"] = before


def statuses(site: Site, *pairs: Pair) -> list[int]:
    return [site.get(pair).status_code for pair in pairs]


def test_a_guard_does_no_input_or_output(site: Site) -> None:
    pair = site.log_in()
    site.get(pair)
    site.store.calls.clear()
    for _ in range(5):
        assert site.get(pair).status_code == 200
    assert site.store.calls == []


@pytest.mark.requirement("REV-2")
def test_what_is_known_to_be_revoked_stays_so_in_an_outage_that_allows() -> None:
    interval = timedelta(seconds=INTERVAL)
    settings: dict[str, Any] = {"PASETO_STORE_OUTAGE": "allow"}
    with open_site(PASETO_REVOCATION_SYNC_INTERVAL=interval, **settings) as site:
        snapshot = states_of(site.app)["default"].snapshot
        assert snapshot is not None
        session, token, subject = (
            site.log_in(name="alice"),
            site.log_in(name="alice"),
            site.log_in(name="bob", session_id=False),
        )
        live = site.log_in(name="carol")
        end(site, session)
        with site.app.app_context():
            revoke_token(token["access_token"])
            revoke_subject("bob")
        assert statuses(site, session, token, subject, live) == [401, 401, 401, 200]
        site.store.out |= {"changes", "check_token"}
        snapshot.expire()
        assert statuses(site, live) == [200]
        for pair in (session, token, subject):
            assert_refused(site.get(pair), RevokedToken)


@pytest.mark.requirement("REV-2")
def test_no_token_passes_unchecked_while_only_the_sync_fails() -> None:
    interval = timedelta(seconds=INTERVAL)
    settings: dict[str, Any] = {"PASETO_STORE_OUTAGE": "allow"}
    with open_site(PASETO_REVOCATION_SYNC_INTERVAL=interval, **settings) as site:
        live, ended = site.log_in(), site.log_in()
        end(site, ended)
        site.store.out.add("changes")
        assert_refused(site.get(ended), RevokedToken)
        assert statuses(site, live, ended) == [200, 401]


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize("leeway", [0, 300], ids=["no leeway", "the most leeway"])
def test_a_token_that_was_issued_late_is_refused_to_its_end(leeway: int) -> None:
    """The store was asked before the session was revoked, and the token made after."""
    interval = timedelta(seconds=INTERVAL)
    settings: dict[str, Any] = {
        "PASETO_LEEWAY": leeway,
        "PASETO_OTHER_TOKEN_EXPIRES": 60,
    }
    with open_site(PASETO_REVOCATION_SYNC_INTERVAL=interval, **settings) as site:

        @site.app.post("/slow")
        @refresh_token_required
        def slow() -> Pair:
            end(site, pair)
            site.clock.advance(30)
            return {"access_token": create_access_token("alice")}

        pair = site.log_in()
        headers = bearer(pair["refresh_token"])
        late: Pair = dict(site.client.post("/slow", headers=headers).json or {})
        site.clock.advance(899 + leeway)
        _forget_all()  # a worker that starts now
        assert_refused(site.get(late), RevokedToken)


def test_the_first_answer_comes_after_a_complete_sync(site: Site) -> None:
    pair, revoked = site.log_in(), site.log_in()
    end(site, revoked)
    site.store.calls.clear()
    assert_refused(site.get(revoked), RevokedToken)
    assert site.store.calls == ["changes"]
    assert site.get(pair).status_code == 200


def test_refresh_tokens_always_ask_the_store(site: Site) -> None:
    pair = site.log_in()
    site.get(pair)
    end(site, pair)
    assert site.get(pair).status_code == 200  # not told yet
    assert_refused(site.get(pair, "/refreshable"), RevokedToken)
    assert_refused(site.try_rotate(pair), RevokedToken)


def test_it_says_nothing_of_refresh_tokens(site: Site, ticker: Ticker) -> None:
    pair = site.log_in()
    snapshot = take_snapshot(site, ticker)
    assert snapshot.check(site.read(pair), site.clock) == "live"
    refresh = site.read(pair, "refresh")
    assert snapshot.check(refresh, site.clock) is None
    snapshot.note_token(refresh.jti, None)
    snapshot.note_session(refresh.session_id or "", site.clock())
    assert snapshot.is_live(refresh, snapshot.due) is None
    assert snapshot.check(refresh, site.clock) is None


# How old it may be


@pytest.mark.requirement("REV-1")
def test_what_another_worker_revokes_is_known_within_the_interval(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    site.get(pair)
    end(site, pair)
    ticker.time += INTERVAL / 2 - 0.01
    assert site.get(pair).status_code == 200
    ticker.time += 0.02  # half the interval: brought in by the request itself
    site.store.calls.clear()
    assert_refused(site.get(pair), RevokedToken)
    assert site.store.calls == ["changes"]


def test_while_the_store_is_out_it_answers_to_the_end_of_the_interval(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    site.get(pair)
    site.store.out |= {"changes", "check_token"}
    ticker.time += INTERVAL - 0.01
    assert site.get(pair).status_code == 200
    ticker.time += 0.02
    assert_refused(site.get(pair), StoreUnavailable)
    site.store.out.clear()
    ticker.time += INTERVAL / 8
    assert site.get(pair).status_code == 200


def test_a_failed_sync_is_not_repeated_by_every_request(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    site.get(pair)
    site.store.out.add("changes")
    ticker.time += INTERVAL / 2
    site.store.calls.clear()
    statuses(site, *[pair] * 5)
    assert site.store.calls == ["changes"]
    ticker.time += INTERVAL  # too old: the store is asked, one trip each
    site.store.calls.clear()
    assert_refused(site.get(pair), StoreUnavailable)
    assert statuses(site, pair, pair) == [200, 200]
    assert site.store.calls == ["changes", "check_token", "check_token"]


def test_the_age_counts_from_the_start_of_the_sync(site: Site, ticker: Ticker) -> None:
    pair = site.log_in()

    def slow() -> None:
        ticker.time += INTERVAL / 2

    site.store.before["changes"] = slow
    site.get(pair)
    site.store.calls.clear()
    site.get(pair)
    assert site.store.calls == ["changes"]


def test_the_age_of_a_sync_in_parts_counts_from_the_start_of_the_first(
    site: Site, ticker: Ticker
) -> None:
    """What was revoked after its part was told is in none of those that follow."""
    claims = site.read(site.log_in())
    parts = Parts(site, [{"reload": True, "more": True}, {}, {}])

    def slow() -> None:
        ticker.time += 0.3  # longer than one request may take for it

    parts.before_part[0] = slow
    snapshot = take_snapshot(site, ticker, parts)
    assert snapshot.check(claims, site.clock) is None
    ticker.time += INTERVAL / 2
    found = [snapshot.check(claims, site.clock) for _ in range(2)]
    assert found == ["live", "live"]
    assert parts.told == 3  # complete, and more than half the interval old already


def test_the_outage_rule_holds_for_it_too(site: Site) -> None:
    states = states_of(site.app)
    before = states["default"]
    config = replace(before.config, store_outage="allow")
    states["default"] = replace(before, config=config)
    pair = site.log_in()
    site.store.out |= {"changes", "check_token"}
    assert site.get(pair).status_code == 200


@pytest.mark.requirement("REV-1")
def test_a_sync_during_the_look_makes_what_was_seen_no_younger(
    site: Site, ticker: Ticker
) -> None:
    claims = site.read(site.log_in())
    revoked = {"reload": True, **one("tokens", claims.jti, micros(site.clock()))}
    snapshot = take_snapshot(site, ticker, Parts(site, [{"reload": True}, revoked]))
    assert snapshot.check(claims, site.clock) == "live"
    ticker.time += INTERVAL
    looking = replace(claims, wire=Watched(claims, lambda: snapshot.sync(site.clock)))
    assert snapshot.is_live(looking, snapshot.due) is None
    assert snapshot.sync(site.clock)
    assert snapshot.is_live(claims, snapshot.due) is False


class Watched(dict[str, Any]):
    """Claims that do something when they are looked at for the first time."""

    def __init__(self, claims: Claims, then: Callable[[], object]) -> None:
        super().__init__(claims)
        self.then = [then]

    def __getitem__(self, name: str) -> Any:
        if self.then:
            self.then.pop()()
        return super().__getitem__(name)


# Own writes


@pytest.mark.parametrize(
    "what",
    [
        lambda claims: revoke_session(claims.session_id),
        lambda claims: revoke_token(claims),
        lambda claims: revoke_subject("alice"),
    ],
    ids=["session", "token", "subject"],
)
def test_what_this_worker_revokes_it_knows_at_once(
    site: Site, what: Callable[[Claims], Any]
) -> None:
    pair, other = site.log_in(), site.log_in(name="bob")
    site.get(pair)
    with site.app.app_context():
        what(site.read(pair))
    assert_refused(site.get(pair), RevokedToken)
    assert site.get(other).status_code == 200


def test_after_a_log_out_everywhere_nothing_is_answered_from_before(
    site: Site,
) -> None:
    pair = site.log_in()
    site.get(pair)
    with site.app.app_context():
        revoke_subject("alice")
    site.store.out |= {"changes", "check_token"}
    assert_refused(site.get(pair), StoreUnavailable)
    site.store.out.discard("check_token")
    assert_refused(site.get(pair), RevokedToken)


def test_reuse_that_this_worker_finds_it_knows_at_once(site: Site) -> None:
    pair = site.log_in()
    site.rotate(pair)
    site.get(pair)
    site.clock.advance(11)
    site.try_rotate(pair)
    assert_refused(site.get(pair), RevokedToken)


def test_a_one_use_token_is_known_at_once(site: Site) -> None:
    site.get(site.log_in())
    with site.app.app_context():
        ticket = create_token("alice", "ticket")
        assert decode_token(ticket, type="ticket", consume=True)
        site.store.calls.clear()
        with pytest.raises(RevokedToken):
            decode_token(ticket, type="ticket", consume=True)
    assert site.store.calls == []


def test_a_write_during_a_reload_is_not_lost(site: Site, ticker: Ticker) -> None:
    pair, other = site.log_in(), site.log_in()
    parts = Parts(site, [{"reload": True, "more": True}, {"more": False}])
    snapshot = take_snapshot(site, ticker, parts)
    claims = site.read(pair)

    def write() -> None:
        snapshot.note_session(claims.session_id or "", site.clock())
        snapshot.note_token(site.read(other).jti, None)

    parts.before_part[1] = write
    assert snapshot.check(site.read(site.log_in()), site.clock) == "live"
    assert snapshot.check(claims, site.clock) == "revoked"
    assert snapshot.check(site.read(other), site.clock) == "revoked"


def test_a_sync_that_began_before_a_write_does_not_settle_it(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    parts = Parts(site, [{"reload": True}, {}, {}])
    snapshot = take_snapshot(site, ticker, parts)
    parts.before_part[0] = snapshot.expire
    assert snapshot.check(site.read(pair), site.clock) is None
    assert snapshot.check(site.read(pair), site.clock) == "live"
    assert parts.told == 2


# What it holds


def test_a_cut_off_refuses_tokens_without_a_session(site: Site, ticker: Ticker) -> None:
    before = site.log_in(session_id=False)
    site.store.revoke_subject(
        "alice", reason="logout", cut_off=0, until=micros(site.clock()) + 10**12
    )
    site.clock.advance(0.001)
    after = site.log_in(session_id=False)
    assert statuses(site, before, after) == [401, 200]
    assert "check_token" not in site.store.calls


def test_a_token_that_lasts_longer_than_it_remembers_asks_the_store(
    site: Site,
) -> None:
    with override_settings(site.app, PASETO_ALLOW_NON_EXPIRING=True):
        snapshot = take_snapshot(site, Ticker())
        state = states_of(site.app)["default"]
        states_of(site.app)["default"] = replace(state, snapshot=snapshot)
        hour, longer = site.log_in(expires_in=3600), site.log_in(expires_in=3601)
        with site.app.app_context():
            token = create_access_token("alice", expires_in=NEVER, session_id=False)
        free = {"access_token": token}
        site.store.calls.clear()
        assert statuses(site, hour, longer, free) == [200, 200, 200]
        assert site.store.calls == ["changes", "check_token"]
        states_of(site.app)["default"] = state


@pytest.mark.requirement("REV-1")
def test_it_refuses_to_the_last_moment_of_a_token_and_then_forgets(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in(expires_in=3600)
    end(site, pair)
    site.clock.advance(3600 + LEEWAY.total_seconds() - 0.2)
    assert_refused(site.get(pair), RevokedToken)

    snapshot = take_snapshot(site, ticker, Parts(site, many(site, 3000)))
    assert snapshot.check(site.read(site.log_in()), site.clock) == "live"
    assert len(snapshot) == 1024  # too few to look for ends


@pytest.mark.requirement("REV-1")
def test_what_has_not_ended_stays_when_what_has_ended_goes(
    site: Site, ticker: Ticker
) -> None:
    token, session = site.log_in(name="bob"), site.log_in(name="bob")
    single = site.log_in(session_id=False)
    now = micros(site.clock())
    first, last = many(site, 3000)
    first["tokens"] += (Revoked(id=site.read(token).jti, at=now, until=None),)
    first["sessions"] = (
        Revoked(id=site.read(session).session_id or "", at=now, until=now + 10**12),
    )
    first["cut_offs"] = (CutOff(subject="alice", cut_off=now, at=now, until=None),)
    snapshot = take_snapshot(site, ticker, Parts(site, [first, last]))
    for pair in (token, session, single):
        assert snapshot.check(site.read(pair), site.clock) == "revoked"
    assert len(snapshot) == 1024 + 3


def many(site: Site, count: int) -> list[dict[str, Any]]:
    """Return parts of three kinds, all of which have ended by the clock."""
    past = micros(site.clock()) - 1
    entries = [Revoked(id=str(n), at=0, until=past) for n in range(count)]
    return [
        {"reload": True, "more": True, "tokens": tuple(entries[:-1023])},
        {"tokens": tuple(entries[-1023:]), "sessions": (entries[0],)},
    ]


class Parts(MemoryStore):
    """A store that tells its changes in these parts."""

    def __init__(self, site: Site, parts: list[dict[str, Any]]) -> None:
        super().__init__(clock=site.clock)
        self.parts = parts
        self.told = 0
        self.cursors: list[str | None] = []
        self.before_part: dict[int, Callable[[], None]] = {}
        self.out: set[int] = set()

    def changes(self, since: str | None, *, horizon: int) -> Changes:
        self.cursors.append(since)
        if self.told in self.out:
            self.out.remove(self.told)
            raise StoreUnavailable
        self.before_part.get(self.told, lambda: None)()
        part = {"reload": False, "more": False, **self.parts[self.told]}
        self.told += 1
        return Changes(cursor=str(self.told), **part)


def one(kind: str, id: str, at: int) -> dict[str, Any]:
    return {kind: (Revoked(id=id, at=at, until=at + 10**12),)}


def test_a_reload_takes_the_place_of_what_was_there(site: Site, ticker: Ticker) -> None:
    pair, other, third = site.log_in(), site.log_in(), site.log_in()
    now = micros(site.clock())
    jtis = [site.read(each).jti for each in (pair, other, third)]
    parts = Parts(
        site,
        [
            {"reload": True, **one("tokens", jtis[0], now)},
            {**one("tokens", jtis[2], now)},
            {"reload": True, "more": True, **one("tokens", jtis[1], now)},
            {},
        ],
    )
    snapshot = take_snapshot(site, ticker, parts)

    def answers() -> list[str | None]:
        return [
            snapshot.check(site.read(each), site.clock) for each in (pair, other, third)
        ]

    assert answers() == ["revoked", "live", "live"]
    ticker.time += INTERVAL / 2
    assert answers() == ["revoked", "live", "revoked"]
    ticker.time += INTERVAL / 2
    assert answers() == ["live", "revoked", "live"]
    assert parts.cursors == [None, "1", "2", "3"]


def test_a_long_sync_is_spread_over_requests_and_the_store_asked_meanwhile(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    parts = Parts(site, [{"reload": True, "more": True}, {"more": True}, {}])

    def slow() -> None:
        ticker.time += 0.3

    parts.before_part = dict.fromkeys(range(3), slow)
    snapshot = take_snapshot(site, ticker, parts)
    found = [snapshot.check(site.read(pair), site.clock) for _ in range(4)]
    assert found == [None, None, "live", "live"]
    assert parts.told == 3


def test_a_sync_that_breaks_off_goes_on_where_it_was(
    site: Site, ticker: Ticker
) -> None:
    pair, other = site.log_in(), site.log_in()
    jti, now = site.read(pair).jti, micros(site.clock())
    parts = Parts(site, [{"reload": True, "more": True, **one("tokens", jti, now)}, {}])
    parts.out = {1}
    snapshot = take_snapshot(site, ticker, parts)
    with pytest.raises(StoreUnavailable):
        snapshot.check(site.read(other), site.clock)
    assert snapshot.check(site.read(pair), site.clock) is None
    ticker.time += INTERVAL / 8
    assert snapshot.check(site.read(pair), site.clock) == "revoked"
    assert parts.cursors == [None, "1", "1"]


def test_one_thread_brings_in_and_the_others_go_on(site: Site, ticker: Ticker) -> None:
    pair = site.log_in()
    claims = site.read(pair)
    parts = Parts(site, [{"reload": True}, {}, {}])
    snapshot = take_snapshot(site, ticker, parts)
    found: list[str | None] = []

    def meanwhile() -> None:
        thread = threading.Thread(
            target=lambda: found.append(snapshot.check(claims, site.clock))
        )
        thread.start()
        thread.join(30)

    parts.before_part = {0: meanwhile, 1: meanwhile}
    snapshot.check(claims, site.clock)
    assert found == [None]  # there was nothing yet: the store is asked
    ticker.time += INTERVAL / 2
    snapshot.check(claims, site.clock)
    assert found == [None, "live"]
    assert parts.told == 2


# Fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_starts_over_whatever_a_thread_was_doing(
    site: Site, ticker: Ticker
) -> None:
    pair = site.log_in()
    claims = site.read(pair)
    parts = Parts(site, [{"reload": True}, {"reload": True}])
    snapshot = take_snapshot(site, ticker, parts)
    answers: list[str] = []

    def fork() -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # with the locks of the parent held
            parts.told = 1
            found = snapshot.check(claims, site.clock)
            os.write(write, str(found).encode())
            os._exit(0)
        os.close(write)
        with open(read) as answer:
            answers.append(answer.read())
        os.waitpid(child, 0)

    parts.before_part[0] = fork
    assert snapshot.check(claims, site.clock) == "live"
    assert answers == ["live"]


def test_starting_over_forgets_everything(site: Site, ticker: Ticker) -> None:
    pair = site.log_in()
    jti, now = site.read(pair).jti, micros(site.clock())
    first = {"reload": True, **one("tokens", jti, now)}
    snapshot = take_snapshot(site, ticker, Parts(site, [first, {"reload": True}]))
    assert snapshot.check(site.read(pair), site.clock) == "revoked"
    _forget_all()
    assert len(snapshot) == 0
    assert snapshot.check(site.read(pair), site.clock) == "live"


def test_the_settings_make_it(site: Site) -> None:
    with override_settings(site.app, PASETO_REVOCATION_SYNC_INTERVAL=1):
        pair = site.log_in()
        assert site.get(pair).status_code == 200
        site.store.calls.clear()
        assert site.get(pair).status_code == 200
        assert site.store.calls == []
        with use_clock(site.app, Clock(site.clock())):
            assert site.get(pair).status_code == 200
