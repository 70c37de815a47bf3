"""The manager, and who a token speaks for."""

from __future__ import annotations

from flask_paseto import Claims, PasetoManager

from .models import User, db

paseto = PasetoManager()


@paseto.user_lookup_loader
def load_user(claims: Claims) -> User | None:
    """Return the user of a token; None, a deleted one, is a 401 at once."""
    return db.session.get(User, int(claims.subject))
