"""The freshness flow: who may do what, and how recently they logged in.

Logging out, and the list of sessions, come with `session_blueprint`.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import Conflict, Unauthorized

from flask_paseto import (
    PasetoError,
    UserNotFound,
    create_access_token,
    create_token_pair,
    current_user,
    paseto_required,
    refresh_token_required,
    revoke_subject,
    rotate_token_pair,
)

from .fields import EMAIL, NAME, NEW_PASSWORD, PASSWORD, read_fields
from .models import User, add_user, db, find_user

views = Blueprint("views", __name__)


class LoginFailed(PasetoError, Unauthorized):
    """No such user or another password; as a PasetoError it is answered like one."""

    error_code = "login_failed"
    default_message = "Wrong name or password."


def check_password() -> User:
    """Return the user whose name and password the request holds."""
    name, password = read_fields(NAME, PASSWORD)
    user = find_user(name, password)
    if user is None:
        raise LoginFailed
    return user


@views.post("/register")
def register() -> tuple[dict[str, str], int]:
    name, email, password = read_fields(NAME, EMAIL, NEW_PASSWORD)
    if add_user(name, email, password) is None:
        raise Conflict("The name is taken.")
    return {"user": name, "email": email}, 201


@views.post("/login")
def login() -> dict[str, str | int | None]:
    user = check_password()
    pair = create_token_pair(user.id, fresh=True, client=True, address=True)
    return pair.to_dict()


@views.post("/refresh")
@refresh_token_required
def refresh() -> dict[str, str | int | None]:
    return rotate_token_pair().to_dict()


@views.post("/fresh-login")
@paseto_required(optional=True)  # with a token it goes on with that session
def fresh_login() -> dict[str, str]:
    user = check_password()
    return {"access_token": create_access_token(user.id, fresh=True)}


@views.get("/protected")
@paseto_required
def protected() -> dict[str, str]:
    return {"user": current_user.name, "email": current_user.email}


@views.get("/protected-fresh")
@paseto_required(fresh=True)
def protected_fresh() -> dict[str, str]:
    return {"user": current_user.name, "email": current_user.email}


@views.put("/me/email")
@paseto_required(fresh=True)
def change_email() -> dict[str, str]:
    name = current_user.name
    (email,) = read_fields(EMAIL)
    current_user.email = email
    try:
        db.session.commit()
    except StaleDataError:  # the account was deleted since the guard looked
        db.session.rollback()
        raise UserNotFound from None
    return {"user": name, "email": email}


@views.delete("/me")
@paseto_required(max_age=timedelta(minutes=5))
def delete_account() -> tuple[str, int]:
    revoke_subject(current_user.id, reason="deleted")
    db.session.execute(db.delete(User).filter_by(id=current_user.id))
    db.session.commit()
    return "", 204
