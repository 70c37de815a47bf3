"""What a token says, what a view asks for, and whether the one meets the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NewType, TypedDict, Unpack, cast

from .errors import (
    AccessTokenRequired,
    ExpiredToken,
    FreshTokenRequired,
    InsufficientScope,
    InvalidClaims,
    PasetoError,
    ReauthenticationRequired,
    RefreshTokenRequired,
    TokenNotYetValid,
    WrongTokenType,
)
from .options import (
    as_bytes,
    as_duration,
    as_flag,
    as_names,
    as_scheme,
    as_scopes,
    as_text,
    as_type,
    header_key,
    refuse_unknown,
)

ACCESS = "access"
REFRESH = "refresh"


class Place(StrEnum):
    """Where a token was found."""

    HEADERS = "headers"
    COOKIES = "cookies"
    JSON = "json"
    FORM = "form"
    QUERY = "query"
    ARGUMENT = "argument"  #: handed over by the app itself, with ``token=``


REQUEST_PLACES = tuple(place for place in Place if place is not Place.ARGUMENT)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Claims:
    """The verified content of a token; all the way down nothing in it can change.

    ``claims["name"]``, ``claims.get("name")`` and ``"name" in claims`` go by the wire
    names, and give claims as they came: mappings are read-only, lists are tuples.

    Attributes:
        wire: All claims by their wire names.
        footer: The authenticated footer: a mapping, a text, or None.
        key_id: The PASERK id of the key that sealed the token.
        issued_at: ``iat``, with an offset.
        expires_at: ``exp``; None only for a token that never expires.
        not_before: ``nbf``.
        auth_time: When the user last logged in, however often it was refreshed since.
        fresh: Whether a login issued the token, or the time until it counts as fresh.
    """

    wire: Mapping[str, Any]
    footer: Mapping[str, Any] | str | None
    key_id: str
    issued_at: datetime
    expires_at: datetime | None
    not_before: datetime | None
    auth_time: datetime | None
    fresh: bool | datetime

    @property
    def subject(self) -> str:
        """Return ``sub``, who the token speaks for."""
        return cast(str, self.wire["sub"])

    @property
    def token_type(self) -> str:
        """Return ``type``: ``access``, ``refresh`` or a name of yours."""
        return cast(str, self.wire["type"])

    @property
    def jti(self) -> str:
        """Return the id of this token."""
        return cast(str, self.wire["jti"])

    @property
    def session_id(self) -> str | None:
        """Return ``sid``, the login on one device that the token belongs to."""
        return self.wire.get("sid")

    @property
    def issuer(self) -> str | None:
        """Return ``iss``."""
        return self.wire.get("iss")

    @property
    def audience(self) -> tuple[str, ...]:
        """Return ``aud``, always as a tuple."""
        value: str | tuple[str, ...] = self.wire.get("aud", ())
        return (value,) if isinstance(value, str) else value

    @property
    def scopes(self) -> frozenset[str]:
        """Return ``scope`` as a set; on the wire it is one text (RFC 9068)."""
        return frozenset(filter(None, self.wire.get("scope", "").split(" ")))

    def __getitem__(self, name: str) -> Any:
        return self.wire[name]

    def __contains__(self, name: object) -> bool:
        return name in self.wire

    def __iter__(self) -> Iterator[str]:
        return iter(self.wire)

    def __len__(self) -> int:
        return len(self.wire)

    def keys(self) -> KeysView[str]:
        """Return the wire names, so that `dict(claims)` is a dict of the claims."""
        return self.wire.keys()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the claim of that wire name, or the default."""
        return self.wire.get(name, default)

    def __repr__(self) -> str:
        # Never a value: reprs end up in logs.
        return "<Claims>"


# One object, three names: the type checker refuses a step taken out of order.
OpenedClaims = NewType("OpenedClaims", Claims)  # the seal held
CurrentClaims = NewType("CurrentClaims", Claims)  # and time, place and type fit
VerifiedClaims = NewType("VerifiedClaims", Claims)  # and nothing stands against it


def now() -> datetime:
    """Return the time; the one clock that everything reads unless a test sets it."""
    return datetime.now(UTC)


class ClaimOptions(TypedDict, total=False):
    """What can be asked of a token, wherever it comes from.

    Keys:
        fresh: Only a token that a login issued passes.
        max_age: Only a token whose *login* is no older passes (RFC 9470); a
            timedelta or seconds.
        type: The type of token, or several; an allow-list.
        scopes: The scopes the token must have, all of them.
        audience: The audience, or several, instead of `PASETO_ACCEPTED_AUDIENCES`.
        implicit_assertion: What the token was bound to when it was issued, instead
            of what `implicit_assertion_loader` gives.
        check_revoked: False leaves out the look at what was revoked.
    """

    fresh: bool
    max_age: timedelta | int | None
    type: str | Iterable[str]
    scopes: str | Iterable[str] | None
    audience: str | Iterable[str] | None
    implicit_assertion: bytes | str | None
    check_revoked: bool


class NeedOptions(ClaimOptions, total=False):
    """The options of a guard: what it asks of the token, and where it looks.

    Keys:
        optional: Without a token the request goes on anonymously; a bad token is
            refused all the same.
        locations: The places to look in, instead of `PASETO_TOKEN_LOCATIONS`.
        token: The token itself or a callable that gives it, instead of a look at
            the request; None is no token.
        header_name: The header, instead of `PASETO_HEADER_NAME`.
        header_type: The scheme in it, instead of `PASETO_HEADER_TYPE`; empty for a
            header that holds the bare token.
        json_key: The key in a JSON body, instead of the setting.
        query_key: The query parameter, instead of `PASETO_QUERY_KEY`.
        form_key: The form field, instead of the setting.
    """

    optional: bool
    locations: str | Iterable[str] | None
    token: str | Callable[[], str | None] | None
    header_name: str | None
    header_type: str | None
    json_key: str | None
    query_key: str | None
    form_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a view asks for; made once, where the guard is written."""

    types: frozenset[str] = frozenset({ACCESS})
    fresh: bool = False
    max_age: timedelta | None = None
    optional: bool = False
    scopes: frozenset[str] = frozenset()
    locations: tuple[Place, ...] | None = None
    token: str | Callable[[], str | None] | None = field(default=None, repr=False)
    header: str | None = None
    header_type: str | None = None
    json_key: str | None = None
    query_key: str | None = None
    form_key: str | None = None
    audience: frozenset[str] | None = None
    implicit_assertion: bytes | None = field(default=None, repr=False)
    check_revoked: bool = True

    @property
    def is_refresh(self) -> bool:
        """Tell whether only a refresh token is taken."""
        return self.types == {REFRESH}

    def wrong_type(self) -> PasetoError:
        """Return the refusal of a token of a type that is not asked for."""
        if self.types == {ACCESS}:
            return AccessTokenRequired()
        if self.is_refresh:
            return RefreshTokenRequired()
        return WrongTokenType()

    def check_strength(self, claims: Claims, now: datetime) -> None:
        """Refuse a token that is too weak: not fresh, from an old login, too narrow.

        There is no leeway here: a login is as old as it is.
        """
        if self.fresh and not _is_fresh(claims.fresh, now):
            raise FreshTokenRequired
        if self.max_age is not None:
            login = claims.auth_time
            if login is None or now - login > self.max_age:
                raise ReauthenticationRequired(max_age=self.max_age)
        if self.scopes and not self.scopes <= claims.scopes:
            raise InsufficientScope(scopes=self.scopes)


def _is_fresh(fresh: bool | datetime, now: datetime) -> bool:
    return fresh if isinstance(fresh, bool) else now < fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the app asks of every token.

    Attributes:
        longest: The longest that a token may last, None: as long as it says. A store
            forgets what was revoked when nothing can last any longer.
    """

    leeway: timedelta = timedelta(seconds=10)
    longest: timedelta | None = None
    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    allow_non_expiring: bool = False

    def check(self, claims: OpenedClaims, need: Need, now: datetime) -> CurrentClaims:
        """Return the claims if they hold at this time and place, for this view.

        Raises:
            ExpiredToken, TokenNotYetValid, InvalidClaims, WrongTokenType: In this
                order; leeway is given to `exp`, `nbf` and `iat`.
        """
        self._check_times(claims, now)
        if self.issuers and claims.issuer not in self.issuers:
            raise InvalidClaims
        accepted = self.audiences if need.audience is None else need.audience
        # RFC 7519 section 4.1.3: an audience that we are not part of is a refusal,
        # also where none is configured.
        if (accepted or "aud" in claims.wire) and (
            accepted.isdisjoint(claims.audience)
        ):
            raise InvalidClaims
        if claims.wire["type"] not in need.types:
            raise need.wrong_type()
        return CurrentClaims(claims)

    def _check_times(self, claims: Claims, now: datetime) -> None:
        # Leeway moves the clock, not the claim: year 9999 has no day after it.
        if claims.expires_at is None:
            if not self.allow_non_expiring:
                raise InvalidClaims
        elif now - self.leeway >= claims.expires_at:
            raise ExpiredToken
        elif self.longest is not None:
            lasts = claims.expires_at - claims.issued_at
            # Every guard comes through here, and to few tokens the leeway matters.
            if lasts > self.longest and lasts - self.leeway > self.longest:
                raise InvalidClaims
        latest = now + self.leeway
        if claims.not_before is not None and claims.not_before > latest:
            raise TokenNotYetValid
        if claims.issued_at > latest:
            raise TokenNotYetValid
        login = claims.auth_time
        if login is not None and (login > latest or login > claims.issued_at):
            raise InvalidClaims


def as_places(value: str | Iterable[str], name: str) -> tuple[Place, ...]:
    """Return places by their names, in the order given, none twice."""
    names = as_names(value, name)
    known = ", ".join(REQUEST_PLACES)
    for place in names:
        if place not in REQUEST_PLACES:
            raise ValueError(f"{name}: {place!r} is not one of {known}")
    if len(set(names)) < len(names):
        raise ValueError(f"{name} names a place twice")
    return tuple(Place(place) for place in names)


def build_need(**options: Unpack[NeedOptions]) -> Need:
    """Return what a guard with these options asks for.

    Raises:
        TypeError, ValueError: An option is unknown or wrong; the message names it.
    """
    refuse_unknown(options, NeedOptions.__optional_keys__, "a guard")
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if value is None and name == "token":
            value = _no_token  # asked to look there, not into the request
        elif value is None and name not in _NEVER_NONE:
            continue
        target, convert = _NEED_FIELDS[name]
        fields[target] = convert(value, name)
    need = Need(**fields)
    if need.fresh and ACCESS not in need.types:
        raise ValueError("fresh asks for an access token; for other types use max_age")
    return need


def _no_token() -> None:
    return None


def _as_types(value: str | Iterable[str], name: str) -> frozenset[str]:
    return frozenset(as_type(item, name) for item in as_names(value, name))


def _as_needed_scopes(value: str | Iterable[str], name: str) -> frozenset[str]:
    scopes = as_scopes(value, name)
    if not scopes:
        raise ValueError(f"{name} must not be empty")
    return scopes


_NEVER_NONE = frozenset({"fresh", "optional", "type", "check_revoked"})
_NEED_FIELDS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "fresh": ("fresh", as_flag),
    "max_age": ("max_age", as_duration),
    "optional": ("optional", as_flag),
    "type": ("types", _as_types),
    "scopes": ("scopes", _as_needed_scopes),
    "locations": ("locations", as_places),
    "token": ("token", lambda value, name: value),
    "header_name": ("header", header_key),
    "header_type": ("header_type", as_scheme),
    "json_key": ("json_key", as_text),
    "query_key": ("query_key", as_text),
    "form_key": ("form_key", as_text),
    "audience": ("audience", lambda value, name: frozenset(as_names(value, name))),
    "implicit_assertion": ("implicit_assertion", as_bytes),
    "check_revoked": ("check_revoked", as_flag),
}
