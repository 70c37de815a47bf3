"""A real Chromium, the example app, and who visits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from .servers import Elsewhere, Site, example_site, make_certificate, other_site
from .visitors import Visitor

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
WAIT = 30_000  # milliseconds: the machine may be busy

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return the browser, started once."""
    if not CHROMIUM.exists():
        message = f"{CHROMIUM} is not here: apt install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=120_000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a certificate that nobody trusts, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """Return what keeps the servers of a test up until its browsers are closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def site(servers: ExitStack, tmp_path: Path) -> Site:
    """Return the example app over plain http, with alice, and ada who has the keys."""
    site = servers.enter_context(example_site(tmp_path))
    site.add_user("alice")
    site.add_user("ada", administrator=True)
    return site


@pytest.fixture
def secure_site(
    servers: ExitStack, tmp_path: Path, certificate: tuple[str, str]
) -> Site:
    """Return the example app over https, with alice."""
    site = servers.enter_context(example_site(tmp_path, certificate))
    site.add_user("alice")
    return site


@pytest.fixture
def elsewhere(
    servers: ExitStack, certificate: tuple[str, str]
) -> Callable[[str], Elsewhere]:
    """Return what serves another site at a host."""
    return lambda host: servers.enter_context(other_site(host, certificate))


@pytest.fixture
def visit(chromium: Browser, servers: ExitStack) -> Iterator[Visit]:
    """Return what opens a browser of somebody's own; its console must stay clean."""
    visitors: list[Visitor] = []

    def visit(site: Site, **options: Any) -> Visitor:
        context = chromium.new_context(
            **{"ignore_https_errors": True, "reduced_motion": "reduce"} | options
        )
        context.set_default_timeout(WAIT)
        visitor = Visitor(context, context.new_page(), site)
        visitor.watch()
        visitors.append(visitor)
        return visitor

    yield visit
    for visitor in visitors:
        visitor.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []


@pytest.fixture
def alice(visit: Visit, site: Site) -> Visitor:
    """Return alice, who is signed in."""
    visitor = visit(site)
    visitor.sign_in("alice")
    return visitor
