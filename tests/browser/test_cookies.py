"""What the browser itself enforces, over https and from other sites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import Visit
from .servers import FOREIGN, HOME, PASSWORD, SIBLING, Elsewhere, Site
from .visitors import Visitor

Elsewheres = Callable[[str], Elsewhere]

OURS = {"__Host-access_token", "__Host-refresh_token", "__Host-csrf_token"}


@pytest.fixture
def alice(visit: Visit, secure_site: Site) -> Visitor:
    """Return alice, who is signed in over https."""
    visitor = visit(secure_site)
    visitor.sign_in("alice")
    return visitor


def form_to(url: str, **fields: str) -> str:
    """Return a page that sends a form somewhere at once."""
    inputs = "".join(f'<input name="{k}" value="{v}">' for k, v in fields.items())
    return (
        f'<!doctype html><title>x</title><form method="post" action="{url}">{inputs}'
        "</form><script>document.forms[0].submit()</script>"
    )


def sessions_of(site: Site, token: object) -> int:
    """Return the status of a look at the sessions with a token."""
    answer = site.app.test_client().get(
        "/sessions", headers={"Authorization": f"Bearer {token}"}
    )
    return answer.status_code


@pytest.mark.requirement("CK-1")
def test_browser_takes_the_cookies_as_they_are_meant(alice: Visitor) -> None:
    found = alice.cookies()
    assert found.keys() == OURS
    for name, cookie in found.items():
        assert cookie["secure"] is True
        assert cookie["sameSite"] == "Lax"
        assert (cookie["domain"], cookie["path"]) == (HOME, "/")
        assert cookie["httpOnly"] is (name != "__Host-csrf_token")


@pytest.mark.requirement("CK-1")
def test_no_script_reads_a_token(alice: Visitor) -> None:
    read = alice.page.evaluate("document.cookie")
    assert [pair.partition("=")[0] for pair in read.split("; ")] == [
        "__Host-csrf_token"
    ]


@pytest.mark.requirement("CK-1")
def test_sibling_domain_cannot_plant_a_cookie_of_ours(
    alice: Visitor, elsewhere: Elsewheres
) -> None:
    sibling = elsewhere(SIBLING)
    before = alice.cookies()
    for name in (*OURS, "planted"):
        cookie = f"{name}=evil; Secure; Path=/; Domain=example.test"
        sibling.headers.append(("Set-Cookie", cookie))
    alice.page.goto(sibling.url)
    after = alice.cookies()
    # The one without the prefix shows that the domain could be written to.
    assert after.pop("planted")["value"] == "evil"
    assert after == before


@pytest.mark.requirement("CK-1")
def test_script_cannot_overwrite_a_token(alice: Visitor) -> None:
    before = alice.cookies()
    alice.page.evaluate("document.cookie = '__Host-access_token=x; Secure; Path=/'")
    assert alice.cookies() == before  # HttpOnly holds against writing, too


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("host", [SIBLING, FOREIGN], ids=["sibling", "foreign"])
@pytest.mark.parametrize("path", ["/sign-out", "/logout", "/logout-all"])
def test_form_of_another_origin_changes_nothing(
    alice: Visitor, elsewhere: Elsewheres, host: str, path: str
) -> None:
    alice.refusals |= {401, 403}
    token = alice.cookies()["__Host-access_token"]["value"]
    other = elsewhere(host)
    other.pages["/"] = form_to(alice.site.url + path, csrf_token="0" * 32)
    asked = alice.site.url + path
    with alice.page.expect_response(lambda answer: answer.url == asked) as answered:
        alice.page.goto(other.url)
    sent = answered.value.request.all_headers().get("cookie", "")
    if host == SIBLING:  # same site, so the cookies come, and the CSRF value decides
        assert "__Host-access_token=" in sent
        assert answered.value.status == 403
    else:  # SameSite=Lax: nothing comes along
        assert sent == ""
        assert answered.value.status in (303, 401)
    alice.page.wait_for_load_state()
    assert sessions_of(alice.site, token) == 200
    alice.go("/")
    alice.expect_heading("Hello, alice")


@pytest.mark.requirement("CSRF-1")
@pytest.mark.parametrize("host", [SIBLING, FOREIGN], ids=["sibling", "foreign"])
def test_script_of_another_origin_changes_nothing(
    alice: Visitor, elsewhere: Elsewheres, host: str
) -> None:
    other = elsewhere(host)
    alice.page.goto(other.url)
    # One for the preflight's answer, one for the request that was not sent.
    alice.excused |= {"blocked by CORS policy", "net::ERR_FAILED"}
    said = alice.page.evaluate(
        """async (url) => {
          const options = {method: "DELETE", credentials: "include"};
          try { return (await fetch(url, options)).status } catch (e) { return e.name }
        }""",
        f"{alice.site.url}/me",
    )
    assert said == "TypeError"  # the preflight was not answered as it would have to be
    alice.go("/")
    alice.expect_heading("Hello, alice")


@pytest.mark.requirement("CSRF-1")
def test_simple_request_of_a_script_elsewhere_is_refused(
    alice: Visitor, elsewhere: Elsewheres
) -> None:
    token = alice.cookies()["__Host-access_token"]["value"]
    alice.refusals.add(403)
    sibling = elsewhere(SIBLING)
    alice.page.goto(sibling.url)
    asked = f"{alice.site.url}/logout-all"
    with alice.page.expect_response(lambda answer: answer.url == asked) as answered:
        alice.page.evaluate(
            """(url) => fetch(
              url, {method: "POST", mode: "no-cors", credentials: "include"}
            ).then(() => null)""",
            asked,
        )
    # The cookie came along, or there would be no token and this a 401.
    assert answered.value.status == 403
    assert sessions_of(alice.site, token) == 200


def test_link_from_another_site_finds_the_person_signed_in(
    alice: Visitor, elsewhere: Elsewheres
) -> None:
    other = elsewhere(FOREIGN)
    link = f'<a href="{alice.site.url}/">x</a>'
    other.pages["/"] = f"<!doctype html><title>x</title>{link}"
    alice.page.goto(other.url)
    alice.page.get_by_role("link").click()
    alice.expect_heading("Hello, alice")


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up"])
@pytest.mark.parametrize("host", [SIBLING, FOREIGN], ids=["sibling", "foreign"])
def test_nobody_is_signed_in_by_another_site(
    visit: Visit, secure_site: Site, elsewhere: Elsewheres, path: str, host: str
) -> None:
    somebody = visit(secure_site)
    somebody.refusals.add(403)
    other = elsewhere(host)
    name = "alice" if path == "/sign-in" else "mallory"
    fields = {"name": name, "email": "m@example.org", "password": PASSWORD}
    other.pages["/"] = form_to(secure_site.url + path, **fields)
    somebody.page.goto(other.url)
    somebody.expect_heading("That came from another site")
    assert somebody.cookies() == {}


def test_no_site_may_frame_a_page(alice: Visitor, elsewhere: Elsewheres) -> None:
    sibling = elsewhere(SIBLING)
    sibling.pages["/"] = (
        f'<!doctype html><title>x</title><iframe src="{alice.site.url}/"></iframe>'
    )
    with alice.hearing("frame-ancestors"):
        alice.page.goto(sibling.url)
    frame = alice.page.frames[1]
    frame.wait_for_load_state()
    assert "Hello" not in frame.content()


def test_script_that_got_into_a_page_does_not_run(alice: Visitor) -> None:
    with alice.hearing("Content Security Policy"):
        alice.page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
            }"""
        )
    assert alice.page.evaluate("window.ran === undefined")


def test_step_up_and_sign_out_work_over_https(alice: Visitor) -> None:
    alice.refusals.add(401)
    alice.press("Refresh the token")
    expect(alice.page.locator("#told")).to_have_text("Your token is refreshed.")
    alice.page.get_by_label("E-mail address").fill("alice@example.net")
    alice.press("Change the address")
    alice.page.get_by_label("Your password").fill(PASSWORD)
    alice.press("Go on")
    alice.expect_said("Your e-mail address is changed.")
    alice.press("Sign out")
    alice.expect_said("You are signed out.")
    assert alice.cookies() == {}
