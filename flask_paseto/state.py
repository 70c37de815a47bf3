"""What one app has of the extension, built once and replaced as a whole."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, cast

from flask import Flask, current_app

from .claims import Claims, Policy, now
from .codec import Codec, RingCodecs
from .config import PREFIX, Config, read_config
from .errors import ConfigurationError
from .snapshot import Snapshot
from .stores import Store

EXTENSION = "paseto"
DEFAULT = "default"

States = dict[str, "State"]


@dataclass(slots=True)
class Callbacks:
    """The callbacks of one manager, read when they are needed, not before."""

    user_lookup: Callable[[Claims], Any] | None = None
    subject: Callable[[Any], Any] | None = None
    additional_claims: Callable[[str], Any] | None = None
    claims_verification: Callable[[Claims], Any] | None = None
    token_in_denylist: Callable[[Claims], Any] | None = None
    implicit_assertion: Callable[[], Any] | None = None
    key_loader: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything a guard needs, resolved when the app was set up.

    Attributes:
        clock: Gives the time, with an offset.
        seen: The `PASETO_*` settings as they were read.
        snapshot: The worker's copy of what is revoked, None where there is none.
    """

    app: Flask = field(repr=False)
    config: Config
    codecs: RingCodecs = field(repr=False)
    policy: Policy
    callbacks: Callbacks = field(repr=False)
    seen: Mapping[str, Any] = field(repr=False)
    clock: Callable[[], datetime] = now
    snapshot: Snapshot | None = field(default=None, repr=False)

    @property
    def store(self) -> Store | None:
        """Return the store, None where the app has none."""
        return self.config.store

    def need_store(self, what: str) -> Store:
        """Return the store, for something that makes no sense without one.

        Raises:
            ConfigurationError: The app has none; it names the setting.
        """
        if self.config.store is None:
            raise ConfigurationError(
                f"{what} needs a store: set PASETO_STORE, to 'redis://…' for instance, "
                "or in a test to 'memory://'"
            )
        return self.config.store

    @property
    def codec(self) -> Codec:
        """Return the codec of the keys as they are now.

        Raises:
            KeysUnavailable: They cannot be told now.
        """
        return self.codecs.current()

    def call(self, callback: Callable[..., Any], *args: Any) -> Any:
        """Return what a callback gives, awaited if it is async.

        Raises:
            RuntimeError: It is async and this thread already runs an event loop.
        """
        result = callback(*args)
        if not inspect.isawaitable(result):
            return result
        if _loop_is_running():
            if inspect.iscoroutine(result):
                result.close()
            raise RuntimeError(
                f"{getattr(callback, '__name__', 'a callback')} is async and cannot "
                "run inside an async view or test: call this from a sync function, or "
                "register a callback that is not async"
            )
        try:
            run = self.app.async_to_sync(_awaited)
        except RuntimeError:
            if inspect.iscoroutine(result):
                result.close()
            raise RuntimeError(
                f"{getattr(callback, '__name__', 'a callback')} is async, which needs "
                "the extra: pip install flask[async]"
            ) from None
        return run(result)

    def assertion(self) -> bytes:
        """Return the implicit assertion of this moment, as the app's callback says."""
        if self.callbacks.implicit_assertion is None:
            return b""
        value = self.call(self.callbacks.implicit_assertion)
        if value is None:
            return b""
        if isinstance(value, str):
            # It may come from a client: what is no Unicode text must not be an error.
            return value.encode("utf-8", "surrogatepass")
        if isinstance(value, bytes):
            return value
        raise TypeError("implicit_assertion_loader must give bytes, str or None")


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _loop_is_running() -> bool:
    import asyncio  # here, because importing it takes longer than all of ours

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def build_state(app: Flask, callbacks: Callbacks) -> State:
    """Return the state of an app, from its settings as they are now.

    Raises:
        ConfigurationError: All that is wrong with the settings, in one message.
    """
    config, keys = read_config(
        app.config, app.name, callbacks.key_loader, partial(_read_clock, app)
    )
    codecs = RingCodecs(
        keys,
        cache_size=config.verified_cache_size,
        max_length=config.max_token_length,
        accept_missing_kid=config.accept_missing_kid,
    )
    policy = Policy(
        leeway=config.leeway,
        longest=None if config.store is None else config.max_token_lifetime,
        issuers=config.accepted_issuers,
        audiences=config.accepted_audiences,
        allow_non_expiring=config.allow_non_expiring,
    )
    return State(
        app,
        config,
        codecs,
        policy,
        callbacks,
        {name: _kept(name, value) for name, value in _settings(app).items()},
        snapshot=build_snapshot(config),
    )


def build_snapshot(config: Config) -> Snapshot | None:
    """Return a new copy of what is revoked, None where the settings ask for none."""
    if config.store is None or not config.revocation_sync_interval:
        return None
    return Snapshot(
        config.store,
        interval=config.revocation_sync_interval,
        longest=max(config.access_token_expires, config.other_token_expires),
        leeway=config.leeway,
        budget=config.store_timeout,
    )


def _read_clock(app: Flask) -> datetime:
    """Return the time by the clock that the app has now: a test may change it."""
    return states_of(app)[DEFAULT].clock()


def _settings(app: Flask) -> dict[str, Any]:
    return {k: v for k, v in app.config.items() if k.startswith(PREFIX)}


def _kept(name: str, value: Any) -> Any:
    """Return a setting as it is now; a store is what it is and cannot be copied."""
    return value if name == PREFIX + "STORE" else deepcopy(value)


def states_of(app: Flask) -> States:
    """Return the states of an app by the name of their manager."""
    return cast(States, app.extensions.setdefault(EXTENSION, {}))


def current_state() -> State:
    """Return the state of the app that is being served.

    Raises:
        ConfigurationError: The app has no manager; or, while testing or debugging, a
            setting was changed after it was read.
    """
    app = cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]
    try:
        state: State = app.extensions[EXTENSION][DEFAULT]
    except KeyError:
        raise ConfigurationError(
            "this app has no PasetoManager: call PasetoManager(app), or init_app(app) "
            "of yours"
        ) from None
    config = app.config
    if config["TESTING"] or config["DEBUG"]:
        _check_unchanged(state)
    return state


def _check_unchanged(state: State) -> None:
    settings = _settings(state.app)
    if settings == state.seen:
        return
    changed = sorted(
        name
        for name in settings.keys() | state.seen.keys()
        if settings.get(name) != state.seen.get(name)
    )
    raise ConfigurationError(
        f"{', '.join(changed)} changed after init_app had read it; set it before, or "
        "in a test use flask_paseto.testing.override_settings"
    )
