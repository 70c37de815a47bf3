"""The command line: ``flask paseto``.

Flask imports this for each of its commands, so each of ours is imported when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

_COMMANDS = {
    "keygen": "keygen",
    "keys": "keys",
    "inspect": "tokens",
    "issue": "tokens",
    "sessions": "sessions",
    "revoke": "sessions",
    "purge": "sessions",
    "store": "sessions",
}


class LateGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, None where there is none."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"{__name__}.{_COMMANDS[cmd_name]}")
        return cast(click.Command, getattr(module, cmd_name))


@click.group("paseto", cls=LateGroup)
def paseto() -> None:
    """Token authentication with flask_paseto: keys, tokens and sessions."""
