"""Between token and claims: one strict way in, one way out.

Of pyseto only the cryptography is used. The form of a token, its footer, payload and
dates are read here, each in its one spelling.
"""

from __future__ import annotations

import logging
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .claims import OpenedClaims
from .claims import now as time_now
from .errors import ConfigurationError, InvalidToken, PasetoError
from .keys import KeyRing, KeySource, Purpose, RingKey
from .payload import (
    Footer,
    Unsealed,
    check_names,
    encode_json,
    parse_footer,
    read_claims,
)

_log = logging.getLogger("flask_paseto")

# Everything outside base64url becomes "*", which the decoder then refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/***")
# By what is left of a group of four: the padding, and the letters it may end with.
_ENDS = (
    (b"", bytes(range(256))),
    (b"", b""),
    (b"==", b"AQgw"),
    (b"=", b"AEIMQUYcgkosw048"),
)


class VerifiedCache:
    """Claims whose seal was checked, by token and implicit assertion.

    Two generations: when the young one is full, the old one goes.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[tuple[str, bytes], OpenedClaims] = {}
        self._old: dict[tuple[str, bytes], OpenedClaims] = {}

    def get(self, key: tuple[str, bytes]) -> OpenedClaims | None:
        """Return the claims, None when they are not there."""
        claims = self._young.get(key)
        if claims is None:
            claims = self._old.get(key)
            if claims is not None:
                self.put(key, claims)
        return claims

    def put(self, key: tuple[str, bytes], claims: OpenedClaims) -> None:
        """Keep the claims; they are frozen, so nothing leaks between requests."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = claims


@dataclass(frozen=True, slots=True)
class Codec:
    """Opens and seals the tokens of one ring.

    Attributes:
        max_length: The longest token that is looked at, in characters.
        accept_missing_kid: Whether a token without key id is tried with the keys of
            its version and purpose.
        find: Gives the key of an id that is not in the ring, or None.
        cache: It belongs to the ring: another ring is another, empty cache.
    """

    ring: KeyRing
    max_length: int = 8192
    accept_missing_kid: bool = False
    find: Callable[[str], RingKey | None] | None = field(default=None, repr=False)
    cache: VerifiedCache | None = field(default=None, repr=False)

    def open(
        self, token: str, assertion: bytes = b"", now: datetime | None = None
    ) -> OpenedClaims:
        """Return the claims of a token whose seal holds; their time is not looked at.

        Args:
            now: The time for the dates of keys, instead of the clock's.

        Raises:
            InvalidToken: Length, form, key or seal is wrong, or the payload is no
                strict JSON object.
            InvalidClaims: A claim is missing or of the wrong type, or the issuer is
                not the one that the key is tied to.
            KeysUnavailable: The key may be one that cannot be fetched now.
        """
        if self.cache is None or len(token) > self.max_length:
            return read_claims(self.unseal(token, assertion, now))
        claims = self.cache.get((token, assertion))
        if claims is None:
            claims = read_claims(self.unseal(token, assertion, now))
            if claims.key_id in self.ring.by_id:
                self.cache.put((token, assertion), claims)
        else:
            _check_date(self.ring.by_id[claims.key_id], now)
        return claims

    def unseal(
        self, token: str, assertion: bytes = b"", now: datetime | None = None
    ) -> Unsealed:
        """Return the payload of a token whose seal holds, as it was sealed.

        Raises:
            InvalidToken: Length, form, key or seal is wrong.
            KeysUnavailable: The key may be one that cannot be fetched now.
        """
        if len(token) > self.max_length or not token.isascii():
            raise InvalidToken
        head, _, footer = token.rpartition(".")
        key = self.ring.by_footer.get(footer)
        if key is not None:
            # No dot is base64url, so here are four parts or a refusal.
            if not head.startswith(key.prefix):
                raise InvalidToken
            _check_date(key, now)
            body = _decode_part(head[len(key.prefix) :])
            payload = _open_body(key, body, key.footer, assertion)
            return Unsealed(payload, key.footer_claims, key.key_id, key.issuer)
        parts = token.split(".")
        if len(parts) not in (3, 4):
            raise InvalidToken
        raw_footer = _decode_part(parts[3]) if len(parts) == 4 else b""
        return self._unseal_any(parts, raw_footer, assertion, now)

    def _unseal_any(
        self,
        parts: list[str],
        raw_footer: bytes,
        assertion: bytes,
        now: datetime | None,
    ) -> Unsealed:
        """Unseal a token whose footer holds more, or less, than a key id."""
        footer = parse_footer(raw_footer) if len(parts) == 4 else None
        keys = self._select(parts[0] + "." + parts[1], footer, now)
        body = _decode_part(parts[2])
        for key in keys[:-1]:
            try:
                payload = _open_body(key, body, raw_footer, assertion)
            except InvalidToken:
                continue
            return Unsealed(payload, footer, key.key_id, key.issuer)
        key = keys[-1]
        payload = _open_body(key, body, raw_footer, assertion)
        return Unsealed(payload, footer, key.key_id, key.issuer)

    def _select(
        self, header: str, footer: Footer, now: datetime | None
    ) -> tuple[RingKey, ...]:
        """Return the keys to try, at least one; with a key id that one alone."""
        keys: tuple[RingKey, ...] = ()
        if isinstance(footer, Mapping) and "kid" in footer:
            key = self.ring.by_id.get(footer["kid"])
            if key is None and self.find is not None and header.endswith(".public"):
                key = self.find(footer["kid"])
            if key is not None and key.header == header:
                keys = (key,)
        elif self.accept_missing_kid:
            keys = self.ring.by_header.get(header, ())
        keys = tuple(key for key in keys if not _has_ended(key, now))
        if not keys:
            _log.debug(
                "refused: no accepted key has the key id and header of the token"
            )
            raise InvalidToken
        return keys

    def seal(
        self,
        payload: Mapping[str, Any],
        *,
        footer: Mapping[str, Any] | None = None,
        assertion: bytes = b"",
        purpose: Purpose | None = None,
        read_back: bool = True,
    ) -> str:
        """Return the token of these claims, with the key's id in its footer.

        Args:
            read_back: Whether to make sure that the claims would be accepted again;
                needless where none of them is the app's own.

        Raises:
            ConfigurationError: No key issues tokens of this purpose.
            ValueError, TypeError: What is to be sealed would not open again.
        """
        key = self._issuing_key(purpose)
        raw, raw_footer = encode_json(payload), key.footer
        if footer:
            raw_footer = encode_json({**footer, **key.footer_claims})
            _check(parse_footer, raw_footer)
            check_names(footer)
        if read_back:
            _check(read_claims, Unsealed(raw, None, key.key_id))
            check_names(payload)
        if key.issuer is not None and payload.get("iss") != key.issuer:
            raise ValueError(
                "issuer must be the one that the issuing key is tied to: nobody "
                "would accept the token"
            )
        token = key.seal(raw, raw_footer, assertion)
        if len(token) > self.max_length:
            raise ValueError(
                f"the token has {len(token)} characters, PASETO_MAX_TOKEN_LENGTH "
                f"allows {self.max_length}"
            )
        return token

    def _issuing_key(self, purpose: Purpose | None) -> RingKey:
        chosen = purpose or self.ring.purpose
        if chosen is None:
            raise ConfigurationError(
                "this app has only public keys, so it verifies tokens but issues "
                "none; to issue, set PASETO_PRIVATE_KEY or PASETO_KEYRING"
            )
        try:
            return self.ring.issuing[chosen]
        except KeyError:
            setting = "SECRET_KEY" if chosen == "local" else "PRIVATE_KEY"
            raise ConfigurationError(
                f"no key issues {chosen} tokens; set PASETO_{setting}"
            ) from None


class RingCodecs:
    """The codec of the keys as they are now; another ring is another codec."""

    __slots__ = ("_cache_size", "_codec", "_keys", "_options")

    def __init__(self, keys: KeySource, *, cache_size: int = 0, **options: Any) -> None:
        self._keys = keys
        self._cache_size = cache_size
        self._options = options
        self._codec: Codec | None = None

    def current(self) -> Codec:
        """Return the codec of the current ring."""
        ring = self._keys.current()
        codec = self._codec
        if codec is None or codec.ring is not ring:
            codec = self._codec = self._of(ring)
        return codec

    def _of(self, ring: KeyRing) -> Codec:
        cache = VerifiedCache(self._cache_size) if self._cache_size else None
        return Codec(ring, cache=cache, find=self._keys.find, **self._options)


def _has_ended(key: RingKey, now: datetime | None) -> bool:
    return key.not_after is not None and key.has_ended(now or time_now())


def _check_date(key: RingKey, now: datetime | None) -> None:
    if _has_ended(key, now):
        _log.debug("refused: the key of the token has been retired")
        raise InvalidToken


def _open_body(key: RingKey, body: bytes, footer: bytes, assertion: bytes) -> bytes:
    try:
        payload = (
            key.open(body, footer, assertion) if len(body) > key.overhead else None
        )
    except Exception:
        payload = None  # whatever pyseto raises; nothing of it hangs on our refusal
    if payload is None:
        _log.debug("refused: the seal does not hold, or the implicit assertion differs")
        raise InvalidToken
    return payload


def _decode_part(part: str) -> bytes:
    """Decode base64url: its alphabet only, no padding, no bit set that is not used."""
    raw = part.encode()
    padding, last = _ENDS[len(raw) & 3]
    if not raw or raw[-1] not in last:
        raise InvalidToken
    try:
        return a2b_base64(raw.translate(_TO_BASE64) + padding, strict_mode=True)
    except Base64Error:
        raise InvalidToken from None


def _check(read: Callable[[Any], object], sealed: Any) -> None:
    """Refuse to issue what the way in would refuse (ISS-1)."""
    try:
        read(sealed)
    except PasetoError:
        raise ValueError(
            "a claim or the footer would be refused on the way back: names must be "
            "unique, numbers have 20 digits at most, claims 16 levels; a footer is "
            "flat, has 8 names with kid and 1 kB"
        ) from None
