"""Options, and what commands share: the app, passwords, output and exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import click
from flask import Flask
from flask.cli import NoAppException, ScriptInfo

from ..keys.entries import format_moment
from ..state import DEFAULT, State, states_of

C = TypeVar("C", bound=Callable[..., Any])

PASSWORD = "PASETO_KEYRING_PASSWORD"  # noqa: S105  the name of the setting

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)


def key_options(command: C) -> C:
    """Add the options that say which key is made."""
    version = click.option(
        "--version",
        type=click.Choice(["4", "3"]),
        default="4",
        show_default=True,
        help="The PASETO version; 3 where NIST algorithms are required.",
    )
    purpose = click.option(
        "--purpose",
        type=click.Choice(["local", "public"]),
        default="local",
        show_default=True,
        help="local: one secret key that encrypts. public: a key pair that signs.",
    )
    return version(purpose(command))


def as_seconds(ctx: Any, param: Any, given: int | None) -> timedelta | None:
    """Return the seconds of an option as a timedelta."""
    return None if given is None else timedelta(seconds=given)


SECONDS = click.IntRange(min=0, max=10**9)


def find_state() -> State | None:
    """Return the state of the app, None where there is none, or none that starts.

    An app that was named and does not start is told on standard error.
    """
    app = _load_app()
    return None if app is None else states_of(app).get(DEFAULT)


def _load_app() -> Flask | None:
    info = click.get_current_context().ensure_object(ScriptInfo)
    try:
        return info.load_app()
    except NoAppException as fault:
        named, reason = info.app_import_path, str(fault)
    except Exception as fault:
        named, reason = "the app", str(fault) or type(fault).__name__
    if named:
        click.echo(f"{named} cannot be loaded: {reason}", err=True)
    return None


def need_state() -> State:
    """Return the state of the app.

    Raises:
        click.ClickException: There is no app, or none with a manager.
    """
    state = find_state()
    if state is None:
        raise click.ClickException(
            "this needs an app with a PasetoManager: flask --app NAME paseto ..."
        )
    return state


def ask_password(*, confirm: bool) -> str:
    """Return the password from the environment, else from whoever sits there."""
    given = os.environ.get(PASSWORD)
    if given:
        return given
    asked: str = click.prompt(
        "Password", hide_input=True, confirmation_prompt=confirm, err=True
    )
    return asked


def print_json(found: Mapping[str, Any]) -> None:
    """Print one JSON object; times in RFC 3339."""
    click.echo(json.dumps(found, default=format_moment))
