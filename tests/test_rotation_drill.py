"""Keys rotate under load: the drill of `benchmarks`, its short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

DRILL = Path(__file__).parents[1] / "benchmarks" / "rotation_drill.py"


@pytest.mark.requirement("KEY-7")
def test_nobody_is_refused_or_let_in_wrongly_while_keys_rotate() -> None:
    options = ["--kind=local", "--requests=2000", "--users=4", "--pause=0.02"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(DRILL), *options, "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stderr
    (report,) = json.loads(done.stdout)
    must_be_0 = report["must be 0"]
    assert must_be_0 == dict.fromkeys(must_be_0, 0)
    assert done.returncode == 0
    assert report["requests"] >= 2000
    assert report["workers"] == 4
    assert report["keys that ended"] >= 2
    assert report["good tokens accepted"] > 0
    assert report["tokens of a retired key refused"] > 0
