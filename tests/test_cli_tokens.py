"""`flask paseto inspect` and `flask paseto issue`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from flask_paseto import PasetoManager, create_access_token, decode_token
from flask_paseto.cli import paseto as commands
from flask_paseto.keys import generate_key
from flask_paseto.testing import Clock, use_clock

from .conftest import MakeApp


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)


def run(*args: str, app: Flask | None = None, **options: Any) -> Result:
    info = None if app is None else ScriptInfo(create_app=lambda: app)
    return CliRunner().invoke(commands, args, obj=info, **options)


def issue_in(app: Flask, **options: Any) -> str:
    with app.app_context():
        return create_access_token("alice", **options)


# inspect


def test_with_the_keys_of_the_app_the_claims_are_verified_and_shown(app: Flask) -> None:
    token = issue_in(app, user_claims={"role": ["a", {"b": 1}]}, footer={"x": 1})

    result = run("inspect", token, app=app)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "header: v4.local"
    assert json.loads(lines[1].removeprefix("footer: "))["x"] == 1
    assert 'sub: "alice"' in lines
    assert 'role: ["a", {"b": 1}]' in lines
    assert lines[-2].startswith("verified with k4.lid.")
    assert lines[-1] == "accepted"
    found = json.loads(run("inspect", "-", "--json", app=app, input=token).stdout)
    assert found["verified"] is found["accepted"] is True
    assert found["claims"]["role"] == ["a", {"b": 1}]


@pytest.mark.parametrize("purpose", ["local", "public"])
def test_without_keys_only_what_anybody_can_read_is_shown(
    make_app: MakeApp, purpose: Any
) -> None:
    """A payload that nobody vouches for is not shown, although it could be."""
    key = generate_key(4, purpose).to_paserk()
    name = "PRIVATE_KEY" if purpose == "public" else "SECRET_KEY"
    app = make_app(**{"PASETO_SECRET_KEY": ..., f"PASETO_{name}": key})
    token = issue_in(app)
    for given in (None, Flask("bare")):
        result = run("inspect", token, app=given)
        assert result.exit_code == 3
        assert result.stdout.startswith(f"header: v4.{purpose}\nfooter: ")
        assert "not verified: there are no keys" in result.stdout
        assert "alice" not in result.stdout
    found = json.loads(run("inspect", token, "--json").stdout)
    assert found["verified"] is False
    assert set(found) == {"header", "footer", "verified"}


def test_a_token_without_a_footer_is_shown() -> None:
    result = run("inspect", "v4.public.AAAA")
    assert result.exit_code == 3
    assert "footer: null" in result.stdout


def test_a_token_of_other_keys_is_refused(app: Flask, make_app: MakeApp) -> None:
    other = make_app(PASETO_SECRET_KEY=generate_key().to_paserk())
    result = run("inspect", issue_in(other), app=app)
    assert result.exit_code == 1
    assert "not verified: token_invalid" in result.stdout
    assert "alice" not in result.stdout


def test_why_a_verified_token_is_not_accepted_is_told(app: Flask) -> None:
    token = issue_in(app, expires_in=60)
    clock = Clock()
    clock.advance(3600)
    with use_clock(app, clock):
        result = run("inspect", token, app=app)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "refused: token_expired"


def test_what_a_token_is_bound_to_can_be_given(
    app: Flask, paseto: PasetoManager
) -> None:
    token = issue_in(app, implicit_assertion="tenant-1")
    assert run("inspect", token, app=app).exit_code == 1
    bound = run("inspect", token, "--implicit-assertion", "tenant-1", app=app)
    assert bound.exit_code == 0
    paseto.implicit_assertion_loader(lambda: "tenant-1")
    assert run("inspect", token, app=app).exit_code == 0


@pytest.mark.parametrize(
    "token",
    ["", "x", "v4.local", "v5.local.AAAA", "v4.local.AA.AA.AA", "v4.local.A\x1b[2J"],
)
def test_what_is_no_token_is_told_and_not_shown(token: str) -> None:
    result = run("inspect", token)
    assert result.exit_code == 1
    assert "this is not a PASETO token" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("footer", ["_w", "e30x", "eyJhIjp7fX0", "A"])
def test_a_damaged_footer_is_told(footer: str) -> None:
    result = run("inspect", f"v4.local.AAAA.{footer}")
    if footer == "e30x":
        footer = ""
    assert result.exit_code == 1
    assert "footer of the token is damaged" in result.output


def test_what_a_terminal_would_obey_is_shown_escaped(app: Flask) -> None:
    token = issue_in(app, user_claims={"no\x1b[2J": "\x1b]0;title\x07"})
    for args in ((token,), (token, "--json")):
        assert "\x1b" not in run("inspect", *args, app=app).output
    text = run("inspect", "v4.local.AAAA.Gw")  # a footer that is one escape
    assert "\x1b" not in text.output
    assert "\\u001b" in text.output


# issue


def test_a_token_is_printed_and_nothing_else(app: Flask) -> None:
    result = run("issue", "bob", app=app)
    assert result.exit_code == 0
    assert result.stderr == ""
    with app.app_context():
        claims = decode_token(result.stdout.removesuffix("\n"))
    assert claims.subject == "bob"
    assert claims.fresh is False


def test_what_is_said_of_a_token_goes_into_it(make_app: MakeApp) -> None:
    app = make_app(PASETO_ACCEPTED_AUDIENCES=["api", "web"])
    result = run(
        *("issue", "bob", "--fresh", "--expires-in", "60", "--scope", "a"),
        *("--scope", "b", "--audience", "api", "--claim", "n=1", "--claim", "s=x=y"),
        "--json",
        app=app,
    )
    found = json.loads(result.stdout)
    assert found["type"] == "access"
    with app.app_context():
        claims = decode_token(found["token"])
    assert claims.fresh is True
    assert claims.scopes == {"a", "b"}
    assert claims.audience == ("api",)
    assert claims["n"] == 1
    assert claims["s"] == "x=y"
    assert claims.expires_at is not None
    assert (claims.expires_at - claims.issued_at).total_seconds() == 60


@pytest.mark.parametrize("kind", ["refresh", "ticket"])
def test_tokens_of_other_types_are_issued(app: Flask, kind: str) -> None:
    result = run("issue", "bob", "--type", kind, app=app)
    with app.app_context():
        assert decode_token(result.stdout.strip(), type=kind).token_type == kind


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--claim", "sub=eve"), 1, "sub cannot be set"),
        (("--claim", "novalue"), 2, "is not NAME=VALUE"),
        (("--claim", "=1"), 2, "is not NAME=VALUE"),
        (("--expires-in", "999999999"), 1, "PASETO_MAX_TOKEN_LIFETIME"),
        (("--expires-in", "soon"), 2, "Invalid value"),
        (("--expires-in", "0"), 2, "Invalid value"),
        (("--type", "refresh", "--fresh"), 2, "--fresh is for access tokens"),
        (("--type", "a b"), 1, "type must be"),
    ],
)
def test_what_cannot_be_issued_is_told(
    app: Flask, args: tuple[str, ...], code: int, says: str
) -> None:
    result = run("issue", "bob", *args, app=app)
    assert result.exit_code == code
    assert says in result.output
    assert result.stdout == ""


def test_issuing_needs_an_app() -> None:
    result = run("issue", "bob")
    assert result.exit_code == 1
    assert "needs an app with a PasetoManager" in result.output
