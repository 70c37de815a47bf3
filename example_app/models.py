"""The users, in SQLite."""

from __future__ import annotations

from secrets import token_urlsafe

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
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
