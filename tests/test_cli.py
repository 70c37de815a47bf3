"""The command line: `flask paseto`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from flask_paseto.cli import paseto
from flask_paseto.codec import Codec
from flask_paseto.config import read_config
from flask_paseto.keys.paserk import is_wrapped, parse_paserk, unwrap_paserk

PAYLOAD = {"sub": "a", "type": "access", "jti": "1", "iat": "2026-01-01T00:00:00Z"}


def keygen(*args: str) -> Result:
    """Run the command as a shell would, without any app."""
    return CliRunner().invoke(paseto, ["keygen", *args])


def issues_with(settings: dict[str, str]) -> str:
    """Return a token that an app with these settings issues and opens again."""
    codec = Codec(read_config(settings, "tests")[1].current())
    token = codec.seal(PAYLOAD)
    assert codec.open(token).subject == "a"
    return token


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("version", ["3", "4"])
def test_keygen_prints_a_secret_key_and_nothing_else(version: str) -> None:
    result = keygen("--version", version)

    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    key = result.stdout.removesuffix("\n")
    assert issues_with({"PASETO_SECRET_KEY": key}).startswith(f"v{version}.local.")
    assert "PASETO_SECRET_KEY" in result.stderr
    assert key not in result.stderr


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("version", ["3", "4"])
def test_keygen_prints_a_private_key_and_then_its_public_one(version: str) -> None:
    result = keygen("--version", version, "--purpose", "public")

    assert result.exit_code == 0
    private, public = result.stdout.splitlines()
    assert parse_paserk(private, "secret").version == int(version)
    assert parse_paserk(public, "public").version == int(version)
    both = {"PASETO_PRIVATE_KEY": private, "PASETO_PUBLIC_KEY": public}
    token = issues_with(both)
    assert token.startswith(f"v{version}.public.")
    verifier = Codec(read_config({"PASETO_PUBLIC_KEY": public}, "tests")[1].current())
    assert verifier.open(token).subject == "a"
    for name in both:
        assert name in result.stderr
    assert result.stderr.index("PRIVATE") < result.stderr.index("PUBLIC_KEY")
    assert private not in result.stderr


def test_keygen_makes_version_4_local_unless_asked_otherwise() -> None:
    assert keygen().stdout.startswith("k4.local.")


def test_keygen_makes_another_key_each_time() -> None:
    assert len({keygen().stdout for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("purpose", "names"),
    [
        ("local", ["PASETO_SECRET_KEY"]),
        ("public", ["PASETO_PRIVATE_KEY", "PASETO_PUBLIC_KEY"]),
    ],
)
def test_keygen_prints_json_that_can_be_taken_as_settings(
    purpose: str, names: list[str]
) -> None:
    result = keygen("--purpose", purpose, "--json")

    assert result.exit_code == 0
    settings = json.loads(result.stdout)
    assert list(settings) == names
    assert issues_with(settings).startswith(f"v4.{purpose}.")
    assert result.stderr == ""


@pytest.mark.parametrize(
    "args",
    [("--version", "2"), ("--version", "1"), ("--purpose", "secret"), ("--nope",)],
    ids=" ".join,
)
def test_keygen_refuses_what_it_does_not_know(args: tuple[str, ...]) -> None:
    result = keygen(*args)

    assert result.exit_code == 2
    assert result.stdout == ""


def test_the_commands_say_what_they_do() -> None:
    for args in ([], ["--help"], ["keygen", "--help"]):
        output = CliRunner().invoke(paseto, args).output
        assert "key" in output


@pytest.mark.parametrize("purpose", ["local", "public"])
def test_keygen_prints_the_key_wrapped_with_a_password(
    purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PASETO_KEYRING_PASSWORD", raising=False)
    args = ["keygen", "--purpose", purpose, "--password"]
    asked = CliRunner().invoke(paseto, args, input="a password\na password\n")
    monkeypatch.setenv("PASETO_KEYRING_PASSWORD", "a password")
    given = CliRunner().invoke(paseto, args)

    for result in (asked, given):
        assert result.exit_code == 0
        wrapped = result.stdout.splitlines()[0]
        assert is_wrapped(wrapped)
        assert unwrap_paserk(wrapped, "a password").purpose == purpose
        assert "keys announce --from" in result.stderr
        assert "a password" not in result.output


def test_keygen_asks_for_the_password_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASETO_KEYRING_PASSWORD", raising=False)
    result = CliRunner().invoke(paseto, ["keygen", "--password"], input="one\ntwo\n")
    assert result.exit_code == 1
    assert result.stdout == ""


def test_a_command_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(paseto, ["nothing"])
    assert result.exit_code == 2
    assert "No such command" in result.output


def test_loading_the_commands_loads_no_cryptography() -> None:
    """Flask loads them for each of its own."""
    look = "import sys, flask_paseto.cli; print('cryptography' in sys.modules)"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", look], capture_output=True, check=True, text=True
    )
    assert done.stdout == "False\n"
