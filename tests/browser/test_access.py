"""Pages that everybody can use: with axe-core, narrow and wide, light and dark."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Visit
from .servers import Site
from .visitors import Visitor

Scheme = Literal["light", "dark"]

OUTSIDE = ["/sign-in?next=/devices", "/sign-in?said=signed-out", "/sign-up", "/nowhere"]
INSIDE = ["/", "/devices", "/keys", "/thief", "/sign-in"]
SIZES = {"wide": (1280, 900), "narrow": (320, 640)}


def findings(visitor: Visitor) -> list[tuple[str, Any]]:
    """Return what axe-core finds that is serious or critical."""
    visitor.page.wait_for_load_state()  # without its looks, a page has other colours
    found = Axe().run(visitor.page).response
    assert found["testEngine"]["name"] == "axe-core"
    return [
        (each["id"], [node["target"] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    """Return the colours that the visitor prefers."""
    found: Scheme = request.param
    return found


@pytest.fixture(params=SIZES)
def ada(
    request: pytest.FixtureRequest, visit: Visit, site: Site, scheme: Scheme
) -> Visitor:
    """Return ada with a window of this size, and not signed in."""
    width, height = SIZES[request.param]
    viewport = {"width": width, "height": height}
    ada = visit(site, color_scheme=scheme, viewport=viewport)
    ada.refusals |= {401, 404, 422}
    return ada


def assert_usable(visitor: Visitor, path: str) -> None:
    """Assert that axe-core finds nothing, and that nobody has to scroll sideways."""
    assert findings(visitor) == [], path
    wider = "root => root.scrollWidth - root.clientWidth"
    assert visitor.page.locator("html").evaluate(wider) == 0, path


def test_axe_finds_what_is_wrong(visit: Visit, site: Site) -> None:
    somebody = visit(site)
    somebody.go("/sign-in")
    somebody.page.evaluate("document.querySelector('label[for=name]').remove()")
    assert "label" in dict(findings(somebody))


def test_pages_before_the_sign_in(ada: Visitor) -> None:
    for path in OUTSIDE:
        ada.go(path)
        assert_usable(ada, path)
    ada.go("/sign-up")
    ada.press("Sign up")
    ada.expect_heading("Sign up")
    expect(ada.page.get_by_role("alert")).to_be_visible()
    assert_usable(ada, "faults")


def test_pages_after_the_sign_in(ada: Visitor) -> None:
    ada.sign_in("ada")
    for path in INSIDE:
        ada.go(path)
        assert_usable(ada, path)


def test_dialog_and_play(ada: Visitor) -> None:
    ada.sign_in("ada")
    ada.press("Refresh the token")
    expect(ada.page.locator("#told")).to_have_text("Your token is refreshed.")
    ada.press("Change the address")
    expect(ada.page.get_by_role("dialog")).to_be_visible()
    assert_usable(ada, "dialog")
    ada.go("/thief")
    ada.press("Let the thief try")
    expect(ada.page.locator("#outcome")).to_be_visible()
    assert_usable(ada, "play")


def test_colours_follow_the_preference(visit: Visit, site: Site) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        somebody = visit(site, color_scheme=scheme)
        somebody.go("/sign-in")
        colour = "getComputedStyle(document.body).backgroundColor"
        grounds.add(somebody.page.evaluate(colour))
    assert grounds == {"rgb(246, 245, 241)", "rgb(18, 20, 28)"}


def test_every_page_has_its_landmarks_and_one_heading(alice: Visitor) -> None:
    for path in ("/", "/devices", "/thief"):
        alice.go(path)
        for role in ("banner", "main", "navigation", "contentinfo"):
            expect(alice.page.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]
        expect(alice.page.get_by_role("heading", level=1)).to_have_count(1)


def test_play_moves_only_for_who_does_not_mind(visit: Visit, site: Site) -> None:
    for motion, moves in (("reduce", "none"), ("no-preference", "arrive")):
        alice = visit(site, reduced_motion=motion)
        alice.sign_in("alice")
        alice.go("/thief")
        alice.press("Let the thief try")
        scene = alice.page.locator(".scenes .card").first
        expect(scene).to_have_css("animation-name", moves)
        expect(alice.page.locator("#outcome")).to_be_visible()
