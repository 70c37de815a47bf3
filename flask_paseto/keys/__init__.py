"""Keys: read strictly, told apart by their ids, and held by one ring."""

from .paserk import public_half
from .ring import KeyRing, Purpose, RingKey, generate_key
from .settings import KEY_SETTINGS, read_ring

__all__ = [
    "KEY_SETTINGS",
    "KeyRing",
    "Purpose",
    "RingKey",
    "generate_key",
    "public_half",
    "read_ring",
]
