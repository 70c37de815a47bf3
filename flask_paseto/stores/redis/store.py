"""The methods of the store: each one script, sent once."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigurationError
from ..values import (
    USED,
    Answer,
    Changes,
    Issued,
    NewSession,
    Session,
    TokenRef,
    Verdict,
    id_bucket,
    subject_bucket,
)
from . import revocations, scripts
from .calls import Caller
from .changes import Pull, after_part, read_changes, read_cursor
from .connections import Pool
from .faults import MARKERLESS, MIXED, find_faults
from .incarnation import is_one, mark_anew, read_markers
from .nodes import Nodes
from .rows import (
    Keys,
    issued_text,
    meta_text,
    read_answer,
    read_row,
    read_verdict,
    until_text,
)


class RedisStore:
    """A store on Redis or Valkey, alone, with sentinels, or a cluster.

    Args:
        nodes: The servers.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._caller = Caller(nodes)

    def open_session(self, session: NewSession) -> bool:
        """Open a session unless its `sid` is taken.

        Raises:
            ValueError: The `sid` is not from `new_id(subject)`: on a cluster the row
                would be where the others of the subject are not.
        """
        sid, subject = session.session_id, session.subject
        keys, home = Keys(id_bucket(sid)), Keys(subject_bucket(subject))
        stray = home.prefix != keys.prefix
        reply = self._caller.run(
            id_bucket(sid),
            scripts.OPEN,
            [keys.marker, keys.session(sid), keys.sessions(subject), keys.settled],
            [
                *(sid, subject, session.idle, session.lifetime),
                session.issued.jti if session.issued else "",
                *(issued_text(session.issued), meta_text(session), int(stray)),
            ],
        )
        if reply < 0:
            raise ValueError("session_id must come from new_id(subject)")
        return bool(reply)

    def attach(self, session_id: str, issued: Issued) -> bool:
        """Give a live session its first refresh token."""
        keys = Keys(id_bucket(session_id))
        reply = self._caller.run(
            id_bucket(session_id),
            scripts.ATTACH,
            [keys.marker, keys.session(session_id), keys.settled],
            [issued.jti, issued_text(issued)],
        )
        return bool(reply)

    def check_token(self, token: TokenRef) -> Verdict:
        """Say whether a token, its session or its subject is revoked."""
        bucket, keys, args = self._question(token)
        reply = self._caller.run(bucket, scripts.CHECK, keys, args, wait=False)
        return read_verdict(reply)

    def check_refresh(self, token: TokenRef, *, grace: int) -> Answer:
        """Say what a refresh token is to its session; one that is reused ends it."""
        bucket, keys, args = self._question(token)
        names, sid = Keys(bucket), token.session_id or ""
        reply = self._caller.run(
            bucket,
            scripts.REFRESH,
            [*keys, names.index, names.settled],
            [*args, token.jti, sid, grace, names.prefix],
        )
        return read_answer(sid, reply)

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
        keys = Keys(id_bucket(session_id))
        reply = self._caller.run(
            id_bucket(session_id),
            scripts.CONSUME,
            [keys.marker, keys.session(session_id), keys.index, keys.settled],
            [
                *(session_id, jti, successor.jti, issued_text(successor)),
                *(grace, keys.prefix, int(punish)),
            ],
        )
        return read_answer(session_id, reply)

    def consume_token(self, jti: str, *, until: int | None) -> bool:
        """Use up a one-use token; True for the first only."""
        return self.revoke_token(jti, reason=USED, until=until)

    def revoke_token(self, jti: str, *, reason: str, until: int | None) -> bool:
        """Refuse a token until then."""
        keys = Keys(id_bucket(jti))
        reply = self._caller.run(
            id_bucket(jti),
            revocations.REVOKE_TOKEN,
            [keys.marker, keys.token(jti), keys.index, keys.settled],
            [jti, reason, until_text(until), keys.prefix],
        )
        return bool(reply)

    def revoke_session(self, session_id: str, *, reason: str) -> bool:
        """End a session with all its tokens."""
        keys = Keys(id_bucket(session_id))
        reply = self._caller.run(
            id_bucket(session_id),
            revocations.REVOKE_SESSION,
            [keys.marker, keys.session(session_id), keys.index, keys.settled],
            [session_id, reason, keys.prefix],
        )
        return bool(reply)

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
        keys = Keys(subject_bucket(subject))
        reply = self._caller.run(
            subject_bucket(subject),
            revocations.REVOKE_SUBJECT,
            [keys.marker, keys.cut_off(subject), keys.sessions(subject), keys.index],
            [
                *(subject, reason, cut_off, until_text(until)),
                *(except_session or "", keys.prefix),
            ],
        )
        return int(reply)

    def session(self, session_id: str) -> Session | None:
        """Return the row of a session."""
        keys = Keys(id_bucket(session_id))
        row = self._caller.run(
            id_bucket(session_id),
            scripts.SESSION,
            [keys.marker, keys.session(session_id)],
            [],
            wait=False,
        )
        return None if row is None else read_row(session_id, row)

    def list_sessions(self, subject: str) -> tuple[Session, ...]:
        """Return the live sessions of a subject, the one opened last first."""
        keys = Keys(subject_bucket(subject))
        found = self._caller.run(
            subject_bucket(subject),
            scripts.LIST,
            [keys.marker, keys.sessions(subject)],
            [keys.prefix],
            wait=False,
        )
        read = (read_row(sid, row) for sid, row in found)
        rows = (row for row in read if row is not None)
        return tuple(sorted(rows, key=lambda row: row.opened_at, reverse=True))

    def changes(self, since: str | None, *, horizon: int) -> Changes:
        """Return a part of what was revoked since a cursor, or of everything."""
        return self._part(read_cursor(since), horizon)

    def purge(self) -> int:
        """Remove nothing: what has ended goes by itself."""
        return 0

    def check(self) -> tuple[str, ...]:
        """Say what is wrong with the servers, and what to set or run."""
        try:
            faults = self._caller.each(lambda pool, _: find_faults(pool))
            markers = read_markers(self._caller)
        except ConfigurationError as fault:
            return (str(fault),)
        found = [fault for each in faults for fault in each]
        if not is_one(markers):
            found.append(MARKERLESS if "" in markers else MIXED)
        return tuple(dict.fromkeys(found))

    def create(self) -> None:
        """Mark the incarnation, anew where a mark is missing or another."""
        found = read_markers(self._caller)
        if not is_one(found):
            mark_anew(self._caller, found)

    def close(self) -> None:
        """Close the connections; a later call opens them again."""
        self._caller.close()

    def _question(self, token: TokenRef) -> tuple[str, list[str], list[str | int]]:
        """Return the bucket, keys and arguments that ask what a token is worth."""
        sid = token.session_id
        home = subject_bucket(token.subject) if sid is None else id_bucket(sid)
        keys = Keys(home)
        whose = keys.cut_off(token.subject) if sid is None else keys.session(sid)
        known = self._is_revoked_elsewhere(token.jti, home)
        return (
            home,
            [keys.marker, keys.token(token.jti), whose],
            [
                int(known),
                "single" if sid is None else "session",
                *(token.subject, token.issued_at),
            ],
        )

    def _is_revoked_elsewhere(self, jti: str, home: str) -> bool:
        """Say whether a token is revoked whose id is of another bucket.

        Nobody but the app makes such ids. On a cluster one script cannot look there
        too; on one server it could, but then the stores would differ.
        """
        bucket = id_bucket(jti)
        if bucket == home:
            return False
        keys = Keys(bucket)
        reply = self._caller.run(
            bucket,
            scripts.CHECK,
            [keys.marker, keys.token(jti)],
            [0, "token"],
            wait=False,
        )
        return bool(reply != b"live")

    def _part(self, pull: Pull, horizon: int) -> Changes:
        def ask(pool: Pool, buckets: list[str]) -> tuple[Pull, list[Any]]:
            asked = pull.part_of(buckets)
            args = pull.arguments(asked, horizon)
            reply = pool.run(revocations.CHANGES, [], args, wait=False)
            return after_part(pull, asked, reply), reply

        after, reply = self._caller.one(pull.bucket, ask)
        if pull.incarnation not in ("", after.incarnation):
            return self._part(Pull(), horizon)
        return read_changes(after, reply, reload=not pull.incarnation)
