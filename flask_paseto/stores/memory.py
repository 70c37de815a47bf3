"""`memory://`: sessions and revocations of one process, gone when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from . import rules
from .tables import Tables, lasts
from .values import (
    OVERLAP,
    USED,
    Answer,
    Changes,
    CutOff,
    Issued,
    NewSession,
    Revoked,
    Session,
    TokenRef,
    Verdict,
)

_Entry = TypeVar("_Entry", Revoked, CutOff)


def _later(one: int | None, other: int | None) -> int | None:
    """Return the later end; None is for ever."""
    return None if one is None or other is None else max(one, other)


class MemoryStore(Tables):
    """A store in the memory of one process: for tests, and for one worker.

    It is safe in threads. Another process has another store, which knows nothing of
    what is revoked here; used in a forked child it warns.

    Args:
        clock: Gives the time, with an offset.
    """

    def open_session(self, session: NewSession) -> bool:
        """Open a session unless its `sid` is taken."""
        with self._open() as now:
            if session.session_id in self._sessions:
                return False
            row = rules.opened(session, now)
            self._put(row)
            self._of_subject.setdefault(row.subject, set()).add(row.session_id)
            self._remember("sessions", row.session_id, row.kept_until)
            return True

    def attach(self, session_id: str, issued: Issued) -> bool:
        """Give a live session its first refresh token."""
        with self._open() as now:
            row = self._sessions.get(session_id)
            if row is None or rules.standing(row, now) is not Verdict.LIVE:
                return False
            if row.issued is not None and row.issued.jti != issued.jti:
                return False
            self._put(replace(row, issued=issued))
            return True

    def check_token(self, token: TokenRef) -> Verdict:
        """Say whether a token, its session or its subject is revoked."""
        with self._open() as now:
            return self._standing(token, now)

    def check_refresh(self, token: TokenRef, *, grace: int) -> Answer:
        """Say what a refresh token is to its session; one that is reused ends it."""
        with self._open() as now:
            verdict = self._standing(token, now)
            row = self._row(token)
            if verdict is not Verdict.LIVE or row is None:
                return Answer(verdict, row)
            verdict = rules.place(row, token.jti, now, grace=grace)
            if verdict is Verdict.CURRENT:
                row = self._put(rules.touched(row, now))
            elif verdict is Verdict.REUSED:
                row = self._put(rules.revoked(row, now))
            return Answer(verdict, row)

    def consume(
        self,
        session_id: str,
        jti: str,
        successor: Issued,
        *,
        grace: int,
        punish: bool = True,
    ) -> Answer:
        """Swap the current refresh token for its successor."""
        if successor.jti == jti:
            raise ValueError("successor must not be the token itself")
        with self._open() as now:
            row = self._sessions.get(session_id)
            verdict = rules.standing(row, now)
            if row is None or verdict is not Verdict.LIVE:
                return Answer(verdict, row)
            found = rules.place(row, jti, now, grace=grace, proposed=successor.jti)
            if found is Verdict.PREVIOUS:
                return Answer(Verdict.RETRY, row)
            if found is Verdict.CURRENT:
                row = self._put(rules.rotated(row, successor, now))
                return Answer(Verdict.WON, row)
            if not punish:
                return Answer(Verdict.STALE, row)
            return Answer(found, self._put(rules.revoked(row, now)))

    def consume_token(self, jti: str, *, until: int | None) -> bool:
        """Use up a one-use token; True for the first only."""
        return self.revoke_token(jti, reason=USED, until=until)

    def revoke_token(self, jti: str, *, reason: str, until: int | None) -> bool:
        """Refuse a token until then."""
        with self._open() as now:
            if until is not None and until <= now:
                return False
            before = self._token(jti, now)
            if before is not None:
                until = _later(before.until, until)
                if until != before.until:
                    self._tokens[jti] = replace(before, at=now, until=until)
                return False
            if jti not in self._tokens:  # else one that has ended is still due
                self._remember("tokens", jti, until)
            self._tokens[jti] = Revoked(id=jti, at=now, until=until, reason=reason)
            return True

    def revoke_session(self, session_id: str, *, reason: str) -> bool:
        """End a session with all its tokens."""
        with self._open() as now:
            return self._revoke(session_id, now, reason)

    def revoke_subject(
        self,
        subject: str,
        *,
        reason: str,
        cut_off: int,
        until: int | None,
        except_session: str | None = None,
    ) -> int:
        """End all sessions of a subject, or all but one; give how many."""
        with self._open() as now:
            before = self._cut_offs.get(subject)
            entry = CutOff(
                subject=subject,
                cut_off=max(cut_off, now),
                at=now,
                until=until,
                reason=reason,
            )
            if before is None:
                self._remember("cut_offs", subject, until)
            else:
                entry = replace(
                    entry,
                    cut_off=max(entry.cut_off, before.cut_off),
                    until=_later(before.until, until),
                )
            self._cut_offs[subject] = entry
            others = self._of_subject.get(subject, set()) - {except_session}
            return sum(self._revoke(other, now, reason) for other in others)

    def session(self, session_id: str) -> Session | None:
        """Return the row of a session."""
        with self._open():
            return self._sessions.get(session_id)

    def list_sessions(self, subject: str) -> tuple[Session, ...]:
        """Return the live sessions of a subject, the one opened last first."""
        with self._open() as now:
            rows = [self._sessions[sid] for sid in self._of_subject.get(subject, ())]
            live = (row for row in rows if rules.standing(row, now) is Verdict.LIVE)
            return tuple(sorted(live, key=lambda row: row.opened_at, reverse=True))

    def changes(self, since: str | None, *, horizon: int) -> Changes:
        """Return what was revoked since a cursor, or everything, in one part."""
        with self._open() as now:
            name, _, text = (since or "").partition(":")
            reload = name != self._incarnation or not text.isdecimal()
            start = 0 if reload else int(text) - OVERLAP
            revoked = (
                _ended(row, row.revoked_at)
                for row in self._sessions.values()
                if row.revoked_at is not None and row.revoked_at > now - horizon
            )
            return Changes(
                cursor=f"{self._incarnation}:{now}",
                reload=reload,
                more=False,
                tokens=_told(self._tokens.values(), start, now),
                sessions=_told(revoked, start, now),
                cut_offs=_told(self._cut_offs.values(), start, now),
            )

    def purge(self) -> int:
        """Remove what has ended; give how much."""
        with self._open(sweep=False) as now:
            return self._sweep(now, len(self._due))

    def check(self) -> tuple[str, ...]:
        """Say that all is well."""
        return ()

    def create(self) -> None:
        """Make nothing: there is nothing to make."""

    def close(self) -> None:
        """Give up nothing: what is revoked stays so."""


def _ended(row: Session, at: int) -> Revoked:
    return Revoked(id=row.session_id, at=at, until=row.kept_until, reason=row.reason)


def _told(entries: Iterable[_Entry], start: int, now: int) -> tuple[_Entry, ...]:
    """Return the entries set since then that have not ended."""
    return tuple(e for e in entries if e.at >= start and lasts(e, now))
