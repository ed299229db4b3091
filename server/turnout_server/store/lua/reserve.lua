-- Takes every charge, seat and spending, or nothing.
-- KEYS: marker, a bucket for each charge, a set for each seat, total and held for each spending.
-- ARGV: id, marker_ms, lease_ms, busy_us, charges, seats, spendings;
--       limit, burst, period, ticks_per_s, cost of each charge; limit of each seat;
--       limit, cost, ends_ms of each spending.
-- Returns 1 and each spending's total, or 0, the index of the key to wait for longest and
-- microseconds to wait, -1 when waiting never helps.

local id, marker_ms, lease_ms, busy_us = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local charges, seats, spendings = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local worst_key, worst_us = 0, -2
local function refuse(index, wait_us)
  if worst_us ~= -1 and (wait_us == -1 or wait_us > worst_us) then
    worst_key, worst_us = index, wait_us
  end
end

local at, key = 8, 2
local buckets = {}
for _ = 1, charges do
  local name, cost = KEYS[key], tonumber(ARGV[at + 4])
  local bucket = buckets[name] or bucket_at(name, at)
  buckets[name] = bucket
  bucket.water = bucket.water + cost * bucket.period
  local over = bucket.water - bucket.burst * bucket.period
  if over > 0 then
    if cost > bucket.burst then
      refuse(key, -1)
    else
      refuse(key, math.ceil(over / bucket.limit / bucket.ticks_per_s * 1000000))
    end
  end
  at, key = at + 5, key + 1
end

local first_seat = key
for _ = 1, seats do
  if seats_taken(KEYS[key]) >= tonumber(ARGV[at]) then
    refuse(key, busy_us)
  end
  at, key = at + 1, key + 1
end

local totals = {}
for _ = 1, spendings do
  local limit, cost, ends_ms = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2]
  local total = spent(KEYS[key], KEYS[key + 1], ends_ms) + cost
  totals[#totals + 1] = {key, total, ARGV[at + 1], ends_ms}
  if total > limit then
    refuse(key, cost > limit and -1 or math.max(0, ends_ms - now_ms) * 1000)
  end
  at, key = at + 3, key + 2
end

if worst_key ~= 0 then
  return {0, worst_key, worst_us}
end

-- Nothing was written so far: a server that is full refuses the first write and so the script.
for _, bucket in pairs(buckets) do
  keep(bucket)
end
for index = first_seat, first_seat + seats - 1 do
  redis.call('ZADD', KEYS[index], now_ms + lease_ms, id)
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now_ms)
  redis.call('PEXPIRE', KEYS[index], lease_ms)
end
local reply = {1}
for _, entry in ipairs(totals) do
  local index, total, cost, ends_ms = unpack(entry)
  set_total(KEYS[index], total, ends_ms)
  redis.call('ZADD', KEYS[index + 1], now_ms + lease_ms, cost .. ':' .. id)
  redis.call('PEXPIREAT', KEYS[index + 1], ends_ms)
  reply[#reply + 1] = total
end
redis.call('SET', KEYS[1], 1, 'PX', marker_ms)
return reply
