"""What the package offers, name by name, and what importing it does not do."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import flask_paseto

PUBLIC_NAMES = [
    "NEVER",
    "AccessTokenRequired",
    "Claims",
    "ClaimsRejected",
    "ConfigurationError",
    "CsrfError",
    "ExpiredToken",
    "FreshTokenRequired",
    "Identity",
    "InsufficientScope",
    "InvalidClaims",
    "InvalidRequest",
    "InvalidToken",
    "KeysUnavailable",
    "MissingToken",
    "PasetoError",
    "PasetoManager",
    "Place",
    "ReauthenticationRequired",
    "RefreshTokenRequired",
    "RefreshTokenReused",
    "RevokedToken",
    "SessionInfo",
    "StoreUnavailable",
    "TokenNotYetValid",
    "TokenPair",
    "UserNotFound",
    "WrongTokenType",
    "create_access_token",
    "create_refresh_token",
    "create_token",
    "create_token_pair",
    "csrf_token",
    "current_user",
    "decode_token",
    "get_claims",
    "get_current_user",
    "get_identity",
    "get_jti",
    "get_session_id",
    "get_subject",
    "get_token_footer",
    "get_token_payload",
    "list_sessions",
    "paseto_required",
    "public",
    "refresh_token_required",
    "revoke_session",
    "revoke_subject",
    "revoke_token",
    "rotate_token_pair",
    "safe_next",
    "set_access_cookies",
    "set_refresh_cookies",
    "set_token_cookies",
    "unset_access_cookies",
    "unset_cookies",
    "unset_refresh_cookies",
    "verify_paseto_in_request",
]

LOOK = """
import json, sys, threading
import flask
before = set(sys.modules)
import flask_paseto
print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "threads": threading.active_count(),
}))
"""


def test_the_public_names_are_these() -> None:
    assert flask_paseto.__all__ == PUBLIC_NAMES


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in PUBLIC_NAMES:
        value = getattr(flask_paseto, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_nothing_else_is_public_but_modules() -> None:
    others = {
        name
        for name, value in vars(flask_paseto).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert others == set(PUBLIC_NAMES)


def test_importing_starts_nothing_and_loads_no_server_and_no_database() -> None:
    package = Path(flask_paseto.__file__).parents[1]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", LOOK],
        cwd=package,
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert found["threads"] == 1
    roots = {name.partition(".")[0] for name in found["modules"]}
    assert "flask_paseto" in roots
    unwanted = {"redis", "sqlalchemy", "asyncio", "asgiref", "requests", "hypothesis"}
    assert not roots & unwanted
    loaded = {name for name in found["modules"] if name.startswith("flask_paseto.")}
    assert not loaded & {"flask_paseto.cli", "flask_paseto.testing"}
    assert done.stderr == ""


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(flask_paseto.__file__).with_name("py.typed").is_file()
