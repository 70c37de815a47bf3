"""Somebody in front of a browser of their own."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from .servers import PASSWORD, Site

_REFUSED = re.compile(r"Failed to load resource: .* a status of (\d+)")


@dataclass(slots=True)
class Visitor:
    """A browser context with one page; what goes wrong in the page is kept.

    Attributes:
        refusals: The statuses that this visitor may be refused with.
        excused: Words of what else the console may say, now or a little later.
        faults: What the console of the page says of errors, but for these.
    """

    context: BrowserContext
    page: Page
    site: Site
    refusals: set[int] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Keep what the console says from now on."""
        self.page.on("console", lambda message: self._note(message))
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        refused = _REFUSED.match(message.text)
        if refused and int(refused[1]) in self.refusals:
            return
        if any(words in message.text for words in self.excused):
            return
        self.faults.append(message.text)

    def hearing(self, words: str) -> AbstractContextManager[object]:
        """Excuse these words, and wait for the console to say them in a block."""
        self.excused.add(words)
        return self.page.expect_console_message(lambda message: words in message.text)

    def go(self, path: str) -> None:
        """Open a page of the site."""
        self.page.goto(self.site.url + path)

    def press(self, name: str) -> None:
        """Press a button by its name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def sign_in(self, name: str, *, remember: bool = False) -> None:
        """Fill in the form and see the account."""
        self.go("/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        if remember:
            self.page.get_by_label("Remember me on this device").check()
        self.press("Sign in")
        self.expect_heading(f"Hello, {name}")

    def expect_heading(self, text: str) -> None:
        """Wait for a page with this heading, and until it has its looks and scripts."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text)
        self.page.wait_for_load_state()

    def expect_said(self, text: str) -> None:
        """Wait for what the page says of what was done."""
        expect(self.page.locator(".said").first).to_contain_text(text)

    def cookies(self) -> dict[str, dict[str, object]]:
        """Return the cookies that the browser has for the site, by name."""
        found = self.context.cookies(self.site.url)
        return {str(cookie.get("name")): dict(cookie) for cookie in found}

    def forget(self, name: str) -> None:
        """Let the browser forget a cookie, as it does when its time is over."""
        self.context.clear_cookies(name=name)
