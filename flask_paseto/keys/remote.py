"""Public keys of another issuer, from the address where it serves them."""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_address
from socket import SHUT_RDWR, create_connection, socket
from threading import Timer
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import KeysUnavailable
from .material import read_public_key
from .refresh import RETRY_INTERVAL, Fetched, FetchFailed, Refreshed
from .ring import RingKey
from .source import Ticks, monotonic

_log = logging.getLogger("flask_paseto")

MAX_SIZE = 512_000  # bytes of an answer
MAX_KEYS = 1_000
_KEY_ID = re.compile(r"k[34]\.pid\.[A-Za-z0-9_-]{44}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_ETAG = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Keyset:
    """What an address gave last.

    Attributes:
        etag: What to ask with whether it changed, None: cannot be asked.
    """

    keys: tuple[RingKey, ...]
    etag: str | None = None


class RemoteKeys:
    """The keys of one issuer, fetched when they are first asked for.

    Args:
        url: Where they are: `https`, or `http` on a literal loopback address.
        issuer: What each of them is tied to.
        max_age: The longest that they are used without asking again.
        timeout: How long an answer may take, all of it.
        max_stale: How long they serve while there is no answer.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        *,
        max_age: timedelta,
        timeout: timedelta,
        max_stale: timedelta,
        ticks: Ticks = monotonic,
    ) -> None:
        self._url = url
        self._issuer = issuer
        self._max_age = max_age.total_seconds()
        self._timeout = timeout.total_seconds()
        self._kept: Refreshed[Keyset] = Refreshed(
            self._fetch,
            name=f"the key set {url.partition('?')[0]}",  # a query may be secret
            timeout=timeout,
            max_stale=max_stale,
            ticks=ticks,
        )

    def current(self) -> Sequence[RingKey]:
        """Return the keys; none while the address does not answer for too long."""
        found = self._kept.current()
        return () if found is None else found.keys

    def freshen(self) -> None:
        """Begin to fetch the keys anew if they grow old, without a wait."""
        self._kept.freshen()

    def seek(self, key_id: str) -> None:
        """Begin to look whether there are new keys, for an id that can be one's."""
        if _KEY_ID.fullmatch(key_id):
            self._kept.begin()

    def find(self, key_id: str) -> RingKey | None:
        """Return the key of an id after a look whether there are new ones.

        There is one look in half a minute, however many ask.

        Raises:
            KeysUnavailable: There was no answer, for too long.
        """
        if not _KEY_ID.fullmatch(key_id):
            return None
        self._kept.renew()
        found = self._kept.current()
        if found is None:
            raise KeysUnavailable
        return next((key for key in found.keys if key.key_id == key_id), None)

    def _fetch(self, former: Keyset | None) -> Fetched[Keyset]:
        answer = _get(self._url, self._timeout, None if former is None else former.etag)
        max_age = min(self._max_age, max(answer.max_age, RETRY_INTERVAL))
        if answer.body is None and former is not None:
            return Fetched(former, max_age)
        keys = read_keyset(answer.body or b"", self._issuer)
        return Fetched(Keyset(keys, answer.etag), max_age)


def check_url(url: Any) -> str:
    """Return an address that keys may come from.

    Raises:
        ValueError: It is not `https`, nor `http` on a literal loopback address; or it
            has a user, a password or a fragment.
    """
    if not isinstance(url, str) or not _VISIBLE.fullmatch(url):
        raise ValueError("must be an https URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an https URL") from None
    if not host or parts.username is not None or parts.fragment:
        raise ValueError("must be an https URL with a host, no user and no fragment")
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return url
    raise ValueError(
        "must be an https URL; http only with a loopback address such as 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back; the body is None where nothing changed."""

    body: bytes | None
    etag: str | None
    max_age: float


def _get(url: str, timeout: float, etag: str | None) -> _Answer:
    """Return what is at an address: no redirect, no proxy, a bound to size and time.

    Raises:
        FetchFailed: It says why.
    """
    started = monotonic()
    try:
        answer = _ask_in_time(urlsplit(url), timeout, etag)
    except ssl.SSLCertVerificationError:
        raise FetchFailed("has a certificate that cannot be verified") from None
    except (OSError, HTTPException, ValueError):
        raise FetchFailed("cannot be reached, or does not answer in time") from None
    if monotonic() >= started + timeout:  # what was cut may look whole
        raise FetchFailed("cannot be reached, or does not answer in time")
    return answer


def _ask_in_time(parts: SplitResult, timeout: float, etag: str | None) -> _Answer:
    secure = parts.scheme == "https"
    host, default = parts.hostname or "", 443 if secure else 80
    sock = create_connection((host, parts.port or default), timeout)
    # A hold on the line that outlives what TLS and http.client make of the socket,
    # whose time-out is one for each read: a slow server drips.
    line = sock.dup()
    cut = Timer(timeout, _cut, [line])
    cut.daemon = True
    cut.start()
    connection = HTTPConnection(host, parts.port or default)
    connection.default_port = default  # it stands in no Host header
    with ExitStack() as held:
        for end in (line.close, cut.cancel, connection.close):
            held.callback(end)
        connection.sock = sock
        if secure:
            verifying = ssl.create_default_context()
            connection.sock = verifying.wrap_socket(sock, server_hostname=host)
        return _ask(connection, parts.path or "/", parts.query, etag)


def _cut(line: socket) -> None:
    with suppress(OSError):
        line.shutdown(SHUT_RDWR)


def _ask(
    connection: HTTPConnection, path: str, query: str, etag: str | None
) -> _Answer:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if etag is not None:
        headers["If-None-Match"] = etag
    connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
    response = connection.getresponse()
    max_age = _read_max_age(response)
    if response.status == 304 and etag is not None:
        return _Answer(None, etag, max_age)
    if 300 <= response.status < 400:
        raise FetchFailed("answers with a redirect, which is not followed")
    if response.status != 200:
        raise FetchFailed(f"answers with the status {response.status}")
    return _Answer(_read_body(response), _read_etag(response), max_age)


def _read_body(response: HTTPResponse) -> bytes:
    kind = response.getheader("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise FetchFailed("answers with something that is not application/json")
    # Not by one read(): for a chunk of negative size that takes all there is.
    length, body = response.length, bytearray()
    while len(body) <= MAX_SIZE and (part := response.read1(MAX_SIZE)):
        body += part
    if len(body) > MAX_SIZE:
        raise FetchFailed(f"answers with more than {MAX_SIZE} bytes")
    if length is not None and len(body) < length:
        raise FetchFailed("breaks off its answer")
    return bytes(body)


def _read_etag(response: HTTPResponse) -> str | None:
    """Return the tag to ask with, None for one that nobody could send back."""
    etag = response.getheader("ETag", "")
    return etag if _ETAG.fullmatch(etag) else None


def _read_max_age(response: HTTPResponse) -> float:
    """Return the seconds that are left of `max-age` (RFC 9111 section 4.2)."""
    found = re.search(
        r"\bmax-age=([0-9]{1,9})\b", response.getheader("Cache-Control", "")
    )
    age = response.getheader("Age", "0").strip()
    spent = float(age) if re.fullmatch(r"[0-9]{1,9}", age) else 0.0
    return float(found[1]) - spent if found else 0.0


def read_keyset(body: bytes, issuer: str) -> tuple[RingKey, ...]:
    """Return the keys of a key set, each tied to the issuer.

    A key of another kind, damaged, or under a wrong id is left out, with a line in
    the log.

    Raises:
        FetchFailed: It is no key set, or that of another issuer.
    """
    try:
        found = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise FetchFailed("answers with something that is not JSON") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise FetchFailed(f"answers with no key set of at most {MAX_KEYS} keys")
    if found.get("issuer") not in (None, issuer):
        raise FetchFailed("answers with the key set of another issuer")
    read, left_out = {}, 0
    for each in keys:
        try:
            key = _read_key(each)
        except (TypeError, ValueError, KeyError, OverflowError):
            left_out += 1
            continue
        read[key.key_id] = replace(key, issuer=issuer)
    if left_out:
        _log.warning("the key set of %s: %d keys are not taken", issuer, left_out)
    return tuple(read.values())


def _read_key(found: Any) -> RingKey:
    text = found["key"]
    if not isinstance(text, str) or not text.startswith(("k4.public.", "k3.public.")):
        raise ValueError
    key = read_public_key(text)
    if found["kid"] != key.key_id:
        raise ValueError
    not_after = found.get("not_after")
    if not_after is None:
        return key
    end = datetime.fromisoformat(not_after)
    if end.utcoffset() is None:
        raise ValueError
    return replace(key, not_after=end)
