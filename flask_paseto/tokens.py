"""Issue tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Unpack

from .claims import ACCESS, REFRESH
from .login import Draft, Login
from .options import as_type, refuse_unknown
from .token_options import TokenOptions

BEARER: Final = "Bearer"


@dataclass(frozen=True, slots=True, repr=False)
class TokenPair:
    """An access token and the refresh token that goes with it (RFC 6749 section 5.1).

    Attributes:
        expires_in: The lifetime of the access token in seconds, None: no end.
        refresh_expires_in: The lifetime of the refresh token in seconds.
    """

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int | None
    refresh_expires_in: int | None

    def to_dict(self) -> dict[str, str | int | None]:
        """Return it as the body of an answer."""
        return {name: getattr(self, name) for name in self.__slots__}


def create_access_token(
    subject: Any,
    *,
    fresh: bool | timedelta | int = False,
    **options: Unpack[TokenOptions],
) -> str:
    """Return an access token for this subject.

    If the request's verified token speaks for the same subject, its session, its time
    of login and its scopes go over. Scopes given here may then only be fewer, unless
    this is a new login (`fresh`).

    Args:
        subject: Anything that `subject_loader` makes a text of.
        fresh: True when the user has just logged in; a timedelta or seconds when
            that shall count for so long only.

    Raises:
        TypeError, ValueError: An argument is unknown or wrong; the message names it.
        ConfigurationError: No key issues tokens.
    """
    return Login(subject).issue(ACCESS, options, fresh)


def create_refresh_token(subject: Any, **options: Unpack[TokenOptions]) -> str:
    """Return a refresh token for this subject.

    Made where no token was verified it is a login, so `auth_time` is now. Made inside
    a guarded view for the same subject, it is as old as the login behind that.

    Raises:
        TypeError, ValueError: An argument is unknown or wrong; the message names it.
        ConfigurationError: No key issues tokens.
    """
    return Login(subject).issue(REFRESH, options)


def create_token(subject: Any, type: str, **options: Unpack[TokenOptions]) -> str:
    """Return a token of a type of yours: for confirmation mails, API keys, tickets.

    It takes nothing over from the request; but where the request's verified token
    speaks for the same subject and has scopes, those given here may only be fewer.

    Args:
        type: Its name, which a guard asks for with ``type=``.

    Raises:
        TypeError, ValueError: An argument is unknown or wrong; the message names it.
        ConfigurationError: No key issues tokens.
    """
    if as_type(type) in (ACCESS, REFRESH):
        raise ValueError(f"type: use create_{type}_token")
    return Login(subject).issue(type, options)


def create_token_pair(
    subject: Any,
    *,
    fresh: bool | timedelta | int = False,
    refresh_expires_in: timedelta | int | None = None,
    **options: Unpack[TokenOptions],
) -> TokenPair:
    """Return an access token and a refresh token of one session and one login.

    With `PASETO_STORE` this opens the session. In a guarded view for the same
    subject it does so with `fresh` only: to go on with a session there is
    :func:`rotate_token_pair`.

    Args:
        fresh: As in :func:`create_access_token`.
        refresh_expires_in: The lifetime of the refresh token; `expires_in` is that
            of the access token.

    Raises:
        TypeError, ValueError: An argument is unknown or wrong; the message names it.
        ConfigurationError: No key issues tokens.
    """
    refuse_unknown(options, TokenOptions.__optional_keys__, "a token")
    login, is_login = Login(subject), bool(fresh)
    session = login.join(REFRESH, options, anew=is_login)
    auth_time = login.auth_time(REFRESH, is_login, options)
    for_refresh: TokenOptions = {**options, "expires_in": refresh_expires_in}

    def draft(kind: str, given: TokenOptions, fresh: bool | timedelta | int) -> Draft:
        stamp = login.stamp(
            kind, given, session, is_login=is_login, auth_time=auth_time
        )
        return login.draft(kind, given, fresh, stamp, session)

    access = draft(ACCESS, options, fresh)
    refresh = draft(REFRESH, for_refresh, is_login)
    login.keep(session, refresh, access, options)
    return hand_out_pair(login, access, refresh)


def hand_out_pair(login: Login, access: Draft, refresh: Draft) -> TokenPair:
    """Return the pair of two drafts that the store knows of, if there is one."""
    return TokenPair(
        access_token=login.hand_out(access),
        refresh_token=login.hand_out(refresh),
        token_type=BEARER,
        expires_in=_seconds(access.stamp.lifetime()),
        refresh_expires_in=_seconds(refresh.stamp.lifetime()),
    )


def _seconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else int(lifetime.total_seconds())
