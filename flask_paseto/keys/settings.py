"""The key settings: from ``PASETO_SECRET_KEY`` and its like to the ring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from .material import (
    derive_local_key,
    read_local_key,
    read_private_key,
    read_public_key,
)
from .ring import KEY_SETTINGS, KeyRing, Purpose, RingKey

PREFIX = "PASETO_"
_LISTS = ("SECRET_KEY_FALLBACKS", "PUBLIC_KEYS")
_KEYGEN = "make one with: flask paseto keygen"
_PAIR = "make a pair with: flask paseto keygen --purpose public"


def read_ring(
    settings: Mapping[str, Any],
    faults: list[str],
    *,
    version: int = 4,
    purpose: Purpose | None = None,
    manager: str = "default",
) -> KeyRing:
    """Return the ring of these settings; what is wrong with them goes into faults.

    Flask's `SECRET_KEY` and its fallbacks serve, derived, when there is no key
    setting at all.
    """
    reader = _Reader(settings, faults, version, manager)
    names = key_settings(settings)
    if not names:
        if purpose == "public":
            faults.append("PASETO_PURPOSE is 'public', which needs PASETO_PRIVATE_KEY")
        return reader.flask_ring()
    before = len(faults)
    keys = {name: reader.read(name) for name in names}
    if len(faults) > before:
        return KeyRing.of()
    faults += _contradictions(keys, purpose)
    issuing = [*keys.get("SECRET_KEY", []), *keys.get("PRIVATE_KEY", [])]
    accepted = [key for name in keys for key in keys[name] if not key.private]
    fallbacks = keys.get("SECRET_KEY_FALLBACKS", [])
    return KeyRing.of(issuing, [*accepted, *fallbacks], purpose if issuing else None)


def key_settings(settings: Mapping[str, Any]) -> list[str]:
    """Return the key settings that are there, each once, without their `PASETO_`."""
    return [
        name
        for name in KEY_SETTINGS
        if PREFIX + name in settings or PREFIX + name + "_FILE" in settings
    ]


def read_accepted(
    settings: Mapping[str, Any],
    faults: list[str],
    *,
    version: int = 4,
    manager: str = "default",
) -> list[RingKey]:
    """Return the keys that may stand beside a ring file, which issues.

    What is wrong with the settings goes into faults.
    """
    reader = _Reader(settings, faults, version, manager)
    found = []
    for name in key_settings(settings):
        if name in _LISTS:
            found += reader.read(name)
            continue
        move = "SECRET_KEY_FALLBACKS" if name == "SECRET_KEY" else "PUBLIC_KEYS"
        faults.append(
            f"PASETO_{name} is set beside PASETO_KEYRING, whose keys issue; take it "
            f"out, or put what is still to be accepted into PASETO_{move}"
        )
    return found


def _contradictions(
    keys: Mapping[str, list[RingKey]], purpose: Purpose | None
) -> list[str]:
    """Return what does not go together, of keys that are each right in themselves."""
    faults = []
    secret, private = keys.get("SECRET_KEY", []), keys.get("PRIVATE_KEY", [])
    public = keys.get("PUBLIC_KEY", [])
    if "SECRET_KEY_FALLBACKS" in keys and not secret:
        faults.append("PASETO_SECRET_KEY_FALLBACKS is set without PASETO_SECRET_KEY")
    if secret and private and purpose is None:
        faults.append(
            "PASETO_PURPOSE must say 'local' or 'public': PASETO_SECRET_KEY and "
            "PASETO_PRIVATE_KEY are both set, and one of them issues"
        )
    if purpose == "local" and private and not secret:
        faults.append("PASETO_PURPOSE is 'local', which needs PASETO_SECRET_KEY")
    if purpose == "public" and secret and not private:
        faults.append("PASETO_PURPOSE is 'public', which needs PASETO_PRIVATE_KEY")
    if private and public and private[0].key_id != public[0].key_id:
        faults.append(
            "PASETO_PUBLIC_KEY does not belong to PASETO_PRIVATE_KEY; keys of others "
            "go into PASETO_PUBLIC_KEYS"
        )
    return faults


class _Reader:
    """Reads key settings and notes faults, by the names of the settings alone."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        faults: list[str],
        version: int,
        manager: str,
    ) -> None:
        self.settings = settings
        self.faults = faults
        self.version = version
        self.manager = manager

    def read(self, name: str) -> list[RingKey]:
        """Return the keys of a setting, or of the file that it names."""
        full = PREFIX + name
        if full in self.settings and full + "_FILE" in self.settings:
            self.faults.append(f"{full} and {full}_FILE are both set; take one out")
            return []
        if full not in self.settings:
            full += "_FILE"
            return self._keys(full, self._file(full, many=name in _LISTS), name)
        value = self.settings[full]
        if name not in _LISTS:
            return self._keys(full, [value], name)
        if isinstance(value, list | tuple):
            return self._keys(full, value, name)
        if name == "PUBLIC_KEYS" and isinstance(value, Mapping):
            return self._tied_keys(full, value, name)
        self.faults.append(f"{full} must be a list of keys")
        return []

    def _tied_keys(
        self, setting: str, values: Mapping[Any, Any], name: str
    ) -> list[RingKey]:
        """Return the keys of a mapping from issuer to a key or a list of keys."""
        found = []
        for number, (issuer, keys) in enumerate(values.items()):
            if not isinstance(issuer, str) or not issuer:
                self.faults.append(f"{setting}: an issuer must be a text")
                continue
            many = keys if isinstance(keys, list | tuple) else [keys]
            # Not by its name: it may be a key that was put in the wrong place.
            read = self._keys(f"{setting} of issuer {number}", many, name)
            found += [replace(key, issuer=issuer) for key in read]
        return found

    def _reading(self, name: str) -> Callable[[Any], RingKey]:
        if name == "PRIVATE_KEY":
            return read_private_key
        if name in ("PUBLIC_KEY", "PUBLIC_KEYS"):
            return read_public_key
        return lambda value: read_local_key(
            value, version=self.version, manager=self.manager
        )

    def _keys(self, setting: str, values: Sequence[Any], name: str) -> list[RingKey]:
        read, found = self._reading(name), []
        if not values and name in _LISTS:
            self.faults.append(f"{setting} is empty: put a key in, or take it out")
        for number, value in enumerate(values):
            place = f"{setting}[{number}]" if name in _LISTS else setting
            if setting.endswith("_FILE"):
                place += f" ({self.settings[setting]})"
            try:
                if value is None or value in ("", b""):
                    raise ValueError("is empty")
                found.append(read(value))
            except ValueError as fault:
                keygen = _KEYGEN if name.startswith("SECRET") else _PAIR
                self.faults.append(f"{place} {fault}; {keygen}")
        return found

    def _file(self, name: str, *, many: bool) -> list[str]:
        """Return what is in a key file; a list setting takes one key a line."""
        path = self.settings[name]
        if not path or not isinstance(path, str | PathLike):
            self.faults.append(f"{name} must be the path of a file")
            return []
        try:
            text = Path(path).read_text("utf-8-sig")
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or "it is no text"
            self.faults.append(f"{name} ({path}) cannot be read: {reason}")
            return []
        if not many:
            return [text.removesuffix("\n").removesuffix("\r")]
        if text.startswith("-----BEGIN"):
            blocks = text.replace("-----BEGIN", "\0-----BEGIN").split("\0")
            return [block.rstrip() for block in blocks[1:]]
        return text.splitlines()

    def flask_ring(self) -> KeyRing:
        """Return the ring derived from Flask's own secret keys."""
        secrets = [self.settings.get("SECRET_KEY")]
        if not secrets[0]:
            self.faults.append(f"PASETO_SECRET_KEY is not set; {_KEYGEN}")
            return KeyRing.of()
        fallbacks = self.settings.get("SECRET_KEY_FALLBACKS") or []
        if not isinstance(fallbacks, list | tuple):
            self.faults.append("Flask's SECRET_KEY_FALLBACKS must be a list")
            return KeyRing.of()
        secrets += fallbacks
        keys = []
        for number, value in enumerate(secrets):
            try:
                keys.append(
                    derive_local_key(value, version=self.version, manager=self.manager)
                )
            except ValueError as fault:
                where = "SECRET_KEY" if number == 0 else "SECRET_KEY_FALLBACKS"
                self.faults.append(
                    f"Flask's {where} {fault}; set PASETO_SECRET_KEY, {_KEYGEN}"
                )
        return KeyRing.of(keys[:1], keys[1:])
