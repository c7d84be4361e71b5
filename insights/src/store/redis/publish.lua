-- Replaces a pipeline's public keys, whole or not at all.
-- KEYS: document, workers, then the keys that go, then the keys that are written.
-- ARGV: 1 or 0 for whether a document is expected, the end of that document, the new document, the number of workers that go,
-- these workers, the number of keys that go, then for each written key: its command (ZADD or HSET), the number of its
-- arguments, these arguments.
-- Answers {'applied'}, {'conflict'}, {'wrong-type', key, type} or {'forbidden', command}.
-- Redis keeps what a failing script wrote, so everything that can fail is looked at before the first write.
local document, workers = KEYS[1], KEYS[2]
local gone_workers = tonumber(ARGV[4])
local gone_keys = tonumber(ARGV[5 + gone_workers])
local first_value = 6 + gone_workers

local function clash(key, accepted)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and not accepted[found] then
    return {'wrong-type', key, found}
  end
end

local refused = clash(document, {string = true}) or clash(workers, {hash = true})
for index = 3, 2 + gone_keys do
  refused = refused or clash(KEYS[index], {zset = true, hash = true})
end
local argument = first_value
for index = 3 + gone_keys, #KEYS do
  refused = refused or clash(KEYS[index], ARGV[argument] == 'ZADD' and {zset = true} or {hash = true})
  argument = argument + 2 + tonumber(ARGV[argument + 1])
end
if refused then
  return refused
end

local tail = ARGV[2]
local exists = redis.call('TYPE', document).ok ~= 'none'
local same = exists == (ARGV[1] == '1')
if exists and same then
  if tail == '' then
    -- Nothing at the end of what the caller saw was text, so it was no document of ours, which ends with a brace.
    same = redis.call('GETRANGE', document, -1, -1) ~= '}'
  else
    same = redis.call('GETRANGE', document, -#tail, -1) == tail
  end
end
if not same then
  return {'conflict'}
end
if redis.acl_check_cmd then
  local attempts = {
    {'UNLINK', document}, {'HDEL', workers, 'f'}, {'HSET', workers, 'f', 'v'}, {'ZADD', document, '0', 'm'}, {'SET', document, 'v'},
  }
  for _, attempt in ipairs(attempts) do
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

for index = 3, #KEYS do
  redis.call('UNLINK', KEYS[index])
end
in_chunks('HDEL', workers, 5, 4 + gone_workers)
argument = first_value
for index = 3 + gone_keys, #KEYS do
  local count = tonumber(ARGV[argument + 1])
  in_chunks(ARGV[argument], KEYS[index], argument + 2, argument + 1 + count)
  argument = argument + 2 + count
end
redis.call('SET', document, ARGV[3])
return {'applied'}
