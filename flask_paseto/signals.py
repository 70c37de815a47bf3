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
