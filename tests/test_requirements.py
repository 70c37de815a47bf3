"""Every line of the requirements is shown by a test that names it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REQUIREMENTS = [
    "TOK-1",
    "TOK-2",
    "TOK-3",
    "TOK-4",
    "KEY-1",
    "KEY-2",
    "KEY-3",
    "KEY-4",
    "KEY-5",
    "KEY-6",
    "KEY-7",
    "KEY-8",
    "INTEROP-1",
    "INTEROP-2",
    "FOOT-1",
    "JSON-1",
    "CLM-1",
    "CLM-2",
    "TIME-1",
    "ISS-1",
    "HDR-1",
    "LOC-1",
    "LOC-2",
    "OPT-1",
    "BODY-1",
    "QRY-1",
    "ANS-1",
    "ANS-2",
    "ANS-3",
    "ANS-4",
    "STEP-1",
    "STEP-2",
    "STEP-3",
    "ROT-1",
    "ROT-2",
    "ROT-3",
    "ROT-4",
    "ROT-5",
    "ROT-6",
    "REV-1",
    "REV-2",
    "REV-3",
    "REV-4",
    "REV-5",
    "CK-1",
    "CK-2",
    "CSRF-1",
    "LIFE-1",
    "LIFE-2",
    "LIFE-3",
    "LIFE-4",
]


def named(path: Path) -> Iterator[str]:
    """Give the ids in the `requirement` markers of a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr="requirement"), args=args):
                for argument in args:
                    assert isinstance(argument, ast.Constant), path.name
                    assert isinstance(argument.value, str), path.name
                    yield argument.value


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """Return the ids and the files that name them."""
    ids: dict[str, set[str]] = {}
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for requirement in named(path):
            ids.setdefault(requirement, set()).add(path.name)
    return ids


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_requirement_is_named_by_a_test(
    found: dict[str, set[str]], requirement: str
) -> None:
    assert found.get(requirement), f"no test is marked with {requirement}"


def test_no_test_names_a_requirement_that_is_none(
    found: dict[str, set[str]],
) -> None:
    assert {id: found[id] for id in found.keys() - set(REQUIREMENTS)} == {}
