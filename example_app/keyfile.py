"""The key, made on the first start."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from flask_paseto.keys import generate_key


def ensure_key_file(path: Path) -> None:
    """Write a new key to a file that only its owner can read, unless it is there.

    Processes that start together agree on one key, and none sees half of it.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = mkstemp(prefix=path.name, dir=path.parent)  # O_EXCL, 0600
    try:
        with open(descriptor, "w") as file:
            file.write(generate_key().to_paserk())
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
    finally:
        os.unlink(draft)
