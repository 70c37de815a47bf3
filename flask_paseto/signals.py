"""Signals that the extension sends; the sender is the app.

No token, key, claim value or footer is ever in one. A receiver of
:data:`authenticated` may ask :func:`~flask_paseto.get_identity` who it is.
"""

from __future__ import annotations

from blinker import NamedSignal, Namespace

_signals = Namespace()

authenticated: NamedSignal = _signals.signal(
    "paseto-authenticated",
    doc="A guard let a token pass. It carries `place`, `token_type`.",
)
refused: NamedSignal = _signals.signal(
    "paseto-refused",
    doc="A request was refused, by a guard or the app. It carries `error_code`, "
    "`status_code`.",
)
token_issued: NamedSignal = _signals.signal(
    "paseto-token-issued",
    doc="A token was issued. It carries `token_type`.",
)
refresh_reused: NamedSignal = _signals.signal(
    "paseto-refresh-reused",
    doc="A refresh token came again long after it was used: somebody may have stolen "
    "it. Its session is revoked. It carries nothing.",
)
refresh_retried: NamedSignal = _signals.signal(
    "paseto-refresh-retried",
    doc="A refresh token came again within `PASETO_ROTATION_GRACE`, and got the tokens "
    "of the first time. It carries nothing.",
)
session_revoked: NamedSignal = _signals.signal(
    "paseto-session-revoked",
    doc="Sessions were ended. It carries `reason`, `count`.",
)
token_revoked: NamedSignal = _signals.signal(
    "paseto-token-revoked",
    doc="A token was revoked, by itself. It carries `reason`.",
)
store_bypassed: NamedSignal = _signals.signal(
    "paseto-store-bypassed",
    doc="The store did not answer, and an access token passed unchecked, since "
    "`PASETO_STORE_OUTAGE` is `'allow'`. It carries nothing.",
)
