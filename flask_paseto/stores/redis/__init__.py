"""`redis://` and its like: sessions and revocations on Redis or Valkey."""

from __future__ import annotations

from datetime import timedelta

from .nodes import find_nodes
from .store import RedisStore
from .url import read_url

__all__ = ["RedisStore", "open_redis"]


def open_redis(url: str, *, timeout: timedelta) -> RedisStore:
    """Return the store on the servers of a URL; nothing is connected to yet.

    ``redis://user:password@host:6379/0``, or ``valkey://``; with an ``s`` for TLS;
    ``redis:///run/valkey.sock`` for a socket; ``redis+sentinel://a:26379,b/mymaster``;
    ``redis+cluster://a:6379,b:6379``. Options: ``replicas``, how many must acknowledge
    a write (1 with sentinels or a cluster, else 0), ``db``, ``max_connections``,
    ``client_name``, ``ssl_ca_certs`` and its like, ``sentinel_username`` and
    ``sentinel_password``.

    Args:
        url: `PASETO_STORE`.
        timeout: How long a call may take, and how long each step of a new connection.

    Raises:
        ConfigurationError: The URL is not understood; nothing of it is repeated.
    """
    seconds = timeout.total_seconds()
    return RedisStore(find_nodes(read_url(url), seconds))
