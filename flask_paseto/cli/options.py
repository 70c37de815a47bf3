"""Options, and what commands share: the app, passwords, output and exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click
from flask.cli import NoAppException, ScriptInfo

from ..errors import ConfigurationError
from ..keys.entries import format_moment
from ..state import DEFAULT, State, states_of

C = TypeVar("C", bound=Callable[..., Any])

PASSWORD = "PASETO_KEYRING_PASSWORD"  # noqa: S105  the name of the setting


def json_option(command: C) -> C:
    """Add the option that asks for JSON."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object."
    )(command)


def key_options(
    *, version: str | None = "4", purpose: str | None = "local", unless: str = ""
) -> Callable[[C], C]:
    """Add the options that say which key is made; `unless` says of what default."""
    options = (
        click.option(
            "--version",
            type=click.Choice(["4", "3"]),
            default=version,
            show_default=unless or True,
            help="The PASETO version; 3 where NIST algorithms are required.",
        ),
        click.option(
            "--purpose",
            type=click.Choice(["local", "public"]),
            default=purpose,
            show_default=unless or True,
            help="local: one secret key that encrypts. public: a key pair that signs.",
        ),
    )
    return lambda command: options[0](options[1](command))


def as_seconds(ctx: Any, param: Any, given: int | None) -> timedelta | None:
    """Return the seconds of an option as a timedelta."""
    return None if given is None else timedelta(seconds=given)


SECONDS = click.IntRange(min=0, max=10**9)
LIFETIME = click.IntRange(min=1, max=10**9)


@dataclass(frozen=True, slots=True)
class FoundApp:
    """What there is of an app.

    Attributes:
        state: None: there is no app, none with a manager, or none that starts.
        fault: Why an app that is there cannot be loaded.
    """

    state: State | None = None
    fault: str | None = None


def find_app() -> FoundApp:
    """Return the app that the command line names, or that lies in the folder."""
    info = click.get_current_context().ensure_object(ScriptInfo)
    try:
        app = info.load_app()
    except NoAppException as fault:
        return FoundApp(fault=str(fault) if info.app_import_path else None)
    except ConfigurationError as fault:
        return FoundApp(fault=str(fault))
    except Exception as fault:
        # The text alone may be a bare name, as that of a variable that is not set.
        return FoundApp(fault=f"{type(fault).__name__}: {fault}")
    return FoundApp(states_of(app).get(DEFAULT))


def find_state() -> State | None:
    """Return the state of the app, None where there is no app with a manager.

    Raises:
        click.ClickException: There is an app that cannot be loaded.
    """
    found = find_app()
    if found.fault is not None:
        raise click.ClickException(f"the app cannot be loaded: {found.fault}")
    return found.state


def need_state() -> State:
    """Return the state of the app.

    Raises:
        click.ClickException: There is none with a manager, or it cannot be loaded.
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


def in_words(moment: datetime) -> str:
    """Return a time for people: in whole seconds, and never too early."""
    if moment.microsecond:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    return format_moment(moment)


def print_json(found: Mapping[str, Any]) -> None:
    """Print one JSON object; times in RFC 3339."""
    click.echo(json.dumps(found, default=format_moment))
