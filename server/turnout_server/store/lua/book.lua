-- Adds to a period what was spent while Redis was away, once.
-- KEYS: marker, total, held. ARGV: marker_ms, amount, ends_ms.

if not redis.call('SET', KEYS[1], 1, 'PX', ARGV[1], 'NX') then
  return 0
end
set_total(KEYS[2], spent(KEYS[2], KEYS[3], ARGV[3]) + tonumber(ARGV[2]), ARGV[3])
return 1
