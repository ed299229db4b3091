-- Keeps the seats and holds of a call for another lease.
-- KEYS: seats, then holds. ARGV: lease_ms, and each key's member.

local lease_ms = tonumber(ARGV[1])
for index, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', now_ms + lease_ms, ARGV[index + 1])
  if redis.call('PTTL', key) < lease_ms then
    redis.call('PEXPIRE', key, lease_ms)
  end
end
return #KEYS
