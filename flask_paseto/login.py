"""The claims of a new token: what is given, and what goes over from the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final, NamedTuple

from .claims import ACCESS, REFRESH, Claims
from .csrf import CLAIM
from .errors import ExpiredToken, RevokedToken
from .identity import RequestRecord, current_record
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
from .rows import (
    Membership,
    Stamp,
    answer_of,
    find_row,
    issued_of,
    join_row,
    membership_of,
    new_membership,
    open_row,
    row_of_claims,
)
from .signals import token_issued
from .state import State, current_state
from .stores import NewSession, Store, Verdict, micros, new_id
from .token_options import (
    NEVER,
    RESERVED_CLAIMS,
    StepOptions,
    TokenOptions,
    as_purpose,
    check_footer,
    read_device,
    subject_text,
    warn_of_workers,
)

_EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)


class Draft(NamedTuple):
    """A token that is sealed, and not handed out before the store knows of it."""

    text: str
    token_type: str
    stamp: Stamp

    def __repr__(self) -> str:
        return "<Draft>"


class Login:
    """One subject at one moment, and what its tokens take over from the request.

    Args:
        is_text: Whether the subject is one as it stands in tokens.
        verified: What they take over from, instead of the verified token of the
            request.
    """

    def __init__(
        self, subject: Any, *, is_text: bool = False, verified: Claims | None = None
    ) -> None:
        self.state: State = current_state()
        self.record: RequestRecord | None = current_record()
        self.now: datetime = self.state.clock().astimezone(UTC).replace(microsecond=0)
        self.subject: str = subject if is_text else subject_text(subject, self.state)
        if verified is None and self.record is not None and self.record.identity:
            verified = self.record.identity.claims
        self._csrf_value: str | None = None
        self._is_apart: bool = False  # in a session that has nothing of the earlier one
        #: The verified token of this request, whoever it speaks for.
        self.verified: Claims | None = verified
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
        session = self.join(token_type, options)
        is_login = fresh is not False
        login = self.auth_time(token_type, is_login, options)
        stamp = self.stamp(
            token_type, options, session, is_login=is_login, auth_time=login
        )
        draft = self.draft(token_type, options, fresh, stamp, session)
        self.keep(session, draft if token_type == REFRESH else None, None, options)
        return self.hand_out(draft)

    def draft(
        self,
        token_type: str,
        options: StepOptions,
        fresh: bool | timedelta | int,
        stamp: Stamp,
        session: Membership,
    ) -> Draft:
        """Return the token of this stamp, sealed."""
        payload = self._claims(token_type, options, fresh, stamp, session)
        extra = self._extra_claims(options.get("user_claims"))
        payload.update(extra)
        footer = options.get("footer")
        check_footer(footer)
        given = options.get("implicit_assertion")
        text = self.state.codec.seal(
            payload,
            footer=footer,
            assertion=self.state.assertion()
            if given is None
            else as_bytes(given, "implicit_assertion"),
            purpose=as_purpose(options.get("purpose")),
            read_back=bool(extra),
        )
        return Draft(text=text, token_type=token_type, stamp=stamp)

    def hand_out(self, draft: Draft) -> str:
        """Return the token of a draft, and tell whoever listens."""
        if self.record is not None:
            self.record.issued = True
        if token_issued.receivers:
            token_issued.send(self.state.app, token_type=draft.token_type)
        return draft.text

    def keep(
        self,
        session: Membership,
        refresh: Draft | None,
        access: Draft | None,
        options: TokenOptions,
    ) -> None:
        """Let the store know of the session and of its refresh token.

        Raises:
            PasetoError, ConfigurationError: The tokens must not be handed out.
        """
        client, address = read_device(options, self.state)
        store = self.state.store
        if store is None or session.session_id is None:
            return
        if session.opens:
            self._open(session.session_id, refresh, access, (client, address), store)
        elif refresh is not None:
            join_row(
                session.session_id,
                self.subject,
                refresh.stamp,
                self.record,
                self.state,
                store,
                self.now,
            )

    def _open(
        self,
        session_id: str,
        refresh: Draft | None,
        access: Draft | None,
        device: tuple[str, str],
        store: Store,
    ) -> None:
        warn_of_workers(store)
        draft = refresh or access
        login = None if draft is None else draft.stamp.auth_time
        beside = None if access is None else access.stamp
        row = NewSession(
            session_id=session_id,
            subject=self.subject,
            idle=micros(self.state.config.session_idle),
            lifetime=micros(self.state.config.session_lifetime),
            issued=None if refresh is None else issued_of(refresh.stamp, beside),
            auth_time=None if login is None else micros(login),
            client=device[0],
            address=device[1],
        )
        open_row(row, self.record, store)

    def stamp(
        self,
        token_type: str,
        options: StepOptions,
        session: Membership,
        *,
        is_login: bool,
        auth_time: datetime | None,
    ) -> Stamp:
        """Return what is peculiar to a new token."""
        scopes = self._scopes(token_type, is_login, options.get("scopes"))
        issued_at = self.now
        if self.state.store is not None and session.session_id is None:
            # It is compared with the cut-off of its subject.
            issued_at = self.state.clock().astimezone(UTC)
        return Stamp(
            jti=self._new_id(),
            issued_at=issued_at,
            expires_at=self._expiry(token_type, options, session),
            auth_time=auth_time,
            scopes=None if scopes is None else tuple(sorted(scopes)),
            audience=self._audience(token_type, is_login, options.get("audience")),
        )

    def _new_id(self) -> str:
        return token_hex(16) if self.state.store is None else new_id(self.subject)

    def _expiry(
        self, token_type: str, options: StepOptions, session: Membership
    ) -> datetime | None:
        """Return when the token ends: never after its session."""
        lifetime = self.lifetime(token_type, options)
        expires = None if lifetime is None else self._after(lifetime, "expires_in")
        end = session.ends_at if token_type == REFRESH else session.idle_ends_at
        if end is None or (expires is not None and expires <= end):
            return expires
        end = end.replace(microsecond=0)
        if end <= self.now:
            raise ExpiredToken("The session has ended.")
        return end

    def _audience(
        self, token_type: str, is_login: bool, given: str | Iterable[str] | None
    ) -> tuple[str, ...]:
        """Return the audience; a refresh never makes it wider."""
        names = None if given is None else as_names(given, "audience")
        earlier = self.earlier
        goes_on = token_type in (ACCESS, REFRESH) and not is_login
        if earlier is None or earlier.token_type != REFRESH or not goes_on:
            return self.state.config.audience if names is None else names
        if names is None:
            return earlier.audience
        if not set(names) <= set(earlier.audience):
            raise ValueError(
                "audience must be among those of the refresh token: give it all that "
                "its access tokens shall have"
            )
        return names

    def _claims(
        self,
        token_type: str,
        options: StepOptions,
        fresh: bool | timedelta | int,
        stamp: Stamp,
        session: Membership,
    ) -> dict[str, Any]:
        """Return the claims of ours, by their wire names, those that are set."""
        issuer, audience = options.get("issuer"), stamp.audience
        expires, login = stamp.expires_at, stamp.auth_time
        claims: dict[str, Any] = {
            "sub": self.subject,
            "type": token_type,
            "jti": stamp.jti,
            "sid": session.session_id,
            "iat": format_date(stamp.issued_at),
            "exp": expires and format_date(expires),
            "nbf": self._not_before(options.get("not_before"), expires),
            "auth_time": login and format_date(login),
            "iss": self.state.config.issuer
            if issuer is None
            else as_text(issuer, "issuer"),
            "aud": audience[0] if len(audience) == 1 else list(audience) or None,
            "scope": None if stamp.scopes is None else " ".join(stamp.scopes),
            "csrf": self._csrf(token_type),
        }
        if token_type == ACCESS:
            claims["fresh"] = self._fresh(fresh, expires)
        return {name: value for name, value in claims.items() if value is not None}

    def lifetime(self, token_type: str, options: StepOptions) -> timedelta | None:
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

    def join(
        self, token_type: str, options: TokenOptions, *, anew: bool = False
    ) -> Membership:
        """Return the session of the token: given, taken over, or new.

        Args:
            anew: Whether it is a login that takes no session over, with a store.

        Raises:
            RevokedToken, ExpiredToken: The session does not live, or the request's
                refresh token may not be used to issue.
        """
        store, record = self.state.store, self.record
        if store is None:
            return Membership(session_id=self._session_id(token_type, options))
        answer = None
        if record is not None and self.verified is not None:
            answer = answer_of(self.verified, record, self.state, store)
        if answer is not None and answer.verdict is Verdict.PREVIOUS:
            raise RevokedToken  # within the grace: for rotate_token_pair alone
        given = options.get("session_id")
        if given is False or (given is None and token_type not in (ACCESS, REFRESH)):
            return Membership()
        if given is not None:
            given = as_text(given, "session_id")
            return membership_of(
                find_row(given, self.subject, self.state, store, self.now)
            )
        earlier = self.earlier
        if earlier is None or earlier.token_type not in (ACCESS, REFRESH) or anew:
            self._is_apart = True
            return self._new_membership(token_type)
        row = row_of_claims(earlier, answer, self.state, store, self.now)
        return Membership() if row is None else membership_of(row)

    def _new_membership(self, token_type: str) -> Membership:
        """Return the session of a login; one request has one for each subject.

        But each of its refresh tokens has a session of its own.
        """
        record = self.record
        shared = None if record is None else record.sessions.get(self.subject)
        chained = record is not None and shared in record.chained
        if shared is None or (chained and token_type == REFRESH):
            return new_membership(self.state, new_id(self.subject), self.now)
        return new_membership(self.state, shared, self.now)._replace(opens=False)

    def _session_id(self, token_type: str, options: TokenOptions) -> str | None:
        """Return the session of the token, where there is no store."""
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
        if earlier and isinstance(earlier, str) and not self._is_apart:
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
