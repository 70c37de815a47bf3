"""Stores go away under load: the drills of `benchmarks`, in their short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import postgresql, valkey

pytestmark = pytest.mark.drill

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# On a machine that is busy a call may last longer than its time-out though the store is
# there, and recovery longer than a second: that is for the long form to judge.
SHORT = (
    "--seconds=1.5",
    "--calm=0.5",
    "--timeout=0.5",
    "--interval=1",
    "--recovery=15",
    "--noise=0.02",
    "--users=4",
    "--thieves=1",
    "--pause=0.05",
)
FAULTS = {
    "valkey": (
        "killed",
        "stopped",
        "slow",
        "full",
        "disk full",
        "disk full, not synced",
        "read-only",
    ),
    "postgresql": ("killed", "stopped", "slow", "full", "log full", "read-only"),
    "sqlite": ("gone", "slow", "full"),
}


def run(script: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(BENCHMARKS / script), *options, "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    reports: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, reports


def need(store: str) -> None:
    """Skip where there is no such server; with `CI=true` that is a failure."""
    if store == "valkey":
        valkey.binary()
    if store == "postgresql":
        postgresql.binaries()


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("store", FAULTS)
def test_nobody_is_let_in_unchecked_and_no_session_is_lost_in_an_outage(
    store: str,
) -> None:
    need(store)

    code, (report,) = run(
        "outage_drill.py", f"--store={store}", "--mode=refuse", *SHORT
    )

    assert report["must be 0"] == dict.fromkeys(report["must be 0"], 0)
    assert code == 0
    assert tuple(report["503 in each outage"]) == FAULTS[store]
    assert all(report["503 in each outage"].values())
    assert report["access tokens that passed unchecked"] == 0
    assert report["good tokens accepted"] > 0
    assert report["tokens of a revoked session refused"] > 0


@pytest.mark.requirement("REV-2")
def test_a_copy_answers_through_an_outage_no_longer_than_its_interval() -> None:
    need("valkey")
    faults = ("--fault=killed", "--fault=stopped")

    code, (report,) = run(
        "outage_drill.py", "--store=valkey", "--mode=snapshot", *faults, *SHORT
    )

    assert report["must be 0"] == dict.fromkeys(report["must be 0"], 0)
    assert code == 0
    assert report["tokens of a revoked session refused"] > 0


@pytest.mark.requirement("REV-2")
def test_access_tokens_alone_pass_in_an_outage_where_that_is_allowed() -> None:
    need("valkey")
    faults = ("--fault=killed", "--fault=stopped")

    code, (report,) = run(
        "outage_drill.py", "--store=valkey", "--mode=allow", *faults, *SHORT
    )

    assert report["must be 0"] == dict.fromkeys(report["must be 0"], 0)
    assert code == 0
    assert report["access tokens that passed unchecked"] > 0
    assert all(report["503 in each outage"].values())  # of refreshes and log-ins


def test_the_drill_tells_when_somebody_is_let_in() -> None:
    """An app that allows outages breaks the rules of one that refuses."""
    code, (report,) = run(
        "outage_drill.py",
        "--store=sqlite",
        "--mode=allow",
        "--judge-as=refuse",
        "--fault=gone",
        *SHORT,
    )

    assert code == 1
    assert report["must be 0"]["let in while the store could not be asked"] > 0


@pytest.mark.requirement("REV-1")
@pytest.mark.parametrize("store", ["valkey", "sqlite"])
def test_a_revocation_reaches_every_worker_at_once_or_within_the_interval(
    store: str,
) -> None:
    need(store)

    code, reports = run(
        "reach.py", f"--store={store}", "--interval=1", "--revocations=4"
    )

    assert [each["interval"] for each in reports] == [0.0, 1.0]
    for report in reports:
        assert report["must be 0"] == dict.fromkeys(report["must be 0"], 0)
        assert report["revocations"] == 4
        assert 0 < report["p50 ms"] <= report["p99 ms"]
    assert code == 0
