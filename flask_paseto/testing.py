"""For the tests of your app: the clock and the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from flask import Flask

from .config import SETTINGS
from .errors import ConfigurationError
from .state import DEFAULT, State, build_snapshot, build_state, states_of

_BARE_NAMES = frozenset(setting.name for setting in SETTINGS)
_OF_THE_STORE = ("PASETO_STORE", "PASETO_STORE_TIMEOUT")


class _Unset(Enum):
    UNSET = "unset"


UNSET: Final = _Unset.UNSET
"""As the value of a setting in :func:`override_settings`: take it out."""


class Clock:
    """A clock that stands still until it is told to move.

    Args:
        start: A datetime with an offset; without one, the time it is now.
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.utcoffset() is None:
            raise ValueError("start must be a datetime with an offset")
        self.time: datetime = start or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, by: timedelta | int | float) -> None:
        """Move on by a timedelta or seconds; a negative one moves back."""
        self.time += by if isinstance(by, timedelta) else timedelta(seconds=by)


@contextmanager
def use_clock(app: Flask, clock: Clock | None = None) -> Iterator[Clock]:
    """Let an app read this clock, and give it; afterwards the old one is back.

    Raises:
        ConfigurationError: The app has no manager.
    """
    clock = clock or Clock()
    before = _state_of(app)
    with _swapped(app, replace(before, clock=clock)):
        yield clock


@contextmanager
def override_settings(app: Flask, **settings: Any) -> Iterator[None]:
    """Let an app have other settings, by their full names; afterwards the old are back.

    :data:`UNSET` as a value takes a setting out. The settings are read as `init_app`
    reads them; keys and caches are new, and the store where its settings are others.

    Raises:
        ConfigurationError: The app has no manager, or the settings are wrong.
        ValueError: A name lacks its `PASETO_`.
    """
    strange = sorted(_BARE_NAMES & settings.keys())
    if strange:
        raise ValueError(f"{', '.join(strange)}: give settings by their full names")
    before, config = _state_of(app), dict(app.config)
    try:
        for name, value in settings.items():
            if value is UNSET:
                app.config.pop(name, None)
            else:
                app.config[name] = value
        state = build_state(app, before.callbacks)
        if all(app.config.get(name) == config.get(name) for name in _OF_THE_STORE):
            state = _with_store(state, before)
        with _swapped(app, replace(state, clock=before.clock)):
            yield
        if state.store is not None and isinstance(app.config["PASETO_STORE"], str):
            state.store.close()  # it was opened here, or opens again
    finally:
        app.config.clear()
        app.config.update(config)


def _with_store(state: State, before: State) -> State:
    """Return the state with the store that is open: `memory://` keeps its sessions."""
    config = replace(state.config, store=before.store)
    return replace(state, config=config, snapshot=build_snapshot(config))


def _state_of(app: Flask) -> State:
    try:
        return states_of(app)[DEFAULT]
    except KeyError:
        raise ConfigurationError(
            "this app has no PasetoManager: call PasetoManager(app) first"
        ) from None


@contextmanager
def _swapped(app: Flask, state: State) -> Iterator[None]:
    states = states_of(app)
    before = states[DEFAULT]
    states[DEFAULT] = state
    try:
        yield
    finally:
        states[DEFAULT] = before
