"""Whether the cookies of a session outlive the browser's window, as its row has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .claims import Claims
from .stores import Session, Store

# What stands in the data of a row; of anything else the setting decides.
_WORDS: Final = {True: "persistent", False: "until-closed"}


def persistence_of(row: Session, default: bool) -> bool:
    """Return whether the cookies of a session persist.

    Args:
        default: What the settings say, where nobody said so at the login.
    """
    told = "" if row.issued is None else row.issued.data
    return default if told not in _WORDS.values() else told == _WORDS[True]


def note_persistence(claims: Claims, persistent: bool, store: Store) -> None:
    """Let the row of a refresh token know how its cookies are kept.

    The browser does not tell, and the next cookies are to be kept as these.

    Raises:
        StoreUnavailable: It cannot be told.
    """
    row = None if claims.session_id is None else store.session(claims.session_id)
    if row is None or row.issued is None or row.issued.jti != claims.jti:
        return  # no token that leads to next ones
    store.attach(row.session_id, replace(row.issued, data=_WORDS[persistent]))
