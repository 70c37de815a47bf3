"""Calls of a store to its servers: answered, or refused as the house refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from redis.exceptions import MovedError

from .connections import Pool
from .faults import refusal
from .lua import Script
from .nodes import Nodes
from .rows import pack

_T = TypeVar("_T")


class Caller:
    """Who calls the servers, and knows whether that has ever worked.

    Args:
        nodes: The servers.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._proven = False

    def run(
        self,
        bucket: str,
        script: Script,
        keys: list[str],
        args: list[str | int],
        *,
        wait: bool = True,
    ) -> Any:
        """Run a script on the server of a bucket; `wait` for its replicas.

        Raises:
            StoreUnavailable: There was no answer in time, or too few replicas have it.
            StoreFault: The set-up is wrong, and never worked.
        """
        packed = [pack(key) for key in keys], [pack(value) for value in args]
        return self._try(
            lambda: self._nodes.of(bucket).run(script, *packed, wait=wait), bucket
        )

    def each(self, ask: Callable[[Pool, list[str]], _T]) -> list[_T]:
        """Ask each server, with its buckets; raises as `run`."""
        return self._try(
            lambda: [ask(pool, buckets) for pool, buckets in self._nodes.groups()]
        )

    def one(self, bucket: str, ask: Callable[[Pool, list[str]], _T]) -> _T:
        """Ask the server of a bucket, with all its buckets; raises as `run`."""

        def find() -> _T:
            groups = self._nodes.groups()
            return ask(*next(group for group in groups if bucket in group[1]))

        return self._try(find, bucket)

    def close(self) -> None:
        """Close the connections; a later call opens them again."""
        self._nodes.close()

    def _try(
        self, ask: Callable[[], _T], bucket: str | None = None, *, again: bool = True
    ) -> _T:
        try:
            answer = ask()
        except MovedError as error:  # nothing was run: another server has it now
            failure: Exception = error
            self._nodes.doubt(None)
        except Exception as error:  # never an exception of the driver
            failure, again = error, False
            self._nodes.doubt(bucket)
        else:
            self._proven = True
            return answer
        # Outside of the except: what the driver raised may hold what was sent.
        if again:
            return self._try(ask, bucket, again=False)
        raise refusal(failure, proven=self._proven)
