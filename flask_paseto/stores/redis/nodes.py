"""Which server answers for a bucket: the one there is, a master, a part of a cluster.

The driver's own client of a cluster repeats commands, and cannot send `WAIT` after a
script on the connection of that script; so only its connections are used.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast

from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError
from redis.sentinel import Sentinel

from .connections import OfProcess, Pool, options
from .url import Address, Target, Way

BUCKETS = tuple(f"{number:02x}" for number in range(256))
_SLOTS = {bucket: key_slot(bucket.encode()) for bucket in BUCKETS}


class Nodes(Protocol):
    """The servers. What is learned of them is replaced, never changed: no lock."""

    @abstractmethod
    def of(self, bucket: str) -> Pool:
        """Return the server of a bucket."""

    @abstractmethod
    def groups(self) -> list[tuple[Pool, list[str]]]:
        """Return each server with its buckets."""

    @abstractmethod
    def doubt(self, bucket: str | None) -> None:
        """Look again, before the next call, who answers; that of a bucket did not."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""


def find_nodes(target: Target, timeout: float) -> Nodes:
    """Return the servers of a URL; no connection is opened yet."""
    if target.way is Way.CLUSTER:
        return Cluster(target, timeout)
    if target.way is Way.SENTINEL:
        return Sentinels(target, timeout)
    return Single(target, timeout)


class Single:
    """One server that is always the same."""

    def __init__(self, target: Target, timeout: float) -> None:
        address = target.addresses[0] if target.addresses else None
        self._pool = Pool(target, address, timeout=timeout)

    def of(self, bucket: str) -> Pool:
        """Return the server."""
        return self._pool

    def groups(self) -> list[tuple[Pool, list[str]]]:
        """Return the server with all buckets."""
        return [(self.of(BUCKETS[0]), list(BUCKETS))]

    def doubt(self, bucket: str | None) -> None:
        """Do nothing: there is no other."""

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Asks(Protocol):
    """What of the driver's `Sentinel` is used here; it has no types."""

    @abstractmethod
    def discover_master(self, service_name: str) -> Address:
        """Return where the master is."""


class Sentinels:
    """The master that the sentinels name."""

    def __init__(self, target: Target, timeout: float) -> None:
        self._target, self._timeout = target, timeout
        self._pool: Pool | None = None
        self._doubtful = True
        # All are asked within the time of one call.
        share = timeout / len(target.addresses)
        kwargs = {**options(target, share), **target.sentinel_login, "ssl": target.tls}
        make = cast(Callable[..., _Asks], Sentinel)
        self._sentinel = OfProcess(
            lambda: make(target.addresses, sentinel_kwargs=kwargs)
        )

    def of(self, bucket: str) -> Pool:
        """Return the master."""
        pool = self._pool
        if pool is not None and not self._doubtful:
            return pool
        host, port = self._sentinel.get().discover_master(self._target.service)
        if pool is None or pool.address != (host, port):
            self.close()
            pool = Pool(self._target, (host, port), timeout=self._timeout)
        self._pool, self._doubtful = pool, False
        return pool

    def groups(self) -> list[tuple[Pool, list[str]]]:
        """Return the master with all buckets."""
        return [(self.of(BUCKETS[0]), list(BUCKETS))]

    def doubt(self, bucket: str | None) -> None:
        """Ask the sentinels again."""
        self._doubtful = True

    def close(self) -> None:
        """Close the connections to the master."""
        if self._pool is not None:
            self._pool.close()


class Cluster:
    """The masters of a cluster, by slot; its replicas are never asked."""

    def __init__(self, target: Target, timeout: float) -> None:
        self._target, self._timeout = target, timeout
        self._pools: dict[Address, Pool] = {}
        self._of: dict[str, Address] = {}
        self._doubtful = True
        self._last: Address | None = None

    def of(self, bucket: str) -> Pool:
        """Return the master of a bucket."""
        self._look()
        address = self._of.get(bucket)
        if address is None:
            raise ClusterDownError("CLUSTERDOWN no master has this bucket")
        return self._at(address)

    def groups(self) -> list[tuple[Pool, list[str]]]:
        """Return each master with its buckets."""
        self._look()
        groups: dict[Address, list[str]] = {}
        for bucket in BUCKETS:
            if bucket not in self._of:
                raise ClusterDownError("CLUSTERDOWN a bucket has no master")
            groups.setdefault(self._of[bucket], []).append(bucket)
        return [(self._at(address), buckets) for address, buckets in groups.items()]

    def doubt(self, bucket: str | None) -> None:
        """Ask again who has which slot, and last of all the one that failed."""
        if bucket is not None:
            self._last = self._of.get(bucket)
        self._doubtful = True

    def close(self) -> None:
        """Close the connections to all masters."""
        for pool in list(self._pools.values()):
            pool.close()

    def _at(self, address: Address) -> Pool:
        pool = self._pools.get(address)
        if pool is None:  # two threads may make one each: setdefault keeps the first
            made = Pool(self._target, address, timeout=self._timeout)
            pool = self._pools.setdefault(address, made)
        return pool

    def _look(self) -> None:
        """Learn who has which slot, from the first that answers; else keep what is."""
        if not self._doubtful:
            return
        known = dict.fromkeys([*self._of.values(), *self._target.addresses])
        order = sorted(known, key=lambda address: address == self._last)
        failed: RedisError = ClusterDownError("CLUSTERDOWN nobody was asked")
        for address in order[:3]:
            try:
                reply = self._at(address).ask([(b"CLUSTER", b"SLOTS")])[0]
            except RedisError as error:
                failed = error
                continue
            self._of = dict(_owners(reply, address))
            self._doubtful = False
            return
        if not self._of:
            raise failed


def _owners(reply: Iterable[Any], asked: Address) -> Iterator[tuple[str, Address]]:
    """Give each bucket and its master; a host that is empty is the one asked."""
    for start, end, (host, port, *_), *_ in reply:
        address = ((host or b"").decode() or asked[0], port)
        for bucket, slot in _SLOTS.items():
            if start <= slot <= end:
                yield bucket, address
