"""A key ring file as the commands change it: under its lock, a step at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any, Literal

import click

from ..claims import now
from ..config import PREFIX, read_password
from ..keys.entries import RingDocument
from ..keys.keyring import Keyring
from ..keys.rotation import Pace
from ..state import State
from .options import LIFETIME, PASSWORD, SECONDS, as_seconds, find_app

# What a verifier, whose settings are not known here, may take beyond the max-age: it
# asks again after half a minute at the earliest, and waits for the answer.
_FETCH = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Ring:
    """The ring that a command is about.

    Attributes:
        issuer: The `PASETO_ISSUER` of the app.
    """

    file: Keyring
    issuer: str | None


def ring_command(
    command: Callable[..., Any], *, needs: Literal["nothing", "pace"] = "nothing"
) -> Callable[..., Any]:
    """Add the options that name a ring, and hand it over as the first argument.

    Args:
        needs: `pace`: how long tokens live counts, so an app that cannot be loaded is
            not made up for by a guess.
    """

    @wraps(command)
    def with_ring(
        *,
        keyring: Path | None,
        password_file: Path | None,
        lifetime: timedelta | None,
        settle: timedelta | None,
        **options: Any,
    ) -> Any:
        found = find_app()
        state = found.state
        path = keyring or (None if state is None else state.config.keyring)
        if found.fault is not None:
            guess = lifetime is None or settle is None
            _without_app(found.fault, path, guess and needs == "pace")
        if path is None:
            raise click.UsageError(
                "name the ring with --keyring FILE, or the app that has "
                "PASETO_KEYRING: flask --app NAME paseto keys ..."
            )
        pace = replace(_pace_of(state), settle=settle)
        if lifetime is not None:
            pace = replace(pace, lifetime=lifetime, known=True)
        file = Keyring(
            path=path,
            clock=now if state is None else state.clock,
            pace=pace,
            password=_password_of(password_file, state),
            refuse=partial(_refuse_unusable, path, state),
        )
        issuer = None if state is None else state.config.issuer
        try:
            return command(Ring(file, issuer), **options)
        except (OverflowError, ValueError) as fault:
            raise click.ClickException(str(fault)) from None

    options = (
        click.option(
            "--keyring",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="PASETO_KEYRING",
            help="The ring file, instead of the app's PASETO_KEYRING.",
        ),
        click.option(
            "--password-file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            envvar=f"{PASSWORD}_FILE",
            help=f"A file with the password of the ring, instead of {PASSWORD}.",
        ),
        click.option(
            "--lifetime",
            type=LIFETIME,
            callback=as_seconds,
            help="The longest lifetime of a token, instead of the app's "
            "PASETO_MAX_TOKEN_LIFETIME (90 days).",
        ),
        click.option(
            "--settle",
            type=SECONDS,
            callback=as_seconds,
            help="How long until every reader has seen a change, instead of what "
            "follows from the app's settings.",
        ),
    )
    for option in reversed(options):
        with_ring = option(with_ring)
    return with_ring


def _without_app(fault: str, path: Path | None, guess: bool) -> None:
    """Go on without an app that cannot be loaded, if that does no harm.

    A ring that is not there yet may be the reason why it cannot.
    """
    said = f"the app cannot be loaded: {fault}"
    if path is None:
        raise click.ClickException(f"{said}\nName the ring itself: --keyring FILE")
    if guess and path.exists():
        raise click.ClickException(
            f"{said}\nGive --lifetime and --settle to go on without it."
        )
    click.echo(said, err=True)


def _pace_of(state: State | None) -> Pace:
    if state is None:
        return Pace(known=False, keyset_age=timedelta(minutes=5) + _FETCH)
    config = state.config
    loads = state.callbacks.key_loader is not None
    return Pace(
        lifetime=None if config.allow_non_expiring else config.max_token_lifetime,
        leeway=config.leeway,
        keyset_age=config.keyset_max_age + _FETCH,
        loader_age=config.key_loader_ttl + config.key_timeout if loads else timedelta(),
    )


def _refuse_unusable(path: Path, state: State | None, document: RingDocument) -> None:
    """Refuse a step after which the app of the ring would not start.

    Raises:
        ValueError: It says what the app has against it.
    """
    issuing = document.issuing
    if state is None or issuing is None or path != state.config.keyring:
        return
    if issuing.issuer not in (None, state.config.issuer):
        raise ValueError(
            f"{issuing.id} is tied to another issuer than the PASETO_ISSUER of the "
            "app, which would not start with it: it cannot issue"
        )
    purpose = state.app.config.get(PREFIX + "PURPOSE")
    if purpose not in (None, issuing.purpose):
        raise ValueError(
            f"{issuing.id} issues {issuing.purpose} tokens, while PASETO_PURPOSE is "
            f"{purpose!r}; take PASETO_PURPOSE out first"
        )


def _password_of(file: Path | None, state: State | None) -> str | bytes | None:
    """Return the password of the ring, read as the app reads it.

    Raises:
        click.ClickException: The file that is to hold it does not.
    """
    faults: list[str] = []
    if file is None and os.environ.get(PASSWORD):
        return os.environ[PASSWORD]
    if file is not None:
        found = read_password(None, {f"{PASSWORD}_FILE": file}, faults)
    elif state is None:
        found = None
    else:
        settings = state.app.config
        found = read_password(settings.get(PASSWORD), settings, faults)
    if faults:
        raise click.ClickException(faults[0])
    return found
