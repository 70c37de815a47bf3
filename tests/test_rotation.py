"""The life of a key: announced, issuing, accepted until a date, gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_paseto.keys import generate_key, public_half
from flask_paseto.keys.entries import KeyState, RingDocument, RingEntry
from flask_paseto.keys.rotation import (
    Pace,
    TooEarly,
    announce,
    find_announced,
    find_entry,
    has_ended,
    promote,
    prune,
    retire,
)

from .rings import NOON, document_of, entry_of

ALIKE = "k4.lid." + "A" * 43
SECOND = timedelta(seconds=1)
PACE = Pace(lifetime=timedelta(hours=1), leeway=timedelta(seconds=10))
SETTLED = NOON + 2 * SECOND  # a look each second, and one more for one under way


def two_keys() -> tuple[RingDocument, RingEntry, RingEntry]:
    former, new = entry_of(), entry_of(KeyState.ANNOUNCED)
    return document_of(former, new), former, new


def test_the_first_key_issues_at_once_and_the_next_is_announced() -> None:
    first, second = entry_of(KeyState.ANNOUNCED), entry_of(KeyState.ANNOUNCED)

    one = announce(RingDocument(), first)
    two = announce(one, second)

    assert one.issuing is not None
    assert one.issuing.id == first.id
    assert two.issuing == one.issuing
    assert find_announced(two) == second
    assert [one.version, two.version] == [1, 2]
    with pytest.raises(ValueError, match="already"):
        announce(two, second)


def test_a_public_key_of_somebody_is_accepted_and_never_announced() -> None:
    public = public_half(generate_key(4, "public")).to_paserk()
    document = announce(RingDocument(), entry_of(KeyState.ANNOUNCED, paserk=public))

    assert document.issuing is None
    assert document.entries[0].state is KeyState.ACCEPTED
    with pytest.raises(ValueError, match="only an announced key"):
        promote(document, document.entries[0].id, now=SETTLED, pace=PACE, force=True)


def test_a_key_is_promoted_once_every_reader_can_have_seen_it() -> None:
    document, former, new = two_keys()

    with pytest.raises(TooEarly) as early:
        promote(document, new.id, now=SETTLED - SECOND / 2, pace=PACE, force=False)
    assert early.value.until == SETTLED
    promoted = promote(document, new.id, now=SETTLED, pace=PACE, force=False)

    assert promoted.issuing is not None
    assert promoted.issuing.id == new.id
    assert promoted.issuing.lifetime == PACE.lifetime
    old = find_entry(promoted, former.id)
    assert old.state is KeyState.ACCEPTED
    assert old.issued_until == SETTLED
    # Two seconds in which workers go on with it, then its last token, and the leeway.
    assert old.not_after == SETTLED + 2 * SECOND + timedelta(hours=1, seconds=10)


def test_a_key_can_be_promoted_at_once_when_told_so() -> None:
    document, _, new = two_keys()
    promoted = promote(document, new.id, now=NOON, pace=PACE, force=True)
    assert promoted.issuing is not None
    assert promoted.issuing.id == new.id


@pytest.mark.parametrize(
    ("purpose", "pace", "waits"),
    [
        ("local", Pace(keyset_age=timedelta(minutes=5)), 2),
        ("public", Pace(keyset_age=timedelta(minutes=5)), 301),
        ("local", Pace(loader_age=timedelta(minutes=1)), 61),
        ("public", Pace(settle=timedelta(seconds=7)), 7),
    ],
)
def test_the_slowest_reader_says_how_long_to_wait(
    purpose: str, pace: Pace, waits: int
) -> None:
    paserk = generate_key(4, "public").to_paserk() if purpose == "public" else None
    assert pace.settle_time(entry_of(paserk=paserk)) == timedelta(seconds=waits)


def test_a_key_whose_tokens_never_end_gets_no_date_by_itself() -> None:
    document, former, new = two_keys()
    endless = replace(PACE, lifetime=None)

    promoted = promote(document, new.id, now=SETTLED, pace=endless, force=False)

    assert find_entry(promoted, former.id).not_after is None
    with pytest.raises(ValueError, match="never expire"):
        retire(promoted, former.id, now=SETTLED, pace=endless, at_once=False)
    ended = retire(promoted, former.id, now=SETTLED, pace=endless, at_once=True)
    assert has_ended(find_entry(ended, former.id), SETTLED)


def test_the_longer_of_two_lifetimes_counts_when_the_setting_was_changed() -> None:
    former = entry_of(lifetime=timedelta(days=9))
    document = document_of(former, entry_of(KeyState.ANNOUNCED))
    new = find_announced(document)
    assert new is not None

    promoted = promote(document, new.id, now=SETTLED, pace=PACE, force=False)

    end = find_entry(promoted, former.id).not_after
    assert end == SETTLED + 2 * SECOND + timedelta(days=9, seconds=10)


def test_a_lifetime_that_is_a_guess_is_not_written_down() -> None:
    document, _, new = two_keys()
    guess = replace(PACE, known=False)
    promoted = promote(document, new.id, now=SETTLED, pace=guess, force=False)
    assert find_entry(promoted, new.id).lifetime is None


def test_the_key_that_issues_cannot_be_retired() -> None:
    document, former, _ = two_keys()
    for at_once in (False, True):
        with pytest.raises(ValueError, match="promote another key first"):
            retire(document, former.id, now=NOON, pace=PACE, at_once=at_once)


def test_an_announced_key_ends_at_once_since_it_issued_nothing() -> None:
    document, _, new = two_keys()
    ended = retire(document, new.id, now=NOON, pace=PACE, at_once=False)
    assert find_entry(ended, new.id).not_after == NOON
    assert find_announced(ended) is None


def test_a_date_is_only_ever_brought_forward() -> None:
    document, former, new = two_keys()
    promoted = promote(document, new.id, now=SETTLED, pace=PACE, force=False)

    assert (
        retire(promoted, former.id, now=SETTLED, pace=PACE, at_once=False) is promoted
    )
    cut = retire(promoted, former.id, now=SETTLED, pace=PACE, at_once=True)
    assert find_entry(cut, former.id).not_after == SETTLED
    later = SETTLED + SECOND
    assert retire(cut, former.id, now=later, pace=PACE, at_once=True) is cut


def test_a_key_of_another_issuer_gets_the_date_of_a_key_that_stopped_now() -> None:
    public = public_half(generate_key(4, "public")).to_paserk()
    foreign = entry_of(KeyState.ACCEPTED, paserk=public)
    ended = retire(document_of(foreign), foreign.id, now=NOON, pace=PACE, at_once=False)
    assert ended.entries[0].not_after == NOON + 2 * SECOND + timedelta(
        hours=1, seconds=10
    )


def test_what_has_ended_is_pruned_and_nothing_else() -> None:
    over = entry_of(KeyState.ACCEPTED, not_after=NOON)
    later = entry_of(KeyState.ACCEPTED, not_after=NOON + SECOND)
    document = document_of(entry_of(), over, later)

    assert prune(document, NOON - SECOND) is document
    pruned = prune(document, NOON)
    assert over not in pruned.entries
    assert pruned.entries == (document.entries[0], later)
    assert pruned.version == 2


def test_a_key_is_named_by_the_beginning_of_its_id_if_that_is_clear() -> None:
    document, former, _ = two_keys()
    assert find_entry(document, former.id[:20]) == former
    with pytest.raises(ValueError, match="more than one key"):
        find_entry(
            document_of(entry_of(id=ALIKE + "x"), entry_of(id=ALIKE + "y")), ALIKE
        )
    with pytest.raises(ValueError, match="no key"):
        find_entry(document, "k3.lid.nothing")
    with pytest.raises(ValueError, match="too short"):
        find_entry(document, former.id[:11])


@given(st.lists(st.sampled_from(["announce", "promote", "retire", "prune", "wait"])))
def test_whatever_is_done_one_key_issues_and_its_tokens_live_on(
    steps: list[str],
) -> None:
    """No order of steps takes away a key whose tokens may still be alive."""
    document = announce(RingDocument(), entry_of(KeyState.ANNOUNCED))
    time, issued = NOON, {document.entries[0].id: NOON}
    for step in steps:
        time += SECOND
        if step == "wait":
            time += timedelta(minutes=20)
        elif step == "announce":
            document = announce(document, entry_of(KeyState.ANNOUNCED, added=time))
        elif step == "prune":
            document = prune(document, time)
        else:
            for entry in document.entries:
                try:
                    document = (
                        promote(document, entry.id, now=time, pace=PACE, force=False)
                        if step == "promote"
                        else retire(
                            document, entry.id, now=time, pace=PACE, at_once=False
                        )
                    )
                except (TooEarly, ValueError):
                    continue
        assert document.issuing is not None
        issued[document.issuing.id] = time
        there = {e.id for e in document.entries if not has_ended(e, time)}
        for key_id, last in issued.items():
            assert key_id in there or time > last + timedelta(hours=1)
