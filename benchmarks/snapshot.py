"""Measure the memory of a worker's copy of what is revoked.

The memory is what tracemalloc counts, so it is that of the objects and not of the
process; the ids are those that the package makes.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flask_paseto.snapshot import Snapshot
from flask_paseto.stores import (
    OVERLAP,
    Changes,
    CutOff,
    MemoryStore,
    Revoked,
    micros,
    new_id,
)

PART = 1000  # entries a call
KINDS = ("sessions", "tokens", "cut_offs")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Told(MemoryStore):
    """A store that tells so many entries of one kind, in parts, and makes each anew."""

    def __init__(self, kind: str, count: int) -> None:
        super().__init__(clock=utc_now)
        self.kind, self.count = kind, count

    def changes(self, since: str | None, *, horizon: int) -> Changes:
        start = int(since or 0)
        end = min(start + PART, self.count)
        entries: Any = tuple(self.entries(start, end))
        return Changes(
            cursor=str(end),
            reload=since is None,
            more=end < self.count,
            **{self.kind: entries},
        )

    def entries(self, start: int, end: int) -> Iterator[Revoked | CutOff]:
        now = micros(utc_now())
        for number in range(start, end):
            subject, until = f"user-{number:012}", now + OVERLAP + number + 10**12
            if self.kind == "cut_offs":
                yield CutOff(subject=subject, cut_off=now, at=now, until=until)
            else:
                yield Revoked(id=new_id(subject), at=now + number, until=until)


def measure(kind: str, count: int) -> dict[str, Any]:
    """Return the bytes of each of so many entries."""
    snapshot = Snapshot(
        Told(kind, count),
        interval=timedelta(minutes=5),
        longest=timedelta(hours=1),
        leeway=timedelta(seconds=10),
        budget=timedelta(hours=1),
    )
    gc.collect()
    tracemalloc.start()
    snapshot.sync(utc_now)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if len(snapshot) != count:
        raise RuntimeError(f"{len(snapshot)} entries are there, not {count}")
    return {"kind": kind, "bytes_each": size / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=200_000, help="(200,000)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    rows = [measure(kind, options.entries) for kind in KINDS]
    report = {"Python": platform.python_version(), "entries": options.entries}
    if options.json:
        print(json.dumps({**report, "kinds": rows}, indent=2))
        return
    print(f"Python {report['Python']}, {options.entries} entries of a kind")
    for row in rows:
        print(f"{row['kind']:<10}{row['bytes_each']:8.0f} bytes each")


if __name__ == "__main__":
    main()
