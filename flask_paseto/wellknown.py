"""The key set of an app at its well-known address, for those who verify its tokens."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Final

from flask import Blueprint, Response, request

from .decorators import public
from .keys.keyset import build_keyset, own_public_keys
from .state import current_state

KEYSET_PATH: Final = "/.well-known/paseto-keys"


def keyset_blueprint(name: str = "paseto_keyset") -> Blueprint:
    """Return a blueprint that serves the public halves of the app's own keys.

    Register it without a prefix: the address is `/.well-known/paseto-keys`. It is
    open to everybody, under `protect` too. Keys that the app accepts from others are
    not in it, secrets never.
    """
    blueprint = Blueprint(name, __name__)
    blueprint.add_url_rule(KEYSET_PATH, "keys", _serve_keyset)
    return blueprint


@public
def _serve_keyset() -> Response:
    state = current_state()
    ring, issuer = state.codec.ring, state.config.issuer
    keys = own_public_keys(ring, state.clock().astimezone(UTC), issuer)
    found = build_keyset(keys, issuer)
    response = Response(json.dumps(found) + "\n", mimetype="application/json")
    response.cache_control.public = True
    response.cache_control.max_age = int(state.config.keyset_max_age.total_seconds())
    response.add_etag()
    response.make_conditional(request)
    return response
