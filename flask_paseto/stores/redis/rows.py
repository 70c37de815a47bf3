"""Values as the scripts take and give them: keys, arguments, rows."""

from __future__ import annotations

import json
from typing import Any

from ..damage import intact, note_damage, texts
from ..values import Answer, CutOff, Issued, NewSession, Revoked, Session, Verdict

# A subject may have lone surrogates: a JSON text can.
_ANY = "surrogatepass"


class Keys:
    """The names of the keys of one bucket, all in one slot of a cluster.

    Args:
        bucket: Two hex digits.
    """

    def __init__(self, bucket: str) -> None:
        self.prefix: str = prefix(bucket)
        self.marker: str = f"{self.prefix}i"
        self.index: str = f"{self.prefix}c"
        self.settled: str = f"{self.prefix}w"

    def session(self, session_id: str) -> str:
        """Return where the row of a session is."""
        return f"{self.prefix}s:{session_id}"

    def token(self, jti: str) -> str:
        """Return where a token that is revoked is."""
        return f"{self.prefix}t:{jti}"

    def cut_off(self, subject: str) -> str:
        """Return where the cut-off of a subject is."""
        return f"{self.prefix}x:{subject}"

    def sessions(self, subject: str) -> str:
        """Return where the list of a subject's sessions is."""
        return f"{self.prefix}u:{subject}"


def prefix(bucket: str) -> str:
    """Return what the keys of a bucket begin with."""
    return f"fp:{{{bucket}}}:"


def pack(value: str | int) -> bytes:
    """Return an argument as bytes."""
    return str(value).encode("utf-8", _ANY)


def unpack(value: bytes) -> str:
    """Return the text of bytes."""
    return value.decode("utf-8", _ANY)


def until_text(until: int | None) -> str:
    """Return an end as the scripts have it; for ever is empty."""
    return "" if until is None else str(until)


def _until(found: bytes) -> int | None:
    return int(found) if found else None


def issued_text(issued: Issued | None) -> str:
    """Return all of a step but its `jti`; empty for none."""
    if issued is None:
        return ""
    fields = (
        issued.issued_at,
        issued.expires_at,
        issued.access_jti,
        issued.access_expires_at,
        issued.scopes,
        issued.audience,
        issued.data,
    )
    return json.dumps(fields, separators=(",", ":"))


def _issued(jti: bytes, found: bytes) -> Issued | None:
    if not found:
        return None
    issued_at, expires_at, access_jti, access_end, scopes, audience, data = json.loads(
        found
    )
    return Issued(
        jti=unpack(jti),
        issued_at=issued_at,
        expires_at=expires_at,
        access_jti=access_jti,
        access_expires_at=access_end,
        scopes=None if scopes is None else texts(scopes),
        audience=texts(audience),
        data=data,
    )


def meta_text(session: NewSession) -> str:
    """Return what the scripts do not look at."""
    fields = (session.auth_time, session.client, session.address)
    return json.dumps(fields, separators=(",", ":"))


def read_row(session_id: bytes | str, row: Any) -> Session | None:
    """Return the row of a session from its array, None for one that is damaged."""
    return intact(lambda: _read_row(session_id, row))


def _read_row(session_id: bytes | str, row: Any) -> Session:
    subject, idle, lifetime, opened, used, jti, issued = row[:7]
    previous, rotated, revoked, reason, meta = row[7:]
    auth_time, client, address = json.loads(meta)
    return Session(
        session_id=session_id if isinstance(session_id, str) else unpack(session_id),
        subject=unpack(subject),
        idle=idle,
        lifetime=lifetime,
        issued=_issued(jti, issued),
        auth_time=auth_time,
        client=client,
        address=address,
        opened_at=opened,
        used_at=used,
        idle_expires_at=used + idle,
        expires_at=opened + lifetime,
        previous_jti=unpack(previous) or None,
        rotated_at=rotated or None,
        revoked_at=revoked or None,
        reason=unpack(reason),
    )


def read_answer(session_id: str, reply: list[Any]) -> Answer:
    """Return a verdict and the row, if there is one."""
    said, row = reply
    verdict = read_verdict(said)
    if row is None:
        return Answer(verdict)
    found = read_row(session_id, row)
    return Answer(Verdict.MISSING if found is None else verdict, found)


def read_verdict(found: bytes) -> Verdict:
    """Return what a script said; of something damaged, that it is missing."""
    return note_damage() if found == b"damaged" else Verdict(unpack(found))


def _text(value: bytes) -> str:
    """Return the text of bytes; of damaged ones, a name that no token has."""
    try:
        return unpack(value)
    except UnicodeDecodeError:
        return value.decode("utf-8", "replace")


def read_change(entry: list[Any]) -> Revoked | CutOff:
    """Return what was revoked, and whether it is a subject by its type."""
    member, at, until, reason = entry[:4]
    name, why = _text(member)[2:], _text(reason)
    if len(entry) > 4:
        return CutOff(
            subject=name, cut_off=int(entry[4]), at=at, until=_until(until), reason=why
        )
    return Revoked(id=name, at=at, until=_until(until), reason=why)
