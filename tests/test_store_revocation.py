"""Contract of stores: what is revoked, for how long, and how workers learn of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from flask_paseto.stores import (
    MARGIN,
    OVERLAP,
    USED,
    NewSession,
    Store,
    TokenRef,
    Verdict,
    new_id,
)

from .stores import (
    DAY,
    GRACE,
    MINUTE,
    SECOND,
    Snapshot,
    Tried,
    first,
    login,
    new_subject,
    ref,
    single,
    step,
)


def revoke_all(
    store: Store, subject: str, cut_off: int = 0, except_session: str | None = None
) -> int:
    return store.revoke_subject(
        subject,
        reason="all",
        cut_off=cut_off,
        until=None,
        except_session=except_session,
    )


# Tokens


@pytest.mark.parametrize("jti", [None, "ext-42", "Zoë / 1"], ids=["ours", "ext", "any"])
def test_a_revoked_token_is_refused_and_no_other(tried: Tried, jti: str | None) -> None:
    store, subject, now = tried.store, new_subject(), tried.now()
    jti = jti and f"{jti}-{new_id(subject)}"
    token, other = single(subject, now, jti), single(subject, now)
    assert store.check_token(token) is Verdict.LIVE

    assert store.revoke_token(token.jti, reason="lost", until=now + DAY) is True

    assert store.check_token(token) is Verdict.REVOKED
    assert store.check_token(other) is Verdict.LIVE


def test_a_token_of_a_session_may_be_revoked_by_its_id_too(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    token = ref(session)

    tried.store.revoke_token(token.jti, reason="lost", until=None)

    assert tried.store.check_token(token) is Verdict.REVOKED
    assert tried.store.check_token(ref(session)) is Verdict.LIVE


def test_revoking_a_token_twice_does_no_harm(tried: Tried) -> None:
    token = single(new_subject(), tried.now())
    until = tried.now() + DAY

    assert tried.store.revoke_token(token.jti, reason="lost", until=until) is True
    assert tried.store.revoke_token(token.jti, reason="other", until=until) is False

    assert tried.store.check_token(token) is Verdict.REVOKED


def test_a_revoked_token_is_forgotten_by_itself(tried: Tried) -> None:
    token = single(new_subject(), tried.now())
    until = tried.now() + SECOND

    tried.store.revoke_token(token.jti, reason="lost", until=until)
    assert tried.store.check_token(token) is Verdict.REVOKED
    tried.wait(1.5)

    assert tried.store.check_token(token) is Verdict.LIVE
    snapshot = Snapshot(tried.store)
    snapshot.pull()
    assert token.jti not in snapshot.tokens


@pytest.mark.parametrize("later_first", [True, False], ids=["first", "second"])
@pytest.mark.parametrize("forever", [True, False], ids=["for ever", "a day"])
def test_of_two_ends_the_later_counts(
    tried: Tried, later_first: bool, forever: bool
) -> None:
    token = single(new_subject(), tried.now())
    ends = [None if forever else tried.now() + DAY, tried.now() + SECOND]
    for until in ends if later_first else reversed(ends):
        tried.store.revoke_token(token.jti, reason="lost", until=until)
    tried.wait(1.5)

    tried.store.purge()

    assert tried.store.check_token(token) is Verdict.REVOKED


def test_a_token_that_has_ended_is_not_written(tried: Tried) -> None:
    token = single(new_subject(), tried.now())

    for until in (0, tried.now() - SECOND):
        assert tried.store.revoke_token(token.jti, reason="x", until=until) is False

    snapshot = Snapshot(tried.store)
    snapshot.pull()
    assert token.jti not in snapshot.tokens


def test_a_one_use_token_is_used_once(tried: Tried) -> None:
    subject, until = new_subject(), tried.now() + DAY
    token = single(subject, tried.now())

    assert tried.store.consume_token(token.jti, until=until) is True
    assert tried.store.consume_token(token.jti, until=until) is False
    assert tried.store.consume_token(token.jti, until=None) is False

    assert tried.store.check_token(token) is Verdict.REVOKED
    assert tried.store.revoke_token(token.jti, reason="lost", until=until) is False


def test_a_one_use_token_that_is_revoked_is_not_used(tried: Tried) -> None:
    jti, until = new_id(new_subject()), tried.now() + DAY
    tried.store.revoke_token(jti, reason="lost", until=until)

    assert tried.store.consume_token(jti, until=until) is False


def test_a_one_use_token_that_cannot_be_remembered_is_not_used(tried: Tried) -> None:
    """The app's clock may be behind: it would be used again and again."""
    jti = new_id(new_subject())

    assert tried.store.consume_token(jti, until=tried.now() - 1) is False
    assert tried.store.consume_token(jti, until=tried.now() - SECOND) is False


def test_threads_that_use_one_token_have_one_winner(tried: Tried) -> None:
    until = tried.now() + DAY
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            jti = new_id(new_subject())
            uses = [
                pool.submit(tried.store.consume_token, jti, until=until)
                for _ in range(8)
            ]
            assert sorted(use.result() for use in uses) == [False] * 7 + [True]


# Sessions


def test_a_revoked_session_refuses_all_its_tokens(store: Store) -> None:
    subject = new_subject()
    session, other = login(store, subject), login(store, subject)

    assert store.revoke_session(session.session_id, reason="logout") is True

    refresh = ref(session, first(session).jti)
    row = store.session(session.session_id)
    assert row is not None
    assert row.revoked_at is not None
    assert row.reason == "logout"
    assert store.check_token(ref(session)) is Verdict.REVOKED
    assert store.check_refresh(refresh, grace=GRACE).verdict is Verdict.REVOKED
    assert store.check_token(ref(other)) is Verdict.LIVE


def test_revoking_a_session_twice_keeps_the_first_reason(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    tried.store.revoke_session(session.session_id, reason="logout")
    row = tried.store.session(session.session_id)
    tried.wait(0.1)

    assert tried.store.revoke_session(session.session_id, reason="other") is False

    assert tried.store.session(session.session_id) == row


# Subjects


def test_all_sessions_of_a_subject_end_and_no_others(store: Store) -> None:
    subject, other = new_subject(), new_subject()
    sessions = [login(store, subject) for _ in range(3)]
    theirs = login(store, other)

    assert revoke_all(store, subject) == 3

    assert {store.check_token(ref(one)) for one in sessions} == {Verdict.REVOKED}
    assert store.check_token(ref(theirs)) is Verdict.LIVE
    assert revoke_all(store, subject) == 0
    assert revoke_all(store, new_subject()) == 0


def test_all_sessions_but_one_may_end(store: Store) -> None:
    subject = new_subject()
    kept, gone = login(store, subject), login(store, subject)
    theirs = login(store, new_subject())

    assert revoke_all(store, subject, except_session=kept.session_id) == 1

    assert store.check_token(ref(kept)) is Verdict.LIVE
    assert store.check_token(ref(gone)) is Verdict.REVOKED
    assert revoke_all(store, subject, except_session=theirs.session_id) == 1
    assert store.check_token(ref(kept)) is Verdict.REVOKED


def test_a_login_right_after_all_were_ended_works(tried: Tried) -> None:
    """Not even a microsecond later by the store's clock, and not by `iat` at all."""
    store, subject = tried.store, new_subject()
    old = login(store, subject)
    revoke_all(store, subject, cut_off=tried.now())

    new = login(store, subject)

    assert store.check_token(ref(old)) is Verdict.REVOKED
    assert store.check_token(ref(new)) is Verdict.LIVE
    refresh = ref(new, first(new).jti)
    assert store.check_refresh(refresh, grace=0).verdict is Verdict.CURRENT


def test_the_cut_off_refuses_single_tokens_up_to_it(tried: Tried) -> None:
    store, subject = tried.store, new_subject()
    old = single(subject, tried.now())
    cut_off = tried.now() + MINUTE  # the caller's clock is ahead

    revoke_all(store, subject, cut_off)

    assert store.check_token(old) is Verdict.REVOKED
    assert store.check_token(single(subject, cut_off)) is Verdict.REVOKED
    assert store.check_token(single(subject, cut_off + 1)) is Verdict.LIVE
    assert store.check_token(single(new_subject(), cut_off)) is Verdict.LIVE
    assert store.check_refresh(old, grace=GRACE).verdict is Verdict.REVOKED


def test_the_cut_off_is_never_before_the_time_of_the_store(tried: Tried) -> None:
    subject, before = new_subject(), tried.now()

    revoke_all(tried.store, subject, cut_off=before - SECOND)

    assert tried.store.check_token(single(subject, before)) is Verdict.REVOKED
    later = single(subject, tried.now() + SECOND)
    assert tried.store.check_token(later) is Verdict.LIVE


def test_the_cut_off_never_goes_back(tried: Tried) -> None:
    subject, cut_off = new_subject(), tried.now() + MINUTE
    revoke_all(tried.store, subject, cut_off)

    revoke_all(tried.store, subject, cut_off=0)

    assert tried.store.check_token(single(subject, cut_off)) is Verdict.REVOKED


def test_the_cut_off_is_forgotten_by_itself(tried: Tried) -> None:
    token, until = single(new_subject(), 0), tried.now() + SECOND
    tried.store.revoke_subject(token.subject, reason="all", cut_off=0, until=until)
    assert tried.store.check_token(token) is Verdict.REVOKED
    tried.wait(1.5)
    tried.store.purge()

    assert tried.store.check_token(token) is Verdict.LIVE


def test_of_two_ends_of_a_cut_off_the_later_counts(tried: Tried) -> None:
    """For ever is later than any."""
    tokens = []
    for ends in ((DAY, SECOND), (SECOND, DAY), (None, SECOND), (SECOND, None)):
        tokens.append(single(new_subject(), 0))
        for end in ends:
            until = None if end is None else tried.now() + end
            tried.store.revoke_subject(
                tokens[-1].subject, reason="all", cut_off=0, until=until
            )
    tried.wait(1.5)
    tried.store.purge()

    verdicts = [tried.store.check_token(token) for token in tokens]
    assert verdicts == [Verdict.REVOKED] * len(tokens)


# The list


def test_the_list_has_the_live_sessions_of_a_subject(tried: Tried) -> None:
    store, subject = tried.store, new_subject()
    sessions: list[NewSession] = []
    for _ in range(4):
        sessions.append(login(store, subject))
        tried.wait(0.01)
    login(store, subject, lifetime=0)
    login(store, new_subject())
    store.revoke_session(sessions[1].session_id, reason="logout")

    rows = store.list_sessions(subject)

    live = [one.session_id for one in sessions if one is not sessions[1]]
    assert [row.session_id for row in rows] == live[::-1]
    assert rows[0] == store.session(sessions[3].session_id)
    assert store.list_sessions(new_subject()) == ()


# Changes


def test_the_first_pull_tells_everything(tried: Tried) -> None:
    store, subject, now = tried.store, new_subject(), tried.now()
    jti, used = new_id(subject), new_id(subject)
    session, live = login(store, subject), login(store, new_subject())
    store.revoke_token(jti, reason="lost", until=now + DAY)
    store.consume_token(used, until=now + DAY)
    store.revoke_session(session.session_id, reason="logout")
    store.revoke_subject(subject, reason="all", cut_off=now + MINUTE, until=now + DAY)

    snapshot = Snapshot(store)
    snapshot.pull()

    assert snapshot.reloads == 1
    token = snapshot.tokens[jti]
    assert (token.until, token.reason) == (now + DAY, "lost")
    assert now <= token.at <= tried.now()
    assert snapshot.tokens[used].reason == USED
    row = store.session(session.session_id)
    assert row is not None
    entry = snapshot.sessions[session.session_id]
    assert entry.at == row.revoked_at
    assert entry.until == row.kept_until == row.expires_at + MARGIN
    assert entry.reason == "logout"
    cut = snapshot.cut_offs[subject]
    assert (cut.cut_off, cut.until, cut.reason) == (now + MINUTE, now + DAY, "all")
    assert live.session_id not in snapshot.sessions


def test_a_later_pull_tells_what_is_new(tried: Tried) -> None:
    store, subject = tried.store, new_subject()
    snapshot = Snapshot(store)
    snapshot.pull()
    one, two = login(store, subject), login(store, subject)
    jti = new_id(subject)
    store.revoke_token(jti, reason="lost", until=None)
    store.revoke_session(one.session_id, reason="logout")
    consumed = store.consume(two.session_id, "nobody's", step(subject), grace=0)
    assert consumed.verdict is Verdict.REUSED
    revoke_all(store, subject)

    snapshot.pull()

    assert snapshot.reloads == 1
    assert snapshot.tokens[jti].until is None
    assert {one.session_id, two.session_id} <= snapshot.sessions.keys()
    assert subject in snapshot.cut_offs


def test_a_cut_off_that_moves_is_told_again(tried: Tried) -> None:
    store, subject, snapshot = tried.store, new_subject(), Snapshot(tried.store)
    revoke_all(store, subject)
    snapshot.pull()
    cut_off = tried.now() + MINUTE
    revoke_all(store, subject, cut_off)

    snapshot.pull()

    assert snapshot.cut_offs[subject].cut_off == cut_off


def test_an_end_that_is_put_off_is_told_again(tried: Tried) -> None:
    """A snapshot that knew the first end alone would forget the token too early."""
    jti, until = new_id(new_subject()), tried.now() + DAY
    snapshot = Snapshot(tried.store)
    tried.store.revoke_token(jti, reason="lost", until=until)
    snapshot.pull()
    at = snapshot.tokens[jti].at
    tried.wait(OVERLAP / SECOND + 1)
    snapshot.pull()

    tried.store.revoke_token(jti, reason="lost", until=until - SECOND)
    snapshot.pull()
    assert (snapshot.tokens[jti].until, snapshot.tokens[jti].at) == (until, at)
    tried.store.revoke_token(jti, reason="lost", until=until + DAY)
    snapshot.pull()
    assert snapshot.tokens[jti].until == until + DAY
    assert snapshot.tokens[jti].at > at


def test_a_pull_reaches_back_before_its_cursor(tried: Tried) -> None:
    jti = new_id(new_subject())
    tried.store.revoke_token(jti, reason="lost", until=None)
    tried.wait(1)
    snapshot = Snapshot(tried.store)
    snapshot.pull()
    snapshot.tokens.clear()

    snapshot.pull()

    assert OVERLAP > 2 * SECOND
    assert snapshot.reloads == 1
    assert jti in snapshot.tokens


@pytest.mark.parametrize("cursor", ["", "another:1", "another", ":", "1", "é:²"])
def test_a_cursor_of_another_incarnation_starts_over(store: Store, cursor: str) -> None:
    jti = new_id(new_subject())
    store.revoke_token(jti, reason="lost", until=None)
    snapshot = Snapshot(store)
    snapshot.cursor = cursor

    snapshot.pull()

    assert snapshot.reloads == 1
    assert jti in snapshot.tokens


def test_sessions_beyond_the_horizon_are_left_out(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    tried.store.revoke_session(session.session_id, reason="logout")
    near, far = Snapshot(tried.store, SECOND), Snapshot(tried.store, DAY)
    tried.wait(1.5)

    near.pull()
    far.pull()

    assert session.session_id not in near.sessions
    assert session.session_id in far.sessions


def test_no_revocation_is_missed_by_a_worker_that_pulls_meanwhile(
    store: Store,
) -> None:
    subject, done = new_subject(), Event()
    snapshot = Snapshot(store)

    def revoke(_: int) -> set[str]:
        ids = {new_id(subject) for _ in range(25)}
        for jti in ids:
            assert store.revoke_token(jti, reason="lost", until=None)
        return ids

    def pull() -> None:
        while not done.is_set():
            snapshot.pull()

    with ThreadPoolExecutor(5) as pool:
        pulling = pool.submit(pull)
        try:
            revoked = set().union(*pool.map(revoke, range(4)))
        finally:
            done.set()
        pulling.result(60)
    snapshot.pull()

    assert len(revoked) == 100
    assert revoked <= snapshot.tokens.keys()
    assert snapshot.reloads == 1


# Upkeep


def test_purging_keeps_all_that_still_counts(tried: Tried) -> None:
    store, subject = tried.store, new_subject()
    ended, live = login(store, subject, lifetime=0), login(store, subject)
    revoked = login(store, new_subject())
    store.revoke_session(revoked.session_id, reason="logout")
    token = TokenRef(jti=new_id(subject), subject=subject, issued_at=0)
    store.revoke_token(token.jti, reason="lost", until=None)

    assert store.purge() >= 0

    assert store.check_token(token) is Verdict.REVOKED
    assert store.check_token(ref(live)) is Verdict.LIVE
    assert store.check_token(ref(revoked)) is Verdict.REVOKED
    assert store.check_token(ref(ended)) in {Verdict.EXPIRED, Verdict.MISSING}


def test_a_store_that_was_created_is_well_and_may_be_created_again(
    store: Store,
) -> None:
    session = login(store, new_subject())

    store.create()

    assert store.check() == ()
    assert store.check_token(ref(session)) is Verdict.LIVE


def test_a_store_that_was_closed_answers_again(store: Store) -> None:
    session = login(store, new_subject())
    store.revoke_session(session.session_id, reason="logout")

    store.close()
    store.close()

    assert store.check_token(ref(session)) is Verdict.REVOKED
