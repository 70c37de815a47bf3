"""The ring: the keys that issue, and the keys that are accepted, by their id."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_bytes
from types import MappingProxyType
from typing import Literal, NoReturn, cast

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pyseto import Key, KeyInterface

from .paserk import parse_pem, public_half

Purpose = Literal["local", "public"]

# What is left of the body when the payload is empty: nonce and tag, or signature.
_OVERHEAD = {"v3.local": 80, "v4.local": 64, "v3.public": 96, "v4.public": 64}


def generate_key(version: int = 4, purpose: Purpose = "local") -> KeyInterface:
    """Return a new key: `local`, or the private one for `public`."""
    if purpose == "local":
        return Key.new(version, "local", token_bytes(32))
    private = (
        Ed25519PrivateKey.generate()
        if version == 4
        else generate_private_key(SECP384R1())
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return parse_pem(pem.decode(), "secret")


@dataclass(frozen=True, slots=True, eq=False)
class RingKey:
    """One key with what travels in a token beside it: header and key id.

    Attributes:
        key_id: Its PASERK id, `lid` for local, `pid` for public and private keys.
        header: `v4.local` and so on.
        overhead: The bytes of a token's body that are not payload.
        private: Whether it can issue.
        footer: The footer that holds its id alone, as bytes and as a mapping.
        open: (body, footer, implicit assertion) -> payload, or any exception.
    """

    key_id: str
    header: str
    overhead: int
    private: bool
    footer: bytes = field(repr=False)
    footer_claims: Mapping[str, str] = field(repr=False)
    open: Callable[[bytes, bytes, bytes], bytes] = field(repr=False)
    _key: KeyInterface = field(repr=False)

    @classmethod
    def of(cls, key: KeyInterface) -> RingKey:
        """Return the ring's entry for a key of pyseto."""
        header = f"v{key.version}.{key.purpose}"
        local = key.purpose == "local"
        signs = key.is_secret and not local
        opener = public_half(key) if signs else key
        key_id = opener.to_paserk_id()
        footer = {"kid": key_id}
        return cls(
            key_id=key_id,
            header=header,
            overhead=_OVERHEAD[header],
            private=local or signs,
            footer=json.dumps(footer, separators=(",", ":")).encode(),
            footer_claims=MappingProxyType(footer),
            open=opener.decrypt if local else opener.verify,
            _key=key,
        )

    @property
    def purpose(self) -> Purpose:
        """Return `local` or `public`."""
        return cast(Purpose, self._key.purpose)

    def seal(self, payload: bytes, footer: bytes, assertion: bytes) -> str:
        """Return the token of a payload."""
        if self._key.purpose == "local":
            return self._key.encrypt(payload, footer, assertion).decode()
        body = payload + self._key.sign(payload, footer, assertion)
        return f"{self.header}.{encode_part(body)}.{encode_part(footer)}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key of flask_paseto cannot be pickled or copied")


def encode_part(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, eq=False)
class KeyRing:
    """The keys of one app; a changed ring is a new ring.

    Attributes:
        issuing: The key that issues, for each purpose there is one for.
        purpose: The purpose that issues when none is asked for; None: nothing does.
        by_id: Every accepted key.
        by_footer: The same keys by the footer that holds their id alone, as it
            stands in a token: most tokens find their key without any parsing.
        by_header: The same keys by `v4.local` and so on, for tokens without an id.
    """

    issuing: Mapping[Purpose, RingKey]
    purpose: Purpose | None
    by_id: Mapping[str, RingKey] = field(repr=False)
    by_footer: Mapping[str, RingKey] = field(repr=False)
    by_header: Mapping[str, tuple[RingKey, ...]] = field(repr=False)

    @classmethod
    def of(
        cls,
        issuing: Iterable[RingKey] = (),
        accepted: Iterable[RingKey] = (),
        purpose: Purpose | None = None,
    ) -> KeyRing:
        """Return the ring of the keys that issue and of those only accepted.

        Args:
            purpose: Which of two issuing keys is the one; needless with one.
        """
        issuers = {key.purpose: key for key in issuing}
        if purpose is None and len(issuers) == 1:
            (purpose,) = issuers
        by_id = {key.key_id: key for key in (*issuers.values(), *accepted)}
        by_header: dict[str, tuple[RingKey, ...]] = {}
        for key in by_id.values():
            by_header[key.header] = (*by_header.get(key.header, ()), key)
        return cls(
            issuing=MappingProxyType(issuers),
            purpose=purpose,
            by_id=MappingProxyType(by_id),
            by_footer=MappingProxyType(
                {encode_part(key.footer): key for key in by_id.values()}
            ),
            by_header=MappingProxyType(by_header),
        )
