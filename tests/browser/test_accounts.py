"""From the sign-up to the sign-out, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from flask_paseto.testing import use_clock

from .conftest import Visit
from .servers import PASSWORD, Site
from .visitors import Visitor


def test_sign_up_signs_in_and_sign_out_ends_the_session(
    visit: Visit, site: Site
) -> None:
    bob = visit(site)
    bob.go("/")
    bob.expect_heading("Sign in")
    bob.page.get_by_role("link", name="Sign up").click()
    bob.page.get_by_label("Name").fill("bob")
    bob.page.get_by_label("E-mail address").fill("bob@example.org")
    bob.page.get_by_label("Password").fill(PASSWORD)
    bob.press("Sign up")
    bob.expect_heading("Hello, bob")
    token = bob.cookies()["access_token"]["value"]
    bob.press("Sign out")
    bob.expect_said("You are signed out.")
    assert bob.cookies() == {}
    answer = site.app.test_client().get(
        "/protected", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.get_json()["error"]) == (401, "token_revoked")


def test_page_that_was_asked_for_comes_after_the_sign_in(
    visit: Visit, site: Site
) -> None:
    alice = visit(site)
    alice.go("/devices")
    alice.expect_heading("Sign in")
    alice.page.get_by_label("Name").fill("alice")
    alice.page.get_by_label("Password").fill(PASSWORD)
    alice.press("Sign in")
    alice.expect_heading("Devices")


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:x"]
)
def test_sign_in_never_leads_to_another_site(
    visit: Visit, site: Site, target: str
) -> None:
    alice = visit(site)
    alice.go(f"/sign-in?next={target}")
    alice.page.get_by_label("Name").fill("alice")
    alice.page.get_by_label("Password").fill(PASSWORD)
    alice.press("Sign in")
    alice.expect_heading("Hello, alice")
    assert alice.page.url == f"{site.url}/"


def test_wrong_password_is_told_in_words_and_the_name_is_kept(
    visit: Visit, site: Site
) -> None:
    alice = visit(site)
    alice.refusals.add(401)
    alice.go("/sign-in?next=/devices")
    alice.page.get_by_label("Name").fill("alice")
    alice.page.get_by_label("Password").fill("a wrong one")
    alice.press("Sign in")
    expect(alice.page.get_by_role("alert")).to_contain_text("Wrong name or password.")
    expect(alice.page.get_by_label("Name")).to_have_value("alice")
    expect(alice.page.get_by_label("Password")).to_be_focused()
    assert alice.cookies() == {}
    alice.page.get_by_label("Password").fill(PASSWORD)
    alice.press("Sign in")
    alice.expect_heading("Devices")


def test_faults_of_the_sign_up_stand_at_their_fields(visit: Visit, site: Site) -> None:
    bob = visit(site)
    bob.refusals.add(422)
    bob.go("/sign-up")
    bob.page.get_by_label("Name").fill("alice")
    bob.page.get_by_label("E-mail address").fill("nowhere")
    bob.page.get_by_label("Password").fill("short")
    bob.press("Sign up")
    email = bob.page.get_by_label("E-mail address")
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_have_accessible_description(
        "This is no e-mail address, such as alice@example.org."
    )
    links = bob.page.get_by_role("alert").get_by_role("link")
    expect(links).to_have_text(["E-mail address", "Password"])
    expect(bob.page.get_by_label("Password")).to_have_value("")
    email.fill("bob@example.org")
    bob.page.get_by_label("Password").fill(PASSWORD)
    bob.press("Sign up")
    expect(bob.page.get_by_text("Somebody has that name already.")).to_be_visible()


def test_whole_way_in_is_possible_with_the_keyboard_alone(
    visit: Visit, site: Site
) -> None:
    alice = visit(site)
    keys = alice.page.keyboard
    alice.go("/sign-in")
    expect(alice.page.get_by_label("Name")).to_be_focused()
    keys.type("alice")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Tab")
    keys.press("Space")
    expect(alice.page.get_by_label("Remember me on this device")).to_be_checked()
    keys.press("Enter")
    alice.expect_heading("Hello, alice")
    keys.press("Tab")
    skip = alice.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    keys.press("Enter")
    expect(alice.page.locator("main")).to_be_focused()
    refresh = alice.page.get_by_role("button", name="Refresh the token")
    expect(refresh).to_be_enabled()  # it waits for its script
    keys.press("Tab")
    expect(refresh).to_be_focused()
    expect(refresh).to_have_css("outline-style", "solid")
    alice.page.get_by_role("button", name="Sign out").focus()
    keys.press("Enter")
    alice.expect_said("You are signed out.")


def test_back_button_shows_nothing_after_the_sign_out(alice: Visitor) -> None:
    alice.go("/devices")
    alice.press("Sign out")
    alice.expect_said("You are signed out.")
    alice.page.go_back()
    alice.expect_heading("Sign in")


@pytest.mark.parametrize("remember", [True, False], ids=["remembered", "window"])
def test_cookies_live_as_long_as_was_asked_for(
    visit: Visit, site: Site, remember: bool
) -> None:
    alice = visit(site)
    alice.sign_in("alice", remember=remember)
    for _ in range(2):
        kept = {name: each["expires"] != -1 for name, each in alice.cookies().items()}
        names = ("access_token", "refresh_token", "csrf_token")
        assert kept == dict.fromkeys(names, remember)
        alice.press("Refresh the token")
        expect(alice.page.locator("#told")).to_have_text("Your token is refreshed.")


def test_session_goes_on_after_the_access_cookie_is_over(alice: Visitor) -> None:
    before = alice.cookies()["refresh_token"]["value"]
    alice.forget("access_token")
    alice.go("/devices")
    alice.expect_heading("Devices")
    assert alice.cookies()["refresh_token"]["value"] != before


def test_session_goes_on_after_the_access_token_has_expired(
    site: Site, alice: Visitor
) -> None:
    with use_clock(site.app) as clock:
        clock.advance(16 * 60)
        alice.go("/devices")
        alice.expect_heading("Devices")


def test_without_scripts_a_known_browser_goes_on_with_one_button(
    visit: Visit, site: Site
) -> None:
    alice = visit(site, java_script_enabled=False)
    alice.sign_in("alice")
    alice.forget("access_token")
    alice.go("/devices")
    alice.expect_heading("Sign in")
    alice.press("Go on as alice")
    alice.expect_heading("Devices")
    alice.press("Sign out")
    alice.expect_said("You are signed out.")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ("Refresh the token", "Change the address", "Delete the account")),
        ("/devices", ("End the session of", "End all others")),
        ("/thief", ("Let the thief try",)),
    ],
)
def test_buttons_wait_for_the_script_that_serves_them(
    visit: Visit, site: Site, path: str, names: tuple[str, ...]
) -> None:
    visit(site).sign_in("alice")
    alice = visit(site)
    alice.sign_in("alice")
    held: list[Route] = []
    alice.page.route("**/face.js", lambda route: held.append(route))
    alice.page.goto(site.url + path, wait_until="commit")
    buttons = [alice.page.get_by_role("button", name=name) for name in names]
    for button in buttons:
        expect(button).to_be_disabled()
    held.pop().continue_()
    for button in buttons:
        expect(button).to_be_enabled()


def test_bars_run_down_and_tell_what_is_left(alice: Visitor) -> None:
    bar = alice.page.get_by_role("listitem").filter(has_text="Access token")
    first = bar.locator("progress").evaluate("e => e.value")
    assert 800 < first <= 900
    expect(bar.get_by_role("timer")).to_have_text(re.compile(r"1[34] min \d\d s"))
    alice.page.wait_for_function(
        "first => document.querySelector('.bar progress').value < first", arg=first
    )


def test_token_is_drawn_without_what_protects_it(alice: Visitor) -> None:
    token = str(alice.cookies()["access_token"]["value"])
    shown = alice.page.content()
    drawing = alice.page.locator(".token")
    expect(drawing).to_contain_text("v4.local")
    expect(drawing).to_contain_text('"kid": "k4.lid.')
    claims = alice.page.get_by_role("table", name="Claims")
    expect(claims.get_by_role("row", name="csrf")).to_contain_text("not shown")
    assert token not in shown
    assert str(alice.cookies()["refresh_token"]["value"]) not in shown


def test_unknown_page_is_told_in_words(visit: Visit, site: Site) -> None:
    somebody = visit(site)
    somebody.refusals.add(404)
    somebody.go("/nowhere")
    somebody.expect_heading("There is no such page")


def test_sign_out_counts_after_the_access_cookie_is_over(alice: Visitor) -> None:
    alice.forget("access_token")
    alice.press("Sign out")
    alice.expect_said("You are signed out.")
    assert alice.cookies() == {}
    alice.go("/devices")
    alice.expect_heading("Sign in")
