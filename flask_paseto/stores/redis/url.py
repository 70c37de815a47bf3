"""What a URL says of the servers, read strictly: an option that is ignored is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError

Address = tuple[str, int]

_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\],/]*))(?::(?P<port>\d{1,5}))?"
)
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
_COUNTS = ("db", "replicas", "max_connections")
_TEXTS = ("sentinel_username", "sentinel_password", "client_name")
_ENCRYPTED = ("rediss", "valkeys")
_PORT = {"sentinel": 26379}


class Way(StrEnum):
    """How the server that answers is found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The servers of a URL.

    Attributes:
        way: How the one that answers is found.
        addresses: Where to ask first; empty for a socket.
        socket: The path of a socket, empty without one.
        service: What the sentinels call the master.
        replicas: How many replicas must acknowledge a write.
        max_connections: How many connections a process may have to one server.
        tls: Whether the connections are encrypted.
        login: Options of each connection to a server.
        sentinel_login: Options of each connection to a sentinel.
    """

    way: Way
    addresses: tuple[Address, ...]
    socket: str
    service: str
    replicas: int
    max_connections: int
    tls: bool
    login: dict[str, Any] = field(repr=False)
    sentinel_login: dict[str, Any] = field(repr=False)


def read_url(url: str) -> Target:
    """Return what a URL says.

    Raises:
        ConfigurationError: It is not understood; nothing of it is repeated.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, True, True))
    except ValueError:
        raise _fault("is not a URL") from None
    if parts.fragment:
        raise _fault("has a '#', which in a password is written %23")
    base, _, how = parts.scheme.partition("+")
    way, tls = Way(how or "single"), base in _ENCRYPTED
    counts = _read_options(options, way, tls)
    socket, path = _place(parts, way)
    login: dict[str, Any] = dict(_credentials(parts))
    login |= {"db": _database(path, way, counts.get("db"))}
    login |= {key: options[key] for key in ("client_name",) if key in options}
    shared = _tls(options) if tls else {}
    return Target(
        way=way,
        addresses=() if socket else _addresses(parts, way),
        socket=socket,
        service=unquote(path[0]) if way is Way.SENTINEL else "",
        replicas=counts.get("replicas", 0 if way is Way.SINGLE else 1),
        max_connections=counts.get("max_connections", 2**31),
        tls=tls,
        login=login | shared,
        sentinel_login={
            key.removeprefix("sentinel_"): options[key]
            for key in ("sentinel_username", "sentinel_password")
            if key in options
        }
        | shared,
    )


def _fault(text: str) -> ConfigurationError:
    return ConfigurationError(f"PASETO_STORE {text}")


def _read_options(options: dict[str, str], way: Way, tls: bool) -> dict[str, int]:
    """Return the options that are numbers, once none is unknown."""
    known = (*_COUNTS, *_TEXTS, *_TLS)
    if options.keys() - set(known):
        # Not repeated: it may be the rest of a password with a '?' in it.
        raise _fault(
            f"has an option that is none; there are {', '.join(known)}, and how long "
            "a call may take is PASETO_STORE_TIMEOUT"
        )
    if not tls and any(key in _TLS for key in options):
        raise _fault("has options of TLS, which is spoken with 'rediss' or 'valkeys'")
    if way is not Way.SENTINEL and any(key.startswith("sentinel_") for key in options):
        raise _fault("has options of sentinels, which are asked with '+sentinel'")
    counts: dict[str, int] = {}
    for key in _COUNTS:
        if key in options:
            if not re.fullmatch(r"[0-9]{1,9}", options[key]):
                raise _fault(f"has an option {key!r} that is not a number")
            counts[key] = int(options[key])
    if counts.get("max_connections") == 0:
        raise _fault("has an option 'max_connections' that leaves none")
    return counts


def _place(parts: SplitResult, way: Way) -> tuple[str, list[str]]:
    """Return the path of a socket, and the parts of any other path."""
    path = [part for part in parts.path.split("/") if part]
    if way is Way.SENTINEL and not path:
        raise _fault("must end in the name of the master: …+sentinel://host/mymaster")
    host = parts.netloc.rpartition("@")[2]
    alone = way is Way.SINGLE and path and not (len(path) == 1 and path[0].isdecimal())
    if not alone:
        return "", path
    if host:
        raise _fault("has a path that is not the number of a database")
    if parts.scheme in _ENCRYPTED:
        raise _fault("names a socket, where there is no TLS: take the last 's' out")
    return unquote(parts.path), []


def _database(path: list[str], way: Way, option: int | None) -> int:
    rest = path[1:] if way is Way.SENTINEL else path
    if len(rest) > 1 or any(not part.isdecimal() for part in rest):
        raise _fault("has a path that is not the number of a database")
    found = {int(part) for part in rest} | ({option} if option is not None else set())
    if len(found) > 1:
        raise _fault("names two databases")
    number = found.pop() if found else 0
    if number and way is Way.CLUSTER:
        raise _fault("names a database, but a cluster has only the one, 0")
    return number


def _credentials(parts: SplitResult) -> dict[str, str]:
    info, found, _ = parts.netloc.rpartition("@")
    name, _, password = info.partition(":")
    if found and not password:
        raise _fault("has a user and no password: write '%40' for '@' in a password")
    given = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}


def _addresses(parts: SplitResult, way: Way) -> tuple[Address, ...]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if way is Way.SINGLE and len(hosts) > 1:
        raise _fault("names several hosts: add '+cluster' or '+sentinel'")
    addresses = []
    for host in hosts:
        found = _HOST.fullmatch(host)
        port = int(found["port"] or _PORT.get(way, 6379)) if found else 0
        if found is None or not 0 < port < 65536:
            raise _fault("has a host that is not understood: write host or host:port")
        addresses.append((unquote(found["v6"] or found["name"]) or "localhost", port))
    return tuple(addresses)


def _tls(options: dict[str, str]) -> dict[str, Any]:
    """Return the options of TLS; the server is verified unless the URL says not to."""
    given: dict[str, Any] = {key: options[key] for key in _TLS if key in options}
    verify = given.setdefault("ssl_cert_reqs", "required")
    if verify not in ("required", "none"):
        raise _fault("has an option 'ssl_cert_reqs' that is not 'required' or 'none'")
    return given | {"ssl_check_hostname": verify == "required"}
