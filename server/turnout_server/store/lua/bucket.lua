-- What every limit script shares. Times of buckets are in ticks, a fraction of a second that is
-- chosen for each rate so that every product below stays under 2^53, where doubles are exact.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- A key of another type than ours is not worth a failed call.
local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    redis.call('DEL', key)
    return false
  end
  return value
end

local function ticks_now(bucket)
  return time[1] * bucket.ticks_per_s + math.floor(time[2] * bucket.ticks_per_s / 1000000)
end

-- Four arguments from `at`: limit, burst, period in ticks, ticks a second.
local function bucket_at(key, at)
  local bucket = {
    key = key,
    limit = tonumber(ARGV[at]),
    burst = tonumber(ARGV[at + 1]),
    period = tonumber(ARGV[at + 2]),
    ticks_per_s = tonumber(ARGV[at + 3]),
  }
  bucket.now = ticks_now(bucket)
  -- Water is units x ticks: a unit weighs `period`, and `limit` drains in a tick.
  local water, stamp = string.match(read(key) or '', '^(%d+) (%d+)$')
  -- Never further ahead than two windows, whatever is written there and wherever the clock went.
  water = math.min(tonumber(water) or 0, 2 * math.max(bucket.limit, bucket.burst) * bucket.period)
  stamp = math.min(tonumber(stamp) or bucket.now, bucket.now)
  bucket.water = math.max(0, water - (bucket.now - stamp) * bucket.limit)
  return bucket
end

local function keep(bucket)
  if bucket.water <= 0 then
    redis.call('DEL', bucket.key)
    return
  end
  local drained_s = bucket.water / bucket.limit / bucket.ticks_per_s
  redis.call('SET', bucket.key, whole(bucket.water) .. ' ' .. whole(bucket.now),
    'PX', whole(math.ceil(drained_s * 1000) + 1000))
end

local function set_total(key, total, ends_ms)
  redis.call('SET', key, whole(math.max(0, total)), 'PXAT', ends_ms)
end

-- What a killed process had reserved comes back when its lease ends.
local function spent(key, held, ends_ms)
  local total = tonumber(read(key) or 0) or 0
  local lapsed = redis.call('ZRANGEBYSCORE', held, '-inf', now_ms)
  for _, member in ipairs(lapsed) do
    redis.call('ZREM', held, member)
    total = math.max(0, total - (tonumber(string.match(member, '^(%d+):')) or 0))
  end
  if #lapsed > 0 then
    set_total(key, total, ends_ms)
  end
  return total
end

local function seats_taken(key)
  return redis.call('ZCOUNT', key, '(' .. now_ms, '+inf')
end
