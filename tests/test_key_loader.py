"""Keys from a function of the app: a vault, or wherever they are kept."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_paseto import (
    ConfigurationError,
    KeysUnavailable,
    PasetoManager,
    create_access_token,
    decode_token,
)
from flask_paseto.keys import generate_key, public_half
from flask_paseto.keys.entries import KeyState, write_document
from flask_paseto.keys.loader import LoadedKeys
from flask_paseto.keys.paserk import wrap_key
from flask_paseto.keys.ring import KeyRing
from flask_paseto.keys.sources import SourceOptions, _LoadedReader, read_source
from flask_paseto.testing import override_settings

from .refusals import assert_refused
from .rings import Ticks, document_of, entry_of

SECRET = generate_key().to_paserk()
FORMER = generate_key().to_paserk()
PAIR = generate_key(4, "public")

MakeLoaded = Callable[..., LoadedKeys]


def ring_from(found: Any, **options: Any) -> KeyRing:
    """Return the ring of what a loader gives."""
    faults: list[str] = []
    source = read_source({}, faults, SourceOptions(**options), lambda: found)
    assert faults == []
    return source.current()


def fault_from(found: Any, **options: Any) -> str:
    faults: list[str] = []
    read_source({}, faults, SourceOptions(**options), lambda: found)
    (fault,) = faults
    return fault


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "found",
    [
        {"PASETO_SECRET_KEY": SECRET},
        {"PASETO_SECRET_KEY": SECRET, "PASETO_SECRET_KEY_FALLBACKS": [FORMER]},
        {"PASETO_PRIVATE_KEY": PAIR.to_paserk()},
        {"PASETO_PUBLIC_KEY": public_half(PAIR).to_paserk()},
        write_document(document_of(entry_of(), entry_of(KeyState.ANNOUNCED))),
        write_document(document_of(entry_of())).encode(),
    ],
    ids=range(6),
)
def test_a_loader_gives_settings_or_the_text_of_a_ring_file(found: Any) -> None:
    assert ring_from(found).by_id


def test_what_a_ring_file_holds_wrapped_is_read_with_the_password() -> None:
    key = generate_key()
    wrapped = wrap_key(key, "a good password")
    entry = entry_of(paserk=key.to_paserk())
    text = write_document(document_of(entry)).replace(entry.key, wrapped)
    assert ring_from(text, password="a good password").purpose == "local"
    assert "another password" in fault_from(text, password="another")


@pytest.mark.requirement("KEY-1", "KEY-6")
@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "a dict of key settings"),
        ([SECRET], "a dict of key settings"),
        ("", "no JSON"),
        (SECRET, "no JSON"),
        (b"\xff", "no JSON"),
        ({}, "names are those of settings"),
        ({"SECRET_KEY": SECRET}, "names are those of settings"),
        ({"PASETO_LEEWAY": 5}, "names are those of settings"),
        ({5: SECRET}, "names are those of settings"),
        ({"PASETO_SECRET_KEY": "changeme"}, "shorter than 32"),
        ({"PASETO_SECRET_KEY": SECRET + " "}, "PASETO_SECRET_KEY"),
        (write_document(document_of(entry_of(issuer="https://b.example"))), "issuer"),
    ],
    ids=range(12),
)
def test_an_app_does_not_start_with_anything_else(found: Any, says: str) -> None:
    fault = fault_from(found)
    assert fault.startswith("key_loader gives no good keys")
    assert says in fault
    assert SECRET.removeprefix("k4.local.") not in fault


def test_an_app_does_not_start_when_the_loader_fails_or_hangs() -> None:
    def fail() -> None:
        raise RuntimeError(SECRET)

    release = threading.Event()

    def hang() -> None:
        release.wait(20)

    for loader, says in ((fail, "raised RuntimeError"), (hang, "within 0.1 seconds")):
        faults: list[str] = []
        options = SourceOptions(timeout=timedelta(milliseconds=100))
        read_source({}, faults, options, loader)
        assert faults == [f"key_loader {says}"] or says in faults[0]
        assert SECRET not in faults[0]
    release.set()


@pytest.mark.parametrize(
    "settings",
    [
        {"PASETO_SECRET_KEY": SECRET},
        {"PASETO_PUBLIC_KEYS_FILE": "keys"},
        {"PASETO_KEYRING": "ring.json"},
    ],
    ids=range(3),
)
def test_keys_from_two_hands_are_a_fault(settings: dict[str, Any]) -> None:
    app = Flask("tests")
    app.config.update(settings)
    with pytest.raises(ConfigurationError, match="there is a key_loader") as refused:
        PasetoManager(app, key_loader=lambda: {"PASETO_SECRET_KEY": SECRET})
    assert next(iter(settings)).removesuffix("_FILE") in str(refused.value)


def test_the_purpose_is_that_of_the_ring_that_is_loaded() -> None:
    text = write_document(document_of(entry_of()))
    assert "PASETO_PURPOSE is 'public'" in fault_from(text, purpose="public")
    assert ring_from(text, purpose="local").purpose == "local"


def test_a_loader_is_not_asked_for_single_keys() -> None:
    source = read_source({}, [], SourceOptions(), lambda: {"PASETO_SECRET_KEY": SECRET})
    assert source.find("k4.pid." + "A" * 44) is None


def test_a_loader_must_be_a_function() -> None:
    with pytest.raises(TypeError, match="must be a function"):
        PasetoManager(key_loader={"PASETO_SECRET_KEY": SECRET})  # type: ignore[arg-type]


# In the life of an app


class Vault:
    """Gives what it holds; what it gave may be changed behind its back."""

    def __init__(self) -> None:
        self.holds: Any = {"PASETO_SECRET_KEY": SECRET}
        self.calls = 0
        self.down = False

    def __call__(self) -> Any:
        self.calls += 1
        if self.down:
            raise OSError
        return self.holds


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """Return the clock for ages of the loader of an app."""
    found = Ticks()
    defaults = LoadedKeys.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "ticks", found)
    return found


@pytest.fixture
def app(vault: Vault, ticks: Ticks) -> Flask:
    app = Flask("tests")
    PasetoManager(app, key_loader=vault)

    @app.get("/token")
    def token() -> str:
        return create_access_token("alice")

    @app.get("/me")
    def me() -> dict[str, str]:
        return {"user": decode_token(app.config["TOKEN"]).subject}

    return app


def settle() -> None:
    for _ in range(2000):
        if not [t for t in threading.enumerate() if "key_loader" in t.name]:
            return
        threading.Event().wait(0.005)
    raise AssertionError("the loader does not come to an end")


def test_new_keys_are_taken_before_the_old_ones_are_too_old(
    app: Flask, vault: Vault, ticks: Ticks
) -> None:
    client = app.test_client()
    first = client.get("/token").text
    assert vault.calls == 1
    vault.holds["PASETO_SECRET_KEY"] = FORMER  # the same dict, changed
    ticks.advance(timedelta(minutes=3))
    with app.app_context():
        assert decode_token(first).subject == "alice"
    assert vault.calls == 1
    ticks.advance(timedelta(minutes=2))

    second = client.get("/token").text

    with app.app_context():
        assert decode_token(second).key_id != decode_token_id(first)
    assert vault.calls == 2


def decode_token_id(token: str) -> str:

    part = token.rpartition(".")[2]
    footer: dict[str, str] = json.loads(
        urlsafe_b64decode(part + "=" * (-len(part) % 4))
    )
    return footer["kid"]


def test_what_did_not_change_keeps_its_ring_and_its_cache(
    app: Flask, vault: Vault, ticks: Ticks
) -> None:
    with app.app_context():
        ring = app.extensions["paseto"]["default"].codec.ring
        ticks.advance(timedelta(minutes=5))
        assert app.extensions["paseto"]["default"].codec.ring is ring
    assert vault.calls == 2


def test_a_ring_file_that_grew_younger_is_not_taken(
    app: Flask, vault: Vault, ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    state = app.extensions["paseto"]["default"]
    for version, taken in ((5, True), (4, False), (6, True)):
        entry = entry_of()
        vault.holds = write_document(document_of(entry, version=version))
        ticks.advance(timedelta(minutes=5))
        state.codec  # noqa: B018
        settle()
        assert (entry.id in state.codec.ring.by_id) is taken
    assert "older than version 5" in caplog.text


@pytest.mark.requirement("ANS-1")
def test_while_the_vault_is_down_the_last_keys_serve_for_a_day_and_then_none(
    app: Flask, vault: Vault, ticks: Ticks
) -> None:
    client = app.test_client()
    app.config["TOKEN"] = client.get("/token").text
    vault.down = True
    ticks.advance(timedelta(hours=23, minutes=59))
    assert client.get("/me").json == {"user": "alice"}
    settle()
    ticks.advance(timedelta(minutes=2))

    for path in ("/me", "/token"):
        response = client.get(path)
        assert_refused(response, KeysUnavailable)
        assert response.headers["Retry-After"] == "30"
        settle()
    vault.down = False
    ticks.advance(30)
    client.get("/token")
    settle()
    assert client.get("/me").json == {"user": "alice"}


def test_a_loader_may_be_async(app: Flask) -> None:
    async def load() -> dict[str, str]:
        return {"PASETO_SECRET_KEY": SECRET}

    other = Flask("tests")
    PasetoManager(other, key_loader=load)
    with app.app_context():
        token = create_access_token("alice")
    with other.app_context():
        assert decode_token(token).subject == "alice"


def test_settings_can_be_overridden_in_a_test_with_a_loader(
    app: Flask, vault: Vault
) -> None:
    with override_settings(app, PASETO_LEEWAY=0), app.app_context():
        assert decode_token(create_access_token("alice")).subject == "alice"
    assert vault.calls == 2


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    settle()


def test_keys_that_came_too_late_are_not_taken_for_those_in_use() -> None:
    """What was read last need not be in use; a way back to it must not be lost."""
    first, second = ({"PASETO_SECRET_KEY": generate_key().to_paserk()} for _ in "ab")
    read = _LoadedReader(SourceOptions())
    in_use = read(second, None)
    late = read(first, in_use)  # its turn is over: it is thrown away

    assert set(read(first, in_use).by_id) == set(late.by_id)


def test_a_key_file_that_the_loader_names_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "key"
    found = {"PASETO_SECRET_KEY_FILE": str(path)}
    path.write_text(generate_key().to_paserk())
    read = _LoadedReader(SourceOptions())
    former = read(found, None)
    path.write_text(generate_key().to_paserk())

    assert not set(read(found, former).by_id) & set(former.by_id)
