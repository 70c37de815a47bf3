"""Signals that the extension sends; the sender is the app.

No token, key, claim value or footer is ever in one. A receiver of
:data:`authenticated` may ask :func:`~flask_paseto.get_identity` who it is.
"""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

authenticated = _signals.signal(
    "paseto-authenticated",
    doc="A guard let a token pass. Keywords: `place`, `token_type`.",
)
refused = _signals.signal(
    "paseto-refused",
    doc="A guard refused the request. Keywords: `error_code`, `status_code`.",
)
token_issued = _signals.signal(
    "paseto-token-issued",
    doc="A token was issued. Keyword: `token_type`.",
)
