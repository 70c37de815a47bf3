"""What the server decides on sessions and tokens: one script for each method."""

from __future__ import annotations

from ..values import REUSED
from .lua import script

# Reading goes on when the memory is full.
CHECK = script("return (judge())", flags="allow-oom")

SESSION = script(
    """
local row = get(KEYS[2], ROW)
if row == false then return 'damaged' end
return row
""",
    flags="allow-oom",
)

# KEYS: marker, list. ARGV: prefix.
LIST = script(
    """
local rows = {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local row = get(ARGV[1] .. 's:' .. sid, ROW)
  local verdict = standing(row)
  if verdict == 'live' then rows[#rows + 1] = {sid, row} end
  if verdict == 'damaged' then rows[#rows + 1] = {sid, verdict} end
end
return rows
""",
    flags="allow-oom",
)

# KEYS: marker, row, list, settled. ARGV: sid, subject, idle, lifetime, jti, issued,
# meta, '1' if the bucket of the sid is not that of the subject.
OPEN = script(
    """
if redis.call('EXISTS', KEYS[2]) == 1 then
  settle(KEYS[4])
  return 0
end
if ARGV[8] == '1' then return -1 end
local row = {ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), now, now, ARGV[5], ARGV[6],
             '', 0, 0, '', ARGV[7]}
local till = row[OPENED] + row[LIFETIME] + MARGIN
local kept = math.max(redis.call('PEXPIRETIME', KEYS[3]), tonumber(millis(till)))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
redis.call('ZADD', KEYS[3], text(till), ARGV[1])
redis.call('PEXPIREAT', KEYS[3], text(kept))
save(KEYS[2], row)
return 1
"""
)

# KEYS: marker, row, settled. ARGV: jti, issued.
ATTACH = script(
    """
local row = get(KEYS[2], ROW)
if standing(row) ~= 'live' or (row[ISSUED] ~= '' and row[JTI] ~= ARGV[1]) then
  settle(KEYS[3])
  return 0
end
row[JTI], row[ISSUED] = ARGV[1], ARGV[2]
save(KEYS[2], row)
return 1
"""
)

# KEYS and ARGV of `judge`, then index, settled; jti, sid, grace, prefix.
REFRESH = script(
    f"""
local verdict, row = judge()
if verdict ~= 'live' or not row then
  settle(KEYS[5])
  return {{verdict, row or false}}
end
verdict = place(row, ARGV[5], ARGV[7])
if verdict == 'current' then
  touch(row)
  save(KEYS[3], row)
elseif verdict == 'reused' then
  trim(KEYS[4], ARGV[8])
  revoke(KEYS[3], row, KEYS[4], ARGV[6], '{REUSED}')
else
  settle(KEYS[5])
end
return {{verdict, row}}
"""
)

# KEYS: marker, row, index, settled. ARGV: sid, jti, successor's jti, issued, grace,
# prefix, '1' if reuse ends the session.
CONSUME = script(
    f"""
local row = get(KEYS[2], ROW)
local verdict = standing(row)
if verdict ~= 'live' then
  settle(KEYS[4])
  return {{verdict, row or false}}
end
verdict = place(row, ARGV[2], ARGV[5], ARGV[3])
if verdict == 'previous' then
  settle(KEYS[4])
  return {{'retry', row}}
end
if verdict == 'reused' and ARGV[7] ~= '1' then
  settle(KEYS[4])
  return {{'stale', row}}
end
if verdict == 'reused' then
  trim(KEYS[3], ARGV[6])
  revoke(KEYS[2], row, KEYS[3], ARGV[1], '{REUSED}')
  return {{verdict, row}}
end
touch(row)
row[PREVIOUS], row[ROTATED] = row[JTI], now
row[JTI], row[ISSUED] = ARGV[3], ARGV[4]
save(KEYS[2], row)
return {{'won', row}}
"""
)
