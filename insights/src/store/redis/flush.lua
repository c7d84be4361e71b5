-- Applies one flush of one partition, whole or not at all.
-- KEYS: head, then the scopes that are dropped, then the scopes whose parts change.
-- ARGV: 1 or 0 for whether a token is expected, that token, the new token, the number of dropped scopes, then for each
-- changed scope: the number of deleted names, these names, the number of arguments of its puts, these arguments (name, blob, ...);
-- what is left are the head's fields (name, blob, ...).
-- Answers {'applied'}, {'conflict', token or false}, {'wrong-type', key, type} or {'forbidden', command}.
-- Redis keeps what a failing script wrote, so everything that can fail is looked at before the first write.
for _, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= 'hash' then
    return {'wrong-type', key, found}
  end
end
local head = KEYS[1]
local stored = redis.call('HGET', head, 'token')
if stored == ARGV[3] then
  return {'applied'}
end
local expected = ARGV[1] == '1' and ARGV[2]
if stored ~= expected then
  return {'conflict', stored}
end
if redis.acl_check_cmd then
  for _, attempt in ipairs({{'UNLINK', head}, {'HDEL', head, 'f'}, {'HSET', head, 'f', 'v'}}) do
    if not redis.acl_check_cmd(unpack(attempt)) then
      return {'forbidden', attempt[1]}
    end
  end
end

local function in_chunks(command, key, first, last)
  while first <= last do
    local chunk_last = math.min(first + 3899, last)
    redis.call(command, key, unpack(ARGV, first, chunk_last))
    first = chunk_last + 1
  end
end

local dropped = tonumber(ARGV[4])
-- A partition without state has no parts: whatever a lost head left behind goes with the first flush.
local unlinked = expected and dropped + 1 or #KEYS
local first_unlinked = expected and 2 or 1
for index = first_unlinked, unlinked do
  redis.call('UNLINK', KEYS[index])
end
local next_argument = 5
for index = dropped + 2, #KEYS do
  for _, command in ipairs({'HDEL', 'HSET'}) do
    local count = tonumber(ARGV[next_argument])
    in_chunks(command, KEYS[index], next_argument + 1, next_argument + count)
    next_argument = next_argument + 1 + count
  end
end
redis.call('HSET', head, unpack(ARGV, next_argument))
return {'applied'}
