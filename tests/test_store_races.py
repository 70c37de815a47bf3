"""The races of the benchmarks in their short form, over threads and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .valkey import shared

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "store_races.py"


def races(url: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(SCRIPT), url, "--rounds", "10", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.requirement("ROT-1")
def test_of_64_simultaneous_refreshes_one_commits_a_successor() -> None:
    """In threads, and in 4 processes that share nothing but the server."""
    found = races(shared().url)

    for way in ("threads", "processes"):
        assert (found[way]["rounds"], found[way]["callers"]) == (10, 64)
        assert found[way]["faults"] == {}
        assert sum(found[way]["verdicts"].values()) == 640


@pytest.mark.requirement("ROT-1")
def test_of_64_simultaneous_refreshes_in_memory_one_commits_a_successor() -> None:
    found = races("memory://")

    assert set(found) == {"threads"}
    assert found["threads"]["faults"] == {}
