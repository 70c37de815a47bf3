"""A theft, played on a session that is opened for it: the thief has a used token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, render_template, request
from flask.testing import FlaskClient

from flask_paseto import (
    StoreUnavailable,
    create_token_pair,
    get_claims,
    get_subject,
    list_sessions,
    paseto_required,
)

PHONE = "The victim's phone"


@dataclass(frozen=True, slots=True)
class Scene:
    """One request of the play, and what the app answered."""

    who: str
    does: str
    request: str
    status: int
    answer: str
    means: str


def add_to(pages: Blueprint) -> None:
    """Give the blueprint these views."""
    pages.add_url_rule("/thief", view_func=stage)
    pages.add_url_rule("/thief/play", view_func=play, methods=["POST"])


@paseto_required(locations=("cookies",))
def stage() -> str:
    """Show what will be played."""
    return render_template("thief.html", grace=_grace(), phone=PHONE)


@paseto_required(locations=("cookies",))
def play() -> dict[str, Any]:
    """Play the theft and return its scenes.

    The tokens stay in here: a script that could read a refresh token could send it
    away.
    """
    subject, claims = get_subject(), get_claims()
    pair = create_token_pair(
        subject,
        fresh=True,  # a session of its own
        auth_time=None if claims is None else claims.auth_time,  # and no new sign-in
        client=PHONE,
        address=True,
    )
    with current_app.test_client(use_cookies=False) as client:
        scenes = [asdict(scene) for scene in _scenes(client, pair.refresh_token)]
    alive = any(each.client == PHONE for each in list_sessions(subject))
    return {"scenes": scenes, "alive": alive}


def _scenes(client: FlaskClient, stolen: str) -> Iterator[Scene]:
    refresh, look = "POST /refresh", "GET /protected"
    yield Scene(
        "thief", "copies the phone's refresh token.", "", 0, "", "Nobody notices."
    )
    first = _ask(client, refresh, stolen)
    yield _scene(
        "phone",
        "refreshes, as it does every 15 minutes. That uses the token up.",
        refresh,
        first,
        "The next pair of tokens.",
    )
    if _grace():
        yield _scene(
            "phone",
            "loses the answer in a tunnel, and asks again with the used token.",
            refresh,
            _ask(client, refresh, stolen),
            f"Within {_grace()} seconds that is a retry: it gets the same successor, "
            "and no second chain.",
        )
    second = _ask(client, refresh, first[1]["refresh_token"])
    yield _scene(
        "phone",
        "goes on with the successor.",
        refresh,
        second,
        "Now the first token can be no retry any more.",
    )
    replay = _ask(client, refresh, stolen)
    yield _scene(
        "thief",
        "uses the copy.",
        refresh,
        replay,
        "Two parties have one token. Nobody can tell who is who, so the session ends.",
    )
    yield _scene(
        "phone",
        "wants to go on.",
        look,
        _ask(client, look, second[1]["access_token"]),
        "Its access token has not expired, and is worth nothing. The victim signs in "
        "again, and the thief cannot.",
    )


def _ask(client: FlaskClient, what: str, token: str) -> tuple[int, dict[str, Any]]:
    method, path = what.split()
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.open(
        path, method=method, base_url=request.host_url, headers=headers
    )
    if answer.status_code >= 500:
        raise StoreUnavailable  # the play cannot go on, and nothing is wrong with it
    return answer.status_code, answer.get_json()


def _scene(
    who: str, does: str, what: str, answer: tuple[int, dict[str, Any]], means: str
) -> Scene:
    status, body = answer
    said = body.get("message", "OK")
    return Scene(who, does, what, status, said, means)


def _grace() -> int:
    grace = current_app.config.get("PASETO_ROTATION_GRACE", 10)
    return int(grace.total_seconds() if isinstance(grace, timedelta) else grace)
