"""A key ring file as it is changed: under its lock, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from .entries import KeyState, RingDocument, RingEntry, read_paserk
from .file import MissingFile, locked, read_document, read_for_restore, write_file
from .material import as_paserk
from .paserk import generate_key, is_wrapped, parse_paserk, unwrap_paserk, wrap_key
from .ring import Purpose, RingKey
from .rotation import (
    Pace,
    TooEarly,
    announce,
    find_announced,
    find_entry,
    has_ended,
    note_lifetime,
    promote,
    prune,
    retire,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step in the life of a ring.

    Attributes:
        done: `created`, `announced`, `promoted` or `retired`.
        entry: The key it was about, as it is now.
        document: The ring as it is now.
        pruned: The ids of keys that went on the way.
    """

    done: str
    entry: RingEntry
    document: RingDocument
    pruned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """A ring file and all that can be done with its keys.

    Each step is taken under the lock of the file, whole or not at all. All of them
    raise ValueError, with words for whoever called, when the file cannot be read or
    written, or the step makes no sense.

    Attributes:
        clock: Gives the time, with an offset; asked when a step is taken, which may
            have waited for its turn.
        password: What its keys are wrapped with, None: they are not.
        refuse: Raises ValueError for a ring that the app would not take.
    """

    path: Path
    clock: Callable[[], datetime]
    pace: Pace = field(default_factory=Pace)
    password: str | bytes | None = field(default=None, repr=False)
    refuse: Callable[[RingDocument], None] = lambda document: None

    def read(self) -> RingDocument:
        """Return what the file says."""
        with _naming(self.path):
            return read_document(self.path)

    def announce(
        self,
        *,
        version: int | None = None,
        purpose: Purpose | None = None,
        issuer: str | None = None,
        key: str | None = None,
    ) -> Step:
        """Put in a key that is accepted and issues nothing yet, but the first one.

        Args:
            version: Without it that of the key that issues, else 4. A `key` that is a
                text is derived for it.
            purpose: Without it that of the key that issues, else `local`.
            issuer: The only `iss` that its tokens may have.
            key: An existing key in any form that a setting takes, instead of a new
                one. A public key never issues.
        """
        new: list[str] = []

        def step(document: RingDocument) -> RingDocument:
            issuing = document.issuing
            kind = version or (issuing.version if issuing else 4)
            use: Purpose = purpose or (issuing.purpose if issuing else "local")
            text = key or generate_key(kind, use).to_paserk()
            paserk = as_paserk(text, version=kind, manager="default")
            entry = self._entry(document, paserk, issuer)
            new.append(entry.id)
            return note_lifetime(announce(document, entry), self.pace)

        document = self._change(step)
        return Step("announced", find_entry(document, new[0]), document)

    def promote(self, key_id: str | None = None, *, force: bool = False) -> Step:
        """Let an announced key issue: this one, or the one announced first.

        The former one is accepted until the last of its tokens has expired.

        Args:
            key_id: Its id, or the beginning of it.
            force: Do not wait until every reader can have seen it.

        Raises:
            TooEarly: Some reader may not know it yet.
        """
        chosen: list[str] = []

        def step(document: RingDocument) -> RingDocument:
            announced = find_announced(document)
            if key_id is None and announced is None:
                raise ValueError("no key is announced: flask paseto keys announce")
            wanted = key_id or ("" if announced is None else announced.id)
            chosen.append(find_entry(document, wanted).id)
            return self._promoted(document, chosen[0], force=force)

        document = self._change(step, missing_ok=False)
        return Step("promoted", find_entry(document, chosen[0]), document)

    def retire(self, key_id: str, *, at_once: bool = False) -> Step:
        """Give a key its end: when the last of its tokens has expired, or now."""

        def step(document: RingDocument) -> RingDocument:
            now = self.clock()
            return retire(document, key_id, now=now, pace=self.pace, at_once=at_once)

        return self._step("retired", step, key_id, missing_ok=False)

    def prune(self) -> tuple[list[str], RingDocument]:
        """Take out the keys that have ended; return their ids and what is left."""
        pruned: list[str] = []

        def step(document: RingDocument) -> RingDocument:
            now = self.clock()
            pruned.extend(e.id for e in document.entries if has_ended(e, now))
            return prune(document, now)

        return pruned, self._change(step, missing_ok=False)

    def rotate(
        self,
        *,
        version: int | None = None,
        purpose: Purpose | None = None,
        issuer: str | None = None,
    ) -> Step:
        """Take the next step: make the ring, announce a key, or promote it.

        A new key is of the kind of the one that issues, and tied to the same issuer;
        the arguments are for the first. What has ended is pruned on the way.

        Raises:
            TooEarly: The next step is to promote, and some reader may not know the
                key yet.
        """
        found: list[tuple[str, str]] = []
        pruned: list[str] = []
        early: list[TooEarly] = []

        def step(document: RingDocument) -> RingDocument:
            now = self.clock()
            pruned.extend(e.id for e in document.entries if has_ended(e, now))
            document = prune(document, now)
            announced, issuing = find_announced(document), document.issuing
            if announced is not None:
                try:
                    after = self._promoted(document, announced.id, force=False)
                except TooEarly as fault:
                    early.append(fault)
                    return document  # what has ended is out all the same
                found.append(("promoted", announced.id))
                return after
            kind = _kind_of(issuing, version, purpose, issuer)
            entry = self._new_entry(document, *kind)
            found.append(("announced" if issuing else "created", entry.id))
            return note_lifetime(announce(document, entry), self.pace)

        document = self._change(step)
        if early:
            raise early[0]
        done, key_id = found[0]
        return Step(done, find_entry(document, key_id), document, tuple(pruned))

    def restore(self, *, above: int = 0) -> RingDocument:
        """Accept a file that was put back from a copy: number it anew.

        Args:
            above: A version that running workers have seen.
        """
        self._refuse_missing()
        with _naming(self.path), locked(self.path):
            document, newest = read_for_restore(self.path)
            version = max(document.version, newest, above) + 1
            document = replace(document, version=version)
            write_file(self.path, document)
        return document

    def _step(
        self,
        done: str,
        step: Callable[[RingDocument], RingDocument],
        key_id: str,
        *,
        missing_ok: bool = True,
    ) -> Step:
        document = self._change(step, missing_ok=missing_ok)
        return Step(done, find_entry(document, key_id), document)

    def _change(
        self,
        step: Callable[[RingDocument], RingDocument],
        *,
        missing_ok: bool = True,
    ) -> RingDocument:
        """Return the document after a step, which is then in the file."""
        if not missing_ok:
            self._refuse_missing()
        with ExitStack() as held:
            with _naming(self.path):
                held.enter_context(locked(self.path))
            missing = missing_ok and not self.path.exists()
            before = RingDocument() if missing else self.read()
            after = step(before)
            if after is not before:
                self.refuse(after)
                with _naming(self.path):
                    write_file(self.path, after)
        return after

    def _refuse_missing(self) -> None:
        """Refuse a ring that is not there, before a lock is left beside nothing."""
        with _naming(self.path):
            read_for_restore(self.path)

    def _promoted(
        self, document: RingDocument, key_id: str, *, force: bool
    ) -> RingDocument:
        now = self.clock()
        return promote(document, key_id, now=now, pace=self.pace, force=force)

    def _new_entry(
        self, document: RingDocument, version: int, purpose: Purpose, issuer: str | None
    ) -> RingEntry:
        paserk = generate_key(version, purpose).to_paserk()
        return self._entry(document, paserk, issuer)

    def _entry(
        self, document: RingDocument, paserk: str, issuer: str | None
    ) -> RingEntry:
        key = read_paserk(paserk, self.password)
        return RingEntry(
            id=key.key_id,
            key=self._wrapped(document, paserk, key),
            state=KeyState.ANNOUNCED,
            added=self.clock(),  # after the wrapping, which takes its time
            lifetime=self.pace.lifetime if self.pace.known else None,
            issuer=issuer,
        )

    def _wrapped(self, document: RingDocument, paserk: str, key: RingKey) -> str:
        """Return the key as it goes into the file."""
        wrapped = [each.key for each in document.entries if is_wrapped(each.key)]
        if wrapped:
            self._check_password(wrapped[0])
        if not self.password or is_wrapped(paserk) or not key.private:
            return paserk
        return wrap_key(parse_paserk(paserk, paserk.split(".")[1]), self.password)

    def _check_password(self, wrapped: str) -> None:
        """Refuse another password: no worker could read the ring any more."""
        if not self.password:
            raise ValueError(
                "the keys of the ring are wrapped: set PASETO_KEYRING_PASSWORD"
            )
        try:
            unwrap_paserk(wrapped, self.password)
        except ValueError:
            raise ValueError(
                "PASETO_KEYRING_PASSWORD is not that of the ring"
            ) from None


def _kind_of(
    issuing: RingEntry | None,
    version: int | None,
    purpose: Purpose | None,
    issuer: str | None,
) -> tuple[int, Purpose, str | None]:
    """Return version, purpose and issuer of the next key.

    Raises:
        ValueError: Another kind is asked for than that of the key that issues.
    """
    if issuing is None:
        return version or 4, purpose or "local", issuer
    kind = issuing.version, issuing.purpose, issuing.issuer
    asked = (version, purpose, issuer)
    if any(a is not None and a != k for a, k in zip(asked, kind, strict=True)):
        raise ValueError(
            f"the ring issues {issuing.kind} tokens, and rotate goes on with the same; "
            "to change that: flask paseto keys announce"
        )
    return kind


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with it, and how to make one that is missing."""
    try:
        yield
    except MissingFile as fault:
        hint = f"to make a ring: flask paseto keys rotate --keyring {path}"
        raise ValueError(f"{path} {fault}; {hint}") from None
    except ValueError as fault:
        raise ValueError(f"{path} {fault}") from None
