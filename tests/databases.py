"""The databases of the example app, closed when a test has done with it."""

from __future__ import annotations

from example_app.models import db
from flask_paseto.state import current_state


def close_databases() -> None:
    """Close users and sessions of the current app; Python 3.13 tells who does not."""
    db.engine.dispose()
    store = current_state().config.store
    if store is not None:
        store.close()
