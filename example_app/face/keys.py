"""The keys, for administrators: the next step in their lives, while all are at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import (
    Blueprint,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response

from flask_paseto import get_claims, paseto_required
from flask_paseto.keys.entries import KeyState, RingDocument, RingEntry
from flask_paseto.keys.keyring import Keyring
from flask_paseto.keys.rotation import TooEarly, find_announced, has_ended

from ..models import User, appoint, db
from ..ring import open_ring
from .accounts import COOKIES, KEYS
from .words import SAID


@dataclass(frozen=True, slots=True)
class Stage:
    """A step in the life of a key, and when it was or will be."""

    name: str
    at: datetime | None
    reached: bool
    here: bool


@dataclass(frozen=True, slots=True)
class KeyCard:
    """A key as the page shows it; the key itself never gets here."""

    id: str
    kind: str
    state: str
    stages: tuple[Stage, ...]
    seals_mine: bool

    @property
    def may_end(self) -> bool:
        """Tell whether it can be ended now."""
        return self.state != KeyState.ISSUING


def add_to(pages: Blueprint) -> None:
    """Give the blueprint these views and the command."""
    pages.add_url_rule("/keys", view_func=keys)
    pages.add_url_rule("/keys/step", view_func=take_step, methods=["POST"])
    pages.add_url_rule("/keys/<key_id>/end", view_func=end_key, methods=["POST"])
    pages.app_context_processor(lambda: {"may_change_keys": may_change_keys})
    pages.cli.command("appoint")(appoint_user)


def may_change_keys() -> bool:
    """Tell whether the person of this request may change the keys."""
    try:
        claims = get_claims()
    except RuntimeError:  # a page without a guard
        return False
    return claims is not None and KEYS in claims.scopes


@paseto_required(scopes=[KEYS], locations=COOKIES)
def keys() -> str:
    """Show each key and the stages of its life."""
    ring = _ring()
    document = ring.read()
    announced = find_announced(document)
    ready = None
    if announced is not None:
        ready = announced.added + ring.pace.settle_time(announced)
    return render_template(
        "keys.html",
        cards=list(_cards(document)),
        announced=announced is not None,
        ready=ready,
        now=datetime.now(UTC),
        said=SAID.get(request.args.get("said", "")),
    )


@paseto_required(scopes=[KEYS], fresh=True, locations=COOKIES)
def take_step() -> Response:
    """Announce a key, or let the announced one issue."""
    try:
        said = _ring().rotate().done
    except TooEarly:
        said = "too-early"
    return _back(said)


@paseto_required(scopes=[KEYS], fresh=True, locations=COOKIES)
def end_key(key_id: str) -> Response:
    """End a key now, and with it every token that it sealed."""
    ring = _ring()
    entry = next((each for each in ring.read().entries if each.id == key_id), None)
    if entry is None or entry.state is KeyState.ISSUING:
        abort(404)
    ring.retire(key_id, at_once=True)
    return _back("retired")


def _back(said: str) -> Response:
    return redirect(url_for("pages.keys", said=said), 303)


def _ring() -> Keyring:
    path = current_app.config.get("PASETO_KEYRING")
    if path is None:
        abort(404)  # the key is in a setting: there is nothing to rotate
    return open_ring(Path(path), current_app.config)


def _cards(document: RingDocument) -> Iterator[KeyCard]:
    claims = get_claims()
    mine = None if claims is None else claims.key_id
    order = [KeyState.ISSUING, KeyState.ANNOUNCED, KeyState.ACCEPTED]
    for entry in sorted(document.entries, key=lambda each: order.index(each.state)):
        ended = has_ended(entry, datetime.now(UTC))
        state = "ended" if ended else str(entry.state)
        stages = tuple(_stages(entry, state))
        yield KeyCard(entry.id, entry.kind, state, stages, entry.id == mine)


def _stages(entry: RingEntry, state: str) -> Iterator[Stage]:
    states = ("announced", "issuing", "accepted", "ended")
    names = (*states[:3], "ended" if state == "ended" else "ends")
    times = (entry.added, None, entry.issued_until, entry.not_after)
    current = states.index(state)
    for number, (name, at) in enumerate(zip(names, times, strict=True)):
        yield Stage(name, at, number <= current, number == current)


@click.argument("name")
def appoint_user(name: str) -> None:
    """Let the user NAME change the keys, from the next sign-in on."""
    user = db.session.scalar(db.select(User).filter_by(name=name))
    if user is None:
        raise click.ClickException("there is no such user")
    appoint(user)
    click.echo(f"{name} may change the keys, from the next sign-in on.")
