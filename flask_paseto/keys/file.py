"""The key ring file: read strictly, written whole or not at all, watched."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from .entries import RingDocument, build_ring, parse_document, write_document
from .ring import KeyRing, Purpose, RingKey
from .rotation import RELOAD_INTERVAL
from .source import ForkSafeLock, Ticks, monotonic

_log = logging.getLogger("flask_paseto")

MAX_SIZE = 8_000_000  # bytes, of some ten thousand keys

Signature = tuple[int, ...] | None


class MissingFile(ValueError):
    """There is no such file."""


class OlderFile(ValueError):
    """The file is an older version of one that was there."""


def read_document(path: Path) -> RingDocument:
    """Return what a ring file says.

    Raises:
        ValueError: It cannot be read, others may read it, it is damaged, or it is
            older than what was written here last.
    """
    document = parse_document(_read_private(path))
    refuse_older(document, _read_mark(path))
    return document


def read_for_restore(path: Path) -> tuple[RingDocument, int]:
    """Return what a ring file says, however old, and the newest version known here.

    Raises:
        ValueError: It cannot be read, others may read it, or it is damaged.
    """
    return parse_document(_read_private(path)), _read_mark(path)


def refuse_older(document: RingDocument, newest: int) -> None:
    """Refuse a document of a lower version than the newest one that is known.

    Raises:
        OlderFile: It is one.
    """
    if document.version < newest:
        raise OlderFile(
            f"is version {document.version}, older than version {newest}, which was "
            "here before; if it was put back on purpose: flask paseto keys restore "
            "--keyring FILE"
        )


def _read_private(path: Path) -> bytes:
    """Return what is in a file that nobody else may read."""
    if not hasattr(os, "geteuid"):
        raise ValueError("cannot be used on this system: it has no owners of files")
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("is not a file")
            _check_mode(status.st_mode, file.fileno())
            if status.st_uid not in (0, os.geteuid(), os.stat(path.parent).st_uid):
                raise ValueError("belongs to another user than its folder does")
            raw = file.read(MAX_SIZE + 1)
    except FileNotFoundError as fault:
        raise MissingFile(f"cannot be read: {fault.strerror}") from None
    except OSError as fault:
        raise ValueError(f"cannot be read: {fault.strerror}") from None
    if len(raw) > MAX_SIZE:
        raise ValueError(f"is larger than {MAX_SIZE} bytes")
    return raw


def _check_mode(mode: int, descriptor: int) -> None:
    """Refuse what others may read or write.

    The group may read a file that is mounted read-only, as secrets of a cluster are.
    """
    mode = stat.S_IMODE(mode)
    if mode & 0o037:
        raise ValueError(f"has the mode {mode:04o}, so others have it too: chmod 600")
    if mode & 0o040 and not _is_read_only(descriptor):
        raise ValueError(
            f"has the mode {mode:04o}: its group may read it only on a read-only "
            "mount; chmod 600"
        )


def _is_read_only(descriptor: int) -> bool:
    return bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)


def _lock_path(path: Path) -> Path:
    path = path.resolve()
    return path.with_name(path.name + ".lock")


def _open_lock(path: Path) -> int:
    """Open the lock, and no link in its place: root gives away what it finds there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(_lock_path(path), flags, 0o600)


def _read_mark(path: Path) -> int:
    """Return the version that was written here last, 0 where that is not known."""
    try:
        return int(_lock_path(path).read_text("ascii") or 0)
    except (OSError, ValueError):
        return 0  # a copy on another machine, or a mount without it


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the one lock of a ring file, for a change that begins with a look.

    Raises:
        ValueError: The folder is not there, cannot be written, or is no place where
            files can be locked.
    """
    try:
        import fcntl
    except ImportError:
        raise ValueError("cannot be changed on this system: it has no flock") from None
    with ExitStack() as held:
        try:
            descriptor = _open_lock(path)
            held.callback(os.close, descriptor)
            _keep_owner(path, descriptor)  # also where nothing will be written
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as fault:
            raise ValueError(f"cannot be changed: {fault.strerror}") from None
        yield


def write_file(path: Path, document: RingDocument) -> None:
    """Put a document in the place of the file, under :func:`locked`.

    Killed at any moment, the old file is there or the new one. The mode is 0600, the
    owner that of the former file.

    Raises:
        ValueError: It cannot be written.
    """
    path = path.resolve()  # where it is, and not the link to it, is replaced
    temporary = path.with_name(path.name + ".new")
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()  # of a writer that was killed
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            _keep_owner(path, descriptor)
            file.write(write_document(document) + "\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
        _sync_folder(path.parent)
        # After the file: killed in between, the mark is lower and refuses nothing.
        _write_mark(path, document.version)
    except OSError as fault:
        raise ValueError(f"cannot be written: {fault.strerror}") from None


def _keep_owner(path: Path, descriptor: int) -> None:
    """Give the new file to whom the old one belongs: root may rotate for the app."""
    try:
        former = os.stat(path)
    except FileNotFoundError:
        former = os.stat(path.parent)
    if os.geteuid() == 0:
        os.fchown(descriptor, former.st_uid, former.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_mark(path: Path, version: int) -> None:
    descriptor = _open_lock(path)
    try:
        _keep_owner(path, descriptor)
        os.pwrite(descriptor, f"{version:020d}".encode(), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileKeys:
    """The ring of a file, read again when the file changed.

    It is looked at once a second at most, by whoever comes first; who comes then
    waits. What is wrong with it then is logged, and the last good ring stays.

    Raises:
        ValueError: There is no good ring to begin with.
    """

    def __init__(
        self,
        path: Path,
        *,
        password: str | bytes | None = None,
        accepted: Iterable[RingKey] = (),
        issuer: str | None = None,
        purpose: Purpose | None = None,
        ticks: Ticks = monotonic,
    ) -> None:
        self._path = path
        self._password = password
        self._accepted = tuple(accepted)
        self._issuer = issuer
        self._purpose: Purpose | None = purpose
        self._ticks = ticks
        self._lock = ForkSafeLock()
        self._known: dict[str, RingKey] = {}
        self._version = 0
        self._next = ticks() + RELOAD_INTERVAL.total_seconds()
        self._signature = self._sign()
        self._ring = self._read()

    def current(self) -> KeyRing:
        """Return the ring as the file has it, a second ago or less."""
        if self._ticks() >= self._next:
            self._look()
        return self._ring

    def find(self, key_id: str) -> RingKey | None:
        """Return None: a key is in the file before it issues."""
        return None

    def _look(self) -> None:
        with self._lock:
            now = self._ticks()
            if now < self._next:
                return  # another thread was here
            signature = self._sign()
            if signature != self._signature:
                self._reload()
                self._signature = signature
            # From before the look: it does not see what comes while it reads.
            self._next = now + RELOAD_INTERVAL.total_seconds()

    def _reload(self) -> None:
        try:
            self._ring = self._read()
        except ValueError as fault:
            _log.error(
                "PASETO_KEYRING (%s) %s; the last good ring stays", self._path, fault
            )
        else:
            _log.info("PASETO_KEYRING: version %d is in use", self._version)

    def _read(self) -> KeyRing:
        document = read_document(self._path)
        refuse_older(document, self._version)
        ring, known = build_ring(
            document,
            password=self._password,
            known=self._known,
            accepted=self._accepted,
        )
        refuse_issuer(ring, self._issuer)
        refuse_purpose(ring, self._purpose)
        self._known, self._version = known, document.version
        return ring

    def _sign(self) -> Signature:
        """Return what changes with the file, without opening it."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        times = found.st_mtime_ns, found.st_ctime_ns
        return found.st_ino, found.st_size, *times, found.st_mode

    def __reduce__(self) -> Any:
        raise TypeError("a key ring of flask_paseto cannot be pickled or copied")


def refuse_issuer(ring: KeyRing, issuer: str | None) -> None:
    """Refuse a ring whose issuing key is tied to another issuer than the app's.

    Raises:
        ValueError: It is.
    """
    for key in ring.issuing.values():
        if key.issuer is not None and key.issuer != issuer:
            raise ValueError(
                "has an issuing key that is tied to another issuer than PASETO_ISSUER"
            )


def refuse_purpose(ring: KeyRing, purpose: Purpose | None) -> None:
    """Refuse a ring that issues tokens of another purpose than the setting says.

    Raises:
        ValueError: It does.
    """
    if purpose not in (None, ring.purpose):
        raise ValueError(
            f"issues {ring.purpose} tokens, while PASETO_PURPOSE is {purpose!r}; take "
            "PASETO_PURPOSE out"
        )
