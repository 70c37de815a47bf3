"""Read the body of a request, where a place of tokens or the CSRF value needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from .errors import InvalidRequest

T = TypeVar("T")


def read_data(request: Request) -> bytes:
    """Return the body as it came.

    Raises:
        InvalidRequest: It breaks off.
    """
    return _read(request.get_data)


def read_form(request: Request) -> MultiDict[str, str]:
    """Return the fields of a form; none where the body is none.

    Raises:
        InvalidRequest: It breaks off.
    """
    return _read(lambda: request.form)


def _read(read: Callable[[], T]) -> T:
    """Return what is read of a body; each server breaks off in errors of its own."""
    try:
        return read()
    except RequestEntityTooLarge:
        raise
    except Exception:
        raise InvalidRequest from None
