"""The pictures of the documentation: taken always, kept when ``SCREENS`` says where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect

from .conftest import Visit
from .servers import Site
from .test_keys import promote

PNG = b"\x89PNG\r\n\x1a\n"


def keep(picture: bytes, name: str) -> None:
    """Assert that a picture shows something, and keep it if that was asked for."""
    assert picture.startswith(PNG)
    assert len(picture) > 10_000
    folder = os.environ.get("SCREENS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{name}.png").write_bytes(picture)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_account(visit: Visit, site: Site, scheme: Literal["light", "dark"]) -> None:
    viewport = {"width": 1040, "height": 900}
    ada = visit(site, color_scheme=scheme, viewport=viewport, locale="en-GB")
    ada.sign_in("ada")
    expect(ada.page.get_by_role("timer").first).to_contain_text(" s")
    keep(ada.page.screenshot(), f"account-{scheme}")


def test_step_up_on_a_telephone(visit: Visit, site: Site) -> None:
    viewport = {"width": 390, "height": 720}
    alice = visit(site, viewport=viewport, locale="en-GB")
    alice.refusals.add(401)
    alice.sign_in("alice")
    alice.press("Refresh the token")
    expect(alice.page.locator("#told")).to_have_text("Your token is refreshed.")
    alice.press("Change the address")
    expect(alice.page.get_by_label("Your password")).to_be_focused()
    keep(alice.page.screenshot(), "step-up-light")


def test_keys(visit: Visit, site: Site) -> None:
    viewport = {"width": 1040, "height": 720}
    ada = visit(site, color_scheme="dark", viewport=viewport, locale="en-GB")
    ada.sign_in("ada")
    ada.go("/keys")
    ada.press("Announce a new key")
    ada.expect_said("A new key is announced.")
    promote(ada)
    keep(ada.page.screenshot(), "keys-dark")


def test_thief(visit: Visit, site: Site) -> None:
    viewport = {"width": 1040, "height": 720}
    alice = visit(site, viewport=viewport, locale="en-GB")
    alice.sign_in("alice")
    alice.go("/thief")
    alice.press("Let the thief try")
    expect(alice.page.locator("#outcome")).to_be_visible()
    keep(alice.page.screenshot(full_page=True), "thief-light")
