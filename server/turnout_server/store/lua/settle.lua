-- Replaces what a call had reserved by what it used, once: the marker of the reservation goes.
-- KEYS: as in reserve.
-- ARGV: id, charges, seats, spendings;
--       limit, burst, period, ticks_per_s, difference of each charge;
--       cost, actual, ends_ms of each spending.
-- Returns 1, or 0 when there was no such reservation or it is settled.

if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end

local id = ARGV[1]
local charges, seats, spendings = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local at, key = 5, 2
for _ = 1, charges do
  local difference = tonumber(ARGV[at + 4])
  if difference ~= 0 then
    local bucket = bucket_at(KEYS[key], at)
    bucket.water = math.max(0, bucket.water + difference * bucket.period)
    keep(bucket)
  end
  at, key = at + 5, key + 1
end
for _ = 1, seats do
  redis.call('ZREM', KEYS[key], id)
  key = key + 1
end
for _ = 1, spendings do
  local cost, actual, ends_ms = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local total = spent(KEYS[key], KEYS[key + 1], ends_ms)
  -- A hold that has lapsed was taken back already.
  local held = redis.call('ZREM', KEYS[key + 1], cost .. ':' .. id)
  set_total(KEYS[key], total + actual - held * tonumber(cost), ends_ms)
  at, key = at + 3, key + 2
end
return 1
