"""A key ring file as the commands change it: under its lock, a step at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ..claims import now
from ..config import read_password
from ..keys.entries import KeyState, RingDocument, RingEntry, read_paserk
from ..keys.file import locked, read_document, write_file
from ..keys.material import as_paserk
from ..keys.paserk import (
    generate_key,
    is_wrapped,
    parse_paserk,
    unwrap_paserk,
    wrap_key,
)
from ..keys.ring import Purpose, RingKey
from ..keys.rotation import Pace
from ..state import DEFAULT, State
from .options import PASSWORD, SECONDS, as_seconds, find_state

Step = Callable[[RingDocument], RingDocument]


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring file, and what the commands need to know for it.

    Attributes:
        issuer: The `PASETO_ISSUER` of the app.
        password: What its keys are wrapped with, None: they are not.
    """

    path: Path
    pace: Pace
    now: datetime
    issuer: str | None
    password: str | bytes | None = field(repr=False)

    def read(self, *, missing_ok: bool = False) -> RingDocument:
        """Return what the file says; an empty document where it is not there."""
        if missing_ok and not self.path.exists():
            return RingDocument()
        try:
            return read_document(self.path)
        except ValueError as fault:
            raise click.ClickException(f"{self.path} {fault}") from None

    def change(self, step: Step, *, missing_ok: bool = False) -> RingDocument:
        """Return the document after a step, which is then in the file."""
        try:
            with locked(self.path):
                before = self.read(missing_ok=missing_ok)
                after = self._take(step, before)
                if after is not before:
                    write_file(self.path, after)
        except ValueError as fault:
            raise click.ClickException(f"{self.path} {fault}") from None
        return after

    def _take(self, step: Step, before: RingDocument) -> RingDocument:
        try:
            return step(before)
        except ValueError as fault:
            raise click.ClickException(str(fault)) from None

    def new_entry(
        self, document: RingDocument, version: int, purpose: Purpose, issuer: str | None
    ) -> RingEntry:
        """Return an entry with a new key."""
        paserk = generate_key(version, purpose).to_paserk()
        return self.entry_of(document, paserk, issuer)

    def entry_of(
        self, document: RingDocument, text: str, issuer: str | None
    ) -> RingEntry:
        """Return an entry with this key, wrapped if those of the document are.

        Raises:
            ValueError: It is no key, or the password is not that of the document.
        """
        paserk = as_paserk(text, version=4, manager=DEFAULT)
        key = read_paserk(paserk, self.password)
        return RingEntry(
            id=key.key_id,
            key=self._wrapped(document, paserk, key),
            state=KeyState.ANNOUNCED,
            added=self.now,
            lifetime=self.pace.lifetime if self.pace.known else None,
            issuer=issuer,
        )

    def _wrapped(self, document: RingDocument, text: str, key: RingKey) -> str:
        """Return the key as it goes into the file."""
        wrapped = [each.key for each in document.entries if is_wrapped(each.key)]
        if wrapped and not self.password:
            raise ValueError(f"the keys of the ring are wrapped: set {PASSWORD}")
        if wrapped and self.password:
            # Another password here, and no worker could read the ring any more.
            try:
                unwrap_paserk(wrapped[0], self.password)
            except ValueError:
                raise ValueError(f"{PASSWORD} is not that of the ring") from None
        if not self.password or is_wrapped(text) or not key.private:
            return text
        return wrap_key(parse_paserk(text, text.split(".")[1]), self.password)


def ring_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a ring, and hand it over as the first argument."""

    @wraps(command)
    def with_ring(
        *,
        keyring: Path | None,
        password_file: Path | None,
        lifetime: timedelta | None,
        settle: timedelta | None,
        **options: Any,
    ) -> Any:
        state = find_state()
        path = keyring or (None if state is None else state.config.keyring)
        if path is None:
            raise click.UsageError(
                "name the ring with --keyring FILE, or the app that has "
                "PASETO_KEYRING: flask --app NAME paseto keys ..."
            )
        pace = _pace_of(state)
        if lifetime is not None:
            pace = replace(pace, lifetime=lifetime, known=True)
        pace = replace(pace, settle=settle)
        password = _password_of(password_file, state)
        issuer = None if state is None else state.config.issuer
        ring = Ring(
            path, pace, now() if state is None else state.clock(), issuer, password
        )
        return command(ring, **options)

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
            type=SECONDS,
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


def _pace_of(state: State | None) -> Pace:
    if state is None:
        return Pace(known=False, keyset_age=timedelta(seconds=303))
    config = state.config
    loads = state.callbacks.key_loader is not None
    return Pace(
        lifetime=None if config.allow_non_expiring else config.max_token_lifetime,
        leeway=config.leeway,
        keyset_age=config.keyset_max_age + config.key_timeout,
        loader_age=config.key_loader_ttl + config.key_timeout if loads else timedelta(),
    )


def _password_of(file: Path | None, state: State | None) -> str | bytes | None:
    if file is not None:
        return file.read_text("utf-8-sig").rstrip("\r\n") or None
    if os.environ.get(PASSWORD):
        return os.environ[PASSWORD]
    if state is None:
        return None
    settings = state.app.config
    return read_password(settings.get(PASSWORD), settings, [])
