"""``flask paseto inspect`` and ``flask paseto issue``."""

from __future__ import annotations

import json
import re
import sys
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from ..claims import ACCESS, REFRESH, Need
from ..errors import PasetoError
from ..options import as_bytes
from ..payload import parse_footer
from ..state import State
from ..tokens import create_access_token, create_refresh_token, create_token
from .options import (
    LIFETIME,
    as_seconds,
    find_state,
    json_option,
    need_state,
    print_json,
)

NOT_VERIFIED = 3  # there are no keys to verify with


@click.command()
@click.argument("token")
@click.option(
    "--implicit-assertion", help="What the token is bound to, if the app binds it."
)
@json_option
def inspect(token: str, implicit_assertion: str | None, as_json: bool) -> None:
    """Say what is in a TOKEN; - reads it from standard input.

    With an app its claims, verified with the app's keys, and whether the app would
    take it now. Without one its header and footer, which anybody can write.

    Exit codes: 0 accepted, 1 refused, 3 not verified.
    """
    token = sys.stdin.read().strip() if token == "-" else token  # noqa: S105
    state = find_state()
    found = _read_head(token)
    if state is None:
        found["verified"] = False
        code = NOT_VERIFIED
    else:
        with state.app.app_context():
            found.update(_verify(token, implicit_assertion, state))
        code = 0 if found["accepted"] else 1
    _show(found, as_json)
    sys.exit(code)


def _read_head(token: str) -> dict[str, Any]:
    """Return header and footer, as they stand there."""
    match = re.fullmatch(
        r"(v[1-4]\.(?:local|public))\.[A-Za-z0-9_-]+(?:\.([A-Za-z0-9_-]+))?", token
    )
    if match is None:
        raise click.ClickException("this is not a PASETO token")
    header, part = match.groups()
    footer = None
    if part is not None:
        try:
            footer = parse_footer(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (PasetoError, ValueError):
            raise click.ClickException("the footer of the token is damaged") from None
    return {"header": header, "footer": _plain(footer)}


def _verify(token: str, assertion: str | None, state: State) -> dict[str, Any]:
    """Return whether the seal holds, the claims, and whether the app takes them."""
    now = state.clock()
    bound = (
        state.assertion()
        if assertion is None
        else as_bytes(assertion, "implicit_assertion")
    )
    try:
        claims = state.codec.open(token, bound, now)
    except PasetoError as refusal:
        return {"verified": False, "accepted": False, "error": refusal.error_code}
    found = {"verified": True, "key_id": claims.key_id, "claims": _plain(claims.wire)}
    need = Need(types=frozenset({claims.token_type}))
    try:
        state.policy.check(claims, need, now)
    except PasetoError as refusal:
        return {**found, "accepted": False, "error": refusal.error_code}
    return {**found, "accepted": True}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    click.echo(f"header: {found['header']}")
    click.echo(f"footer: {json.dumps(found['footer'])}")
    if not found["verified"]:
        click.echo(f"not verified: {found.get('error', 'there are no keys')}")
        return
    # In escaped JSON: a claim may hold what a terminal would obey.
    for name, value in found["claims"].items():
        click.echo(f"{json.dumps(name)[1:-1]}: {json.dumps(value)}")
    click.echo(f"verified with {found['key_id']}")
    click.echo("accepted" if found["accepted"] else f"refused: {found['error']}")


def _read_claims(ctx: Any, param: Any, given: tuple[str, ...]) -> dict[str, Any]:
    """Return claims given as NAME=VALUE, the value being JSON or else a text."""
    claims: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", ctx, param)
        try:
            claims[name] = json.loads(value)
        except ValueError:
            claims[name] = value
    return claims


@click.command()
@click.argument("subject")
@click.option("--type", "kind", default=ACCESS, show_default=True, help="Its type.")
@click.option("--fresh", is_flag=True, help="As after a login.")
@click.option(
    "--expires-in",
    type=LIFETIME,
    callback=as_seconds,
    help="Its lifetime in seconds.",
)
@click.option("--scope", "scopes", multiple=True, help="A scope; may be repeated.")
@click.option("--audience", multiple=True, help="An audience; may be repeated.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    callback=_read_claims,
    help="NAME=VALUE, a claim of yours; may be repeated.",
)
@json_option
def issue(
    subject: str,
    kind: str,
    fresh: bool,
    expires_in: timedelta | None,
    scopes: tuple[str, ...],
    audience: tuple[str, ...],
    claims: dict[str, Any],
    as_json: bool,
) -> None:
    """Print a token for SUBJECT, for development: it is issued as the app would.

    Whoever has the keys of the app can do this.
    """
    state = need_state()
    options: dict[str, Any] = {
        "expires_in": expires_in,
        "scopes": scopes or None,
        "audience": audience or None,
        "user_claims": claims or None,
    }
    if fresh and kind != ACCESS:
        raise click.UsageError("--fresh is for access tokens")
    try:
        with state.app.app_context():
            if kind == ACCESS:
                token = create_access_token(subject, fresh=fresh, **options)
            elif kind == REFRESH:
                token = create_refresh_token(subject, **options)
            else:
                token = create_token(subject, kind, **options)
    except (TypeError, ValueError, RuntimeError) as fault:
        raise click.ClickException(str(fault)) from None
    if as_json:
        print_json({"token": token, "type": kind})
        return
    click.echo(token)
