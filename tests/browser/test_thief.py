"""The play of the thief: what the page shows is what happened in the store."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import expect

from .conftest import Visit
from .servers import Site, example_site
from .visitors import Visitor

DEAD = "The session of the phone is dead"


def play(visitor: Visitor) -> list[str]:
    """Let a visitor start the play; return what the app answered in it."""
    visitor.go("/thief")
    visitor.press("Let the thief try")
    expect(visitor.page.locator("#outcome")).to_contain_text(DEAD)
    return visitor.page.locator(".answer code").all_inner_texts()


def test_used_token_that_comes_again_ends_the_session_for_both(alice: Visitor) -> None:
    answers = play(alice)
    expect(alice.page.get_by_text("The grace is 10 seconds")).to_be_visible()
    assert answers == [
        "POST /refresh → 200 OK",
        "POST /refresh → 200 OK",
        "POST /refresh → 200 OK",
        "POST /refresh → 401 The token was used before: log in again.",
        "GET /protected → 401 The token has been revoked.",
    ]
    alice.go("/devices")  # and her own goes on
    expect(alice.page.get_by_role("main").get_by_role("listitem")).to_have_count(1)


def test_without_a_grace_there_is_no_retry(
    visit: Visit, servers: ExitStack, tmp_path: Path
) -> None:
    site: Site = servers.enter_context(example_site(tmp_path, PASETO_ROTATION_GRACE=0))
    site.add_user("alice")
    alice = visit(site)
    alice.sign_in("alice")
    answers = play(alice)
    expect(alice.page.get_by_text("There is no grace")).to_be_visible()
    assert [answer.split()[3] for answer in answers] == ["200", "200", "401", "401"]


def test_tokens_of_the_play_never_reach_the_page(alice: Visitor) -> None:
    alice.go("/thief")
    with alice.page.expect_response("**/thief/play") as answered:
        alice.press("Let the thief try")
    assert "v4." not in answered.value.text()
    expect(alice.page.locator("#outcome")).to_contain_text(DEAD)
