"""What a key ring file holds: one entry a key, as text and as values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any

from .material import read_local_key, read_private_key, read_public_key
from .paserk import is_wrapped, unwrap_paserk
from .ring import KeyRing, Purpose, RingKey

FORMAT = 1
_ID = re.compile(r"k[34]\.[lp]id\.[A-Za-z0-9_-]{44}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)", re.ASCII)


class KeyState(StrEnum):
    """Where a key stands in its life."""

    ANNOUNCED = "announced"  #: accepted everywhere, issues nothing yet
    ISSUING = "issuing"  #: the one that issues
    ACCEPTED = "accepted"  #: issues no more, or never did


@dataclass(frozen=True, slots=True, kw_only=True)
class RingEntry:
    """One key of a ring file.

    Attributes:
        id: Its PASERK id, as it travels in tokens.
        key: Its PASERK, wrapped with a password or not.
        added: When readers could see it first.
        issued_until: When it stopped to issue.
        lifetime: The longest lifetime of what it issues, None: without end, or not
            known.
        not_after: From when on its tokens are refused, None: no such date.
        issuer: The only `iss` that its tokens may have, None: any.
    """

    id: str
    key: str = field(repr=False)
    state: KeyState
    added: datetime
    issued_until: datetime | None = None
    lifetime: timedelta | None = None
    not_after: datetime | None = None
    issuer: str | None = None

    @property
    def version(self) -> int:
        """Return the PASETO version of its tokens."""
        return int(self.id[1])

    @property
    def purpose(self) -> Purpose:
        """Return the purpose of its tokens."""
        return "local" if self.id[2:7] == ".lid." else "public"

    @property
    def kind(self) -> str:
        """Return version and purpose of its tokens, such as `v4.local`."""
        return f"v{self.version}.{self.purpose}"

    @property
    def can_issue(self) -> bool:
        """Tell whether it is more than the public key of somebody."""
        return re.match(r"k\d\.public\.", self.key) is None


@dataclass(frozen=True, slots=True)
class RingDocument:
    """All that a ring file says.

    Attributes:
        version: Counts the changes; a file of a lower one is an older file.
        pruned: The ids of keys that have ended and gone: they never come back.
    """

    version: int = 0
    entries: tuple[RingEntry, ...] = ()
    pruned: frozenset[str] = frozenset()

    @property
    def issuing(self) -> RingEntry | None:
        """Return the entry that issues, None where there are only public keys."""
        found = (each for each in self.entries if each.state is KeyState.ISSUING)
        return next(found, None)

    def changed(self, entries: Iterable[RingEntry]) -> RingDocument:
        """Return the next version, with these entries."""
        return replace(self, version=self.version + 1, entries=tuple(entries))

    def with_entry(self, entry: RingEntry) -> RingDocument:
        """Return the next version, with an entry in the place of its former self."""
        return self.changed(
            entry if each.id == entry.id else each for each in self.entries
        )


def parse_document(text: str | bytes) -> RingDocument:
    """Return what the text of a ring file says; its keys are not looked into.

    Raises:
        ValueError: It is damaged; no part of it is in the message.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON object in UTF-8 with unique names") from None
    if not isinstance(found, dict) or found.get("flask_paseto") != "keyring":
        raise ValueError("is not a key ring of flask_paseto")
    if found.get("format") != FORMAT:
        raise ValueError("is of a format that this version does not know")
    version, keys = found.get("version"), found.get("keys")
    if type(version) is not int or version < 1 or not isinstance(keys, list):
        raise ValueError("lacks its version or its keys")
    entries = tuple(_parse_entry(number, each) for number, each in enumerate(keys))
    if len({entry.id for entry in entries}) < len(entries):
        raise ValueError("holds a key twice")
    issuing = [entry for entry in entries if entry.state is KeyState.ISSUING]
    if len(issuing) > 1:
        raise ValueError("has more than one key that issues")
    if not issuing and any(entry.can_issue for entry in entries):
        raise ValueError("has no key that issues")
    return RingDocument(version, entries, _parse_pruned(found.get("pruned", [])))


def _parse_pruned(found: Any) -> frozenset[str]:
    try:
        return frozenset(map(_as_id, found))
    except (TypeError, ValueError):
        raise ValueError("has pruned ids of the wrong form") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _parse_entry(number: int, found: Any) -> RingEntry:
    names = {each.name for each in fields(RingEntry)}
    if not isinstance(found, dict) or not {"id", "key", "state", "added"} <= set(found):
        raise ValueError(f"lacks what belongs to a key, at key {number}")
    if found.keys() - names:
        raise ValueError(f"has a name that this version does not know, at key {number}")
    try:
        entry = RingEntry(
            id=_as_id(found["id"]),
            key=_as_text(found["key"]),
            state=KeyState(found["state"]),
            added=_as_date(found["added"]),
            issued_until=_optional(_as_date, found.get("issued_until")),
            lifetime=_optional(_as_seconds, found.get("lifetime")),
            not_after=_optional(_as_date, found.get("not_after")),
            issuer=_optional(_as_text, found.get("issuer")),
        )
        _check_state(entry)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"has a value of the wrong form, at key {number}") from None
    return entry


def _check_state(entry: RingEntry) -> None:
    if entry.state is KeyState.ACCEPTED:
        return
    if not entry.can_issue or entry.not_after is not None:
        raise ValueError


def _optional(read: Any, value: Any) -> Any:
    return None if value is None else read(value)


def _as_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _as_id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError
    return value


def _as_date(value: Any) -> datetime:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError
    return datetime.fromisoformat(value)


def _as_seconds(value: Any) -> timedelta:
    if type(value) is not int or value < 1:
        raise ValueError
    return timedelta(seconds=value)


def write_document(document: RingDocument) -> str:
    """Return the text of a ring file."""
    return json.dumps(
        {
            "flask_paseto": "keyring",
            "format": FORMAT,
            "version": document.version,
            "keys": [_write_entry(entry) for entry in document.entries],
            "pruned": sorted(document.pruned),
        },
        indent=1,
    )


def _write_entry(entry: RingEntry) -> dict[str, Any]:
    found = {each.name: getattr(entry, each.name) for each in fields(RingEntry)}
    return {name: _written(value) for name, value in found.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, timedelta):
        return ceil(value.total_seconds())
    return value


def format_moment(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def build_ring(
    document: RingDocument,
    *,
    password: str | bytes | None = None,
    known: Mapping[str, RingKey] | None = None,
    accepted: Iterable[RingKey] = (),
) -> tuple[KeyRing, dict[str, RingKey]]:
    """Return the ring of a document, and its keys by their text for the next time.

    Args:
        password: What keys are wrapped with; a text is taken as UTF-8.
        known: Keys that were read before: unwrapping is dear on purpose.
        accepted: Keys that are accepted beside those of the document, but for those
            whose end it knows.

    Raises:
        ValueError: A key is damaged, weak, another than its id says, or wrapped with
            another password.
    """
    keys, read = {}, known or {}
    issuing, others = [], []
    for number, entry in enumerate(document.entries):
        key = read.get(entry.key)
        if key is None:
            key = _read_key(entry.key, password, f"at key {number}")
        if key.key_id != entry.id:
            raise ValueError(f"has a key of another id, at key {number}")
        keys[entry.key] = key
        key = replace(key, issuer=entry.issuer, not_after=entry.not_after)
        if entry.state is KeyState.ISSUING:
            issuing.append(key)
        else:
            others.append(key)
    beside = [key for key in accepted if key.key_id not in document.pruned]
    return KeyRing.of(issuing, [*others, *beside]), keys


def _read_key(text: str, password: str | bytes | None, where: str) -> RingKey:
    try:
        return read_paserk(text, password)
    except ValueError as fault:
        raise ValueError(f"has a key that {fault}, {where}") from None


def read_paserk(text: str, password: str | bytes | None) -> RingKey:
    """Return the key of a PASERK of any kind.

    Raises:
        ValueError: It is none, weak, or wrapped with another password.
    """
    if is_wrapped(text):
        if not password:
            raise ValueError("is wrapped with a password: set PASETO_KEYRING_PASSWORD")
        text = unwrap_paserk(text, password).to_paserk()
    if re.match(r"k[34]\.local\.", text):
        return read_local_key(text, version=4, manager="")
    if re.match(r"k[34]\.secret\.", text):
        return read_private_key(text)
    if re.match(r"k[34]\.public\.", text):
        return read_public_key(text)
    raise ValueError("is not a PASERK of version 4 or 3")
