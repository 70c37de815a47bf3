"""``flask paseto sessions``, ``revoke``, ``purge`` and ``store``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import ConfigurationError, StoreUnavailable
from ..options import as_text
from ..sessions import end_sessions, revoke_session, revoke_token, sessions_of
from ..stores import Store
from .options import json_option, need_state, print_json

UNAVAILABLE = 3  # the store does not answer


@contextmanager
def _store() -> Iterator[Store]:
    """Give the store of the app, inside of its context.

    Raises:
        click.ClickException: The app has none, or it is not set up.
    """
    state = need_state()
    if state.store is None:
        raise click.ClickException("this needs a store: set PASETO_STORE in the app")
    with state.app.app_context():
        try:
            yield state.store
        except StoreUnavailable:
            click.echo("Error: the store does not answer", err=True)
            sys.exit(UNAVAILABLE)
        except (ConfigurationError, TypeError, ValueError) as fault:
            raise click.ClickException(str(fault)) from None


@click.command()
@click.argument("subject")
@json_option
def sessions(subject: str, as_json: bool) -> None:
    """List the live sessions of SUBJECT, the one opened last first.

    Exit codes: 0 also where there is none, 3 the store does not answer.
    """
    with _store():
        found = [info.to_dict() for info in sessions_of(subject)]
    for each in found:
        del each["current"]  # there is no request
    if as_json:
        print_json({"sessions": found})
        return
    for each in found:
        # In escaped JSON: the name of a client may hold what a terminal would obey.
        click.echo(
            f"{each['session_id']}  opened {each['opened_at']}  "
            f"used {each['last_used_at']}  ends {each['expires_at']}  "
            f"{json.dumps(each['client'])} {json.dumps(each['address'])}"
        )
    if not found:
        click.echo("no live sessions", err=True)


@click.command()
@click.option("--jti", help="The id of a token. Its session goes on.")
@click.option("--session", "session_id", help="The id of a session, with its tokens.")
@click.option("--subject", help="All sessions of somebody, and tokens without one.")
@click.option("--reason", default="operator", show_default=True, help="One word.")
@json_option
def revoke(
    jti: str | None,
    session_id: str | None,
    subject: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Revoke a token, a session, or all sessions of a subject: one of the three.

    Exit codes: 0 it is revoked, by this or before; 3 the store does not answer.
    """
    if len([each for each in (jti, session_id, subject) if each is not None]) != 1:
        raise click.UsageError("give one of --jti, --session and --subject")
    with _store():
        if jti is not None:
            count = int(revoke_token(jti=jti, reason=reason))
        elif session_id is not None:
            count = int(revoke_session(session_id, reason=reason))
        else:
            count = end_sessions(as_text(subject or "", "--subject"), reason=reason)
    if as_json:
        print_json({"revoked": count})
        return
    click.echo(f"revoked: {count}")


@click.command()
@json_option
def purge(as_json: bool) -> None:
    """Remove from the store what has ended; where it forgets alone, that is nothing.

    Exit codes: 0, or 3 the store does not answer.
    """
    with _store() as store:
        count = store.purge()
    if as_json:
        print_json({"purged": count})
        return
    click.echo(f"purged: {count}")


@click.group()
def store() -> None:
    """Make or look at the store of the app."""


@store.command()
@json_option
def init(as_json: bool) -> None:
    """Make what the store needs, such as its tables; no harm where it is there.

    Exit codes: 0, or 3 the store does not answer.
    """
    with _store() as opened:
        opened.create()
    if as_json:
        print_json({"ok": True})
        return
    click.echo("the store is ready")


@store.command()
@json_option
def check(as_json: bool) -> None:
    """Say what is wrong with the store, and what to run.

    Exit codes: 0 all is well, 1 something is wrong, 3 it does not answer.
    """
    with _store() as opened:
        faults = opened.check()
    if as_json:
        print_json({"ok": not faults, "faults": faults})
    for fault in () if as_json else faults:
        click.echo(fault)
    if not faults and not as_json:
        click.echo("the store is well")
    sys.exit(1 if faults else 0)
