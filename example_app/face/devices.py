"""The sessions of an account: one for each device that signed in."""

from __future__ import annotations

import re
from datetime import datetime

from flask import Blueprint, render_template, request

from flask_paseto import get_subject, list_sessions, paseto_required

from .words import SAID

# In this order: most say that they are several others, too.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def add_to(pages: Blueprint) -> None:
    """Give the blueprint the view and what its template needs."""
    pages.add_url_rule("/devices", view_func=devices)
    pages.add_app_template_filter(name_device, "device")


@paseto_required(locations=("cookies",))
def devices() -> str:
    """Show the devices; the script of the page ends their sessions over the API."""
    return render_template(
        "devices.html",
        sessions=list_sessions(get_subject()),
        said=SAID.get(request.args.get("said", "")),
    )


def name_device(client: str) -> str:
    """Return what a device says of itself, short enough to be recognised."""
    browser = next((name for mark, name in _BROWSERS if mark in client), None)
    system = next((name for name in _SYSTEMS if name in client), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or re.sub(r"/.*", "", client)[:60] or "An unknown device"


def as_moment(moment: datetime) -> str:
    """Return a time for people, in UTC; the script of the page makes it local."""
    return moment.strftime("%d %b %Y, %H:%M UTC")
