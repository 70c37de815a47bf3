"""The engine of SQLAlchemy as the stores of both databases use it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Engine, QueuePool, create_engine

from .calls import CONNECTIONS

_NAME = "paseto"

# At DEBUG the engine logs each row, and who may be in it: it says nothing, unless
# its own logger is set. Parameters it never shows.
logging.getLogger(f"sqlalchemy.engine.Engine.{_NAME}").setLevel(logging.WARNING)


def make_engine(url: str | URL, connect: Callable[[], Any]) -> Engine:
    """Return an engine whose statements are a transaction each, unless one begins."""
    return create_engine(
        url,
        creator=connect,
        poolclass=QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=0,
        pool_use_lifo=True,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        logging_name=_NAME,
    )
