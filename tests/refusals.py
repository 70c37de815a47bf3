"""What every refusal must be: its class, status, code, body and challenge."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse

from flask_paseto import PasetoError

REALM = "tests"


def bearer(token: str) -> dict[str, str]:
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {token}"}


def assert_refused(
    response: TestResponse, refusal: type[PasetoError], realm: str = REALM
) -> dict[str, str]:
    """Assert that a response is this refusal and no other; return its challenge."""
    assert response.status_code == refusal.code
    assert response.mimetype == "application/json"
    assert response.json is not None
    assert set(response.json) == {"error", "message"}
    assert response.json["error"] == refusal.error_code
    assert response.json["message"]
    challenges = response.headers.getlist("WWW-Authenticate")
    if refusal.code != 401 and refusal.challenge_error is None:
        assert challenges == []
        return {}
    (challenge,) = challenges
    assert challenge.startswith("Bearer ")
    params = dict(re.findall(r'(\w+)="([^"\\]*)"', challenge))
    assert params["realm"] == realm
    assert params.get("error") == refusal.challenge_error
    return params
