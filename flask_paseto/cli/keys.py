"""``flask paseto keys``: the life of the keys in a ring file."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn, cast

import click

from ..keys import Purpose
from ..keys.entries import (
    KeyState,
    RingDocument,
    RingEntry,
    format_moment,
    read_paserk,
)
from ..keys.file import locked, read_for_restore, write_file
from ..keys.keyset import build_keyset
from ..keys.paserk import is_wrapped
from ..keys.rotation import (
    TooEarly,
    announce,
    find_announced,
    find_entry,
    has_ended,
    promote,
    prune,
    retire,
)
from .options import json_option, key_options, print_json
from .ring import Ring, ring_command

NOT_YET = 75  # EX_TEMPFAIL of sysexits.h: the same command works later


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
    document = ring.read()
    if as_json:
        print_json(
            {
                "path": str(ring.path),
                "version": document.version,
                "keys": [_described(ring, each) for each in document.entries],
            }
        )
        return
    for entry in document.entries:
        click.echo(f"{entry.id}  {entry.kind}  {_state_of(ring, entry)}")


def _described(ring: Ring, entry: RingEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "state": str(entry.state),
        "added": entry.added,
        "issued_until": entry.issued_until,
        "not_after": entry.not_after,
        "ended": has_ended(entry, ring.now),
        "issuer": entry.issuer,
        "wrapped": is_wrapped(entry.key),
    }


def _state_of(ring: Ring, entry: RingEntry) -> str:
    said = str(entry.state)
    if entry.state is KeyState.ANNOUNCED:
        ready = entry.added + ring.pace.settle_time(entry)
        said += f", can be promoted from {format_moment(ready)}"
    elif has_ended(entry, ring.now):
        said = "retired, can be pruned"
    elif entry.not_after is not None:
        said += f" until {format_moment(entry.not_after)}"
    return said if entry.issuer is None else f"{said}, tied to {entry.issuer}"


@keys.command("announce")
@ring_command
@key_options
@click.option("--issuer", help="The only issuer that the key speaks for.")
@click.option(
    "--from",
    "source",
    type=click.File("r"),
    help="A file with a key that is there already, as PASERK or PEM, instead of a new "
    "one; - for standard input. A public key is accepted and never issues.",
)
@json_option
def announce_(
    ring: Ring, version: str, purpose: str, issuer: str | None, source: Any, **out: Any
) -> None:
    """Put in a key that is accepted and does not issue yet.

    The first key of a ring that can issue does so at once.
    """
    text = None if source is None else source.read().strip()
    new: list[RingEntry] = []

    def step(document: RingDocument) -> RingDocument:
        entry = (
            ring.new_entry(document, int(version), cast(Purpose, purpose), issuer)
            if text is None
            else ring.entry_of(document, text, issuer)
        )
        new.append(entry)
        return announce(document, entry)

    document = ring.change(step, missing_ok=True)
    _report(ring, document, "announced", find_entry(document, new[0].id), **out)


@keys.command("promote")
@ring_command
@click.argument("key_id", required=False)
@click.option(
    "--now",
    "force",
    is_flag=True,
    help="Do not wait until every reader can have seen it: after a leak.",
)
@json_option
def promote_(ring: Ring, key_id: str | None, force: bool, **out: Any) -> None:
    """Let an announced key issue; the former one is accepted while its tokens last.

    KEY_ID is an id or its beginning; without it, the key announced first.
    """
    promoted: list[str] = []

    def step(document: RingDocument) -> RingDocument:
        next_ = find_announced(document)
        if key_id is None and next_ is None:
            raise ValueError("no key is announced: flask paseto keys announce")
        chosen = find_entry(document, key_id or cast(RingEntry, next_).id)
        promoted.append(chosen.id)
        return promote(document, chosen.id, now=ring.now, pace=ring.pace, force=force)

    try:
        document = ring.change(step)
    except TooEarly as early:
        _leave_early(early, **out)
    _report(ring, document, "promoted", find_entry(document, promoted[0]), **out)


def _leave_early(early: TooEarly, as_json: bool) -> NoReturn:
    """Say when the step can be taken, and leave with a code of its own."""
    if as_json:
        print_json({"done": "nothing", "not_before": early.until})
    click.echo(f"Too early: {early}.", err=True)
    sys.exit(NOT_YET)


@keys.command("retire")
@ring_command
@click.argument("key_id")
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Refuse its tokens from now on, also those that have not expired.",
)
@json_option
def retire_(ring: Ring, key_id: str, at_once: bool, **out: Any) -> None:
    """Give a key its end: when the last of its tokens has expired, or now.

    KEY_ID is an id or its beginning. A key that was announced and never issued ends
    at once.
    """
    document = ring.change(
        lambda document: retire(
            document, key_id, now=ring.now, pace=ring.pace, at_once=at_once
        )
    )
    _report(ring, document, "retired", find_entry(document, key_id), **out)


@keys.command("prune")
@ring_command
@json_option
def prune_(ring: Ring, as_json: bool) -> None:
    """Take out the keys that have ended."""
    pruned: list[str] = []

    def step(document: RingDocument) -> RingDocument:
        pruned.extend(e.id for e in document.entries if has_ended(e, ring.now))
        return prune(document, ring.now)

    document = ring.change(step)
    if as_json:
        print_json({"done": "pruned", "keys": pruned, "version": document.version})
        return
    for key_id in pruned:
        click.echo(f"pruned {key_id}")
    click.echo(f"{len(document.entries)} keys are left.", err=True)


@keys.command("rotate")
@ring_command
@key_options
@click.option("--issuer", help="The only issuer that a first key speaks for.")
@json_option
def rotate_(
    ring: Ring, version: str, purpose: str, issuer: str | None, **out: Any
) -> None:
    """Take the next step: make the ring, announce a key, or promote it.

    A new key is of the kind of the one that issues; --version, --purpose and --issuer
    are for the first one. What has ended is pruned on the way. Run it again for the
    step after; the answer says when.
    """
    first = int(version), cast(Purpose, purpose), issuer
    done: list[tuple[str, str]] = []
    early: list[TooEarly] = []

    def step(document: RingDocument) -> RingDocument:
        document = prune(document, ring.now)
        next_, issuing = find_announced(document), document.issuing
        if next_ is not None:
            try:
                after = promote(
                    document, next_.id, now=ring.now, pace=ring.pace, force=False
                )
            except TooEarly as fault:
                early.append(fault)
                return document  # what has ended is out all the same
            done.append(("promoted", next_.id))
            return after
        entry = ring.new_entry(document, *(_kind_of(issuing) if issuing else first))
        done.append(("announced" if issuing else "created", entry.id))
        return announce(document, entry)

    document = ring.change(step, missing_ok=True)
    if early:
        _leave_early(early[0], **out)
    what, key_id = done[0]
    _report(ring, document, what, find_entry(document, key_id), **out)


def _kind_of(entry: RingEntry) -> tuple[int, Purpose, str | None]:
    return int(entry.kind[1]), cast(Purpose, entry.kind[3:]), entry.issuer


def _report(
    ring: Ring, document: RingDocument, done: str, entry: RingEntry, as_json: bool
) -> None:
    """Say what was done and what comes next."""
    when, then = _next_step(ring, document)
    if as_json:
        print_json(
            {
                "done": done,
                "key": _described(ring, entry),
                "next": then,
                "not_before": when,
                "version": document.version,
            }
        )
        return
    click.echo(f"{done} {entry.id}  {entry.kind}  {_state_of(ring, entry)}")
    at = "" if when is None else f", from {format_moment(when)}"
    click.echo(f"Next: {then}{at}.", err=True)


def _next_step(ring: Ring, document: RingDocument) -> tuple[datetime | None, str]:
    announced = find_announced(document)
    if announced is not None:
        return announced.added + ring.pace.settle_time(announced), "promote"
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
    try:
        with locked(ring.path):
            document, newest = read_for_restore(ring.path)
            version = max(document.version, newest, above) + 1
            document = replace(document, version=version)
            write_file(ring.path, document)
    except ValueError as fault:
        raise click.ClickException(f"{ring.path} {fault}") from None
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
    found = []
    for entry in ring.read().entries:
        if not entry.can_issue or not entry.kind.endswith("public"):
            continue
        try:
            key = read_paserk(entry.key, ring.password)
        except ValueError as fault:
            raise click.ClickException(f"{entry.id} {fault}") from None
        key = replace(key, not_after=entry.not_after)
        if not key.has_ended(ring.now):
            found.append(key)
    if as_json:
        print_json(build_keyset(found, ring.issuer))
        return
    for key in found:
        click.echo(key.public)
