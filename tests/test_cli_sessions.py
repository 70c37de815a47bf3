"""`flask paseto sessions`, `revoke`, `purge` and `store`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from flask_paseto import PasetoManager, RevokedToken
from flask_paseto.cli import paseto

from .conftest import MakeApp
from .refusals import assert_refused
from .sessions import Site, open_site

COMMANDS = [
    ("sessions", "alice"),
    ("revoke", "--subject", "alice"),
    ("revoke", "--session", "f" * 32),
    ("revoke", "--jti", "f" * 32),
    ("purge",),
    ("store", "init"),
    ("store", "check"),
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


def run(*args: str, app: Flask | None = None) -> Result:
    info = None if app is None else ScriptInfo(create_app=lambda: app)
    return CliRunner().invoke(paseto, args, obj=info)


def run_json(site: Site, *args: str) -> dict[str, Any]:
    result = run(*args, "--json", app=site.app)
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_sessions_of_a_subject_are_listed(site: Site) -> None:
    pair = site.log_in(client='Zoë\'s "phone"', address="192.0.2.1")
    site.clock.advance(60)
    site.log_in()
    site.log_in(name="bob")

    found = run_json(site, "sessions", "alice")["sessions"]
    lines = run("sessions", "alice", app=site.app).stdout.splitlines()

    assert len(found) == len(lines) == 2
    assert found[1]["session_id"] == site.row(pair).session_id
    assert set(found[1]) == {
        *("session_id", "client", "address"),
        *("opened_at", "last_used_at", "expires_at"),
    }
    assert lines[1].startswith(f"{site.row(pair).session_id}  opened 20")
    assert lines[1].endswith('"Zo\\u00eb\'s \\"phone\\"" "192.0.2.1"')


def test_no_sessions_are_no_fault(site: Site) -> None:
    result = run("sessions", "nobody", app=site.app)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no live sessions\n"
    assert run_json(site, "sessions", "nobody") == {"sessions": []}


def test_a_session_is_revoked(site: Site) -> None:
    pair = site.log_in()
    sid = site.row(pair).session_id
    result = run("revoke", "--session", sid, app=site.app)
    assert (result.exit_code, result.output) == (0, "revoked: 1\n")
    assert site.row(pair).reason == "operator"
    assert_refused(site.get(pair), RevokedToken)
    assert run_json(site, "revoke", "--session", sid) == {"revoked": 0}


def test_a_token_is_revoked(site: Site) -> None:
    pair = site.log_in()
    jti = site.read(pair).jti
    assert run_json(site, "revoke", "--jti", jti) == {"revoked": 1}
    assert_refused(site.get(pair), RevokedToken)
    assert site.rotate(pair)


def test_a_subject_is_named_as_it_stands_in_tokens() -> None:
    manager = PasetoManager()
    manager.subject_loader(lambda user: f"user-{user['id']}")
    with open_site(manager) as site:
        site.log_in(name={"id": 7})
        assert len(run_json(site, "sessions", "user-7")["sessions"]) == 1
        assert run_json(site, "revoke", "--subject", "user-7") == {"revoked": 1}


def test_all_sessions_of_a_subject_are_revoked(site: Site) -> None:
    pairs = [site.log_in() for _ in range(2)]
    found = run_json(site, "revoke", "--subject", "alice", "--reason", "left")
    assert found == {"revoked": 2}
    assert {site.row(pair).reason for pair in pairs} == {"left"}


@pytest.mark.parametrize(
    "args",
    [(), ("--jti", "x", "--session", "y"), ("--subject", "a", "--jti", "b")],
    ids=str,
)
def test_what_to_revoke_is_one_thing(site: Site, args: tuple[str, ...]) -> None:
    result = run("revoke", *args, app=site.app)
    assert result.exit_code == 2
    assert "one of --jti, --session and --subject" in result.stderr
    assert site.store.calls == []


@pytest.mark.parametrize(
    "args",
    [("--jti", ""), ("--subject", ""), ("--session", "x", "--reason", "two words")],
    ids=str,
)
def test_a_wrong_argument_is_told(site: Site, args: tuple[str, ...]) -> None:
    result = run("revoke", *args, app=site.app)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert site.store.calls == []


def test_what_has_ended_is_purged(site: Site) -> None:
    site.log_in()
    assert run("purge", app=site.app).output == "purged: 0\n"
    site.clock.advance(91 * 86400)
    assert run_json(site, "purge") == {"purged": 1}


def test_the_store_is_made_and_looked_at(site: Site) -> None:
    result = run("store", "init", app=site.app)
    assert (result.exit_code, result.output) == (0, "the store is ready\n")
    assert run_json(site, "store", "init") == {"ok": True}
    assert site.store.calls == ["create", "create"]
    result = run("store", "check", app=site.app)
    assert (result.exit_code, result.output) == (0, "the store is well\n")
    assert run_json(site, "store", "check") == {"ok": True, "faults": []}


def test_what_is_wrong_with_the_store_is_an_exit_code(site: Site) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(site.store, name)

        def check(self) -> tuple[str, ...]:
            return ("a table is missing: flask paseto store init",)

    with open_site(store=Broken(), clock=site.clock) as broken:
        result = run("store", "check", app=broken.app)
        assert result.exit_code == 1
        assert result.output == "a table is missing: flask paseto store init\n"
        result = run("store", "check", "--json", app=broken.app)
        assert result.exit_code == 1
        assert json.loads(result.output)["ok"] is False


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_a_store_that_does_not_answer_is_an_exit_code(
    site: Site, args: tuple[str, ...]
) -> None:
    site.store.out |= {"list_sessions", "revoke_subject", "revoke_session"}
    site.store.out |= {"revoke_token", "purge", "create", "check"}
    result = run(*args, app=site.app)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == "Error: the store does not answer\n"


@pytest.mark.requirement("REV-5")
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_without_a_store_the_setting_is_named(
    make_app: MakeApp, args: tuple[str, ...]
) -> None:
    result = run(*args, app=make_app())
    assert result.exit_code == 1
    assert "PASETO_STORE" in result.stderr
    result = run(*args)
    assert result.exit_code == 1
    assert "--app" in result.stderr


@pytest.mark.parametrize("args", [*COMMANDS, ("issue", "alice")], ids=" ".join)
def test_a_store_that_is_not_set_up_is_told_with_the_way_out(
    make_app: MakeApp, tmp_path: Path, args: tuple[str, ...]
) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/sessions.db"
    result = run(*args, app=make_app(PASETO_STORE=url))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # not the fault itself
    told = result.stdout if args == ("store", "check") else result.stderr
    assert "PASETO_STORE does not work: " in told
