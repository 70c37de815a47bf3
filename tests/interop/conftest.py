"""The other implementations, started once a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .peers import Node, NpmPeer, Peer, PythonPeer

# The npm package `paseto` leaves v4.local to extensions; `paseto-ts` has it.
PEERS = {
    "paseto": ("v3.local", "v3.public", "v4.public"),
    "paseto-ts": ("v4.local", "v4.public"),
    "pypi-paseto": ("v3.local", "v3.public", "v4.local", "v4.public"),
}
PAIRS = [(name, kind) for name, kinds in PEERS.items() for kind in kinds]


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Return the process that answers with the npm packages."""
    node = Node()
    yield node
    node.close()


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return an implementation and a kind of token that it has."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def kind(pair: tuple[str, str]) -> str:
    """Return the kind of token, such as ``v4.local``."""
    return pair[1]


@pytest.fixture
def peer(pair: tuple[str, str], node: Node) -> Peer:
    """Return the implementation."""
    if pair[0] == PythonPeer.name:
        return PythonPeer()
    return NpmPeer(node, pair[0])
