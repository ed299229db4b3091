-- KEYS: a bucket for each charge, a set for each seat, total and held for each spending.
-- ARGV: charges, seats, spendings; limit, burst, period, ticks_per_s of each charge; ends_ms of
--       each spending.
-- Returns for each charge units used and microseconds until it is empty, for each seat how many
-- are taken, for each spending its total.

local charges, seats, spendings = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local levels = {}
local at, key = 4, 1
for _ = 1, charges do
  local bucket = bucket_at(KEYS[key], at)
  levels[#levels + 1] = math.ceil(bucket.water / bucket.period)
  levels[#levels + 1] = math.ceil(bucket.water / bucket.limit / bucket.ticks_per_s * 1000000)
  at, key = at + 4, key + 1
end
for _ = 1, seats do
  levels[#levels + 1] = seats_taken(KEYS[key])
  key = key + 1
end
for _ = 1, spendings do
  levels[#levels + 1] = spent(KEYS[key], KEYS[key + 1], ARGV[at])
  at, key = at + 1, key + 2
end
return levels
