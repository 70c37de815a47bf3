"""`flask paseto keys`: the life of the keys in a ring file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from flask_paseto import (
    InvalidToken,
    PasetoManager,
    create_access_token,
    decode_token,
)
from flask_paseto.cli import paseto
from flask_paseto.cli.keys import NOT_YET
from flask_paseto.cli.options import in_words
from flask_paseto.keys import generate_key, public_half
from flask_paseto.keys.entries import KeyState, RingDocument
from flask_paseto.keys.file import read_document
from flask_paseto.keys.material import read_local_key
from flask_paseto.keys.paserk import is_wrapped, unwrap_paserk, wrap_key

from .conftest import MakeApp
from .rings import document_of, entry_of, put

PASSWORD = "a good password"
TEXT = "correct horse battery staple zebra"

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PASETO_KEYRING", "PASETO_KEYRING_PASSWORD", "FLASK_APP"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring.json"


@pytest.fixture
def run(path: Path) -> Run:
    """Return what runs a command on the ring, without any app."""

    def run(*args: str, **options: Any) -> Result:
        name, *rest = args
        return invoke("keys", name, "--keyring", str(path), *rest, **options)

    return run


def invoke(*args: str, app: Flask | None = None, **options: Any) -> Result:
    info = None if app is None else ScriptInfo(create_app=lambda: app)
    return CliRunner().invoke(paseto, args, obj=info, **options)


def done(result: Result) -> Any:
    """Return what a command printed as JSON, after it did its work."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shown(result: Result) -> str:
    """Return all that a person sees; no secret is ever in it."""
    assert ".secret." not in result.output
    assert ".local." not in result.output.replace("v4.local", "")
    return result.output


def states(path: Path) -> dict[str, KeyState]:
    return {entry.id: entry.state for entry in read_document(path).entries}


# A ring comes to be


def test_rotate_makes_the_ring_and_then_takes_a_step_each_time(
    run: Run, path: Path
) -> None:
    first = run("rotate")
    assert first.exit_code == 0
    assert shown(first).startswith("created k4.lid.")
    assert "Next: announce" in first.stderr
    assert list(states(path).values()) == [KeyState.ISSUING]

    second = run("rotate", "--settle", "0")
    assert second.stdout.startswith("announced k4.lid.")
    assert "can be promoted from" in second.stdout
    assert "Next: promote, from " in second.stderr

    third = run("rotate", "--settle", "0")
    assert third.stdout.startswith("promoted k4.lid.")
    assert "Next: prune, from " in third.stderr
    assert list(states(path).values()) == [KeyState.ACCEPTED, KeyState.ISSUING]
    assert "accepted until" in shown(run("list"))


def test_rotate_waits_until_every_reader_can_have_seen_the_key(
    run: Run, path: Path
) -> None:
    run("rotate")
    run("rotate")
    before = path.read_bytes()

    early = run("rotate")

    assert early.exit_code == NOT_YET == 75
    assert early.stdout == ""
    assert "Too early: not every reader may know k4.lid." in shown(early)
    as_json = run("rotate", "--json")
    assert as_json.exit_code == NOT_YET
    assert set(json.loads(as_json.stdout)) == {"done", "not_before"}
    assert path.read_bytes() == before


def test_what_has_ended_is_pruned_by_rotate_also_when_it_must_wait(
    run: Run, path: Path
) -> None:
    run("rotate")
    first = read_document(path).entries[0].id
    run("rotate")
    run("promote", "--now")
    run("retire", first, "--now")
    run("rotate")
    assert len(states(path)) == 2  # the one that ended has gone
    run("announce")
    last = read_document(path).entries[-1].id
    run("retire", last)
    assert run("rotate").exit_code == NOT_YET
    assert last not in states(path)


@pytest.mark.parametrize("version", ["3", "4"])
@pytest.mark.parametrize("purpose", ["local", "public"])
def test_a_new_key_is_of_the_kind_of_the_one_that_issues(
    run: Run, path: Path, version: str, purpose: str
) -> None:
    run("rotate", "--version", version, "--purpose", purpose, "--issuer", "https://a.b")
    assert done(run("rotate", "--json"))["done"] == "announced"

    entries = read_document(path).entries
    assert {entry.kind for entry in entries} == {f"v{version}.{purpose}"}
    assert {entry.issuer for entry in entries} == {"https://a.b"}
    assert "tied to https://a.b" in run("list").stdout


def test_the_stages_can_be_taken_one_by_one(run: Run, path: Path) -> None:
    created = done(run("announce", "--json"))
    assert created["done"] == "announced"
    assert created["key"]["state"] == "issuing"
    new = done(run("announce", "--json"))["key"]["id"]
    other = done(run("announce", "--json"))["key"]["id"]
    assert run("promote").exit_code == NOT_YET

    promoted = done(run("promote", other[:24], "--now", "--json"))
    assert promoted["key"]["id"] == other
    assert promoted["key"]["state"] == "issuing"
    assert promoted["next"] == "promote"
    former = created["key"]["id"]
    retired = done(run("retire", former, "--now", "--json"))
    assert retired["key"]["ended"] is True
    assert "retired, can be pruned" in run("list").stdout
    pruned = done(run("prune", "--json"))
    assert pruned == {"done": "pruned", "keys": [former], "version": 6}
    assert list(states(path)) == [new, other]
    assert "Keys that are left: 2." in run("prune").stderr
    run("retire", new)
    assert f"pruned {new}" in run("prune").stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("promote",), "no key is announced"),
        (("promote", "k4.lid.+++++"), "no key in the ring"),
        (("retire", "k4.lid."), "too short to name a key"),
        (("retire", "k4.nothing.here"), "no key in the ring"),
        (("retire",), "Missing argument"),
        (("announce", "--purpose", "secret"), "Invalid value"),
        (("announce", "--version", "2"), "Invalid value"),
        (("list", "--settle", "-1"), "Invalid value"),
        (("list", "--lifetime", "soon"), "Invalid value"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    run: Run, path: Path, args: tuple[str, ...], says: str
) -> None:
    run("rotate")
    before = path.read_bytes()
    result = run(*args)
    assert result.exit_code == (
        2 if says in ("Missing argument", "Invalid value") else 1
    )
    assert says in shown(result)
    assert result.stdout == ""
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    ["list", "promote", "retire k4.lid", "prune", "restore", "export-public"],
)
def test_a_ring_that_is_not_there_is_told_with_a_way_out(
    run: Run, path: Path, command: str
) -> None:
    result = run(*command.split())
    assert result.exit_code == 1
    assert f"{path} cannot be read: No such file" in result.output
    assert f"flask paseto keys rotate --keyring {path}" in result.output
    assert list(path.parent.iterdir()) == []  # not even a lock


def test_a_ring_that_others_may_read_is_not_touched(run: Run, path: Path) -> None:
    run("rotate")
    path.chmod(0o644)
    for name in ("list", "rotate", "restore"):
        result = run(name)
        assert result.exit_code == 1
        assert "chmod 600" in result.output


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = invoke("keys", "rotate", "--keyring", str(tmp_path / "no" / "ring"))
    assert result.exit_code == 1
    assert "cannot be changed: No such file" in result.output


# Keys that are there already


def test_a_secret_of_before_goes_into_a_ring_and_its_tokens_live_on(
    run: Run, path: Path, make_app: MakeApp
) -> None:
    before = make_app(PASETO_SECRET_KEY=TEXT)
    with before.app_context():
        token = create_access_token("alice")
    assert run("announce", "--from", "-", input=TEXT + "\n").exit_code == 0

    app = make_app(PASETO_SECRET_KEY=..., PASETO_KEYRING=path)
    with app.app_context():
        assert decode_token(token).subject == "alice"
    expected = read_local_key(TEXT, version=4, manager="default").key_id
    assert list(states(path)) == [expected]


def pem_of(version: int) -> tuple[str, str]:
    """Return a private and a public PEM."""
    from cryptography.hazmat.primitives.asymmetric.ec import (
        SECP384R1,
        generate_private_key,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = (
        Ed25519PrivateKey.generate()
        if version == 4
        else generate_private_key(SECP384R1())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.mark.parametrize("version", [3, 4])
def test_a_pem_becomes_a_paserk_and_a_public_one_never_issues(
    run: Run, path: Path, tmp_path: Path, version: int
) -> None:
    private, public = pem_of(version)
    file = tmp_path / "key.pem"
    file.write_text(public)
    result = done(
        run("announce", "--from", str(file), "--issuer", "https://b.c", "--json")
    )
    assert result["key"]["state"] == "accepted"
    file.write_text(private)
    assert "already" in run("announce", "--from", str(file)).output
    file.write_text(pem_of(version)[0])
    assert (
        done(run("announce", "--from", str(file), "--json"))["key"]["state"]
        == "issuing"
    )
    first, second = read_document(path).entries
    assert first.key.startswith(f"k{version}.public.")
    assert second.key.startswith(f"k{version}.secret.")


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    "bad",
    ["", "changeme", "k4.local.AAAA", "k4.local." + "A" * 43, "k4.sid.x", "-----BEGIN"],
)
def test_a_key_that_no_setting_would_take_goes_into_no_ring(
    run: Run, path: Path, bad: str
) -> None:
    result = run("announce", "--from", "-", input=bad)
    assert result.exit_code == 1
    assert not path.exists()


# Wrapped keys


def test_a_ring_is_wrapped_where_there_is_a_password(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", PASSWORD)
    run("rotate", "--purpose", "public")
    monkeypatch.delenv("PASETO_KEYRING_PASSWORD")
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    assert run("rotate", "--password-file", str(file)).exit_code == 0

    entries = read_document(path).entries
    assert len(entries) == 2
    for entry in entries:
        assert is_wrapped(entry.key)
        assert unwrap_paserk(entry.key, PASSWORD).to_paserk().startswith("k4.secret.")
    assert [key["wrapped"] for key in done(run("list", "--json"))["keys"]] == [True] * 2


def test_a_wrapped_ring_takes_no_key_without_its_password(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is wrapped with another would make it unreadable for all workers."""
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", PASSWORD)
    run("rotate", "--purpose", "public")
    before = path.read_bytes()
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", "another one")
    assert "is not that of the ring" in run("announce").output
    assert "another password" in run("export-public").output
    monkeypatch.delenv("PASETO_KEYRING_PASSWORD")
    result = run("announce")
    assert result.exit_code == 1
    assert "set PASETO_KEYRING_PASSWORD" in result.output
    assert run("export-public").exit_code == 1
    assert path.read_bytes() == before


def test_a_wrapped_key_is_taken_as_it_is(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = wrap_key(generate_key(), PASSWORD)
    assert run("announce", "--from", "-", input=wrapped).exit_code == 1
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", PASSWORD)
    assert run("announce", "--from", "-", input=wrapped).exit_code == 0
    assert read_document(path).entries[0].key == wrapped


# Public keys, and a copy that was put back


def test_public_halves_of_the_own_keys_are_printed_and_no_secret(
    run: Run, path: Path
) -> None:
    foreign = public_half(generate_key(4, "public")).to_paserk()
    run("rotate", "--purpose", "public")
    run("announce", "--purpose", "local")
    run("announce", "--from", "-", input=foreign)
    run("announce", "--purpose", "public")
    gone = read_document(path).entries[-1].id
    run("retire", gone)

    lines = run("export-public").stdout.splitlines()
    found = done(run("export-public", "--json"))

    assert len(lines) == len(found["keys"]) == 1
    assert lines[0].startswith("k4.public.")
    assert lines[0] != foreign
    assert found["keys"][0] == {
        "kid": read_document(path).entries[0].id,
        "key": lines[0],
    }
    assert "issuer" not in found


def test_a_file_put_back_is_refused_until_it_is_restored(run: Run, path: Path) -> None:
    run("rotate")
    copy = path.read_bytes()
    run("announce")
    path.write_bytes(copy)
    for name in ("list", "rotate"):
        result = run(name)
        assert result.exit_code == 1
        assert "flask paseto keys restore" in result.output

    assert "restored as version 3" in run("restore").output
    assert len(states(path)) == 1
    assert done(run("restore", "--above", "40", "--json")) == {
        "done": "restored",
        "version": 41,
    }
    assert run("list").exit_code == 0


# With an app


@pytest.fixture
def app(path: Path, make_app: MakeApp, run: Run) -> Flask:
    run("rotate", "--purpose", "public")
    return make_app(
        PASETO_SECRET_KEY=...,
        PASETO_KEYRING=path,
        PASETO_ISSUER="https://a.example",
        PASETO_MAX_TOKEN_LIFETIME=2_000_000,
        PASETO_REFRESH_TOKEN_EXPIRES=2_000_000,
        PASETO_KEYSET_MAX_AGE=100,
        PASETO_KEY_TIMEOUT=7,
        PASETO_LEEWAY=9,
    )


def test_the_settings_of_the_app_say_how_long_to_wait(app: Flask, path: Path) -> None:
    new = done(invoke("keys", "rotate", "--json", app=app))
    document = read_document(path)
    waits = document.entries[1].added.isoformat()
    assert invoke("keys", "promote", app=app).exit_code == NOT_YET
    assert new["key"]["added"].rstrip("Z") in waits
    promoted = done(invoke("keys", "promote", "--now", "--json", app=app))
    former, issuing = read_document(path).entries
    assert issuing.id == promoted["key"]["id"]
    assert issuing.lifetime is not None
    assert issuing.lifetime.total_seconds() == 2_000_000
    assert former.not_after is not None
    assert former.issued_until is not None
    lasts = (former.not_after - former.issued_until).total_seconds()
    assert lasts == 2_000_000 + 100 + 60 + 1 + 9
    assert done(invoke("keys", "export-public", "--json", app=app))["issuer"] == (
        "https://a.example"
    )


def test_a_lifetime_can_be_given_where_the_app_is_not(run: Run, path: Path) -> None:
    run("rotate", "--lifetime", "60")
    run("rotate", "--lifetime", "60")
    run("promote", "--now", "--lifetime", "60", "--settle", "5")
    former, _ = read_document(path).entries
    assert former.lifetime is not None
    assert former.not_after is not None
    assert former.issued_until is not None
    assert (former.not_after - former.issued_until).total_seconds() == 60 + 5 + 10


def test_the_password_of_the_app_is_used(
    make_app: MakeApp, path: Path, run: Run
) -> None:
    run("rotate")
    app = make_app(
        PASETO_SECRET_KEY=..., PASETO_KEYRING=path, PASETO_KEYRING_PASSWORD=PASSWORD
    )
    assert invoke("keys", "announce", app=app).exit_code == 0
    assert is_wrapped(read_document(path).entries[1].key)


def test_an_app_with_a_loader_tells_how_old_its_keys_may_be(
    path: Path, run: Run
) -> None:
    app = Flask("tests")
    key = generate_key().to_paserk()
    PasetoManager(app, key_loader=lambda: {"PASETO_SECRET_KEY": key})
    run("rotate")
    result = invoke("keys", "announce", "--keyring", str(path), "--json", app=app)
    entry = read_document(path).entries[1]
    waits = done(result)["not_before"]
    assert (datetime.fromisoformat(waits) - entry.added).total_seconds() == 304


def test_tokens_that_never_expire_keep_their_key(
    make_app: MakeApp, path: Path, run: Run
) -> None:
    run("rotate")
    app = make_app(
        PASETO_SECRET_KEY=..., PASETO_KEYRING=path, PASETO_ALLOW_NON_EXPIRING=True
    )
    invoke("keys", "rotate", app=app)
    result = done(invoke("keys", "promote", "--now", "--json", app=app))
    assert result["next"].startswith("announce")
    assert read_document(path).entries[0].not_after is None


def test_without_a_ring_and_an_app_the_usage_is_told(make_app: MakeApp) -> None:
    for app in (None, make_app(), Flask("bare")):
        result = invoke("keys", "list", app=app)
        assert result.exit_code == 2
        assert "--keyring FILE" in result.output


def test_an_app_that_does_not_start_is_told_and_the_ring_can_be_made(
    path: Path,
) -> None:
    def create_app() -> Flask:
        app = Flask("tests")
        app.config["PASETO_KEYRING"] = path
        PasetoManager(app)
        return app

    info = ScriptInfo(create_app=create_app)
    result = CliRunner().invoke(paseto, ["keys", "list"], obj=info)
    assert result.exit_code == 1
    assert "the app cannot be loaded" in result.stderr
    assert f"rotate --keyring {path}" in result.stderr
    again = ["keys", "rotate", "--keyring", str(path)]
    assert CliRunner().invoke(paseto, again, obj=info).exit_code == 0
    assert CliRunner().invoke(paseto, ["keys", "list"], obj=info).exit_code == 0


def test_an_app_that_was_named_and_is_not_there_is_told(path: Path, run: Run) -> None:
    run("rotate")
    info = ScriptInfo(app_import_path="nowhere_to_be_found")
    args = ["keys", "list", "--keyring", str(path)]
    result = CliRunner().invoke(paseto, args, obj=info)
    assert result.exit_code == 0
    assert "the app cannot be loaded: Could not import" in result.stderr


def test_the_pace_of_an_app_that_cannot_be_loaded_is_not_guessed(
    path: Path, run: Run
) -> None:
    """A guess that is too short ends a key while its tokens live."""
    run("rotate")
    run("rotate")
    run("promote", "--now")
    former = read_document(path).entries[0].id
    before = path.read_bytes()
    info = ScriptInfo(app_import_path="nowhere_to_be_found")
    known = ["--lifetime", "60", "--settle", "0"]
    for command in (["rotate"], ["promote", "--now"], ["retire", former, "--now"]):
        args = ["keys", *command, "--keyring", str(path)]
        for given in ([], known[:2], known[2:]):
            result = CliRunner().invoke(paseto, [*args, *given], obj=info)
            assert result.exit_code == 1
            assert "Give --lifetime and --settle" in result.output
    assert path.read_bytes() == before
    rotate = ["keys", "rotate", "--keyring", str(path), *known]
    assert CliRunner().invoke(paseto, rotate, obj=info).exit_code == 0
    restore = ["keys", "restore", "--keyring", str(path)]
    assert CliRunner().invoke(paseto, restore, obj=info).exit_code == 0


def test_an_app_that_fails_is_told_with_the_kind_of_its_fault(path: Path) -> None:
    def create_app() -> Flask:
        raise KeyError("PASETO_SECRET_KEY")

    info = ScriptInfo(create_app=create_app)
    args = ["keys", "rotate", "--keyring", str(path)]
    result = CliRunner().invoke(paseto, args, obj=info)
    assert result.exit_code == 0
    told = "the app cannot be loaded: KeyError: 'PASETO_SECRET_KEY'\n"
    assert result.stderr.startswith(told)


@pytest.mark.parametrize("args", [("inspect", "v4.local.AAAA"), ("issue", "bob")])
def test_other_commands_say_that_the_app_cannot_be_loaded(
    args: tuple[str, ...],
) -> None:
    info = ScriptInfo(app_import_path="nowhere_to_be_found")
    result = CliRunner().invoke(paseto, args, obj=info)
    assert result.exit_code == 1
    assert "the app cannot be loaded" in result.output


def test_rotate_says_what_it_pruned(run: Run, path: Path) -> None:
    run("rotate")
    first = read_document(path).entries[0].id
    run("rotate")
    run("promote", "--now")
    run("retire", first, "--now")
    copy = path.read_bytes()
    assert f"pruned {first}\n" in run("rotate").stdout
    path.with_name("ring.json.lock").unlink()
    path.write_bytes(copy)
    assert done(run("rotate", "--json"))["pruned"] == [first]


def test_a_key_that_is_announced_is_of_the_kind_that_issues_unless_told(
    run: Run, path: Path
) -> None:
    run("rotate", "--purpose", "public", "--version", "3")
    run("announce")
    run("announce", "--purpose", "local")
    run("announce", "--version", "4")
    kinds = [entry.kind for entry in read_document(path).entries]
    assert kinds == ["v3.public", "v3.public", "v3.local", "v4.public"]


@pytest.mark.parametrize(
    "args", [("--purpose", "public"), ("--version", "3"), ("--issuer", "https://b.c")]
)
def test_rotate_does_not_change_the_kind_in_silence(
    run: Run, path: Path, args: tuple[str, ...]
) -> None:
    run("rotate")
    before = path.read_bytes()
    result = run("rotate", *args)
    assert result.exit_code == 1
    assert "issues v4.local tokens" in result.output
    assert path.read_bytes() == before


def test_a_text_becomes_the_key_of_the_version_that_is_asked_for(
    run: Run, path: Path
) -> None:
    run("announce", "--version", "3", "--from", "-", input=TEXT)
    expected = read_local_key(TEXT, version=3, manager="default").key_id
    assert list(states(path)) == [expected]


def test_a_wrapped_key_among_others_is_pointed_out(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("rotate")
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", PASSWORD)
    assert "every worker has PASETO_KEYRING_PASSWORD" in run("rotate").stderr


def test_a_lifetime_is_noted_as_soon_as_it_is_known(run: Run, path: Path) -> None:
    """Else a setting that is made shorter would end the former key too early."""
    run("rotate")
    assert read_document(path).entries[0].lifetime is None
    for given, noted in (("500", 500), ("60", 500), ("900", 900)):
        run("announce", "--lifetime", given)
        lifetime = read_document(path).entries[0].lifetime
        assert lifetime is not None
        assert lifetime.total_seconds() == noted


@pytest.mark.requirement("KEY-4")
def test_a_key_that_has_gone_never_comes_back(
    run: Run, path: Path, make_app: MakeApp
) -> None:
    """Neither by a setting, where it has no date, nor into the ring again."""
    run("announce", "--from", "-", input=TEXT)
    old = read_document(path).entries[0].id
    before = make_app(PASETO_SECRET_KEY=TEXT)
    with before.app_context():
        token = create_access_token("alice")
    run("announce")
    run("promote", "--now")
    run("retire", old, "--now")
    for pruned in (False, True):
        if pruned:
            assert f"pruned {old}" in run("prune").stdout
        app = make_app(
            PASETO_SECRET_KEY=...,
            PASETO_KEYRING=path,
            PASETO_SECRET_KEY_FALLBACKS=[TEXT],
        )
        with app.app_context(), pytest.raises(InvalidToken):
            decode_token(token)
    again = run("announce", "--from", "-", input=TEXT)
    assert again.exit_code == 1
    assert "has ended: it stays out" in again.output


def test_people_are_told_whole_seconds_and_never_too_early() -> None:
    half = datetime(2026, 6, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert in_words(half) == "2026-06-01T12:00:01Z"
    assert in_words(half.replace(microsecond=0)) == "2026-06-01T12:00:00Z"


def test_an_empty_document_is_version_nothing() -> None:
    assert RingDocument().version == 0


def test_a_lifetime_of_nothing_makes_no_ring(run: Run, path: Path) -> None:
    assert run("rotate", "--lifetime", "0").exit_code == 2
    assert not path.exists()


def test_a_lifetime_of_a_part_of_a_second_is_noted_in_full(path: Path) -> None:
    entry = entry_of(lifetime=timedelta(seconds=0.5))
    put(path, document_of(entry))
    assert read_document(path).entries[0].lifetime == timedelta(seconds=1)


def test_a_date_beyond_all_calendars_is_told(make_app: MakeApp, path: Path) -> None:
    put(path, document_of(entry_of(), entry_of(KeyState.ANNOUNCED)))
    app = make_app(
        PASETO_SECRET_KEY=...,
        PASETO_KEYRING=path,
        PASETO_MAX_TOKEN_LIFETIME=timedelta(days=3_650_000),
    )
    result = invoke("keys", "promote", app=app)
    assert result.exit_code == 1
    assert "Error: " in shown(result)


@pytest.mark.parametrize(
    ("settings", "announced", "says"),
    [
        (
            {"PASETO_ISSUER": "https://a.example"},
            ["--issuer", "https://b.example"],
            "another issuer than the PASETO_ISSUER",
        ),
        ({"PASETO_PURPOSE": "local"}, ["--purpose", "public"], "PASETO_PURPOSE is"),
    ],
    ids=["issuer", "purpose"],
)
def test_a_key_that_the_app_would_not_start_with_is_not_promoted(
    make_app: MakeApp,
    run: Run,
    path: Path,
    settings: dict[str, Any],
    announced: list[str],
    says: str,
) -> None:
    run("rotate")
    app = make_app(PASETO_SECRET_KEY=..., PASETO_KEYRING=path, **settings)
    new = done(invoke("keys", "announce", *announced, "--json", app=app))
    before = path.read_bytes()

    result = invoke("keys", "promote", "--now", app=app)

    assert result.exit_code == 1
    assert says in shown(result)
    assert path.read_bytes() == before
    assert invoke("keys", "retire", new["key"]["id"], app=app).exit_code == 0


@pytest.mark.parametrize(
    ("held", "says"),
    [(b"\n", "is empty"), (b"\xff\xfe", "it is no text")],
    ids=["empty", "bytes"],
)
def test_a_password_file_without_a_password_is_told(
    run: Run, path: Path, tmp_path: Path, held: bytes, says: str
) -> None:
    """A ring in the clear is not what was asked for."""
    file = tmp_path / "password"
    file.write_bytes(held)
    result = run("rotate", "--password-file", str(file))
    assert result.exit_code == 1
    assert says in shown(result)
    assert not path.exists()


def test_a_password_file_is_read_as_the_app_reads_it(
    run: Run, make_app: MakeApp, path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("two lines\n\n")
    run("rotate", "--password-file", str(file))
    app = make_app(
        PASETO_SECRET_KEY=..., PASETO_KEYRING=path, PASETO_KEYRING_PASSWORD_FILE=file
    )
    assert app.extensions["paseto"]["default"].codec.ring.by_id.keys() == {
        read_document(path).entries[0].id
    }


def test_public_halves_of_another_issuer_are_not_exported(run: Run) -> None:
    own = done(
        run("rotate", "--purpose", "public", "--issuer", "https://a.example", "--json")
    )
    run("announce", "--issuer", "https://b.example")
    exported = done(run("export-public", "--json"))
    assert exported["issuer"] == "https://a.example"
    assert [each["kid"] for each in exported["keys"]] == [own["key"]["id"]]
