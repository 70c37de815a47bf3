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
from typing import Any

from .claims import OpenedClaims
from .errors import ConfigurationError, InvalidToken, PasetoError
from .keys import KeyRing, Purpose, RingKey
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
        cache: It belongs to the ring: another ring is another, empty cache.
    """

    ring: KeyRing
    max_length: int = 8192
    accept_missing_kid: bool = False
    cache: VerifiedCache | None = field(default=None, repr=False)

    def open(self, token: str, assertion: bytes = b"") -> OpenedClaims:
        """Return the claims of a token whose seal holds; their time is not looked at.

        Raises:
            InvalidToken: Length, form, key or seal is wrong, or the payload is no
                strict JSON object.
            InvalidClaims: A claim is missing or of the wrong type.
        """
        if self.cache is None or len(token) > self.max_length:
            return read_claims(self.unseal(token, assertion))
        claims = self.cache.get((token, assertion))
        if claims is None:
            claims = read_claims(self.unseal(token, assertion))
            self.cache.put((token, assertion), claims)
        return claims

    def unseal(self, token: str, assertion: bytes = b"") -> Unsealed:
        """Return the payload of a token whose seal holds, as it was sealed.

        Raises:
            InvalidToken: Length, form, key or seal is wrong.
        """
        if len(token) > self.max_length or not token.isascii():
            raise InvalidToken
        head, _, footer = token.rpartition(".")
        key = self.ring.by_footer.get(footer)
        if key is not None:
            # No dot is base64url, so here are four parts or a refusal.
            if not head.startswith(key.prefix):
                raise InvalidToken
            body = _decode_part(head[len(key.prefix) :])
            payload = _open_body(key, body, key.footer, assertion)
            return Unsealed(payload, key.footer_claims, key.key_id)
        parts = token.split(".")
        if len(parts) == 4:
            return self._unseal_any(parts, _decode_part(parts[3]), assertion)
        if len(parts) == 3:
            return self._unseal_any(parts, b"", assertion)
        raise InvalidToken

    def _unseal_any(
        self, parts: list[str], raw_footer: bytes, assertion: bytes
    ) -> Unsealed:
        """Unseal a token whose footer holds more, or less, than a key id."""
        footer = parse_footer(raw_footer) if len(parts) == 4 else None
        keys = self._select(parts[0] + "." + parts[1], footer)
        body = _decode_part(parts[2])
        for key in keys[:-1]:
            try:
                payload = _open_body(key, body, raw_footer, assertion)
            except InvalidToken:
                continue
            return Unsealed(payload, footer, key.key_id)
        payload = _open_body(keys[-1], body, raw_footer, assertion)
        return Unsealed(payload, footer, keys[-1].key_id)

    def _select(self, header: str, footer: Footer) -> tuple[RingKey, ...]:
        """Return the keys to try, at least one; with a key id that one alone."""
        keys: tuple[RingKey, ...]
        if isinstance(footer, Mapping) and "kid" in footer:
            key = self.ring.by_id.get(footer["kid"])
            keys = () if key is None or key.header != header else (key,)
        elif self.accept_missing_kid:
            keys = self.ring.by_header.get(header, ())
        else:
            keys = ()
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
                "none; to issue, set PASETO_PRIVATE_KEY"
            )
        try:
            return self.ring.issuing[chosen]
        except KeyError:
            setting = "SECRET_KEY" if chosen == "local" else "PRIVATE_KEY"
            raise ConfigurationError(
                f"no key issues {chosen} tokens; set PASETO_{setting}"
            ) from None


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
