"""Every refusal: its status, its code for programs, its challenge for clients.

::

    PasetoError                          an HTTPException; the body is JSON
    ├── InvalidRequest                   400  invalid_request
    ├── MissingToken                     401  token_missing
    ├── InvalidToken                     401  token_invalid
    ├── ExpiredToken                     401  token_expired
    ├── TokenNotYetValid                 401  token_not_yet_valid
    ├── InvalidClaims                    401  claims_invalid
    ├── WrongTokenType                   401  wrong_token_type
    │   ├── AccessTokenRequired          401  access_token_required
    │   └── RefreshTokenRequired         401  refresh_token_required
    ├── RevokedToken                     401  token_revoked
    │   └── RefreshTokenReused           401  token_reused
    ├── FreshTokenRequired               401  fresh_token_required
    ├── ReauthenticationRequired         401  reauthentication_required
    ├── UserNotFound                     401  user_not_found
    ├── CsrfError                        403  csrf_failed
    ├── InsufficientScope                403  insufficient_scope
    ├── ClaimsRejected                   403  claims_rejected
    ├── KeysUnavailable                  503  keys_unavailable
    └── StoreUnavailable                 503  store_unavailable

    ConfigurationError                   a RuntimeError: the set-up is wrong
    └── StoreFault                       the same of a store; to a request, 503
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    ServiceUnavailable,
    Unauthorized,
)
from werkzeug.wrappers import Response

from .options import as_duration, as_scopes

_OUTSIDE_QUOTED_STRING = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class ConfigurationError(RuntimeError):
    """Say that the set-up is wrong; the message names the setting and the way out."""


class StoreFault(ConfigurationError):
    """Say why a store does not work as it is set up, and what to do.

    A store cannot tell tables that were never made from a file that is away. So where
    it leaves a view it is logged as an error, and is a `StoreUnavailable` to the
    client; only while debugging or testing it is raised as it is. Tokens never pass
    on it, whatever `PASETO_STORE_OUTAGE` is: here revocations may never have counted.

    Args:
        fault: What is wrong, and the way out.
    """

    def __init__(self, fault: str) -> None:
        super().__init__(f"PASETO_STORE does not work: {fault}")


class PasetoError(HTTPException):
    """A refusal; catch it with ``app.errorhandler(PasetoError)``.

    Its subclasses are raised, and yours may be. Each is also werkzeug's exception of
    its status, as in ``class Locked(PasetoError, Unauthorized)``, so
    ``errorhandler(401)`` catches it too.

    Attributes:
        error_code: The reason for programs, stable across versions.
        challenge_error: The ``error`` of the challenge (RFC 6750 section 3.1),
            None where the challenge has none.
        retry_seconds: When to try again (`Retry-After`), None where that is moot.
        default_message: The reason for people when none is given.
        message: The reason for people; no token, key or claim is in it.
    """

    error_code: ClassVar[str] = "unauthorized"
    challenge_error: ClassVar[str | None] = None
    retry_seconds: ClassVar[int | None] = None
    default_message: ClassVar[str] = "The request was refused."
    response: Response | None
    message: str
    data: dict[str, str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.code is None:
            raise TypeError(
                f"{cls.__name__} needs a status: "
                f"class {cls.__name__}(PasetoError, Unauthorized)"
            )
        if "description" in cls.__dict__:  # as werkzeug's exceptions have it
            cls.default_message = cls.description or ""

    def __init__(self, message: str | None = None) -> None:
        if type(self) is PasetoError:
            raise TypeError("PasetoError is not raised itself: raise a subclass of it")
        self.message = message or self.default_message
        super().__init__(self.message)
        self.data = {"error": self.error_code, "message": self.message}
        # A prebuilt answer, because the REST extensions write one of their own
        # otherwise. They look whether it is there; get_response() gives it.
        self.response = self.get_response()

    @property
    def status_code(self) -> int:
        """Return the HTTP status of the answer."""
        return self.code or 401

    def get_response(self, environ: Any = None, scope: Any = None) -> Response:
        """Return the answer, new each time: an exception may be raised twice."""
        body = json.dumps(self.data, separators=(",", ":")) + "\n"
        response = Response(body, self.status_code, mimetype="application/json")
        if self.retry_seconds is not None:
            response.headers["Retry-After"] = str(self.retry_seconds)
        return response

    def challenge(self, realm: str) -> str | None:
        """Return the value of ``WWW-Authenticate``, or None where none is due.

        A 401 always has one (RFC 9110 section 15.5.2); it names an error only when
        a token came (RFC 6750 section 3.1). Characters that RFC 6750 section 3 does
        not allow are replaced.
        """
        if self.challenge_error is None:
            return bare_challenge(realm) if self.code == 401 else None
        params = {
            "error": self.challenge_error,
            "error_description": self.message,
            **self.challenge_params(),
        }
        named = (f'{name}="{_quotable(value)}"' for name, value in params.items())
        return ", ".join([bare_challenge(realm), *named])

    def challenge_params(self) -> dict[str, str]:
        """Return what this refusal adds to its challenge."""
        return {}


def bare_challenge(realm: str) -> str:
    """Return the challenge that says no more than where one is."""
    return f'Bearer realm="{_quotable(realm)}"'


def _quotable(text: str) -> str:
    return _OUTSIDE_QUOTED_STRING.sub("?", text)


class InvalidRequest(PasetoError, BadRequest):
    """Two tokens in one place, or a header or body that breaks its own syntax."""

    error_code: ClassVar[str] = "invalid_request"
    challenge_error: ClassVar[str | None] = "invalid_request"
    default_message: ClassVar[str] = (
        "The request must carry exactly one well-formed token."
    )


class MissingToken(PasetoError, Unauthorized):
    """No token where the view looks for one."""

    error_code: ClassVar[str] = "token_missing"
    default_message: ClassVar[str] = "A token is required."


class InvalidToken(PasetoError, Unauthorized):
    """Wrong length, form, key or seal: one answer for all, so that it tells nothing."""

    error_code: ClassVar[str] = "token_invalid"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The token is not valid."


class ExpiredToken(PasetoError, Unauthorized):
    """The time of ``exp`` has come."""

    error_code: ClassVar[str] = "token_expired"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The token has expired."


class TokenNotYetValid(PasetoError, Unauthorized):
    """The time of ``nbf`` or ``iat`` has not come."""

    error_code: ClassVar[str] = "token_not_yet_valid"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The token is not valid yet."


class InvalidClaims(PasetoError, Unauthorized):
    """Wrong issuer or audience, or a claim that is missing or ill-typed."""

    error_code: ClassVar[str] = "claims_invalid"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The claims of the token are not accepted here."


class WrongTokenType(PasetoError, Unauthorized):
    """A token of a type that the view does not take."""

    error_code: ClassVar[str] = "wrong_token_type"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "A token of another type is required."


class AccessTokenRequired(WrongTokenType):
    """Another token came where only an access token is taken."""

    error_code: ClassVar[str] = "access_token_required"
    default_message: ClassVar[str] = "An access token is required."


class RefreshTokenRequired(WrongTokenType):
    """Another token came where only a refresh token is taken."""

    error_code: ClassVar[str] = "refresh_token_required"
    default_message: ClassVar[str] = "A refresh token is required."


class RevokedToken(PasetoError, Unauthorized):
    """The token was revoked."""

    error_code: ClassVar[str] = "token_revoked"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The token has been revoked."


class RefreshTokenReused(RevokedToken):
    """A refresh token came again long after it was used; its session is ended."""

    error_code: ClassVar[str] = "token_reused"
    default_message: ClassVar[str] = "The token was used before: log in again."


class FreshTokenRequired(PasetoError, Unauthorized):
    """The token was not issued by a login (RFC 9470 section 3)."""

    error_code: ClassVar[str] = "fresh_token_required"
    challenge_error: ClassVar[str | None] = "insufficient_user_authentication"
    default_message: ClassVar[str] = "A fresh token is required: log in again."


class ReauthenticationRequired(PasetoError, Unauthorized):
    """The login behind the token is too old (RFC 9470 section 3).

    Args:
        max_age: The oldest login that would have passed, a timedelta or seconds;
            whole seconds of it go into the challenge.
    """

    error_code: ClassVar[str] = "reauthentication_required"
    challenge_error: ClassVar[str | None] = "insufficient_user_authentication"
    default_message: ClassVar[str] = "The login is too old: log in again."

    def __init__(
        self, message: str | None = None, *, max_age: timedelta | int | None = None
    ) -> None:
        super().__init__(message)
        self.max_age: timedelta | None = (
            None if max_age is None else as_duration(max_age, "max_age")
        )

    def challenge_params(self) -> dict[str, str]:
        """Return ``max_age`` in seconds."""
        if self.max_age is None:
            return {}
        return {"max_age": str(int(self.max_age.total_seconds()))}


class UserNotFound(PasetoError, Unauthorized):
    """The user of the token is not there any more."""

    error_code: ClassVar[str] = "user_not_found"
    challenge_error: ClassVar[str | None] = "invalid_token"
    default_message: ClassVar[str] = "The user of the token does not exist."


class CsrfError(PasetoError, Forbidden):
    """Another site may have made the browser send this: nothing proves that ours did.

    Its message names the cookie and the header that were expected.
    """

    error_code: ClassVar[str] = "csrf_failed"
    default_message: ClassVar[str] = "A page of another site cannot send this request."


class InsufficientScope(PasetoError, Forbidden):
    """The token lacks a scope that the view asks for (RFC 6750 section 3.1).

    Args:
        scopes: The scopes that are needed, a collection or one text with spaces
            between; they go into the challenge.
    """

    error_code: ClassVar[str] = "insufficient_scope"
    challenge_error: ClassVar[str | None] = "insufficient_scope"
    default_message: ClassVar[str] = (
        "The token does not have the scopes that are required."
    )

    def __init__(
        self, message: str | None = None, *, scopes: str | Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.scopes: tuple[str, ...] = tuple(sorted(as_scopes(scopes)))

    def challenge_params(self) -> dict[str, str]:
        """Return the ``scope`` that is needed."""
        return {"scope": " ".join(self.scopes)} if self.scopes else {}


class ClaimsRejected(PasetoError, Forbidden):
    """``claims_verification_loader`` said no."""

    error_code: ClassVar[str] = "claims_rejected"
    default_message: ClassVar[str] = "The claims of the token were rejected."


class KeysUnavailable(PasetoError, ServiceUnavailable):
    """The key of the token cannot be fetched now: come back in half a minute.

    No earlier attempt is made to fetch it.
    """

    error_code: ClassVar[str] = "keys_unavailable"
    retry_seconds: ClassVar[int | None] = 30
    default_message: ClassVar[str] = "The token could not be checked: try again."


class StoreUnavailable(PasetoError, ServiceUnavailable):
    """It cannot be told now whether the token was revoked: come back in a second."""

    error_code: ClassVar[str] = "store_unavailable"
    retry_seconds: ClassVar[int | None] = 1
    default_message: ClassVar[str] = "The token could not be checked: try again."
