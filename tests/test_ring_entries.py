"""The text of a ring file, and the ring that it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_paseto.keys import generate_key, public_half
from flask_paseto.keys.entries import (
    KeyState,
    build_ring,
    parse_document,
    read_paserk,
    write_document,
)
from flask_paseto.keys.paserk import wrap_key

from .rings import NOON, document_of, entry_of

PAIR = generate_key(4, "public")
PUBLIC = public_half(PAIR).to_paserk()


def text_of(**changes: Any) -> str:
    """Return the text of a ring of one key, with names changed or taken out."""
    found = json.loads(write_document(document_of(entry_of())))
    for name, value in changes.items():
        where = (
            found
            if name in ("flask_paseto", "format", "version", "keys", "pruned")
            else None
        )
        where = found["keys"][0] if where is None else where
        if value is ...:
            del where[name]
        else:
            where[name] = value
    return json.dumps(found)


def test_a_document_reads_back_as_it_was_written() -> None:
    document = document_of(
        entry_of(lifetime=timedelta(days=3), issuer="https://a.example"),
        entry_of(KeyState.ANNOUNCED, added=NOON + timedelta(microseconds=1)),
        entry_of(
            KeyState.ACCEPTED, issued_until=NOON, not_after=NOON + timedelta(days=1)
        ),
        version=7,
    )
    document = replace(document, pruned=frozenset([entry_of().id, entry_of().id]))

    assert parse_document(write_document(document)) == document


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"keys": [], "keys": []}', "no JSON"),
        ("[]", "not a key ring"),
        (text_of(flask_paseto="other"), "not a key ring"),
        (text_of(format=2), "format"),
        (text_of(version="1"), "version"),
        (text_of(version=0), "version"),
        (text_of(version=True), "version"),
        (text_of(keys={}), "version or its keys"),
        (text_of(keys=[1]), "lacks what belongs"),
        (text_of(id=...), "lacks what belongs"),
        (text_of(added=...), "lacks what belongs"),
        (text_of(future=1), "does not know"),
        (text_of(state="stolen"), "wrong form"),
        (text_of(added="2026-06-01"), "wrong form"),
        (text_of(added="2026-06-01T12:00:00"), "wrong form"),
        (text_of(added="2026-13-01T12:00:00Z"), "wrong form"),
        (text_of(added=5), "wrong form"),
        (text_of(key=""), "wrong form"),
        (text_of(lifetime=0), "wrong form"),
        (text_of(lifetime=True), "wrong form"),
        (text_of(lifetime=10**30), "wrong form"),
        (text_of(issuer=""), "wrong form"),
        (text_of(not_after="2026-06-01T12:00:00Z"), "wrong form"),
        (text_of(key=PUBLIC), "wrong form"),
        (text_of(id="k4.lid.short"), "wrong form"),
        (text_of(id=5), "wrong form"),
        (text_of(pruned=5), "pruned ids"),
        (text_of(pruned=["k4.lid.short"]), "pruned ids"),
        (text_of(pruned=[5]), "pruned ids"),
        (text_of(state="announced"), "no key that issues"),
        (text_of(state="accepted"), "no key that issues"),
    ],
    ids=range(33),
)
def test_a_damaged_document_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_document(text)
    assert refused.value.__cause__ is None
    assert "k4.local." not in str(refused.value)


def test_two_keys_that_issue_and_a_key_twice_are_refused() -> None:
    one = entry_of()
    with pytest.raises(ValueError, match="more than one"):
        parse_document(write_document(document_of(one, entry_of())))
    twice = document_of(one, replace(one, state=KeyState.ACCEPTED))
    with pytest.raises(ValueError, match="twice"):
        parse_document(write_document(twice))


@pytest.mark.requirement("KEY-2")
@given(st.data())
def test_no_text_ends_in_anything_but_a_value_error(data: st.DataObject) -> None:
    whole = text_of()
    at = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 5))
    text = whole[:at] + data.draw(st.text(max_size=5)) + whole[at + cut :]
    try:
        ring, _ = build_ring(parse_document(text))
    except ValueError:
        return
    assert ring.by_id


def test_a_ring_issues_with_one_key_and_accepts_the_others() -> None:
    issuing, announced = entry_of(), entry_of(KeyState.ANNOUNCED)
    tied = entry_of(KeyState.ACCEPTED, issuer="https://b.example", not_after=NOON)
    other = read_paserk(PUBLIC, None)

    ring, known = build_ring(document_of(issuing, announced, tied), accepted=[other])

    assert ring.purpose == "local"
    assert ring.issuing["local"].key_id == issuing.id
    assert set(ring.by_id) == {issuing.id, announced.id, tied.id, other.key_id}
    assert ring.by_id[tied.id].issuer == "https://b.example"
    assert ring.by_id[tied.id].not_after == NOON
    assert ring.by_id[issuing.id].not_after is None
    assert set(known) == {issuing.key, announced.key, tied.key}


def test_a_ring_of_public_keys_alone_issues_nothing() -> None:
    ring, _ = build_ring(document_of(entry_of(KeyState.ACCEPTED, paserk=PUBLIC)))
    assert ring.purpose is None
    assert ring.issuing == {}


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("k4.local.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjo8", "published"),
        ("k4.local." + "AQ" * 21 + "A", "too little variety"),
        ("k4.local.cHFyc3R1", "wrong length"),
        ("k2.local." + "A" * 43, "not a PASERK"),
        ("correct horse battery staple zebra", "not a PASERK"),
        (PAIR.to_paserk()[:-1], "damaged"),
    ],
    ids=range(6),
)
def test_a_key_of_a_ring_is_as_good_as_one_of_a_setting(key: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        build_ring(document_of(replace(entry_of(), key=key)))
    assert key[12:20] not in str(refused.value)
    assert "at key 0" in str(refused.value)


@pytest.mark.requirement("KEY-3")
def test_a_key_under_the_id_of_another_is_refused() -> None:
    with pytest.raises(ValueError, match="another id"):
        build_ring(document_of(replace(entry_of(), id=entry_of().id)))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("purpose", ["local", "public"])
def test_wrapped_keys_are_read_with_the_password_alone(
    version: int, purpose: Any
) -> None:
    key = generate_key(version, purpose)
    wrapped = replace(
        entry_of(paserk=key.to_paserk()), key=wrap_key(key, "a good password")
    )
    document = document_of(wrapped)

    ring, known = build_ring(document, password="a good password")

    assert ring.issuing[purpose].key_id == wrapped.id
    assert wrapped.can_issue
    for password in ("another", b"another"):
        with pytest.raises(ValueError, match="another password"):
            build_ring(document, password=password)
    with pytest.raises(ValueError, match="PASETO_KEYRING_PASSWORD"):
        build_ring(document)
    # What was unwrapped once is not unwrapped again: that is dear on purpose.
    again, _ = build_ring(document, known=known)
    assert again.issuing[purpose].key_id == wrapped.id


@pytest.mark.requirement("KEY-2")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k4.local-pw.", "not a password-wrapped"),
        ("k2.local-pw.AAAA", "not a password-wrapped"),
        ("k4.local-pw.AAAA", "wrong length"),
        ("k4.local-pw.AAA=", "not a password-wrapped"),
        ("k4.local-pw.AAB", "not canonical"),
        ("k3.local-pw." + "_" * 176, "too many iterations"),
    ],
)
def test_a_damaged_wrapped_key_is_refused_before_any_work(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_paserk(text, "a password")
