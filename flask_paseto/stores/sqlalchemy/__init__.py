"""`sqlite:///…` and `postgresql+psycopg://…`: sessions and revocations in tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...errors import ConfigurationError
from .calls import Caller
from .file import FilePool
from .postgresql import PostgresqlStore
from .sqlite import SqliteStore

__all__ = ["PostgresqlStore", "SqliteStore", "open_sqlalchemy"]

_NO_DRIVER = (
    "PASETO_STORE names PostgreSQL, whose driver is not here or has no libpq: "
    "pip install 'flask-paseto-auth[postgresql]', or psycopg and sqlalchemy yourself"
)


def open_sqlalchemy(url: str, *, timeout: timedelta) -> PostgresqlStore | SqliteStore:
    """Return the store in the database of a URL; nothing is connected to yet.

    ``sqlite:////var/lib/app/sessions.db``, a file of its own, taken from the current
    directory with three slashes; ``postgresql+psycopg://user:password@host/database``
    with the parameters of libpq, such as ``?sslmode=verify-full``.

    Args:
        url: `PASETO_STORE`.
        timeout: How long a call may take.

    Raises:
        ConfigurationError: The URL is not understood, or the driver is missing;
            nothing of the URL is repeated.
    """
    found = _read(url)
    seconds = timeout.total_seconds()
    if found.get_backend_name() == "sqlite":
        path = _path(found)
        return SqliteStore(Caller(lambda: FilePool(path, seconds), seconds), path)
    try:
        from .server import ServerPool
    except ImportError:
        raise ConfigurationError(_NO_DRIVER) from None
    server = _server(found)
    return PostgresqlStore(Caller(lambda: ServerPool(server, seconds), seconds))


def _read(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "PASETO_STORE is no URL of a database: percent-encode what is not a "
            "letter or a digit in its user and password"
        ) from None


def _path(url: URL) -> str:
    """Return the file of a URL."""
    if url.drivername.lower() not in {"sqlite", "sqlite+pysqlite"}:
        raise ConfigurationError(
            "PASETO_STORE names a driver for SQLite that is not Python's own: "
            "write 'sqlite:///…'"
        )
    name = url.database or ""
    if name in {"", ":memory:"} or name.startswith("file:") or url.host or url.query:
        raise ConfigurationError(
            "PASETO_STORE must be a file of SQLite, without options: workers do not "
            "share what is in memory; write 'sqlite:////var/lib/…/sessions.db', or "
            "'memory://' in tests"
        )
    return str(Path(name).absolute())


def _server(url: URL) -> URL:
    """Return a URL with the driver that is used."""
    if url.drivername.lower() not in {"postgresql", "postgresql+psycopg"}:
        raise ConfigurationError(
            "PASETO_STORE names a driver for PostgreSQL that cannot be cut off in "
            "time: write 'postgresql+psycopg://…'"
        )
    if url.query.get("target_session_attrs", "read-write") not in {
        "read-write",
        "primary",
    }:
        raise ConfigurationError(
            "PASETO_STORE asks for a replica, which would let in what was revoked: "
            "take target_session_attrs out of the URL"
        )
    return url.set(drivername="postgresql+psycopg")
