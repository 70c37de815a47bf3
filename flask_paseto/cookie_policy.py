"""How cookies are written and what must come with them; one policy for an app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from werkzeug.http import dump_cookie
from werkzeug.wrappers import Response

from .options import header_key

MAX_COOKIE: Final = 4096  # bytes of name, value and attributes: RFC 6265 section 6.1

_PREFIX: Final = "PASETO_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One cookie: all but its value, alike when it is set and when it is cleared."""

    name: str
    path: str
    domain: str | None
    secure: bool
    httponly: bool
    samesite: str
    partitioned: bool

    def write(self, response: Response, value: str, max_age: int | None = None) -> None:
        """Set it in an answer, which then is not stored by anybody.

        Args:
            max_age: Seconds; None: until the browser is closed.

        Raises:
            ValueError: It is larger than what browsers keep.
        """
        header = dump_cookie(
            self.name,
            value,
            max_age=max_age,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            httponly=self.httponly,
            samesite=self.samesite,
            partitioned=self.partitioned,
            sync_expires=False,
            max_size=0,
        )
        if len(header) > MAX_COOKIE:
            raise ValueError(
                f"the cookie {self.name} has {len(header)} bytes and browsers keep "
                f"{MAX_COOKIE}: put fewer claims and a shorter footer in the token"
            )
        # One answer sets a cookie once (RFC 6265 section 4.1.1); the last word counts.
        others = [other for other in _set_by(response) if not self._is(other)]
        response.headers.setlist("Set-Cookie", [*others, header])
        response.cache_control.no_store = True

    def clear(self, response: Response) -> None:
        """Let the browser forget it."""
        self.write(response, "", 0)

    def is_written(self, response: Response) -> bool:
        """Tell whether an answer sets or clears it."""
        return any(map(self._is, _set_by(response)))

    def _is(self, header: str) -> bool:
        return header.startswith(self.name + "=")


def _set_by(response: Response) -> list[str]:
    return response.headers.getlist("Set-Cookie")


def move_cookies(source: Response, response: Response) -> None:
    """Set the cookies of one answer in another, which then is not stored by anybody."""
    headers = _set_by(source)
    names = {header.partition("=")[0] for header in headers}
    others = [
        other for other in _set_by(response) if other.partition("=")[0] not in names
    ]
    response.headers.setlist("Set-Cookie", [*others, *headers])
    response.cache_control.no_store = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CookiePolicy:
    """The three cookies of an app, and how long they live.

    Attributes:
        persistent: Whether they outlive the browser's window.
        refresh_within: How long before its end an access cookie is renewed; None:
            never.
    """

    access: Cookie
    refresh: Cookie
    csrf: Cookie
    persistent: bool
    refresh_within: timedelta | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the policy that settings ask for."""
        return cls(
            access=_cookie("access", values),
            refresh=_cookie("refresh", values),
            csrf=_cookie("csrf", values),
            persistent=values["cookie_persistent"],
            refresh_within=values["cookie_refresh_within"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrfPolicy:
    """Where the value that proves a request is our own page's must stand.

    Attributes:
        header: The key of the header in a WSGI environment.
        field: The field of a form; None: forms do not count.
        in_cookies: Whether scripts find the value in a cookie.
        expected: The refusal in words: names, no values.
    """

    header: str
    field: str | None
    safe_methods: frozenset[str]
    in_cookies: bool
    trusted_origins: frozenset[str]
    expected: str

    @classmethod
    def of(cls, values: Mapping[str, Any], cookie: Cookie) -> Self:
        """Return the policy that settings ask for."""
        name = values["csrf_header_name"]
        field = values["csrf_field_name"] if values["csrf_check_form"] else None
        source = f" of the cookie {cookie.name}" if values["csrf_in_cookies"] else ""
        places = f"the header {name}" + (f" or the form field {field}" if field else "")
        return cls(
            header=header_key(name),
            field=field,
            safe_methods=frozenset(values["csrf_safe_methods"]),
            in_cookies=values["csrf_in_cookies"],
            trusted_origins=frozenset(values["csrf_trusted_origins"]),
            expected=f"The CSRF value{source} must be repeated in {places}.",
        )


def _cookie(kind: str, values: Mapping[str, Any]) -> Cookie:
    return Cookie(
        name=_name(kind, values),
        path=_path(kind, values),
        domain=values["cookie_domain"],
        secure=values["cookie_secure"],
        httponly=kind != "csrf",
        samesite=values["cookie_samesite"],
        partitioned=values["cookie_partitioned"],
    )


def _setting(kind: str) -> str:
    return "csrf_cookie_name" if kind == "csrf" else f"cookie_{kind}_name"


def _path(kind: str, values: Mapping[str, Any]) -> str:
    own = values["cookie_refresh_path"] if kind == "refresh" else None
    path: str = own or values["cookie_path"] or "/"
    return path


def _name(kind: str, values: Mapping[str, Any]) -> str:
    """Return the name: given, or with the strongest prefix that the others allow."""
    given: str | None = values[_setting(kind)]
    if given is not None:
        return given
    prefix = "__Host-"
    if values["cookie_secure"] is False:
        prefix = ""
    elif values["cookie_domain"] or _path(kind, values) != "/":
        prefix = "__Secure-"
    return f"{prefix}{kind}_token"


def list_faults(
    values: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[str]:
    """Give what contradicts itself; a value that could not be read is None.

    Args:
        values: The settings as they were read, by their names in small letters.
        settings: What ``app.config`` holds.
    """
    if values["cookie_secure"] is False:
        for name, value in (("SAMESITE", "None"), ("PARTITIONED", True)):
            if values[f"cookie_{name.lower()}"] == value:
                yield (
                    f"PASETO_COOKIE_{name}={value!r} needs PASETO_COOKIE_SECURE: "
                    "browsers drop such a cookie"
                )
    if values["cookie_samesite"] == "None" and values["csrf_protect"] is False:
        yield (
            "PASETO_COOKIE_SAMESITE='None' sends the cookies from every site, so it "
            "needs PASETO_CSRF_PROTECT"
        )
    header = values["csrf_header_name"]
    if header and header_key(header) == values["header_name"]:
        yield "PASETO_CSRF_HEADER_NAME and PASETO_HEADER_NAME must not be the same"
    for kind in ("access", "refresh", "csrf"):
        yield from _faults_of_prefix(kind, values)
    yield from _faults_of_names(values, settings)
    if values["cookie_refresh_within"] is not None:
        yield from _faults_of_renewal(values, settings)


def _faults_of_renewal(
    values: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[str]:
    """Give what keeps access cookies from being renewed, or renews them always."""
    setting, within = _PREFIX + "COOKIE_REFRESH_WITHIN", values["cookie_refresh_within"]
    access, grace = values["access_token_expires"], values["rotation_grace"]
    places = values["token_locations"]
    if _PREFIX + "STORE" not in settings:
        yield f"{setting} needs PASETO_STORE: set that, or take this out"
    if places is not None and "cookies" not in places:
        yield f"{setting} needs 'cookies' in PASETO_TOKEN_LOCATIONS"
    if _path("refresh", values) != "/":
        yield (
            f"{setting} needs the refresh cookie with every request: take "
            "PASETO_COOKIE_REFRESH_PATH and PASETO_COOKIE_PATH out"
        )
    if access is not None and within >= access / 2:
        yield (
            f"{setting} must be less than half of PASETO_ACCESS_TOKEN_EXPIRES, which "
            f"is {access}"
        )
    if grace is not None and within <= grace:
        yield f"{setting} must be more than PASETO_ROTATION_GRACE, which is {grace}"


def _faults_of_prefix(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Give what browsers hold against a name (RFC 6265bis section 4.1.3)."""
    setting, name = _PREFIX + _setting(kind).upper(), _name(kind, values).lower()
    alone = name.startswith("__host-")
    hidden = name.startswith(("__http-", "__host-http-"))
    if not (alone or hidden or name.startswith("__secure-")):
        return
    if values["cookie_secure"] is False:
        yield f"{setting}: a name with this prefix needs PASETO_COOKIE_SECURE"
    if alone and values["cookie_domain"]:
        yield f"{setting}: a name with __Host- takes no PASETO_COOKIE_DOMAIN"
    if alone and _path(kind, values) != "/":
        yield f"{setting}: a name with __Host- needs the path /"
    if hidden and kind == "csrf":
        yield f"{setting}: scripts must read this cookie, so no prefix with Http-"


def _faults_of_names(
    values: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[str]:
    """Give cookies that would overwrite each other."""
    taken = {settings.get("SESSION_COOKIE_NAME"): "SESSION_COOKIE_NAME"}
    for kind in ("access", "refresh", "csrf"):
        name, setting = _name(kind, values), _PREFIX + _setting(kind).upper()
        if name in taken:
            yield f"{setting} is the same as {taken[name]}: give it another name"
        taken[name] = setting
