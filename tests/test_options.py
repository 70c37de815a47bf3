"""Arguments and settings are brought to one form, or refused with their name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypedDict

import pytest

from flask_paseto.options import (
    as_bytes,
    as_duration,
    as_flag,
    as_names,
    as_scheme,
    as_scopes,
    as_text,
    as_type,
    as_utc,
    header_key,
    refuse_unknown,
)

Convert = Callable[[Any, str], Any]
EAST = timezone(timedelta(hours=2))
WEST = timezone(timedelta(hours=-2))

# Callable, what is given, what is made of it.
YES: list[tuple[Convert, Any, Any]] = [
    (as_duration, 1, timedelta(seconds=1)),
    (as_duration, 900, timedelta(minutes=15)),
    (as_duration, timedelta(seconds=1), timedelta(seconds=1)),
    (as_duration, timedelta(days=1, microseconds=1), timedelta(days=1, microseconds=1)),
    (as_duration, timedelta.max, timedelta.max),
    (as_text, "a", "a"),
    (as_text, " é ", " é "),
    (as_scheme, "Bearer", "Bearer"),
    (as_scheme, "", ""),
    (as_scheme, "My-Scheme", "My-Scheme"),
    (as_flag, True, True),
    (as_flag, False, False),
    (as_bytes, b"\x00\xff", b"\x00\xff"),
    (as_bytes, "é", "é".encode()),
    (as_bytes, "", b""),
    (as_names, "a", ("a",)),
    (as_names, ["b", "a"], ("b", "a")),
    (as_names, ("a",), ("a",)),
    (as_names, {"a"}, ("a",)),
    (as_names, iter("ab"), ("a", "b")),
    (as_scopes, "", frozenset()),
    (as_scopes, "read  write read", frozenset({"read", "write"})),
    (as_scopes, ["read", "a:b/c?d=e"], frozenset({"read", "a:b/c?d=e"})),
    (as_scopes, [], frozenset()),
    (as_scopes, "!#[]~", frozenset({"!#[]~"})),
    (as_type, "a", "a"),
    (as_type, "invite.v2:ro_x-y", "invite.v2:ro_x-y"),
    (as_type, "a" * 64, "a" * 64),
    (as_utc, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
    (as_utc, datetime(2026, 1, 1, 2, tzinfo=EAST), datetime(2026, 1, 1, tzinfo=UTC)),
    (as_utc, datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    (as_scopes, " a  b ", frozenset({"a", "b"})),
    (header_key, "Authorization", "HTTP_AUTHORIZATION"),
    (header_key, "x-my-Token", "HTTP_X_MY_TOKEN"),
]

NO: list[tuple[Convert, Any, type[Exception]]] = [
    (as_duration, 0, ValueError),
    (as_duration, -1, ValueError),
    (as_duration, timedelta(microseconds=999_999), ValueError),
    (as_duration, timedelta(days=-1), ValueError),
    (as_duration, 10**14, ValueError),
    (as_duration, 10**400, ValueError),
    (as_duration, True, TypeError),
    (as_duration, 1.5, TypeError),
    (as_duration, "60", TypeError),
    (as_duration, None, TypeError),
    (as_text, "", ValueError),
    (as_text, b"a", TypeError),
    (as_text, None, TypeError),
    (as_text, 1, TypeError),
    (as_scheme, "two words", ValueError),
    (as_scheme, "Bearer ", ValueError),
    (as_scheme, "Bearer\n", ValueError),
    (as_scheme, "Bearer:", ValueError),
    (as_scheme, "é", ValueError),
    (as_scheme, None, TypeError),
    (as_flag, 1, TypeError),
    (as_flag, 0, TypeError),
    (as_flag, None, TypeError),
    (as_flag, "False", TypeError),
    (as_bytes, 1, TypeError),
    (as_bytes, bytearray(b"a"), TypeError),
    (as_names, "", ValueError),
    (as_names, [], ValueError),
    (as_names, ["a", ""], ValueError),
    (as_names, [1], TypeError),
    (as_names, ["a", None], TypeError),
    (as_names, b"ab", TypeError),
    (as_names, 5, TypeError),
    (as_names, None, TypeError),
    (as_scopes, ["two words"], ValueError),
    (as_scopes, [""], ValueError),
    (as_scopes, [1], ValueError),
    (as_scopes, b"read", ValueError),
    (as_scopes, 'a"b', ValueError),
    (as_scopes, "a\\b", ValueError),
    (as_scopes, "é", ValueError),
    (as_scopes, "a\x7f", ValueError),
    (as_scopes, 5, TypeError),
    (as_type, "", ValueError),
    (as_type, "a" * 65, ValueError),
    (as_type, "two words", ValueError),
    (as_type, "a\n", ValueError),
    (as_type, "é", ValueError),
    (as_type, None, TypeError),
    (as_type, 1, TypeError),
    (as_scopes, "a\tb", ValueError),
    (as_scopes, "a\nb", ValueError),
    (as_scopes, "a\u00a0b", ValueError),
    (as_utc, datetime(2026, 1, 1), ValueError),
    (as_utc, datetime.min.replace(tzinfo=EAST), ValueError),
    (as_utc, datetime.max.replace(tzinfo=WEST), ValueError),
    (as_utc, date(2026, 1, 1), TypeError),
    (as_utc, 0, TypeError),
    (as_utc, "2026-01-01T00:00:00Z", TypeError),
    (as_utc, None, TypeError),
    (header_key, "", ValueError),
    (header_key, "X_Token", ValueError),
    (header_key, "X Token", ValueError),
    (header_key, "X-Token\n", ValueError),
    (header_key, "X-Token:", ValueError),
    (header_key, "É", ValueError),
    (header_key, None, TypeError),
    (header_key, b"X-Token", TypeError),
]


def label(value: object) -> str:
    if isinstance(value, frozenset):
        return "set"  # the order of its items is another in each process
    return getattr(value, "__name__", repr(value)[:30])


@pytest.mark.parametrize(("convert", "given", "expected"), YES, ids=label)
def test_a_right_value_is_brought_to_its_form(
    convert: Convert, given: Any, expected: Any
) -> None:
    found = convert(given, "name")

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("convert", "given", "refusal"), NO, ids=label)
def test_a_wrong_value_is_refused_by_the_name_of_its_argument(
    convert: Convert, given: Any, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal) as refused:
        convert(given, "my_argument")

    assert type(refused.value) is refusal
    assert "my_argument" in str(refused.value)


@pytest.mark.parametrize(
    ("convert", "name"),
    [(as_scopes, "scopes"), (as_type, "type"), (header_key, "header_name")],
    ids=label,
)
def test_the_name_of_an_argument_has_a_default(
    convert: Callable[[Any], Any], name: str
) -> None:
    with pytest.raises(ValueError, match=name):
        convert("é")


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize(
    ("convert", "given"),
    [
        (as_bytes, "s3cret-\ud800"),
        (as_type, "s3cret token"),
        (as_scopes, ["s3cret scope"]),
        (as_scheme, "s3cret scheme"),
        (header_key, "s3cret header"),
    ],
    ids=label,
)
def test_a_refusal_does_not_repeat_the_value(convert: Convert, given: Any) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        convert(given, "name")

    assert "s3cret" not in str(refused.value)


class Known(TypedDict, total=False):
    one: int


class More(Known, total=False):
    two: int


def test_an_option_that_is_not_known_is_refused_by_its_name() -> None:
    refuse_unknown({}, Known.__optional_keys__, "it")
    refuse_unknown({"one": 1}, Known.__optional_keys__, "it")
    refuse_unknown({"one": 1, "two": 2}, More.__optional_keys__, "it")
    with pytest.raises(TypeError, match=r"^it has no option a, two$"):
        refuse_unknown({"one": 1, "two": 2, "a": 0}, Known.__optional_keys__, "it")
