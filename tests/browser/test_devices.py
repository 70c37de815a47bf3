"""Sessions on two devices, each a browser of its own."""

from __future__ import annotations

from playwright.sync_api import expect

from .conftest import Visit
from .servers import Site
from .visitors import Visitor

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
ENDED = "This session was ended"


def assert_out(visitor: Visitor) -> None:
    """Assert that the next click of a visitor leads out, and says why."""
    visitor.page.get_by_role("link", name="Devices").click()
    visitor.expect_heading("Sign in")
    expect(visitor.page.get_by_role("status")).to_contain_text(ENDED)
    assert visitor.cookies() == {}


def test_session_ended_from_another_device_is_out_at_once(
    visit: Visit, site: Site, alice: Visitor
) -> None:
    phone = visit(site, user_agent=PHONE)
    phone.sign_in("alice")
    alice.go("/devices")
    rows = alice.page.get_by_role("main").get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="This device")).to_contain_text("Chrome on Linux")
    alice.press("End the session of Safari on iPhone")
    alice.expect_said("The session has ended.")
    expect(rows).to_have_count(1)
    assert_out(phone)
    alice.page.reload()
    alice.expect_heading("Devices")


def test_end_all_others_leaves_this_one(
    visit: Visit, site: Site, alice: Visitor
) -> None:
    others = [visit(site) for _ in range(2)]
    for other in others:
        other.sign_in("alice")
    alice.go("/devices")
    alice.press("End all others")
    alice.expect_said("All other sessions have ended.")
    expect(alice.page.get_by_role("button", name="End all others")).to_have_count(0)
    for other in others:
        assert_out(other)


def test_action_on_a_page_that_is_open_leads_out_when_the_session_is_over(
    visit: Visit, site: Site, alice: Visitor
) -> None:
    phone = visit(site)
    phone.refusals.add(401)
    phone.sign_in("alice")
    alice.go("/devices")
    alice.press("End all others")
    alice.expect_said("All other sessions have ended.")
    phone.press("Refresh the token")
    phone.expect_heading("Sign in")
    expect(phone.page.get_by_role("status")).to_contain_text(ENDED)


def test_session_that_is_gone_already_is_told_in_words(
    visit: Visit, site: Site, alice: Visitor
) -> None:
    alice.refusals.add(404)
    phone = visit(site, user_agent=PHONE)
    phone.sign_in("alice")
    alice.go("/devices")
    phone.press("Sign out")
    phone.expect_said("You are signed out.")
    alice.press("End the session of Safari on iPhone")
    expect(alice.page.get_by_role("alert")).to_contain_text("It is gone already.")
