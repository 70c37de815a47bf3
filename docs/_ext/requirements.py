"""Which tests show which requirement, read from the markers without any import."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Tests = dict[str, list[str]]
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Section:
    """A group of requirements: their texts by their ids."""

    title: str
    lines: dict[str, str]


def read_sections(path: Path) -> list[Section]:
    """Return the requirements of this version."""
    found = tomllib.loads(path.read_text("utf-8"))["section"]
    return [Section(each["title"], each["lines"]) for each in found]


def find_tests(root: Path) -> Tests:
    """Return the marked tests below a folder, by the ids in their markers.

    Raises:
        ValueError: A marker holds something that is not a plain id.
    """
    found: Tests = {}
    for path in sorted(root.rglob("test_*.py")):
        name = path.relative_to(root).as_posix()
        module = ast.parse(path.read_text("utf-8"), name)
        of_all = set(_ids(_pytestmark(module), name))
        for prefix, test, above in _tests(module, "", of_all):
            ids = {*above, *_ids(test.decorator_list, name)}
            for each in sorted(ids):
                found.setdefault(each, []).append(f"{name}::{prefix}{test.name}")
    return found


def list_faults(sections: list[Section], tests: Tests) -> list[str]:
    """Return what does not fit: a line without a test, a marker without a line."""
    known = {each for section in sections for each in section.lines}
    faults = [f"{each} has no test" for each in sorted(known - tests.keys())]
    for each in sorted(tests.keys() - known):
        faults.append(f"{each} is marked in {tests[each][0]}, but is no requirement")
    return faults


def _tests(
    owner: ast.Module | ast.ClassDef, prefix: str, ids: set[str]
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, set[str]]]:
    for node in owner.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = [*node.decorator_list, *_pytestmark(node)]
            inner = ids | set(_ids(marks, node.name))
            yield from _tests(node, f"{prefix}{node.name}::", inner)
        elif isinstance(node, _FUNCTION) and node.name.startswith("test"):
            yield prefix, node, ids


def _pytestmark(owner: ast.Module | ast.ClassDef) -> list[ast.expr]:
    return [
        node.value
        for node in owner.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
    ]


def _ids(expressions: list[ast.expr], where: str) -> Iterator[str]:
    """Give the ids of every ``requirement(...)`` in there, ``pytest.param`` too."""
    for node in (node for each in expressions for node in ast.walk(each)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "requirement":
            continue
        for argument in node.args:
            if not isinstance(argument, ast.Constant) or not argument.value:
                raise ValueError(f"{where}:{node.lineno}: a marker without a plain id")
            yield str(argument.value)
