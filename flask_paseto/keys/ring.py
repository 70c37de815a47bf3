"""The ring: the keys that issue, and the keys that are accepted, by their id."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, NoReturn

Purpose = Literal["local", "public"]

KEY_SETTINGS = {
    "SECRET_KEY": "The key of `local` tokens: a `k4.local` or `k3.local` PASERK, 32 "
    "`bytes`, or a text of 32 characters or more, from which the key is derived "
    "(HKDF-SHA256).",
    "SECRET_KEY_FALLBACKS": "A list of former `PASETO_SECRET_KEY`s: accepted, they "
    "issue nothing.",
    "PRIVATE_KEY": "The key that signs `public` tokens: a `k4.secret` or `k3.secret` "
    "PASERK, or a PEM of Ed25519 or P-384.",
    "PUBLIC_KEY": "The key that verifies `public` tokens: a `k4.public` or `k3.public` "
    "PASERK or a PEM. Beside `PASETO_PRIVATE_KEY` it must be its other half.",
    "PUBLIC_KEYS": "A list of public keys, all of them accepted; or a dict from issuer "
    "to a key or a list of keys, each tied to its issuer.",
}

# What is left of the body when the payload is empty: nonce and tag, or signature.
_OVERHEAD = {"v3.local": 80, "v4.local": 64, "v3.public": 96, "v4.public": 64}


@dataclass(frozen=True, slots=True, eq=False)
class RingKey:
    """One key with what travels in a token beside it: header and key id.

    Attributes:
        key_id: Its PASERK id, `lid` for local, `pid` for public and private keys.
        header: `v4.local` and so on.
        prefix: The same with the dot that follows it in a token.
        overhead: The bytes of a token's body that are not payload.
        private: Whether it can issue.
        purpose: `local` or `public`.
        footer: The footer that holds its id alone, as bytes and as a mapping.
        public: The PASERK of the public half, None for a local key.
        issuer: The only `iss` that its tokens may have, None: any.
        not_after: From when on its tokens are refused, None: no such date.
    """

    key_id: str
    header: str
    prefix: str
    overhead: int
    private: bool
    footer: bytes = field(repr=False)
    footer_claims: Mapping[str, str] = field(repr=False)
    purpose: Purpose = field(repr=False)
    _open: Callable[[bytes, bytes, bytes], bytes] = field(repr=False)
    _seal: Callable[[bytes, bytes, bytes], bytes] = field(repr=False)
    public: str | None = field(default=None, repr=False)
    issuer: str | None = None
    not_after: datetime | None = None

    @classmethod
    def of(cls, key: Any) -> RingKey:
        """Return the ring's entry for a `pyseto.KeyInterface`."""
        from .paserk import public_half  # here: it imports the cryptography

        header = f"v{key.version}.{key.purpose}"
        local = key.purpose == "local"
        signs = key.is_secret and not local
        opener = public_half(key) if signs else key
        key_id = opener.to_paserk_id()
        footer = {"kid": key_id}
        return cls(
            key_id=key_id,
            header=header,
            prefix=header + ".",
            overhead=_OVERHEAD[header],
            private=local or signs,
            footer=json.dumps(footer, separators=(",", ":")).encode(),
            footer_claims=MappingProxyType(footer),
            purpose=key.purpose,
            _open=opener.decrypt if local else opener.verify,
            _seal=key.encrypt if local else key.sign,
            public=None if local else opener.to_paserk(),
        )

    def has_ended(self, now: datetime) -> bool:
        """Tell whether the date is over until which its tokens are accepted."""
        return self.not_after is not None and now >= self.not_after

    def open(self, body: bytes, footer: bytes, assertion: bytes) -> bytes:
        """Return the payload of a body that this key sealed, or raise anything."""
        return self._open(body, footer, assertion)

    def seal(self, payload: bytes, footer: bytes, assertion: bytes) -> str:
        """Return the token of a payload."""
        sealed = self._seal(payload, footer, assertion)
        if self.purpose == "local":
            return sealed.decode()
        body = payload + sealed
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
            accepted: Of two with the same id the first counts, an issuing one before
                all others.
            purpose: Which of two issuing keys is the one; needless with one.
        """
        issuers: dict[Purpose, RingKey] = {key.purpose: key for key in issuing}
        if purpose is None and len(issuers) == 1:
            purpose = next(iter(issuers))
        by_id: dict[str, RingKey] = {}
        for key in (*issuers.values(), *accepted):
            by_id.setdefault(key.key_id, key)
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

    def extended(self, foreign: Iterable[RingKey]) -> KeyRing:
        """Return this ring with keys of others behind its own."""
        return KeyRing.of(
            self.issuing.values(), [*self.by_id.values(), *foreign], self.purpose
        )
