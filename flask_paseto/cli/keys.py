"""``flask paseto keys``: the life of the keys in a ring file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn, TextIO, cast

import click

from ..keys import Purpose
from ..keys.entries import (
    KeyState,
    RingDocument,
    RingEntry,
    read_paserk,
)
from ..keys.keyring import Keyring, Step
from ..keys.keyset import build_keyset
from ..keys.paserk import is_wrapped
from ..keys.rotation import TooEarly, find_announced, has_ended
from .options import in_words, json_option, key_options, print_json
from .ring import Ring, ring_command

NOT_YET = 75  # EX_TEMPFAIL of sysexits.h: the same command works later


def paced_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names a ring, where it counts how long tokens live."""
    return ring_command(command, needs="pace")


def same_kind(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which key is made, else one like that which issues."""
    unless = "that of the key that issues, else 4 and local"
    return key_options(version=None, purpose=None, unless=unless)(command)


@click.group()
def keys() -> None:
    """Announce, promote, retire and list the keys of a ring file.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 75 too early: try again later.
    """


@keys.command("list")
@ring_command
@json_option
def list_(ring: Ring, as_json: bool) -> None:
    """List the keys, without the keys themselves."""
    document = ring.file.read()
    if as_json:
        print_json(
            {
                "path": str(ring.file.path),
                "version": document.version,
                "keys": [_described(ring.file, each) for each in document.entries],
            }
        )
        return
    for entry in document.entries:
        click.echo(f"{entry.id}  {entry.kind}  {_state_of(ring.file, entry)}")


def _described(file: Keyring, entry: RingEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "state": str(entry.state),
        "added": entry.added,
        "issued_until": entry.issued_until,
        "not_after": entry.not_after,
        "ended": has_ended(entry, file.clock()),
        "issuer": entry.issuer,
        "wrapped": is_wrapped(entry.key),
    }


def _state_of(file: Keyring, entry: RingEntry) -> str:
    said = str(entry.state)
    if entry.state is KeyState.ANNOUNCED:
        ready = entry.added + file.pace.settle_time(entry)
        said += f", can be promoted from {in_words(ready)}"
    elif has_ended(entry, file.clock()):
        said = "retired, can be pruned"
    elif entry.not_after is not None:
        said += f" until {in_words(entry.not_after)}"
    return said if entry.issuer is None else f"{said}, tied to {entry.issuer}"


@keys.command("announce")
@ring_command
@same_kind
@click.option("--issuer", help="The only issuer that the key speaks for.")
@click.option(
    "--from",
    "source",
    type=click.File("r"),
    help="A file with a key that is there already, in any form that a setting takes, "
    "instead of a new one; - for standard input. A public key is accepted and never "
    "issues.",
)
@json_option
def announce_(
    ring: Ring,
    version: str | None,
    purpose: str | None,
    issuer: str | None,
    source: TextIO | None,
    as_json: bool,
) -> None:
    """Put in a key that is accepted and does not issue yet.

    The first key of a ring that can issue does so at once.
    """
    key = None if source is None else source.read().strip()
    if key == "":
        raise ValueError("there is no key to take in")
    step = ring.file.announce(
        version=None if version is None else int(version),
        purpose=cast("Purpose | None", purpose),
        issuer=issuer,
        key=key,
    )
    _report(ring.file, step, as_json)


@keys.command("promote")
@paced_command
@click.argument("key_id", required=False)
@click.option(
    "--now",
    "force",
    is_flag=True,
    help="Do not wait until every reader can have seen it: after a leak.",
)
@json_option
def promote_(ring: Ring, key_id: str | None, force: bool, as_json: bool) -> None:
    """Let an announced key issue; the former one is accepted while its tokens last.

    KEY_ID is an id or its beginning; without it, the key announced first.
    """
    step = _in_time(lambda: ring.file.promote(key_id, force=force), as_json)
    _report(ring.file, step, as_json)


@keys.command("retire")
@paced_command
@click.argument("key_id")
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Refuse its tokens from now on, also those that have not expired.",
)
@json_option
def retire_(ring: Ring, key_id: str, at_once: bool, as_json: bool) -> None:
    """Give a key its end: when the last of its tokens has expired, or now.

    KEY_ID is an id or its beginning. A key that was announced and never issued ends
    at once.
    """
    _report(ring.file, ring.file.retire(key_id, at_once=at_once), as_json)


@keys.command("prune")
@ring_command
@json_option
def prune_(ring: Ring, as_json: bool) -> None:
    """Take out the keys that have ended."""
    pruned, document = ring.file.prune()
    if as_json:
        print_json({"done": "pruned", "keys": pruned, "version": document.version})
        return
    for key_id in pruned:
        click.echo(f"pruned {key_id}")
    click.echo(f"Keys that are left: {len(document.entries)}.", err=True)


@keys.command("rotate")
@paced_command
@same_kind
@click.option("--issuer", help="The only issuer that a first key speaks for.")
@json_option
def rotate_(
    ring: Ring,
    version: str | None,
    purpose: str | None,
    issuer: str | None,
    as_json: bool,
) -> None:
    """Take the next step: make the ring, announce a key, or promote it.

    A new key is of the kind of the one that issues; --version, --purpose and --issuer
    are for the first one. What has ended is pruned on the way. Run it again for the
    step after; the answer says when.
    """
    step = _in_time(
        lambda: ring.file.rotate(
            version=None if version is None else int(version),
            purpose=cast("Purpose | None", purpose),
            issuer=issuer,
        ),
        as_json,
    )
    _report(ring.file, step, as_json)


def _in_time(take: Callable[[], Step], as_json: bool) -> Step:
    try:
        return take()
    except TooEarly as early:
        _leave_early(early, as_json)


def _leave_early(early: TooEarly, as_json: bool) -> NoReturn:
    """Say when the step can be taken, and leave with a code of its own."""
    if as_json:
        print_json({"done": "nothing", "not_before": early.until})
    click.echo(f"Too early: {early}; from {in_words(early.until)}.", err=True)
    sys.exit(NOT_YET)


def _report(file: Keyring, step: Step, as_json: bool) -> None:
    """Say what was done and what comes next."""
    when, then = _next_step(file, step.document)
    if as_json:
        print_json(
            {
                "done": step.done,
                "key": _described(file, step.entry),
                "next": then,
                "not_before": when,
                "version": step.document.version,
                "pruned": step.pruned,
            }
        )
        return
    for key_id in step.pruned:
        click.echo(f"pruned {key_id}")
    entry = step.entry
    click.echo(f"{step.done} {entry.id}  {entry.kind}  {_state_of(file, entry)}")
    if is_wrapped(entry.key) and not all(map(_is_safe, step.document.entries)):
        click.echo(
            "This key is wrapped, others are not: see that every worker has "
            "PASETO_KEYRING_PASSWORD.",
            err=True,
        )
    at = "" if when is None else f", from {in_words(when)}"
    click.echo(f"Next: {then}{at}.", err=True)


def _is_safe(entry: RingEntry) -> bool:
    return is_wrapped(entry.key) or not entry.can_issue


def _next_step(file: Keyring, document: RingDocument) -> tuple[datetime | None, str]:
    announced = find_announced(document)
    if announced is not None:
        return announced.added + file.pace.settle_time(announced), "promote"
    ends = [each.not_after for each in document.entries if each.not_after is not None]
    if ends:
        return min(ends), "prune"
    return None, "announce, whenever you want another key"


@keys.command("restore")
@ring_command
@click.option(
    "--above",
    type=click.IntRange(min=0),
    default=0,
    help="A version that running workers have seen, where the log names one.",
)
@json_option
def restore_(ring: Ring, above: int, as_json: bool) -> None:
    """Accept a ring file that was put back from a copy.

    Workers refuse a file that is older than one they have seen, since it may bring
    keys back that were retired. This numbers it anew.
    """
    document = ring.file.restore(above=above)
    if as_json:
        print_json({"done": "restored", "version": document.version})
        return
    click.echo(f"restored as version {document.version}")


@keys.command("export-public")
@ring_command
@json_option
def export_public(ring: Ring, as_json: bool) -> None:
    """Print the public halves of the ring's own keys, for those who only verify.

    With --json, as the key set that an app serves.
    """
    found, document = [], ring.file.read()
    issuing = document.issuing
    issuer = ring.issuer or (None if issuing is None else issuing.issuer)
    for entry in document.entries:
        if not entry.can_issue or entry.purpose != "public":
            continue
        if entry.issuer not in (None, issuer):
            continue  # readers would tie it to this issuer
        try:
            key = read_paserk(entry.key, ring.file.password)
        except ValueError as fault:
            raise ValueError(f"{entry.id} {fault}") from None
        if not has_ended(entry, ring.file.clock()):
            found.append(replace(key, not_after=entry.not_after))
    if as_json:
        print_json(build_keyset(found, issuer))
        return
    for key in found:
        click.echo(key.public)
