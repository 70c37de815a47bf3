"""The key ring, made on the first start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask_paseto import ConfigurationError
from flask_paseto.keys.keyring import Keyring
from flask_paseto.keys.rotation import Pace

LONGEST_TOKEN = timedelta(days=30)


def open_ring(path: Path, settings: Mapping[str, Any]) -> Keyring:
    """Return the ring of a file, as fast as the tokens of these settings end."""
    lifetime = settings.get("PASETO_MAX_TOKEN_LIFETIME", LONGEST_TOKEN)
    if not isinstance(lifetime, timedelta):
        lifetime = timedelta(seconds=lifetime)
    forever = settings.get("PASETO_ALLOW_NON_EXPIRING", False)
    pace = Pace(lifetime=None if forever else lifetime)
    return Keyring(path=path, clock=lambda: datetime.now(UTC), pace=pace)


def ensure_ring(path: Path, former: Path, settings: Mapping[str, Any]) -> None:
    """Make a ring of one key that only its owner can read, unless it is there.

    Processes that start together agree on one ring, and none sees half of it.

    Args:
        former: The file of the one key that was there before rings; its tokens go on
            working.

    Raises:
        ConfigurationError: The former key is damaged; another would log all out.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _read_key(former) if former.exists() else None
    with TemporaryDirectory(prefix=".ring-", dir=path.parent) as folder:  # 0700
        draft = open_ring(Path(folder, path.name), settings)
        try:
            draft.announce(key=key)  # the first one issues at once
        except ValueError as fault:
            raise ConfigurationError(f"the key in {former} {fault}") from None
        with suppress(FileExistsError):  # another process was first: its ring counts
            os.link(draft.path, path)


def _read_key(path: Path) -> str:
    key = path.read_text("utf-8").strip()
    if not key:
        raise ConfigurationError(
            f"{path} is empty: put the key back, or remove the file for a new one"
        )
    return key
