"""The claims of a new token: what is given, and what goes over from the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from secrets import token_hex
from typing import Any, Final, Literal, TypedDict
from uuid import UUID

from .claims import ACCESS, REFRESH, Claims
from .csrf import CLAIM
from .identity import RequestRecord, current_record
from .keys import Purpose
from .options import (
    as_bytes,
    as_duration,
    as_names,
    as_scopes,
    as_text,
    as_utc,
    refuse_unknown,
)
from .payload import format_date
from .signals import token_issued
from .state import State, current_state


class _Never(Enum):
    NEVER = "never"


NEVER: Final = _Never.NEVER
"""As ``expires_in``: a token without ``exp``; needs ``PASETO_ALLOW_NON_EXPIRING``."""

_EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)

RESERVED_CLAIMS: Final = frozenset(
    {"sub", "type", "jti", "sid", "iat", "exp", "nbf", "auth_time", "fresh"}
    | {"iss", "aud", "scope", "csrf"}
)


class TokenOptions(TypedDict, total=False):
    """What can be said of any token when it is issued.

    Keys:
        expires_in: The lifetime, a timedelta or seconds, instead of the setting's;
            `NEVER` for none.
        not_before: From when it holds: a datetime with an offset, or how long from
            now.
        scopes: A collection, or one text with spaces between.
        audience: One or several, instead of `PASETO_AUDIENCE`.
        issuer: Instead of `PASETO_ISSUER`.
        user_claims: Claims of yours; names of ours are refused.
        footer: A flat mapping, up to 1 kB, readable by everybody; `kid` is ours.
        implicit_assertion: What the token is bound to without holding it.
        purpose: `local` or `public`, where there are keys for both.
        auth_time: When the user logged in, instead of what the request tells.
        session_id: The session it belongs to; False: none.
    """

    expires_in: timedelta | int | Literal[_Never.NEVER] | None
    not_before: datetime | timedelta | int | None
    scopes: str | Iterable[str] | None
    audience: str | Iterable[str] | None
    issuer: str | None
    user_claims: Mapping[str, Any] | None
    footer: Mapping[str, Any] | None
    implicit_assertion: bytes | str | None
    purpose: Purpose | None
    auth_time: datetime | None
    session_id: str | Literal[False] | None


class Login:
    """One subject at one moment, and what its tokens take over from the request."""

    def __init__(self, subject: Any) -> None:
        self.state: State = current_state()
        self.record: RequestRecord | None = current_record()
        self.now: datetime = self.state.clock().astimezone(UTC).replace(microsecond=0)
        self.subject: str = _subject_text(subject, self.state)
        identity = None if self.record is None else self.record.identity
        self._csrf_value: str | None = None
        #: The verified token of this request, whoever it speaks for.
        self.verified: Claims | None = None if identity is None else identity.claims
        same = self.verified is not None and self.verified.subject == self.subject
        #: The verified token of this request, if it speaks for this subject.
        self.earlier: Claims | None = self.verified if same else None

    def issue(
        self,
        token_type: str,
        options: TokenOptions,
        fresh: bool | timedelta | int = False,
    ) -> str:
        """Return the token, and tell whoever listens."""
        refuse_unknown(options, TokenOptions.__optional_keys__, "a token")
        payload = self._claims(token_type, options, fresh)
        extra = self._extra_claims(options.get("user_claims"))
        payload.update(extra)
        footer = options.get("footer")
        _check_footer(footer)
        given = options.get("implicit_assertion")
        token = self.state.codec.seal(
            payload,
            footer=footer,
            assertion=self.state.assertion()
            if given is None
            else as_bytes(given, "implicit_assertion"),
            purpose=_purpose(options.get("purpose")),
            read_back=bool(extra),
        )
        if self.record is not None:
            self.record.issued = True
        if token_issued.receivers:
            token_issued.send(self.state.app, token_type=token_type)
        return token

    def _claims(
        self, token_type: str, options: TokenOptions, fresh: bool | timedelta | int
    ) -> dict[str, Any]:
        """Return the claims of ours, by their wire names, those that are set."""
        config, lifetime = self.state.config, self.lifetime(token_type, options)
        issuer, audience = options.get("issuer"), options.get("audience")
        expires = None if lifetime is None else self._after(lifetime, "expires_in")
        is_login = fresh is not False
        login = self.auth_time(token_type, is_login, options)
        scopes = self._scopes(token_type, is_login, options.get("scopes"))
        audiences = (
            config.audience if audience is None else as_names(audience, "audience")
        )
        claims: dict[str, Any] = {
            "sub": self.subject,
            "type": token_type,
            "jti": token_hex(16),
            "sid": self.session_id(token_type, options),
            "iat": format_date(self.now),
            "exp": expires and format_date(expires),
            "nbf": self._not_before(options.get("not_before"), expires),
            "auth_time": login and format_date(login),
            "iss": config.issuer if issuer is None else as_text(issuer, "issuer"),
            "aud": audiences[0] if len(audiences) == 1 else list(audiences) or None,
            "scope": None if scopes is None else " ".join(sorted(scopes)),
            "csrf": self._csrf(token_type),
        }
        if token_type == ACCESS:
            claims["fresh"] = self._fresh(fresh, expires)
        return {name: value for name, value in claims.items() if value is not None}

    def lifetime(self, token_type: str, options: TokenOptions) -> timedelta | None:
        """Return how long the token lasts, None: without end."""
        config, given = self.state.config, options.get("expires_in")
        if given is NEVER:
            if not config.allow_non_expiring:
                raise ValueError("expires_in=NEVER needs PASETO_ALLOW_NON_EXPIRING")
            return None
        if given is None:
            defaults = {
                ACCESS: config.access_token_expires,
                REFRESH: config.refresh_token_expires,
            }
            return defaults.get(token_type, config.other_token_expires)
        lifetime = as_duration(given, "expires_in")
        if lifetime > config.max_token_lifetime:
            raise ValueError("expires_in is longer than PASETO_MAX_TOKEN_LIFETIME")
        return lifetime

    def session_id(self, token_type: str, options: TokenOptions) -> str | None:
        """Return the session of the token: given, taken over, or new."""
        given = options.get("session_id")
        if given is not None:
            return None if given is False else as_text(given, "session_id")
        if token_type not in (ACCESS, REFRESH):
            return None
        if self.earlier is not None and self.earlier.token_type in (ACCESS, REFRESH):
            return self.earlier.session_id
        new = token_hex(16)
        if self.record is None:
            return new
        return self.record.sessions.setdefault(self.subject, new)

    def auth_time(
        self, token_type: str, fresh: bool, options: TokenOptions
    ) -> datetime | None:
        """Return when the user logged in; refreshing never makes a login younger."""
        given = options.get("auth_time")
        if given is not None:
            return self._as_moment(given)
        if fresh:
            return self.now
        if token_type not in (ACCESS, REFRESH):
            return None
        if self.earlier is not None:
            login = self.earlier.auth_time
            if login is None:
                return None
            # Of a clock ahead of ours: never after this token's own iat.
            return min(as_utc(max(login, _EARLIEST), "auth_time"), self.now)
        is_login = token_type == REFRESH and self.verified is None
        return self.now if is_login else None

    def _csrf(self, token_type: str) -> str | None:
        """Return what proves a request is our page's, where cookies are a place.

        It is new at each login and the same through its refreshes, so that open pages
        and the forms in them go on working.
        """
        if token_type not in (ACCESS, REFRESH) or not self.state.config.takes_cookies:
            return None
        earlier = None if self.earlier is None else self.earlier.get(CLAIM)
        if earlier and isinstance(earlier, str):
            return earlier
        new = self._csrf_value = self._csrf_value or token_hex(16)
        if self.record is None:
            return new
        return self.record.csrf_values.setdefault(self.subject, new)

    def _as_moment(self, given: Any) -> datetime:
        moment = as_utc(given, "auth_time").replace(microsecond=0)
        if moment > self.now:
            raise ValueError("auth_time must not be in the future")
        return moment

    def _after(self, duration: timedelta, name: str) -> datetime:
        try:
            return self.now + duration
        except OverflowError:
            raise ValueError(f"{name} is too long") from None

    def _not_before(
        self, given: datetime | timedelta | int | None, expires: datetime | None
    ) -> str | None:
        if given is None:
            return None
        if isinstance(given, datetime):
            start = as_utc(given, "not_before")
        else:
            start = self._after(as_duration(given, "not_before"), "not_before")
        if expires is not None and start >= expires:
            raise ValueError("not_before must be before the token expires")
        return format_date(start)

    def _fresh(
        self, fresh: bool | timedelta | int, expires: datetime | None
    ) -> bool | str:
        if isinstance(fresh, bool):
            return fresh
        if not isinstance(fresh, timedelta | int):
            raise TypeError("fresh must be True, False, a timedelta or whole seconds")
        until = self._after(as_duration(fresh, "fresh"), "fresh")
        return format_date(until if expires is None else min(until, expires))

    def _scopes(
        self, token_type: str, fresh: bool, given: str | Iterable[str] | None
    ) -> frozenset[str] | None:
        """Return the scopes; those of the verified token are the ceiling.

        A login has no ceiling. A token without scopes is a ceiling too, except for
        types of your own, which are made from plain tokens.
        """
        scopes = None if given is None else as_scopes(given)
        if self.earlier is None or fresh:
            return scopes
        ours = token_type in (ACCESS, REFRESH)
        ceiling = self.earlier.scopes if ours or "scope" in self.earlier.wire else None
        if scopes is None:
            return (ceiling or None) if ours else None
        if ceiling is not None and not scopes <= ceiling:
            raise ValueError(
                "scopes must be among those of the verified token: give the refresh "
                "token its scopes at login; for a new login, pass fresh=True to "
                "create_access_token or create_token_pair"
            )
        return scopes

    def _extra_claims(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the claims of the app: the loader's, then those of the call."""
        extra: dict[str, Any] = {}
        loader = self.state.callbacks.additional_claims
        loaded = None if loader is None else self.state.call(loader, self.subject)
        sources: dict[str, Any] = {
            "additional_claims_loader": loaded,
            "user_claims": given,
        }
        for source, claims in sources.items():
            if claims is None:
                continue
            if not isinstance(claims, Mapping):
                raise TypeError(f"{source} must be a dict")
            taken = sorted(RESERVED_CLAIMS & claims.keys())
            if taken:
                raise ValueError(f"{source}: {', '.join(taken)} cannot be set there")
            extra.update(claims)
        return extra


def _subject_text(subject: Any, state: State) -> str:
    loader = state.callbacks.subject
    if loader is not None:
        text = state.call(loader, subject)
        if not isinstance(text, str):
            raise TypeError("subject_loader must give a str")
    elif isinstance(subject, str | int | UUID) and not isinstance(subject, bool):
        text = str(subject)
    else:
        raise TypeError(
            "subject must be a str, int or UUID; for anything else register a "
            "@paseto.subject_loader"
        )
    return as_text(text, "subject")


def _check_footer(given: Any) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise TypeError("footer must be a dict")
    if "kid" in given:
        raise ValueError("footer: kid is reserved for the id of the key")


def _purpose(given: Purpose | None) -> Purpose | None:
    if given not in (None, "local", "public"):
        raise ValueError("purpose must be 'local' or 'public'")
    return given
