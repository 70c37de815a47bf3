"""``flask paseto keygen``: make a key."""

from __future__ import annotations

from typing import cast

import click

from ..keys import Purpose
from ..keys.paserk import generate_key, public_half, wrap_key
from .options import ask_password, json_option, key_options, print_json


@click.command()
@key_options()
@click.option(
    "--password",
    "with_password",
    is_flag=True,
    help="Ask for a password and print the key wrapped with it, for a key ring. It is "
    "taken from PASETO_KEYRING_PASSWORD where that is set.",
)
@json_option
def keygen(version: str, purpose: str, with_password: bool, as_json: bool) -> None:
    """Print a new key as PASERK; what to do with it goes to standard error.

    With --purpose public there are two lines: the private key, then the public one.
    """
    key = generate_key(int(version), cast(Purpose, purpose))
    secret = key.to_paserk()
    if with_password:
        secret = wrap_key(key, ask_password(confirm=True))
    found = {"PASETO_SECRET_KEY": secret}
    if purpose == "public":
        found = {
            "PASETO_PRIVATE_KEY": secret,
            "PASETO_PUBLIC_KEY": public_half(key).to_paserk(),
        }
    if as_json:
        print_json(found)
        return
    for paserk in found.values():
        click.echo(paserk)
    if with_password:
        click.echo(
            "Take it into a key ring: flask paseto keys announce --from FILE", err=True
        )
        return
    click.echo(f"Set it as {', and the second line as '.join(found)}.", err=True)
    click.echo(
        "Keep it out of the repository: who has it can log in as anybody.", err=True
    )
