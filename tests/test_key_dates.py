"""Keys that end, and keys that are tied to an issuer, on the way of a token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_paseto import (
    ConfigurationError,
    InvalidClaims,
    InvalidToken,
    PasetoManager,
    create_access_token,
    decode_token,
)
from flask_paseto.codec import Codec, VerifiedCache
from flask_paseto.config import read_config
from flask_paseto.keys import KeyRing, RingKey, generate_key, public_half
from flask_paseto.keys.entries import KeyState
from flask_paseto.keys.paserk import wrap_key
from flask_paseto.testing import Clock, use_clock

from .conftest import SECRET_KEY, MakeApp, add_routes
from .refusals import assert_refused, bearer
from .rings import document_of, entry_of, put

END = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAYLOAD = {"sub": "a", "type": "access", "jti": "1", "iat": "2026-01-01T00:00:00Z"}
ISSUER, OTHER = "https://a.example", "https://b.example"
PAIR = generate_key(4, "public")
PUBLIC = public_half(PAIR).to_paserk()
STRANGER = public_half(generate_key(4, "public")).to_paserk()


def codec_of(key: RingKey, **options: Any) -> Codec:
    return Codec(KeyRing.of(accepted=[key]), **options)


@pytest.mark.parametrize("purpose", ["local", "public"])
@pytest.mark.parametrize("footer", [None, {"more": 1}], ids=["bare", "more"])
@pytest.mark.parametrize("cached", [False, True], ids=["", "cached"])
def test_a_key_is_accepted_until_its_date_and_not_a_moment_longer(
    purpose: Any, footer: Any, cached: bool
) -> None:
    key = RingKey.of(generate_key(4, purpose))
    token = Codec(KeyRing.of([key])).seal(PAYLOAD, footer=footer)
    cache = VerifiedCache(10) if cached else None
    codec = codec_of(replace(key, not_after=END), cache=cache)
    before = END - timedelta(microseconds=1)

    for _ in range(2):
        assert codec.open(token, now=before).subject == "a"
    for _ in range(2):
        with pytest.raises(InvalidToken):
            codec.open(token, now=END)
    assert codec.open(token, now=before).subject == "a"


def test_without_a_time_the_clock_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    key = RingKey.of(generate_key())
    token = Codec(KeyRing.of([key])).seal(PAYLOAD)
    now = datetime.now(UTC)
    later = codec_of(replace(key, not_after=now + timedelta(hours=1)))
    assert later.open(token).subject == "a"
    over = codec_of(replace(key, not_after=now - timedelta(hours=1)))
    with pytest.raises(InvalidToken):
        over.open(token)


def test_a_token_without_an_id_is_not_tried_with_a_key_that_ended() -> None:
    key = replace(RingKey.of(generate_key()), footer=b"text")
    token = Codec(KeyRing.of([key])).seal(PAYLOAD)
    codec = codec_of(replace(key, not_after=END), accept_missing_kid=True)
    assert codec.open(token, now=END - timedelta(seconds=1)).subject == "a"
    with pytest.raises(InvalidToken):
        codec.open(token, now=END)


@pytest.mark.requirement("CLM-2")
@pytest.mark.parametrize(
    ("issuer", "good"),
    [(ISSUER, True), (OTHER, False), (ISSUER + "/", False), (None, False)],
)
@pytest.mark.parametrize("cached", [False, True], ids=["", "cached"])
def test_a_key_speaks_for_the_issuer_that_it_is_tied_to(
    issuer: str | None, good: bool, cached: bool
) -> None:
    key = RingKey.of(PAIR)
    payload = PAYLOAD if issuer is None else {**PAYLOAD, "iss": issuer}
    token = Codec(KeyRing.of([key])).seal(payload)
    cache = VerifiedCache(10) if cached else None
    codec = codec_of(replace(key, issuer=ISSUER), cache=cache)
    for _ in range(2):
        if good:
            assert codec.open(token).issuer == issuer
            continue
        with pytest.raises(InvalidClaims):
            codec.open(token)


def test_a_key_that_is_tied_issues_for_nobody_else() -> None:
    key = replace(RingKey.of(generate_key()), issuer=ISSUER)
    codec = Codec(KeyRing.of([key]))
    assert codec.open(codec.seal({**PAYLOAD, "iss": ISSUER})).issuer == ISSUER
    for payload in (PAYLOAD, {**PAYLOAD, "iss": OTHER}):
        with pytest.raises(ValueError, match="issuer must be"):
            codec.seal(payload)


def test_a_key_that_is_found_late_opens_its_token_and_is_not_kept() -> None:
    key = RingKey.of(PAIR)
    token = Codec(KeyRing.of([key])).seal(PAYLOAD)
    local = Codec(KeyRing.of([RingKey.of(generate_key())])).seal(PAYLOAD)
    asked: list[str] = []

    def find(key_id: str) -> RingKey | None:
        asked.append(key_id)
        return key if len(asked) < 3 else None

    codec = Codec(KeyRing.of(), find=find, cache=VerifiedCache(10))
    assert codec.open(token).subject == "a"
    assert codec.open(token).subject == "a"
    with pytest.raises(InvalidToken):
        codec.open(token)
    assert asked == [key.key_id] * 3
    with pytest.raises(InvalidToken):
        codec.open(local)  # nobody publishes keys that encrypt
    assert len(asked) == 3


def test_keys_that_stay_as_they_are_know_no_others(make_app: MakeApp) -> None:
    app = make_app(PASETO_SECRET_KEY=..., PASETO_PUBLIC_KEY=STRANGER)
    token = Codec(KeyRing.of([RingKey.of(PAIR)])).seal(PAYLOAD)
    with app.app_context(), pytest.raises(InvalidToken):
        decode_token(token)


# With the settings of an app


@pytest.fixture
def ring_file(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    put(path, document_of(entry_of()))
    return path


def app_of(path: Path, make_app: MakeApp, **settings: Any) -> Flask:
    return make_app(PASETO_SECRET_KEY=..., PASETO_KEYRING=path, **settings)


def faults_of(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_config(settings, "tests")
    return str(refused.value)


def test_an_app_issues_and_verifies_with_the_keys_of_its_ring(
    make_app: MakeApp, ring_file: Path
) -> None:
    for path in (ring_file, str(ring_file)):
        app = app_of(path, make_app)  # type: ignore[arg-type]
        with app.app_context():
            assert decode_token(create_access_token("alice")).subject == "alice"


@pytest.mark.requirement("ANS-2")
def test_a_retired_key_is_refused_as_any_forged_token_is(
    make_app: MakeApp, tmp_path: Path, paseto: PasetoManager
) -> None:
    path, over = tmp_path / "ring.json", generate_key()
    ended = entry_of(KeyState.ACCEPTED, paserk=over.to_paserk(), not_after=END)
    put(path, document_of(entry_of(), ended))
    app = app_of(path, make_app)
    add_routes(app)
    signer = make_app(PASETO_SECRET_KEY=over.to_paserk())
    clock = Clock(END - timedelta(seconds=2))
    with use_clock(signer, clock), signer.app_context():
        token = create_access_token("alice")
    with use_clock(app, clock):
        client = app.test_client()
        assert client.get("/protected", headers=bearer(token)).status_code == 200
        clock.advance(2)
        assert_refused(client.get("/protected", headers=bearer(token)), InvalidToken)


@pytest.mark.requirement("LIFE-2")
def test_a_missing_ring_names_the_command_that_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    fault = faults_of(PASETO_KEYRING=path, PASETO_LEEWAY=3600)
    assert f"PASETO_KEYRING ({path}) cannot be read: No such file" in fault
    assert f"flask paseto keys rotate --keyring {path}" in fault
    assert "PASETO_LEEWAY" in fault
    path.touch(0o600)
    assert "rotate" not in faults_of(PASETO_KEYRING=path)
    # Nothing can be made where no folder is.
    assert "rotate" not in faults_of(PASETO_KEYRING=path / "keyring.json")


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(
    ("name", "value", "moved"),
    [
        ("SECRET_KEY", SECRET_KEY, "SECRET_KEY_FALLBACKS"),
        ("PRIVATE_KEY", PAIR.to_paserk(), "PUBLIC_KEYS"),
        ("PUBLIC_KEY", PUBLIC, "PUBLIC_KEYS"),
    ],
    ids=["secret", "private", "public"],
)
def test_a_key_that_issues_beside_a_ring_is_a_fault(
    ring_file: Path, name: str, value: str, moved: str
) -> None:
    fault = faults_of(**{"PASETO_KEYRING": ring_file, f"PASETO_{name}": value})
    assert f"PASETO_{name} is set beside PASETO_KEYRING" in fault
    assert f"PASETO_{moved}" in fault


def test_keys_of_before_and_of_others_are_accepted_beside_a_ring(
    make_app: MakeApp, ring_file: Path
) -> None:
    before = make_app(PASETO_SECRET_KEY=SECRET_KEY)
    other = make_app(PASETO_SECRET_KEY=..., PASETO_PRIVATE_KEY=PAIR.to_paserk())
    app = app_of(
        ring_file,
        make_app,
        PASETO_SECRET_KEY_FALLBACKS=[SECRET_KEY],
        PASETO_PUBLIC_KEYS=[PUBLIC],
    )
    for former in (before, other):
        with former.app_context():
            token = create_access_token("alice")
        with app.app_context():
            assert decode_token(token).subject == "alice"
    with app.app_context():
        assert decode_token(create_access_token("bob")).subject == "bob"


def test_the_purpose_is_that_of_the_ring(ring_file: Path) -> None:
    fault = faults_of(PASETO_KEYRING=ring_file, PASETO_PURPOSE="public")
    assert "issues local tokens, while PASETO_PURPOSE is 'public'" in fault
    read_config({"PASETO_KEYRING": ring_file, "PASETO_PURPOSE": "local"}, "tests")


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize("name", ["KEYRING", "KEYRING_PASSWORD", "KEYSET_URL"])
@pytest.mark.parametrize("value", [None, "", 5, b""], ids=repr)
def test_a_setting_that_is_empty_brings_in_no_other_keys(name: str, value: Any) -> None:
    """An environment without the variable must not bring in Flask's SECRET_KEY."""
    fault = faults_of(
        SECRET_KEY="correct horse battery staple zebra", **{f"PASETO_{name}": value}
    )
    assert f"PASETO_{name} must be" in fault
    assert fault.count("\n- ") == 1


@pytest.mark.requirement("KEY-6")
def test_a_wrapped_ring_needs_its_password(make_app: MakeApp, tmp_path: Path) -> None:
    path, secret = tmp_path / "ring.json", tmp_path / "password"
    key = generate_key()
    entry = entry_of(paserk=key.to_paserk())
    put(path, document_of(replace(entry, key=wrap_key(key, "a good password"))))
    for given in ("a good password", b"a good password"):
        app_of(path, make_app, PASETO_KEYRING_PASSWORD=given)
    secret.write_text("a good password\n")
    app = app_of(path, make_app, PASETO_KEYRING_PASSWORD_FILE=secret)
    assert "a good password" not in repr(app.extensions["paseto"]["default"])

    settings: dict[str, Any] = {"PASETO_KEYRING": path}
    assert "set PASETO_KEYRING_PASSWORD" in faults_of(**settings)
    wrong = faults_of(PASETO_KEYRING_PASSWORD="wrong one", **settings)
    assert "another password" in wrong
    assert "wrong one" not in wrong
    both = {"PASETO_KEYRING_PASSWORD": "a", "PASETO_KEYRING_PASSWORD_FILE": secret}
    assert "both set" in faults_of(**both, **settings)
    missing = tmp_path / "none"
    for file, says in (
        (missing, "cannot be read: No such file"),
        (tmp_path, "cannot be read"),
        (5, "must be the path"),
    ):
        settings["PASETO_KEYRING_PASSWORD_FILE"] = file
        assert says in faults_of(**settings)
    settings["PASETO_KEYRING_PASSWORD_FILE"] = secret
    secret.write_bytes(b"\xff")
    assert "no text" in faults_of(**settings)
    secret.write_text("\n")
    assert "is empty" in faults_of(**settings)


# Several issuers


@pytest.mark.requirement("CLM-2")
def test_public_keys_can_be_tied_to_their_issuers(make_app: MakeApp) -> None:
    mine = generate_key(4, "public")
    app = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_PRIVATE_KEY=mine.to_paserk(),
        PASETO_ISSUER="https://me.example",
        PASETO_PUBLIC_KEYS={
            ISSUER: PUBLIC,
            OTHER: [public_half(generate_key(4, "public")).to_paserk()],
        },
    )
    config = app.extensions["paseto"]["default"].config
    assert config.accepted_issuers == {"https://me.example", ISSUER, OTHER}
    for issuer, good in ((ISSUER, True), (OTHER, False), ("https://me.example", False)):
        signer = make_app(
            PASETO_SECRET_KEY=...,
            PASETO_PRIVATE_KEY=PAIR.to_paserk(),
            PASETO_ISSUER=issuer,
        )
        with signer.app_context():
            token = create_access_token("alice")
        with app.app_context():
            if good:
                assert decode_token(token).issuer == ISSUER
                continue
            with pytest.raises(InvalidClaims):
                decode_token(token)


def test_public_keys_by_issuer_are_checked_as_all_others() -> None:
    fault = faults_of(
        PASETO_PUBLIC_KEYS={ISSUER: [PUBLIC, "changeme"], "": PUBLIC, 5: PUBLIC}
    )
    assert "PASETO_PUBLIC_KEYS of issuer 0[1] is not" in fault
    assert fault.count("an issuer must be a text") == 2
    assert "is empty" in faults_of(PASETO_PUBLIC_KEYS={ISSUER: []})


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"PASETO_KEYSET_URL": "https://a.example/k"}, "needs the issuer"),
        (
            {
                "PASETO_KEYSET_URL": "https://a.example/k",
                "PASETO_ACCEPTED_ISSUERS": [ISSUER, OTHER],
            },
            "needs the issuer",
        ),
        (
            {
                "PASETO_KEYSET_URL": {ISSUER: "https://a.example/k"},
                "PASETO_ACCEPTED_ISSUERS": [OTHER],
            },
            "not in PASETO_ACCEPTED_ISSUERS",
        ),
        ({"PASETO_KEYSET_URL": {ISSUER: "http://a.example/k"}}, "https"),
        ({"PASETO_KEYSET_URL": {5: "https://a.example/k"}}, "issuer must be a text"),
        ({"PASETO_KEYSET_URL": {}}, "is empty"),
        ({"PASETO_KEY_TIMEOUT": 0}, "PASETO_KEY_TIMEOUT"),
        (
            {
                "PASETO_KEYSET_URL": {ISSUER: "https://a.example/k"},
                "PASETO_ACCEPT_MISSING_KID": True,
            },
            "do not go together",
        ),
    ],
    ids=range(8),
)
def test_an_address_without_its_issuer_is_a_fault(
    settings: dict[str, Any], says: str
) -> None:
    assert says in faults_of(**settings)


@pytest.mark.requirement("KEY-5")
@pytest.mark.parametrize(
    "settings",
    [
        {
            "PASETO_KEYSET_URL": "http://127.0.0.1:9/k",
            "PASETO_ACCEPTED_ISSUERS": ISSUER,
        },
        {"PASETO_KEYSET_URL": {ISSUER: "http://127.0.0.1:9/k"}},
    ],
    ids=["one", "dict"],
)
def test_an_app_with_an_address_alone_verifies_and_refuses_to_issue(
    make_app: MakeApp, settings: dict[str, Any]
) -> None:
    app = make_app(
        PASETO_SECRET_KEY=...,
        SECRET_KEY="correct horse battery staple zebra",
        **settings,
    )
    with app.app_context(), pytest.raises(ConfigurationError, match="only public keys"):
        create_access_token("alice")
    ring = app.extensions["paseto"]["default"].codec.ring
    assert ring.by_id == {}


def test_an_app_with_an_issuer_of_its_own_accepts_those_of_the_addresses_too(
    make_app: MakeApp,
) -> None:
    app = make_app(
        PASETO_ISSUER="https://me.example",
        PASETO_KEYSET_URL={ISSUER: "http://127.0.0.1:9/k"},
    )
    config = app.extensions["paseto"]["default"].config
    assert config.accepted_issuers == {"https://me.example", ISSUER}
