"""What all scripts begin with, in Lua.

A row is a cmsgpack array, its fields numbered as below. Numbers are doubles,
exact up to 2**53, which as microseconds is the year 2255. `KEYS[1]` is the marker of
the incarnation: where it is missing, the server lost data and may not answer.

None is flagged ``no-writes``, though some write nothing: a replica would run those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1

from ..values import MARGIN


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name under which a server that has seen it knows it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


LOST = "FPLOST"

_PRELUDE = f"""
local SUBJECT, IDLE, LIFETIME, OPENED, USED, JTI, ISSUED = 1, 2, 3, 4, 5, 6, 7
local PREVIOUS, ROTATED, REVOKED, REASON, META = 8, 9, 10, 11, 12
local MARGIN = {MARGIN}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function text(number) return string.format('%.0f', number) end
local function millis(micros) return text(math.ceil(micros / 1000)) end
local function lost()
  return redis.error_reply('{LOST} there is no marker of the incarnation')
end

-- What an entry is made of: texts, numbers (no NaN), a time or none, a time.
local ROW, DENIED, CUT = 'snnnnsssnnss', 'nts', 'dnts'
local function fits(value, kind)
  if kind == 'n' then return type(value) == 'number' and value == value end
  if type(value) ~= 'string' then return false end
  return kind == 's' or kind == 't' and value == '' or tonumber(value) ~= nil
end

-- An entry; nil where there is none, false for one that is damaged, which refuses.
local function get(key, form)
  local found = redis.call('GET', key)
  if not found then return nil end
  local good, entry = pcall(cmsgpack.unpack, found)
  if not good or type(entry) ~= 'table' or #entry ~= #form then return false end
  for i = 1, #form do
    if not fits(entry[i], string.sub(form, i, i)) then return false end
  end
  return entry
end

local function lasts(till) return till == '' or tonumber(till) > now end

local function put(key, entry, till)
  local packed = cmsgpack.pack(entry)
  if till == '' then return redis.call('SET', key, packed) end
  return redis.call('SET', key, packed, 'PXAT', millis(tonumber(till)))
end

-- The key of a bucket that is written where nothing changes: WAIT then waits for what
-- was written before, when the answer to that was lost.
local function settle(key) redis.call('SET', key, '') end

-- Remove a few of the index whose entries have expired. First of all in a script: it
-- may raise while the slot moves, and then nothing must be written yet.
local function trim(index, prefix)
  for _, member in ipairs(redis.call('ZRANDMEMBER', index, 4)) do
    if redis.call('EXISTS', prefix .. member) == 0 then
      redis.call('ZREM', index, member)
    end
  end
end

-- An end in the row, as `Session.kept_until` and `ends_at`.
local function ends(row)
  return math.min(row[USED] + row[IDLE], row[OPENED] + row[LIFETIME])
end

local function save(key, row)
  local till = row[REVOKED] > 0 and row[OPENED] + row[LIFETIME] or ends(row)
  put(key, row, till + MARGIN)
end

local function standing(row)
  if not row then return row == false and 'damaged' or 'missing' end
  if row[REVOKED] > 0 then return 'revoked' end
  return ends(row) <= now and 'expired' or 'live'
end

local function revoke(key, row, index, sid, reason)
  redis.call('ZADD', index, text(now), 's:' .. sid)
  row[REVOKED], row[REASON] = now, reason
  save(key, row)
end

local function touch(row) row[USED] = now end

-- As `rules.place`; `proposed` is nil where nothing is.
local function place(row, jti, grace, proposed)
  if row[ISSUED] == '' then return 'reused' end
  if jti == row[JTI] then return 'current' end
  if row[ROTATED] == 0 or jti ~= row[PREVIOUS] then return 'reused' end
  -- A clock that was set back must not make a grace of what was to have none.
  local ago = math.max(0, now - row[ROTATED])
  if ago < tonumber(grace) or proposed == row[JTI] then return 'previous' end
  return 'reused'
end

-- KEYS: marker, token, session or cut-off. ARGV: '1' if it is known to be revoked
-- already, 'session' or 'single' or 'token', subject, iat.
local function judge()
  local row
  if ARGV[2] == 'session' then
    row = get(KEYS[3], ROW)
    if row and row[SUBJECT] ~= ARGV[3] then row = nil end
  end
  local entry = get(KEYS[2], DENIED)
  if entry == false then return 'damaged' end
  if ARGV[1] == '1' or entry and lasts(entry[2]) then return 'revoked', row end
  if ARGV[2] == 'session' then return standing(row), row end
  if ARGV[2] == 'token' then return 'live' end
  local cut = get(KEYS[3], CUT)
  if cut == false then return 'damaged' end
  if not cut or not lasts(cut[3]) or tonumber(ARGV[4]) > tonumber(cut[1]) then
    return 'live'
  end
  return 'revoked'
end
"""

_MARKED = "if redis.call('EXISTS', KEYS[1]) == 0 then return lost() end\n"


def script(body: str, *, flags: str = "", marked: bool = True) -> Script:
    """Return a script; with `marked` it answers only where the marker is."""
    # A line with flags makes the server look at memory, role and replicas once, before
    # the first line, and not in the middle.
    head = f"#!lua flags={flags}\n" if flags else "#!lua\n"
    return Script(head + _PRELUDE + (_MARKED if marked else "") + body)
