"""What the server does to revoke, and to tell what was revoked."""

from __future__ import annotations

from .lua import script

# KEYS: marker, token, index, settled. ARGV: jti, reason, until, prefix.
REVOKE_TOKEN = script(
    """
trim(KEYS[3], ARGV[4])
local entry = get(KEYS[2], DENIED)
if entry == false then entry = {0, '', ''} end -- revoked for ever
local fresh = not (entry and lasts(entry[2]))
local till = ARGV[3]
if not fresh then
  if entry[2] == '' or till == '' then
    till = ''
  elseif tonumber(till) < tonumber(entry[2]) then
    till = entry[2]
  end
end
if not lasts(till) or not fresh and till == entry[2] then
  settle(KEYS[4])
  return 0
end
redis.call('ZADD', KEYS[3], text(now), 't:' .. ARGV[1])
put(KEYS[2], {now, till, fresh and ARGV[2] or entry[3]}, till)
return fresh and 1 or 0
"""
)

# KEYS: marker, row, index, settled. ARGV: sid, reason, prefix.
REVOKE_SESSION = script(
    """
trim(KEYS[3], ARGV[3])
local row = get(KEYS[2], ROW)
local verdict = standing(row)
if verdict == 'damaged' then -- it refuses; let the snapshots know
  redis.call('ZADD', KEYS[3], text(now), 's:' .. ARGV[1])
  return 1
end
if verdict ~= 'live' then
  settle(KEYS[4])
  return 0
end
revoke(KEYS[2], row, KEYS[3], ARGV[1], ARGV[2])
return 1
"""
)

# KEYS: marker, cut-off, list, index. ARGV: subject, reason, cut-off, until, the
# session that is spared, prefix.
REVOKE_SUBJECT = script(
    """
trim(KEYS[4], ARGV[6])
local ended, gone, damaged = {}, {}, {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local row = get(ARGV[6] .. 's:' .. sid, ROW)
  local verdict = standing(row)
  if verdict == 'missing' then
    gone[#gone + 1] = sid
  elseif verdict == 'damaged' then
    damaged[#damaged + 1] = sid
  elseif sid ~= ARGV[5] and verdict == 'live' then
    ended[#ended + 1] = {sid, row}
  end
end
local cut, till = ARGV[3], ARGV[4]
if tonumber(cut) < now then cut = text(now) end
local before = get(KEYS[2], CUT)
if before == false then before = {'0', 0, ''} end
if before then
  if tonumber(before[1]) > tonumber(cut) then cut = before[1] end
  if before[3] == '' or till == '' then
    till = ''
  elseif tonumber(before[3]) > tonumber(till) then
    till = before[3]
  end
end
redis.call('ZADD', KEYS[4], text(now), 'x:' .. ARGV[1])
put(KEYS[2], {cut, now, till, ARGV[2]}, till)
for _, one in ipairs(ended) do
  revoke(ARGV[6] .. 's:' .. one[1], one[2], KEYS[4], one[1], ARGV[2])
end
-- They refuse as it is; let the snapshots know.
for _, sid in ipairs(damaged) do redis.call('ZADD', KEYS[4], text(now), 's:' .. sid) end
for _, sid in ipairs(gone) do redis.call('ZREM', KEYS[3], sid) end
return #ended
"""
)

# ARGV: since, the horizon of sessions, how many, the score after which the first
# bucket goes on or '', then the prefixes of buckets.
# Gives now, the markers, how many buckets are done, where the next goes on, entries.
CHANGES = script(
    """
local markers, entries, left = {}, {}, tonumber(ARGV[3])

local function tell(prefix, member)
  local kind = string.sub(member, 1, 1)
  local form = kind == 't' and DENIED or kind == 'x' and CUT or ROW
  local entry = get(prefix .. member, form)
  if entry == nil then return end
  if entry == false then -- what is damaged was revoked, nobody knows until when
    local cut = kind == 'x' and text(now) or nil
    entries[#entries + 1] = {member, now, '', '', cut}
  elseif kind == 't' and lasts(entry[2]) then
    entries[#entries + 1] = {member, entry[1], entry[2], entry[3]}
  elseif kind == 'x' and lasts(entry[3]) then
    entries[#entries + 1] = {member, entry[2], entry[3], entry[4], entry[1]}
  elseif kind == 's' and entry[REVOKED] > now - tonumber(ARGV[2]) then
    local till = entry[OPENED] + entry[LIFETIME] + MARGIN
    if till > now then
      entries[#entries + 1] = {member, entry[REVOKED], text(till), entry[REASON]}
    end
  end
end

local function told(done, last)
  local names = {}
  for name in pairs(markers) do names[#names + 1] = name end
  return {now, names, done, last, entries}
end

for i = 5, #ARGV do
  local index = ARGV[i] .. 'c'
  local marker = redis.call('GET', ARGV[i] .. 'i')
  if not marker then return lost() end
  markers[marker] = true
  local low = i == 5 and ARGV[4] ~= '' and '(' .. ARGV[4] or ARGV[1]
  local found = redis.call('ZRANGEBYSCORE', index, low, '+inf', 'WITHSCORES',
                           'LIMIT', 0, left)
  local last = #found == 2 * left and found[#found]
  for j = 1, #found, 2 do
    if found[j + 1] ~= last then tell(ARGV[i], found[j]) end
  end
  left = left - #found / 2
  if last then
    -- Those of one microsecond are told together: a page may not end among them.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, last, last)) do
      tell(ARGV[i], member)
    end
  end
  if left <= 0 then return told(i - 5, last) end
end
return told(#ARGV - 4, '')
""",
    flags="allow-oom,allow-cross-slot-keys",
    marked=False,
)

# ARGV: an incarnation to mark those buckets with whose marker is lower, or '' to look
# only; the prefixes. Gives the markers, '' where there was none.
MARK = script(
    """
local markers = {}
for i = 2, #ARGV do
  local key = ARGV[i] .. 'i'
  local marker = redis.call('GET', key) or ''
  markers[#markers + 1] = marker
  if marker < ARGV[1] then redis.call('SET', key, ARGV[1]) end
end
return markers
""",
    flags="allow-cross-slot-keys",
    marked=False,
)
