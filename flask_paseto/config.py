"""The settings ``PASETO_*``: read once, every fault listed in one message."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from .claims import ACCESS, REFRESH, Place, as_places, now
from .cookie_policy import CookiePolicy, CsrfPolicy, list_faults
from .cookie_settings import COOKIE_SETTINGS
from .errors import ConfigurationError
from .keys import KEY_SETTINGS, KeySource
from .options import (
    Setting,
    as_duration,
    as_flag,
    as_names,
    as_scheme,
    as_text,
    as_type,
    header_key,
)
from .stores import DEFAULT_TIMEOUT, Store
from .stores.settings import as_outage, as_store, settle_store, within

PREFIX = "PASETO_"
LONGEST_LEEWAY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one app, checked; the keys are not here but in their source."""

    access_token_expires: timedelta
    refresh_token_expires: timedelta
    other_token_expires: timedelta
    max_token_lifetime: timedelta
    allow_non_expiring: bool
    issuer: str | None
    audience: tuple[str, ...]
    accepted_issuers: frozenset[str]
    accepted_audiences: frozenset[str]
    leeway: timedelta
    token_locations: tuple[Place, ...]
    header: str
    header_type: str
    json_key: str
    refresh_json_key: str
    form_key: str
    refresh_form_key: str
    query_key: str
    store: Store | None = field(repr=False)
    store_timeout: timedelta
    store_outage: str
    revocation_checks: frozenset[str] | None
    revocation_sync_interval: timedelta
    rotation_grace: timedelta
    session_idle: timedelta
    session_lifetime: timedelta
    verified_cache_size: int
    max_token_length: int
    accept_missing_kid: bool
    realm: str
    keyring: Path | None
    keyset_max_age: timedelta
    key_loader_ttl: timedelta
    key_timeout: timedelta
    cookies: CookiePolicy
    csrf: CsrfPolicy | None
    """None: cookies are no place, or the protection is switched off."""

    @property
    def takes_cookies(self) -> bool:
        """Tell whether cookies are a place for tokens in this app."""
        return Place.COOKIES in self.token_locations


def _as_leeway(value: timedelta | int, name: str) -> timedelta:
    if value in (0, timedelta(0)) and not isinstance(value, bool):
        return timedelta(0)
    try:
        leeway = as_duration(value, name)
    except ValueError:
        leeway = LONGEST_LEEWAY * 2
    if leeway > LONGEST_LEEWAY:
        raise ValueError(f"{name} must be from 0 to 5 minutes")
    return leeway


def _as_checks(value: Any, name: str) -> frozenset[str] | None:
    """Return the token types to check, None for all of them."""
    if value == "all":
        return None
    types = frozenset(as_type(item, name) for item in as_names(value, name))
    if isinstance(value, str) or {"all", "none"} & {item.lower() for item in types}:
        raise ValueError(f"{name} must be 'all' or a list of token types")
    for item in types - {ACCESS, REFRESH}:
        # A slip of the pen here would switch the checks off.
        bare = re.sub(r"[_.:-]?tokens?$", "", item.lower())
        close = difflib.get_close_matches(bare, (ACCESS, REFRESH), 1, 0.7)
        if close:
            raise ValueError(f"{name}: {item!r} is close to {close[0]!r}; is it that?")
    return types


def _as_set(value: Any, name: str) -> frozenset[str]:
    return frozenset(as_names(value, name))


def _as_version(value: int, name: str) -> int:
    if type(value) is not int or value not in (3, 4):
        raise ValueError(f"{name} must be 4 or 3")
    return value


def _as_purpose(value: str, name: str) -> str:
    if value not in ("local", "public"):
        raise ValueError(f"{name} must be 'local' or 'public'")
    return value


def as_path(value: Any, name: str) -> Path:
    """Return a path given as text or path."""
    if not isinstance(value, str | PathLike) or not str(value):
        raise TypeError(f"{name} must be the path of a file")
    return Path(value)


def _as_password(value: Any, name: str) -> str | bytes:
    if not isinstance(value, str | bytes) or not value:
        raise TypeError(f"{name} must be a text or bytes, and not empty")
    return value


def _as_keysets(value: Any, name: str) -> dict[str | None, str]:
    """Return addresses by issuer; the issuer of a bare address is not known yet."""
    from .keys.remote import check_url  # here: it imports the cryptography

    keysets = value if isinstance(value, Mapping) else {None: value}
    if not keysets:
        raise ValueError(f"{name} is empty: put an address in, or take it out")
    for issuer, url in keysets.items():
        if isinstance(value, Mapping) and (not isinstance(issuer, str) or not issuer):
            raise ValueError(f"{name}: an issuer must be a text")
        try:
            check_url(url)
        except ValueError as fault:
            raise ValueError(f"{name} {fault}") from None
    return dict(keysets)


def _as_count(least: int) -> Callable[[Any, str], int]:
    def read(value: Any, name: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be a whole number")
        if value < least:
            raise ValueError(f"{name} must be {least} or more")
        return value

    return read


SETTINGS = (
    Setting(
        "VERSION",
        _as_version,
        4,
        "The PASETO version of keys that do not tell theirs: derived and raw ones.",
    ),
    Setting(
        "PURPOSE",
        _as_purpose,
        None,
        "Which key issues where both a secret and a private key are set: `'local'` "
        "or `'public'`. Inferred with one of them.",
    ),
    Setting(
        "KEYRING",
        as_path,
        None,
        "The path of a key ring file, instead of single keys: its keys are announced, "
        "issue, and end on a date. Workers take a change up within a second.",
    ),
    Setting(
        "KEYRING_PASSWORD",
        _as_password,
        None,
        "What the keys in the ring file are wrapped with, where they are: a text or "
        "`bytes`. `PASETO_KEYRING_PASSWORD_FILE` names a file that holds it instead.",
    ),
    Setting(
        "KEYSET_URL",
        _as_keysets,
        None,
        "Where another issuer serves its public keys: an `https` URL, its issuer "
        "being the one in `PASETO_ACCEPTED_ISSUERS`; or a dict from issuer to URL.",
    ),
    Setting(
        "KEYSET_MAX_AGE",
        as_duration,
        timedelta(minutes=5),
        "How long a public key set is used without asking again: what this app tells "
        "others of its own, and the most that it grants to those of others.",
    ),
    Setting(
        "KEY_LOADER_TTL",
        as_duration,
        timedelta(minutes=5),
        "How long the keys of `key_loader` are used before it is asked again.",
    ),
    Setting(
        "KEY_TIMEOUT",
        as_duration,
        timedelta(seconds=3),
        "How long `key_loader`, or the address of a key set, may take to answer.",
    ),
    Setting(
        "KEY_MAX_STALE",
        as_duration,
        timedelta(hours=24),
        "How long the last good keys of either serve while it fails, counted from when "
        "they were asked for; never less than their own time.",
    ),
    Setting(
        "ACCEPT_MISSING_KID",
        as_flag,
        False,
        "Try tokens without a key id with every key of their version and purpose: "
        "for tokens of other issuers.",
    ),
    Setting(
        "ACCESS_TOKEN_EXPIRES",
        as_duration,
        timedelta(minutes=15),
        "How long an access token lasts: a `timedelta` or seconds, at least one.",
    ),
    Setting(
        "REFRESH_TOKEN_EXPIRES",
        as_duration,
        timedelta(days=30),
        "How long a refresh token lasts.",
    ),
    Setting(
        "OTHER_TOKEN_EXPIRES",
        as_duration,
        timedelta(hours=1),
        "How long a token of a type of your own lasts.",
    ),
    Setting(
        "MAX_TOKEN_LIFETIME",
        as_duration,
        timedelta(days=90),
        "The longest lifetime that anything may ask for.",
    ),
    Setting(
        "ALLOW_NON_EXPIRING",
        as_flag,
        False,
        "Issue and accept tokens that never expire (`expires_in=NEVER`).",
    ),
    Setting("ISSUER", as_text, None, "The `iss` of what is issued."),
    Setting(
        "AUDIENCE",
        as_names,
        (),
        "The `aud` of what is issued: a text or several.",
    ),
    Setting(
        "ACCEPTED_ISSUERS",
        _as_set,
        None,
        "The `iss` a token must have, one of them. Default: `PASETO_ISSUER`, and the "
        "issuers in `PASETO_KEYSET_URL` and `PASETO_PUBLIC_KEYS` where these are "
        "dicts; without `PASETO_ISSUER`, any or none.",
    ),
    Setting(
        "ACCEPTED_AUDIENCES",
        _as_set,
        None,
        "The audiences that this app is; a token must name one of them. Default: "
        "`PASETO_AUDIENCE`; without that, only tokens without `aud` pass.",
    ),
    Setting(
        "LEEWAY",
        _as_leeway,
        timedelta(seconds=10),
        "What clocks may differ, for `exp`, `nbf` and `iat`: from 0 to 5 minutes.",
    ),
    Setting(
        "TOKEN_LOCATIONS",
        as_places,
        ("headers",),
        "The places to look for a token, in this order: `'headers'`, `'cookies'`, "
        "`'json'`, `'form'`, `'query'`.",
    ),
    Setting(
        "HEADER_NAME", header_key, "Authorization", "The header that holds the token."
    ),
    Setting(
        "HEADER_TYPE",
        as_scheme,
        "Bearer",
        "The scheme in that header; empty for a header that holds the bare token.",
    ),
    Setting("JSON_KEY", as_text, "access_token", "The key in a JSON body."),
    Setting(
        "REFRESH_JSON_KEY",
        as_text,
        "refresh_token",
        "The key in a JSON body where only a refresh token is taken.",
    ),
    Setting("FORM_KEY", as_text, "access_token", "The field of a form."),
    Setting(
        "REFRESH_FORM_KEY",
        as_text,
        "refresh_token",
        "The field of a form where only a refresh token is taken.",
    ),
    Setting("QUERY_KEY", as_text, "access_token", "The parameter of the query."),
    *COOKIE_SETTINGS,
    Setting(
        "STORE",
        as_store,
        None,
        "Where sessions and what is revoked are kept: a URL such as `memory://`, or "
        "an object that does what `flask_paseto.stores.Store` says. Without one, "
        "tokens are not looked up anywhere.",
    ),
    Setting(
        "STORE_TIMEOUT",
        within(timedelta(milliseconds=10), timedelta(seconds=30)),
        DEFAULT_TIMEOUT,
        "How long the store may take to answer: a `timedelta` or whole seconds.",
    ),
    Setting(
        "STORE_OUTAGE",
        as_outage,
        "refuse",
        "What happens to a token that the store cannot be asked about: `'refuse'` is "
        "a 503; `'allow'` lets access tokens pass unchecked, and no others.",
    ),
    Setting(
        "REVOCATION_CHECKS",
        _as_checks,
        "all",
        "The token types that the store and `token_in_denylist_loader` are asked "
        "about: `'all'` or a list. The store is asked about refresh tokens always.",
    ),
    Setting(
        "REVOCATION_SYNC_INTERVAL",
        within(timedelta(milliseconds=100), timedelta(minutes=5), or_none=True),
        timedelta(0),
        "How old a worker's copy of what is revoked may be, 5 minutes at most. "
        "0: there is no copy, and the store is asked each time.",
    ),
    Setting(
        "ROTATION_GRACE",
        within(timedelta(milliseconds=1), timedelta(seconds=60), or_none=True),
        timedelta(seconds=10),
        "How long after a rotation the refresh token before may come again, and gets "
        "the same successor: from 0 to 60 seconds.",
    ),
    Setting(
        "SESSION_IDLE",
        within(timedelta(seconds=1), timedelta(days=36_500)),
        None,
        "How long a session lives without a refresh; no shorter than an access token. "
        "Default: `PASETO_REFRESH_TOKEN_EXPIRES`.",
    ),
    Setting(
        "SESSION_LIFETIME",
        within(timedelta(seconds=1), timedelta(days=36_500)),
        timedelta(days=90),
        "How long a session lives at most, a hundred years at most; none of its tokens "
        "lasts longer.",
    ),
    Setting(
        "VERIFIED_CACHE_SIZE",
        _as_count(0),
        0,
        "How many tokens whose seal was checked are kept in memory; time, revocation "
        "and need are checked every time. 0: none.",
    ),
    Setting(
        "MAX_TOKEN_LENGTH",
        _as_count(256),
        8192,
        "The longest token that is looked at, in characters; at least 256.",
    ),
    Setting(
        "REALM", as_text, None, "The realm of challenges. Default: the app's name."
    ),
)

# Set to None they are a slip, of an environment say, that would bring in other keys.
_NEVER_NONE = frozenset({"KEYRING", "KEYRING_PASSWORD", "KEYSET_URL", "STORE"})


def read_config(
    settings: Mapping[str, Any],
    realm: str,
    key_loader: Callable[[], Any] | None = None,
    clock: Callable[[], datetime] = now,
) -> tuple[Config, KeySource]:
    """Return the settings of an app, its store opened, and where its keys come from.

    Args:
        settings: What ``app.config`` holds.
        realm: The realm when the settings name none.
        key_loader: Gives the keys, instead of the settings.
        clock: Gives the time to a store that has no clock of its own.

    Raises:
        ConfigurationError: All that is wrong, in one message.
    """
    from .keys.sources import SourceOptions, read_source  # imports the cryptography

    _warn_of_names(settings)
    faults: list[str] = []
    values = {s.name.lower(): _read(s, settings, faults) for s in SETTINGS}
    keysets = _tie_keysets(values.pop("keyset_url") or {}, values, faults)
    options = SourceOptions(
        version=values.pop("version") or 4,
        purpose=values.pop("purpose"),
        issuer=values["issuer"],
        keyring=values["keyring"],
        password=read_password(values.pop("keyring_password"), settings, faults),
        keysets=keysets,
        keyset_max_age=values["keyset_max_age"],
        loader_ttl=values["key_loader_ttl"],
        timeout=values["key_timeout"],
        max_stale=values.pop("key_max_stale"),
    )
    if keysets and values["accept_missing_kid"]:
        faults.append(
            "PASETO_ACCEPT_MISSING_KID and PASETO_KEYSET_URL do not go together: the "
            "key of a set is found by its id"
        )
    keys = read_source(settings, faults, options, key_loader)
    _check_lifetimes(values, faults)
    settle_store(values, settings, faults, clock)
    faults.extend(list_faults(values, settings))
    if faults:
        listed = "\n".join(f"- {fault}" for fault in faults)
        raise ConfigurationError(f"flask_paseto cannot start:\n{listed}")
    values["header"] = values.pop("header_name")
    values["realm"] = values["realm"] or realm
    if values["accepted_issuers"] is None:
        values["accepted_issuers"] = _own_issuers(values["issuer"], keysets, settings)
    if values["accepted_audiences"] is None:
        values["accepted_audiences"] = frozenset(values["audience"])
    cookies, csrf = _take_policies(values, settings)
    return Config(**values, cookies=cookies, csrf=csrf), keys


def _take_policies(
    values: dict[str, Any], settings: Mapping[str, Any]
) -> tuple[CookiePolicy, CsrfPolicy | None]:
    """Return the policies of cookies that the values ask for, and take these out."""
    of_cookies = {s.name.lower(): values.pop(s.name.lower()) for s in COOKIE_SETTINGS}
    cookies, csrf = CookiePolicy.of(of_cookies), None
    if Place.COOKIES in values["token_locations"]:
        _warn_of_cookies(values["token_locations"], cookies, settings)
        if of_cookies["csrf_protect"]:
            csrf = CsrfPolicy.of(of_cookies, cookies.csrf)
    return cookies, csrf


def _warn_of_cookies(
    places: tuple[Place, ...], cookies: CookiePolicy, settings: Mapping[str, Any]
) -> None:
    developing = settings.get("DEBUG") or settings.get("TESTING")
    if not cookies.access.secure and not developing:
        warnings.warn(
            "PASETO_COOKIE_SECURE is False, so tokens go over plain http, where "
            "anybody on the way reads them: for development alone",
            stacklevel=6,
        )
    safe = (Place.HEADERS, Place.COOKIES)
    risky = [place for place in places if place not in safe]
    if risky:
        warnings.warn(
            f"PASETO_TOKEN_LOCATIONS names cookies and {', '.join(risky)}: another "
            "site can send a token of its own there from the browser of your user; "
            "better open such a place for one view, with locations=",
            stacklevel=6,
        )


def _tie_keysets(
    keysets: Mapping[str | None, str], values: Mapping[str, Any], faults: list[str]
) -> dict[str, str]:
    """Return addresses by issuer, each issuer being one that is accepted."""
    accepted: frozenset[str] | None = values["accepted_issuers"]
    tied = {}
    for issuer, url in keysets.items():
        if issuer is None and accepted is not None and len(accepted) == 1:
            tied[next(iter(accepted))] = url
        elif issuer is None:
            faults.append(
                "PASETO_KEYSET_URL needs the issuer of its keys: name it, and no "
                "other, in PASETO_ACCEPTED_ISSUERS, or set a dict from issuer to URL"
            )
        elif accepted is not None and issuer not in accepted:
            faults.append(
                "PASETO_KEYSET_URL names an issuer that is not in "
                "PASETO_ACCEPTED_ISSUERS"
            )
        else:
            tied[issuer] = url
    return tied


def _own_issuers(
    issuer: str | None, keysets: Mapping[str, str], settings: Mapping[str, Any]
) -> frozenset[str]:
    """Return the issuers to accept where none are named.

    Without an issuer of its own an app takes any: keys of others are tied to theirs.
    """
    if issuer is None:
        return frozenset()
    tied = settings.get(PREFIX + "PUBLIC_KEYS")
    return frozenset([issuer, *keysets, *(tied if isinstance(tied, Mapping) else ())])


def read_password(
    given: str | bytes | None, settings: Mapping[str, Any], faults: list[str]
) -> str | bytes | None:
    """Return the password of the ring file, from the setting or the file it names."""
    name = PREFIX + "KEYRING_PASSWORD_FILE"
    path = settings.get(name)
    if path is None:
        return given
    if given is not None:
        faults.append(f"PASETO_KEYRING_PASSWORD and {name} are both set; take one out")
        return None
    try:
        text = as_path(path, name).read_text("utf-8-sig")
    except TypeError as fault:
        faults.append(str(fault))
        return None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or "it is no text"
        faults.append(f"{name} ({path}) cannot be read: {reason}")
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        faults.append(f"{name} ({path}) is empty")
    return text or None


def _read(setting: Setting, settings: Mapping[str, Any], faults: list[str]) -> Any:
    name = PREFIX + setting.name
    value = settings.get(name, setting.default)
    absent = name not in settings or setting.name not in _NEVER_NONE
    if absent and value is setting.default and value in (None, ()):
        return value
    try:
        return setting.read(value, name)
    except (TypeError, ValueError) as fault:
        faults.append(str(fault))
        return None


def _check_lifetimes(values: Mapping[str, Any], faults: list[str]) -> None:
    longest = values["max_token_lifetime"]
    for kind in ("access", "refresh", "other"):
        lifetime = values[f"{kind}_token_expires"]
        if lifetime and longest and lifetime > longest:
            faults.append(
                f"PASETO_{kind.upper()}_TOKEN_EXPIRES is longer than "
                f"PASETO_MAX_TOKEN_LIFETIME, which is {longest}"
            )


def _warn_of_names(settings: Mapping[str, Any]) -> None:
    """Warn of settings that nobody reads."""
    known = [PREFIX + setting.name for setting in SETTINGS]
    known += [PREFIX + name + end for name in KEY_SETTINGS for end in ("", "_FILE")]
    known.append(PREFIX + "KEYRING_PASSWORD_FILE")
    for name in settings:
        if not name.startswith(PREFIX) or name in known:
            continue
        bare = name.removeprefix(PREFIX)
        close = difflib.get_close_matches(
            bare, [other.removeprefix(PREFIX) for other in known], n=1
        )
        hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
        warnings.warn(f"{name} is not a setting of flask_paseto{hint}", stacklevel=5)
