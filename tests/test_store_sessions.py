"""Contract of stores: a session's row, and the one way to rotate its refresh token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_paseto.stores import (
    REUSED,
    Answer,
    Issued,
    NewSession,
    Store,
    Verdict,
    new_id,
)

from .stores import (
    DAY,
    GRACE,
    MINUTE,
    SECOND,
    Tried,
    first,
    login,
    new_subject,
    ref,
    single,
    step,
    unopened,
)

GONE = {Verdict.EXPIRED, Verdict.MISSING}


def consume(
    store: Store,
    session: NewSession,
    jti: str,
    successor: Issued,
    grace: int = GRACE,
    **options: bool,
) -> Answer:
    return store.consume(session.session_id, jti, successor, grace=grace, **options)


def test_a_session_is_kept_as_it_was_given(tried: Tried) -> None:
    before = tried.now()
    session = login(tried.store, new_subject())
    after = tried.now()

    row = tried.store.session(session.session_id)

    assert row is not None
    for name in NewSession.__dataclass_fields__:
        assert getattr(row, name) == getattr(session, name)
    assert before <= row.opened_at <= after
    assert row.used_at == row.opened_at
    assert row.idle_expires_at == row.opened_at + session.idle
    assert row.expires_at == row.opened_at + session.lifetime
    assert (row.previous_jti, row.rotated_at, row.revoked_at) == (None, None, None)
    assert row.reason == ""


def test_what_may_be_none_or_empty_stays_so(store: Store) -> None:
    subject = new_subject()
    issued = Issued(jti=new_id(subject), issued_at=0, expires_at=None)
    bare = unopened(subject, issued=issued, auth_time=None, client="", address="")
    none = replace(bare, session_id=new_id(subject), issued=None)
    no_scopes = replace(issued, jti=new_id(subject), scopes=())

    for session in (bare, none):
        assert store.open_session(session)
    rows = [store.session(session.session_id) for session in (bare, none)]

    assert rows[0] is not None
    assert rows[1] is not None
    assert (rows[0].issued, rows[0].auth_time) == (issued, None)
    assert rows[1].issued is None
    answer = consume(store, bare, issued.jti, no_scopes)
    assert answer.session is not None
    assert answer.session.issued == no_scopes


def test_a_sid_that_is_taken_is_not_opened_again(store: Store) -> None:
    session = login(store, new_subject())
    store.revoke_session(session.session_id, reason="logout")
    row = store.session(session.session_id)

    assert store.open_session(session) is False
    assert store.open_session(replace(session, subject=new_subject())) is False

    assert store.session(session.session_id) == row
    assert store.check_token(ref(session)) is Verdict.REVOKED


def test_a_session_that_is_not_there_refuses(store: Store) -> None:
    session = unopened(new_subject())
    jti = first(session).jti

    assert store.session(session.session_id) is None
    assert store.check_token(ref(session)) is Verdict.MISSING
    assert store.check_refresh(ref(session, jti), grace=GRACE) == Answer(
        Verdict.MISSING
    )
    found = consume(store, session, jti, step(session.subject))
    assert found == Answer(Verdict.MISSING)
    assert store.attach(session.session_id, step(session.subject)) is False
    assert store.revoke_session(session.session_id, reason="logout") is False
    assert store.session(session.session_id) is None


def test_a_session_lets_no_other_subject_pass(store: Store) -> None:
    session = login(store, new_subject())
    token = replace(ref(session, first(session).jti), subject=new_subject())

    assert store.check_token(token) is Verdict.MISSING
    assert store.check_refresh(token, grace=GRACE) == Answer(Verdict.MISSING)
    assert store.check_token(ref(session)) is Verdict.LIVE


def test_attach_gives_the_first_refresh_token_and_no_second(store: Store) -> None:
    session = login(store, new_subject(), issued=None)
    issued, other = step(session.subject), step(session.subject)

    assert store.check_token(ref(session)) is Verdict.LIVE
    assert store.attach(session.session_id, issued) is True
    assert store.attach(session.session_id, issued) is True  # a repetition
    assert store.attach(session.session_id, other) is False

    row = store.session(session.session_id)
    assert row is not None
    assert row.issued == issued
    store.revoke_session(session.session_id, reason="logout")
    assert store.attach(session.session_id, issued) is False


def test_a_refresh_token_of_a_session_without_one_is_reuse(store: Store) -> None:
    one = login(store, new_subject(), issued=None)
    two = login(store, new_subject(), issued=None)

    checked = store.check_refresh(ref(one), grace=GRACE)
    consumed = consume(store, two, new_id(two.subject), step(two.subject))

    assert (checked.verdict, consumed.verdict) == (Verdict.REUSED, Verdict.REUSED)
    for session in (one, two):
        assert store.check_token(ref(session)) is Verdict.REVOKED


def test_the_current_token_wins_and_its_successor_is_stored(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    tried.wait(1)
    successor = step(session.subject, scopes=None, data="")

    answer = consume(tried.store, session, first(session).jti, successor)

    row = tried.store.session(session.session_id)
    assert answer == Answer(Verdict.WON, row)
    assert row is not None
    assert row.issued == successor
    assert row.previous_jti == first(session).jti
    assert row.rotated_at == row.used_at
    assert row.used_at >= row.opened_at + SECOND
    assert row.idle_expires_at == row.used_at + session.idle
    assert row.expires_at == row.opened_at + session.lifetime


def test_a_retry_within_the_grace_gets_the_stored_successor(store: Store) -> None:
    session = login(store, new_subject())
    successor = step(session.subject)
    won = consume(store, session, first(session).jti, successor)

    retry = consume(store, session, first(session).jti, step(session.subject))

    assert retry == Answer(Verdict.RETRY, won.session)
    assert store.session(session.session_id) == won.session
    assert consume(store, session, successor.jti, step(session.subject)).verdict is (
        Verdict.WON
    )


def test_our_own_repetition_is_a_retry_without_any_grace(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    successor = step(session.subject)
    won = consume(tried.store, session, first(session).jti, successor, grace=0)
    tried.wait(1)

    again = consume(tried.store, session, first(session).jti, successor, grace=0)

    assert again == Answer(Verdict.RETRY, won.session)


@pytest.mark.parametrize("grace", [0, SECOND], ids=["none", "over"])
def test_a_consumed_token_after_the_grace_ends_the_session(
    tried: Tried, grace: int
) -> None:
    session = login(tried.store, new_subject())
    successor = step(session.subject)
    consume(tried.store, session, first(session).jti, successor)
    tried.wait(1.5 if grace else 0)

    answer = consume(
        tried.store, session, first(session).jti, step(session.subject), grace
    )

    assert answer.verdict is Verdict.REUSED
    assert_ended_by_reuse(tried.store, session, answer, successor.jti)


def test_a_retry_after_its_successor_was_used_is_reuse(store: Store) -> None:
    session = login(store, new_subject())
    one, two = step(session.subject), step(session.subject)
    consume(store, session, first(session).jti, one)
    consume(store, session, one.jti, two)

    answer = consume(store, session, first(session).jti, one)

    assert answer.verdict is Verdict.REUSED
    assert_ended_by_reuse(store, session, answer, two.jti)


def test_a_token_that_was_never_issued_is_reuse(store: Store) -> None:
    session = login(store, new_subject())

    answer = consume(store, session, "of-somebody-else", step(session.subject))

    assert answer.verdict is Verdict.REUSED
    assert_ended_by_reuse(store, session, answer, first(session).jti)


def assert_ended_by_reuse(
    store: Store, session: NewSession, answer: Answer, current: str
) -> None:
    """Assert that nothing of a session passes any more."""
    row = store.session(session.session_id)
    assert row is not None
    assert answer.session == row
    assert row.revoked_at is not None
    assert row.reason == REUSED
    assert store.check_token(ref(session)) is Verdict.REVOKED
    assert store.check_refresh(ref(session, current), grace=GRACE) == Answer(
        Verdict.REVOKED, row
    )
    for jti in (current, first(session).jti):
        again = consume(store, session, jti, step(session.subject))
        assert again == Answer(Verdict.REVOKED, row)


def test_attach_writes_again_what_stands_beside_the_current_token(
    store: Store,
) -> None:
    session = login(store, new_subject())
    before = store.session(session.session_id)
    assert before is not None
    issued = replace(first(session), data="other", scopes=("read",))

    assert store.attach(session.session_id, issued) is True
    other = replace(issued, jti=new_id(session.subject), data="planted")
    assert store.attach(session.session_id, other) is False

    assert store.session(session.session_id) == replace(before, issued=issued)


def test_a_swap_that_does_not_punish_wins_as_any_other(store: Store) -> None:
    session = login(store, new_subject())
    successor = step(session.subject)

    answer = consume(store, session, first(session).jti, successor, punish=False)

    assert answer == Answer(Verdict.WON, store.session(session.session_id))
    assert answer.session is not None
    assert answer.session.issued == successor
    assert answer.session.previous_jti == first(session).jti


def test_a_swap_that_does_not_punish_changes_nothing_for_a_used_token(
    store: Store,
) -> None:
    session = login(store, new_subject())
    one, two = step(session.subject), step(session.subject)
    consume(store, session, first(session).jti, one)
    consume(store, session, one.jti, two)
    row = store.session(session.session_id)

    for jti, grace in ((first(session).jti, GRACE), (one.jti, 0), ("nobody's", 0)):
        new = step(session.subject)
        answer = consume(store, session, jti, new, grace, punish=False)
        assert answer == Answer(Verdict.STALE, row)

    assert store.session(session.session_id) == row
    assert store.check_token(ref(session)) is Verdict.LIVE
    next_one = step(session.subject)
    assert consume(store, session, two.jti, next_one).verdict is Verdict.WON


def test_a_swap_that_does_not_punish_knows_a_retry_and_its_own_repetition(
    store: Store,
) -> None:
    session = login(store, new_subject())
    jti, successor = first(session).jti, step(session.subject)
    won = consume(store, session, jti, successor, 0, punish=False)

    again = consume(store, session, jti, successor, 0, punish=False)
    other = consume(store, session, jti, step(session.subject), punish=False)

    assert again == other == Answer(Verdict.RETRY, won.session)


def test_a_swap_that_does_not_punish_refuses_a_session_that_does_not_live(
    store: Store,
) -> None:
    bare = login(store, new_subject(), issued=None)
    ended, missing = login(store, new_subject()), unopened(new_subject())
    store.revoke_session(ended.session_id, reason="logout")

    found = [
        consume(store, one, jti, step(one.subject), punish=False).verdict
        for one, jti in (
            (bare, new_id(bare.subject)),
            (ended, first(ended).jti),
            (missing, first(missing).jti),
        )
    ]

    assert found == [Verdict.STALE, Verdict.REVOKED, Verdict.MISSING]
    assert store.check_token(ref(bare)) is Verdict.LIVE


def test_of_many_swaps_that_do_not_punish_one_wins(store: Store) -> None:
    session = login(store, new_subject())
    jti, together = first(session).jti, Barrier(6)

    def swap(_: int) -> Answer:
        together.wait(30)
        return consume(store, session, jti, step(session.subject), 0, punish=False)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(swap, range(6)))

    verdicts = [answer.verdict for answer in answers]
    assert sorted(verdicts) == [Verdict.STALE] * 5 + [Verdict.WON]
    (won,) = [each for each in answers if each.verdict is Verdict.WON]
    assert store.session(session.session_id) == won.session


def test_a_token_is_not_its_own_successor(store: Store) -> None:
    session = login(store, new_subject())

    with pytest.raises(ValueError, match="successor"):
        consume(store, session, first(session).jti, first(session))

    assert store.check_token(ref(session)) is Verdict.LIVE


def test_a_refresh_check_says_current_and_counts_as_use(tried: Tried) -> None:
    session = login(tried.store, new_subject())
    tried.wait(1)

    answer = tried.store.check_refresh(ref(session, first(session).jti), grace=GRACE)

    row = tried.store.session(session.session_id)
    assert answer == Answer(Verdict.CURRENT, row)
    assert row is not None
    assert row.used_at >= row.opened_at + SECOND
    assert row.idle_expires_at == row.used_at + session.idle
    assert row.issued == session.issued


def test_a_refresh_check_lets_the_previous_pass_within_the_grace(store: Store) -> None:
    session = login(store, new_subject())
    won = consume(store, session, first(session).jti, step(session.subject))
    token = ref(session, first(session).jti)

    assert store.check_refresh(token, grace=GRACE) == Answer(
        Verdict.PREVIOUS, won.session
    )
    assert store.session(session.session_id) == won.session
    answer = store.check_refresh(token, grace=0)
    assert answer.verdict is Verdict.REUSED
    assert won.session is not None
    assert won.session.issued is not None
    assert_ended_by_reuse(store, session, answer, won.session.issued.jti)


def test_a_refresh_token_without_a_session_is_only_looked_up(tried: Tried) -> None:
    subject = new_subject()
    token = single(subject, tried.now())

    assert tried.store.check_refresh(token, grace=GRACE) == Answer(Verdict.LIVE)
    tried.store.revoke_token(token.jti, reason="logout", until=None)
    assert tried.store.check_refresh(token, grace=GRACE) == Answer(Verdict.REVOKED)


def test_a_refresh_token_that_is_revoked_by_id_is_refused(store: Store) -> None:
    session = login(store, new_subject())
    token = ref(session, first(session).jti)
    store.revoke_token(token.jti, reason="logout", until=None)
    row = store.session(session.session_id)

    assert store.check_refresh(token, grace=GRACE) == Answer(Verdict.REVOKED, row)


@pytest.mark.parametrize(
    ("idle", "lifetime"), [(SECOND, DAY), (DAY, SECOND)], ids=["idle", "absolute"]
)
def test_a_session_ends_by_itself(tried: Tried, idle: int, lifetime: int) -> None:
    session = login(tried.store, new_subject(), idle=idle, lifetime=lifetime)
    token = ref(session, first(session).jti)
    assert tried.store.check_token(ref(session)) is Verdict.LIVE
    tried.wait(1.5)

    assert tried.store.check_token(ref(session)) in GONE
    assert tried.store.check_refresh(token, grace=GRACE).verdict in GONE
    successor = step(session.subject)
    assert consume(tried.store, session, token.jti, successor).verdict in GONE
    assert tried.store.attach(session.session_id, first(session)) is False
    assert tried.store.list_sessions(session.subject) == ()
    assert tried.store.revoke_session(session.session_id, reason="logout") is False


def test_use_puts_the_idle_end_off_but_never_the_absolute_one(tried: Tried) -> None:
    session = login(tried.store, new_subject(), idle=4 * SECOND, lifetime=7 * SECOND)
    token = ref(session, first(session).jti)

    tried.wait(2)
    assert tried.store.check_refresh(token, grace=0).verdict is Verdict.CURRENT
    tried.wait(2.5)
    assert tried.store.check_token(ref(session)) is Verdict.LIVE
    successor = step(session.subject)
    assert consume(tried.store, session, token.jti, successor).verdict is Verdict.WON
    tried.wait(3)
    assert tried.store.check_token(ref(session)) in GONE


@pytest.mark.parametrize("grace", [0, MINUTE], ids=["no grace", "grace"])
def test_threads_that_consume_one_token_commit_one_successor(
    store: Store, grace: int
) -> None:
    threads = 8
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(25):
            session = login(store, new_subject())
            barrier = Barrier(threads, timeout=60)
            proposed = [step(session.subject) for _ in range(threads)]

            def race(successor: Issued) -> Answer:
                barrier.wait()  # noqa: B023 - all of this round end within it
                jti = first(session).jti  # noqa: B023
                return consume(store, session, jti, successor, grace)  # noqa: B023

            answers = list(pool.map(race, proposed))
            assert_one_successor(store, session, answers, proposed, grace)


def assert_one_successor(
    store: Store,
    session: NewSession,
    answers: list[Answer],
    proposed: list[Issued],
    grace: int,
) -> None:
    verdicts = [answer.verdict for answer in answers]
    row = store.session(session.session_id)
    assert row is not None
    assert verdicts.count(Verdict.WON) == 1
    assert row.issued == proposed[verdicts.index(Verdict.WON)]
    losers = len(answers) - 1
    if grace:
        assert verdicts.count(Verdict.RETRY) == losers
        assert {answer.session for answer in answers} == {row}
        assert store.check_token(ref(session)) is Verdict.LIVE
    else:
        assert verdicts.count(Verdict.REUSED) == 1
        assert verdicts.count(Verdict.REVOKED) == losers - 1
        assert store.check_token(ref(session)) is Verdict.REVOKED


def test_a_revocation_between_consume_and_issue_leaves_nothing_alive(
    store: Store,
) -> None:
    for revoke in ("session", "subject", "reuse"):
        session = login(store, new_subject())
        successor = step(session.subject)
        consume(store, session, first(session).jti, successor)
        # The winner has its answer, and has not made the tokens yet.
        if revoke == "session":
            store.revoke_session(session.session_id, reason="logout")
        elif revoke == "subject":
            store.revoke_subject(session.subject, reason="all", cut_off=0, until=None)
        else:
            consume(store, session, first(session).jti, step(session.subject), 0)

        access = ref(session, successor.access_jti)
        assert store.check_token(access) is Verdict.REVOKED
        refresh = ref(session, successor.jti)
        found = store.check_refresh(refresh, grace=MINUTE)
        assert found.verdict is Verdict.REVOKED
        found = consume(store, session, successor.jti, step(session.subject))
        assert found.verdict is Verdict.REVOKED
        found = consume(store, session, first(session).jti, successor)
        assert found.verdict is Verdict.REVOKED


Move = tuple[int, bool, bool]
SCHEDULES = st.lists(
    st.tuples(st.integers(0, 7), st.booleans(), st.booleans()), min_size=1, max_size=25
)


@settings(max_examples=150)
@given(schedule=SCHEDULES)
def test_no_schedule_has_two_live_chains(store: Store, schedule: list[Move]) -> None:
    """Whoever holds whatever: each token has one successor, and the last one is it.

    A move is the token that is presented, counted from the latest; whether there is
    a grace; whether what was proposed for it before is proposed again.
    """
    session = login(store, new_subject())
    known = [first(session)]
    successor_of: dict[str, Issued] = {}
    proposed_for: dict[str, Issued] = {}
    dead = False
    for back, lenient, repeated in schedule:
        jti = known[-1 - back % len(known)].jti
        proposal = proposed_for.get(jti) if repeated else None
        proposal = proposed_for[jti] = proposal or step(session.subject)
        answer = consume(store, session, jti, proposal, MINUTE if lenient else 0)
        if dead:
            assert answer.verdict is Verdict.REVOKED
        elif answer.verdict is Verdict.WON:
            assert jti == known[-1].jti
            assert jti not in successor_of
            successor_of[jti] = proposal
            known.append(proposal)
        elif answer.verdict is Verdict.RETRY:
            assert answer.session is not None
            assert answer.session.issued == successor_of[jti] == known[-1]
            assert lenient or proposal == known[-1]
        else:
            assert answer.verdict is Verdict.REUSED
            assert jti != known[-1].jti
            dead = True
    expected = Verdict.REVOKED if dead else Verdict.LIVE
    assert store.check_token(ref(session)) is expected
