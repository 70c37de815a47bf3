"""Ring files for tests, and a clock for ages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask_paseto.keys import generate_key
from flask_paseto.keys.entries import KeyState, RingDocument, RingEntry, read_paserk
from flask_paseto.keys.file import locked, write_file

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Ticks:
    """Seconds that go up when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, by: float | timedelta) -> None:
        self.seconds += by.total_seconds() if isinstance(by, timedelta) else by


def entry_of(
    state: KeyState = KeyState.ISSUING, *, paserk: str | None = None, **fields: Any
) -> RingEntry:
    """Return an entry with a new key, or this one, that was added at noon."""
    key = paserk or generate_key().to_paserk()
    found = RingEntry(
        id=read_paserk(key, None).key_id, key=key, state=state, added=NOON
    )
    return replace(found, **fields)


def document_of(*entries: RingEntry, version: int = 1) -> RingDocument:
    return RingDocument(version, entries)


def put(path: Path, document: RingDocument) -> None:
    """Write a ring file as the commands do."""
    with locked(path):
        write_file(path, document)
