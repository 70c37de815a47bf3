"""Where a token is looked for, in which order, and what two of them mean."""

from __future__ import annotations

import json
from io import BytesIO, RawIOBase
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flask_paseto import (
    InvalidRequest,
    InvalidToken,
    MissingToken,
    Place,
    RefreshTokenRequired,
    create_access_token,
    create_refresh_token,
    get_identity,
    paseto_required,
)

from .conftest import MakeApp
from .refusals import assert_refused, bearer

ALL = ("headers", "json", "form", "query")


def serve(app: Flask, **options: Any) -> FlaskClient:
    """Return a client of an app with one guarded view, which tells the place."""

    @app.route("/view", methods=["GET", "POST"])
    @paseto_required(**options)
    def view() -> dict[str, str | None]:
        identity = get_identity()
        if identity is None:
            return {"user": None, "place": None}
        return {"user": identity.claims.subject, "place": identity.place.value}

    return app.test_client()


def token_of(app: Flask, subject: str = "alice") -> str:
    with app.app_context():
        return create_access_token(subject)


def assert_found(response: TestResponse, place: Place, user: str = "alice") -> None:
    assert response.status_code == 200
    assert response.json == {"user": user, "place": place.value}


class UnreadableBody(RawIOBase):
    """A request body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> NoReturn:
        raise AssertionError("the body was read")


def unreadable(content_type: str) -> dict[str, Any]:
    """Return the environment of a request with a body that must not be read."""
    return {
        "wsgi.input": UnreadableBody(),
        "CONTENT_LENGTH": "10",
        "CONTENT_TYPE": content_type,
    }


# Headers


@pytest.mark.requirement("HDR-1")
@pytest.mark.parametrize(
    "value",
    ["Bearer {}", "bearer {}", "BEARER {}", "bEaReR {}", "Bearer   {}", "Bearer {} \t"],
    ids=["as-registered", "lower", "upper", "mixed", "more-spaces", "space-after"],
)
def test_the_scheme_is_read_in_any_case(make_app: MakeApp, value: str) -> None:
    app = make_app()
    response = serve(app).get(
        "/view", environ_overrides={"HTTP_AUTHORIZATION": value.format(token_of(app))}
    )
    assert_found(response, Place.HEADERS)


@pytest.mark.requirement("HDR-1")
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Basic dXNlcjpwYXNz",
        'Digest username="a", realm="b", uri="/"',
        "Token {}",
        "DPoP {}",
        "{}",
        "Bearer{}",
        "Bearers {}",
        "=",
        ",",
        ", ,",
    ],
)
def test_another_scheme_counts_as_no_token(make_app: MakeApp, value: str) -> None:
    app = make_app()
    response = serve(app).get(
        "/view", environ_overrides={"HTTP_AUTHORIZATION": value.format(token_of(app))}
    )
    assert_refused(response, MissingToken)


@pytest.mark.requirement("HDR-1")
@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "bearer \t",
        "Bearer a b",
        "Bearer {0} {0}",
        "Bearer {0}, Bearer {0}",
        "Bearer {0},Bearer {0}",
        "Bearer {0}, Basic dXNlcjpwYXNz",
        "Basic dXNlcjpwYXNz, Bearer {0}",
        "Basic dXNlcjpwYXNz,bearer {0}",
        "Bearer {0},",
        ",Bearer {0}",
        "Bearer\t{0}",
    ],
)
def test_a_bearer_header_that_breaks_its_syntax_is_a_bad_request(
    make_app: MakeApp, value: str
) -> None:
    app = make_app()
    response = serve(app).get(
        "/view", environ_overrides={"HTTP_AUTHORIZATION": value.format(token_of(app))}
    )
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("HDR-1")
@pytest.mark.parametrize(
    "other", ["Bearer {}", "bearer x", "Basic dXNlcjpwYXNz", "Bearer"]
)
@pytest.mark.parametrize("turned", [False, True], ids=["second", "first"])
def test_a_repeated_header_is_a_bad_request(
    make_app: MakeApp, other: str, turned: bool
) -> None:
    app = make_app()
    token = token_of(app)
    values = [f"Bearer {token}", other.format(token)]
    if turned:
        values.reverse()
    response = serve(app).get(
        "/view", headers=[("Authorization", value) for value in values]
    )
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("HDR-1")
@pytest.mark.requirement("ANS-2")
@pytest.mark.parametrize(
    "token", ["\xe9", "a\x00b", "v4.local.AAAA", "\xff\xfe", ".", "...", "\x7f", "a=b"]
)
def test_any_other_text_after_the_scheme_is_an_invalid_token(
    client: FlaskClient, token: str
) -> None:
    response = client.get(
        "/protected", environ_overrides={"HTTP_AUTHORIZATION": f"Bearer {token}"}
    )
    assert_refused(response, InvalidToken)


@pytest.mark.requirement("HDR-1")
@given(
    scheme=st.sampled_from(["", "Bearer ", "bearer ", "Bearer", "Basic ", ", Bearer "]),
    rest=st.binary(max_size=64),
)
@example(scheme="Bearer ", rest=b"v4.local.\xff.e30")
@example(scheme="Bearer ", rest=b"v4.local." + b"A" * 60 + b".bnVsbA")
@example(scheme="Bearer ", rest=b"v4.local." + b"A" * 60 + b".eyJraWQiOltdfQ")
def test_an_authorization_header_of_any_bytes_is_refused(
    client: FlaskClient, scheme: str, rest: bytes
) -> None:
    value = scheme + rest.decode("latin-1")
    response = client.get("/protected", environ_overrides={"HTTP_AUTHORIZATION": value})
    assert response.status_code in (400, 401)
    refusals = {r.error_code: r for r in (InvalidRequest, InvalidToken, MissingToken)}
    assert response.json is not None
    assert_refused(response, refusals[response.json["error"]])


@pytest.mark.requirement("HDR-1")
@given(value=st.binary(max_size=64))
def test_a_custom_header_of_any_bytes_is_refused(
    make_app: MakeApp, value: bytes
) -> None:
    client = serve(make_app(PASETO_HEADER_NAME="X-Token", PASETO_HEADER_TYPE=""))
    response = client.get(
        "/view", environ_overrides={"HTTP_X_TOKEN": value.decode("latin-1")}
    )
    assert response.status_code in (400, 401)


def test_a_custom_header_without_a_scheme_holds_the_bare_token(
    make_app: MakeApp,
) -> None:
    app = make_app(PASETO_HEADER_NAME="X-Token", PASETO_HEADER_TYPE="")
    client, token = serve(app), token_of(app)
    assert_found(client.get("/view", headers={"X-Token": token}), Place.HEADERS)
    assert_found(client.get("/view", headers={"x-token": f" {token}\t"}), Place.HEADERS)
    assert_refused(client.get("/view", headers=bearer(token)), MissingToken)
    assert_refused(client.get("/view", headers={"X-Token": " "}), MissingToken)
    refused = client.get("/view", headers={"X-Token": f"Bearer {token}"})
    assert_refused(refused, InvalidToken)


@pytest.mark.requirement("HDR-1")
@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("value", ["{0},{0}", "{0}, x", "{0},", ",{0}"])
def test_two_tokens_in_a_custom_header_are_a_bad_request(
    make_app: MakeApp, value: str
) -> None:
    app = make_app(PASETO_HEADER_NAME="X-Token", PASETO_HEADER_TYPE="")
    headers = {"X-Token": value.format(token_of(app))}
    assert_refused(serve(app).get("/view", headers=headers), InvalidRequest)


def test_another_scheme_can_be_set(make_app: MakeApp) -> None:
    app = make_app(PASETO_HEADER_TYPE="Paseto")
    client, token = serve(app), token_of(app)
    found = client.get("/view", headers={"Authorization": f"paseto {token}"})
    assert_found(found, Place.HEADERS)
    assert_refused(client.get("/view", headers=bearer(token)), MissingToken)
    twice = {"Authorization": f"Basic x, Paseto {token}"}
    assert_refused(client.get("/view", headers=twice), InvalidRequest)


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"header_name": "X-Api-Token"}, ("X-Api-Token", "Bearer {}")),
        ({"header_type": "Token"}, ("Authorization", "Token {}")),
        ({"header_name": "X-Api-Token", "header_type": ""}, ("X-Api-Token", "{}")),
    ],
    ids=["name", "type", "bare"],
)
def test_a_view_can_name_its_header_and_scheme(
    make_app: MakeApp, options: dict[str, str], header: tuple[str, str]
) -> None:
    app = make_app()
    client, token = serve(app, **options), token_of(app)
    name, value = header
    found = client.get("/view", headers={name: value.format(token)})
    assert_found(found, Place.HEADERS)
    assert_refused(client.get("/view", headers=bearer(token)), MissingToken)


@pytest.mark.requirement("TOK-3")
@pytest.mark.parametrize("size", [8193, 1_000_000])
def test_a_token_that_is_too_long_is_refused(client: FlaskClient, size: int) -> None:
    assert_refused(
        client.get("/protected", headers=bearer("v4.local." + "A" * (size - 9))),
        InvalidToken,
    )


@pytest.mark.requirement("TOK-3")
@pytest.mark.requirement("HDR-1")
@pytest.mark.parametrize("size", [8193, 1_000_000])
def test_a_long_header_of_another_scheme_is_no_token(
    client: FlaskClient, size: int
) -> None:
    headers = {"Authorization": "Negotiate " + "A" * size}
    assert_refused(client.get("/protected", headers=headers), MissingToken)


@pytest.mark.requirement("TOK-3")
def test_a_long_header_without_a_scheme_is_refused(make_app: MakeApp) -> None:
    client = serve(make_app(PASETO_HEADER_NAME="X-Token", PASETO_HEADER_TYPE=""))
    refused = client.get("/view", headers={"X-Token": "A" * 9000})
    assert_refused(refused, InvalidToken)


@pytest.mark.requirement("TOK-3")
def test_the_longest_token_is_a_setting(make_app: MakeApp) -> None:
    app = make_app()
    token = token_of(app)
    allowed = serve(make_app(PASETO_MAX_TOKEN_LENGTH=len(token)))
    assert_found(allowed.get("/view", headers=bearer(token)), Place.HEADERS)
    short = serve(make_app(PASETO_MAX_TOKEN_LENGTH=len(token) - 1))
    assert_refused(short.get("/view", headers=bearer(token)), InvalidToken)


@pytest.mark.requirement("TOK-4")
def test_no_request_with_a_mutated_token_is_let_in(make_app: MakeApp) -> None:
    app = make_app()
    client, token = serve(app), token_of(app)
    assert_found(client.get("/view", headers=bearer(token)), Place.HEADERS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for position, old in enumerate(token):
        here = alphabet.find(old)
        near = {alphabet[here ^ bit] for bit in (1, 2, 4, 32)} if here >= 0 else {"A"}
        changed = [token[:position] + new + token[position + 1 :] for new in near]
        changed += [
            token[:position] + new + token[position + 1 :]
            for new in (".", "=", "+", "\xe9", old.swapcase(), "")
            if new != old
        ]
        changed += [token[:position] + "A" + token[position:]]
        for mutant in changed:
            response = client.get(
                "/view", environ_overrides={"HTTP_AUTHORIZATION": f"Bearer {mutant}"}
            )
            assert_refused(response, InvalidToken)
    for mutant in (token + "A", token + "=", token + ".", token + "\x00"):
        response = client.get(
            "/view", environ_overrides={"HTTP_AUTHORIZATION": f"Bearer {mutant}"}
        )
        assert_refused(response, InvalidToken)


# JSON


def test_a_token_in_a_json_body_is_found(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])
    client = serve(app)
    response = client.post("/view", json={"access_token": token_of(app), "x": [1]})
    assert_found(response, Place.JSON)


def test_a_json_body_can_still_be_read_by_the_view(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])

    @app.post("/echo")
    @paseto_required
    def echo() -> Any:
        return request.get_json()["x"]

    body = {"access_token": token_of(app), "x": [1]}
    assert app.test_client().post("/echo", json=body).json == [1]


@pytest.mark.parametrize("key", ["refresh_token", "mine"], ids=["default", "set"])
def test_a_refresh_view_looks_at_the_refresh_key(make_app: MakeApp, key: str) -> None:
    config: dict[str, Any] = {"PASETO_TOKEN_LOCATIONS": ["json", "form"]}
    if key == "mine":
        config |= {"PASETO_REFRESH_JSON_KEY": key, "PASETO_REFRESH_FORM_KEY": key}
    app = make_app(**config)
    client = serve(app, type="refresh")
    with app.app_context():
        token = create_refresh_token("alice")
    assert_found(client.post("/view", json={key: token}), Place.JSON)
    assert_found(client.post("/view", data={key: token}), Place.FORM)
    assert_refused(client.post("/view", json={"access_token": token}), MissingToken)
    assert_refused(client.post("/view", data={"access_token": token}), MissingToken)
    access = client.post("/view", json={key: token_of(app)})
    assert_refused(access, RefreshTokenRequired)


def test_the_keys_can_be_set(make_app: MakeApp) -> None:
    app = make_app(
        PASETO_TOKEN_LOCATIONS=["json", "form", "query"],
        PASETO_JSON_KEY="j",
        PASETO_FORM_KEY="f",
        PASETO_QUERY_KEY="q",
    )
    client, token = serve(app), token_of(app)
    assert_found(client.post("/view", json={"j": token}), Place.JSON)
    assert_found(client.post("/view", data={"f": token}), Place.FORM)
    assert_found(client.get(f"/view?q={token}"), Place.QUERY)
    assert_refused(client.post("/view", json={"access_token": token}), MissingToken)


def test_a_view_can_name_its_keys_and_places(make_app: MakeApp) -> None:
    app = make_app()
    client = serve(
        app,
        locations=("json", "form", "query"),
        json_key="j",
        form_key="f",
        query_key="q",
    )
    token = token_of(app)
    assert_found(client.post("/view", json={"j": token}), Place.JSON)
    assert_found(client.post("/view", data={"f": token}), Place.FORM)
    assert_found(client.get(f"/view?q={token}"), Place.QUERY)
    assert_refused(client.post("/view", json={"access_token": token}), MissingToken)
    assert_refused(client.get("/view", headers=bearer(token)), MissingToken)


@pytest.mark.requirement("LOC-1")
def test_a_repeated_name_in_a_json_body_is_a_bad_request(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])
    client, token = serve(app), token_of(app)
    for second in (json.dumps(token), '"x"', "null", "5"):
        body = f'{{"access_token": "{token}", "access_token": {second}}}'
        response = client.post("/view", data=body, content_type="application/json")
        assert_refused(response, InvalidRequest)


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("value", [5, 1.5, True, False, [], ["x"], {}, {"a": "b"}])
def test_a_json_token_that_is_not_a_text_is_a_bad_request(
    make_app: MakeApp, value: Any
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["json"]))
    response = client.post("/view", json={"access_token": value})
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("BODY-1")
@pytest.mark.requirement("OPT-1")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"5",
        b'"access_token"',
        b'["access_token"]',
        b'[{"access_token": "x"}]',
        b"{}",
        b'{"access_token": null}',
        b'{"access_token": ""}',
        b'{"a": {"access_token": "x"}}',
        b"\xff\xfe",
        b"\x00",
        b'{"a": "\xff"}',
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda body: repr(body[:16]) + f"-{len(body)}",
)
def test_a_json_body_without_a_token_is_no_token(
    make_app: MakeApp, body: bytes
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])
    client = serve(app)
    response = client.post("/view", data=body, content_type="application/json")
    assert_refused(response, MissingToken)


def test_json_is_looked_at_only_in_a_json_body(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])
    client, token = serve(app), token_of(app)
    body = json.dumps({"access_token": token})
    for content_type in ("text/plain", "", "application/x-www-form-urlencoded"):
        response = client.post("/view", data=body, content_type=content_type)
        assert_refused(response, MissingToken)
    problem = client.post("/view", data=body, content_type="application/vnd.x+json")
    assert_found(problem, Place.JSON)


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["access_token", "a"]) | st.text(), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.requirement("BODY-1")
@given(
    value=JSON_VALUES,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"]),
)
@example(value={"access_token": "\ud800"}, encoding="utf-8")
def test_a_json_body_of_any_shape_is_refused(
    make_app: MakeApp, value: Any, encoding: str
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["json"]))
    response = client.post(
        "/view",
        data=json.dumps(value).encode(encoding),
        content_type="application/json",
    )
    assert response.status_code in (400, 401)
    assert response.json is not None
    assert set(response.json) == {"error", "message"}


@pytest.mark.requirement("BODY-1")
@given(
    body=st.binary(max_size=200),
    content_type=st.sampled_from(
        [
            "application/json",
            "application/json; charset=utf-16",
            "application/json; charset=nonsense",
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=utf-7",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "text/plain",
            ";;;",
            "\xff\xfe",
        ]
    ),
)
@example(b"access_token=%FF%00", "application/x-www-form-urlencoded")
@example(b"access_token=\xff", "application/x-www-form-urlencoded")
@example(
    b'--x\r\nContent-Disposition: form-data; name="access_token"\r\n'
    b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\r\n--x--\r\n",
    "multipart/form-data; boundary=x",
)
def test_a_body_of_any_bytes_and_type_is_refused(
    make_app: MakeApp, body: bytes, content_type: str
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["json", "form"]))
    response = client.post(
        "/view",
        input_stream=BytesIO(body),
        content_length=len(body),
        environ_overrides={"CONTENT_TYPE": content_type},
    )
    assert response.status_code in (400, 401)


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("length", ["-1", "abc", "", "99999999999", "0"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded"]
)
def test_a_content_length_that_lies_is_refused(
    make_app: MakeApp, length: str, content_type: str
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["json", "form"]))
    response = client.post(
        "/view",
        data=b'{"access_token": "x"}',
        environ_overrides={"CONTENT_LENGTH": length, "CONTENT_TYPE": content_type},
    )
    assert 400 <= response.status_code < 500


class BrokenBody(RawIOBase):
    """A request body whose sender goes away."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> NoReturn:
        raise OSError("gone")


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_breaks_off_is_a_bad_request(
    make_app: MakeApp, content_type: str, chunked: bool
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["json", "form"]))
    environ: dict[str, Any] = {
        "wsgi.input": BrokenBody(),
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": "" if chunked else "10",
        "wsgi.input_terminated": chunked,
    }
    response = client.post("/view", environ_overrides=environ)
    assert response.status_code == 400
    if chunked:  # otherwise Werkzeug itself answers
        assert_refused(response, InvalidRequest)


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
)
def test_a_body_over_the_limit_of_the_app_is_refused(
    make_app: MakeApp, content_type: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json", "form"], MAX_CONTENT_LENGTH=100)
    response = serve(app).post("/view", data=b"x" * 101, content_type=content_type)
    assert response.status_code == 413


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize(
    ("places", "content_type"),
    [
        (("headers",), "application/json"),
        (("headers",), "application/x-www-form-urlencoded"),
        (("headers", "query"), "multipart/form-data; boundary=x"),
        (("headers", "json"), "application/x-www-form-urlencoded"),
        (("headers", "form"), "application/json"),
        (("headers", "json", "form"), "application/octet-stream"),
    ],
)
def test_a_body_that_no_place_needs_is_not_read(
    make_app: MakeApp, places: tuple[str, ...], content_type: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=places)
    response = serve(app).post(
        "/view",
        environ_overrides=unreadable(content_type),
    )
    assert_refused(response, MissingToken)


@pytest.mark.requirement("BODY-1")
@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded"]
)
def test_a_body_is_not_read_once_the_token_is_found(
    make_app: MakeApp, content_type: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=ALL)
    response = serve(app).post(
        "/view",
        headers=bearer(token_of(app)),
        environ_overrides=unreadable(content_type),
    )
    assert_found(response, Place.HEADERS)


def test_the_unreadable_body_does_fail_when_it_is_read(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"])
    response = serve(app).post(
        "/view", environ_overrides=unreadable("application/json")
    )
    assert_refused(response, InvalidRequest)


# Forms and the query


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_token_in_a_form_is_found(make_app: MakeApp, content_type: str) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["form"])
    response = serve(app).post(
        "/view", data={"access_token": token_of(app)}, content_type=content_type
    )
    assert_found(response, Place.FORM)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize("place", ["form", "query"])
@pytest.mark.parametrize("second", ["{}", "x", ""], ids=["same", "other", "empty"])
def test_a_repeated_parameter_is_a_bad_request(
    make_app: MakeApp, place: str, second: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=[place])
    client, token = serve(app), token_of(app)
    values = f"access_token={token}&access_token={second.format(token)}"
    if place == "form":
        response = client.post(
            "/view", data=values, content_type="application/x-www-form-urlencoded"
        )
    else:
        response = client.get(f"/view?{values}")
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("QRY-1")
def test_the_query_is_not_looked_at_by_default(client: FlaskClient, issue: Any) -> None:
    response = client.get(f"/protected?access_token={issue()}")
    assert_refused(response, MissingToken)


@pytest.mark.requirement("QRY-1")
@pytest.mark.requirement("LOC-1")
def test_an_answer_to_a_token_in_the_query_is_private(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers", "query"])
    client, token = serve(app), token_of(app)
    found = client.get(f"/view?access_token={token}")
    assert_found(found, Place.QUERY)
    assert found.headers["Cache-Control"] == "private"
    refused = client.get("/view?access_token=x")
    assert_refused(refused, InvalidToken)
    assert refused.headers["Cache-Control"] == "private"
    by_header = client.get("/view", headers=bearer(token))
    assert "Cache-Control" not in by_header.headers


@pytest.mark.requirement("QRY-1")
def test_a_view_cannot_make_an_answer_to_a_query_token_public(
    make_app: MakeApp,
) -> None:
    app = make_app()

    @app.get("/cached")
    @paseto_required(locations="query")
    def cached() -> tuple[str, dict[str, str]]:
        return "", {"Cache-Control": "public, max-age=60"}

    response = app.test_client().get(f"/cached?access_token={token_of(app)}")
    assert response.status_code == 200
    assert response.cache_control.private is not None
    assert not response.cache_control.public
    assert response.cache_control.max_age == 60


@pytest.mark.requirement("BODY-1")
@pytest.mark.requirement("QRY-1")
@given(raw=st.binary(max_size=64))
@example(raw=b"\xff")
@example(raw=b"access_token=\xff")
@example(raw=b"access_token=%ff&%")
def test_a_query_of_any_bytes_is_refused(make_app: MakeApp, raw: bytes) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["query"]))
    response = client.get(
        "/view", environ_overrides={"QUERY_STRING": raw.decode("latin-1")}
    )
    assert response.status_code in (400, 401)
    assert response.json is not None
    assert set(response.json) == {"error", "message"}


@pytest.mark.requirement("BODY-1")
def test_raw_bytes_in_the_query_do_not_matter_to_a_header_token(
    client: FlaskClient, issue: Any
) -> None:
    response = client.get(
        "/protected",
        headers=bearer(issue()),
        environ_overrides={"QUERY_STRING": "\xff=\xfe"},
    )
    assert response.status_code == 200


@pytest.mark.requirement("BODY-1")
def test_raw_bytes_in_the_query_are_a_bad_request_where_it_is_a_place(
    make_app: MakeApp,
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=["query"]))
    response = client.get("/view", environ_overrides={"QUERY_STRING": "a=\xff"})
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("count", [1, 5000])
def test_any_number_of_cookies_changes_nothing(
    app: Flask, issue: Any, count: int
) -> None:
    client = app.test_client(use_cookies=False)  # else it takes these out again
    cookies = "; ".join(f"access_token={n}\xff" for n in range(count))
    response = client.get("/protected", environ_overrides={"HTTP_COOKIE": cookies})
    assert_refused(response, MissingToken)
    response = client.get(
        "/protected",
        headers=bearer(issue()),
        environ_overrides={"HTTP_COOKIE": cookies},
    )
    assert response.status_code == 200


# The order of places


def send(
    client: FlaskClient, tokens: dict[str, str], body: str = "json"
) -> TestResponse:
    """Send tokens in the places of their names; there is one body."""
    query = f"?access_token={quote(tokens['query'])}" if "query" in tokens else ""
    headers = bearer(tokens["headers"]) if "headers" in tokens else {}
    content = {"access_token": tokens[body]} if body in tokens else {}
    if body == "json":
        return client.post("/view" + query, headers=headers, json=content)
    return client.post("/view" + query, headers=headers, data=content)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize(
    "order",
    [
        ("headers", "json", "query"),
        ("query", "json", "headers"),
        ("json", "query", "headers"),
        ("form", "headers", "query"),
        ("query", "form", "headers"),
    ],
    ids="-".join,
)
def test_places_are_tried_in_the_order_of_the_setting(
    make_app: MakeApp, order: tuple[str, ...]
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=order)
    client = serve(app)
    body = "form" if "form" in order else "json"
    tokens = {place: token_of(app, place) for place in order}
    for place in order:
        assert_found(send(client, tokens, body), Place(place), user=place)
        del tokens[place]
    assert_refused(send(client, tokens, body), MissingToken)


@pytest.mark.requirement("LOC-1")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("headers", "json"),
        ("json", "headers"),
        ("form", "headers"),
        ("query", "headers"),
        ("headers", "query"),
    ],
)
def test_the_first_place_that_holds_a_token_is_final(
    make_app: MakeApp, first: str, second: str
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=[first, second])
    tokens = {first: "bad", second: token_of(app)}
    body = "form" if "form" in (first, second) else "json"
    assert_refused(send(serve(app), tokens, body), InvalidToken)


@pytest.mark.requirement("LOC-1")
def test_an_empty_place_is_passed_over(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=("query", "form", "headers"))
    response = serve(app).post(
        "/view?access_token=",
        data={"access_token": ""},
        headers=bearer(token_of(app)),
    )
    assert_found(response, Place.HEADERS)


@pytest.mark.requirement("LOC-1")
@pytest.mark.requirement("HDR-1")
def test_another_scheme_in_the_header_leaves_the_other_places(
    make_app: MakeApp,
) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["headers", "json"])
    response = serve(app).post(
        "/view",
        headers={"Authorization": "Basic dXNlcjpwYXNz"},
        json={"access_token": token_of(app)},
    )
    assert_found(response, Place.JSON)


@pytest.mark.requirement("OPT-1")
@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        ({"headers": {"Authorization": "Bearer"}}, InvalidRequest),
        ({"headers": {"Authorization": "Bearer x"}}, InvalidToken),
        ({"json": {"access_token": "x"}}, InvalidToken),
        ({"json": {"access_token": 5}}, InvalidRequest),
        ({"data": {"access_token": "x"}}, InvalidToken),
        ({"query_string": "access_token=x"}, InvalidToken),
        ({"query_string": "access_token=&access_token="}, InvalidRequest),
    ],
    ids=["header", "bearer", "json", "number", "form", "query", "two"],
)
def test_an_optional_guard_refuses_what_is_bad(
    make_app: MakeApp, sent: dict[str, Any], refusal: type[InvalidToken]
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=ALL), optional=True)
    assert_refused(client.post("/view", **sent), refusal)


@pytest.mark.requirement("OPT-1")
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}},
        {"json": {}},
        {"json": [1]},
        {"data": {"a": "b"}},
        {"query_string": "access_token="},
    ],
    ids=["nothing", "basic", "json", "list", "form", "empty"],
)
def test_an_optional_guard_lets_nobody_pass_anonymously(
    make_app: MakeApp, sent: dict[str, Any]
) -> None:
    client = serve(make_app(PASETO_TOKEN_LOCATIONS=ALL), optional=True)
    response = client.post("/view", **sent)
    assert response.status_code == 200
    assert response.json == {"user": None, "place": None}


@settings(max_examples=30)
@given(token=st.text(max_size=40))
def test_a_found_token_is_not_in_its_own_repr(token: str) -> None:
    from flask_paseto.locations import Found

    assert repr(Found(token, Place.JSON)) == repr(Found("", Place.JSON))


class _ServersOwnError(Exception):
    """What a server raises for a body that is broken: not all are OSError."""


@pytest.mark.requirement("BODY-1")
@pytest.mark.parametrize("error", [OSError, _ServersOwnError, ValueError])
@pytest.mark.parametrize(
    ("place", "content_type"),
    [
        ("json", "application/json"),
        ("form", "application/x-www-form-urlencoded"),
        ("form", "multipart/form-data; boundary=x"),
    ],
)
def test_whatever_a_server_raises_for_a_body_is_a_bad_request(
    make_app: MakeApp, place: str, content_type: str, error: type[Exception]
) -> None:
    class Broken:
        def read(self, *args: object) -> bytes:
            raise error

        readline = readinto = read

    app = make_app(PASETO_TOKEN_LOCATIONS=[place])
    environ = {
        "wsgi.input": Broken(),
        "CONTENT_LENGTH": "10",
        "CONTENT_TYPE": content_type,
    }
    response = serve(app).post("/view", environ_overrides=environ)
    assert_refused(response, InvalidRequest)


@pytest.mark.requirement("BODY-1")
def test_a_body_that_is_too_large_is_told_as_flask_tells_it(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["json"], MAX_CONTENT_LENGTH=5)
    assert serve(app).post("/view", json={"a": "b" * 9}).status_code == 413


@pytest.mark.requirement("QRY-1")
@pytest.mark.requirement("ANS-3")
def test_no_store_is_enough_where_a_token_is_issued(make_app: MakeApp) -> None:
    app = make_app(PASETO_TOKEN_LOCATIONS=["query"])

    @app.get("/issue")
    @paseto_required(optional=True)
    def view() -> str:
        return create_access_token("alice")

    response = app.test_client().get("/issue?a=b")
    assert response.headers["Cache-Control"] == "no-store"
