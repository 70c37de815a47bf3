"""What the page on CORS says: tokens and cookies across origins, with Flask-CORS."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, jsonify, make_response
from flask_cors import CORS, cross_origin  # type: ignore[import-untyped]

from flask_paseto import (
    CsrfError,
    MissingToken,
    PasetoManager,
    create_access_token,
    create_token_pair,
    csrf_token,
    get_subject,
    paseto_required,
    public,
    set_token_cookies,
)

from .conftest import MakeApp
from .refusals import assert_refused, bearer

PAGE = "https://app.example.com"
OTHER = "https://evil.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, x-csrf-token",
}


def allow(app: Flask, headers: str, **options: Any) -> None:
    CORS(
        app,
        origins=[PAGE, "https://www.example.com"],
        allow_headers=["Content-Type", headers],
        expose_headers=["WWW-Authenticate"],
        **options,
    )


@pytest.mark.requirement("LOC-2")
@pytest.mark.parametrize("first", ["cors", "manager"])
@pytest.mark.parametrize("kind", ["guard", "protect", "own-options"])
def test_a_preflight_is_answered_and_no_view_runs(
    make_app: MakeApp, first: str, kind: str
) -> None:
    paseto, ran = PasetoManager(), []

    def view() -> str:
        ran.append("view")
        return "x"

    if first == "manager":
        app = make_app(paseto)
        allow(app, "Authorization")
    else:
        app = Flask("tests")
        app.config.update(make_app().config)
        allow(app, "Authorization")
        paseto.init_app(app)
    if kind == "protect":
        paseto.protect(app)
        app.add_url_rule("/view", "view", view, methods=["POST"])
    else:
        methods = ["POST", "OPTIONS"] if kind == "own-options" else ["POST"]
        app.add_url_rule("/view", "view", paseto_required(view), methods=methods)
    client = app.test_client()
    response = client.options("/view", headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert sorted(allowed.split(", ")) == ["authorization", "content-type"]
    elsewhere = client.options("/view", headers={**PREFLIGHT, "Origin": OTHER})
    assert "Access-Control-Allow-Origin" not in elsewhere.headers
    assert ran == []
    # A refusal can be read by the page, with its challenge.
    refused = client.post("/view", headers={"Origin": PAGE})
    assert_refused(refused, MissingToken)
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    assert refused.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
    assert ran == []
    with app.app_context():
        headers = bearer(create_access_token("alice"))
    response = client.post("/view", headers={**headers, "Origin": PAGE})
    assert (response.text, ran) == ("x", ["view"])


def test_the_decorator_puts_nothing_on_a_refusal(make_app: MakeApp) -> None:
    """So the page on CORS tells to use the extension and not its decorator."""
    app = make_app()
    guarded = paseto_required(lambda: "x")
    app.add_url_rule("/view", "view", cross_origin(origins=[PAGE])(guarded))
    refused = app.test_client().get("/view", headers={"Origin": PAGE})
    assert_refused(refused, MissingToken)
    assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.requirement("CSRF-1")
@pytest.mark.requirement("ANS-3")
@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_cookies_across_origins_need_credentials_and_the_value(
    make_app: MakeApp, site: str
) -> None:
    """Of one site with Lax; of another with SameSite=None and a trusted origin."""
    across = {
        "PASETO_COOKIE_SAMESITE": "None",
        "PASETO_COOKIE_PARTITIONED": True,
        "PASETO_CSRF_TRUSTED_ORIGINS": [PAGE],
    }
    settings = across if site == "cross-site" else {}
    paseto = PasetoManager()
    app = make_app(paseto, PASETO_TOKEN_LOCATIONS="cookies", **settings)
    allow(app, "X-CSRF-Token", supports_credentials=True)

    @app.post("/login")
    @public
    def login() -> Response:
        pair = create_token_pair("alice", fresh=True)
        response = jsonify(csrf_token=csrf_token(pair.access_token))
        set_token_cookies(response, pair)
        return response

    @app.post("/view")
    @paseto_required
    def view() -> dict[str, str | None]:
        return {"user": get_subject()}

    client = app.test_client()
    sent = {"Origin": PAGE, "Sec-Fetch-Site": site}
    response = client.post("/login", headers=sent)
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.json is not None
    value = {"X-CSRF-Token": response.json["csrf_token"]}
    response = client.options("/view", headers=PREFLIGHT)
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert "x-csrf-token" in allowed.split(", ")
    response = client.post("/view", headers={**sent, **value})
    assert response.json == {"user": "alice"}
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    varies = ", ".join(response.headers.getlist("Vary")).split(", ")
    assert sorted(varies) == ["Cookie", "Origin"]
    refused = client.post("/view", headers=sent)
    assert_refused(refused, CsrfError)
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    foreign = {**value, "Origin": OTHER, "Sec-Fetch-Site": "cross-site"}
    assert_refused(client.post("/view", headers=foreign), CsrfError)


@pytest.mark.requirement("ANS-3")
@pytest.mark.parametrize("lines", [["Accept", "Origin"], ["accept, COOKIE"], ["*"], []])
def test_what_others_say_an_answer_hangs_on_stays(
    make_app: MakeApp, lines: list[str]
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS="cookies")

    @app.get("/view")
    @paseto_required(optional=True)
    def view() -> Response:
        response = make_response("x")
        for line in lines:
            response.headers.add("Vary", line)
        return response

    got = app.test_client().get("/view").headers.getlist("Vary")
    assert len(got) == 1 or lines == ["accept, COOKIE"]
    named = [each.strip().lower() for each in ",".join(got).split(",")]
    given = [each.strip().lower() for each in ",".join(lines).split(",") if each]
    assert sorted(named) == sorted({*given, "cookie"})
