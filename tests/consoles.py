"""The `flask paseto` commands in the documentation, typed and compared."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from click.testing import CliRunner
from flask import Flask
from flask.cli import ScriptInfo

from flask_paseto.cli import paseto

# What differs each time: an id, another PASERK or a token, a time. All of them but
# times are cut short in the pages.
_VARYING = re.compile(
    r"(?P<id>k\d\.[lp]id\.[\w-]{4,}…)"
    r"|(?P<key>k\d\.[a-z-]+\.…|v\d\.[a-z]+\.[\w-]*…)"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)"
    r"|…"
)
_ANY = {
    "id": r"k\d\.[lp]id\.[\w-]{44}",
    "key": r"[kv]\d\.[a-z-]+\.[\w.-]+",
    "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    None: r".*",
}


class Commands:
    """A reader who types the commands of a page, in one folder and one shell.

    An id that the page shows stands for the same key wherever the page has it.
    """

    def __init__(self, app: Callable[[], Flask]) -> None:
        self._app = app
        self._ids: dict[str, str] = {}  # as shown -> as made
        self._shift = timedelta()
        self._code = 0
        self._env: dict[str, str] = {}

    def wait(self, **duration: int) -> None:
        """Let time pass."""
        self._shift += timedelta(**duration)

    def export(self, **variables: str) -> None:
        """Set variables of the shell."""
        self._env |= variables

    def run(self, command: str, shown: str) -> None:
        """Type a command, and compare what came with what is shown.

        Commands that are not ours, and those that a shell has to put together, are
        left out.
        """
        piped, _, command = command.rpartition(" | ")
        words = shlex.split(command.partition(" #")[0])
        match words:
            case ["sleep", seconds]:
                self.wait(seconds=int(seconds))
            case ["export", setting] if "$(" not in setting:
                name, _, self._env[name] = setting.partition("=")
            case ["cp", "-p", source, target]:
                shutil.copy2(source, target)
            case ["echo", "$?"]:
                assert shown == str(self._code)
            case ["flask", "paseto", *rest]:
                self._run(rest, shown, None, _typed(piped))
            case ["flask", "--app", _, "paseto", *rest]:
                self._run(rest, shown, lambda *_: self._app(), _typed(piped))

    def _run(self, words: list[str], shown: str, create: Any, typed: str) -> None:
        info = ScriptInfo(create_app=create, load_dotenv_defaults=False)
        words = [self._made(word) for word in words]
        with time_machine.travel(datetime.now(UTC) + self._shift):
            result = CliRunner().invoke(
                paseto, words, obj=info, env=self._env, input=typed
            )
        self._code = result.exit_code
        self._compare(shown, result.output.rstrip("\n"))

    def _made(self, word: str) -> str:
        """Return an argument with the key that was made in the place of the shown."""
        for shown, made in self._ids.items():
            if word.startswith("k") and shown.startswith(word):
                return made
        return self._env.get(word.removeprefix("$"), os.path.expandvars(word))

    def _compare(self, shown: str, came: str) -> None:
        pattern, last, ids = "", 0, []
        for found in _VARYING.finditer(shown):
            kind = found.lastgroup
            pattern += re.escape(shown[last : found.start()])
            pattern += f"({_ANY[kind]})" if kind == "id" else _ANY[kind]
            last = found.end()
            if kind == "id":
                ids.append(found[0].removesuffix("…"))
        match = re.fullmatch(pattern + re.escape(shown[last:]), came, re.DOTALL)
        assert match is not None, came
        for name, made in zip(ids, match.groups(), strict=True):
            assert self._ids.setdefault(name, made) == made, name


def _typed(command: str) -> str:
    """Return what `printf %s "$NAME"` prints."""
    return os.path.expandvars(shlex.split(command)[-1]) if command else ""
