"""Keys that an administrator rotates while people are signed in."""

from __future__ import annotations

from playwright.sync_api import expect

from .conftest import Visit
from .servers import PASSWORD, Site
from .visitors import Visitor


def badge_texts(visitor: Visitor) -> list[str]:
    """Return the states of the keys, as the page shows them."""
    return visitor.page.locator(".keys .badge").all_inner_texts()


def promote(visitor: Visitor) -> None:
    """Let the announced key issue, once every worker knows it."""
    expect(visitor.page.get_by_text("Every worker knows it.")).to_be_visible()
    visitor.press("Let the announced key issue")
    visitor.expect_said("The key issues now.")


def test_rotation_signs_nobody_out(visit: Visit, site: Site, alice: Visitor) -> None:
    ada = visit(site)
    ada.sign_in("ada")
    ada.page.get_by_role("link", name="Keys").click()
    ada.expect_heading("Keys")
    assert badge_texts(ada) == ["issuing"]
    first = alice.page.locator(".part-footer").first.inner_text()

    ada.press("Announce a new key")
    ada.expect_said("A new key is announced.")
    assert badge_texts(ada) == ["issuing", "announced"]
    promote(ada)
    assert badge_texts(ada) == ["issuing", "accepted"]

    alice.go("/")  # with a token of the former key
    alice.expect_heading("Hello, alice")
    assert alice.page.locator(".part-footer").first.inner_text() == first
    alice.page.wait_for_timeout(1500)  # a worker looks at the ring once a second
    alice.press("Refresh the token")
    expect(alice.page.locator("#told")).to_have_text("Your token is refreshed.")
    assert alice.page.locator(".part-footer").first.inner_text() != first


def test_key_that_is_ended_ends_its_tokens(
    visit: Visit, site: Site, alice: Visitor
) -> None:
    ada = visit(site)
    ada.refusals.add(401)
    ada.sign_in("ada")
    ada.go("/keys")
    ada.press("Announce a new key")
    ada.expect_said("A new key is announced.")
    promote(ada)
    ada.page.get_by_role("button", name="End the key").click()
    ada.page.wait_for_timeout(2500)  # the look at the ring, and its second of slack
    for visitor in (ada, alice):
        visitor.go("/")
        visitor.expect_heading("Sign in")


def test_step_needs_a_fresh_token(visit: Visit, site: Site) -> None:
    ada = visit(site)
    ada.refusals.add(401)
    ada.sign_in("ada")
    ada.press("Refresh the token")
    expect(ada.page.locator("#told")).to_have_text("Your token is refreshed.")
    ada.go("/keys")
    ada.press("Announce a new key")
    ada.page.get_by_role("dialog").get_by_label("Your password").fill(PASSWORD)
    ada.press("Go on")
    ada.expect_said("A new key is announced.")


def test_keys_are_not_for_everybody(alice: Visitor) -> None:
    alice.refusals.add(403)
    expect(alice.page.get_by_role("link", name="Keys")).to_have_count(0)
    alice.go("/keys")
    alice.expect_heading("Not for this account")
