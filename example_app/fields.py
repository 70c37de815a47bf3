"""What a request may say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest


@dataclass(frozen=True, slots=True)
class Field:
    """One text in the JSON body: its name, its form, and the form in words."""

    name: str
    form: str
    says: str

    def accepts(self, value: Any) -> bool:
        """Tell whether a value has the form."""
        return (
            isinstance(value, str)
            and _is_unicode(value)
            and re.fullmatch(self.form, value, re.DOTALL) is not None
        )


NAME = Field("name", r"[a-z0-9_.-]{1,64}", "1 to 64 of a-z, 0-9 and _ . -")
EMAIL = Field(
    "email",
    r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}",
    "an address of 254 characters at most",
)
NEW_PASSWORD = Field("password", r".{8,128}", "8 to 128 characters")
PASSWORD = Field("password", r".{1,128}", "128 characters at most")


def read_fields(*fields: Field) -> list[str]:
    """Return these fields of the JSON body.

    Raises:
        HTTPException: A 4xx that says all that is wrong with it.
    """
    try:
        body = request.get_json()
    except RecursionError:
        raise BadRequest("The JSON is nested too deeply.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    wrong = [field for field in fields if not field.accepts(body.get(field.name))]
    if wrong:
        raise BadRequest(" ".join(f"{f.name} must be {f.says}." for f in wrong))
    return [body[field.name] for field in fields]


def _is_unicode(text: str) -> bool:
    """Tell whether it can be encoded; JSON can hold half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
