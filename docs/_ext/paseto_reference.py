"""Directives that write the reference from the code, so that it cannot drift."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import click
from blinker import NamedSignal
from docutils import nodes
from requirements import find_tests, list_faults, read_sections
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import flask_paseto
from flask_paseto import cli, signals
from flask_paseto.config import PREFIX, SETTINGS
from flask_paseto.errors import PasetoError
from flask_paseto.keys import KEY_SETTINGS

_log = logging.getLogger(__name__)


def write_settings() -> str:
    """Return the settings that are not keys, as Markdown."""
    entries = []
    for setting in SETTINGS:
        default = _as_code(setting.default)
        told = "Default:" in setting.says
        text = setting.says if told else f"{setting.says}\n\n{default}"
        entries.append(_entry(PREFIX + setting.name, text))
    return "\n".join(entries)


def write_key_settings() -> str:
    """Return the settings of keys, as Markdown."""
    entries = []
    for name, says in KEY_SETTINGS.items():
        full = PREFIX + name
        file = f"{PREFIX}{name}_FILE"
        many = ", one key a line or one PEM after the other" if "list" in says else ""
        text = f"{says}\n\n`{file}` names a file that holds it instead{many}."
        entries.append(_entry(full, text))
    return "\n".join(entries)


def _entry(name: str, text: str) -> str:
    return f"````{{setting}} {name}\n{text}\n````\n"


def _as_code(default: Any) -> str:
    if default is None or default == ():
        return "Default: not set."
    if isinstance(default, timedelta):
        return f"Default: `{_in_words(default)}`."
    return f"Default: `{default!r}`."


def _in_words(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0:
            return f"timedelta({unit}={seconds // size})"
    return f"timedelta(seconds={seconds})"


def refusals(parent: type[PasetoError] = PasetoError) -> Iterator[type[PasetoError]]:
    """Give every refusal of the package, parents before their children."""
    for child in parent.__subclasses__():
        if child.__module__.startswith("flask_paseto"):
            yield child
            yield from refusals(child)


def write_errors() -> str:
    """Return the table of refusals and what is known of each, as Markdown."""
    lines = [
        "| class | status | `error` of the body | `error` of the challenge |",
        "| --- | --- | --- | --- |",
    ]
    entries = []
    for refusal in refusals():
        name = refusal.__name__
        if name not in flask_paseto.__all__:
            raise ValueError(f"{name} is not a public name")
        challenge = refusal.challenge_error
        if challenge is None:
            shown = "no `error`" if refusal.code == 401 else "no challenge"
        else:
            shown = f"`{challenge}`"
        retry = refusal.retry_seconds
        status = f"{refusal.code}" + (f", `Retry-After: {retry}`" if retry else "")
        link = f"{{py:exc}}`~flask_paseto.{name}`"
        lines.append(f"| {link} | {status} | `{refusal.error_code}` | {shown} |")
        message = inspect.cleandoc(refusal.default_message)
        entries += [
            "```{eval-rst}",
            f".. autoexception:: flask_paseto.{name}",
            "   :show-inheritance:",
            "",
            f"   | Status: ``{status.replace('`', '')}``",
            f"   | Body: ``{refusal.error_code}``, “{message}”",
            "```",
            "",
        ]
    return "\n".join([*lines, "", *entries])


def write_signals() -> str:
    """Return the signals and what each is sent with, as Markdown."""
    lines = ["```{eval-rst}"]
    for name, signal in vars(signals).items():
        if isinstance(signal, NamedSignal):
            lines += [f".. py:data:: flask_paseto.signals.{name}", ""]
            lines += [f"   {inspect.cleandoc(signal.__doc__ or '')}", ""]
    return "\n".join([*lines, "```"])


def find_command(path: str) -> tuple[click.Command, click.Context]:
    """Return the command of a path such as `keys rotate`, as `flask` runs it.

    Raises:
        ValueError: There is none.
    """
    command: click.Command = cli.paseto
    context = click.Context(command, info_name="flask paseto", terminal_width=80)
    for name in path.split():
        found = (
            command.get_command(context, name)
            if isinstance(command, click.Group)
            else None
        )
        if found is None:
            raise ValueError(f"there is no command flask paseto {path}")
        command, context = found, click.Context(found, context, name)
    return command, context


class Command(SphinxDirective):
    """Put in what `--help` says of a command."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        try:
            command, context = find_command(self.arguments[0])
        except ValueError as fault:
            raise self.error(str(fault)) from fault
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="text")]


class Written(SphinxDirective):
    """Put in what a function writes, as if it stood in the page."""

    write: ClassVar[Callable[[], str]]

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return self.parse_text_to_nodes(type(self).write())


class Settings(Written):
    write = staticmethod(write_settings)


class KeySettings(Written):
    write = staticmethod(write_key_settings)


class Errors(Written):
    write = staticmethod(write_errors)


class Signals(Written):
    write = staticmethod(write_signals)


class Requirements(SphinxDirective):
    """Put in the table requirement -> tests; a gap in it fails the build."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        docs = Path(self.env.srcdir)
        sections = read_sections(docs / "explanation" / "requirements.toml")
        try:
            tests = find_tests(docs.parent / "tests")
        except ValueError as fault:
            raise self.error(str(fault)) from fault
        for fault in list_faults(sections, tests):
            _log.warning("%s", fault, location=self.get_location())
        lines: list[str] = []
        for section in sections:
            lines += [f"**{section.title}**", "", "| | what holds | shown by |"]
            lines += ["| --- | --- | --- |"]
            for name, text in section.lines.items():
                shown = "<br>".join(f"`{test}`" for test in tests.get(name, []))
                lines.append(f"| {name} | {text} | {shown} |")
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives, and settings as something to refer to."""
    app.add_object_type("setting", "setting", indextemplate="%s (setting)")
    app.add_directive("paseto-settings", Settings)
    app.add_directive("paseto-key-settings", KeySettings)
    app.add_directive("paseto-errors", Errors)
    app.add_directive("paseto-signals", Signals)
    app.add_directive("paseto-requirements", Requirements)
    app.add_directive("paseto-command", Command)
    return {"version": "1", "parallel_read_safe": True}
