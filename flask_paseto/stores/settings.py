"""The settings of the store and of sessions, brought to one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..errors import ConfigurationError
from ..options import as_duration
from . import Store, open_store

NONE = timedelta(0)

# What means nothing without a store; ignored, it could mean a wrong yes.
NEED_STORE = (
    "STORE_TIMEOUT",
    "STORE_OUTAGE",
    "REVOCATION_SYNC_INTERVAL",
    "ROTATION_GRACE",
    "SESSION_IDLE",
    "SESSION_LIFETIME",
)


def as_store(value: Any, name: str) -> Any:
    """Return a URL or an object, for `open_store`."""
    if value is None:
        raise TypeError(f"{name} must be a URL or a store; take it out for none")
    return value


def as_outage(value: str, name: str) -> str:
    """Return what happens to access tokens while the store does not answer."""
    if value not in ("refuse", "allow"):
        raise ValueError(f"{name} must be 'refuse' or 'allow'")
    return value


def within(
    least: timedelta, most: timedelta, *, or_none: bool = False
) -> Callable[[Any, str], timedelta]:
    """Return what reads a duration, also of less than a second, between these.

    Args:
        or_none: Whether 0 is one too.
    """

    def read(value: Any, name: str) -> timedelta:
        if isinstance(value, timedelta):
            duration = value
        elif type(value) is int and value == 0:
            duration = NONE
        else:
            duration = as_duration(value, name)
        if (duration == NONE and or_none) or least <= duration <= most:
            return duration
        zero = "0, or " if or_none else ""
        raise ValueError(
            f"{name} must be {zero}from {least.total_seconds():g} to "
            f"{most.total_seconds():.15g} seconds"
        )

    return read


def settle_store(
    values: dict[str, Any],
    settings: Mapping[str, Any],
    faults: list[str],
    clock: Callable[[], datetime],
) -> None:
    """Open the store, and check what belongs to it against the lifetimes of tokens.

    Args:
        values: The settings as they were read; the store's URL becomes the store.
    """
    given, access = values["store"], values["access_token_expires"]
    refresh, longest = values["refresh_token_expires"], values["session_lifetime"]
    if values["session_idle"] is None and access and refresh and longest:
        values["session_idle"] = max(access, min(refresh, longest))
    if given is None:
        for name in NEED_STORE:
            if f"PASETO_{name}" in settings and "PASETO_STORE" not in settings:
                faults.append(
                    f"PASETO_{name} needs PASETO_STORE: set that, or take this out"
                )
        return
    values["store"] = _open(given, values["store_timeout"], faults, clock)
    for name in ("session_lifetime", "session_idle"):
        span = values[name]
        if span and access and span < access:
            faults.append(
                f"PASETO_{name.upper()} is shorter than PASETO_ACCESS_TOKEN_EXPIRES"
            )


def _open(
    given: Any,
    timeout: timedelta | None,
    faults: list[str],
    clock: Callable[[], datetime],
) -> Store | None:
    if timeout is None:
        return None  # told already
    try:
        return open_store(given, clock=clock, timeout=timeout)
    except ConfigurationError as fault:
        faults.append(str(fault))
        return None
