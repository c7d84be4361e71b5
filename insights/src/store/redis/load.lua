-- Reads parts in the same step as the token that they belong to.
-- KEYS: head, then the scope of each wish. ARGV: expected token, then per wish 'all' and '', or 'only' and the part's name.
-- Answers {'parts', {name, blob, ...} per wish}, {'moved', token or false} or {'wrong-type', key, type}.
for _, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= 'hash' then
    return {'wrong-type', key, found}
  end
end
local stored = redis.call('HGET', KEYS[1], 'token')
if stored ~= ARGV[1] then
  return {'moved', stored}
end
local answer = {'parts'}
for wish = 2, #KEYS do
  local which, name = ARGV[2 * wish - 2], ARGV[2 * wish - 1]
  if which == 'all' then
    answer[wish] = redis.call('HGETALL', KEYS[wish])
  else
    local blob = redis.call('HGET', KEYS[wish], name)
    answer[wish] = blob and {name, blob} or {}
  end
end
return answer
