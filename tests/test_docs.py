"""The documentation does what it says: its code runs, its names exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import click
import pytest
from flask import Flask
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser
from werkzeug.test import TestResponse

from flask_paseto.cli import paseto
from flask_paseto.config import PREFIX, SETTINGS
from flask_paseto.errors import PasetoError
from flask_paseto.keys import KEY_SETTINGS, generate_key, public_half

from .conftest import SECRET_KEY
from .consoles import Commands

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

BY_CHANCE = {"Server", "Date", "Connection", "Content-Length"}
# The names of shell variables in the console blocks, and what goes into them.
PASTED = {"ACCESS": "access_token", "FRESH": "access_token", "REFRESH": "refresh_token"}


class Session:
    """A reader who writes the code of a page into app.py and types its commands."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []
        self.app: Flask | None = None  # the server that was last started
        self.variables: dict[str, str] = {}
        self.answer: dict[str, Any] = {}
        self.namespace: dict[str, Any] = {}  # what the page has defined so far
        self.commands = Commands(lambda: cast(Flask, self.namespace["app"]))

    def run_python(self, example: Example) -> None:
        PythonEvaluator()(example)
        padding = "\n" * (example.line + example.parsed.line_offset)
        self.blocks.append(compile(padding + example.parsed, example.path, "exec"))
        self.app = None

    def run_console(self, example: Example) -> None:
        for command, output in _commands(example.parsed):
            pasted = re.fullmatch(r"([A-Z]+)=v4\.local\.\S+", command)
            if pasted:
                self.variables[pasted[1]] = self.answer[PASTED[pasted[1]]]
            elif command.startswith("curl "):
                self._curl(command, output)
            else:
                self.commands.run(command, output)

    def _curl(self, command: str, output: str) -> None:
        for name, value in self.variables.items():
            command = command.replace(f"${name}", value)
            command = command.replace("${" + name + "}", value)
        options, request = _parse_curl(command)
        response = self._server().test_client().open(**request)
        if "i" in options:
            head, _, output = output.partition("\n\n")
            _assert_head(head, response)
        assert _matches(output, response.text), response.text
        if response.is_json:
            self.answer = response.get_json()

    def _server(self) -> Flask:
        """Start the app anew when there was something new to write into it."""
        if self.app is None:
            namespace: dict[str, Any] = {"__name__": "app"}
            for block in self.blocks:
                exec(block, namespace)  # noqa: S102
            self.app = namespace["app"]
        return self.app


def _keys() -> dict[str, str]:
    """Return what the pages expect in the environment."""
    private = generate_key(4, "public")
    return {
        "PASETO_SECRET_KEY": SECRET_KEY,
        "OLD_SECRET_KEY": generate_key().to_paserk(),
        "PASETO_PRIVATE_KEY": private.to_paserk(),
        "PASETO_PUBLIC_KEY": public_half(private).to_paserk(),
    }


def _commands(text: str) -> list[tuple[str, str]]:
    """Return what was typed after each prompt, and what came back."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", " ").partition("\n")
        found.append((command, output.rstrip("\n")))
    return found


def _parse_curl(command: str) -> tuple[str, dict[str, Any]]:
    words = iter(shlex.split(command)[1:])
    flags, headers, data, method = "", [], [], None
    path = ""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers.append((name, value))
        elif word in ("-d", "--json"):
            data.append(next(words))
            if word == "--json":
                headers.append(("Content-Type", "application/json"))
        elif word.startswith("-"):
            flags += word[1:]
        else:
            path = word.removeprefix("http://").partition("/")[2]
    if data and "Content-Type" not in dict(headers):
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    return flags, {
        "path": "/" + path,
        "method": method or ("POST" if data else "GET"),
        "headers": headers,
        "data": "&".join(data),
    }


def _assert_head(head: str, response: TestResponse) -> None:
    status, *lines = head.splitlines()
    assert status == f"HTTP/1.1 {response.status}"
    shown = dict(line.split(": ", 1) for line in lines)
    sent = dict(response.headers.items())
    for name in (shown.keys() | sent.keys()) - BY_CHANCE:
        assert shown.get(name) == sent.get(name), name


def _matches(shown: str, sent: str) -> bool:
    """Tell whether an answer is as shown, where … stands for anything."""
    shown = re.sub(r"\b(v4\.local\.)[\w-]+…", r"\1…", shown)
    pattern = ".*".join(map(re.escape, shown.split("…")))
    return re.fullmatch(pattern, sent.rstrip("\n"), re.DOTALL) is not None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_code_of_the_page_runs(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, key in _keys().items():
        monkeypatch.setenv(name, key)
    monkeypatch.chdir(tmp_path)
    session = Session()
    parsers = [
        CodeBlockParser("python", session.run_python),
        CodeBlockParser("console", session.run_console),
    ]
    document = Sybil(parsers).parse(page)
    document.namespace["__name__"] = "app"
    document.namespace["wait"] = session.commands.wait
    document.namespace["export"] = session.commands.export
    session.namespace = document.namespace
    for example in document.examples():
        example.evaluate()


def test_tests_of_the_testing_guide_pass(tmp_path: Path) -> None:
    blocks: list[str] = []
    parser = CodeBlockParser("python", lambda example: blocks.append(example.parsed))
    for example in Sybil([parser]).parse(DOCS / "how-to" / "testing.md").examples():
        example.evaluate()
    (tmp_path / "test_guide.py").write_text("\n\n".join(blocks))
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(  # noqa: S603
        command,
        env={"PYTHONPATH": str(ROOT), "PASETO_SECRET_KEY": SECRET_KEY},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda p: p.name)
def test_settings_named_in_the_page_exist(page: Path) -> None:
    known = {PREFIX + setting.name for setting in SETTINGS}
    known |= {PREFIX + name + end for name in KEY_SETTINGS for end in ("", "_FILE")}
    known.add("PASETO_KEYRING_PASSWORD_FILE")
    named = set(re.findall(r"PASETO_[A-Z_]*[A-Z]", page.read_text("utf-8")))
    assert named - known == set()


def test_every_command_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")
    named = re.findall(r"^```\{paseto-command\} (.+)$", page, re.MULTILINE)
    assert sorted(named) == sorted(_commands_of(paseto))


def _commands_of(group: click.Group, path: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield path + name
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands_of(command, f"{path}{name} ")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_error_codes_shown_in_the_page_exist(page: Path) -> None:
    known = {refusal.error_code for refusal in _refusals(PasetoError)}
    shown = re.findall(r'"error": ?"([a-z_]+)"', page.read_text("utf-8"))
    assert set(shown) <= known


def _refusals(parent: type[PasetoError]) -> list[type[PasetoError]]:
    children = parent.__subclasses__()
    return [*children, *(each for child in children for each in _refusals(child))]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_of_the_page_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_and_tutorial_show_json_that_is_json() -> None:
    for page in PAGES:
        for block in re.findall(r"```json\n(.*?)```", page.read_text("utf-8"), re.S):
            json.loads(block)


def _load_requirements() -> ModuleType:
    path = DOCS / "_ext" / "requirements.py"
    spec = importlib.util.spec_from_file_location("docs_requirements", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_table_of_requirements_finds_markers_and_tells_gaps(tmp_path: Path) -> None:
    table = _load_requirements()
    (tmp_path / "test_some.py").write_text(
        """
pytestmark = pytest.mark.requirement("A-1")

@pytest.mark.requirement("A-2", "A-3")
def test_two(): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("B-1"))])
async def test_param(x): ...

class TestAll:
    @pytest.mark.requirement("X-9")
    def test_method(self): ...
"""
    )
    tests = table.find_tests(tmp_path)
    assert tests["A-2"] == tests["A-3"] == ["test_some.py::test_two"]
    assert tests["B-1"] == ["test_some.py::test_param"]
    assert tests["X-9"] == ["test_some.py::TestAll::test_method"]
    assert len(tests["A-1"]) == 3
    lines = dict.fromkeys(["A-1", "A-2", "A-3", "B-1", "C-1"], "")
    assert table.list_faults([table.Section("All", lines)], tests) == [
        "C-1 has no test",
        "X-9 is marked in test_some.py::TestAll::test_method, but is no requirement",
    ]


def test_marker_that_is_no_plain_id_is_told(tmp_path: Path) -> None:
    source = "@pytest.mark.requirement(NAME)\ndef test_it(): ...\n"
    (tmp_path / "test_some.py").write_text(source)
    with pytest.raises(ValueError, match="without a plain id"):
        _load_requirements().find_tests(tmp_path)
