"""From the settings and the key loader of an app to where its ring comes from."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from .entries import build_ring, parse_document
from .file import FileKeys, MissingFile, refuse_issuer, refuse_older, refuse_purpose
from .loader import KeyLoader, LoadedKeys
from .remote import RemoteKeys
from .ring import KEY_SETTINGS, KeyRing, Purpose, RingKey
from .settings import PREFIX, key_settings, read_accepted, read_ring
from .source import FixedKeys, JoinedKeys, KeySource


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The settings about keys that are not keys themselves.

    Attributes:
        keyring: The ring file, None: the key settings.
        password: What the keys in it are wrapped with.
        keysets: The addresses of public keys, by the issuer they are tied to.
        issuer: The `iss` of what the app issues.
    """

    version: int = 4
    purpose: Purpose | None = None
    issuer: str | None = None
    keyring: Path | None = None
    password: str | bytes | None = field(default=None, repr=False)
    keysets: Mapping[str, str] = field(default_factory=dict)
    keyset_max_age: timedelta = timedelta(minutes=5)
    loader_ttl: timedelta = timedelta(minutes=5)
    timeout: timedelta = timedelta(seconds=3)
    max_stale: timedelta = timedelta(hours=24)


def read_source(
    settings: Mapping[str, Any],
    faults: list[str],
    options: SourceOptions,
    loader: KeyLoader | None = None,
) -> KeySource:
    """Return where the ring comes from; what is wrong goes into faults."""
    own = _own_keys(settings, faults, options, loader)
    if not options.keysets:
        return own
    remote = [
        RemoteKeys(
            url,
            issuer,
            max_age=options.keyset_max_age,
            timeout=options.timeout,
            max_stale=options.max_stale,
        )
        for issuer, url in options.keysets.items()
    ]
    return JoinedKeys(own, remote)


def _own_keys(
    settings: Mapping[str, Any],
    faults: list[str],
    options: SourceOptions,
    loader: KeyLoader | None,
) -> KeySource:
    if loader is not None:
        return _from_loader(settings, faults, options, loader)
    if options.keyring is not None:
        return _from_file(settings, faults, options, options.keyring)
    others = {PREFIX + "KEYRING", PREFIX + "KEYSET_URL"} & settings.keys()
    if others and not key_settings(settings):
        # It verifies by an address and issues nothing; or what is set is a fault,
        # and Flask's SECRET_KEY is not meant.
        return FixedKeys(KeyRing.of())
    return FixedKeys(
        read_ring(settings, faults, version=options.version, purpose=options.purpose)
    )


def _from_file(
    settings: Mapping[str, Any],
    faults: list[str],
    options: SourceOptions,
    path: Path,
) -> KeySource:
    before = len(faults)
    accepted = read_accepted(settings, faults, version=options.version)
    if len(faults) > before:
        return FixedKeys(KeyRing.of())
    try:
        return FileKeys(
            path,
            password=options.password,
            accepted=accepted,
            issuer=options.issuer,
            purpose=options.purpose,
        )
    except ValueError as fault:
        missing = isinstance(fault, MissingFile)
        hint = f"; flask paseto keys rotate --keyring {path}" if missing else ""
        faults.append(f"PASETO_KEYRING ({path}) {fault}{hint}")
        return FixedKeys(KeyRing.of())


def _from_loader(
    settings: Mapping[str, Any],
    faults: list[str],
    options: SourceOptions,
    loader: KeyLoader,
) -> KeySource:
    names = [PREFIX + name for name in key_settings(settings)]
    if options.keyring is not None:
        names.append(PREFIX + "KEYRING")
    if names:
        faults.append(
            f"{', '.join(names)}: there is a key_loader, and the keys are those that "
            "it gives; take one of them out"
        )
        return FixedKeys(KeyRing.of())
    try:
        return LoadedKeys(
            loader,
            _LoadedReader(options),
            ttl=options.loader_ttl,
            timeout=options.timeout,
            max_stale=options.max_stale,
        )
    except ValueError as fault:
        faults.append(str(fault))
        return FixedKeys(KeyRing.of())


class _LoadedReader:
    """Makes a ring of what a loader gives: key settings, or the text of a ring file."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._last: tuple[Any, KeyRing] | None = None
        self._version = 0
        self._known: dict[str, RingKey] = {}

    def __call__(self, found: Any, former: KeyRing | None) -> KeyRing:
        if former is not None and self._gave(former, found):
            return former
        if isinstance(found, str | bytes):
            ring = self._read_text(found)
        elif isinstance(found, Mapping):
            ring = self._read_settings(found)
        else:
            raise ValueError(
                "a dict of key settings or the text of a ring file is needed"
            )
        refuse_issuer(ring, self._options.issuer)
        self._last = deepcopy(found), ring  # the loader may go on to change it
        return ring

    def _gave(self, former: KeyRing, found: Any) -> bool:
        """Tell whether the ring that is in use was made of the same.

        What was read last need not be in use: an answer that came late is thrown away.
        A file that is named may have changed under its name.
        """
        if self._last is None or self._last[1] is not former:
            return False
        if isinstance(found, Mapping) and any(
            str(name).endswith("_FILE") for name in found
        ):
            return False
        return bool(found == self._last[0])

    def _read_text(self, text: str | bytes) -> KeyRing:
        document = parse_document(text)
        refuse_older(document, self._version)
        password = self._options.password
        ring, known = build_ring(document, password=password, known=self._known)
        refuse_purpose(ring, self._options.purpose)
        self._known, self._version = known, document.version
        return ring

    def _read_settings(self, found: Mapping[Any, Any]) -> KeyRing:
        known = {PREFIX + name + end for name in KEY_SETTINGS for end in ("", "_FILE")}
        if not found or not found.keys() <= known:
            raise ValueError("names are those of settings, such as PASETO_SECRET_KEY")
        faults: list[str] = []
        version, purpose = self._options.version, self._options.purpose
        ring = read_ring(found, faults, version=version, purpose=purpose)
        if faults:
            raise ValueError("; ".join(faults))
        return ring
