"""Rows that are damaged: each refuses, is told in the log, and is never a 500."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flask_paseto import ConfigurationError, RevokedToken
from flask_paseto.errors import StoreFault
from flask_paseto.stores import NewSession, Verdict, id_bucket, new_id, subject_bucket
from flask_paseto.stores.redis.rows import Keys

from . import postgresql, valkey
from .conftest import MakeApp
from .refusals import assert_refused
from .sessions import open_site
from .stores import (
    DAY,
    GRACE,
    SECOND,
    Snapshot,
    first,
    login,
    new_subject,
    ref,
    single,
    step,
)
from .test_store_sqlalchemy import change, opened

pytestmark = pytest.mark.requirement("REV-1")

Spoil = Callable[[NewSession], None]

ANYWHERE = [
    "scopes = 'no JSON'",
    "scopes = '\"read\"'",
    "scopes = '{\"read\": 1}'",
    "scopes = '[1]'",
    "audience = '[[\"b\"]]'",
    f"audience = '{'[' * 100_000}'",
    "auth_time = 9000000000000000000",
]
IN_SQLITE = [
    "client = x'ff'",
    "rotated_at = 'soon'",
    "used_at = 'soon'",
    "issued_at = x'00'",
    "idle_expires_at = 'soon'",
    "expires_at = x'00'",
]
# What changes the row, which is an array that begins at 1.
ROWS = [
    "row[7] = 'no JSON'",
    "row[7] = '[1, 2]'",
    'row[7] = \'[1, 2, "x", 3, "read", [], ""]\'',
    "row[12] = '{}'",
    'row[12] = \'[9000000000000000000, "", ""]\'',
    r"row[11] = '\255'",
]
ARRAYS = [
    "row = 'a text'",
    "row = {}",
    "row[13] = 'one more'",
    "row[5] = 'soon'",
    "row[4] = 0/0",
    "row[10] = false",
    "row[1] = {}",
]
KEYS = ["", "no msgpack \xff", "\xc1", "\x9c\x01"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.db'}"


@pytest.fixture
def redis() -> Iterator[Any]:
    store = opened(valkey.shared().url)
    store.create()
    yield store
    store.close()


def in_table(url: str, values: str) -> Spoil:
    def spoil(session: NewSession) -> None:
        sid = session.session_id
        change(url, f"UPDATE paseto_sessions SET {values} WHERE sid = '{sid}'")  # noqa: S608

    return spoil


def in_array(statement: str) -> Spoil:
    script = f"""
local row = cmsgpack.unpack(redis.call('GET', KEYS[1]))
{statement}
redis.call('SET', KEYS[1], cmsgpack.pack(row))
"""

    def spoil(session: NewSession) -> None:
        with valkey.shared().admin as admin:
            admin.eval(script, 1, key_of(session))

    return spoil


def in_key(content: str) -> Spoil:
    def spoil(session: NewSession) -> None:
        with valkey.shared().admin as admin:
            admin.set(key_of(session), content.encode("latin-1"))

    return spoil


def key_of(session: NewSession) -> str:
    return Keys(id_bucket(session.session_id)).session(session.session_id)


def assert_refuses(store: Any, spoil: Spoil, caplog: pytest.LogCaptureFixture) -> None:
    """Assert that no question about a damaged row gets a yes, or an exception."""
    subject = new_subject()
    bad, good = login(store, subject), login(store, subject)
    spoil(bad)
    sid, jti = bad.session_id, first(bad).jti

    assert store.session(sid) is None
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "a row in the store is damaged" in record.getMessage()
    assert sid not in caplog.text
    assert [row.session_id for row in store.list_sessions(subject)] == [good.session_id]
    assert len(caplog.records) == 2
    answer = store.check_refresh(ref(bad, jti), grace=GRACE)
    assert (answer.verdict, answer.session) == (Verdict.MISSING, None)
    assert len(caplog.records) >= 3
    successor = step(subject)
    answer = store.consume(sid, jti, successor, grace=GRACE)
    if answer.session is None:
        assert answer.verdict is Verdict.MISSING
        assert len(caplog.records) >= 4
    else:  # what was damaged is replaced, nothing of it was read
        assert answer.verdict is Verdict.WON
        assert answer.session.issued == successor
    assert store.check_refresh(ref(good, first(good).jti), grace=GRACE).verdict is (
        Verdict.CURRENT
    )


@pytest.mark.parametrize("values", [*ANYWHERE, *IN_SQLITE])
def test_a_damaged_row_of_sqlite_refuses(
    file: str, values: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(file)
    store.create()
    assert_refuses(store, in_table(file, values), caplog)
    store.close()


@pytest.mark.parametrize("values", ANYWHERE)
def test_a_damaged_row_of_postgresql_refuses(
    values: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.shared().url()
    store = opened(url)
    store.create()
    assert_refuses(store, in_table(url, values), caplog)
    store.close()


@pytest.mark.parametrize(
    "spoil",
    [in_array(each) for each in (*ROWS, *ARRAYS)] + [in_key(each) for each in KEYS],
    ids=[*ROWS, *ARRAYS, *map(repr, KEYS)],
)
def test_a_damaged_row_of_redis_refuses(
    redis: Any, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    assert_refuses(redis, spoil, caplog)


@pytest.mark.parametrize("values", ["idle_expires_at = 'soon'", "expires_at = x'00'"])
def test_a_row_of_sqlite_without_a_time_refuses_access_tokens(
    file: str, values: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(file)
    store.create()
    session = login(store, new_subject())
    in_table(file, values)(session)
    assert store.check_token(ref(session)) is Verdict.MISSING
    assert "damaged" in caplog.text
    store.close()


@pytest.mark.requirement("REV-2")
def test_a_damaged_array_of_redis_refuses_access_tokens_and_can_be_ended(
    redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers that keep a copy of what is revoked learn of it as of any other."""
    snapshot, ended = Snapshot(redis), []
    for statement in ARRAYS:
        subject = new_subject()
        bad, other = login(redis, subject), login(redis, subject)
        for session in (bad, other):
            in_array(statement)(session)
            assert redis.check_token(ref(session)) is Verdict.MISSING
        assert redis.attach(bad.session_id, first(bad)) is False
        assert redis.revoke_session(bad.session_id, reason="lost") is True
        all_ = {"reason": "all", "cut_off": 0, "until": None}
        assert redis.revoke_subject(subject, **all_) == 0
        ended += [bad.session_id, other.session_id]
    snapshot.pull()
    assert snapshot.sessions.keys() >= set(ended)
    assert "damaged" in caplog.text


def spoil_key(key: str, content: bytes) -> None:
    with valkey.shared().admin as admin:
        admin.set(key, content)


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x93\x01\xa1x\xa0", b"\x90"])
def test_a_damaged_entry_of_a_token_stays_a_refusal(
    redis: Any, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    subject = new_subject()
    session, jti, used = login(redis, subject), new_id(subject), "ext-" + new_id("")
    end = redis.session(session.session_id).expires_at
    for each in (jti, used):
        redis.revoke_token(each, reason="lost", until=end)
        spoil_key(Keys(id_bucket(each)).token(each), content)

    for each in (jti, used):
        assert redis.check_token(ref(session, each)) is not Verdict.LIVE
        assert redis.check_token(single(subject, end, each)) is not Verdict.LIVE
        assert redis.consume_token(each, until=end) is False
        assert redis.revoke_token(each, reason="again", until=end) is False
    snapshot = Snapshot(redis)
    snapshot.pull()
    assert snapshot.tokens[jti].until is snapshot.tokens[used].until is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"\x94\xa1x\x01\xa0\xa0", b"\x94\xa0\x01\xa0\xa0", b"\x90"]
)
def test_a_damaged_cut_off_refuses_until_it_is_set_anew(
    redis: Any, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    subject = new_subject()
    all_ = {"reason": "all", "cut_off": 0, "until": None}
    redis.revoke_subject(subject, **all_)
    key = Keys(subject_bucket(subject)).cut_off(subject)
    spoil_key(key, content)
    snapshot = Snapshot(redis)
    snapshot.pull()
    now = snapshot.cut_offs[subject].cut_off
    assert redis.check_token(single(subject, now + DAY)) is Verdict.MISSING
    assert "damaged" in caplog.text

    redis.revoke_subject(subject, **{**all_, "until": now + DAY})

    snapshot.pull()
    assert snapshot.cut_offs[subject].until is None  # nobody knows till when it was
    assert redis.check_token(single(subject, now)) is Verdict.REVOKED
    assert redis.check_token(single(subject, now + DAY)) is Verdict.LIVE


def test_a_name_that_is_no_text_is_told_as_one_that_no_token_has(redis: Any) -> None:
    subject = new_subject()
    jti = new_id(subject)
    redis.revoke_token(jti, reason="lost", until=None)
    keys, stray = Keys(id_bucket(jti)), b"t:\xff" + jti.encode()
    with valkey.shared().admin as admin:
        admin.rename(keys.token(jti), keys.prefix.encode() + stray)
        admin.zadd(keys.index, {stray: admin.zscore(keys.index, f"t:{jti}")})
    snapshot = Snapshot(redis)
    snapshot.pull()
    assert "\ufffd" + jti in snapshot.tokens


def test_a_list_of_redis_that_is_none_is_a_fault_of_the_store(redis: Any) -> None:
    subject = new_subject()
    spoil_key(Keys(subject_bucket(subject)).sessions(subject), b"no list")
    fresh = opened(valkey.shared().url)
    for store in (redis, fresh):
        with pytest.raises(StoreFault, match="of its own"):
            store.list_sessions(subject)
    fresh.close()


def test_entries_of_sqlite_without_a_time_refuse_for_ever(file: str) -> None:
    store, subject = opened(file), new_subject()
    store.create()
    end = 4_000_000_000 * SECOND
    store.revoke_token("one", reason="lost", until=end)
    store.revoke_subject(subject, reason="all", cut_off=0, until=end)
    change(file, "UPDATE paseto_tokens SET until = 'soon'")
    change(file, "UPDATE paseto_cut_offs SET until = 'soon', cut_off = x'00'")

    assert store.check_token(single(subject, end, "one")) is Verdict.REVOKED
    assert store.check_token(single(subject, end)) is Verdict.REVOKED
    snapshot = Snapshot(store)
    snapshot.pull()
    assert snapshot.tokens["one"].until is None
    told = snapshot.cut_offs[subject]
    assert told.until is None
    assert told.cut_off >= told.at
    store.close()


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("sqlite", "'soon'"),
        ("sqlite", "x'00'"),
        ("sqlite", 2**63 - 1),
        ("postgresql", 2**63 - 1),
    ],
)
def test_a_revoked_session_without_an_end_is_told_for_ever(
    file: str, kind: str, end: object
) -> None:
    url = file if kind == "sqlite" else postgresql.shared().url()
    store = opened(url)
    store.create()
    session = login(store, new_subject())
    in_table(url, f"expires_at = {end}")(session)
    assert store.revoke_session(session.session_id, reason="lost") is True
    snapshot = Snapshot(store)
    snapshot.pull()
    assert snapshot.sessions[session.session_id].until is None
    change(url, f"DELETE FROM paseto_sessions WHERE sid = '{session.session_id}'")  # noqa: S608
    store.close()


@pytest.mark.requirement("REV-2")
def test_a_person_whose_row_is_damaged_is_refused_and_logs_in_anew(file: str) -> None:
    store = opened(file)
    store.create()
    with open_site(store=store) as site:
        pair = site.log_in(scopes=["read"])
        change(file, "UPDATE paseto_sessions SET scopes = 'no JSON'")
        for answer in (
            site.try_rotate(pair),
            site.refresh(pair),
            site.get(pair, "/refreshable"),
        ):
            assert_refused(answer, RevokedToken)
        site.rotate(site.log_in(scopes=["read"]))
    store.close()


@pytest.mark.requirement("LIFE-2")
def test_a_session_lasts_no_longer_than_dates_go(make_app: MakeApp) -> None:
    for name in ("PASETO_SESSION_LIFETIME", "PASETO_SESSION_IDLE"):
        match = f"{name} must be from 1 to 3153600000 seconds"
        with pytest.raises(ConfigurationError, match=match):
            make_app(**{name: timedelta.max, "PASETO_STORE": "memory://"})
