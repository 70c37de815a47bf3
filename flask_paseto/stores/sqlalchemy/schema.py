"""The tables, their version, and the way from one version to the next."""

from __future__ import annotations

import re
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.types import TypeEngine

# Raise it with each change of the tables, and write the change into MIGRATIONS.
VERSION = 1
# What leads from a version to the one after it, in the SQL of both databases.
MIGRATIONS: dict[int, tuple[str, ...]] = {}

INIT = "run 'flask paseto store init' as a user who may create tables"
OLDER = f"its tables are those of an older release: {INIT}"
NEWER = "its tables are those of a newer release: upgrade flask-paseto-auth"

_AWKWARD = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\([0-9a-f]{4})")


class Name(TypeDecorator[str]):
    """A text of any characters that is compared byte by byte.

    PostgreSQL takes no NUL and no lone surrogate, either may be in a claim. And its
    own order of texts changes with the C library, after which an index may no longer
    find what is revoked; the collation C never changes.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that the database has for it."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored: awkward characters as four hex digits."""
        if value is None:
            return None
        return _AWKWARD.sub(lambda found: f"\\{ord(found[0]):04x}", value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what was given."""
        if not isinstance(value, str) or "\\" not in value:
            return value  # SQLite takes bytes for a text: whoever reads it refuses
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)


def _micros(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _name(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Name, nullable=nullable)


metadata: MetaData = MetaData()

schema: Table = Table(
    "paseto_schema",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("incarnation", Text, nullable=False),
)

# `idle` and `lifetime` are differences of the times that are here. The columns that
# are as wide as a word come first, so that PostgreSQL pads none.
sessions: Table = Table(
    "paseto_sessions",
    metadata,
    _micros("opened_at"),
    _micros("used_at"),
    _micros("idle_expires_at"),
    _micros("expires_at"),
    _micros("auth_time", nullable=True),
    _micros("rotated_at", nullable=True),
    _micros("revoked_at", nullable=True),
    _micros("issued_at", nullable=True),
    _micros("issued_expires_at", nullable=True),
    _micros("access_expires_at", nullable=True),
    Column("sid", Name, primary_key=True),
    _name("subject"),
    _name("jti", nullable=True),
    _name("previous_jti", nullable=True),
    _name("access_jti", nullable=True),
    _name("scopes", nullable=True),
    _name("audience", nullable=True),
    _name("data", nullable=True),
    _name("client"),
    _name("address"),
    _name("reason"),
    Index("paseto_sessions_subject", "subject"),
    # Room in each page: a refresh then changes no index.
    postgresql_with={"fillfactor": 85},
)
Index(
    "paseto_sessions_revoked_at",
    sessions.c.revoked_at,
    postgresql_where=sessions.c.revoked_at.is_not(None),
    sqlite_where=sessions.c.revoked_at.is_not(None),
)

# `call` tells which call revoked a token: of many at once one alone may have been it.
tokens: Table = Table(
    "paseto_tokens",
    metadata,
    _micros("at"),
    _micros("until", nullable=True),
    _micros("call"),
    Column("jti", Name, primary_key=True),
    _name("reason"),
    Index("paseto_tokens_at", "at"),
    sqlite_with_rowid=False,
)

cut_offs: Table = Table(
    "paseto_cut_offs",
    metadata,
    _micros("cut_off"),
    _micros("at"),
    _micros("until", nullable=True),
    Column("subject", Name, primary_key=True),
    _name("reason"),
    Index("paseto_cut_offs_at", "at"),
    sqlite_with_rowid=False,
)


def find_version(connection: Connection) -> int | None:
    """Return the version of the tables, None if they were not finished."""
    return connection.scalar(select(schema.c.version))


def find_fault(version: int | None) -> str | None:
    """Return what is wrong with tables of a version, None if nothing is."""
    if version == VERSION:
        return None
    if version is None:
        return f"its tables are not there: {INIT}"
    return OLDER if version < VERSION else NEWER


def make_tables(connection: Connection) -> None:
    """Make the tables, or bring them up to date, within a transaction.

    Whoever calls has seen to it that nobody else does the same meanwhile.
    """
    schema.create(connection, checkfirst=True)
    version = find_version(connection)
    if version is None:
        metadata.create_all(connection)
        row = {"id": 1, "version": VERSION, "incarnation": token_hex(8)}
        connection.execute(insert(schema).values(row))
        return
    for step in range(version, VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(text(statement))
        connection.execute(update(schema).values(version=step + 1))
