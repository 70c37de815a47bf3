"""What happened, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.exceptions import HTTPException

from flask_paseto import PasetoError


@dataclass(frozen=True, slots=True)
class Words:
    """What went wrong, and what to do now."""

    title: str
    text: str


# Why somebody has to sign in again.
ENDED = {
    "token_expired": "You were away for a while, so you have to sign in again.",
    "token_revoked": (
        "This session was ended: you signed out, or somebody ended it from another "
        "device."
    ),
    "token_reused": (
        "This session was ended for safety: its refresh token was used twice, so "
        "somebody else may have a copy of it."
    ),
    "user_not_found": "The account of this session does not exist any more.",
}

# What a page says once, after what was done. The query names the line, never the text.
SAID = {
    "signed-out": "You are signed out. This session has ended.",
    "deleted": "Your account is deleted, and all of its sessions have ended.",
    "email-changed": "Your e-mail address is changed.",
    "ended-others": "All other sessions have ended.",
    "ended-one": "The session has ended.",
    "announced": (
        "A new key is announced. In a moment every worker accepts it, and then it "
        "may issue."
    ),
    "promoted": (
        "The key issues now. The one before is accepted until its last token ends."
    ),
    "retired": "The key has ended, and with it every token that it sealed.",
    "too-early": "Not every worker may know that key yet. Try again in a moment.",
}

_OF_REFUSALS = {
    "csrf_failed": Words(
        "This page is out of date",
        "What you sent did not come from a page of your present session. Go back, "
        "load the page anew, and try again.",
    ),
    "other_site": Words(
        "That came from another site",
        "Another site tried to send this in your name. Nothing was changed.",
    ),
    "insufficient_scope": Words(
        "Not for this account",
        "Your account may not do that. An administrator may.",
    ),
    "store_unavailable": Words(
        "Try again in a moment",
        "It cannot be checked now whether your session still lives, so nobody is let "
        "in. Nothing was changed.",
    ),
    "keys_unavailable": Words(
        "Try again in a moment", "The keys cannot be read now. Nothing was changed."
    ),
}
_OF_STATUS = {
    404: Words("There is no such page", "The address is wrong, or the page is gone."),
    405: Words("This is no page", "This address takes requests of the app alone."),
    413: Words("That is too much", "What you sent is too large. Nothing was changed."),
}
_ELSE = Words("Something went wrong", "It is not your fault. Try again in a moment.")
_BAD = Words(
    "That did not work", "The request was not understood. Nothing was changed."
)


def in_words(error: HTTPException) -> Words:
    """Return an error in words for people."""
    if isinstance(error, PasetoError) and error.error_code in _OF_REFUSALS:
        return _OF_REFUSALS[error.error_code]
    status = error.code or 500
    return _OF_STATUS.get(status, _BAD if status < 500 else _ELSE)
