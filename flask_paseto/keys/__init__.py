"""Keys: read strictly, told apart by their ids, and held by one ring.

Only the ring and the form of its sources are imported with the package. What reads
keys needs the cryptography, which takes half as long to import as Flask: `init_app`
does that.
"""

from typing import Any

from .ring import KEY_SETTINGS, KeyRing, Purpose, RingKey
from .source import KeySource

__all__ = [
    "KEY_SETTINGS",
    "KeyRing",
    "KeySource",
    "Purpose",
    "RingKey",
    "generate_key",
    "public_half",
]


def generate_key(version: int = 4, purpose: Purpose = "local") -> Any:
    """Return a new `pyseto.KeyInterface`: `local`, or the private one for `public`."""
    from . import paserk

    return paserk.generate_key(version, purpose)


def public_half(key: Any) -> Any:
    """Return the public `pyseto.KeyInterface` that belongs to a private one."""
    from . import paserk

    return paserk.public_half(key)
