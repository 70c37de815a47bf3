"""The command line: ``flask paseto``."""

from __future__ import annotations

import json
from typing import cast

import click

from .keys import Purpose, generate_key, public_half


@click.group("paseto")
def paseto() -> None:
    """Token authentication with flask_paseto."""


@paseto.command()
@click.option(
    "--version",
    type=click.Choice(["4", "3"]),
    default="4",
    show_default=True,
    help="The PASETO version; 3 where NIST algorithms are required.",
)
@click.option(
    "--purpose",
    type=click.Choice(["local", "public"]),
    default="local",
    show_default=True,
    help="local: one secret key that encrypts. public: a key pair that signs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def keygen(version: str, purpose: str, as_json: bool) -> None:
    """Print a new key as PASERK; what to do with it goes to standard error.

    With --purpose public there are two lines: the private key, then the public one.
    """
    key = generate_key(int(version), cast(Purpose, purpose))
    found = {"PASETO_SECRET_KEY": key.to_paserk()}
    if purpose == "public":
        found = {
            "PASETO_PRIVATE_KEY": key.to_paserk(),
            "PASETO_PUBLIC_KEY": public_half(key).to_paserk(),
        }
    if as_json:
        click.echo(json.dumps(found))
        return
    for paserk in found.values():
        click.echo(paserk)
    click.echo(f"Set it as {', and the second line as '.join(found)}.", err=True)
    click.echo(
        "Keep it out of the repository: who has it can log in as anybody.", err=True
    )
