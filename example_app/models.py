"""The users, in SQLite."""

from __future__ import annotations

from secrets import token_urlsafe

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable
from werkzeug.security import check_password_hash, generate_password_hash


class Base(DeclarativeBase):
    """What the tables have in common."""


db = SQLAlchemy(model_class=Base)


class User(Base):
    """Somebody who registered."""

    __tablename__ = "user"
    # Tokens name the id, so the id of a deleted user must never be given again.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254))
    password_hash: Mapped[str]


class Administrator(Base):
    """A user who may change the keys; a table of its own, so that old ones stay."""

    __tablename__ = "administrator"

    user_id: Mapped[int] = mapped_column(primary_key=True)


def create_tables() -> None:
    """Create what is missing; processes that start together do not collide."""
    for table in Base.metadata.sorted_tables:
        db.session.execute(CreateTable(table, if_not_exists=True))
    db.session.commit()


# Checked where there is no such user, so that the time it takes tells nothing.
_NOBODY = generate_password_hash(token_urlsafe())


def find_user(name: str, password: str) -> User | None:
    """Return the user of that name, None unless the password is theirs."""
    user = db.session.scalar(db.select(User).filter_by(name=name))
    matches = check_password_hash(user.password_hash if user else _NOBODY, password)
    return user if matches else None


def add_user(name: str, email: str, password: str) -> User | None:
    """Return the user who is now registered, None where the name is taken."""
    user = User(name=name, email=email, password_hash=generate_password_hash(password))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return None
    return user


def appoint(user: User) -> None:
    """Make a user an administrator, who may change the keys from the next login on."""
    db.session.merge(Administrator(user_id=user.id))
    db.session.commit()


def is_administrator(user: User) -> bool:
    """Tell whether a user may change the keys."""
    return db.session.get(Administrator, user.id) is not None
