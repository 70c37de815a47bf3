"""A page that is open past the end of its token, where the app refreshes by itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from flask_paseto.testing import use_clock

from .conftest import Visit
from .servers import example_site


def test_token_is_renewed_while_the_page_is_used(
    visit: Visit, servers: ExitStack, tmp_path: Path
) -> None:
    settings = {"PASETO_COOKIE_REFRESH_WITHIN": 300, "PASETO_STORE": "memory://"}
    site = servers.enter_context(example_site(tmp_path, **settings))
    site.add_user("alice")
    with use_clock(site.app) as clock:
        alice = visit(site)
        alice.sign_in("alice")
        first = alice.cookies()
        clock.advance(9 * 60)  # 6 minutes are left: too early
        alice.go("/devices")
        alice.expect_heading("Devices")
        assert alice.cookies() == first
        clock.advance(3 * 60)
        alice.go("/devices")
        alice.expect_heading("Devices")
        second = alice.cookies()
        for name in ("access_token", "refresh_token"):
            assert second[name]["value"] != first[name]["value"]
        assert second["csrf_token"]["value"] == first["csrf_token"]["value"]
        clock.advance(5 * 60)  # the first token is over
        alice.go("/devices")
        alice.expect_heading("Devices")
        assert alice.cookies() == second
        alice.press("Sign out")
        alice.expect_said("You are signed out.")
        assert alice.cookies() == {}
