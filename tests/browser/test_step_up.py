"""The password asked for once more, in the page."""

from __future__ import annotations

from playwright.sync_api import expect

from flask_paseto.testing import use_clock

from .servers import PASSWORD, Site
from .visitors import Visitor

NEW = "alice@example.net"


def refresh_token(visitor: Visitor) -> None:
    """Let a visitor have a token that is not fresh."""
    visitor.press("Refresh the token")
    expect(visitor.page.locator("#told")).to_have_text("Your token is refreshed.")
    fresh = visitor.page.get_by_role("listitem").filter(has_text="Not fresh")
    expect(fresh).to_be_visible()


def change_email(visitor: Visitor) -> None:
    """Let a visitor fill in another address and send it."""
    visitor.page.get_by_label("E-mail address").fill(NEW)
    visitor.press("Change the address")


def test_fresh_token_changes_the_address_without_the_password(alice: Visitor) -> None:
    change_email(alice)
    alice.expect_said("Your e-mail address is changed.")
    expect(alice.page.get_by_label("E-mail address")).to_have_value(NEW)


def test_password_is_asked_for_and_the_action_is_repeated(alice: Visitor) -> None:
    alice.refusals.add(401)
    refresh_token(alice)
    change_email(alice)
    dialog = alice.page.get_by_role("dialog", name="Is it still you?")
    expect(dialog).to_have_accessible_description(
        "This needs a sign-in that is fresh. Your password is enough for that."
    )
    password = dialog.get_by_label("Your password")
    expect(password).to_be_focused()
    alice.page.keyboard.type("a wrong one")
    alice.page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("That is not your password.")
    password.fill(PASSWORD)
    alice.page.keyboard.press("Enter")
    alice.expect_said("Your e-mail address is changed.")
    expect(alice.page.get_by_label("E-mail address")).to_have_value(NEW)


def test_who_cancels_changes_nothing(alice: Visitor) -> None:
    alice.refusals.add(401)
    refresh_token(alice)
    change_email(alice)
    dialog = alice.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    change = alice.page.get_by_role("button", name="Change the address")
    expect(change).to_be_focused()
    expect(change).to_be_enabled()
    alice.go("/")
    expect(alice.page.get_by_label("E-mail address")).to_have_value("alice@example.org")


def test_account_is_deleted_after_a_recent_sign_in_alone(
    site: Site, alice: Visitor
) -> None:
    alice.refusals.add(401)
    with use_clock(site.app) as clock:
        clock.advance(302)
        alice.go("/")
        sure = alice.page.get_by_label("Delete all that is mine here")
        sure.check()
        alice.press("Delete the account")
        dialog = alice.page.get_by_role("dialog")
        expect(dialog).to_contain_text("This needs a sign-in in the last 5 minutes.")
        dialog.get_by_label("Your password").fill(PASSWORD)
        alice.page.keyboard.press("Enter")
        alice.expect_said("Your account is deleted")
        alice.page.get_by_label("Name").fill("alice")
        alice.page.get_by_label("Password").fill(PASSWORD)
        alice.press("Sign in")
        expect(alice.page.get_by_role("alert")).to_contain_text(
            "Wrong name or password"
        )


def test_account_is_not_deleted_by_a_slip(alice: Visitor) -> None:
    alice.press("Delete the account")
    sure = alice.page.get_by_label("Delete all that is mine here")
    expect(sure).to_be_focused()
    alice.go("/")
    alice.expect_heading("Hello, alice")


def test_expired_token_is_renewed_before_the_password_is_asked_for(
    site: Site, alice: Visitor
) -> None:
    alice.refusals.add(401)
    with use_clock(site.app) as clock:
        clock.advance(16 * 60)
        change_email(alice)  # on the page that is still open
        dialog = alice.page.get_by_role("dialog")
        dialog.get_by_label("Your password").fill(PASSWORD)
        alice.page.keyboard.press("Enter")
        alice.expect_said("Your e-mail address is changed.")
